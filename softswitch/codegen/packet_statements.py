# SPDX-License-Identifier: Apache-2.0
"""Statements on headers and packets: extract, lookahead, advance, emit, validity, stacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from softswitch.codegen import bits, codec
from softswitch.codegen.bits import Bits
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.expressions import address, member
from softswitch.codegen.layout import flat_fields, is_scalar, num_bytes, scalar_width
from softswitch.codegen.names import c_name
from softswitch.p4 import ir_expr as e
from softswitch.p4 import ir_stmt as s
from softswitch.p4.types import (
    BoolType,
    FieldsType,
    HeaderType,
    StackType,
    StructType,
    Type,
    UnionType,
    VarbitType,
)

if TYPE_CHECKING:
    from softswitch.codegen.statements import Statements

_LEFT = "x->packet_len - x->cursor"


def _header_type(expr: e.Expr) -> HeaderType:
    if not isinstance(expr.type, HeaderType):
        raise Unsupported(expr, f"this needs a header, not a value of type {expr.type}")
    return expr.type


def extract(to: Statements, stmt: s.Extract) -> None:
    """`packet.extract(header)`; errors in BMv2's order."""
    header, out = _header_type(stmt.header), to.out
    size, function = codec.fixed_bits(header, stmt.loc) // 8, to.context.codec.extract(header, stmt.loc)
    limit = codec.varbit_limit(header)
    if (limit is None) != (stmt.varbit_bits is None):
        raise Unsupported(
            stmt, "extract takes a second argument for a header with a varbit field, and only for one"
        )
    to.check_stacks(stmt.header)
    target = address(to.l_value(stmt.header))
    if stmt.varbit_bits is None:
        out.line(f"if ({_LEFT} < {size}) {to.fail('PacketTooShort')}")
        out.line(f"{function}({target}, x->packet + x->cursor);")
        out.line(f"x->cursor += {size};")
    else:
        to.check_stacks(stmt.varbit_bits)
        length = to.temporary()
        out.line("{")
        out.line(f"const uint64_t {length} = {to.expressions.as_u64(stmt.varbit_bits)};")
        out.line(f"if ({length} % 8 != 0) {to.fail('ParserInvalidArgument')}")
        out.line(f"if ({_LEFT} < {size} + {length} / 8) {to.fail('PacketTooShort')}")
        out.line(f"if ({length} > {limit}) {to.fail('HeaderTooShort')}")
        out.line(f"{function}({target}, x->packet + x->cursor, (uint32_t){length});")
        out.line(f"x->cursor += {size} + (uint32_t){length} / 8;")
        out.line("}")
    to.invalidate_others(stmt.header)
    element = stmt.header.base if isinstance(stmt.header, e.FieldRef) else stmt.header  # a union's member
    if isinstance(element, e.StackNext):
        out.line(f"{member(to.l_value(element.base), 'next')}++;")


def advance(to: Statements, stmt: s.Advance) -> None:
    """`packet.advance(bits)`: whole bytes, as BMv2."""
    if isinstance(stmt.bits, e.Const):
        if stmt.bits.value % 8:
            to.out.line(to.fail("ParserInvalidArgument"))
            return
        size = stmt.bits.value // 8
        to.out.line(f"if ({_LEFT} < {size}) {to.fail('PacketTooShort')}")
        to.out.line(f"x->cursor += {size};")
        return
    length = to.temporary()
    to.out.line("{")
    to.out.line(f"const uint64_t {length} = {to.expressions.as_u64(stmt.bits)};")
    to.out.line(f"if ({length} % 8 != 0) {to.fail('ParserInvalidArgument')}")
    to.out.line(f"if ({_LEFT} < {length} / 8) {to.fail('PacketTooShort')}")
    to.out.line(f"x->cursor += (uint32_t)({length} / 8);")
    to.out.line("}")


def lookahead(to: Statements, stmt: s.Lookahead) -> None:
    """`target = packet.lookahead<T>()`."""
    t, out = stmt.target.type, to.out
    target = to.l_value(stmt.target)
    if isinstance(t, HeaderType) and codec.varbit_limit(t) is None:
        size = codec.fixed_bits(t, stmt.loc) // 8
        out.line(f"if ({_LEFT} < {size}) {to.fail('PacketTooShort')}")
        out.line(f"{to.context.codec.extract(t, stmt.loc)}({address(target)}, x->packet + x->cursor);")
        return
    fields = _lookahead_fields(t, target, stmt)
    total = sum(f.width for f in fields)
    out.line(f"if ({_LEFT} < {num_bytes(total)}) {to.fail('PacketTooShort')}")
    bits.load(out, "x->packet + x->cursor", fields)
    for header in _headers_within(t, target):
        out.line(f"{member(header, 'ss_valid')} = true;")


