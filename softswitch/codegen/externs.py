# SPDX-License-Identifier: Apache-2.0
"""Calls of v1model's extern functions and of methods of extern instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from softswitch.codegen.errors import Unsupported
from softswitch.codegen.expressions import address
from softswitch.codegen.layout import is_scalar, is_wide, limbs, scalar_width, unsigned
from softswitch.codegen.names import c_string, number
from softswitch.codegen.packing import pack, pack_bytewise, pieces, valid_guard
from softswitch.p4 import ir
from softswitch.p4 import ir_expr as e
from softswitch.p4 import ir_stmt as s

if TYPE_CHECKING:
    from softswitch.codegen.statements import Statements

Call = s.CallExtern | s.CallMethod

_ALGORITHMS = {
    "crc32": ("ss_crc32(ss_data, ss_n)", 32),
    "crc32_custom": ("ss_crc32(ss_data, ss_n)", 32),  # BMv2's polynomials until they are changed over Thrift
    "crc16_custom": ("ss_crc16(ss_data, ss_n)", 16),
    "random": ("ss_random(x, 0, UINT64_MAX)", 64),
    "crc16": ("ss_crc16(ss_data, ss_n)", 16),
    "csum16": ("ss_csum16(ss_data, ss_n)", 16),
    "xor16": ("ss_xor16(ss_data, ss_n)", 16),
    "identity": ("ss_identity(ss_data, ss_n)", 64),
}
"""HashAlgorithm: C call over `ss_data`, bits of its result."""


def call_extern(to: Statements, stmt: s.CallExtern) -> None:
    """An extern function."""
    emit = _FUNCTIONS.get(stmt.function)
    if emit is None:
        raise Unsupported(stmt, f"extern function {stmt.function} is not supported")
    emit(to, stmt)


def call_method(to: Statements, stmt: s.CallMethod) -> None:
    """A method of an extern instance."""
    instance = to.context.externs.get(stmt.instance)
    emit = _METHODS.get((type(instance), stmt.method))
    if emit is None:
        kind = type(instance).__name__
        raise Unsupported(
            stmt, f"{stmt.instance}.{stmt.method}: method {stmt.method} of {kind} is not supported"
        )
    emit(to, stmt)


def send_digest(to: Statements, stmt: s.SendDigest) -> None:
    """`digest(receiver, value)`: the last one of a packet is sent when ingress is over, as in BMv2."""
    declaration = to.context.digests[stmt.digest]
    found = list(pieces(stmt.value, to.expressions))
    to.out.line(f"x->digest_id = {to.context.ids.get('digest', declaration.cp_name, stmt):#x}u;")
    size = pack_bytewise(to.out, "x->digest", found)
    to.out.line(f"x->digest_len = {size};")
    to.context.digest_bytes = max(to.context.digest_bytes, size)


# --- functions -------------------------------------------------------------------------------------------


def _value(stmt: Call, index: int) -> e.Expr:
    if index >= len(stmt.args):
        raise Unsupported(stmt, "too few arguments")
    return stmt.args[index].value


def _mark_to_drop(to: Statements, stmt: s.CallExtern) -> None:
    if not stmt.args:  # the deprecated form
        to.out.line("ss_mark_to_drop(&x->std);")
        return
    to.out.line(f"ss_mark_to_drop({address(to.l_value(_value(stmt, 0)))});")


def _random(to: Statements, stmt: s.CallExtern) -> None:
    target, low, high = (_value(stmt, i) for i in range(3))
    if scalar_width(target.type) > 64:
        raise Unsupported(stmt, "random numbers of more than 64 bits are not supported")
    to.out.line(f"if ({to.value(low)} <= {to.value(high)}) {{")  # otherwise BMv2 leaves the result as it is
    text = f"ss_random(x, {to.value(low)}, {to.value(high)})"
    to.assign(target, f"({unsigned(scalar_width(target.type))}){text}")
    to.out.line("}")


def _algorithm(stmt: Call, expr: e.Expr) -> str:
    if not isinstance(expr, e.EnumConst):
        raise Unsupported(stmt, "the hash algorithm must be a constant")
    hash_call(expr.member, stmt)
    return expr.member


def hash_call(algorithm: str, where: e.Node) -> str:
    """The C call of a hash algorithm over `ss_data`, `ss_n`."""
    if algorithm not in _ALGORITHMS:
        known = ", ".join(sorted(_ALGORITHMS))
        raise Unsupported(where, f"hash algorithm {algorithm} is not supported (only {known})")
    return _ALGORITHMS[algorithm][0]


def _hash(to: Statements, stmt: s.CallExtern) -> None:
    """`hash(result, algorithm, base, data, max)`: base + hash mod max, as BMv2 in 64 bits; max 0 counts as
    1."""
    target, algorithm, base, data, limit = (_value(stmt, i) for i in range(5))
    call = _ALGORITHMS[_algorithm(stmt, algorithm)][0]
    to.out.line("{")
    pack(to.out, data, to.expressions, guarded=False)
    to.out.line(f"const uint64_t ss_max = {_low64(to, limit)};")
    to.out.line(f"const uint64_t ss_hash = {_low64(to, base)} + {call} % (ss_max == 0 ? 1 : ss_max);")
    to.assign(target, _cast_u64(to, "ss_hash", target))
    to.out.line("}")


def _low64(to: Statements, expr: e.Expr) -> str:
    text = to.value(expr)
    if is_wide(expr.type):
        return f"{text}.w[0]"
    return f"(uint64_t){text}"


def _cast_u64(to: Statements, name: str, target: e.Expr) -> str:
    width = scalar_width(target.type)
    if not is_scalar(target.type):
        raise Unsupported(target, "the result must be a number")
    if width > 128:
        return f"{to.context.wide.resize(64, width, False)}({name})"
    mask = f" & {number((1 << width) - 1, 64)}" if width < 64 else ""
    return f"({unsigned(width)})({name}{mask})"


def _clone(to: Statements, stmt: s.CallExtern) -> None:
    to.out.line(f"x->clone_session = {to.value(_value(stmt, 1))} & 0x7fff;")
    to.out.line("x->clone = true;")
    if len(stmt.args) > 2:
        to.out.line(f"x->clone_list = {to.value(_value(stmt, 2))};")
    else:
        to.out.line("x->clone_list = SS_NO_LIST;")


def _resubmit(to: Statements, stmt: s.CallExtern) -> None:
    to.out.line("x->resubmit = true;")
    to.out.line(f"x->resubmit_list = {to.value(_value(stmt, 0))};")


def _recirculate(to: Statements, stmt: s.CallExtern) -> None:
    to.out.line("x->recirculate = true;")
    to.out.line(f"x->recirculate_list = {to.value(_value(stmt, 0))};")


def _truncate(to: Statements, stmt: s.CallExtern) -> None:
    to.out.line(f"ss_truncate(x, {to.value(_value(stmt, 0))});")


def _assert(to: Statements, stmt: s.CallExtern) -> None:
    to.out.line(f"if (!{to.value(_value(stmt, 0))}) {{")
    to.out.line(f"ss_assert_failed(x, {c_string(str(stmt.loc))});")
    to.out.line(to.fail("NoError") if to.scope.in_parser else to.scope.leave)
    to.out.line("}")


def _log_msg(to: Statements, stmt: s.CallExtern) -> None:
    text = _value(stmt, 0)
    if not isinstance(text, e.StringConst):
        raise Unsupported(stmt, "the first argument of log_msg must be a string literal")
    found = [p for arg in stmt.args[1:] for p in pieces(arg.value, to.expressions)]
    if any(p.is_varbit or p.width > 128 for p in found):
        raise Unsupported(stmt, "log_msg takes numbers of at most 128 bits")
    values = ", ".join(f"(uint64_t){p.text}" for p in found)
    array = f"(const uint64_t[]){{{values}}}" if found else "NULL"
    to.out.line(f"ss_log(x, {c_string(text.value)}, {array}, {len(found)});")


def _checksum(to: Statements, stmt: s.CallExtern, with_payload: bool) -> str:
    """Packs the data; returns the C call that computes the checksum."""
    name = _algorithm(stmt, _value(stmt, 3))
    pack(to.out, _value(stmt, 1), to.expressions, guarded=True)
    if not with_payload:
        return _ALGORITHMS[name][0]
    if name != "csum16":
        raise Unsupported(stmt, f"algorithm {name} over the payload is not supported (only csum16)")
    return "ss_csum16_more(ss_data, ss_n, x->packet + x->cursor, ss_payload_len(x))"


def _verify(with_payload: bool) -> Callable[[Statements, s.CallExtern], None]:
    def emit(to: Statements, stmt: s.CallExtern) -> None:
        expected = _value(stmt, 2)
        guard = valid_guard(
            expected, to.expressions
        )  # BMv2 skips the check when the target's header is invalid
        condition = to.value(_value(stmt, 0))
        to.out.line(f"if ({f'{guard} && ' if guard else ''}{condition}) {{")
        found, given = _cast_u64(to, _checksum(to, stmt, with_payload), expected), to.value(expected)
        differs = f"{found} != {given}"
        if is_wide(expected.type):
            differs = f"{to.context.wide.compare(scalar_width(expected.type), False)}({found}, {given}) != 0"
        to.out.line(f"if ({differs}) x->std.checksum_error = 1;")
        to.out.line("}")

    return emit


def _update(with_payload: bool) -> Callable[[Statements, s.CallExtern], None]:
    def emit(to: Statements, stmt: s.CallExtern) -> None:
        to.out.line(f"if ({to.value(_value(stmt, 0))}) {{")
        call = _checksum(to, stmt, with_payload)
        to.assign(_value(stmt, 2), _cast_u64(to, call, _value(stmt, 2)))
        to.out.line("}")

    return emit


# --- methods --------------------------------------------------------------------------------------------


def _count(to: Statements, stmt: s.CallMethod) -> None:
    place = to.context.index_of(to.context.counters, stmt.instance)
    to.out.line(f"ss_count(x, {place}, {to.expressions.as_u64(_value(stmt, 0))});")


def _count_direct(to: Statements, stmt: s.CallMethod) -> None:
    """Nothing: the table's lookup counts, as in BMv2."""


