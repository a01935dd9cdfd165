# SPDX-License-Identifier: Apache-2.0
"""Controllers one after the other, and beside one another."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc

from controller.hub import ControllerHub, SteppedDownError

from .fake_switch import FakeSwitch
from .rig import open_session, ready, running, serving, until, with_session
from .world import K, R


async def test_a_new_controller_takes_over_without_disturbing(
    switches: list[FakeSwitch], config: Any
) -> None:
    async with with_session(config(), switches) as hub:
        before = [dict(switch.entries) for switch in switches]
    for switch in switches:
        switch.log.clear()
    async with serving(config()) as hub:
        assert [switch.pushes for switch in switches] == [1, 1]
        assert [dict(switch.entries) for switch in switches] == before
        writes = [u for switch in switches for kind, u in switch.log if kind == "write"]
        set_anew = {u.entity.WhichOneof("entity") for u in writes}
        assert set_anew == {"digest_entry"}
        [session] = hub.coordinator.sessions.values()
        assert session.entry.delta == (K - R) & 0xFFFFFFFF
        assert hub.keys.epoch == 1


async def test_sessions_that_only_one_switch_holds_are_shared_at_take_over(
    switches: list[FakeSwitch], config: Any
) -> None:
    a, b = switches
    async with serving(config()):
        await open_session(*switches)
    for key, entity in list(b.entries.items()):
        if entity.table_entry in b.table("sessions_v4"):
            del b.entries[key]
    async with serving(config()):
        assert b.params("sessions_v4") == a.params("sessions_v4") != []


async def test_a_second_controller_waits_as_a_backup(switches: list[FakeSwitch], config: Any) -> None:
    async with serving(config()) as first, running(config()) as second:
        await until(lambda: "another controller is primary" in second.links["a"].life.reason)
        assert second.links["a"].life.state == "down"
        assert all(link.in_service for link in first.links.values())


async def test_a_backup_takes_over_when_the_primary_goes(switches: list[FakeSwitch], config: Any) -> None:
    second = ControllerHub(config())
    async with serving(config()):
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
