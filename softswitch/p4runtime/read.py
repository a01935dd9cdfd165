# SPDX-License-Identifier: Apache-2.0
"""The requests of a Read: entities selected by wildcards and filters (specification, "Read RPC").

Reading has two halves. `select` takes what the data plane holds, quickly, while the caller keeps writes
out; the iterator that it returns turns that into protobuf, and may run as slowly as the client takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, TypeVar

from finsy.proto import p4r

from softswitch.engine import FLAG_CONST, FLAG_DEFAULT, MeterRates, TableRecord, parse_records
from softswitch.p4runtime.entrymetadata import EntryKey
from softswitch.p4runtime.errors import NOT_FOUND, P4RuntimeError, check, invalid, unimplemented
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.schema import ArraySchema, TableSchema
from softswitch.p4runtime.valuesets import read_value_set
from softswitch.p4runtime.write import cells, check_cells, priority_of

Entities = Iterator[p4r.Entity]
_Array = TypeVar("_Array", bound=ArraySchema)


def select(pipeline: Pipeline, query: p4r.Entity) -> Entities:
    """What the data plane holds for one request; P4RuntimeError if the request makes no sense."""
    kind = query.WhichOneof("entity")
    if kind is None:
        raise invalid("the request's entity is not set")
    return _READERS[kind](pipeline, getattr(query, kind))


# --- table entries ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Selection:
    """Records of one table: the raw blocks of a scan, or single records."""

    table: TableSchema
    blocks: list[bytes]
    records: list[TableRecord]
    rates: list[MeterRates | None]
    """The direct meters of the records, in their order; empty if they are not asked for."""

    def __iter__(self) -> Iterator[TableRecord]:
        yield from self.records
        for block in self.blocks:
            yield from parse_records(block)

    def with_rates(self) -> Iterator[tuple[TableRecord, MeterRates | None]]:
        """The records with their direct meters."""
        return zip(self, self.rates or repeat(None), strict=False)


def _read_table_entries(pipeline: Pipeline, query: p4r.TableEntry) -> Entities:
    tables = _tables(pipeline, query)
    if query.table_id and query.HasField("time_since_last_hit") and not tables[0].idle_timeout:
        raise invalid(f"table {tables[0].name} does not support idle timeouts")
    selections = [_scan(pipeline, table, query) for table in tables]
    if query.HasField("meter_config"):
        selections = [_with_rates(pipeline, selection) for selection in selections]
    entities = _table_entities(pipeline, query, selections)
    if any(table.profile_id for table in tables):
        return iter(list(entities))  # now: what a handle means may change later
    return entities


def _tables(pipeline: Pipeline, query: p4r.TableEntry) -> list[TableSchema]:
    if query.table_id:
        return [pipeline.schema.table(query.table_id)]
    if query.match or query.HasField("action"):
        raise invalid("a read of all tables (table id 0) cannot filter by match or action")
    return list(pipeline.schema.tables.values())


def _scan(pipeline: Pipeline, table: TableSchema, query: p4r.TableEntry) -> _Selection:
    """All records of a table that match and priority, or is_default_action, may stand for."""
    if query.is_default_action:
        if query.match or query.priority:
            raise invalid(f"table {table.name}: a default entry has neither match nor priority")
        record = pipeline.engine.lookup(table.id, bytes(table.key.size), flags=FLAG_DEFAULT)
        return _Selection(table, [], [record] if record else [], [])
    if query.match:
        key, mask = table.key.encode(query.match)
        if not table.key.needs_priority or query.priority:
            record = pipeline.engine.lookup(table.id, key, mask, priority_of(table, query))
            return _Selection(table, [], [record] if record else [], [])
        wanted = mask or b""
        return _Selection(
            table,
            [],
            [record for record in _all(pipeline, table) if record.key == key and record.mask == wanted],
            [],
        )
    return _Selection(table, pipeline.engine.read_table(table.id), [], [])


def _with_rates(pipeline: Pipeline, selection: _Selection) -> _Selection:
    """The same, with the direct meters if the table has them."""
    if not selection.table.direct_meter:
        return selection
    return replace(selection, rates=[_direct_rates(pipeline, selection.table, r) for r in selection])


def _all(pipeline: Pipeline, table: TableSchema) -> Iterator[TableRecord]:
    for block in pipeline.engine.read_table(table.id):
        yield from parse_records(block)


def _table_entities(pipeline: Pipeline, query: p4r.TableEntry, selections: list[_Selection]) -> Entities:
    wanted = query.action
    with_counter = query.HasField("counter_data")
    with_time = query.HasField("time_since_last_hit")
    for selection in selections:
        table = selection.table
        for record, rates in selection.with_rates():
            if wanted.action.action_id and record.action_id != wanted.action.action_id:
                continue
            if query.priority and record.priority != query.priority:
                continue
            entity = p4r.Entity()
            entry = entity.table_entry
            fill_entry(pipeline, table, record, entry)
            if query.metadata and entry.metadata != query.metadata:
                continue
            if not _names(entry.action, wanted):
                continue
            if query.controller_metadata and entry.controller_metadata != query.controller_metadata:
                continue
            if with_counter and table.direct_counter:
                entry.counter_data.packet_count = record.packets
                entry.counter_data.byte_count = record.octets
                entry.counter_data.SetInParent()
            if with_time and table.idle_timeout and not record.flags & FLAG_DEFAULT:
                entry.time_since_last_hit.elapsed_ns = record.since_last_hit_ns
                entry.time_since_last_hit.SetInParent()
            _fill_rates(rates, entry.meter_config)
            yield entity


def _names(action: p4r.TableAction, wanted: p4r.TableAction) -> bool:
    """Whether an entry names the member or group that a request filters by, if it does."""
    kind = wanted.WhichOneof("type")
    if kind in ("action_profile_member_id", "action_profile_group_id"):
        return action == wanted
    return True


def _direct_rates(pipeline: Pipeline, table: TableSchema, record: TableRecord) -> MeterRates | None:
    """A direct meter's configuration; None for the default entry, which has none."""
    if record.flags & FLAG_DEFAULT:
        return None
    mask = None if table.key.all_exact else record.mask
    rates = pipeline.engine.direct_meter_read(table.id, record.key, mask, record.priority)
    return None if isinstance(rates, int) else rates