def _execute_meter(to: Statements, stmt: s.CallMethod) -> None:
    place, target = to.context.index_of(to.context.meters, stmt.instance), _value(stmt, 1)
    colour = to.temporary()
    to.out.line("{")
    to.out.line(
        f"const int {colour} = ss_meter_execute(x, {place}, {to.expressions.as_u64(_value(stmt, 0))});"
    )
    to.out.line(f"if ({colour} >= 0) {{")
    to.assign(target, _cast_u64(to, f"(uint64_t){colour}", target))
    to.out.line("}")
    to.out.line("}")


def _read_colour(to: Statements, stmt: s.CallMethod) -> None:
    """The table's lookup asked the meter (as v1model says); after a miss the result stays as it was."""
    target = _value(stmt, 0)
    to.out.line("if (x->colour >= 0) {")
    to.assign(target, _cast_u64(to, "(uint64_t)x->colour", target))
    to.out.line("}")


def _register_width(to: Statements, stmt: s.CallMethod) -> int:
    register = to.context.registers[stmt.instance]
    if not is_scalar(register.element):
        raise Unsupported(stmt, f"registers of type {register.element} are not supported")
    return scalar_width(register.element)


def _register_read(to: Statements, stmt: s.CallMethod) -> None:
    """Beyond the size the result stays as it was, as in BMv2."""
    width, target = _register_width(to, stmt), _value(stmt, 0)
    place, index = (
        to.context.index_of(to.context.registers, stmt.instance),
        to.expressions.as_u64(_value(stmt, 1)),
    )
    cells, ctype = to.temporary(), to.context.layout.ctype(target.type, stmt.loc)
    to.out.line("{")
    to.out.line(f"uint64_t {cells}[{limbs(width)}];")
    to.out.line(f"if (ss_register_get(x, {place}, {index}, {cells})) {{")
    if width > 128:
        value = to.temporary()
        to.out.line(f"{ctype} {value};")
        to.out.line(f"memcpy({value}.w, {cells}, sizeof {cells});")
        to.assign(target, value)
    elif width > 64:
        to.assign(target, f"((ss_u128){cells}[1] << 64 | {cells}[0])")
    else:
        to.assign(target, f"({ctype}){cells}[0]")
    to.out.line("}")
    to.out.line("}")


