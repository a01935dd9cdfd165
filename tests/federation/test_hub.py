# SPDX-License-Identifier: Apache-2.0
"""Three controllers, each with a switch of its own, and NATS in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from controller.dataplane import REUSED, Mode
from controller.federation.messages import PROTOCOL, Learned, Lease, Record, decode, store_key
from controller.learned import services_state
from controller.logic.sessions import SEGMENT_LIFETIME
from controller.packets import ACK, RST, SYN, Options, parse
from tests.controller.fake_switch import FakeSwitch
from tests.controller.rig import until
from tests.controller.world import KEY, SPORT, TC, TS, K, X
from tests.federation.federation import EARLY, PROVEN, SECRET, SYNACK, WORLD, Federation, Member


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    async with Federation(tmp_path) as made:
        yield made


async def test_members_find_each_other_and_share_keys(federation: Federation) -> None:
    await federation.start("a", "b", "c")
    await federation.ready()
    keys = [sorted(switch.params("cookie_keys")) for switch in federation.switches.values()]
    assert keys[0] == keys[1] == keys[2]
    assert len(keys[0]) == 2
    assert federation.broker.keys is not None
    stored = b"".join(federation.broker.entries.values()) + federation.broker.keys[0]
    assert all(str(word).encode() not in stored for row in keys[0] for word in row[:2])


async def test_a_synack_elsewhere_and_a_barrier_over_all_members(federation: Federation) -> None:
    await federation.start("a", "b", "c")
    await federation.ready()
    a, b, c = (federation.switches[name] for name in "abc")
    a.punt(PROVEN, WORLD.client_frame())
    await until(lambda: a.packets_out)
    mode, _, frame = a.packets_out[0]
    assert (mode, parse(frame).flags, parse(frame).seq) == (Mode.ROUTE, SYN, X)
    c.write_gate.clear()
    b.punt(SYNACK, WORLD.server_frame())
    await until(lambda: federation.held("b"))
    await asyncio.sleep(0.1)
    assert federation.held("a") == 0  # c has not confirmed
    assert len(a.packets_out) == 1
    c.write_gate.set()
    await until(lambda: len(a.packets_out) == 2)
    mode, _, frame = a.packets_out[1]
    assert (mode, parse(frame).flags, parse(frame).ack) == (Mode.ARRIVE, ACK, K + 1)
    assert [federation.held(name) for name in "abc"] == [1, 1, 1]
    assert a.params("sessions_v4") == b.params("sessions_v4") == c.params("sessions_v4")
    assert store_key(KEY) in federation.broker.entries


async def test_the_ingress_waits_for_the_store(federation: Federation) -> None:
    await federation.start("a")
    await federation.ready()
    a = federation.switches["a"]
    a.punt(PROVEN, WORLD.client_frame())
    await until(lambda: a.packets_out)
    federation.broker.cut.add("a")
    a.punt(SYNACK, WORLD.server_frame())
    await asyncio.sleep(0.2)
    assert federation.held("a") == 0
    assert len(a.packets_out) == 1


async def test_a_servers_refusal_at_another_member_reaches_the_client(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    a, b = federation.switches["a"], federation.switches["b"]
    a.punt(PROVEN, WORLD.client_frame())
    await until(lambda: a.packets_out)
    b.punt(EARLY, WORLD.server_frame(flags=RST | ACK, seq=0))
    await until(lambda: len(a.packets_out) == 2)
    assert parse(a.packets_out[1][2]).flags == RST | ACK
    assert federation.hubs["a"].coordinator.results["server_refused"] == 1


async def test_a_synack_that_is_nobodys_is_reset_where_it_came(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    b = federation.switches["b"]
    federation.hubs["b"].coordinator.began -= 1000  # no handshake of a controller before it is under way
    b.punt(SYNACK, WORLD.server_frame())
    await until(lambda: b.packets_out)
    assert parse(b.packets_out[0][2]).flags == RST
    assert federation.hubs["b"].coordinator.results["synack_unknown"] == 1


async def test_a_synack_that_nobody_has_denied_yet_is_not_reset(federation: Federation) -> None:
    """It is of a handshake of a's, which b has not heard of, and a is slow to answer."""
    federation.lease = 30.0  # a stays a member
    await federation.start("a", "b", "c")
    await federation.ready()
    a, b, hub = federation.switches["a"], federation.switches["b"], federation.hubs["b"]
    federation.broker.cut.add("a")
    a.punt(PROVEN, WORLD.client_frame())
    await until(lambda: a.packets_out)
    b.punt(SYNACK, WORLD.server_frame())
    await until(lambda: hub.coordinator.results["question_unanswered"] == 1)
    assert b.packets_out == []
    assert hub.coordinator.results["synack_unknown"] == 0
    federation.broker.cut.discard("a")
    b.punt(SYNACK, WORLD.server_frame())  # the server repeats it
    await until(lambda: len(a.packets_out) == 2)