def _lookahead_fields(t: Type, target: str, where: e.Node) -> list[Bits]:
    if is_scalar(t):
        return [Bits(target, scalar_width(t), isinstance(t, BoolType))]
    if isinstance(t, StackType):
        items = member(target, "items")
        return [x for i in range(t.size) for x in _lookahead_fields(t.element, f"{items}[{i}]", where)]
    if not isinstance(t, StructType | HeaderType):
        raise Unsupported(where, f"lookahead of type {t} is not supported")
    return [x for f in t.fields for x in _lookahead_fields(f.type, member(target, c_name(f.name)), where)]


def _headers_within(t: Type, target: str) -> Iterator[str]:
    """C l-values of the headers that a value is made of."""
    if isinstance(t, HeaderType):
        yield target
    elif isinstance(t, StackType):
        for i in range(t.size):
            yield from _headers_within(t.element, f"{member(target, 'items')}[{i}]")
    elif isinstance(t, StructType):
        for f in t.fields:
            yield from _headers_within(f.type, member(target, c_name(f.name)))


def emit(to: Statements, text: str, t: Type, loc: e.Loc) -> None:
    """`packet.emit(value)`: headers in order, the valid ones."""
    if isinstance(t, HeaderType):
        to.out.line(f"{to.context.codec.emit(t, loc)}(x, {address(text)});")
    elif isinstance(t, StackType):
        for i in range(t.size):
            emit(to, f"{member(text, 'items')}[{i}]", t.element, loc)
    elif isinstance(t, StructType | UnionType):
        for f in t.fields:
            emit(to, member(text, c_name(f.name)), f.type, loc)
    else:
        raise Unsupported(loc, f"a value of type {t} cannot be emitted")


def most_emitted(t: Type, loc: e.Loc) -> int:
    """Most bytes that emitting a value of the type takes."""
    if isinstance(t, HeaderType):
        return codec.most_bytes(t, loc)
    if isinstance(t, StackType):
        return t.size * most_emitted(t.element, loc)
    if isinstance(t, FieldsType):
        return sum(most_emitted(f.type, loc) for f in t.fields)
    raise Unsupported(loc, f"a value of type {t} cannot be emitted")


def _size_now(header: HeaderType, name: str, loc: e.Loc) -> str:
    """C expression of a header's size in bytes; 0 where it cannot be in a packet anyway."""
    total = sum(scalar_width(f) for _, f in flat_fields(header))
    varbit = next((path for path, f in flat_fields(header) if isinstance(f, VarbitType)), None)
    return f"{total // 8}" + (f" + {name}->{varbit}.bits / 8" if varbit else "")


def set_valid(to: Statements, stmt: s.SetValid) -> None:
    """setValid zeroes the fields of a header that was not valid; both keep BMv2's packet length register."""
    header, name = _header_type(stmt.header), to.temporary()
    ctype = to.context.layout.ctype(header, stmt.loc)
    size, out = _size_now(header, name, stmt.loc), to.out
    out.line("{")
    out.line(f"{ctype} *const {name} = {address(to.l_value(stmt.header))};")
    if stmt.valid:
        out.line(f"if (!{name}->ss_valid) {{")
        out.line(f"*{name} = ({ctype}){{.ss_valid = true}};")
        out.line(f"x->length_register += {size};")
    else:
        out.line(f"if ({name}->ss_valid) {{")
        out.line(f"{name}->ss_valid = false;")
        out.line(f"x->length_register -= {size};")
    out.line("}")
    out.line("}")


def shift_stack(to: Statements, stmt: s.ShiftStack) -> None:
    """`push_front` and `pop_front` (P4_16, section 8.18): elements move, those that come free are invalid."""
    t = stmt.stack.type
    if not isinstance(t, StackType) or not isinstance(t.element, HeaderType):
        raise Unsupported(stmt, f"push_front and pop_front of {t} are not supported")
    stack, count, out = to.l_value(stmt.stack), min(stmt.count, t.size), to.out
    items, next_index, kept = member(stack, "items"), member(stack, "next"), t.size - min(stmt.count, t.size)
    first_free = 0 if stmt.push else kept
    if kept:
        source, target = (0, count) if stmt.push else (count, 0)
        out.line(f"memmove(&{items}[{target}], &{items}[{source}], {kept} * sizeof {items}[0]);")
    for i in range(first_free, first_free + count):
        out.line(f"{items}[{i}].ss_valid = false;")
    if stmt.push:
        out.line(f"{next_index} = {next_index} + {count} > {t.size} ? {t.size} : {next_index} + {count};")
    else:
        out.line(f"{next_index} = {next_index} < {count} ? 0 : {next_index} - {count};")
