# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on constants (P4_16 chapter 8): wrap-around, saturation, signs, unlimited integers."""

from __future__ import annotations

from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import (
    Binary,
    BinaryOp,
    BoolConst,
    Const,
    EnumConst,
    ErrorConst,
    Expr,
    Loc,
    Mux,
    Unary,
    UnaryOp,
)
from softswitch.p4.types import BOOL, BitType, InfInt, IntType, Type

MAX_INT_BITS = 8192
"""Largest unlimited integer that constants may grow to."""


def wrap(value: int, t: Type) -> int:
    """`value` reduced to what type `t` can hold; unchanged for unlimited integers."""
    if isinstance(t, BitType):
        return value & ((1 << t.width) - 1)
    if isinstance(t, IntType):
        low = value & ((1 << t.width) - 1)
        return low - (1 << t.width) if t.width and low >> (t.width - 1) else low
    return value


def bounds(t: Type) -> tuple[int, int]:
    """Smallest and largest value of bit<> or int<>."""
    if isinstance(t, IntType):
        return -(1 << (t.width - 1)), (1 << (t.width - 1)) - 1
    if isinstance(t, BitType):
        return 0, (1 << t.width) - 1
    raise TypeError(f"{t} has no bounds")


def unary(op: UnaryOp, operand: Expr, loc: Loc) -> Expr:
    """`op operand`, computed when the operand is constant."""
    if isinstance(operand, BoolConst) and op is UnaryOp.NOT:
        return BoolConst(BOOL, not operand.value, loc=loc)
    if isinstance(operand, Const):
        value = -operand.value if op is UnaryOp.NEG else ~operand.value
        return Const(operand.type, wrap(value, operand.type), loc=loc)
    return Unary(operand.type, op, operand, loc=loc)


def _divide(left: int, right: int, op: BinaryOp, loc: Loc) -> int:
    if right == 0:
        raise Failure(loc, "division by zero")
    if left < 0 or right < 0:
        raise Failure(loc, "division of negative numbers is not defined")
    return left // right if op is BinaryOp.DIV else left % right


def _shift(left: int, right: int, op: BinaryOp, t: Type, loc: Loc) -> int:
    if right < 0:
        raise Failure(loc, "shift by a negative amount")
    if op is BinaryOp.SHR:
        return left >> min(right, max(left.bit_length(), 1) + 1)
    if isinstance(t, InfInt) and right > MAX_INT_BITS and left:
        raise Failure(loc, f"integer of more than {MAX_INT_BITS} bits: not supported")
    return left << min(right, MAX_INT_BITS)


def _number(op: BinaryOp, left: int, right: int, t: Type, loc: Loc) -> int:
    if op in (BinaryOp.DIV, BinaryOp.MOD):
        return _divide(left, right, op, loc)
    if op in (BinaryOp.SHL, BinaryOp.SHR):
        return _shift(left, right, op, t, loc)
    if op in (BinaryOp.SAT_ADD, BinaryOp.SAT_SUB):
        low, high = bounds(t)
        value = left + right if op is BinaryOp.SAT_ADD else left - right
        return min(max(value, low), high)
    values = {
        BinaryOp.ADD: lambda: left + right,
        BinaryOp.SUB: lambda: left - right,
        BinaryOp.MUL: lambda: left * right,
        BinaryOp.BIT_AND: lambda: left & right,
        BinaryOp.BIT_OR: lambda: left | right,
        BinaryOp.BIT_XOR: lambda: left ^ right,
    }
    return values[op]()


_COMPARE = {
    BinaryOp.EQ: lambda a, b: a == b,
    BinaryOp.NE: lambda a, b: a != b,
    BinaryOp.LT: lambda a, b: a < b,
    BinaryOp.LE: lambda a, b: a <= b,
    BinaryOp.GT: lambda a, b: a > b,
    BinaryOp.GE: lambda a, b: a >= b,
}

COMPARISONS = frozenset(_COMPARE)
"""Operators whose result is bool."""


def binary(op: BinaryOp, left: Expr, right: Expr, loc: Loc) -> Expr:
    """`left op right` of checked types, computed when both are constant (or one decides)."""
    if op in (BinaryOp.AND, BinaryOp.OR):
        if isinstance(left, BoolConst):
            return right if left.value == (op is BinaryOp.AND) else left
        return Binary(BOOL, op, left, right, loc=loc)
    if op in _COMPARE:
        kinds = (Const, BoolConst, EnumConst, ErrorConst)
        if isinstance(left, kinds) and isinstance(right, kinds):
            return BoolConst(BOOL, _COMPARE[op](left.value, right.value), loc=loc)
        return Binary(BOOL, op, left, right, loc=loc)
    if isinstance(left, Const) and isinstance(right, Const):
        value = wrap(_number(op, left.value, right.value, left.type, loc), left.type)
        if value.bit_length() > MAX_INT_BITS:
            raise Failure(loc, f"integer of more than {MAX_INT_BITS} bits: not supported")
        return Const(left.type, value, loc=loc)
    if op in (BinaryOp.DIV, BinaryOp.MOD) and isinstance(right, Const) and right.value == 0:
        raise Failure(loc, "division by zero")
    return Binary(left.type, op, left, right, loc=loc)


def mux(condition: Expr, then: Expr, otherwise: Expr, loc: Loc) -> Expr:
    """`condition ? then : otherwise` of equal types, computed when the condition is constant."""
    if isinstance(condition, BoolConst):
        return then if condition.value else otherwise
    return Mux(then.type, condition, then, otherwise, loc=loc)
