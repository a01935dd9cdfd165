# SPDX-License-Identifier: Apache-2.0
"""What is late never rolls back what came after it: in the session table, and on the way to a switch."""

from __future__ import annotations

import asyncio
from typing import Any

from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from controller.dataplane import Phase
from controller.logic.model import Entry, Session
from controller.logic.sessions import SessionTable, newer
from controller.p4.errors import Outcome
from controller.p4.writer import DELETE, INSERT, MODIFY, Job, Writer

from .world import KEY, make_config

WALL = 1_700_000_000.0
VERSIONS = st.lists(st.integers(0, 40), min_size=1, max_size=8)


def entry(version: int) -> Entry:
    """Told apart by its Δ, which is its version here."""
    return Entry(version, 0, 0, 0, Phase.OPEN, version, 8, 9, 300 * 10**9)


@given(VERSIONS, st.integers(0, 2**32 - 1))
def test_of_what_switches_hold_the_latest_counts_whatever_the_order(offsets: list[int], base: int) -> None:
    versions = [(base + offset) % 2**32 for offset in offsets]  # the counter wraps around
    table = SessionTable(make_config().timers)
    for version in versions:
        table.adopt([(KEY, entry(version))], lambda key, e: Session(key, e, "web", WALL), 0.0)
    latest = (base + max(offsets)) % 2**32
    assert table.entries() == {KEY: entry(latest)}


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=10))
def test_every_change_is_newer_whatever_the_clock_does(jumps: list[float]) -> None:
    table = SessionTable(make_config().timers)
    last, wall = 0, WALL
    for jump in jumps:
        wall += jump
        version = table.next_version(KEY, wall)
        assert newer(version, last)
        session = Session(KEY, entry(version), "web", wall)
        table.add(session)
        table.remove(session, wall - 10)
        last = version


class ReorderingConnection:
    """A switch that carries out the updates of a batch in the opposite order, and then answers."""

    def __init__(self) -> None:
        self.held: dict[int, int] = {}

    async def write(self, updates: list[bytes]) -> None:
        for update in reversed(p4r.WriteRequest.FromString(b"".join(updates)).updates):
            row = update.entity.table_entry
            if update.type == DELETE:
                self.held.pop(row.priority, None)
            else:
                self.held[row.priority] = row.time_since_last_hit.elapsed_ns
        await asyncio.sleep(0)


async def test_a_switch_may_reorder_a_batch_but_never_the_changes_of_a_session() -> None:
    connection = ReorderingConnection()
    end: Any = connection
    outcomes: list[Outcome] = []
    writer = Writer(end, lambda _, outcome: outcomes.append(outcome))
    task = asyncio.ensure_future(writer.run())
    for number in range(1, 6):
        for kind, value in ((INSERT, 1), (MODIFY, 2), (DELETE, 0), (INSERT, 3), (MODIFY, 4)):
            row = p4r.TableEntry(table_id=1, priority=number)
            row.time_since_last_hit.elapsed_ns = value
            writer.put(Job(kind, p4r.Entity(table_entry=row).SerializeToString(), number))
    await writer.flush()
    task.cancel()
    assert len(outcomes) == 25
    assert connection.held == dict.fromkeys(range(1, 6), 4)
