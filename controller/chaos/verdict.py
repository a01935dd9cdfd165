# SPDX-License-Identifier: Apache-2.0
"""What of a run was promised and not kept, and what a fault may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.chaos.schedule import Fault
from controller.chaos.traffic import Outcome

RECOVERY: Final = 8.0
"""Seconds after a fault in which a handshake may still fail of it: the ends' repetitions, each after twice
the time of the one before, and the synchronisation of a switch."""


@dataclass
class Verdict:
    """`broken`: lost though the promise covers them; `excused`: lost while they were set up, in a fault."""

    transfers: int = 0
    short: int = 0
    turns: int = 0
    set_ups: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)


def judge(outcomes: Iterable[Outcome], faults: Sequence[Fault]) -> Verdict:
    """Counts what went well, and names the cause of what did not."""
    verdict = Verdict()
    for outcome in outcomes:
        verdict.transfers += outcome.name.startswith("transfer")
        verdict.short += outcome.name.startswith("short")
        verdict.turns += outcome.turns
        if outcome.established:
            verdict.set_ups.append(outcome.set_up)
        if not outcome.failure:
            continue
        causes = [fault for fault in faults if _concerns(fault, outcome)]
        line = f"{outcome.began:7.1f} to {outcome.ended:5.1f}  {outcome.name}: {outcome.failure}"
        line += f" after {outcome.turns} turns; " if outcome.established else " while it was set up; "
        line += "within: " + (", ".join(" ".join(str(cause).split()) for cause in causes) or "no fault")
        (verdict.broken if outcome.established or not causes else verdict.excused).append(line)
    return verdict


def _concerns(fault: Fault, outcome: Outcome) -> bool:
    return fault.at <= outcome.ended and outcome.began <= fault.until + RECOVERY
