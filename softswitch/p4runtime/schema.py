# SPDX-License-Identifier: Apache-2.0
"""What a program's P4Info says, ready for use: every object by id, with its codec."""

from __future__ import annotations

from typing import TypeVar

from finsy.proto import p4i, p4t

from softswitch.p4runtime.digests import DigestCodec
from softswitch.p4runtime.errors import invalid
from softswitch.p4runtime.keys import ActionCodec, KeyCodec
from softswitch.p4runtime.p4data import ValueCodec
from softswitch.p4runtime.packetio import HeaderCodec
from softswitch.p4runtime.profiles import ProfileSchema
from softswitch.p4runtime.valuesets import ValueSetSchema

T = TypeVar("T")

_NO_HEADER = p4i.ControllerPacketMetadata()


class TableSchema:
    """One table: its key, the actions it takes, its direct resources and its rules."""

    def __init__(self, table: p4i.Table, info: p4i.P4Info) -> None:
        self.id = table.preamble.id
        self.name = table.preamble.alias or table.preamble.name
        self.key = KeyCodec(table)
        self.scopes = {reference.id: reference.scope for reference in table.action_refs}
        self.is_const = table.is_const_table
        self.const_default = table.const_default_action_id != 0
        self.profile_id = table.implementation_id
        """The action profile whose members the entries name; 0: they name actions."""
        self.idle_timeout = table.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL
        direct = set(table.direct_resource_ids)
        self.direct_counter = any(counter.preamble.id in direct for counter in info.direct_counters)
        self.direct_meter = any(meter.preamble.id in direct for meter in info.direct_meters)
        self.direct_meter_type = next(
            (m.spec.type for m in info.direct_meters if m.preamble.id in direct),
            p4i.MeterSpec.TWO_RATE_THREE_COLOR,
        )


class ArraySchema:
    """An indirect counter, a meter or a register: an array of cells."""

    def __init__(self, item: p4i.Counter | p4i.Meter | p4i.Register) -> None:
        self.id = item.preamble.id
        self.name = item.preamble.alias or item.preamble.name
        self.size = item.size


class MeterSchema(ArraySchema):
    """An indirect meter."""

    def __init__(self, meter: p4i.Meter) -> None:
        super().__init__(meter)
        self.type = meter.spec.type


class RegisterSchema(ArraySchema):
    """A register, with how one cell is written as P4Data."""

    def __init__(self, register: p4i.Register, types: p4t.P4TypeInfo) -> None:
        super().__init__(register)
        self.value = ValueCodec(register.type_spec, types, self.name)


class Schema:
    """All objects of one program that clients see. UNIMPLEMENTED for what this switch cannot carry.

    `info` says which they are, `layout` how the data plane holds them (`p4info.build_layout`).
    """

    def __init__(self, info: p4i.P4Info, layout: p4i.P4Info) -> None:
        shown = {t.preamble.id for t in info.tables} | {a.preamble.id for a in info.actions}
        tables = [table for table in layout.tables if table.preamble.id in shown]
        actions = [action for action in layout.actions if action.preamble.id in shown]
        self.tables = {table.preamble.id: TableSchema(table, layout) for table in tables}
        self.actions = {action.preamble.id: ActionCodec(action) for action in actions}
        self.counters = {counter.preamble.id: ArraySchema(counter) for counter in layout.counters}
        self.meters = {meter.preamble.id: MeterSchema(meter) for meter in layout.meters}
        self.registers = {
            register.preamble.id: RegisterSchema(register, layout.type_info) for register in layout.registers
        }
        self.digests = {
            digest.preamble.id: DigestCodec(digest, layout.type_info) for digest in layout.digests
        }
        self.action_profiles = {
            profile.preamble.id: ProfileSchema(profile, layout) for profile in layout.action_profiles
        }
        self.value_sets = {
            value_set.preamble.id: ValueSetSchema(value_set) for value_set in layout.value_sets
        }
        self.packet_in = _header("packet_in", info, layout)
        self.packet_out = _header("packet_out", info, layout)

    def table(self, table_id: int) -> TableSchema:
        """A table by id."""
        return _find(self.tables, table_id, "table")

    def action(self, action_id: int) -> ActionCodec:
        """An action by id."""
        return _find(self.actions, action_id, "action")

    def counter(self, counter_id: int) -> ArraySchema:
        """An indirect counter by id."""
        return _find(self.counters, counter_id, "counter")

    def meter(self, meter_id: int) -> MeterSchema:
        """An indirect meter by id."""
        return _find(self.meters, meter_id, "meter")

    def register(self, register_id: int) -> RegisterSchema:
        """A register by id."""
        return _find(self.registers, register_id, "register")

    def value_set(self, value_set_id: int) -> ValueSetSchema:
        """A value set by id."""
        return _find(self.value_sets, value_set_id, "value set")

    def digest(self, digest_id: int) -> DigestCodec:
        """A digest by id."""
        return _find(self.digests, digest_id, "digest")


def _header(name: str, info: p4i.P4Info, layout: p4i.P4Info) -> HeaderCodec:
    """A controller header; one without fields when the program has none of that name."""
    shown, whole = (
        next((h for h in p.controller_packet_metadata if h.preamble.name == name), _NO_HEADER)
        for p in (info, layout)
    )
    return HeaderCodec(whole, {field.id for field in shown.metadata})


def _find(items: dict[int, T], item_id: int, what: str) -> T:
    item = items.get(item_id)
    if item is None:
        shown = "0 (unset)" if item_id == 0 else f"0x{item_id:08x}"
        raise invalid(f"{what} id {shown} is not in the program's P4Info")
    return item