async def test_a_handshake_is_one_although_its_client_moves(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    a, b = federation.switches["a"], federation.switches["b"]
    a.punt(PROVEN, WORLD.client_frame())
    await until(lambda: a.packets_out)
    b.punt(PROVEN, WORLD.client_frame(payload=b"data"))
    await asyncio.sleep(0.1)
    assert b.packets_out == []
    assert len(federation.hubs["b"].coordinator.flows) == 0
    b.punt(SYNACK, WORLD.server_frame())
    await until(lambda: len(a.packets_out) >= 3)
    assert parse(a.packets_out[-1][2]).payload_length == 4


async def test_two_that_begin_at_once_become_one(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    a, b = federation.switches["a"], federation.switches["b"]
    a.punt(PROVEN, WORLD.client_frame())
    b.punt(PROVEN, WORLD.client_frame(payload=b"data"))
    await until(lambda: a.packets_out or b.packets_out)
    await until(lambda: sum(len(hub.coordinator.flows) for hub in federation.hubs.values()) == 1)
    b.punt(SYNACK, WORLD.server_frame())
    await until(lambda: _payloads(a, b))
    await asyncio.sleep(0.1)
    assert _payloads(a, b).count(4) == 1  # the ACK before it may be left out: the data says the same
    assert federation.held("a") == federation.held("b") == 1


def _payloads(*switches: FakeSwitch) -> list[int]:
    """Bytes in each packet that was released."""
    sent = [out for switch in switches for out in switch.packets_out]
    return [parse(frame).payload_length for mode, _, frame in sent if mode == Mode.ARRIVE]


async def test_fins_at_two_members_close_a_session(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    await federation.open_session()
    for hub, event in (("a", 1), ("b", 2)):
        federation.hubs[hub].on_end(KEY, event, federation.version())
    await until(
        lambda: all(row[4] == 1 for s in federation.switches.values() for row in s.params("sessions_v4"))
    )
    assert all(hub.coordinator.sessions.closing == 1 for hub in federation.hubs.values())


async def test_the_member_that_opened_a_session_takes_its_mark_away(federation: Federation) -> None:
    """A tuple that is used again: a minute later no switch looks for late segments of its last connection."""
    await federation.start("a", "b")
    await federation.ready()
    await federation.open_session()
    sessions = [federation.hubs[name].coordinator.sessions for name in "ab"]
    for table in sessions:
        session = table.get(KEY)
        assert session is not None
        session.entry = session.entry._replace(to_server_shift=REUSED)
        table.watch(session, federation.hubs["a"].clock() - SEGMENT_LIFETIME)
    opened = federation.version()
    await until(lambda: federation.version("b") != opened)
    await asyncio.sleep(0.3)
    assert decode(Record, federation.broker.entries[store_key(KEY)]).by == "a"
    assert federation.version("a") == federation.version("b") == opened + 1
    assert not any(session.marked for table in sessions for session in table.values())
    held = [federation.switches[name].params("sessions_v4") for name in "ab"]
    assert held[0] == held[1]


async def test_what_one_learns_of_a_server_all_tell_their_clients(
    federation: Federation, caplog: Any
) -> None:
    await federation.start("a", "b", "c")
    await federation.ready()
    options = Options(1400, 9, True, (TS, TC))
    a, b = federation.switches["a"], federation.switches["b"]
    a.punt(PROVEN, WORLD.client_frame())
    await until(lambda: a.packets_out)
    b.punt(SYNACK, WORLD.server_frame(tcp_options=options))
    known = [hub.coordinator.services[KEY[1], SPORT] for hub in federation.hubs.values()]
    await until(lambda: [service.mss for service in known] == [1400] * 3)
    assert len({str(service.learned) for service in known}) == 1
    await until(
        lambda: all(s.params("services_v4") == a.params("services_v4") for s in federation.switches.values())
    )
    assert "left out" not in caplog.text
    state = services_state(known)
    state["services"][0]["told"]["mss"] = -1
    message = Learned(by="a", run=federation.hubs["a"].run_id, state=state)
    federation.hubs["b"].receiver.on_message("all.learned", message.encoded(), None)
    assert "left out: a: learned: services.0.told.mss: " in caplog.text
    assert known[1].mss == 1400


async def test_a_killed_members_sessions_are_another_ones(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    await federation.open_session()
    await federation.stop("a")
    b = federation.hubs["b"]
    await until(lambda: "a" not in b.members.peers)
    session = b.coordinator.sessions.get(KEY)
    assert session is not None
    assert b.members.owner(session) == "b"
    b.on_end(KEY, 3, federation.version("b"))
    await until(lambda: federation.switches["b"].params("sessions_v4")[0][4] == 1)
    await federation.start("a")
    await federation.ready()
    assert federation.switches["a"].params("sessions_v4") == federation.switches["b"].params("sessions_v4")


async def test_a_second_controller_of_a_pop_takes_its_members_place(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    await federation.open_session()
    other = Member(federation.config("a"), federation.member_settings("a"), SECRET)
    other.broker = federation.broker
    task = asyncio.ensure_future(other.run())
    await until(lambda: other.links["a"].life.reason)
    assert not other.leading
    assert other.bus is None
    run = federation.hubs["b"].members.peers["a"].run
    await federation.stop("a")
    federation.hubs["a"], federation.tasks["a"] = other, task
    await federation.ready()
    assert federation.hubs["b"].members.peers["a"].run != run
    assert [federation.held(name) for name in "ab"] == [1, 1]
    await federation.open_session(cport=50001)


async def test_nats_is_away_at_the_start(federation: Federation, caplog: Any) -> None:
    federation.broker.away = True
    await federation.start("a")
    await asyncio.sleep(0.5)
    assert not federation.hubs["a"].is_member
    lines = [r.getMessage() for r in caplog.records if "federation" in r.getMessage()]
    assert len(lines) == 1
    assert "no server answers" in lines[0]
    federation.broker.away = False
    await federation.ready()


async def test_nats_goes_away_and_comes_back(federation: Federation, caplog: Any) -> None:
    await federation.start("a", "b")
    await federation.ready()
    await federation.open_session()
    before = federation.switches["a"].params("sessions_v4")
    caplog.clear()
    federation.broker.away = True
    for bus in federation.broker.buses.values():
        bus.break_off()
    await until(lambda: all("no server answers" in h.membership.reason for h in federation.hubs.values()))
    await asyncio.sleep(0.5)
    told = [r.getMessage() for r in caplog.records if r.getMessage().startswith("federation: ")]
    for why in ("the connection is broken", "no server answers"):
        assert sum(why in text for text in told) == 2  # once at each member
    assert all("\n" not in text for text in told)
    assert federation.switches["a"].params("sessions_v4") == before
    federation.broker.away = False
    await federation.ready()
    assert federation.switches["a"].params("sessions_v4") == before
    await federation.open_session(cport=50001)


async def test_who_has_another_secret_takes_no_part_and_says_why(federation: Federation, caplog: Any) -> None:
    await federation.start("a")
    await federation.ready()
    await federation.start("b", secret=Fernet.generate_key())
    await until(lambda: federation.hubs["b"].membership.reason.startswith("the record of the cookie keys"))
    await asyncio.sleep(0.5)
    told = [r.getMessage() for r in caplog.records if "federation.secret" in r.getMessage()]
    assert len(told) == 1
    assert "give all members the same file" in told[0]
    assert not federation.hubs["b"].is_member
    assert federation.switches["b"].table("cookie_keys") == []
    await federation.open_session("a", "a")
    del federation.hubs["b"]


async def test_garbage_in_place_of_the_keys_changes_nothing(federation: Federation, caplog: Any) -> None:
    await federation.start("a", "b")
    await federation.ready()
    keys = federation.switches["a"].params("cookie_keys")
    for _ in range(3):
        federation.broker.deliver("z", "keys", b"garbage")
    await until(lambda: "federation.secret" in caplog.text)
    told = [r.getMessage() for r in caplog.records if "federation.secret" in r.getMessage()]
    assert len(told) == 2  # once at each member
    assert federation.switches["a"].params("cookie_keys") == keys
    await federation.open_session()


async def test_corrupt_records_and_other_protocols_are_told_once(federation: Federation, caplog: Any) -> None:
    await federation.start("a")
    await federation.ready()
    federation.broker.entries["s.1.2.3.4"] = b"garbage"
    record = Record(by="z", run="1", n=1, key=KEY, version=1)
    lease = Lease(by="z", run="1", state="member", stamp=1, switches={"z": "live"})
    other, member = (message.encoded().replace(b'"v":%d' % PROTOCOL, b'"v":9') for message in (record, lease))
    for _ in range(3):
        for topic, data in (("s.1.2.3.4", b"garbage"), ("s.1.2.3.4", other), ("m.z", member)):
            federation.broker.deliver("z", topic, data)
    await federation.start("b")  # which reads the store
    await federation.ready()
    lines = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert sum("protocol version 9" in line for line in lines) == 1
    assert sum("not JSON" in line for line in lines) == 2  # a, of the messages; b, of the store
    assert set(federation.hubs["a"].members.peers) == {"b"}  # no barrier waits for who speaks otherwise
    await federation.open_session()


async def test_rotation_is_led_by_one_and_reaches_all(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    hubs = federation.hubs
    assert hubs["a"].keys.epoch == 1
    for hub in hubs.values():
        hub.keys.began -= 61
    await until(lambda: all(hub.keys.epoch == 2 for hub in hubs.values()))
    await until(lambda: all(s.params("cookie_epoch") == [(0,)] for s in federation.switches.values()))
    a, b = (sorted(federation.switches[name].params("cookie_keys")) for name in "ab")
    assert a == b


@pytest.mark.parametrize(("barrier", "lines"), [(2.4, 1), (2.6, 0)])
async def test_a_barrier_should_outlive_a_dead_member(
    federation: Federation, caplog: Any, barrier: float, lines: int
) -> None:
    hub = Member(federation.config("a", barrier), federation.member_settings("a"), SECRET)
    task = asyncio.ensure_future(hub.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    texts = [record.getMessage() for record in caplog.records if "timers.barrier" in record.getMessage()]
    assert (
        texts
        == [
            "federation: a member that dies ends handshakes; give timers.barrier more than 2.5, for "
            "federation.lease"
        ]
        * lines
    )
