# SPDX-License-Identifier: Apache-2.0
"""Match keys and action parameters: from protobuf to the byte layouts of `runtime/switch.h` and back.

The layouts of a table or action are worked out once, when the program is loaded; a write then only checks
and joins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from finsy.proto import p4i, p4r

from softswitch.p4runtime.bytestrings import byte_width, decode_unsigned, shortest
from softswitch.p4runtime.errors import invalid, unimplemented


class MatchKind(IntEnum):
    """How a field matches; the values are P4Info's."""

    EXACT = p4i.MatchField.EXACT
    LPM = p4i.MatchField.LPM
    TERNARY = p4i.MatchField.TERNARY
    RANGE = p4i.MatchField.RANGE
    OPTIONAL = p4i.MatchField.OPTIONAL


_MESSAGE_FIELD = {
    MatchKind.EXACT: "exact",
    MatchKind.LPM: "lpm",
    MatchKind.TERNARY: "ternary",
    MatchKind.RANGE: "range",
    MatchKind.OPTIONAL: "optional",
}
_UNSIZED_BITS = 32  # of a field without a width in P4Info, an error or a plain enum, in the data plane
_WITH_PRIORITY = {MatchKind.TERNARY, MatchKind.RANGE, MatchKind.OPTIONAL}


class Key(NamedTuple):
    """An entry's identity within its table; `mask` is None where every field is exact."""

    key: bytes
    mask: bytes | None


@dataclass(frozen=True, slots=True)
class MatchField:
    """One field of a table's key."""

    id: int
    name: str
    bits: int
    kind: MatchKind
    size: int
    highest_first_byte: int  # of a value that has all `size` bytes
    ones: bytes

    def wildcard(self) -> Key:
        """What "don't care" means in the data plane's layout."""
        zeros = bytes(self.size)
        return Key(zeros, self.ones if self.kind is MatchKind.RANGE else zeros)

    def encode(self, match: p4r.FieldMatch) -> Key:
        """Value and mask of this field; see the specification, "Match Format", for what is refused."""
        given = match.WhichOneof("field_match_type")
        if given != _MESSAGE_FIELD[self.kind]:
            raise invalid(f"field {self.name}: is matched {_MESSAGE_FIELD[self.kind]}, not {given}")
        if self.kind is MatchKind.EXACT:
            return Key(self._value(match.exact.value), self.ones)
        if self.kind is MatchKind.OPTIONAL:
            return Key(self._value(match.optional.value), self.ones)
        if self.kind is MatchKind.LPM:
            return self._encode_lpm(match.lpm)
        if self.kind is MatchKind.TERNARY:
            return self._encode_ternary(match.ternary)
        return self._encode_range(match.range)

    def decode(self, value: bytes, mask: bytes, entry: p4r.TableEntry) -> None:
        """Add this field to an entry's match, unless it is "don't care"."""
        if self.kind is MatchKind.EXACT:
            match = entry.match.add()
            match.field_id = self.id
            match.exact.value = value.lstrip(b"\0") or b"\0"
            return
        if (value, mask) == self.wildcard() or (self.kind is not MatchKind.RANGE and not any(mask)):
            return
        match = entry.match.add()
        match.field_id = self.id
        if self.kind is MatchKind.LPM:
            match.lpm.value = shortest(value)
            match.lpm.prefix_len = int.from_bytes(mask, "big").bit_count()
        elif self.kind is MatchKind.TERNARY:
            match.ternary.value = shortest(value)
            match.ternary.mask = shortest(mask)
        elif self.kind is MatchKind.RANGE:
            match.range.low = shortest(value)
            match.range.high = shortest(mask)
        else:
            match.optional.value = shortest(value)

    def _value(self, value: bytes) -> bytes:
        return decode_unsigned(value, self.bits, self.name)

    def _encode_lpm(self, lpm: p4r.FieldMatch.LPM) -> Key:
        if not 0 < lpm.prefix_len <= self.bits:
            hint = "; leave the field out for don't care" if lpm.prefix_len == 0 else ""
            raise invalid(f"field {self.name}: prefix length {lpm.prefix_len} is not in 1..{self.bits}{hint}")
        value = self._value(lpm.value)
        mask = ((1 << lpm.prefix_len) - 1) << (self.bits - lpm.prefix_len)
        if int.from_bytes(value, "big") & ~mask:
            raise invalid(f"field {self.name}: bits beyond the prefix /{lpm.prefix_len} must be 0")
        return Key(value, mask.to_bytes(self.size, "big"))

    def _encode_ternary(self, ternary: p4r.FieldMatch.Ternary) -> Key:
        value, mask = self._value(ternary.value), self._value(ternary.mask)
        mask_bits = int.from_bytes(mask, "big")
        if mask_bits == 0:
            raise invalid(f"field {self.name}: mask 0; leave the field out for don't care")
        if int.from_bytes(value, "big") & ~mask_bits:
            raise invalid(f"field {self.name}: bits outside the mask must be 0")
        return Key(value, mask)

    def _encode_range(self, bounds: p4r.FieldMatch.Range) -> Key:
        low, high = self._value(bounds.low), self._value(bounds.high)
        if low > high:
            raise invalid(f"field {self.name}: low bound above high bound")
        if not any(low) and high == self.ones:
            raise invalid(f"field {self.name}: whole range; leave the field out for don't care")
        return Key(low, high)


