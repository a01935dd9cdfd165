# SPDX-License-Identifier: Apache-2.0
"""A member that was cut off: what it may not do meanwhile, what others do without it, and its way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.federation.messages import Applied, Record, decode, store_key
from controller.logic.model import Key
from controller.packets import SYN, parse
from tests.controller.rig import until
from tests.controller.world import KEY
from tests.federation.federation import LEASE, PROVEN, WORLD, Federation, Member

CLIENT, SERVER, _, SPORT = KEY
OTHER: Key = (CLIENT, SERVER, 50001, SPORT)


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    async with Federation(tmp_path) as made:
        await made.start("a", "b", "c")
        await made.ready()
        yield made


def sessions(hub: Member) -> dict[Key, int]:
    """The versions of all sessions that a member knows."""
    return {session.key: session.entry.version for session in hub.coordinator.sessions.values()}


def end(federation: Federation, name: str) -> None:
    """The session has ended: a RST was seen, then nothing more at the switches that this member counts."""
    hub = federation.hubs[name]
    hub.on_end(KEY, 3, federation.version(name))
    idle = dict.fromkeys(hub.coordinator.live, 1e9)
    hub.execute(hub.coordinator.idle_checked({KEY: idle}, 0.0, hub.wall()))


async def test_it_lets_nothing_through_and_its_switch_goes_on(federation: Federation) -> None:
    await federation.open_session()
    c = federation.switches["c"]
    held = c.params("sessions_v4")
    await federation.cut_off("c")
    c.punt(PROVEN, WORLD.client_frame(cport=50000))
    await until(lambda: federation.hubs["c"].coordinator.results["not_a_member"] == 1)
    assert c.packets_out == []
    assert c.params("sessions_v4") == held
    assert not federation.hubs["c"].links["a"].in_service


async def test_barriers_wait_for_it_until_its_lease_is_over_and_not_longer(federation: Federation) -> None:
    a, hub = federation.switches["a"], federation.hubs["a"]
    federation.broker.cut.add("c")
    await federation.begin()
    while "c" in hub.members.peers:
        assert len(a.packets_out) == 1  # SYN(x) alone
        await asyncio.sleep(0.01)
    assert not federation.hubs["c"].is_member  # it knew before
    await until(lambda: len(a.packets_out) == 2, LEASE)
    await federation.open_session(cport=50001)
    assert set(hub.coordinator.live) == {"a", "b"}
    assert [federation.held(name) for name in "abc"] == [2, 2, 0]


async def test_a_confirmation_that_comes_late_releases_nothing(federation: Federation) -> None:
    """c is in the middle of a handshake; what b says of it comes when c is no member any more."""
    b, c, hub = federation.switches["b"], federation.switches["c"], federation.hubs["c"]
    b.write_gate.clear()
    await federation.begin("c", "b")
    await until(lambda: federation.held("a") == 1)
    version = federation.version("c")
    await federation.cut_off("c")
    await until(lambda: len(hub.coordinator.flows) == 0)
    late = Applied(
        by="b", run=federation.hubs["b"].run_id, switch="b", key=KEY, version=version, removed=False
    )
    hub.receiver.on_message("to.applied", late.encoded(), None)
    b.write_gate.set()
    await asyncio.sleep(0.1)
    assert [parse(frame).flags for _, _, frame in c.packets_out] == [SYN]  # no RST to anybody either
    assert hub.coordinator.results["cut_off"] == 1
    await federation.rejoin("c")
    await until(lambda: [federation.held(name) for name in "abc"] == [0, 0, 0])
    await federation.open_session("c", "b")  # its client repeats what nobody has answered
    assert [federation.held(name) for name in "abc"] == [1, 1, 1]


async def test_a_confirmation_after_the_lease_is_over_releases_nothing_before_anybody_noticed(
    federation: Federation,
) -> None:
    b, c, hub = federation.switches["b"], federation.switches["c"], federation.hubs["c"]
    b.write_gate.clear()
    await federation.begin("c", "b")
    await until(lambda: federation.held("a") == 1)
    hub.members._renewed -= LEASE  # it is over; nobody has looked yet
    b.write_gate.set()
    await until(lambda: federation.held("b") == 1)
    await asyncio.sleep(0.02)
    assert len(c.packets_out) == 1
    assert federation.held("c") == 0


async def test_what_has_ended_meanwhile_does_not_come_back_and_what_has_begun_is_there(
    federation: Federation,
) -> None:
    hubs = federation.hubs
    await federation.open_session()
    await until(lambda: sessions(hubs["c"]) == sessions(hubs["a"]))
    await federation.cut_off("c")
    end(federation, "a")
    await until(lambda: federation.held("a") == federation.held("b") == 0)
    await federation.open_session(cport=50001)
    then = sessions(hubs["a"])
    assert set(then) == {OTHER}
    assert set(sessions(hubs["c"])) == {KEY}
    assert federation.held("c") == 1  # it goes on translating
    await federation.rejoin("c")
    await until(lambda: federation.held("c") == 1)
    await asyncio.sleep(2 * LEASE)  # whatever is to be said has been said
    assert all(sessions(hub) == then for hub in hubs.values())
    a, b, c = (federation.switches[name].params("sessions_v4") for name in "abc")
    assert a == b == c
    assert len(a) == 1
    gone = decode(Record, federation.broker.entries[store_key(KEY)])
    assert gone.entry is None
    assert decode(Record, federation.broker.entries[store_key(OTHER)]).version == then[OTHER]


async def test_versions_only_grow(federation: Federation) -> None:
    """A session changes on one side, and is taken for another's on the other: the later state counts."""
    hubs = federation.hubs
    await federation.open_session()
    opened = federation.version("a")
    await until(lambda: sessions(hubs["c"]) == sessions(hubs["a"]))
    await federation.cut_off("c")
    hubs["a"].on_end(KEY, 3, opened)
    closing = federation.version("a")
    assert closing > opened
    assert federation.version("c") == opened
    await until(lambda: federation.version("b") == closing)
    federation.broker.cut.discard("c")
    federation.broker.buses["c"].break_off()
    while federation.version("c") != closing or not hubs["c"].is_member:
        assert federation.version("a") == federation.version("b") == closing
        await asyncio.sleep(0.01)
    await federation.ready()
    assert all(sessions(hub) == {KEY: closing} for hub in hubs.values())
    for switch in federation.switches.values():
        assert [row[4:6] for row in switch.params("sessions_v4")] == [(1, closing)]


