# SPDX-License-Identifier: Apache-2.0
"""Scenario files: a topology, settings of its own, and steps. Reading and checking them.

A file with mistakes is refused before anything runs, with all mistakes at once, each with its key path.
One file may be several scenarios: the same steps on each of its topologies, over each version of IP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator

from controller.config import LimitsConfig, TimersConfig
from controller.config_errors import ConfigError, Problem, describe, read_yaml
from controller.config_values import Model
from controller.lab import programs
from controller.lab.model import Federated, Topology, TopologyService
from controller.lab.topology import load_topology
from controller.scenario.abbreviations import ABBREVIATIONS
from controller.scenario.parameters import Parameter, with_parameters
from controller.scenario.steps import STEPS, Step
from controller.scenario.versions import ipv6_services, over_ipv6


class ScenarioFile(Model):
    """The keys of a scenario file. The steps are checked one by one, each by its own model."""

    name: str = Field(description="what the scenario shows, in a few words")
    description: str = Field(default="", description="why it matters and what is to be seen")
    topology: list[str] = Field(
        min_length=1,
        description="the name of a topology, such as two-pop, or the path of a YAML file; or a list of them",
    )
    versions: list[Literal[4, 6]] = Field(
        default=[4], min_length=1, description="a list of versions of IP: 4, 6 or both"
    )
    timers: dict[str, Any] = Field(default={}, description="timers that differ from the topology's")
    limits: dict[str, Any] = Field(default={}, description="limits that differ from the topology's")
    tls: bool = Field(default=False, description="true for P4Runtime and NATS over mutual TLS")
    federation: dict[str, Any] = Field(
        default={}, description="settings of a federation that differ from the topology's"
    )
    controllers: int | None = Field(
        default=None, ge=1, le=4, description="how many controllers there are, instead of the topology's"
    )
    not_federated: str | None = Field(
        default=None, description="why it cannot be run with a controller for each PoP"
    )
    not_bmv2: str | None = Field(default=None, description="why it cannot be run on BMv2")
    offloads: bool = Field(
        default=False,
        description="true to let the hosts' kernels leave checksums and segmentation to their interfaces; "
        "else captures and losses are of what a wire would carry",
    )
    services: list[TopologyService] = Field(
        default=[],
        description="a list of services, in addition to the topology's or in place of one of the same name",
    )
    parameters: dict[str, Parameter] = Field(
        default={}, description="a mapping of names to the values that @{NAME} stands for in all other keys"
    )
    soak: dict[str, Parameter] = Field(
        default={}, description="a mapping of parameters to the values that they have in long runs"
    )
    bmv2: dict[str, Parameter] = Field(
        default={}, description="a mapping of parameters to the values that they have on BMv2"
    )
    steps: list[Any] = Field(min_length=1, description="a list of steps, each a mapping of one keyword")

    @field_validator("topology", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class Scenario:
    """A checked scenario: its topology with the scenario's own settings, and its steps in order.

    `label` tells it from the other scenarios of its file: `FILE`, `FILE-v6`, `FILE-v6-three-pop`. `extra`:
    another one of the file has this version of IP and another this topology, so that it is for long runs.
    `not_bmv2`: why it cannot be run on BMv2.
    """

    name: str
    description: str
    path: Path
    label: str
    extra: bool
    topology: Topology
    steps: tuple[Step, ...]
    offloads: bool = False
    not_bmv2: str | None = None

    def missing_programs(self) -> list[str]:
        """What its steps want and this machine lacks."""
        return programs.missing(command for step in self.steps for command in step.commands())


def load_scenario(path: Path) -> Scenario:
    """The first scenario of a file; see `load_scenarios`."""
    return load_scenarios(path)[0]


FEDERATED = "three-pop-federated"
_ALSO_FEDERATED = ("two-pop", "three-pop")


def load_scenarios(
    path: Path, *, soak: bool = False, federated: bool = False, bmv2: bool = False
) -> list[Scenario]:
    """Reads and checks a scenario file; ConfigError has one line `FILE: key.path: what` per mistake.

    Its scenarios: one for each topology and version of IP. With `soak` with the parameters of long runs; none
    when the file has no such. With `federated` with a controller for each PoP; none when the file says why
    that cannot be. With `bmv2` with the parameters for BMv2.
    """
    document = read_yaml(path)
    try:
        file = ScenarioFile.model_validate(document)
        if soak and not file.soak:
            return []
        for place, given in (("soak", file.soak), ("bmv2", file.bmv2)):
            if unknown := sorted(set(given) - set(file.parameters)):
                known = ", ".join(file.parameters) or "none"
                problem = Problem(f"{place}.{unknown[0]}", f"no such parameter; there are: {known}")
                raise ConfigError(path, [problem])
        parameters = {**file.parameters, **(file.soak if soak else {}), **(file.bmv2 if bmv2 else {})}
        file = ScenarioFile.model_validate(with_parameters(document, parameters))
        if federated:
            if file.not_federated is not None:
                return []
            if file.controllers is not None:
                text = "with controllers, give the reason why this cannot be run with one for each PoP"
                raise ConfigError(path, [Problem("not_federated", text)])
            if set(file.topology) & {*_ALSO_FEDERATED}:
                file = file.model_copy(update={"topology": [FEDERATED]})
    except ValidationError as error:
        raise ConfigError(path, describe(error, ScenarioFile)) from None
    scenarios = []
    for i, version in enumerate(file.versions):
        for j, topology in enumerate(file.topology):
            label = path.stem + ("-v6" if version == 6 and len(file.versions) > 1 else "")
            label += f"-{Path(topology).stem}" if j else ""
            # Each version and each topology once: the n-th of one with the n-th of the other.
            extra = min(i, len(file.topology) - 1) != j and min(j, len(file.versions) - 1) != i
            scenarios.append(_load(file, path, topology, version, label, extra, federated=federated))
    return scenarios


def _load(
    file: ScenarioFile, path: Path, name: str, version: int, label: str, extra: bool, *, federated: bool
) -> Scenario:
    topology = _topology(file, path, name, version, federated=federated)
    problems: list[Problem] = []
    steps = []
    items = over_ipv6(file.steps) if version == 6 else file.steps
    listed = [(f"steps[{index}]", item) for index, item in enumerate(items)]
    for where, item in _expanded(listed, problems):
        step, found = parse_step(item, where, topology)
        problems += found
        if step is not None:
            steps.append(step)
    if problems:
        raise ConfigError(path, list(dict.fromkeys(problems)))
    about = file.name, file.description, path, label, extra, topology
    return Scenario(*about, tuple(steps), file.offloads, file.not_bmv2)


def _expanded(items: list[tuple[str, Any]], problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """The items with their key paths, and in place of each abbreviation what it stands for."""
    for where, item in items:
        keyword = next(iter(item)) if isinstance(item, dict) and len(item) == 1 else None
        model = ABBREVIATIONS.get(str(keyword))
        if model is None:
            yield where, item
            continue
        try:
            short = model.model_validate(item[keyword])
        except ValidationError as error:
            problems += [_below(f"{where}.{keyword}", problem) for problem in describe(error, model)]
        else:
            yield from _expanded(short.steps(f"{where}.{keyword}"), problems)


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
        known = ", ".join(sorted([*STEPS, *ABBREVIATIONS]))
        return None, [Problem(f"{where}.{keyword}", f"no such step; there are {known}")]
    try:
        step = model.model_validate(model.from_yaml(value))
    except ValidationError as error:
        return None, [_below(f"{where}.{keyword}", problem) for problem in describe(error, model)]
    return step, [Problem(f"{where}.{keyword}.{key}", text) for key, text in step.problems(topology)]


def _below(where: str, problem: Problem) -> Problem:
    return Problem(where if problem.path in ("", "(top)") else f"{where}.{problem.path}", problem.text)


def _topology(file: ScenarioFile, path: Path, name: str, version: int, *, federated: bool) -> Topology:
    """The named topology with the scenario's timers, limits and services."""
    topology = load_topology(path.parent / name if name.endswith(".yaml") else name)
    added = file.services
    if version == 6:
        topology = ipv6_services(topology)
        added = [
            TopologyService.model_validate(over_ipv6(service.model_dump(mode="json", exclude_unset=True)))
            for service in file.services
        ]
    settings = topology.controller
    federation = settings.federation or (Federated() if federated else None)
    changed = settings.model_copy(
        update={
            "tls": file.tls or settings.tls,
            "timers": _override(settings.timers, file.timers, TimersConfig, "timers", path),
            "federation": _federation(federation, file.federation, path),
            "limits": _override(settings.limits, file.limits, LimitsConfig, "limits", path),
            "instances": settings.instances if file.controllers is None else file.controllers,
        }
    )
    own = {service.name for service in file.services}
    services = [service for service in topology.services if service.name not in own] + added
    if unknown := [service for service in file.services if service.host not in topology.hosts]:
        index = file.services.index(unknown[0])
        text = f"no host {unknown[0].host} in topology {topology.name}; it has {', '.join(topology.hosts)}"
        raise ConfigError(path, [Problem(f"services[{index}].host", text)])
    return topology.model_copy(update={"controller": changed, "services": services})


def _federation(base: Federated | None, changes: dict[str, Any], path: Path) -> Federated | None:
    """Without a federation there is nothing to change: the scenario runs with one controller, too."""
    return None if base is None else _override(base, changes, Federated, "federation", path)


Settings = TypeVar("Settings", bound=Model)


def _override(
    base: Settings, changes: dict[str, Any], model: type[Settings], key: str, path: Path
) -> Settings:
    try:
        return model.model_validate({**base.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(path, [_below(key, problem) for problem in describe(error, model)]) from None
