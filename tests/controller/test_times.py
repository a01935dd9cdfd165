# SPDX-License-Identifier: Apache-2.0
"""How long handshakes take: counted in ranges, per handshake in its timeline."""

from __future__ import annotations

import pytest

from controller.logic.times import BOUNDS, Times

from .world import SPORT, World


def test_ranges_and_shares() -> None:
    times = Times()
    assert times.within(0.5) is None
    for milliseconds in range(1, 101):
        times.add(milliseconds / 1e3)
    assert (len(times), round(times.total, 6)) == (100, 5.05)
    assert times.within(0.5) == 0.06  # 50 ms are in the range from 40 to 60 ms
    assert times.within(0.99) == 0.1
    assert times.within(0.01) == 0.001
    times.add(1000)
    assert times.within(1.0) == float("inf")
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_with_all_a_session_is_shared_when_it_is_released() -> None:
    world = World()
    world.proven()
    world.now += 0.010
    world.synack()
    world.now += 0.004
    world.confirm("b")
    world.now += 0.003
    world.confirm("a")
    [session] = world.core.sessions.values()
    assert session.timeline is not None
    assert session.timeline.shared == session.timeline.released == world.wall
    assert world.core.openings.share_times.total == pytest.approx(0.007, abs=1e-5)
    assert world.core.openings.setup_times.total == pytest.approx(0.017, abs=1e-5)


def test_with_local_it_is_shared_when_the_last_live_switch_has_it() -> None:
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "sync": "local"}
    world = World(live=("a", "b", "c"), services=[service])
    world.core.switch_joined("d", world.now)  # not live: nobody waits for it
    world.proven()
    world.synack()
    world.confirm("a")
    assert (len(world.core.openings.setup_times), len(world.core.openings.share_times)) == (1, 0)
    world.now += 0.020
    world.confirm("b")
    world.now += 0.020
    world.confirm("c")
    world.now += 0.020
    world.confirm("d")
    [session] = world.core.sessions.values()
    assert session.timeline is not None
    assert set(session.timeline.confirmed) == {"a", "b", "c", "d"}
    assert len(world.core.openings.share_times) == 1
    assert world.core.openings.share_times.total == pytest.approx(0.040, abs=1e-5)
