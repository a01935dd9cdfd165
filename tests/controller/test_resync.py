# SPDX-License-Identifier: Apache-2.0
"""Sessions of a switch brought to what they must be, while they change."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import Phase
from controller.logic.model import Entry, Key, Session
from controller.p4.errors import ALREADY_EXISTS, NOT_FOUND, OK, Outcome, SwitchError
from controller.p4.resync import Resync
from controller.p4.schema import Schema
from controller.p4.writer import DELETE, INSERT, MODIFY, Job, Writer

from .fake_switch import make_p4info
from .world import SERVER, WALL

SCHEMA = Schema(make_p4info())


def key(number: int) -> Key:
    return 0x0A000000 + number, SERVER, 40000, 80


def entry(version: int) -> Entry:
    return Entry(version, 0, 0, 0, Phase.OPEN, version, 8, 9, 300 * 10**9)


class Table:
    """What the controller knows, and a switch of which every change of it is told."""

    def __init__(self, count: int) -> None:
        self.sessions = {key(n): Session(key(n), entry(1), "web", WALL) for n in range(count)}
        self.last: set[Key] = set()

    def session(self, wanted: Key) -> Session | None:
        return self.sessions.get(wanted)

    def session_keys(self) -> list[Key]:
        return list(self.sessions)

    def comes_last(self, switch: str, wanted: Key) -> bool:
        return wanted in self.last

    def entries(self) -> dict[Key, Entry]:
        return {wanted: session.entry for wanted, session in self.sessions.items()}


class SwitchTable:
    """A connection to a switch that holds sessions. `during`: called before each portion of a reading."""

    def __init__(self) -> None:
        self.held: dict[Key, Entry] = {}
        self.during: Callable[[], None] = lambda: None
        self.loses: Callable[[Key], bool] = lambda _: False
        self.writes: list[tuple[int, Key]] = []
        self.reads = 0

    async def write(self, updates: Sequence[bytes]) -> list[Outcome] | None:
        await asyncio.sleep(0)
        outcomes = []
        for update in p4r.WriteRequest.FromString(b"".join(updates)).updates:
            row = update.entity.table_entry
            wanted = SCHEMA.session_key(row)
            self.writes.append((update.type, wanted))
            there = wanted in self.held
            if update.type == INSERT and there:
                outcomes.append(Outcome(ALREADY_EXISTS))
                continue
            if update.type != INSERT and not there:
                outcomes.append(Outcome(NOT_FOUND))
                continue
            outcomes.append(Outcome(OK))
            if update.type == DELETE:
                del self.held[wanted]
            elif not self.loses(wanted):
                self.held[wanted] = SCHEMA.session(row)[1]
        return outcomes if any(outcome.code != OK for outcome in outcomes) else None

    async def read_batches(self, request: Sequence[p4r.Entity]) -> AsyncIterator[Sequence[p4r.Entity]]:
        assert {wanted.table_entry.table_id for wanted in request} == set(SCHEMA.sessions_ids)
        self.reads += 1
        snapshot = [p4r.Entity.FromString(SCHEMA.session_bytes(*item)) for item in self.held.items()]
        for start in range(0, len(snapshot), 300):
            await asyncio.sleep(0)
            self.during()
            yield snapshot[start : start + 300]


class Bench:
    def __init__(self, count: int) -> None:
        self.table = Table(count)
        self.switch = SwitchTable()
        connection: Any = self.switch
        self.inserted = 0
        self.writer = Writer(connection, self._done)
        self.resync = Resync("a", self.table, connection, self.writer, SCHEMA, lambda: self.inserted)

    def _done(self, job: Job, outcome: Outcome) -> None:
        self.inserted += (outcome.code == OK) * ((job.kind == INSERT) - (job.kind == DELETE))

    def change(self, wanted: Key, version: int | None) -> None:
        """A session changes, as the hub has it written."""
        new = wanted not in self.table.sessions
        if version is None:
            del self.table.sessions[wanted]
            self.writer.put(Job(DELETE, SCHEMA.session_bytes(wanted), wanted))
            return
        self.table.sessions[wanted] = Session(wanted, entry(version), "web", WALL)
        kind = INSERT if new else MODIFY
        self.writer.put(Job(kind, SCHEMA.session_bytes(wanted, entry(version)), wanted))


@asynccontextmanager
async def bench(count: int) -> AsyncIterator[Bench]:
    made = Bench(count)
    task = asyncio.ensure_future(made.writer.run())
    yield made
    task.cancel()


async def test_an_empty_switch_is_filled_and_read_once_more() -> None:
    async with bench(2000) as made:
        await made.resync.run()
        assert made.switch.held == made.table.entries()
        assert made.switch.reads == 2
        assert (len(made.switch.writes), made.resync.held) == (2000, 2000)


async def test_only_what_differs_is_written() -> None:
    async with bench(1000) as made:
        made.switch.held = {**made.table.entries(), key(3): entry(9), key(5000): entry(1)}
        del made.switch.held[key(7)]
        await made.resync.run()
        assert made.switch.held == made.table.entries()
        assert sorted(made.switch.writes) == sorted([(INSERT, key(7)), (MODIFY, key(3)), (DELETE, key(5000))])


async def test_a_switch_that_holds_everything_is_read_once() -> None:
    async with bench(1000) as made:
        made.switch.held = made.table.entries()
        await made.resync.run()
        assert (made.switch.reads, made.switch.writes) == (1, [])


async def test_what_changes_during_the_reading_is_neither_undone_nor_taken_for_a_fault() -> None:
    async with bench(1500) as made:
        made.switch.held = made.table.entries()
        changes: Iterator[Callable[[], None]] = iter(
            [
                lambda: made.change(key(0), None),  # read later in this round, as it was
                lambda: made.change(key(1400), 2),
                lambda: made.change(key(9000), 1),
                lambda: made.change(key(1401), None),
                lambda: made.change(key(1401), 3),
            ]
        )

        def change() -> None:
            for make in itertools.islice(changes, 2):
                make()

        made.switch.during = change
        await made.resync.run()
        since = made.inserted
        await made.writer.flush()
        assert made.switch.reads == 1
        assert made.resync.held + made.inserted - since == len(made.switch.held)
        assert made.switch.held == made.table.entries()


async def test_a_stream_of_changes_does_not_keep_it_from_its_end() -> None:
    async with bench(1000) as made:

        async def go_on() -> None:
            number = 10_000
            while True:
                made.change(key(number), 1)
                number += 1
                await asyncio.sleep(0)

        changes = asyncio.ensure_future(go_on())
        await asyncio.wait_for(made.resync.run(), 20)
        changes.cancel()
        await made.writer.flush()
        assert made.switch.held == made.table.entries()


async def test_a_session_that_must_come_last_is_not_written_early() -> None:
    async with bench(10) as made:
        made.table.last = {key(1), key(2)}
        made.switch.held[key(2)] = entry(7)  # set aside
        await made.resync.run()
        assert set(made.table.sessions) - set(made.switch.held) == {key(1)}
        assert made.switch.held[key(2)] == entry(7)


async def test_a_switch_that_keeps_losing_a_session_is_told_so() -> None:
    async with bench(600) as made:
        made.switch.loses = lambda wanted: wanted == key(5)
        with pytest.raises(SwitchError, match="it holds 599 sessions, and 1 still differ"):
            await made.resync.run()


async def test_others_get_their_turn_while_it_runs() -> None:
    async with bench(20_000) as made:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(others())
        await made.resync.run()
        task.cancel()
        assert made.switch.held == made.table.entries()
        assert turns > 2 * 20_000 / 300  # one for every 300 sessions that are written, and read


NUMBERS = st.integers(0, 2**32 - 1)
PORTS = st.integers(0, 2**16 - 1)


@given(
    st.one_of(
        st.tuples(NUMBERS, NUMBERS, PORTS, PORTS),
        st.tuples(st.integers(0, 2**128 - 1), st.integers(2**32, 2**128 - 1), PORTS, PORTS),
    ),
    st.builds(
        Entry, NUMBERS, NUMBERS, st.integers(0, 255), st.integers(0, 255), st.integers(0, 2), NUMBERS,
        NUMBERS, NUMBERS, st.integers(0, 2**63 - 1),
    ),
)  # fmt: skip
def test_a_sessions_bytes_are_those_of_protobuf(wanted: Key, held: Entry) -> None:
    for given_entry in (held, None):
        data = SCHEMA.session_bytes(wanted, given_entry)
        entity = p4r.Entity.FromString(data)
        assert entity.SerializeToString() == data
        assert SCHEMA.session_key(entity.table_entry) == wanted
    assert SCHEMA.session(p4r.Entity.FromString(SCHEMA.session_bytes(wanted, held)).table_entry) == (
        wanted,
        held,
    )


async def test_flush_waits_for_what_was_put_and_for_no_more() -> None:
    async with bench(0) as made:
        made.change(key(1), 1)
        flushing = asyncio.ensure_future(made.writer.flush())
        for number in range(2, 50):
            await asyncio.sleep(0)
            made.change(key(number), 1)
        await asyncio.wait_for(flushing, 5)
        assert key(1) in made.switch.held