class KeyCodec:
    """The key of one table."""

    def __init__(self, table: p4i.Table) -> None:
        self.fields = tuple(_match_field(table, field) for field in table.match_fields)
        self.size = sum(field.size for field in self.fields)
        self.needs_priority = any(field.kind in _WITH_PRIORITY for field in self.fields)
        self.all_exact = all(field.kind is MatchKind.EXACT for field in self.fields)
        self._by_id = {field.id: field for field in self.fields}
        self._ids = [field.id for field in self.fields]
        self._exact = [(field.id, field.size, field.highest_first_byte) for field in self.fields]

    def encode(self, matches: Sequence[p4r.FieldMatch]) -> Key:
        """The key and mask of an entry."""
        if self.all_exact and len(matches) == len(self._exact):
            key = self._encode_exact(matches)
            if key is not None:
                return Key(key, None)
        return self._encode_any(matches)

    def decode(self, key: bytes, mask: bytes, entry: p4r.TableEntry) -> None:
        """Fill in an entry's match from the data plane's record; fields that are "don't care" stay out."""
        start = 0
        for field in self.fields:
            end = start + field.size
            field.decode(key[start:end], mask[start:end], entry)
            start = end

    def _encode_exact(self, matches: Sequence[p4r.FieldMatch]) -> bytes | None:
        """The quick way for fields in order; None if anything is unusual: the thorough way judges."""
        parts: list[bytes] = []
        for match, (field_id, size, highest) in zip(matches, self._exact, strict=True):
            value = match.exact.value
            length = len(value)
            if match.field_id != field_id or length > size or not length:
                return None
            if length == size:
                if value[0] > highest:
                    return None
                parts.append(value)
            else:
                parts.append(value.rjust(size, b"\0"))
        return b"".join(parts)

    def _encode_any(self, matches: Iterable[p4r.FieldMatch]) -> Key:
        given: dict[int, Key] = {}
        for match in matches:
            field = self._by_id.get(match.field_id)
            if field is None:
                raise invalid(f"match field id {match.field_id} does not exist: the table has {self._ids}")
            if match.field_id in given:
                raise invalid(f"field {field.name}: given twice")
            given[match.field_id] = field.encode(match)
        parts: list[Key] = []
        for field in self.fields:
            part = given.get(field.id)
            if part is None:
                if field.kind is MatchKind.EXACT:
                    raise invalid(f"field {field.name}: missing, an exact field must be given")
                part = field.wildcard()
            parts.append(part)
        key = b"".join(part.key for part in parts)
        if self.all_exact:
            return Key(key, None)
        return Key(key, b"".join(part.mask or b"" for part in parts))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an action."""

    id: int
    name: str
    bits: int
    size: int
    highest_first_byte: int


class ActionCodec:
    """The parameters of one action."""

    def __init__(self, action: p4i.Action) -> None:
        self.id = action.preamble.id
        self.name = action.preamble.alias or action.preamble.name
        for parameter in action.params:
            if parameter.bitwidth <= 0:
                raise unimplemented(
                    f"action {self.name}: parameter {parameter.name} has a type without a bit width"
                )
        self.params = tuple(
            Parameter(
                parameter.id,
                parameter.name,
                parameter.bitwidth,
                byte_width(parameter.bitwidth),
                _highest_first_byte(parameter.bitwidth),
            )
            for parameter in action.params
        )
        self.size = sum(parameter.size for parameter in self.params)

    def encode(self, action: p4r.Action) -> bytes:
        """All parameters, joined in P4Info's order."""
        given = action.params
        if len(given) != len(self.params):
            self._explain(action)
        parts: list[bytes] = []
        for argument, parameter in zip(given, self.params, strict=True):
            if argument.param_id != parameter.id:
                return self._encode_unordered(action)
            value = argument.value
            if 0 < len(value) < parameter.size:
                parts.append(value.rjust(parameter.size, b"\0"))
            elif len(value) == parameter.size and value[0] <= parameter.highest_first_byte:
                parts.append(value)
            else:
                parts.append(decode_unsigned(value, parameter.bits, parameter.name))
        return b"".join(parts)

    def decode(self, params: bytes, action: p4r.Action) -> None:
        """Fill in an action from the data plane's record."""
        action.action_id = self.id
        start = 0
        for parameter in self.params:
            end = start + parameter.size
            argument = action.params.add()
            argument.param_id = parameter.id
            argument.value = params[start:end].lstrip(b"\0") or b"\0"
            start = end

    def _encode_unordered(self, action: p4r.Action) -> bytes:
        values = {argument.param_id: argument.value for argument in action.params}
        if values.keys() != {parameter.id for parameter in self.params}:
            self._explain(action)
        return b"".join(
            decode_unsigned(values[parameter.id], parameter.bits, parameter.name) for parameter in self.params
        )

    def _explain(self, action: p4r.Action) -> None:
        """Say which parameter is missing, unknown or given twice."""
        known = {parameter.id: parameter.name for parameter in self.params}
        seen: set[int] = set()
        for argument in action.params:
            if argument.param_id not in known:
                raise invalid(f"action {self.name}: no parameter with id {argument.param_id}")
            if argument.param_id in seen:
                raise invalid(f"action {self.name}: parameter {known[argument.param_id]} given twice")
            seen.add(argument.param_id)
        missing = ", ".join(name for number, name in known.items() if number not in seen)
        raise invalid(f"action {self.name}: parameter missing: {missing}")


def _match_field(table: p4i.Table, field: p4i.MatchField) -> MatchField:
    try:
        kind = MatchKind(field.match_type)
    except ValueError:
        shown = field.other_match_type or "none"
        raise unimplemented(f"table {table.preamble.name}: field {field.name}: match type {shown}") from None
    if field.bitwidth <= 0 and field.type_name.name:
        raise unimplemented(f"table {table.preamble.name}: field {field.name} has a type without a bit width")
    bits = field.bitwidth or _UNSIZED_BITS
    size = byte_width(bits)
    ones = ((1 << bits) - 1).to_bytes(size, "big")
    return MatchField(field.id, field.name, bits, kind, size, _highest_first_byte(bits), ones)


def _highest_first_byte(bits: int) -> int:
    return (1 << (bits & 7)) - 1 if bits & 7 else 0xFF
