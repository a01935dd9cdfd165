# SPDX-License-Identifier: Apache-2.0
"""Runs a scenario: lab up, the steps in order, lab down; stops at the first expectation that is not met."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.bench.flood import FloodError
from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.lab.targets import Target
from controller.scenario.model import Scenario
from controller.scenario.nexthop import UnreachableError
from controller.scenario.steps import Step
from controller.scenario.steps.observations import read_counters
from controller.scenario.wire import MalformedError
from controller.scenario.world import LabLike, UnmetError, World


@dataclass(frozen=True)
class StepOutcome:
    """How one step went: its figures, or what was not as expected; `seconds` it took."""

    number: int
    keyword: str
    ok: bool
    text: str
    seconds: float

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.number:2} {self.keyword:16} {self.text}".rstrip()


Report = Callable[[StepOutcome], None]


def run_scenario(
    scenario: Scenario,
    target: Target = "softswitch",
    report: Report = lambda _: None,
    *,
    name: str | None = None,
) -> list[StepOutcome]:
    """Brings the scenario's lab up, runs it and takes the lab down again whatever happens; the outcomes of
    its steps.

    `name`: of the lab (default: the topology's). The last outcome is the failed one if any failed. Errors
    of the lab itself (no root, …) are raised.
    """
    offloads = scenario.offloads and target != "bmv2"
    lab = Lab.up(scenario.topology, name=name, target=target, offloads=offloads, in_order=True)
    try:
        return run_steps(scenario.steps, lab, report)
    finally:
        lab.down()


def run_steps(steps: tuple[Step, ...], lab: LabLike, report: Report = lambda _: None) -> list[StepOutcome]:
    """Runs the steps on a lab that is up, to the end or to the first failure."""
    world = World(lab)
    outcomes: list[StepOutcome] = []
    try:
        world.counters = read_counters(world)
        for number, step in enumerate(steps, 1):
            outcome = _run_step(number, step, world)
            report(outcome)
            outcomes.append(outcome)
            if not outcome.ok:
                break
    finally:
        world.close()
    return outcomes


def _run_step(number: int, step: Step, world: World) -> StepOutcome:
    start = time.monotonic()
    try:
        text, ok = step.run(world), True
    except UnmetError as error:
        text, ok = str(error), False
    except (OSError, LabError, FloodError, MalformedError, UnreachableError) as error:
        text, ok = f"{type(error).__name__}: {error}", False
    return StepOutcome(number, step.keyword, ok, text, time.monotonic() - start)
