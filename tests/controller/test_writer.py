# SPDX-License-Identifier: Apache-2.0
"""Writes: batched while one is under way, in order per entry; and what goes over the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from finsy.proto import p4r

from controller.dataplane import Mode
from controller.logic.model import PacketOut
from controller.p4.errors import ALREADY_EXISTS, NOT_FOUND, OK, RESOURCE_EXHAUSTED, Outcome
from controller.p4.proto import encode_uint, field, update
from controller.p4.schema import Row, Schema, SchemaError
from controller.p4.writer import DELETE, INSERT, MODIFY, Job, Writer

from .fake_switch import make_p4info


class SlowConnection:
    """Answers a Write when told to, with the outcomes given."""

    def __init__(self) -> None:
        self.batches: list[list[p4r.Update]] = []
        self.answers: asyncio.Queue[list[Outcome] | None] = asyncio.Queue()

    async def write(self, updates: list[bytes]) -> list[Outcome] | None:
        request = p4r.WriteRequest.FromString(b"".join(updates))
        self.batches.append(list(request.updates))
        return await self.answers.get()


class Bench:
    def __init__(self, gap: float = 0.0) -> None:
        self.connection = SlowConnection()
        self.done: list[tuple[object, int]] = []
        connection: Any = self.connection
        self.writer = Writer(connection, self.on_done, gap)

    def on_done(self, job: Job, outcome: Outcome) -> None:
        self.done.append((job.token, outcome.code))

    def put(self, kind: int, key: str, token: object = None) -> None:
        entity = p4r.Entity(table_entry=p4r.TableEntry(table_id=1, controller_metadata=len(key)))
        self.writer.put(Job(kind, entity.SerializeToString(), key, token))

    async def answer(self, outcomes: list[Outcome] | None = None) -> None:
        self.connection.answers.put_nowait(outcomes)
        for _ in range(5):
            await asyncio.sleep(0)

    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.connection.batches]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.ensure_future(bench.writer.run())
    await asyncio.sleep(0)
    yield bench
    task.cancel()


async def test_what_comes_during_a_write_leaves_together(bench: Bench) -> None:
    bench.put(INSERT, "a", 1)
    await asyncio.sleep(0)
    for token in range(2, 6):
        bench.put(INSERT, "a" * token, token)
    await bench.answer()
    assert bench.sizes() == [1, 4]
    assert bench.done == [(1, OK)]
    await bench.answer()
    assert [token for token, _ in bench.done] == [1, 2, 3, 4, 5]


async def test_writes_keep_their_distance_and_a_lone_one_does_not_wait() -> None:
    bench = Bench(gap=0.05)
    task = asyncio.ensure_future(bench.writer.run())
    began = time.monotonic()
    bench.put(INSERT, "a")
    await asyncio.sleep(0.001)
    await bench.answer()
    assert bench.sizes() == [1]
    bench.put(INSERT, "b")
    await asyncio.sleep(0.001)
    bench.put(INSERT, "c")
    assert bench.sizes() == [1]
    while len(bench.sizes()) == 1:
        await asyncio.sleep(0.001)
    assert time.monotonic() - began > 0.049
    assert bench.sizes() == [1, 2]
    task.cancel()


async def test_a_batch_never_has_one_entry_twice(bench: Bench) -> None:
    for kind, key in ((INSERT, "a"), (INSERT, "b"), (MODIFY, "a"), (DELETE, "a")):
        bench.put(kind, key)
    await asyncio.sleep(0)
    for _ in range(3):
        await bench.answer()
    assert bench.sizes() == [2, 1, 1]
    assert [[u.type for u in batch] for batch in bench.connection.batches] == [[1, 1], [2], [3]]


async def test_the_state_asked_for_is_what_counts(bench: Bench) -> None:
    for kind, key in ((INSERT, "a"), (MODIFY, "b"), (DELETE, "c"), (INSERT, "d")):
        bench.put(kind, key, key)
    await asyncio.sleep(0)
    codes = (ALREADY_EXISTS, NOT_FOUND, NOT_FOUND, RESOURCE_EXHAUSTED)
    await bench.answer([Outcome(code) for code in codes])
    assert bench.done == [("c", OK), ("d", RESOURCE_EXHAUSTED)]
    assert [u.type for u in bench.connection.batches[1]] == [MODIFY, INSERT]
    await bench.answer([Outcome(NOT_FOUND), Outcome(OK)])
    assert bench.done[2:] == [("a", NOT_FOUND), ("b", OK)]  # tried once, not for ever


async def test_flush_waits_for_everything(bench: Bench) -> None:
    bench.put(INSERT, "a")
    flush = asyncio.ensure_future(bench.writer.flush())
    await asyncio.sleep(0)
    assert not flush.done()
    await bench.answer()
    await asyncio.wait_for(flush, 1)


def test_an_outcome_names_its_code() -> None:
    assert str(Outcome(RESOURCE_EXHAUSTED, "table is full")) == "RESOURCE_EXHAUSTED table is full"
    assert str(Outcome(99)) == "99"


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 20_000])
def test_the_bytes_built_by_hand_are_protobufs(length: int) -> None:
    schema = Schema(make_p4info())
    frame = bytes(length)
    packet = PacketOut("a", Mode.ROUTE, 300, frame, release=0x405)
    message = p4r.StreamMessageRequest.FromString(schema.packet_out(packet))
    assert message.packet.payload == frame
    values = [(m.metadata_id, m.value) for m in message.packet.metadata]
    assert values == [(1, b"\x02"), (2, b"\x01\x2c"), (3, b"\x04\x05")]
    entity = p4r.Entity(table_entry=p4r.TableEntry(metadata=frame))
    request = p4r.WriteRequest.FromString(update(INSERT, entity.SerializeToString()) * 2)
    assert [(u.type, u.entity) for u in request.updates] == [(INSERT, entity)] * 2
    assert field(1, b"") == b"\x0a\x00"


@pytest.mark.parametrize(("value", "expected"), [(0, b"\0"), (255, b"\xff"), (256, b"\x01\x00")])
def test_values_are_as_short_as_can_be(value: int, expected: bytes) -> None:
    assert encode_uint(value) == expected


@pytest.mark.parametrize(
    "row",
    [
        Row("routes_v4", ((0xCB007100, 24),), "via", (2, 0xC6120102)),
        Row("routes_v4", ((0, 0),), "direct", (1,)),
        Row("cookie_epoch", (), "set_epoch", (1,)),
        Row("services_v4", (0xCB00710A, 80), "protect", (0, 1460, 15, 0, 1, 0, 1, 0, 0)),
        Row("routes_v6", ((0x20010DB8 << 96, 32),), "via_v6", (2, 0x20010DB8 << 96 | 1)),
        Row("ports", (300,), "set_source_mac", (0x020000000001,)),
    ],
)
def test_rows_survive_the_way_to_a_switch_and_back(row: Row) -> None:
    schema = Schema(make_p4info())
    assert schema.row(schema.row_entity(row).table_entry) == row


def test_a_program_with_other_parameters_is_refused() -> None:
    info = make_p4info()
    [action] = [a for a in info.actions if a.preamble.alias == "translate"]
    action.params[0].name = "epsilon"
    with pytest.raises(
        SchemaError, match="action translate of table sessions_v4 has parameters epsilon, tau"
    ):
        Schema(info)