def _fill_rates(rates: MeterRates | None, config: p4r.MeterConfig) -> None:
    """A meter at its default has no configuration to show."""
    if rates is not None:
        config.cir, config.cburst, config.pir, config.pburst = rates
        config.SetInParent()


def fill_key(pipeline: Pipeline, table: TableSchema, record: TableRecord, entry: p4r.TableEntry) -> None:
    """What identifies an entry, and its metadata."""
    entry.table_id = table.id
    if record.flags & FLAG_DEFAULT:
        entry.is_default_action = True
        where: EntryKey = (table.id, b"", None, 0, True)
    else:
        table.key.decode(record.key, record.mask, entry)
        if record.priority:
            entry.priority = record.priority
        mask = None if table.key.all_exact else record.mask
        where = (table.id, record.key, mask, record.priority, False)
    if record.metadata:
        pipeline.metadata.unpack(record.metadata, where, entry)
    if record.idle_timeout_ns:
        entry.idle_timeout_ns = record.idle_timeout_ns


def fill_entry(pipeline: Pipeline, table: TableSchema, record: TableRecord, entry: p4r.TableEntry) -> None:
    """A whole entry but for what is only sent on request."""
    fill_key(pipeline, table, record, entry)
    if record.member_or_group:
        pipeline.profiles.describe(table.profile_id, record.member_or_group, entry.action)
    elif record.action_id in pipeline.schema.actions:
        pipeline.schema.actions[record.action_id].decode(record.params, entry.action.action)
    elif record.action_id:  # an action that the program hides
        entry.action.action.action_id = record.action_id
    if record.flags & FLAG_CONST or (table.const_default and record.flags & FLAG_DEFAULT):
        entry.is_const = True


# --- counters, meters, registers --------------------------------------------------------------------------


def _read_direct_counters(pipeline: Pipeline, query: p4r.DirectCounterEntry) -> Entities:
    target = query.table_entry
    tables = _tables(pipeline, target)
    if target.table_id and not tables[0].direct_counter:
        raise invalid(f"table {tables[0].name} has no direct counter")
    selections = [_scan(pipeline, table, target) for table in tables if table.direct_counter]
    if target.match and not selections[0].records:
        raise P4RuntimeError(NOT_FOUND, f"{tables[0].name}: no such entry")
    return _direct_counter_entities(pipeline, selections)


def _direct_counter_entities(pipeline: Pipeline, selections: list[_Selection]) -> Entities:
    for selection in selections:
        for record in selection:
            entity = p4r.Entity()
            entry = entity.direct_counter_entry
            fill_key(pipeline, selection.table, record, entry.table_entry)
            entry.data.packet_count = record.packets
            entry.data.byte_count = record.octets
            entry.data.SetInParent()
            yield entity


def _cells_of(
    arrays: Collection[_Array], query: p4r.CounterEntry | p4r.MeterEntry | p4r.RegisterEntry, one: bool
) -> list[tuple[_Array, range]]:
    """The cells that a request is about: of one array, or all of all arrays."""
    if one:
        return [(array, cells(array, query)) for array in arrays]
    check_cells(sum(array.size for array in arrays), "all of them")
    return [(array, range(array.size)) for array in arrays]


def _read_counters(pipeline: Pipeline, query: p4r.CounterEntry) -> Entities:
    found: list[tuple[int, int, tuple[int, int]]] = []
    chosen = (
        [pipeline.schema.counter(query.counter_id)] if query.counter_id else pipeline.schema.counters.values()
    )
    for counter, indices in _cells_of(chosen, query, bool(query.counter_id)):
        for index in indices:
            value = pipeline.engine.counter_read(counter.id, index)
            if isinstance(value, int):
                check(value, counter.name)
                continue
            found.append((counter.id, index, value))
    return _counter_entities(found)


