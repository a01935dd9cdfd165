# SPDX-License-Identifier: Apache-2.0
"""Descriptor tables: what the runtime must know about tables, counters, meters and registers."""

from __future__ import annotations

from collections.abc import Iterator

from softswitch.codegen.context import Context
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.layout import is_signed, num_bytes, scalar_width
from softswitch.codegen.names import byte_array, c_string
from softswitch.codegen.writer import Writer
from softswitch.p4 import ir
from softswitch.p4 import ir_expr as e

_PRIORITISED = (ir.MatchKind.TERNARY, ir.MatchKind.RANGE, ir.MatchKind.OPTIONAL)
MAX_KEY_BYTES = 1024
MAX_PARAM_BYTES = 4096
MAX_ARRAY_BYTES = 4 << 30
"""Of all counters, meters and registers together: the switch has memory for them as soon as they are used."""
_COUNTER_BYTES, _METER_BYTES, _LIMB_BYTES = 16, 160, 8
"""Bytes of a cell in the runtime; those of a register are as many limbs as it needs."""


def table_kind(table: ir.Table) -> str:
    """EXACT, LPM or TERNARY: which store of the runtime holds the table."""
    kinds = [k.match for k in table.keys]
    if any(k in _PRIORITISED for k in kinds):
        return "TERNARY"
    if kinds.count(ir.MatchKind.LPM) > 1:
        raise Unsupported(table, f"table {table.cp_name}: more than one lpm field is not supported")
    return "LPM" if ir.MatchKind.LPM in kinds else "EXACT"


def param_layout(action: ir.Action) -> Iterator[tuple[ir.Param, int]]:
    """The control plane's parameters with the byte that each begins at."""
    at = 0
    for param in action.cp_params:
        width = scalar_width(param.type)
        if width == 0:
            raise Unsupported(param, f"action parameter {param.name}: type {param.type} is not supported")
        yield param, at
        at += num_bytes(width)


def emit_tables(context: Context, out: Writer) -> None:
    """`tables`, in the order of `context.table_index`."""
    places = {name: i + 1 for i, name in enumerate(context.profiles)}
    for name in places:
        _profile_actions(context, name, out)
    descriptions = [_table(context, table, places, out) for table in context.tables.values()]
    descriptions += [_value_set(context, value_set, out) for value_set in context.value_sets.values()]
    _array(out, "ss_table_desc", "tables", descriptions)
    profiles = [_profile(context, profile) for profile in context.profiles.values()]
    _array(out, "ss_profile_desc", "profiles", profiles)


def _profile_actions(context: Context, name: str, out: Writer) -> None:
    """The actions of a profile: those of all its tables; the server knows which of them a table takes."""
    tables = [t for t in context.tables.values() if t.implementation == name]
    refs = {ref.action: ref for t in reversed(tables) for ref in t.actions}
    listed = _shared_actions(context, name)
    actions = [_action(context, refs[action], f"{name}_{i}", out) for i, action in enumerate(listed)]
    _array(out, "ss_action_desc", f"actions_{name}", actions)


def _profile(context: Context, profile: ir.Extern) -> str:
    count = len(_shared_actions(context, profile.name))
    profile_id = context.ids.get("action profile", profile.cp_name, profile)
    return f"{{{profile_id:#x}u, {count}, actions_{profile.name}}}"


def _shared_actions(context: Context, name: str) -> list[str]:
    table = next((t for t in context.tables.values() if t.implementation == name), None)
    return context.action_list(table) if table is not None else []


