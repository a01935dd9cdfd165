# SPDX-License-Identifier: Apache-2.0
"""When a controller that stands by takes over, from what it sees of the switches."""

from __future__ import annotations

from controller.logic.leadership import PATIENCE, Watch

LEASE = 1.5
LEADER = 1 << 32


def watch(*switches: str) -> Watch:
    return Watch(switches or ("a", "b", "c"), LEASE, 0.0)


def test_switches_without_a_primary_are_led_at_once_but_all_are_tried_first() -> None:
    seen = watch()
    seen.free("a", 0)
    seen.free("b", 5)
    assert not seen.may_lead(0.0)
    seen.away("c")
    assert seen.may_lead(0.0)
    assert seen.reached() == {"a", "b"}
    assert seen.highest == 5


def test_a_switch_that_never_answers_is_not_waited_for_long() -> None:
    seen = watch()
    seen.free("a", 0)
    assert not seen.may_lead(PATIENCE / 2)
    assert seen.may_lead(PATIENCE)


def test_where_no_switch_is_reached_nobody_leads() -> None:
    seen = watch()
    for name in "abc":
        seen.away(name)
    assert not seen.may_lead(100.0)


def test_a_living_primary_is_left_alone() -> None:
    seen = watch()
    for now in range(100):
        for name in "abc":
            seen.held(name, LEADER, float(now))
            seen.beat(name, now, float(now))
        assert not seen.may_lead(now + 0.9)
        assert seen.primary(now + 0.9) == LEADER
    assert seen.highest == LEADER


def test_a_primary_whose_heart_stands_still_is_dead_after_the_lease() -> None:
    seen = watch()
    for name in "abc":
        seen.held(name, LEADER, 0.0)
        seen.beat(name, 7, 0.4)
        seen.beat(name, 7, 1.0)
    assert not seen.may_lead(0.4 + LEASE - 0.01)
    assert seen.may_lead(0.4 + LEASE)
    assert seen.primary(0.4 + LEASE) is None


def test_a_primary_that_loads_the_program_is_alive() -> None:
    seen = watch("a")
    seen.held("a", LEADER, 0.0)
    seen.beat("a", None, 5.0)
    assert not seen.may_lead(6.0)
    assert seen.may_lead(5.0 + LEASE)


def test_a_leader_that_is_cut_off_from_one_of_three_stays() -> None:
    seen = watch()
    seen.free("a", LEADER)
    for name in "bc":
        seen.held(name, LEADER, 0.0)
    assert not seen.may_lead(0.5)
    seen.free("b", LEADER)
    assert seen.may_lead(0.5)


def test_of_two_parts_each_goes_on_with_its_own() -> None:
    seen = watch("a", "b")
    seen.away("a")
    seen.free("b", LEADER)
    assert seen.may_lead(0.0)
    seen = watch("a", "b")  # both reached: the leader has one of the two
    seen.held("a", LEADER, 0.0)
    seen.free("b", LEADER)
    assert not seen.may_lead(0.5)


def test_a_switch_that_is_slow_to_answer_makes_no_dead_primary_live() -> None:
    seen = watch("a")
    seen.held("a", LEADER, 0.0)
    seen.beat("a", 7, 0.1)
    for now in (2.0, 4.0, 6.0):  # reading the beat took longer than the lease
        seen.away("a")
        seen.held("a", LEADER, now)
        assert not seen.may_lead(now + 0.3)
    seen.beat("a", 7, 6.4)
    assert seen.may_lead(6.4)


def test_a_primary_that_lived_while_nobody_could_look_lives() -> None:
    seen = watch("a")
    seen.held("a", LEADER, 0.0)
    seen.beat("a", 7, 0.1)
    seen.away("a")
    seen.held("a", LEADER, 9.0)
    seen.beat("a", 25, 9.1)
    assert not seen.may_lead(9.1 + LEASE - 0.01)
    assert seen.may_lead(9.1 + LEASE)


def test_another_primary_has_a_lease_of_its_own() -> None:
    seen = watch("a")
    seen.held("a", LEADER, 0.0)
    seen.beat("a", 9, 0.0)
    seen.held("a", LEADER + 1, 1.4)
    seen.beat("a", 9, 1.5)
    assert not seen.may_lead(2.9)
    seen.away("a")
    seen.held("a", LEADER + 1, 10.0)
    assert not seen.may_lead(11.0)