def _counter_entities(found: list[tuple[int, int, tuple[int, int]]]) -> Entities:
    for counter_id, index, (packets, octets) in found:
        entity = p4r.Entity()
        entry = entity.counter_entry
        entry.counter_id = counter_id
        entry.index.index = index
        entry.index.SetInParent()
        entry.data.packet_count = packets
        entry.data.byte_count = octets
        entry.data.SetInParent()
        yield entity


def _read_meters(pipeline: Pipeline, query: p4r.MeterEntry) -> Entities:
    if query.HasField("counter_data"):
        raise unimplemented("meters do not count by color")
    found: list[p4r.Entity] = []
    chosen = [pipeline.schema.meter(query.meter_id)] if query.meter_id else pipeline.schema.meters.values()
    for meter, indices in _cells_of(chosen, query, bool(query.meter_id)):
        for index in indices:
            rates = pipeline.engine.meter_read(meter.id, index)
            if isinstance(rates, int):
                check(rates, meter.name)
                continue
            entity = p4r.Entity()
            entry = entity.meter_entry
            entry.meter_id = meter.id
            entry.index.index = index
            entry.index.SetInParent()
            _fill_rates(rates, entry.config)
            found.append(entity)
    return iter(found)


def _read_registers(pipeline: Pipeline, query: p4r.RegisterEntry) -> Entities:
    found: list[p4r.Entity] = []
    known = pipeline.schema.registers
    chosen = [pipeline.schema.register(query.register_id)] if query.register_id else known.values()
    for register, indices in _cells_of(chosen, query, bool(query.register_id)):
        for index in indices:
            value = pipeline.engine.register_read(register.id, index, register.value.size)
            if isinstance(value, int):
                check(value, register.name)
                continue
            entity = p4r.Entity()
            entry = entity.register_entry
            entry.register_id = register.id
            entry.index.index = index
            entry.index.SetInParent()
            register.value.decode(value, entry.data)
            found.append(entity)
    return iter(found)


# --- the rest ---------------------------------------------------------------------------------------------


def _read_digests(pipeline: Pipeline, query: p4r.DigestEntry) -> Entities:
    if query.digest_id:
        pipeline.schema.digest(query.digest_id)
    return iter([p4r.Entity(digest_entry=entry) for entry in pipeline.digests.read(query.digest_id)])


def _read_replication(pipeline: Pipeline, query: p4r.PacketReplicationEngineEntry) -> Entities:
    entries = pipeline.replication.read(query)
    return iter([p4r.Entity(packet_replication_engine_entry=entry) for entry in entries])


def _read_direct_meters(pipeline: Pipeline, query: p4r.DirectMeterEntry) -> Entities:
    target = query.table_entry
    tables = _tables(pipeline, target)
    if query.HasField("counter_data"):
        raise unimplemented("meters do not count by color")
    if target.table_id and not tables[0].direct_meter:
        raise invalid(f"table {tables[0].name} has no direct meter")
    if target.is_default_action:
        raise invalid("a default entry has no direct meter")
    selections = [
        _with_rates(pipeline, _scan(pipeline, table, target)) for table in tables if table.direct_meter
    ]
    if target.match and not selections[0].records:
        raise P4RuntimeError(NOT_FOUND, f"{tables[0].name}: no such entry")
    return _direct_meter_entities(pipeline, selections)


def _direct_meter_entities(pipeline: Pipeline, selections: list[_Selection]) -> Entities:
    for selection in selections:
        for record, rates in selection.with_rates():
            entity = p4r.Entity()
            entry = entity.direct_meter_entry
            fill_key(pipeline, selection.table, record, entry.table_entry)
            _fill_rates(rates, entry.config)
            yield entity


def _read_members(pipeline: Pipeline, query: p4r.ActionProfileMember) -> Entities:
    return iter([p4r.Entity(action_profile_member=m) for m in pipeline.profiles.read_members(query)])


def _read_groups(pipeline: Pipeline, query: p4r.ActionProfileGroup) -> Entities:
    return iter([p4r.Entity(action_profile_group=g) for g in pipeline.profiles.read_groups(query)])


def _read_value_sets(pipeline: Pipeline, query: p4r.ValueSetEntry) -> Entities:
    known = pipeline.schema.value_sets
    chosen = [pipeline.schema.value_set(query.value_set_id)] if query.value_set_id else known.values()
    return iter([p4r.Entity(value_set_entry=read_value_set(pipeline.engine, v)) for v in chosen])


def _read_externs(_pipeline: Pipeline, _query: p4r.ExternEntry) -> Entities:
    return iter(())


_READERS: dict[str, Callable[[Pipeline, Any], Entities]] = {
    "table_entry": _read_table_entries,
    "direct_counter_entry": _read_direct_counters,
    "counter_entry": _read_counters,
    "meter_entry": _read_meters,
    "direct_meter_entry": _read_direct_meters,
    "register_entry": _read_registers,
    "digest_entry": _read_digests,
    "packet_replication_engine_entry": _read_replication,
    "action_profile_member": _read_members,
    "action_profile_group": _read_groups,
    "value_set_entry": _read_value_sets,
    "extern_entry": _read_externs,
}
