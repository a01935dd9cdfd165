# SPDX-License-Identifier: Apache-2.0
"""The updates of a Write, applied one by one (specification, "P4 Entity Messages" and "Write RPC")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from finsy.proto import p4i, p4r

from softswitch.engine import FLAG_DEFAULT, MeterRates
from softswitch.p4runtime.entrymetadata import EntryKey
from softswitch.p4runtime.errors import (
    INTERNAL,
    NOT_FOUND,
    OUT_OF_RANGE,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    BatchError,
    P4RuntimeError,
    check,
    invalid,
    unimplemented,
)
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.schema import ArraySchema, TableSchema
from softswitch.p4runtime.valuesets import write_value_set

_MOST_CELLS = 1 << 22
_INSERT, _MODIFY, _DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def apply_updates(pipeline: Pipeline, updates: Iterable[p4r.Update]) -> None:
    """Try every update, whatever becomes of the others (CONTINUE_ON_ERROR); BatchError if any failed."""
    errors: list[P4RuntimeError | None] = []
    failed = False
    for update in updates:
        try:
            apply_update(pipeline, update)
            errors.append(None)
        except P4RuntimeError as error:
            errors.append(error)
            failed = True
        except (ValueError, TypeError, OverflowError) as error:
            errors.append(P4RuntimeError(INTERNAL, f"{type(error).__name__}: {error}"))
            failed = True
    if failed:
        raise BatchError("write", errors)


def apply_update(pipeline: Pipeline, update: p4r.Update) -> None:
    """Apply one update; P4RuntimeError says why it cannot be."""
    op = update.type
    if op not in (_INSERT, _MODIFY, _DELETE):
        raise invalid("update type is not INSERT, MODIFY or DELETE")
    entity = update.entity
    kind = entity.WhichOneof("entity")
    if kind == "table_entry":
        _write_table_entry(pipeline, op, entity.table_entry)
        return
    if kind is None:
        raise invalid("the update's entity is not set")
    _WRITERS[kind](pipeline, op, getattr(entity, kind))


# --- table entries ----------------------------------------------------------------------------------------


def _write_table_entry(pipeline: Pipeline, op: int, entry: p4r.TableEntry) -> None:
    table = pipeline.schema.table(entry.table_id)
    if entry.is_const:
        raise invalid("is_const cannot be written")
    if entry.is_default_action:
        _write_default_entry(pipeline, op, table, entry)
        return
    if op == _INSERT and not table.key.fields:
        raise invalid(f"table {table.name} has no key: only its default entry can be set")
    key, mask = table.key.encode(entry.match)
    priority = priority_of(table, entry)
    where = (table.id, key, mask, priority, False)
    if op == _DELETE:
        if table.is_const:
            raise _constant(table)
        named = _named(pipeline, table, key, mask, priority)
        check(pipeline.engine.write(op, table.id, key, mask, priority), table.name)
        pipeline.metadata.removed(where)
        if named:
            pipeline.profiles.release(table.profile_id, named)
        return
    _check_entry(table, entry)
    if op == _MODIFY and not entry.HasField("action"):
        _modify_direct_resources(pipeline, table, key, mask, priority, entry)
        return
    if table.is_const:
        raise _constant(table)
    if table.profile_id:
        _write_indirect(pipeline, op, table, where, entry)
        return
    action_id, params = _encode_action(pipeline, table, entry.action, default=False)
    _put(pipeline, op, table, where, entry, action_id, params)


def _write_indirect(
    pipeline: Pipeline, op: int, table: TableSchema, where: EntryKey, entry: p4r.TableEntry
) -> None:
    """An entry that names a member or group; what it named before may go."""
    if entry.action.WhichOneof("type") in (None, "action"):
        raise invalid(f"table {table.name} has an action profile: entries name its members or groups")
    _, key, mask, priority, _ = where
    before = _named(pipeline, table, key, mask, priority) if op == _MODIFY else 0
    named = pipeline.profiles.resolve(table.profile_id, entry.action, set(table.scopes))
    try:
        _put(pipeline, op, table, where, entry, member_or_group=named)
    except P4RuntimeError:
        pipeline.profiles.release(table.profile_id, named)
        raise
    if before:
        pipeline.profiles.release(table.profile_id, before)


def _named(pipeline: Pipeline, table: TableSchema, key: bytes, mask: bytes | None, priority: int) -> int:
    """The member or group that an entry names; 0: none, or no such entry."""
    record = pipeline.engine.lookup(table.id, key, mask, priority) if table.profile_id else None
    return record.member_or_group if record else 0


def _put(
    pipeline: Pipeline,
    op: int,
    table: TableSchema,
    where: EntryKey,
    entry: p4r.TableEntry,
    action_id: int = 0,
    params: bytes = b"",
    member_or_group: int = 0,
) -> None:
    """Write an entry that has been checked, with its direct resources and metadata."""
    _, key, mask, priority, _ = where
    packets, octets = _counter_data(table, entry)
    rates = _meter_rates(table, entry)
    metadata = pipeline.metadata.pack(entry)
    result = pipeline.engine.write(
        op,
        table.id,
        key,
        mask,
        priority,
        action_id,
        params,
        idle_timeout_ns=entry.idle_timeout_ns,
        metadata=metadata,
        packets=packets,
        octets=octets,
        member_or_group=member_or_group,
    )
    check(result, table.name)
    if table.direct_meter and (rates or op == _MODIFY):  # MODIFY without a configuration: the default again
        check(pipeline.engine.direct_meter_write(table.id, key, mask, priority, rates), table.name)
    pipeline.metadata.wrote(where, metadata, entry)


def _write_default_entry(pipeline: Pipeline, op: int, table: TableSchema, entry: p4r.TableEntry) -> None:
    if op != _MODIFY:
        raise invalid(f"table {table.name}: a default entry can only be modified")
    if entry.match or entry.priority:
        raise invalid(f"table {table.name}: a default entry has neither match nor priority")
    if entry.idle_timeout_ns:
        raise invalid(f"table {table.name}: a default entry has no idle timeout")
    _check_entry(table, entry)
    if table.const_default:
        raise P4RuntimeError(PERMISSION_DENIED, f"{table.name}: the default action is constant")
    where = (table.id, b"", None, 0, True)
    action_id, params, metadata = 0, b"", 0
    if entry.HasField("action"):
        action_id, params = _encode_action(pipeline, table, entry.action, default=True)
        metadata = pipeline.metadata.pack(entry)
    packets, octets = _counter_data(table, entry)
    result = pipeline.engine.write(
        op,
        table.id,
        bytes(table.key.size),
        action_id=action_id,
        params=params,
        flags=FLAG_DEFAULT,
        metadata=metadata,
        packets=packets,
        octets=octets,
    )
    check(result, table.name)
    pipeline.metadata.wrote(where, metadata, entry)


def _modify_direct_resources(
    pipeline: Pipeline,
    table: TableSchema,
    key: bytes,
    mask: bytes | None,
    priority: int,
    entry: p4r.TableEntry,
) -> None:
    """A MODIFY without an action leaves the entry as it is, but for its direct resources."""
    packets, octets = _counter_data(table, entry)
    rates = _meter_rates(table, entry)
    if packets >= 0:
        result = pipeline.engine.direct_counter_write(table.id, key, mask, priority, packets, octets)
        check(result, table.name)
    if table.direct_meter:
        check(pipeline.engine.direct_meter_write(table.id, key, mask, priority, rates), table.name)
    if packets < 0 and pipeline.engine.lookup(table.id, key, mask, priority) is None:
        raise P4RuntimeError(NOT_FOUND, f"{table.name}: no such entry")


def priority_of(table: TableSchema, entry: p4r.TableEntry) -> int:
    """The entry's priority, checked against what the table wants."""
    priority = entry.priority
    if table.key.needs_priority:
        if priority <= 0:
            raise invalid(f"table {table.name}: entries need a priority above 0, not {priority}")
    elif priority:
        raise invalid(f"table {table.name}: entries have no priority (no ternary, range or optional field)")
    return priority