def _value_set(context: Context, value_set: ir.ValueSet, out: Writer) -> str:
    """A table that is only asked whether it has an entry."""
    name = value_set.name
    _check_key(value_set, value_set.cp_name, value_set.members)
    fields = [f"{{{k.width}, SS_{k.match.name}}}" for k in value_set.members]
    _array(out, "ss_field_desc", f"fields_{name}", fields)
    set_id = context.ids.get("value set", value_set.cp_name, value_set)
    out.line(f"static const uint16_t params_{name}[] = {{0}};")
    out.line(
        f"static const ss_action_desc actions_{name}[] = {{{{{set_id:#x}u, 0, 0, params_{name}, 0, 0}}}};"
    )
    out.line(f"static const uint8_t default_{name}[] = {{0}};")
    return (
        f"{{.id = {set_id:#x}u, .name = {c_string(value_set.cp_name)}, .kind = SS_TABLE_TERNARY, "
        f".fields = {len(fields)}, .actions = 1, .field = fields_{name}, .action = actions_{name}, "
        f".size = {value_set.size}, .default_params = default_{name}}}"
    )


def _check_key(where: e.Node, name: str, keys: tuple[ir.Key, ...]) -> None:
    if sum(num_bytes(k.width) for k in keys) > MAX_KEY_BYTES:
        raise Unsupported(where, f"{name}: keys of more than {MAX_KEY_BYTES} bytes are not supported")


def emit_externs(context: Context, out: Writer) -> None:
    """`counters`, `meters`, `registers`."""
    _check_arrays(context)
    ids = context.ids.get
    counters = [f"{{{ids('counter', c.cp_name, c):#x}u, {c.size}}}" for c in context.counters.values()]
    _array(out, "ss_counter_desc", "counters", counters)
    meters = []
    for m in context.meters.values():
        in_bytes = "true" if m.unit is ir.Unit.BYTES else "false"
        meters.append(f"{{{ids('meter', m.cp_name, m):#x}u, {m.size}, {in_bytes}}}")
    _array(out, "ss_meter_desc", "meters", meters)
    registers = []
    for r in context.registers.values():
        registers.append(f"{{{ids('register', r.cp_name, r):#x}u, {r.size}, {scalar_width(r.element)}}}")
    _array(out, "ss_register_desc", "registers", registers)


