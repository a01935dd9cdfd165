# SPDX-License-Identifier: Apache-2.0
"""finsy as a client: its arbitration, its cookies, its reading of our errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import finsy as fy
import pytest
from finsy.proto import stratum

from softswitch.engine import EVENT_PACKET_IN, Event

from . import fakes
from .conftest import TEXT, Rig


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., fy.SwitchOptions]:
    (tmp_path / "p.txtpb").write_text(fakes.P4INFO)
    (tmp_path / "p.p4i").write_bytes(TEXT)

    def make(**changes: object) -> fy.SwitchOptions:
        return fy.SwitchOptions(
            p4info=tmp_path / "p.txtpb",
            p4blob=tmp_path / "p.p4i",
            **changes,  # type: ignore[arg-type]
        )

    return make


def session(client: str = "10.0.0.1") -> fy.P4TableEntry:
    return fy.P4TableEntry(
        "sessions",
        match=fy.Match(client=client, port=80),
        action=fy.Action("translate", delta=1, shift=2),
        idle_timeout_ns=5_000,
        metadata=b"v1",
    )


async def read_sessions(switch: fy.Switch) -> list[fy.P4TableEntry]:
    entries: Any = switch.read(fy.P4TableEntry("sessions"))  # finsy's overloads call it a coroutine
    return [entry async for entry in entries]


async def test_write_read_and_errors(rig: Rig, options: Callable[..., fy.SwitchOptions]) -> None:
    async with fy.Switch("s", rig.address, options()) as switch:
        assert switch.is_primary
        await switch.insert([session(), session("10.0.0.2")])
        with pytest.raises(fy.P4ClientError) as error:
            await switch.insert([session("10.0.0.3"), session()])
        assert {i: (e.canonical_code.name, e.message) for i, e in error.value.details.items()} == {
            1: ("ALREADY_EXISTS", "sessions: entry already exists")
        }
        await switch.delete([session("10.0.0.9")], strict=False)
        found = await read_sessions(switch)
        assert {entry["client"] for entry in found} == {0x0A000001, 0x0A000002, 0x0A000003}
        assert {entry.metadata for entry in found} == {b"v1"}
        await switch.delete_all()
        assert await read_sessions(switch) == []


async def test_a_thousand_errors(rig: Rig, options: Callable[..., fy.SwitchOptions]) -> None:
    async with fy.Switch("s", rig.address, options()) as switch:
        with pytest.raises(fy.P4ClientError) as error:
            await switch.delete([session(f"10.0.{i >> 8}.{i & 255}") for i in range(1000)])
        details = error.value.details
        assert len(details) == 1000
        assert (details[0].message, details[999].canonical_code.name) == (
            "sessions: no such entry",
            "NOT_FOUND",
        )


async def test_returning_client_finds_its_cookie_and_keeps_the_state(
    rig: Rig, options: Callable[..., fy.SwitchOptions]
) -> None:
    async with fy.Switch("s", rig.address, options()) as switch:
        await switch.insert([session()])
    async with fy.Switch("s", rig.address, options()) as switch:
        assert len(await read_sessions(switch)) == 1
    assert len(rig.engines) == 1


async def test_backup_takes_over_when_the_primary_goes(
    rig: Rig, options: Callable[..., fy.SwitchOptions]
) -> None:
    first = fy.Switch("first", rig.address, options(initial_election_id=10))
    await first.__aenter__()
    async with fy.Switch("second", rig.address, options(initial_election_id=10)) as second:
        assert (first.is_primary, second.is_primary) == (True, False)
        became = asyncio.Event()
        second.ee.add_listener(fy.SwitchEvent.BECOME_PRIMARY, lambda *_: became.set())
        await first.__aexit__(None, None, None)
        await asyncio.wait_for(became.wait(), 5)
        await second.insert([session()])


async def test_packets(rig: Rig, options: Callable[..., fy.SwitchOptions]) -> None:
    async with fy.Switch("s", rig.address, options()) as switch:
        rig.engines[0].events.put(Event(EVENT_PACKET_IN, b"\x01\x85frame"))
        packet = await asyncio.wait_for(anext(aiter(switch.read_packets())), 5)
        assert (packet.payload, packet["ingress_port"], packet["reason"]) == (b"frame", 3, 5)
        await switch.write([fy.P4PacketOut(b"out", mode=1, port=2)])
        for _ in range(100):
            if rig.engines[0].sent:
                break
            await asyncio.sleep(0.02)
        assert rig.engines[0].sent == [b"\x01\x00\x02out"]


async def test_role_with_a_config(rig: Rig, options: Callable[..., fy.SwitchOptions]) -> None:
    config = stratum.P4RoleConfig(receives_packet_ins=True, can_push_pipeline=True)
    async with fy.Switch("s", rig.address, options(role_name="r", role_config=config)) as switch:
        await switch.insert([session()])
        assert len(await read_sessions(switch)) == 1
