# SPDX-License-Identifier: Apache-2.0
"""RECONCILE_AND_COMMIT: carry the forwarding state of one program over to another one.

Everything that the old program holds is read as protobuf and written to the new one. If any of it does not
fit there, the specification wants INVALID_ARGUMENT and the old program goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from softswitch.p4runtime.errors import P4RuntimeError, invalid
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.read import select
from softswitch.p4runtime.write import apply_update


def carry_over(old: Pipeline, new: Pipeline) -> None:
    """Copy tables, profiles, value sets, counters, meters, registers, replication, digests to `new`."""
    _clear_initial_entries(new)
    for update in _updates(old, new):
        try:
            apply_update(new, update)
        except P4RuntimeError as error:
            kind = update.entity.WhichOneof("entity")
            raise invalid(f"the state cannot be preserved: {kind}: {error.message}") from error


def _clear_initial_entries(new: Pipeline) -> None:
    """The new program's own deletable entries give way to the old program's."""
    for entity in list(select(new, p4r.Entity(table_entry=p4r.TableEntry()))):
        if not entity.table_entry.is_const:
            apply_update(new, p4r.Update(type=p4r.Update.DELETE, entity=entity))


def _updates(old: Pipeline, new: Pipeline) -> Iterator[p4r.Update]:
    for member in old.profiles.read_members(p4r.ActionProfileMember()):
        yield p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(action_profile_member=member))
    for group in old.profiles.read_groups(p4r.ActionProfileGroup()):
        yield p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(action_profile_group=group))
    for entity in select(old, p4r.Entity(value_set_entry=p4r.ValueSetEntry())):
        if entity.value_set_entry.members:
            yield p4r.Update(type=p4r.Update.MODIFY, entity=entity)
    with_counters = p4r.TableEntry(counter_data=p4r.CounterData(), meter_config=p4r.MeterConfig())
    for entity in select(old, p4r.Entity(table_entry=with_counters)):
        if not entity.table_entry.is_const:
            yield p4r.Update(type=p4r.Update.INSERT, entity=entity)
    with_counters.is_default_action = True
    for entity in select(old, p4r.Entity(table_entry=with_counters)):
        if entity.table_entry.table_id in new.schema.tables and not _same_default(new, entity.table_entry):
            yield p4r.Update(type=p4r.Update.MODIFY, entity=entity)
    yield from _cells(old)
    for replicated in old.replication.entries():
        yield p4r.Update(
            type=p4r.Update.INSERT, entity=p4r.Entity(packet_replication_engine_entry=replicated)
        )
    for digest in old.digests.read(0):
        yield p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(digest_entry=digest))


def _same_default(new: Pipeline, entry: p4r.TableEntry) -> bool:
    """Nothing to carry when the new program's default entry says the same, or nobody could have set it."""
    if entry.is_const or not entry.HasField("action"):
        return True
    query = p4r.TableEntry(table_id=entry.table_id, is_default_action=True, counter_data=p4r.CounterData())
    return any(entity.table_entry == entry for entity in select(new, p4r.Entity(table_entry=query)))


def _cells(old: Pipeline) -> Iterator[p4r.Update]:
    """Indirect resources, as far as they are not at their initial zero."""
    queries = (
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(meter_entry=p4r.MeterEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
    )
    for query in queries:
        for entity in select(old, query):
            if _is_set(old, entity):
                yield p4r.Update(type=p4r.Update.MODIFY, entity=entity)


def _is_set(old: Pipeline, entity: p4r.Entity) -> bool:
    kind = entity.WhichOneof("entity")
    if kind == "counter_entry":
        return entity.counter_entry.data != p4r.CounterData()
    if kind == "meter_entry":
        return entity.meter_entry.HasField("config")
    register = entity.register_entry
    return any(old.schema.register(register.register_id).value.encode(register.data))