def _check_entry(table: TableSchema, entry: p4r.TableEntry) -> None:
    """What an entry must not say when it is inserted or modified."""
    if entry.idle_timeout_ns:
        if not table.idle_timeout:
            raise invalid(f"table {table.name} does not support idle timeouts")
        if entry.idle_timeout_ns < 0:
            raise invalid("idle_timeout_ns is negative")
    if entry.HasField("time_since_last_hit"):
        raise invalid("time_since_last_hit cannot be written")
    if entry.HasField("meter_counter_data"):
        raise unimplemented("meters do not count by color")


def _meter_rates(table: TableSchema, entry: p4r.TableEntry) -> MeterRates | None:
    """The direct meter's configuration, None for the default."""
    if not entry.HasField("meter_config"):
        return None
    if not table.direct_meter:
        raise invalid(f"table {table.name} has no direct meter")
    return _rates(entry.meter_config, table.direct_meter_type)


def _counter_data(table: TableSchema, entry: p4r.TableEntry) -> tuple[int, int]:
    """(packets, bytes) to set in the direct counter, -1 for none."""
    if not entry.HasField("counter_data"):
        return -1, -1
    if not table.direct_counter:
        raise invalid(f"table {table.name} has no direct counter")
    return _counts(entry.counter_data)


def _counts(data: p4r.CounterData) -> tuple[int, int]:
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid("a counter's value is negative")
    return data.packet_count, data.byte_count


