# SPDX-License-Identifier: Apache-2.0
"""The schedule of faults, the verdict on a run, and a short run."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from controller.chaos.run import Plan, run, summary
from controller.chaos.schedule import CALM, LONGEST, Fault, make_schedule
from controller.chaos.traffic import Outcome
from controller.chaos.verdict import RECOVERY, judge


def test_a_seed_gives_one_schedule() -> None:
    assert make_schedule(3, 600, "abc") == make_schedule(3, 600, "abc")
    assert make_schedule(3, 600, "abc") != make_schedule(4, 600, "abc")


@pytest.mark.parametrize("seed", range(20))
def test_one_switch_and_one_controller_are_troubled_at_a_time(seed: int) -> None:
    schedule = make_schedule(seed, 600, "abc")
    assert schedule == sorted(schedule)
    shifts = [fault for fault in schedule if fault.kind in ("enter", "return")]
    controllers = [fault for fault in schedule if fault.target == "controller"]
    switches = [fault for fault in schedule if fault not in shifts and fault not in controllers]
    for faults in (controllers, switches):
        assert len(faults) > 30
        assert all(fault.until < later.at for fault, later in pairwise(faults))
        assert all(0.5 <= fault.seconds <= LONGEST[fault.kind] for fault in faults)
        assert faults[-1].until <= 600 - CALM
    assert {fault.kind for fault in switches} == {"kill", "pause", "cut", "slow"}
    assert {fault.kind for fault in controllers} == {"kill", "pause"}
    assert all(fault.seconds == 0 for fault in shifts)
    assert len(shifts) > 30


KILL = Fault(10.0, "kill", "b", 2.0)


def outcome(began: float, ended: float, *, established: bool, failure: str = "reset") -> Outcome:
    return Outcome("short 1", began, ended, established, int(established), 0.1, failure)


def test_what_was_established_is_never_excused() -> None:
    verdict = judge([outcome(9, 11, established=True)], [KILL])
    assert verdict.excused == []
    [line] = verdict.broken
    assert " ".join(line.split()) == (
        "9.0 to 11.0 short 1: reset after 1 turns; within: 10.0 kill b for 2.0 s"
    )


def test_a_handshake_may_fail_in_a_fault_and_at_no_other_time() -> None:
    late = 12 + RECOVERY
    verdict = judge(
        [
            outcome(9, 11, established=False),
            outcome(late - 1, late, established=False),
            outcome(late + 1, late + 2, established=False),
            outcome(8, 9, established=False),
            outcome(8, 9, established=True, failure=""),
        ],
        [KILL],
    )
    assert len(verdict.excused) == 2
    assert len(verdict.broken) == 2
    assert all(line.endswith("while it was set up; within: no fault") for line in verdict.broken)
    assert verdict.short == 5
    assert "lost against the promise: 2" in summary(verdict)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the run is in network namespaces")
def test_a_short_run_breaks_no_promise() -> None:
    lines: list[str] = []
    verdict = run(Plan(1, 11.0, transfers=3, short=2, name=f"chaos-{os.getpid()}"), lines.append)
    story = "\n".join([*lines, *summary(verdict)])
    assert verdict.broken == [], story
    assert verdict.transfers >= 3, story
    assert verdict.short >= 5, story
