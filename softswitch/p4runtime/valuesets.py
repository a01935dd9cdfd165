# SPDX-License-Identifier: Apache-2.0
"""Parser value sets: written as a whole, kept by the data plane as tables whose entries have no action
(specification, "ValueSetEntry")."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4i, p4r

from softswitch.engine import DELETE, INSERT, parse_records
from softswitch.p4runtime.dataplane import DataPlane
from softswitch.p4runtime.errors import RESOURCE_EXHAUSTED, P4RuntimeError, check, invalid
from softswitch.p4runtime.keys import Key, KeyCodec

_PRIORITY = 1  # in a set no member comes before another


class ValueSetSchema:
    """One value set: the fields of a member."""

    def __init__(self, value_set: p4i.ValueSet) -> None:
        self.id = value_set.preamble.id
        self.name = value_set.preamble.alias or value_set.preamble.name
        self.size = value_set.size
        table = p4i.Table(preamble=value_set.preamble, match_fields=value_set.match)
        self.key = KeyCodec(table)


def write_value_set(engine: DataPlane, schema: ValueSetSchema, op: int, entry: p4r.ValueSetEntry) -> None:
    """MODIFY makes the set what the entry says; there is nothing to insert or delete."""
    if op != p4r.Update.MODIFY:
        raise invalid(f"value set {schema.name}: can only be modified")
    wanted: dict[tuple[bytes, bytes], None] = {}
    for member in entry.members:
        key = _filled(schema, schema.key.encode(member.match))
        if key in wanted:
            raise invalid(f"value set {schema.name}: the same member twice")
        wanted[key] = None
    if len(wanted) > schema.size:
        raise P4RuntimeError(
            RESOURCE_EXHAUSTED, f"value set {schema.name}: {len(wanted)} members, its size is {schema.size}"
        )
    present = set(_members(engine, schema))
    for value, mask in present - wanted.keys():
        check(engine.write(DELETE, schema.id, value, mask, _PRIORITY), schema.name)
    for value, mask in (key for key in wanted if key not in present):
        check(engine.write(INSERT, schema.id, value, mask, _PRIORITY, schema.id), schema.name)


def read_value_set(engine: DataPlane, schema: ValueSetSchema) -> p4r.ValueSetEntry:
    """The set as it is."""
    entry = p4r.ValueSetEntry(value_set_id=schema.id)
    for value, mask in _members(engine, schema):
        found = p4r.TableEntry()
        schema.key.decode(value, mask, found)
        entry.members.add().match.extend(found.match)
    return entry


def _filled(schema: ValueSetSchema, key: Key) -> tuple[bytes, bytes]:
    """Value and mask; exact keys have a mask of ones here."""
    return key.key, key.mask if key.mask is not None else b"".join(f.ones for f in schema.key.fields)


def _members(engine: DataPlane, schema: ValueSetSchema) -> Iterator[tuple[bytes, bytes]]:
    for block in engine.read_table(schema.id):
        for record in parse_records(block):
            yield record.key, record.mask