def _encode_action(
    pipeline: Pipeline, table: TableSchema, table_action: p4r.TableAction, *, default: bool
) -> tuple[int, bytes]:
    action = table_action.action
    action_id = action.action_id
    scope = table.scopes.get(action_id)
    if scope is None:
        kind = table_action.WhichOneof("type")
        if kind not in (None, "action"):
            raise invalid(f"table {table.name} takes actions, not {kind}")
        raise invalid(f"action id 0x{action_id:08x} is not one of table {table.name}")
    if scope == (p4i.ActionRef.TABLE_ONLY if default else p4i.ActionRef.DEFAULT_ONLY):
        where = "only in entries" if default else "only as default action"
        raise P4RuntimeError(
            PERMISSION_DENIED, f"{table.name}: {pipeline.schema.action(action_id).name} is allowed {where}"
        )
    return action_id, pipeline.schema.action(action_id).encode(action)


def _constant(table: TableSchema) -> P4RuntimeError:
    return P4RuntimeError(PERMISSION_DENIED, f"table {table.name} is constant")


# --- counters, meters, registers --------------------------------------------------------------------------


def _write_direct_counter(pipeline: Pipeline, op: int, entry: p4r.DirectCounterEntry) -> None:
    _only_modify(op, "direct counter")
    target = entry.table_entry
    table = pipeline.schema.table(target.table_id)
    if not table.direct_counter:
        raise invalid(f"table {table.name} has no direct counter")
    if target.is_default_action:
        key, mask, priority, flags = bytes(table.key.size), None, 0, FLAG_DEFAULT
    else:
        key, mask = table.key.encode(target.match)
        priority, flags = priority_of(table, target), 0
    if entry.HasField("data"):
        packets, octets = _counts(entry.data)
        result = pipeline.engine.direct_counter_write(
            table.id, key, mask, priority, packets, octets, flags=flags
        )
        check(result, table.name)
    elif pipeline.engine.lookup(table.id, key, mask, priority, flags=flags) is None:
        raise P4RuntimeError(NOT_FOUND, f"{table.name}: no such entry")


def _write_direct_meter(pipeline: Pipeline, op: int, entry: p4r.DirectMeterEntry) -> None:
    _only_modify(op, "direct meter")
    target = entry.table_entry
    table = pipeline.schema.table(target.table_id)
    if not table.direct_meter:
        raise invalid(f"table {table.name} has no direct meter")
    if target.is_default_action:
        raise invalid("a default entry has no direct meter")
    if entry.HasField("counter_data"):
        raise unimplemented("meters do not count by color")
    key, mask = table.key.encode(target.match)
    rates = _rates(entry.config, table.direct_meter_type) if entry.HasField("config") else None
    result = pipeline.engine.direct_meter_write(table.id, key, mask, priority_of(table, target), rates)
    check(result, table.name)


def _write_counter(pipeline: Pipeline, op: int, entry: p4r.CounterEntry) -> None:
    _only_modify(op, "counter")
    counter = pipeline.schema.counter(entry.counter_id)
    indices = cells(counter, entry)
    if not entry.HasField("data"):
        return
    packets, octets = _counts(entry.data)
    for index in indices:
        check(pipeline.engine.counter_write(counter.id, index, packets, octets), counter.name)


def _write_meter(pipeline: Pipeline, op: int, entry: p4r.MeterEntry) -> None:
    _only_modify(op, "meter")
    meter = pipeline.schema.meter(entry.meter_id)
    indices = cells(meter, entry)
    if entry.HasField("counter_data"):
        raise unimplemented("meters do not count by color")
    rates = _rates(entry.config, meter.type) if entry.HasField("config") else None
    for index in indices:
        check(pipeline.engine.meter_write(meter.id, index, rates), meter.name)


