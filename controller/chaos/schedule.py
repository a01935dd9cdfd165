# SPDX-License-Identifier: Apache-2.0
"""The faults of a run: which, where, when, for how long. Pure; the same seed gives the same schedule.

One switch at a time is troubled, and one controller. The way in and the way back move between the PoPs
meanwhile. So every connection always has a way again once the fault that it meets is over: all of them are to
outlive it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["kill", "pause", "cut", "slow", "enter", "return"]

SWITCH_KINDS: Final[tuple[Kind, ...]] = ("kill", "pause", "cut", "slow")
CONTROLLER_KINDS: Final[tuple[Kind, ...]] = ("kill", "pause")
SHIFTS: Final[tuple[Kind, ...]] = ("enter", "return")
LONGEST: Final[dict[Kind, float]] = {"kill": 4.0, "pause": 5.0, "cut": 10.0, "slow": 8.0}
"""Seconds that a fault of a kind may last; the least is a tenth of it, and half a second."""
CALM: Final = 4.0
"""Seconds at the end without new faults, in which all that was troubled recovers."""


Chooser = Callable[[], tuple[Kind, str]]


@dataclass(frozen=True, order=True)
class Fault:
    """`at` and `seconds` count from the start; `target` is a switch, or "controller" for the one that leads.
    Shifts stay: they have no end."""

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0

    @property
    def until(self) -> float:
        return self.at + self.seconds

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:7.1f}  {self.kind} {self.target}{lasting}"


def make_schedule(seed: int, seconds: float, switches: Sequence[str]) -> list[Fault]:
    """All faults of a run of so many seconds, in order of time; none lasts into its last `CALM` seconds."""
    source = random.Random(seed)
    end = seconds - CALM
    faults = [
        *_one_after_another(source, end, lambda: (source.choice(SWITCH_KINDS), source.choice(switches)), 3.0),
        *_one_after_another(source, end, lambda: (source.choice(CONTROLLER_KINDS), "controller"), 5.0),
        *_one_after_another(source, end, lambda: (source.choice(SHIFTS), source.choice(switches)), 4.0),
    ]
    return sorted(faults)


def _one_after_another(source: random.Random, end: float, choose: Chooser, pause: float) -> list[Fault]:
    """Faults that do not overlap, with pauses of up to twice `pause` seconds between them."""
    faults: list[Fault] = []
    now = source.uniform(0.5, pause)
    while True:
        kind, target = choose()
        longest = LONGEST.get(kind, 0.0)
        lasting = round(source.uniform(max(0.5, longest / 10), longest), 1) if longest else 0.0
        if now + lasting > end:
            return faults
        faults.append(Fault(round(now, 1), kind, target, lasting))
        now += lasting + source.uniform(1.0, 2 * pause)
