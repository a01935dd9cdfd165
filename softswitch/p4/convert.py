# SPDX-License-Identifier: Apache-2.0
"""Conversions between types: the implicit ones and casts (P4_16 section 8.11)."""

from __future__ import annotations

from softswitch.p4.errors import Failure
from softswitch.p4.fold import wrap
from softswitch.p4.ir_expr import (
    BoolConst,
    Cast,
    Const,
    EnumConst,
    ErrorConst,
    Expr,
    FieldsExpr,
    InvalidHeader,
    Loc,
    Mux,
    StringConst,
    TupleExpr,
)
from softswitch.p4.scopes import Val
from softswitch.p4.translator import MAX_WIDTH, Translator
from softswitch.p4.types import (
    BOOL,
    BitType,
    HeaderType,
    InfInt,
    IntType,
    SerEnumType,
    StructType,
    TupleType,
    Type,
)


def describe(value: Val) -> str:
    """The type of a value as messages name it."""
    return value.new_type or str(value.type)


class Converter(Translator):
    """Implicit conversions and casts."""

    def sized_int(self, width: int, signed: bool, loc: Loc) -> BitType | IntType:
        """bit<width> or int<width>. Failure when the width is impossible."""
        if not (1 if signed else 0) <= width <= MAX_WIDTH:
            raise Failure(loc, f"width {width} is not between 1 and {MAX_WIDTH}")
        return IntType(width) if signed else BitType(width)

    def is_constant(self, value: Expr) -> bool:
        """Whether an expression is known at compile time."""
        if isinstance(value, FieldsExpr | TupleExpr):
            return all(self.is_constant(v) for v in value.values)
        return isinstance(value, Const | BoolConst | StringConst | EnumConst | ErrorConst | InvalidHeader)

    def convert(self, value: Val, t: Type, new_type: str | None, loc: Loc) -> Expr:
        """`value` converted implicitly to type `t` (new type `new_type`). Failure when P4 does not."""
        expr = value.expr
        if isinstance(value.type, InfInt) and not isinstance(t, InfInt):
            return self._literal_to(expr, t, loc)
        if expr.type == t and not isinstance(expr, TupleExpr):
            if new_type != value.new_type and (new_type is not None or value.new_type is not None):
                wanted = new_type or str(t)
                raise Failure(loc, f"expected {wanted}, found {describe(value)}: cast it")
            return expr
        if isinstance(value.type, SerEnumType) and value.type.underlying == t:
            return self.cast_expr(expr, t, loc)
        if isinstance(expr, TupleExpr):
            return self._list_to(expr, t, loc)
        raise Failure(loc, f"expected {new_type or t}, found {describe(value)}")

    def _literal_to(self, expr: Expr, t: Type, loc: Loc) -> Expr:
        if isinstance(expr, Mux):
            then = self._literal_to(expr.then, t, loc)
            return Mux(t, expr.condition, then, self._literal_to(expr.otherwise, t, loc), loc=loc)
        if not isinstance(expr, Const) or not isinstance(t, BitType | IntType):
            raise Failure(loc, f"expected {t}, found a number")
        number = wrap(expr.value, t)
        if number != expr.value and not -(1 << max(t.width - 1, 0)) <= expr.value < (1 << t.width):
            self.context.diagnostics.warn(loc, f"{expr.value} does not fit {t}: it becomes {number}")
        return Const(t, number, loc=expr.loc)

    def _list_to(self, expr: TupleExpr, t: Type, loc: Loc) -> Expr:
        if isinstance(t, StructType | HeaderType):
            wanted = [(f.type, f.type_name) for f in t.fields]
        elif isinstance(t, TupleType):
            wanted = [(e, None) for e in t.elements]
        else:
            raise Failure(loc, f"expected {t}, found a list")
        if len(wanted) != len(expr.values):
            raise Failure(loc, f"{t} has {len(wanted)} elements, the list {len(expr.values)}")
        values = tuple(
            self.convert(Val(v, new), w, new, v.loc) for v, (w, new) in zip(expr.values, wanted, strict=True)
        )
        if isinstance(t, TupleType):
            return TupleExpr(t, values, type_names=expr.type_names, loc=loc)
        return FieldsExpr(t, values, loc=loc)

    def cast(self, value: Val, t: Type, loc: Loc) -> Expr:
        """The explicit cast `(t) value`. Failure when P4 has none."""
        source = value.type
        if isinstance(value.expr, TupleExpr):
            return self._list_to(value.expr, t, loc)
        if source == t:
            return value.expr
        if isinstance(source, InfInt):
            if t == BOOL and isinstance(value.expr, Const) and value.expr.value in (0, 1):
                return BoolConst(BOOL, bool(value.expr.value), loc=loc)
            if isinstance(t, SerEnumType):
                return (
                    Const(t, wrap(value.expr.value, t.underlying), loc=loc)
                    if isinstance(value.expr, Const)
                    else self._no_cast(value, t, loc)
                )
            return self._literal_to(value.expr, t, loc)
        if isinstance(t, InfInt) and isinstance(value.expr, Const):
            return Const(t, value.expr.value, loc=loc)
        expr = value.expr
        if isinstance(source, SerEnumType):
            expr, source = self.cast_expr(expr, source.underlying, loc), source.underlying
            if source == t:
                return expr
        final = t.underlying if isinstance(t, SerEnumType) else t
        allowed = (
            (isinstance(source, BitType) and isinstance(final, BitType))
            or (isinstance(source, IntType) and isinstance(final, IntType))
            or (
                isinstance(source, BitType | IntType)
                and isinstance(final, BitType | IntType)
                and source.width == final.width
            )
            or (source == BitType(1) and final == BOOL)
            or (source == BOOL and final == BitType(1))
        )
        if not allowed:
            return self._no_cast(value, t, loc)
        if source != final:
            expr = self.cast_expr(expr, final, loc)
        return expr if final == t else self.cast_expr(expr, t, loc)

    @staticmethod
    def _no_cast(value: Val, t: Type, loc: Loc) -> Expr:
        raise Failure(loc, f"{describe(value)} cannot be cast to {t}")

    @staticmethod
    def cast_expr(expr: Expr, t: Type, loc: Loc) -> Expr:
        """A cast known to be allowed, folded where constant."""
        if isinstance(expr, BoolConst) and isinstance(t, BitType):
            return Const(t, int(expr.value), loc=loc)
        if isinstance(expr, Const):
            if t == BOOL:
                return BoolConst(BOOL, bool(expr.value), loc=loc)
            number = t.underlying if isinstance(t, SerEnumType) else t
            return Const(t, wrap(expr.value, number), loc=loc)
        return Cast(t, expr, loc=loc)
