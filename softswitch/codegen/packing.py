# SPDX-License-Identifier: Apache-2.0
"""Lists of fields as bytes: the data of hashes and checksums, keys, digests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from softswitch.codegen import bits
from softswitch.codegen.bits import Bits
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.expressions import Expressions, member
from softswitch.codegen.layout import WIDE, flat_fields, is_scalar, limbs, num_bytes, scalar_width, unsigned
from softswitch.codegen.writer import Writer
from softswitch.p4 import ir_expr as e
from softswitch.p4.types import BitType, BoolType, HeaderType, StructType, TupleType, VarbitType


@dataclass(frozen=True)
class Piece:
    """One field. `guard`: C condition under which its header is valid, "" = it is in none."""

    text: str
    width: int
    guard: str
    is_varbit: bool = False
    is_bool: bool = False


def valid_guard(expr: e.Expr, expressions: Expressions) -> str:
    """The validity of the header that the expression is a field of; "" when it is none."""
    while isinstance(expr, e.FieldRef):
        if isinstance(expr.base.type, HeaderType):
            return member(expressions.l_value(expr.base), "ss_valid")
        expr = expr.base
    return ""


def pieces(expr: e.Expr, expressions: Expressions) -> Iterator[Piece]:
    """The fields of a tuple, struct, header or number, in order."""
    if isinstance(expr, e.TupleExpr | e.FieldsExpr):
        for value in expr.values:
            yield from pieces(value, expressions)
        return
    if is_scalar(expr.type):
        text, width = expressions.value(expr), scalar_width(expr.type)
        yield Piece(text, width, valid_guard(expr, expressions), False, isinstance(expr.type, BoolType))
        return
    if isinstance(expr.type, TupleType):
        for i, element in enumerate(expr.type.elements):
            yield from pieces(e.Index(element, expr, e.Const(BitType(32), i)), expressions)
        return
    base = expressions.value(expr)
    if isinstance(expr.type, VarbitType):
        yield Piece(base, expr.type.width, valid_guard(expr, expressions), True)
        return
    if not isinstance(expr.type, StructType | HeaderType):
        raise Unsupported(expr, f"a value of type {expr.type} cannot be hashed or sent")
    guard = member(base, "ss_valid") if isinstance(expr.type, HeaderType) else ""
    for path, t in flat_fields(expr.type):
        if is_scalar(t):
            yield Piece(member(base, path), scalar_width(t), guard, False, isinstance(t, BoolType))
        elif isinstance(t, VarbitType):
            yield Piece(member(base, path), t.width, guard, True)
        else:
            raise Unsupported(expr, f"{expr.type}.{path}: a value of type {t} cannot be hashed or sent")


def pack(out: Writer, expr: e.Expr, expressions: Expressions, *, guarded: bool) -> None:
    """Declares `uint8_t ss_data[]` with the fields bit after bit, filled up with zeros, and `ss_n`, its
    bytes.

    BMv2 leaves out fields of invalid headers in checksums (`guarded`); a hash gets copies of the fields.
    """
    found = list(pieces(expr, expressions))
    if not guarded:
        found = [replace(p, guard="") for p in found]
    size = num_bytes(sum(p.width for p in found))
    if size > 4096:
        raise Unsupported(expr, "more than 4096 bytes of data to hash are not supported")
    runs = [(guard, list(run)) for guard, run in groupby(found, key=lambda p: p.guard)]
    aligned = all(sum(p.width for p in run) % 8 == 0 for _, run in runs[:-1])
    varbits = any(p.is_varbit for p in found)
    if aligned and not varbits:
        _pack_runs(out, runs, size)
    else:
        _pack_bits(out, found, size)


def _pack_runs(out: Writer, runs: list[tuple[str, list[Piece]]], size: int) -> None:
    out.line(f"uint8_t ss_data[{max(size, 1)}];")
    out.line("uint32_t ss_n = 0;")
    for guard, run in runs:
        if guard:
            out.line(f"if ({guard}) {{")
        bits.store(out, "ss_data + ss_n", [Bits(p.text, p.width, p.is_bool) for p in run])
        out.line(f"ss_n += {num_bytes(sum(p.width for p in run))};")
        if guard:
            out.line("}")


def _pack_bits(out: Writer, found: list[Piece], size: int) -> None:
    out.line(f"uint8_t ss_data[{size + 1}] = {{0}};")
    out.line("uint32_t ss_n = 0;")
    for p in found:
        if p.guard:
            out.line(f"if ({p.guard}) {{")
        if p.is_varbit:
            out.line(f"for (uint32_t ss_i = 0; ss_i < {p.text}.bits / 8; ss_i++, ss_n += 8) {{")
            out.line(f"ss_put_bits(ss_data, ss_n, 8, {p.text}.data[ss_i]);")
            out.line("}")
        elif p.width > 128:
            out.line(f"ss_wide_store(ss_data, ss_n, {p.width}, {p.text}.w);")
        elif p.width > 64:
            out.line(f"ss_put_bits(ss_data, ss_n, {p.width - 64}, (uint64_t)({p.text} >> 64));")
            out.line(f"ss_put_bits(ss_data, ss_n + {p.width - 64}, 64, (uint64_t){p.text});")
        else:
            out.line(f"ss_put_bits(ss_data, ss_n, {p.width}, {p.text});")
        if not p.is_varbit:
            out.line(f"ss_n += {p.width};")
        if p.guard:
            out.line("}")
    out.line("ss_n = (ss_n + 7) / 8;")


def declare_key(out: Writer, found: list[Piece]) -> None:
    """Declares `key`, the words of a look-up: every field in whole bytes of its own, big-endian, one behind
    the other, and zeros at the end.

    The words are put together in registers. Bytes that were stored field by field, and are read as a word
    right behind that, keep a processor waiting until all stores have reached its cache.
    """
    words: list[list[str]] = [[] for _ in range((sum(num_bytes(p.width) for p in found) + 7) // 8)]
    at = 0
    for place, p in enumerate(found):
        _refuse_varbit(p)
        text, end = p.text, at + num_bytes(p.width)
        touched = range(at // 8, (end + 7) // 8)
        if len(touched) > 1:
            text = f"ss_key{place}"
            out.line(f"const {unsigned(p.width)} {text} = {p.text};")
        for word in touched:
            words[word].append(_in_word(text, p.width, 8 * (end - 8 * word - 8)))
        at = end
    listed = ", ".join(f"ss_key_word({' | '.join(parts)})" for parts in words)
    out.line(f"const uint64_t key[] = {{{listed}}};")


def _in_word(text: str, width: int, behind: int) -> str:
    """What a value has in a word, of which so many of its bits lie behind the word (before its end: < 0)."""
    if behind < 0:
        lowest = text if width <= WIDE else f"{text}.w[0]"
        return f"(uint64_t){lowest} << {-behind}"
    if width <= WIDE:
        return f"(uint64_t)({text} >> {behind})" if behind else f"(uint64_t){text}"
    limb, bit = divmod(behind, 64)
    low = f"{text}.w[{limb}] >> {bit}"
    return f"{low} | {text}.w[{limb + 1}] << {64 - bit}" if bit and limb + 1 < limbs(width) else low


def _refuse_varbit(p: Piece) -> None:
    if p.is_varbit:
        raise Unsupported(e.NOWHERE, "a varbit cannot be part of a digest or a key")


def pack_bytewise(out: Writer, where: str, found: list[Piece]) -> int:
    """Stores every field in whole bytes of its own, one behind the other, from `where` on; returns how many
    bytes."""
    at = 0
    for p in found:
        _refuse_varbit(p)
        size = num_bytes(p.width)
        spare = size * 8 - p.width
        row = (
            [Bits("0", spare), Bits(p.text, p.width)] if spare and p.width > 64 else [Bits(p.text, size * 8)]
        )
        bits.store(out, f"{where} + {at}" if at else where, row)
        at += size
    return at