async def test_a_record_of_before_a_removal_does_not_bring_the_session_back(federation: Federation) -> None:
    """It comes late, and lies in the store then: the removal is stored again."""
    hubs, broker = federation.hubs, federation.broker
    await federation.open_session()
    await until(lambda: [federation.held(name) for name in "abc"] == [1, 1, 1])
    opened = federation.version("a")
    record = hubs["c"]._record(KEY, opened, hubs["c"].coordinator.sessions.get(KEY))
    end(federation, "a")
    await until(lambda: [federation.held(name) for name in "abc"] == [0, 0, 0])
    await until(
        lambda: int(hubs["a"].wall()) > opened + 1
    )  # a removal of one second's is not that of the next
    broker.entries[store_key(KEY)] = record.encoded()
    broker.deliver("c", store_key(KEY), record.encoded())
    await until(lambda: decode(Record, broker.entries[store_key(KEY)]).entry is None)
    assert [sessions(hub) for hub in hubs.values()] == [{}, {}, {}]
    assert [federation.held(name) for name in "abc"] == [0, 0, 0]


async def test_keys_rotate_without_it_after_an_epoch_and_it_follows(federation: Federation) -> None:
    """Who is away holds rotation back for an epoch, and takes over the keys of the others when it is back."""
    hubs, switches = federation.hubs, federation.switches
    await federation.cut_off("c")
    old = sorted(switches["c"].params("cookie_keys"))
    hubs["a"].keys.began -= 61
    await asyncio.sleep(0.2)
    assert hubs["a"].keys.epoch == 1
    hubs["a"].keys.began -= 60
    await until(lambda: all(switches[name].params("cookie_epoch") == [(0,)] for name in "ab"))
    assert sorted(switches["c"].params("cookie_keys")) == old
    await federation.open_session()
    await federation.rejoin("c")
    keys = [sorted(switch.params("cookie_keys")) for switch in switches.values()]
    assert keys[0] == keys[1] == keys[2] != old
    assert switches["c"].params("cookie_epoch") == [(0,)]
    await federation.open_session("c", "b", cport=50001)
