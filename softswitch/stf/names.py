# SPDX-License-Identifier: Apache-2.0
"""From the names and values of an STF file to P4Runtime entries.

Names may be cut short from the left as long as they stay unique, `$` may stand before a stack's index, and
`valid` for `isValid()`: as in p4c's tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol, TypeVar

from finsy.proto import p4i, p4r

from softswitch.stf.script import Call, StfError, number

_BASES = {"0x": 4, "0o": 3, "0b": 1}
_STACK_INDEX = re.compile(r"\$(\d+)")


class Described(Protocol):
    """An object of P4Info."""

    @property
    def preamble(self) -> p4i.Preamble: ...


D = TypeVar("D", bound=Described)


def find(objects: Iterable[D], name: str, what: str) -> D:
    """The object whose name is, or ends in, `name`. StfError when there is none or more than one."""
    known = list(objects)
    for match in (
        [o for o in known if o.preamble.name == name],
        [o for o in known if o.preamble.name.endswith("." + name)],
        [o for o in known if o.preamble.name.endswith(name)],
    ):
        if len(match) > 1:
            raise StfError(f"{what} {name}: may be {' or '.join(sorted(m.preamble.name for m in match))}")
        if match:
            return match[0]
    names = ", ".join(sorted(o.preamble.name for o in known)) or "none"
    raise StfError(f"{what} {name} does not exist (there are: {names})")


def field_of(table: p4i.Table, name: str) -> p4i.MatchField:
    """The match field that a name means."""
    wanted = _STACK_INDEX.sub(r"[\1]", name)
    fields = {f.name: f for f in table.match_fields}
    valid = wanted[:-5] + "$valid$" if wanted.endswith("valid") else wanted + ".$valid$"
    for candidate in (wanted, wanted + "$", wanted + ".$valid$", valid):
        if candidate in fields:
            return fields[candidate]
    for f in table.match_fields:
        if f.name.endswith(("." + wanted, "." + wanted + "$", "." + valid)):
            return f
    raise StfError(f"table {table.preamble.name} has no field {name} (but {', '.join(fields) or 'none'})")


def to_bytes(value: int, bits: int, what: str) -> bytes:
    """A value that must fit."""
    if value < 0 or value >> bits:
        raise StfError(f"{what}: {value} does not fit in {bits} bits")
    return value.to_bytes((bits + 7) // 8 or 1, "big")


def masked(text: str, bits: int, *, by_digits: bool) -> tuple[int, int]:
    """Value and mask. `*` digits do not matter; `by_digits`: nor do bits beyond the digits written."""
    if "&&&" in text:
        value, mask = (number(part) for part in text.split("&&&"))
        return value & mask, mask
    width = _BASES.get(text[:2].lower())
    if width is None:
        if "*" in text:
            raise StfError(f"{text}: `*` needs a prefix 0x, 0o or 0b")
        return number(text), (1 << bits) - 1
    digits, value, mask = text[2:], 0, 0
    for digit in digits:
        value, mask = value << width, mask << width
        if digit != "*":
            value |= int(digit, 1 << width)
            mask |= (1 << width) - 1
    if not by_digits and "*" not in digits:
        mask = (1 << bits) - 1
    return value & mask, mask & ((1 << bits) - 1)


def field_match(field: p4i.MatchField, text: str) -> p4r.FieldMatch | None:
    """What an entry matches in one field, None for "don't care"."""
    bits = field.bitwidth
    match = p4r.FieldMatch(field_id=field.id)
    kind = field.match_type
    if kind == p4i.MatchField.EXACT:
        match.exact.value = to_bytes(number(text), bits, field.name)
    elif kind == p4i.MatchField.RANGE:
        low, _, high = text.partition("->")
        first = number(low)
        last = number(high) if high else first
        if (first, last) == (0, (1 << bits) - 1):
            return None
        match.range.low, match.range.high = (
            to_bytes(first, bits, field.name),
            to_bytes(last, bits, field.name),
        )
    elif kind == p4i.MatchField.LPM:
        value, length = _prefix(text, bits)
        if length == 0:
            return None
        match.lpm.value, match.lpm.prefix_len = to_bytes(value, bits, field.name), length
    else:
        value, mask = masked(text, bits, by_digits=kind == p4i.MatchField.TERNARY)
        if mask == 0:
            return None
        if kind == p4i.MatchField.OPTIONAL:
            match.optional.value = to_bytes(value, bits, field.name)
        else:
            match.ternary.value = to_bytes(value, bits, field.name)
            match.ternary.mask = to_bytes(mask, bits, field.name)
    return match


def _prefix(text: str, bits: int) -> tuple[int, int]:
    text, slash, length_text = text.partition("/")
    if slash:
        length = number(length_text)
    elif "*" in text:
        length = _BASES.get(text[:2].lower(), 0) * (len(text) - 2 - text.count("*"))
    else:
        length = bits
    if length > bits:
        raise StfError(f"prefix length {length} is longer than {bits} bits")
    return number(text.replace("*", "0")) >> (bits - length) << (bits - length), length


def table_entry(
    info: p4i.P4Info, table: p4i.Table, match: Iterable[tuple[str, str]], priority: int | None
) -> p4r.TableEntry:
    """An entry without its action. Priorities of tables with ternary, range or optional fields begin at 0."""
    entry = p4r.TableEntry(table_id=table.preamble.id)
    for name, text in match:
        made = field_match(field_of(table, name), text)
        if made is not None:
            entry.match.append(made)
    kinds = (p4i.MatchField.TERNARY, p4i.MatchField.RANGE, p4i.MatchField.OPTIONAL)
    if any(f.match_type in kinds for f in table.match_fields):
        entry.priority = (priority or 0) + 1
    return entry


def action_call(info: p4i.P4Info, table: p4i.Table, call: Call) -> p4r.Action:
    """An action of a table with its arguments."""
    listed = {reference.id for reference in table.action_refs}
    action = find((a for a in info.actions if a.preamble.id in listed), call.name, "action")
    made = p4r.Action(action_id=action.preamble.id)
    params = {p.name: p for p in action.params}
    given = dict(call.args)
    for name in given:
        if name not in params:
            raise StfError(f"action {call.name} has no parameter {name} (but {', '.join(params) or 'none'})")
    for name, param in params.items():
        if name not in given:
            raise StfError(f"action {call.name}: no value for parameter {name}")
        value = to_bytes(number(given[name]), param.bitwidth, f"parameter {name}")
        made.params.add(param_id=param.id, value=value)
    return made