def _rates(config: p4r.MeterConfig, meter_type: int) -> MeterRates:
    if min(config.cir, config.cburst, config.pir, config.pburst, config.eburst) < 0:
        raise invalid("a meter's rates and bursts cannot be negative")
    if config.eburst:
        if meter_type == p4i.MeterSpec.SINGLE_RATE_THREE_COLOR:
            raise unimplemented("an excess burst (eburst) is not supported")
        raise invalid("eburst is only for single rate three color meters")
    if meter_type != p4i.MeterSpec.TWO_RATE_THREE_COLOR and (config.pir, config.pburst) != (
        config.cir,
        config.cburst,
    ):
        raise invalid("a single rate meter has pir = cir and pburst = cburst")
    if config.pir < config.cir:
        raise invalid(f"pir {config.pir} is below cir {config.cir}")
    return MeterRates(config.cir, config.cburst, config.pir, config.pburst)


def _write_register(pipeline: Pipeline, op: int, entry: p4r.RegisterEntry) -> None:
    _only_modify(op, "register")
    register = pipeline.schema.register(entry.register_id)
    indices = cells(register, entry)
    value = register.value.encode(entry.data)
    for index in indices:
        check(pipeline.engine.register_write(register.id, index, value), register.name)


def cells(array: ArraySchema, entry: p4r.CounterEntry | p4r.MeterEntry | p4r.RegisterEntry) -> range:
    """The cells that an entry of an indirect resource names: one, or all when it has no index."""
    if not entry.HasField("index"):
        check_cells(array.size, array.name)
        return range(array.size)
    index = entry.index.index
    if index < 0:
        raise invalid(f"{array.name}: index {index} is negative")
    if index >= array.size:
        raise P4RuntimeError(OUT_OF_RANGE, f"{array.name}: index {index}, but the size is {array.size}")
    return range(index, index + 1)


def check_cells(count: int, what: str) -> None:
    """RESOURCE_EXHAUSTED if a request is about so many cells that it would hold up all others."""
    if count > _MOST_CELLS:
        raise P4RuntimeError(
            RESOURCE_EXHAUSTED, f"{what}: {count} cells; a request takes at most {_MOST_CELLS}: give an index"
        )


def _only_modify(op: int, what: str) -> None:
    if op != _MODIFY:
        raise invalid(f"a {what} can only be modified")


# --- the rest ---------------------------------------------------------------------------------------------


def _write_digest(pipeline: Pipeline, op: int, entry: p4r.DigestEntry) -> None:
    codec = pipeline.schema.digest(entry.digest_id)
    if op == _INSERT:
        pipeline.digests.insert(codec, entry.config)
    elif op == _MODIFY:
        pipeline.digests.modify(codec, entry.config)
    else:
        pipeline.digests.delete(codec)


def _write_replication(pipeline: Pipeline, op: int, entry: p4r.PacketReplicationEngineEntry) -> None:
    pipeline.replication.write(op, entry)


def _write_member(pipeline: Pipeline, op: int, entry: p4r.ActionProfileMember) -> None:
    pipeline.profiles.write_member(op, entry)


def _write_group(pipeline: Pipeline, op: int, entry: p4r.ActionProfileGroup) -> None:
    pipeline.profiles.write_group(op, entry)


def _write_value_set(pipeline: Pipeline, op: int, entry: p4r.ValueSetEntry) -> None:
    write_value_set(pipeline.engine, pipeline.schema.value_set(entry.value_set_id), op, entry)


def _write_extern(_pipeline: Pipeline, _op: int, entry: p4r.ExternEntry) -> None:
    raise unimplemented(f"extern type id 0x{entry.extern_type_id:x}: v1model has none beyond its own")


_WRITERS: dict[str, Callable[[Pipeline, int, Any], None]] = {
    "direct_counter_entry": _write_direct_counter,
    "counter_entry": _write_counter,
    "meter_entry": _write_meter,
    "direct_meter_entry": _write_direct_meter,
    "register_entry": _write_register,
    "digest_entry": _write_digest,
    "packet_replication_engine_entry": _write_replication,
    "action_profile_member": _write_member,
    "action_profile_group": _write_group,
    "value_set_entry": _write_value_set,
    "extern_entry": _write_extern,
}
