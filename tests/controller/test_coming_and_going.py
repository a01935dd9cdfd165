# SPDX-License-Identifier: Apache-2.0
"""The whole controller and a switch that comes, goes, comes back, or is not what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r, rpc_code

from controller.logic.model import ServiceChanged

from .fake_switch import FakeSwitch
from .rig import ready, running, serving, stop, until, with_session
from .world import SPORT


async def test_both_switches_are_filled_and_in_service(switches: list[FakeSwitch], config: Any) -> None:
    async with serving(config()):
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
    _, b = switches
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "unknown": "reset"}
    async with with_session(config(services=[service]), switches) as hub:
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
    _, b = switches
    async with with_session(config(), switches) as hub:
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
    _, b = switches
    async with with_session(config(), switches) as hub:
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


async def test_a_dead_switch_comes_back_with_everything(switches: list[FakeSwitch], config: Any) -> None:
    a, b = switches
    async with with_session(config(), switches) as hub:
        await stop(hub, b)
        assert hub.coordinator.live == ("a",)
        b.lose_state()
        await b.start()
        await ready(hub)
        assert b.pushes == 2
        assert b.params("sessions_v4") == a.params("sessions_v4")
        assert b.params("cookie_keys") == a.params("cookie_keys")
        assert len(b.table("routes_v4")) == 2


async def test_what_a_switch_missed_is_repaired_without_a_new_program(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with with_session(config(), switches) as hub:
        await stop(hub, b)
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
    _, b = switches
    async with with_session(config(), switches) as hub:
        await stop(hub, b)
        b.read_filter = lambda entity: not entity.table_entry.idle_timeout_ns
        await b.start()
        await until(lambda: "1 still differ" in hub.links["b"].life.reason)
        b.read_filter = lambda _: True
        await ready(hub)


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
