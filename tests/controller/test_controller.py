# SPDX-License-Identifier: Apache-2.0
"""The whole controller against two P4Runtime servers: synchronising, sharing, ending."""

from __future__ import annotations

import asyncio
from typing import Any

from finsy.proto import p4r, rpc_code

from controller.api.status import sessions
from controller.dataplane import Mode, Phase, PuntHeader
from controller.packets import RST, SYN, Options, parse

from .fake_switch import FakeSwitch
from .rig import ANSWER, HEADER, WORLD, open_session, restart_empty, serving, until, with_session
from .world import CLIENT, CPORT, KEY, SERVER, SPORT, K, R, World6, X


async def test_a_connection_is_shared_before_it_is_released(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    async with serving(config()) as hub:
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        mode, port, frame = a.packets_out[0]
        assert (mode, port) == (Mode.ROUTE, 1)
        assert (parse(frame).flags, parse(frame).seq) == (SYN, X)
        b.write_gate.clear()
        b.punt(ANSWER, WORLD.server_frame())
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
    async with serving(config()):
        b.write_gate.clear()
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(ANSWER, WORLD.server_frame())
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
    async with serving(config()) as hub:
        sessions_id = hub._loaded.result().schema.sessions_ids[0]
        b.refuse = lambda update: (
            rpc_code.RESOURCE_EXHAUSTED
            if update.type == p4r.Update.INSERT and update.entity.table_entry.table_id == sessions_id
            else rpc_code.OK
        )
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(ANSWER, WORLD.server_frame())
        await until(lambda: len(a.packets_out) == 3)
        await until(lambda: not a.table("sessions_v4"))
        assert hub.coordinator.results["table_full"] == 1
        assert all(link.in_service for link in hub.links.values())


async def test_an_attack_switches_the_proxy_on_everywhere_and_for_who_comes_back(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "mode": "on-attack"}
    async with serving(config(services=[{**service, "attack_syn_rate": 1000}])) as hub:
        [web] = hub.coordinator.services.values()
        assert [switch.params("service_sources_v4") for switch in switches] == [[(0, 1, 1)]] * 2
        await until(lambda: 0 in hub.policies.syn_rates, 5)
        a.syns, b.syns = 50_000, 10_000
        await until(lambda: hub.policies.stance(web) == "proxying", 5)
        await until(lambda: [s.params("service_sources_v4") for s in switches] == [[(0, 0, 1)]] * 2)
        assert [switch.params("services_v4")[0][-2:] for switch in switches] == [(0, 1)] * 2
        await restart_empty(hub, b)
        assert b.params("service_sources_v4") == [(0, 0, 1)]
    async with serving(config(services=[{**service, "attack_syn_rate": 1000}])) as hub:  # another controller
        assert a.params("service_sources_v4") == b.params("service_sources_v4") == [(0, 0, 1)]


async def test_a_bypassed_service_leaves_the_switches_with_its_last_session(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with serving(config()):
        await open_session(*switches)
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "mode": "bypass"}
    async with serving(config(services=[service])) as hub:
        assert len(hub.coordinator.sessions) == 1
        assert a.params("service_sources_v4") == b.params("service_sources_v4") == [(0, 1, 1)]
        a.elapsed_ns = b.elapsed_ns = 10**12
        for switch in switches:
            switch.idle(switch.table("sessions_v4")[0])
        await until(lambda: not a.table("services_v4") and not b.table("services_v4"), 5)
        assert not a.table("protected_v4")
        assert not a.table("sessions_v4")


async def test_keys_rotate_on_both_switches_at_once(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    timers = {"epoch": 0.6, "reconnect_min": 0.02, "reconnect_max": 0.05}
    async with serving(config(timers=timers)) as hub:
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
    async with with_session(config(), switches) as hub:
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
    async with serving(both) as hub:
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
    async with serving(both) as hub:  # takes over
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
    a, b = switches
    async with serving(config()):
        a.punt(HEADER, WORLD.client_frame())
        await until(lambda: a.packets_out)
        b.punt(ANSWER, WORLD.server_frame(tcp_options=Options(1400, 7, False, (1, 2))))
        await until(
            lambda: all(s.params("services_v4") == [(0, 1400, 7, 0, 1, 5840, 0, 0, 0)] for s in switches)
        )