def _check_arrays(context: Context) -> None:
    sizes = [(c, c.size * _COUNTER_BYTES) for c in context.counters.values()]
    sizes += [(m, m.size * _METER_BYTES) for m in context.meters.values()]
    for r in context.registers.values():
        sizes.append((r, r.size * _LIMB_BYTES * (scalar_width(r.element) + 63) // 64))
    total = 0
    for array, size in sizes:
        total += size
        if total > MAX_ARRAY_BYTES:
            what = f"counters, meters and registers of more than {MAX_ARRAY_BYTES >> 30} GiB"
            raise Unsupported(array, f"{array.cp_name}: {what} together are not supported")


def _array(out: Writer, ctype: str, name: str, elements: list[str]) -> None:
    out.line(f"static const {ctype} {name}[] = {{")
    for element in elements or ["{0}"]:
        out.line(f"{element},")
    out.line("};")
    out.line()


def _table(context: Context, table: ir.Table, profiles: dict[str, int], out: Writer) -> str:
    """Writes the arrays that the description refers to; returns the description."""
    name = table.name
    _check_key(table, f"table {table.cp_name}", table.keys)
    _array(out, "ss_field_desc", f"fields_{name}", [f"{{{k.width}, SS_{k.match.name}}}" for k in table.keys])
    places = {action: i for i, action in enumerate(context.action_list(table))}
    own_actions = table.implementation or name
    if table.implementation is None:
        actions = [_action(context, ref, f"{name}_{i}", out) for i, ref in enumerate(table.actions)]
        _array(out, "ss_action_desc", f"actions_{name}", actions)
    default = context.actions[table.default.action]
    out.line(f"static const uint8_t default_{name}[] = {byte_array(_params(default, table.default))};")
    entries = [
        _entry(context, table, entry, places, f"{name}_{i}", out) for i, entry in enumerate(table.entries)
    ]
    _array(out, "ss_entry_desc", f"entries_{name}", entries)
    flags = [table.const_entries, table.const_default, table.counter is not None, table.idle_timeout]
    parts = [
        f"{context.ids.get('table', table.cp_name, table):#x}u",
        c_string(table.cp_name),
        f"SS_TABLE_{table_kind(table)}",
        f"{len(table.keys)}",
        f"{len(places)}",
        f"fields_{name}",
        f"actions_{own_actions}",
        f"{max(table.size, len(entries))}",
        *(str(flag).lower() for flag in flags),
        f"{places[table.default.action]}",
        f"default_{name}",
        f"{len(entries)}",
        f"entries_{name}",
        _metered(context, table),
        f"{profiles.get(table.implementation or '', 0)}",
    ]
    return "{" + ", ".join(parts) + "}"


def _metered(context: Context, table: ir.Table) -> str:
    meter = context.externs.get(table.meter or "")
    if not isinstance(meter, ir.DirectMeter):
        return "SS_UNMETERED"
    return "SS_METER_BYTES" if meter.unit is ir.Unit.BYTES else "SS_METER_PACKETS"


def _action(context: Context, ref: ir.ActionRef, name: str, out: Writer) -> str:
    action = context.actions[ref.action]
    layout = list(param_layout(action))
    total = sum(num_bytes(scalar_width(p.type)) for p, _ in layout)
    if total > MAX_PARAM_BYTES:
        raise Unsupported(ref, f"more than {MAX_PARAM_BYTES} bytes of action parameters are not supported")
    widths = ", ".join(str(scalar_width(p.type)) for p, _ in layout)
    out.line(f"static const uint16_t params_{name}[] = {{{widths or '0'}}};")
    action_id = context.ids.get("action", action.cp_name, ref)
    only = f"{int(ref.table_only)}, {int(ref.default_only)}"
    return f"{{{action_id:#x}u, {len(layout)}, {total}, params_{name}, {only}}}"


def _constant(expr: e.Expr) -> int:
    if isinstance(expr, e.Const | e.BoolConst | e.EnumConst | e.ErrorConst):
        return int(expr.value)
    raise Unsupported(expr, "this must be a constant")


def _big_endian(value: int, width: int) -> bytes:
    return (value & (1 << width) - 1).to_bytes(num_bytes(width), "big")


def _params(action: ir.Action, call: ir.ActionCallConst) -> bytes:
    return b"".join(
        _big_endian(_constant(value), scalar_width(p.type))
        for p, value in zip(action.cp_params, call.args, strict=True)
    )


def _entry(
    context: Context, table: ir.Table, entry: ir.Entry, places: dict[str, int], name: str, out: Writer
) -> str:
    key, mask = b"", b""
    for field, match in zip(table.keys, entry.keys, strict=True):
        value, other = _match(field, match)
        key += _big_endian(value, field.width)
        mask += _big_endian(other, field.width)
    params = _params(context.actions[entry.action.action], entry.action)
    out.line(f"static const uint8_t key_{name}[] = {byte_array(key)};")
    out.line(f"static const uint8_t mask_{name}[] = {byte_array(mask)};")
    out.line(f"static const uint8_t values_{name}[] = {byte_array(params)};")
    is_const = str(entry.const or table.const_entries).lower()
    place = places[entry.action.action]
    return f"{{{place}, {entry.priority}, {is_const}, key_{name}, mask_{name}, values_{name}}}"


def _match(field: ir.Key, match: e.KeySet) -> tuple[int, int]:
    """Key and mask of one field; for a range its ends."""
    ones, is_range = (1 << field.width) - 1, field.match is ir.MatchKind.RANGE
    if isinstance(match, e.KeyAny):
        return (0, ones) if is_range else (0, 0)
    if isinstance(match, e.KeyValue):
        value = _constant(match.value) & ones
        return (value, value) if is_range else (value, ones)
    if isinstance(match, e.KeyMask) and not is_range:
        return match.value & match.mask, match.mask
    if isinstance(match, e.KeyRange) and is_range and not is_signed(field.expr.type):
        return match.low, match.high
    raise Unsupported(field, f"an entry of this form does not fit a match of kind {field.match.value}")
