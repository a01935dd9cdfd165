# SPDX-License-Identifier: Apache-2.0
"""Three controllers, each with a switch of its own, and NATS in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from google.protobuf import text_format

from controller.config import ControllerConfig, FederationConfig
from controller.dataplane import Mode, PuntHeader
from controller.federation.bus import Bus, Handler
from controller.federation.hub import FederatedHub
from controller.federation.messages import Record, store_key
from controller.packets import ACK, RST, SYN, parse
from tests.controller.fake_switch import FakeSwitch, make_p4info
from tests.controller.world import KEY, SPORT, K, World, X
from tests.federation.broker import Broker

LEASE = 0.6
PROVEN = PuntHeader(1, 1, 0, X, 1460, 7, 1, 1)
SYNACK = PuntHeader(2, 2, 0, 0, 0, 0, 0)
EARLY = PuntHeader(2, 3, 0, 0, 0, 0, 0)
WORLD = World()  # for its frames
SECRET = Fernet.generate_key()


class Member(FederatedHub):
    """A hub whose NATS is in memory."""

    broker: Broker

    async def _open_bus(self, handler: Handler) -> Bus:
        return self.broker.open(self.me, handler)


@dataclass
class Federation:
    """Members by name, each with its switch."""

    folder: Path
    broker: Broker = field(default_factory=Broker)
    switches: dict[str, FakeSwitch] = field(default_factory=dict)
    hubs: dict[str, Member] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        for name in names:
            if name not in self.switches:
                self.switches[name] = FakeSwitch(str(self.folder / f"{name}.sock"))
                await self.switches[name].start()
            settings = FederationConfig(
                member=name, urls=["nats://nowhere:4222"], secret=self.folder / "secret", lease=LEASE
            )
            self.hubs[name] = Member(self._config(name), settings, SECRET)
            self.hubs[name].broker = self.broker
            self.tasks[name] = asyncio.ensure_future(self.hubs[name].run())

    def _config(self, name: str) -> ControllerConfig:
        port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
        files = {"p4info": self.folder / "p4info.txtpb", "device_config": self.folder / "program"}
        return ControllerConfig.model_validate(
            {
                "name": name,
                "program": files,
                "switches": [{"name": name, "address": f"unix:{self.folder}/{name}.sock", "ports": [port]}],
                "services": [{"name": "web", "address": "203.0.113.10", "port": SPORT}],
                "timers": {"reconnect_min": 0.02, "reconnect_max": 0.05, "barrier": 2.0, "epoch": 60},
            }
        )

    async def stop(self, name: str) -> None:
        """As if it were killed: it says nothing any more."""
        self.broker.cut.add(name)
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks.pop(name), return_exceptions=True)
        self.broker.cut.discard(name)
        self.broker.buses[name].break_off()
        del self.hubs[name]

    async def ready(self) -> None:
        await until(lambda: all(self._sees_all(hub) for hub in self.hubs.values()))

    def _sees_all(self, hub: Member) -> bool:
        return hub.is_member and all(
            (link := hub.links.get(name)) is not None and link.in_service for name in self.hubs
        )

    async def open_session(self, ingress: str = "a", egress: str = "b") -> None:
        a, b = self.switches[ingress], self.switches[egress]
        a.packets_out.clear()
        a.punt(PROVEN, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(SYNACK, WORLD.server_frame())
        await until(lambda: len(a.packets_out) == 2)

    def version(self, name: str = "a") -> int:
        session = self.hubs[name].coordinator.sessions.get(KEY)
        assert session is not None
        return session.entry.version

    def held(self, name: str) -> int:
        return len(self.switches[name].table("sessions_v4"))


async def until(condition: Callable[[], Any], seconds: float = 8.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    (tmp_path / "p4info.txtpb").write_text(text_format.MessageToString(make_p4info()))
    (tmp_path / "program").write_bytes(b"program")
    made = Federation(tmp_path)
    yield made
    for task in made.tasks.values():
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)
    for switch in made.switches.values():
        await switch.stop()


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


async def test_a_member_that_is_cut_off_releases_nothing_and_comes_back(federation: Federation) -> None:
    await federation.start("a", "b", "c")
    await federation.ready()
    await federation.open_session()
    first = federation.switches["c"].params("sessions_v4")
    federation.broker.cut.add("c")
    hubs, c = federation.hubs, federation.switches["c"]
    await until(lambda: not hubs["c"].is_member)
    c.punt(PROVEN, WORLD.client_frame(cport=50000))
    await until(lambda: hubs["c"].coordinator.results["not_a_member"] == 1)
    assert c.packets_out == []
    assert c.params("sessions_v4") == first  # it goes on translating
    await until(lambda: "c" not in hubs["a"].members.peers)
    # meanwhile the session ends, and another begins
    session = hubs["a"].coordinator.sessions.get(KEY)
    assert session is not None
    hubs["a"].on_end(KEY, 3, federation.version())
    hubs["a"]._execute(hubs["a"].coordinator.idle_checked({KEY: {"a": 1e9, "b": 1e9}}, 0.0, hubs["a"].wall()))
    await until(lambda: federation.held("b") == 0)
    federation.broker.cut.discard("c")
    federation.broker.buses["c"].break_off()
    await federation.ready()
    await until(lambda: federation.held("c") == 0)
    assert [len(hub.coordinator.sessions) for hub in hubs.values()] == [0, 0, 0]


async def test_what_changed_meanwhile_is_not_rolled_back(federation: Federation) -> None:
    await federation.start("a", "b")
    await federation.ready()
    await federation.open_session()
    federation.broker.cut.add("b")
    await until(lambda: not federation.hubs["b"].is_member and "b" not in federation.hubs["a"].members.peers)
    federation.hubs["a"].on_end(KEY, 3, federation.version())
    [closing] = federation.switches["a"].params("sessions_v4")
    await until(lambda: federation.switches["a"].params("sessions_v4")[0][4] == 1)
    [closing] = federation.switches["a"].params("sessions_v4")
    federation.broker.cut.discard("b")
    federation.broker.buses["b"].break_off()
    await federation.ready()
    assert federation.switches["a"].params("sessions_v4") == [closing]
    assert federation.switches["b"].params("sessions_v4") == [closing]


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


async def test_corrupt_records_and_other_protocols_are_told_once(federation: Federation, caplog: Any) -> None:
    await federation.start("a")
    await federation.ready()
    federation.broker.entries["s.1.2.3.4"] = b"garbage"
    other = Record(by="z", run="1", n=1, key=KEY, version=1).encoded().replace(b'"v":1', b'"v":9')
    for _ in range(3):
        for data in (b"garbage", other):
            federation.broker.deliver("z", "s.1.2.3.4", data)
    await federation.start("b")  # which reads the store
    await federation.ready()
    lines = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert sum("protocol version 9" in line for line in lines) == 1
    assert sum("not JSON" in line for line in lines) == 2  # a, of the messages; b, of the store
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
