# SPDX-License-Identifier: Apache-2.0
"""The whole controller against two P4Runtime servers: synchronising, sharing, failing, taking over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from finsy.proto import p4r, p4r_grpc, rpc_code
from google.protobuf import text_format

from controller.api.server import ApiError, ApiServer
from controller.api.status import sessions
from controller.config import ApiConfig, ControllerConfig
from controller.dataplane import Mode, Phase, PuntHeader
from controller.hub import ControllerHub, SteppedDownError
from controller.logic.model import ServiceChanged
from controller.packets import RST, SYN, parse

from .fake_switch import FakeSwitch, make_p4info
from .world import CLIENT, CPORT, KEY, SERVER, SPORT, K, R, World, World6, X

HEADER = PuntHeader(1, 1, 0, X, 1460, 7, 1)
WORLD = World()  # for its frames


@pytest.fixture
async def switches(tmp_path: Path) -> AsyncIterator[list[FakeSwitch]]:
    fakes = [FakeSwitch(str(tmp_path / f"{name}.sock")) for name in "ab"]
    for fake in fakes:
        await fake.start()
    yield fakes
    for fake in fakes:
        await fake.stop()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., ControllerConfig]:
    (tmp_path / "p4info.txtpb").write_text(text_format.MessageToString(make_p4info()))
    (tmp_path / "program").write_bytes(b"program")

    def make(**parts: Any) -> ControllerConfig:
        port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
        route = {"prefix": "0.0.0.0/0", "port": 1, "via": "198.18.1.2"}
        return ControllerConfig.model_validate(
            {
                "program": {"p4info": tmp_path / "p4info.txtpb", "device_config": tmp_path / "program"},
                "switches": [
                    {
                        "name": name,
                        "address": f"unix:{tmp_path}/{name}.sock",
                        "ports": [port],
                        "routes": [route],
                        "neighbours": [{"address": "198.18.1.2", "mac": "02:00:00:00:00:02"}],
                    }
                    for name in "ab"
                ],
                "services": [{"name": "web", "address": "203.0.113.10", "port": SPORT, "syn_rate": 5000}],
                "timers": {"reconnect_min": 0.02, "reconnect_max": 0.05, "barrier": 1.0},
                **parts,
            }
        )

    return make


@asynccontextmanager
async def running(config: ControllerConfig) -> AsyncIterator[ControllerHub]:
    hub = ControllerHub(config)
    task = asyncio.ensure_future(hub.run())
    try:
        yield hub
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def ready(hub: ControllerHub) -> None:
    await until(lambda: all(link.in_service for link in hub.links.values()))


async def open_session(a: FakeSwitch, b: FakeSwitch) -> None:
    a.packets_out.clear()
    a.punt(HEADER, WORLD.client_frame())
    await until(lambda: a.packets_out)
    b.punt(PuntHeader(2, 2, 0, 0, 0, 0, 0), WORLD.server_frame())
    await until(lambda: len(a.packets_out) == 2)


async def test_both_switches_are_filled_and_in_service(switches: list[FakeSwitch], config: Any) -> None:
    async with running(config()) as hub:
        await ready(hub)
        for switch in switches:
            assert switch.pushes == 1
            assert switch.params("services_v4") == [(0, 1460, 7, 1, 1, 5840, 0, 0, 0)]
            assert switch.params("service_sources_v4") == [(0, 0, 0)]
            assert len(switch.table("protected_v4")) == len(switch.table("protected_sources_v4")) == 1
            assert switch.params("neighbours_v4") == [(0x020000000002,)]
            assert len(switch.table("routes_v4")) == 2  # the default route and the connected prefix
            assert switch.params("cookie_epoch") == [(1,)]
            assert [epoch for _, _, epoch in switch.params("cookie_keys")] == [0, 1]
            assert [m.meter_entry.config.pir for m in switch.meters.values()] == [5000]
        assert switches[0].params("cookie_keys") == switches[1].params("cookie_keys")


async def test_a_switch_without_sessions_answers_syns_and_lets_nothing_else_pass(
    switches: list[FakeSwitch], config: Any
) -> None:
    """Services in mode 3, then keys, then all that an answer needs to leave; sessions; the true modes."""
    a, b = switches
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "unknown": "reset"}
    async with running(config(services=[service])) as hub:
        await ready(hub)
        await open_session(a, b)
        await b.stop()
        b.lose_state()
        b.log.clear()
        await until(lambda: hub.links["b"].life.state == "down")
        await b.start()
        await ready(hub)
        names = {t.preamble.id: t.preamble.alias for t in b.info.tables}
        order: list[str] = []
        for kind, update in b.log:
            if kind == "write" and update.entity.HasField("table_entry"):
                row = update.entity.table_entry
                name = names[row.table_id]
                if name in ("services_v4", "service_sources_v4"):
                    mode = int.from_bytes(row.action.action.params[-2].value, "big")
                    name = f"{name} mode {mode}"
                if name not in order:
                    order.append(name)
        phases = [
            {"services_v4 mode 3", "service_sources_v4 mode 3", "protected_v4", "protected_sources_v4"},
            {"cookie_keys", "cookie_epoch"},
            {"ports", "routes_v4", "neighbours_v4", "local_addresses_v4"},
            {"sessions_v4"},
            {"services_v4 mode 0", "service_sources_v4 mode 0"},
        ]
        for phase in phases:
            assert set(order[: len(phase)]) == phase
            del order[: len(phase)]
        assert order == []
        assert [row[-3:] for row in b.params("services_v4")] == [(1, 0, 0)]


async def test_a_switch_that_was_left_half_filled_is_filled_on(
    switches: list[FakeSwitch], config: Any
) -> None:
    """The next controller finds routes and services in it, but it lets pass what it has to last of all."""
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        await b.stop()
        b.lose_state()
        b.read_filter = lambda entity: not entity.table_entry.idle_timeout_ns  # no session is read back
        await b.start()
        await until(lambda: "still differ" in hub.links["b"].life.reason)
        assert [row[-2] for row in b.params("services_v4")] == [3]
        assert b.table("routes_v4")
    async with running(config()) as hub:
        await until(lambda: "still differ" in hub.links["b"].life.reason)
        assert [row[-2] for row in b.params("services_v4")] == [3]
        b.read_filter = lambda _: True
        await ready(hub)
        assert [row[-2] for row in b.params("services_v4")] == [0]


async def test_what_is_learned_reaches_a_switch_that_lacks_sessions(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        [service] = hub.services()
        told: list[tuple[int, int]] = []

        def meanwhile(update: p4r.Update) -> int:
            if update.entity.table_entry.idle_timeout_ns and service.mss != 1200:
                service.mss = 1200
                hub._execute([ServiceChanged(service)])
            told.extend((row[1], row[-2]) for row in b.params("services_v4"))
            return rpc_code.OK

        await b.stop()
        b.lose_state()
        b.refuse = meanwhile
        await until(lambda: hub.links["b"].life.state == "down")
        await b.start()
        await ready(hub)
        told.extend((row[1], row[-2]) for row in b.params("services_v4"))
        assert list(dict.fromkeys(told)) == [(1460, 3), (1200, 3), (1200, 0)]


async def test_a_connection_is_shared_before_it_is_released(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        mode, port, frame = a.packets_out[0]
        assert (mode, port) == (Mode.ROUTE, 1)
        assert (parse(frame).flags, parse(frame).seq) == (SYN, X)
        b.write_gate.clear()
        b.punt(PuntHeader(2, 2, 0, 0, 0, 0, 0), WORLD.server_frame())
        await asyncio.sleep(0.2)
        assert not a.table("sessions_v4")  # b has not confirmed: a still punts what the client sends
        assert len(a.packets_out) == 1
        b.write_gate.set()
        await until(lambda: len(a.packets_out) == 2)
        mode, port, frame = a.packets_out[1]
        assert (mode, port, frame) == (Mode.ARRIVE, 1, WORLD.client_frame())
        for switch in switches:
            [params] = switch.params("sessions_v4")
            assert params[0] == (K - R) & 0xFFFFFFFF
            [entry] = switch.table("sessions_v4")
            assert entry.idle_timeout_ns == 300 * 10**9
            assert [int.from_bytes(m.exact.value, "big") for m in entry.match] == [
                CLIENT,
                SERVER,
                CPORT,
                SPORT,
            ]
        assert [link.sessions for link in hub.links.values()] == [1, 1]


async def test_a_barrier_that_fails_leaves_nothing(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        b.write_gate.clear()
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(PuntHeader(2, 2, 0, 0, 0, 0, 0), WORLD.server_frame())
        await until(lambda: len(a.packets_out) == 3)
        resets = [parse(frame) for _, _, frame in a.packets_out[1:]]
        assert {(s.destination, s.seq, s.flags) for s in resets} == {
            (CLIENT, K + 1, RST),
            (SERVER, (X + 1) & 0xFFFFFFFF, RST),
        }
        b.write_gate.set()
        await until(lambda: any(u.type == p4r.Update.DELETE for kind, u in b.log if kind == "write"))
        assert a.table("sessions_v4") == b.table("sessions_v4") == []


async def test_a_full_switch_refuses_the_new_session(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        sessions_id = hub._loaded.result().schema.sessions_ids[0]
        b.refuse = lambda update: (
            rpc_code.RESOURCE_EXHAUSTED
            if update.type == p4r.Update.INSERT and update.entity.table_entry.table_id == sessions_id
            else rpc_code.OK
        )
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(PuntHeader(2, 2, 0, 0, 0, 0, 0), WORLD.server_frame())
        await until(lambda: len(a.packets_out) == 3)
        await until(lambda: not a.table("sessions_v4"))
        assert hub.coordinator.results["table_full"] == 1
        assert all(link.in_service for link in hub.links.values())


async def test_a_dead_switch_comes_back_with_everything(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        await b.stop()
        await until(lambda: hub.links["b"].life.state == "down")
        assert hub.coordinator.live == ("a",)
        b.lose_state()
        await b.start()
        await ready(hub)
        assert b.pushes == 2
        assert b.params("sessions_v4") == a.params("sessions_v4")
        assert b.params("cookie_keys") == a.params("cookie_keys")
        assert len(b.table("routes_v4")) == 2


async def test_an_attack_switches_the_proxy_on_everywhere_and_for_who_comes_back(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "mode": "on-attack"}
    async with running(config(services=[{**service, "attack_syn_rate": 1000}])) as hub:
        await ready(hub)
        [web] = hub.coordinator.services.values()
        assert [switch.params("service_sources_v4") for switch in switches] == [[(0, 1, 1)]] * 2
        await until(lambda: 0 in hub.policies.syn_rates, 5)
        a.syns, b.syns = 50_000, 10_000
        await until(lambda: hub.policies.stance(web) == "proxying", 5)
        await until(lambda: [s.params("service_sources_v4") for s in switches] == [[(0, 0, 1)]] * 2)
        assert [switch.params("services_v4")[0][-2:] for switch in switches] == [(0, 1)] * 2
        await b.stop()
        await until(lambda: hub.links["b"].life.state == "down")
        b.lose_state()
        await b.start()
        await ready(hub)
        assert b.params("service_sources_v4") == [(0, 0, 1)]
    async with running(config(services=[{**service, "attack_syn_rate": 1000}])) as hub:  # another controller
        await ready(hub)
        assert a.params("service_sources_v4") == b.params("service_sources_v4") == [(0, 0, 1)]


async def test_a_bypassed_service_leaves_the_switches_with_its_last_session(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "mode": "bypass"}
    async with running(config(services=[service])) as hub:
        await ready(hub)
        assert len(hub.coordinator.sessions) == 1
        assert a.params("service_sources_v4") == b.params("service_sources_v4") == [(0, 1, 1)]
        a.elapsed_ns = b.elapsed_ns = 10**12
        for switch in switches:
            switch.idle(switch.table("sessions_v4")[0])
        await until(lambda: not a.table("services_v4") and not b.table("services_v4"), 5)
        assert not a.table("protected_v4")
        assert not a.table("sessions_v4")


async def test_what_a_switch_missed_is_repaired_without_a_new_program(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        await b.stop()
        await until(lambda: hub.links["b"].life.state == "down")
        [mine] = [key for key, e in b.entries.items() if e.table_entry in b.table("sessions_v4")]
        stale = p4r.Entity()
        stale.CopyFrom(b.entries.pop(mine))
        stale.table_entry.match[2].exact.value = b"\x07"
        b.entries[b"stale"] = stale
        b.log.clear()
        await b.start()
        with pytest.raises(AssertionError):
            await until(
                lambda: hub.links["b"].in_service, 0.5
            )  # the fake cannot delete what it does not know
        del b.entries[b"stale"]
        await ready(hub)
        assert b.pushes == 1
        assert b.params("sessions_v4") == a.params("sessions_v4")


async def test_a_switch_that_does_not_hold_what_was_written_stays_out_of_service(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        await b.stop()
        await until(lambda: hub.links["b"].life.state == "down")
        b.read_filter = lambda entity: not entity.table_entry.idle_timeout_ns
        await b.start()
        await until(lambda: "1 still differ" in hub.links["b"].life.reason)
        b.read_filter = lambda _: True
        await ready(hub)


async def test_a_new_controller_takes_over_without_disturbing(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        before = [dict(switch.entries) for switch in switches]
    for switch in switches:
        switch.log.clear()
    async with running(config()) as hub:
        await ready(hub)
        assert [switch.pushes for switch in switches] == [1, 1]
        assert [dict(switch.entries) for switch in switches] == before
        writes = [u for switch in switches for kind, u in switch.log if kind == "write"]
        set_anew = {u.entity.WhichOneof("entity") for u in writes}
        assert set_anew == {"digest_entry", "packet_replication_engine_entry"}
        [session] = hub.coordinator.sessions.values()
        assert session.entry.delta == (K - R) & 0xFFFFFFFF
        assert hub.keys.epoch == 1


async def test_sessions_that_only_one_switch_holds_are_shared_at_take_over(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
    for key, entity in list(b.entries.items()):
        if entity.table_entry in b.table("sessions_v4"):
            del b.entries[key]
    async with running(config()) as hub:
        await ready(hub)
        assert b.params("sessions_v4") == a.params("sessions_v4") != []


async def test_keys_rotate_on_both_switches_at_once(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    timers = {"epoch": 0.6, "reconnect_min": 0.02, "reconnect_max": 0.05}
    async with running(config(timers=timers)) as hub:
        await ready(hub)
        b.write_gate.clear()
        await until(lambda: [epoch for _, _, epoch in a.params("cookie_keys")] == [2, 1])
        assert a.params("cookie_epoch") == [(1,)]  # b does not have the next key yet
        b.write_gate.set()
        await until(lambda: a.params("cookie_epoch") == b.params("cookie_epoch") == [(0,)])
        await until(lambda: hub.keys.epoch and hub.keys.epoch >= 4)
        assert all(link.in_service for link in hub.links.values())


async def test_ends_and_idle_times_remove_the_session_everywhere(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        await open_session(a, b)
        version = a.params("sessions_v4")[0][5]
        old = [(CLIENT, SERVER, CPORT, SPORT, end, version - 1) for end in (1, 2, 3, 4)]
        a.digest(4, *old)  # of the tuple's last connection
        a.digest(5, (CLIENT, SERVER, CPORT, SPORT, 1, version))
        await until(lambda: a.acks == [4, 5])
        assert [s.params("sessions_v4")[0][4] for s in switches] == [Phase.OPEN, Phase.OPEN]
        b.digest(6, (CLIENT, SERVER, CPORT, SPORT, 2, version))
        await until(lambda: all(s.params("sessions_v4")[0][4] == Phase.CLOSING for s in switches))
        assert b.acks == [6]
        assert {e.idle_timeout_ns for s in switches for e in s.table("sessions_v4")} == {60 * 10**9}
        for switch in switches:
            switch.elapsed_ns = 61 * 10**9
            switch.idle(switch.table("sessions_v4")[0])
        await until(lambda: not a.table("sessions_v4") and not b.table("sessions_v4"))
        assert len(hub.coordinator.sessions) == 0


async def test_ipv6_sessions_live_and_die_as_ipv4_ones(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    world = World6()
    service = {"name": "web-v6", "address": "2001:db8:203::10", "port": SPORT}
    both = config(services=[{"name": "web", "address": "203.0.113.10", "port": SPORT}, service])
    client, server = world.client, world.server
    async with running(both) as hub:
        await ready(hub)
        await open_session(a, b)
        a.packets_out.clear()
        a.punt(HEADER._replace(service_id=1), world.client_frame())
        await until(lambda: a.packets_out)
        b.punt(PuntHeader(2, 2, 1, 0, 0, 0, 0), world.server_frame())
        await until(lambda: len(a.packets_out) == 2)
        for switch in switches:
            assert len(switch.table("sessions_v4")) == len(switch.table("sessions_v6")) == 1
        listed = sessions(hub, 10)["sessions"]
        assert [(s["client"], s["server"]) for s in listed] == [
            ("2001:db8:51::10", "2001:db8:203::10"),
            ("198.51.100.1", "203.0.113.10"),
        ]
    async with running(both) as hub:  # takes over
        await ready(hub)
        assert set(hub.coordinator.sessions.entries()) == {(client, server, CPORT, SPORT), KEY}
        a.digest(5, (client, server, CPORT, SPORT, 1, 0), v6=True)
        b.digest(6, (client, server, CPORT, SPORT, 2, 0), v6=True)
        await until(lambda: all(s.params("sessions_v6")[0][4] == Phase.CLOSING for s in switches))
        for switch in switches:
            switch.elapsed_ns = 61 * 10**9
            switch.idle(switch.table("sessions_v6")[0])
        await until(lambda: not a.table("sessions_v6") and not b.table("sessions_v6"))
        assert set(hub.coordinator.sessions.entries()) == {KEY}


async def test_what_the_server_lacks_is_told_to_the_switches(switches: list[FakeSwitch], config: Any) -> None:
    from controller.packets import Options

    a, b = switches
    async with running(config()) as hub:
        await ready(hub)
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(
            PuntHeader(2, 2, 0, 0, 0, 0, 0), WORLD.server_frame(tcp_options=Options(1400, 7, False, (1, 2)))
        )
        await until(
            lambda: all(s.params("services_v4") == [(0, 1400, 7, 0, 1, 5840, 0, 0, 0)] for s in switches)
        )


async def test_a_second_controller_waits_as_a_backup(switches: list[FakeSwitch], config: Any) -> None:
    async with running(config()) as first:
        await ready(first)
        async with running(config()) as second:
            await until(lambda: "another controller is primary" in second.links["a"].life.reason)
            assert second.links["a"].life.state == "down"
            assert all(link.in_service for link in first.links.values())


async def test_a_backup_takes_over_when_the_primary_goes(switches: list[FakeSwitch], config: Any) -> None:
    second = ControllerHub(config())
    async with running(config()) as first:
        await ready(first)
        task = asyncio.ensure_future(second.run())
        await until(lambda: "another controller is primary" in second.links["a"].life.reason)
    await ready(second)
    task.cancel()


async def test_a_controller_that_is_deposed_steps_down_everywhere(
    switches: list[FakeSwitch], config: Any
) -> None:
    hub = ControllerHub(config())
    task = asyncio.ensure_future(hub.run())
    await ready(hub)
    async with grpc.aio.insecure_channel(switches[0].address) as channel:
        stream: Any = vars(p4r_grpc.P4RuntimeStub(channel))["StreamChannel"]()
        bid = p4r.StreamMessageRequest()
        bid.arbitration.device_id, bid.arbitration.election_id.low = 1, hub.election_id + (1 << 32)
        await stream.write(bid)
        with pytest.raises(SteppedDownError, match="another controller is primary"):
            await asyncio.wait_for(task, 5)
    assert all(link.connection is None for link in hub.own.values())


async def test_a_primary_without_a_heartbeat_is_deposed(switches: list[FakeSwitch], config: Any) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for switch in switches:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(switch.address))
            stream: Any = vars(p4r_grpc.P4RuntimeStub(channel))["StreamChannel"]()
            bid = p4r.StreamMessageRequest()
            bid.arbitration.device_id, bid.arbitration.election_id.low = 1, 5 << 32
            await stream.write(bid)
            await stream.read()
        async with running(config(timers={"lease": 0.3})) as hub:
            await until(lambda: "election id 21474836480" in hub.links["a"].life.reason)
            await ready(hub)
            assert hub.election_id >> 32 == 6


async def test_a_wrong_device_id_is_told(switches: list[FakeSwitch], config: Any) -> None:
    switches[1].device_id = 7
    async with running(config()) as hub:
        await until(lambda: hub.links["b"].life.state == "down")
        assert (
            hub.links["b"].life.reason
            == "the switch refused the stream: device 1 is not here; is device_id right?"
        )
        await until(lambda: hub.links["a"].in_service)


async def test_a_switch_that_is_not_there_is_told(tmp_path: Path, config: Any) -> None:
    async with running(config()) as hub:
        await until(lambda: all(link.life.state == "down" for link in hub.links.values()))
        assert "No such file" in hub.links["a"].life.reason
        assert "\n" not in hub.links["a"].life.reason


# --- the API


@asynccontextmanager
async def client_of(
    hub: ControllerHub, path: Path
) -> AsyncIterator[Callable[[str], Awaitable[tuple[int, str]]]]:
    server = ApiServer(hub)
    await server.start(ApiConfig(listen=f"unix:{path}"))
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def get(url: str) -> tuple[int, str]:
            async with session.get(f"http://localhost{url}") as response:
                return response.status, await response.text()

        yield get
    await server.stop()


async def test_the_api_tells_everything_but_keys(
    switches: list[FakeSwitch], config: Any, tmp_path: Path
) -> None:
    a, b = switches
    path = tmp_path / "api.sock"
    async with running(config()) as hub, client_of(hub, path) as get:
        await ready(hub)
        await open_session(a, b)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        code, text = await get("/api/status")
        status = json.loads(text)
        assert code == 200
        assert status["ready"] is True
        assert status["sessions"] == {"open": 1, "closing": 0}
        assert status["switches"][0] == {
            "name": "a",
            "address": a.address,
            "device_id": 1,
            "state": "in-service",
            "reason": "",
            "sessions": 1,
        }
        assert status["services"][0]["sessions"] == 1
        assert status["drops"]["a"] == {"MALFORMED_IP": 10, "MALFORMED_TCP": 20, "FRAGMENT": 30}
        _, sessions = await get("/api/sessions?limit=5")
        [session] = json.loads(sessions)["sessions"]
        assert (session["client"], session["client_port"], session["phase"]) == (
            "198.51.100.1",
            CPORT,
            "OPEN",
        )
        timeline = session["timeline"]
        assert max(timeline["confirmed"].values()) <= timeline["released"]
        assert set(timeline["confirmed"]) == {"a", "b"}
        _, metrics = await get("/metrics")
        assert 'syncline_sessions{phase="open"} 1.0' in metrics
        assert "syncline_share_seconds_count 1.0" in metrics
        assert 'syncline_setup_seconds_bucket{le="+Inf"} 1.0' in metrics
        assert 'syncline_packet_outs_dropped_total{switch="a"} 0.0' in metrics
        assert 'syncline_switch_drops_total{reason="FRAGMENT",switch="b"} 30.0' in metrics
        for key in hub.keys.held().keys.values():
            for word in (key.k0, key.k1):
                for shown in (str(word), f"{word:x}", f"{float(word)}"):
                    assert shown not in text + sessions + metrics


async def test_unknown_paths_and_bad_limits(config: Any, tmp_path: Path) -> None:
    hub = ControllerHub(config())
    async with client_of(hub, tmp_path / "api.sock") as get:
        assert await get("/api/keys") == (404, '{"error": "no such path: /api/keys"}')
        code, text = await get("/api/sessions?limit=x")
        assert code == 400
        assert "limit: 'x'" in json.loads(text)["error"]


async def test_a_socket_in_use_and_one_left_behind(config: Any, tmp_path: Path) -> None:
    hub = ControllerHub(config())
    path = tmp_path / "api.sock"
    async with client_of(hub, path):
        with pytest.raises(ApiError, match=f"api.listen: unix:{path}: already in use"):
            await ApiServer(hub).start(ApiConfig(listen=f"unix:{path}"))
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with client_of(hub, path) as get:
        assert (await get("/api/status"))[0] == 200


async def test_a_port_in_use(config: Any) -> None:
    hub = ControllerHub(config())
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ApiError, match="already in use"):
        await ApiServer(hub).start(ApiConfig(listen=f"127.0.0.1:{port}"))
    server.close()
