# SPDX-License-Identifier: Apache-2.0
"""The state machines under schedules that nobody thought of (docs/invariants.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .explore import first_violation, run, search, story
from .invariants import Violation
from .mutants import MUTANTS, Mutant
from .world import World

SCHEDULES = 200


def test_invariants_hold_under_random_schedules() -> None:
    found = search(range(SCHEDULES))
    assert found.failures == {}
    # What is to be tested did happen.
    for name in ("released", "sessions_ended", "barrier_timeout", "synack_repeated", "late_copies"):
        assert found.results[name] > 0


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_invariants_hold_under_schedules_of_hypothesis(data: st.DataObject) -> None:
    """Finds fewer schedules a second than seeds do, but shows the shortest one that fails."""
    decisions = iter(data.draw(st.lists(st.integers(0, 2**16), max_size=400)))
    World(lambda n: next(decisions, 0) % n).run(60)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_wrong_state_machines_are_found_out(mutant: Mutant) -> None:
    violation = first_violation(mutant.seeds, mutant.parts)
    assert violation is not None
    assert violation.number in mutant.invariants


def test_a_seed_always_gives_the_same_schedule() -> None:
    assert story(7) == story(7)
    assert len(story(7)) > 50


def test_a_violation_is_no_accident_of_the_search() -> None:
    """The same seed that finds a mutant out passes without it."""
    mutant = MUTANTS["wrong delta"]
    with pytest.raises(Violation):
        run(0, mutant.parts)
    run(0)


def test_every_invariant_is_written_down() -> None:
    text = (Path(__file__).parents[2] / "docs" / "invariants.md").read_text(encoding="utf-8")
    for number in {number for mutant in MUTANTS.values() for number in mutant.invariants}:
        assert f"\n{number}. **" in text
