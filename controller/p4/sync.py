# SPDX-License-Identifier: Apache-2.0
"""Bringing a switch to what it must hold, and proving it: read, write the difference, read again, compare.
Its sessions are `resync.py`'s.

Nothing is deleted that should be there, and a program that runs already is not loaded again: so traffic
goes on while a new controller takes over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.dataplane import BEAT
from controller.logic.keys import KeySet
from controller.p4.connection import Connection
from controller.p4.errors import ALREADY_EXISTS, OK, SwitchError
from controller.p4.program import Program
from controller.p4.proto import p4r, update
from controller.p4.schema import Row, Schema
from controller.p4.static import (
    FORWARDING_TABLES,
    PROXY_TABLES,
    changes,
    digest_job,
    epoch_row,
    key_row,
    key_set,
    meter_entity,
)
from controller.p4.writer import DELETE, INSERT, MODIFY

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a switch holds besides sessions, as read back."""

    rows: list[Row]
    keys: KeySet

    def of(self, tables: Sequence[str]) -> list[Row]:
        return [row for row in self.rows if row.table in tables]


async def ensure_program(connection: Connection, program: Program) -> bool:
    """Load the program unless the switch runs it already (same cookie); True when it was loaded."""
    if await connection.get_cookie() == program.cookie:
        return False
    await connection.set_pipeline(program.info, program.device_config, program.cookie)
    return True


async def read_held(connection: Connection, schema: Schema) -> Held:
    rows = await _read_rows(connection, schema, (*PROXY_TABLES, *FORWARDING_TABLES))
    keys = await _read_rows(connection, schema, ("cookie_keys",))
    epoch = p4r.Entity()
    epoch.table_entry.table_id = schema.tables["cookie_epoch"].table_id
    epoch.table_entry.is_default_action = True
    async for entity in connection.read([epoch]):
        row = schema.row(entity.table_entry)
        if row is not None:
            keys.append(row)
    return Held(rows, key_set(keys))


async def _read_rows(connection: Connection, schema: Schema, tables: Sequence[str]) -> list[Row]:
    request: list[p4r.Entity] = []
    for name in tables:
        entity = p4r.Entity()
        entity.table_entry.table_id = schema.tables[name].table_id
        request.append(entity)
    rows: list[Row] = []
    async for entity in connection.read(request):
        if entity.HasField("table_entry") and not entity.table_entry.is_default_action:
            row = schema.row(entity.table_entry)
            if row is not None:
                rows.append(row)
    return rows


async def read_counters(connection: Connection, counter_ids: Sequence[int]) -> dict[int, dict[int, int]]:
    """Packets by index of each of these indirect counters."""
    request: list[p4r.Entity] = []
    for counter_id in counter_ids:
        entity = p4r.Entity()
        entity.counter_entry.counter_id = counter_id
        request.append(entity)
    found: dict[int, dict[int, int]] = {counter_id: {} for counter_id in counter_ids}
    async for entity in connection.read(request):
        cell = entity.counter_entry
        found[cell.counter_id][cell.index.index] = cell.data.packet_count
    return found


def _beat_entity(schema: Schema, count: int | None = None) -> p4r.Entity:
    entity = p4r.Entity()
    cell = entity.counter_entry
    cell.counter_id, cell.index.index = schema.events, BEAT
    if count is not None:
        cell.data.packet_count = count
    return entity


async def write_beat(connection: Connection, schema: Schema, count: int) -> None:
    """Show those who stand by that this controller is alive."""
    await connection.write_all([update(MODIFY, _beat_entity(schema, count).SerializeToString())])


async def read_beat(connection: Connection, schema: Schema) -> int:
    """The primary's heartbeat, as it last wrote it."""
    async for entity in connection.read([_beat_entity(schema)]):
        return int(entity.counter_entry.data.packet_count)
    raise SwitchError("it has no counter for heartbeats")


async def settle_rows(
    connection: Connection, schema: Schema, tables: Sequence[str], wanted: Sequence[Row]
) -> None:
    """Make these tables hold exactly `wanted`, verified.

    Raises:
        SwitchError: the switch refuses an entry, or holds something else afterwards.
    """
    for _ in range(_ROUNDS):
        jobs = changes(schema, await _read_rows(connection, schema, tables), wanted)
        if not jobs:
            return
        # Deletions first and alone: a batch may be carried out in any order.
        for group in ([j for j in jobs if j.kind == DELETE], [j for j in jobs if j.kind != DELETE]):
            await connection.write_all([update(job.kind, job.entity) for job in group])
    raise SwitchError(f"tables {', '.join(tables)} do not hold what was written")


async def settle_keys(connection: Connection, schema: Schema, wanted: KeySet, held: KeySet) -> None:
    """Install keys, then the epoch."""
    for parity, key in wanted.keys.items():
        if held.keys.get(parity) != key:
            kind = MODIFY if parity in held.keys else INSERT
            await connection.write_all([update(kind, _bytes(schema, key_row(key)))])
    if wanted.parity is not None and held.parity != wanted.parity:
        await connection.write_all([update(MODIFY, _bytes(schema, epoch_row(wanted.parity)))])


def _bytes(schema: Schema, row: Row) -> bytes:
    return schema.row_entity(row).SerializeToString()


async def enable_digests(connection: Connection, schema: Schema) -> None:
    for digest_id in schema.digests:
        job = digest_job(digest_id)
        outcomes = await connection.write([update(INSERT, job.entity)])
        if outcomes is None:
            continue
        if outcomes[0].code == ALREADY_EXISTS:
            await connection.write_all([update(MODIFY, job.entity)])
        elif outcomes[0].code != OK:
            raise SwitchError(f"it refused the digest: {outcomes[0]}")


async def settle_meters(
    connection: Connection, cells: Mapping[tuple[int, int], int | None], *, fresh: bool
) -> None:
    """Configure meters; on a `fresh` program the unmetered ones need nothing."""
    wanted = {
        cell: meter_entity(*cell, rate) for cell, rate in cells.items() if rate is not None or not fresh
    }
    if not fresh and wanted:
        async for entity in connection.read([meter_entity(*cell) for cell in wanted]):
            cell = (entity.meter_entry.meter_id, entity.meter_entry.index.index)
            target = wanted.get(cell)
            if target is not None and _same_rate(entity.meter_entry, target.meter_entry):
                del wanted[cell]
    await connection.write_all([update(MODIFY, entity.SerializeToString()) for entity in wanted.values()])


def _same_rate(held: p4r.MeterEntry, wanted: p4r.MeterEntry) -> bool:
    if not wanted.HasField("config"):
        return not held.HasField("config")
    return (held.config.pir, held.config.pburst) == (wanted.config.pir, wanted.config.pburst)