def _register_write(to: Statements, stmt: s.CallMethod) -> None:
    width, value = _register_width(to, stmt), _value(stmt, 1)
    place, index = (
        to.context.index_of(to.context.registers, stmt.instance),
        to.expressions.as_u64(_value(stmt, 0)),
    )
    name, ctype = to.temporary(), to.context.layout.ctype(value.type, stmt.loc)
    to.out.line("{")
    to.out.line(f"const {ctype} {name} = {to.value(value)};")
    if width > 128:
        to.out.line(f"ss_register_put(x, {place}, {index}, {name}.w);")
    else:
        high = f", (uint64_t)({name} >> 64)" if width > 64 else ""
        to.out.line(f"ss_register_put(x, {place}, {index}, (const uint64_t[]){{(uint64_t){name}{high}}});")
    to.out.line("}")


def _checksum_get(to: Statements, stmt: s.CallMethod) -> None:
    if stmt.result is None:
        return
    to.out.line("{")
    pack(to.out, _value(stmt, 0), to.expressions, guarded=False)
    to.assign(stmt.result, "ss_csum16(ss_data, ss_n)")
    to.out.line("}")


_FUNCTIONS: dict[str, Callable[[Statements, s.CallExtern], None]] = {
    "mark_to_drop": _mark_to_drop,
    "random": _random,
    "hash": _hash,
    "clone": _clone,
    "clone_preserving_field_list": _clone,
    "resubmit_preserving_field_list": _resubmit,
    "recirculate_preserving_field_list": _recirculate,
    "truncate": _truncate,
    "assert": _assert,
    "assume": _assert,
    "log_msg": _log_msg,
    "verify_checksum": _verify(with_payload=False),
    "verify_checksum_with_payload": _verify(with_payload=True),
    "update_checksum": _update(with_payload=False),
    "update_checksum_with_payload": _update(with_payload=True),
}

_METHODS: dict[tuple[type, str], Callable[[Statements, s.CallMethod], None]] = {
    (ir.Counter, "count"): _count,
    (ir.DirectCounter, "count"): _count_direct,
    (ir.Meter, "execute_meter"): _execute_meter,
    (ir.DirectMeter, "read"): _read_colour,
    (ir.Register, "read"): _register_read,
    (ir.Register, "write"): _register_write,
    (ir.Checksum16, "get"): _checksum_get,
}
