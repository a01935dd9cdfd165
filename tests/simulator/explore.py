# SPDX-License-Identifier: Apache-2.0
"""Many schedules from seeds: the same seed gives the same schedule."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .invariants import Violation
from .world import Choose, Parts, World

STEPS = 80
"""Decisions of a schedule, before all comes to rest."""


@dataclass
class Found:
    """What a search has found: schedules that were run, what happened in them, and failures by seed."""

    schedules: int = 0
    results: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        self.schedules += other.schedules
        self.results += other.results
        self.failures |= other.failures


def chooser(seed: int) -> Choose:
    return random.Random(seed).randrange


def run(seed: int, parts: Parts = Parts()) -> World:  # noqa: B008  # immutable
    """One schedule. Raises Violation."""
    world = World(chooser(seed), parts=parts)
    world.run(STEPS)
    return world


def search(seeds: Iterable[int], parts: Parts = Parts()) -> Found:  # noqa: B008  # immutable
    """Run all of these schedules."""
    found = Found()
    for seed in seeds:
        found.schedules += 1
        try:
            world = run(seed, parts)
        except Violation as violation:
            found.failures[seed] = str(violation)
        except Exception:
            found.failures[seed] = traceback.format_exc(limit=-3)
        else:
            found.results += world.control.core.results
            found.results["connections"] += sum(map(len, world.clients.values()))
    return found


def first_violation(seeds: Iterable[int], parts: Parts) -> Violation | None:
    """The first invariant that is violated; any other exception passes."""
    for seed in seeds:
        try:
            run(seed, parts)
        except Violation as violation:
            return violation
    return None


def story(seed: int) -> list[str]:
    """A schedule step by step, to the violation."""
    lines: list[str] = []
    world = World(chooser(seed), log=lines.append)
    lines.insert(0, f"sync {world.sync}, trouble: {world.trouble}")
    try:
        world.run(STEPS)
    except Violation as violation:
        lines.append(str(violation))
    return lines
