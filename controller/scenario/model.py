# SPDX-License-Identifier: Apache-2.0
"""Scenario files: a topology, settings of its own, and steps. Reading and checking them.

A file with mistakes is refused before anything runs, with all mistakes at once, each with its key path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from controller.config import LimitsConfig, Model, TimersConfig
from controller.config_errors import ConfigError, Problem, describe, read_yaml
from controller.lab.model import Topology, TopologyService
from controller.lab.topology import load_topology
from controller.scenario.steps import STEPS, Step


class ScenarioFile(Model):
    """The keys of a scenario file. The steps are checked one by one, each by its own model."""

    name: str = Field(description="what the scenario shows, in a few words")
    description: str = Field(default="", description="why it matters and what is to be seen")
    topology: str = Field(description="the name of a topology, such as two-pop, or the path of a YAML file")
    timers: dict[str, Any] = Field(default={}, description="timers that differ from the topology's")
    limits: dict[str, Any] = Field(default={}, description="limits that differ from the topology's")
    offloads: bool = Field(
        default=False,
        description="true to let the hosts' kernels leave checksums and segmentation to their interfaces; "
        "else captures and losses are of what a wire would carry",
    )
    services: list[TopologyService] = Field(
        default=[],
        description="a list of services, in addition to the topology's or in place of one of the same name",
    )
    steps: list[Any] = Field(min_length=1, description="a list of steps, each a mapping of one keyword")


@dataclass(frozen=True)
class Scenario:
    """A checked scenario: its topology with the scenario's own settings, and its steps in order."""

    name: str
    description: str
    path: Path
    topology: Topology
    steps: tuple[Step, ...]
    offloads: bool = False


def load_scenario(path: Path) -> Scenario:
    """Reads and checks a scenario file; ConfigError has one line `FILE: key.path: what` per mistake."""
    try:
        file = ScenarioFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(path, describe(error, ScenarioFile)) from None
    topology = _topology(file, path)
    problems: list[Problem] = []
    steps = []
    for index, item in enumerate(file.steps):
        step, found = parse_step(item, f"steps[{index}]", topology)
        problems += found
        if step is not None:
            steps.append(step)
    if problems:
        raise ConfigError(path, problems)
    return Scenario(file.name, file.description, path, topology, tuple(steps), file.offloads)


def parse_step(item: Any, where: str, topology: Topology) -> tuple[Step | None, list[Problem]]:
    """One entry of `steps`: a bare keyword or a mapping of one keyword to its fields; and what is wrong
    with it.
    """
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, dict) or len(item) != 1:
        return None, [Problem(where, "a mapping of exactly one keyword is wanted, such as `connect: {…}`")]
    ((keyword, value),) = item.items()
    model = STEPS.get(str(keyword))
    if model is None:
        return None, [Problem(f"{where}.{keyword}", f"no such step; there are {', '.join(sorted(STEPS))}")]
    try:
        step = model.model_validate(model.from_yaml(value))
    except ValidationError as error:
        return None, [_below(f"{where}.{keyword}", problem) for problem in describe(error, model)]
    return step, [Problem(f"{where}.{keyword}.{key}", text) for key, text in step.problems(topology)]


def _below(where: str, problem: Problem) -> Problem:
    return Problem(where if problem.path in ("", "(top)") else f"{where}.{problem.path}", problem.text)


def _topology(file: ScenarioFile, path: Path) -> Topology:
    """The named topology with the scenario's timers, limits and services."""
    beside = path.parent / file.topology
    topology = load_topology(beside if file.topology.endswith(".yaml") else file.topology)
    settings = topology.controller
    changed = settings.model_copy(
        update={
            "timers": _override(settings.timers, file.timers, TimersConfig, "timers", path),
            "limits": _override(settings.limits, file.limits, LimitsConfig, "limits", path),
        }
    )
    own = {service.name for service in file.services}
    services = [service for service in topology.services if service.name not in own] + file.services
    if unknown := [service for service in file.services if service.host not in topology.hosts]:
        index = file.services.index(unknown[0])
        text = f"no host {unknown[0].host} in topology {topology.name}; it has {', '.join(topology.hosts)}"
        raise ConfigError(path, [Problem(f"services[{index}].host", text)])
    return topology.model_copy(update={"controller": changed, "services": services})


def _override(base: Model, changes: dict[str, Any], model: type[Model], key: str, path: Path) -> Model:
    try:
        return model.model_validate({**base.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(path, [_below(key, problem) for problem in describe(error, model)]) from None
