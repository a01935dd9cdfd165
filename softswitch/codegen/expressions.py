# SPDX-License-Identifier: Apache-2.0
"""Expressions: IR → C expressions without side effects, whose values have zeros above their width."""

from __future__ import annotations

from softswitch.codegen.equality import Equality
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.layout import (
    WIDE,
    Layout,
    container,
    header_members,
    is_scalar,
    is_signed,
    is_wide,
    scalar_width,
    unsigned,
)
from softswitch.codegen.names import c_name, number
from softswitch.codegen.scope import Scope
from softswitch.codegen.wide import WideFunctions
from softswitch.p4 import ir_expr as e
from softswitch.p4.ir_expr import BinaryOp as Op
from softswitch.p4.types import BoolType, HeaderType, SerEnumType, StackType, TupleType, Type, UnionType

_COMPARISONS = {Op.EQ: "==", Op.NE: "!=", Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">="}
_BITWISE = {Op.BIT_AND: "and", Op.BIT_OR: "or", Op.BIT_XOR: "xor"}
_ARITHMETIC = {Op.ADD: "add", Op.SUB: "sub", Op.MUL: "mul"}
_L_VALUES = (e.Var, e.FieldRef, e.Index, e.StackNext, e.StackLast)


def member(base: str, name: str) -> str:
    """`base.name`, `p->name` where the base is `(*p)`."""
    if base.startswith("(*") and base.endswith(")") and base.count("(") == 1:
        return f"{base[2:-1]}->{name}"
    return f"{base}.{name}"


def address(l_value: str) -> str:
    """`&l_value`, `p` where it is `(*p)`."""
    if l_value.startswith("(*") and l_value.endswith(")") and l_value.count("(") == 1:
        return l_value[2:-1]
    return f"&{l_value}"


def wrap(text: str, width: int) -> str:
    """Cuts a C number to `width` (at most 128) bits, in its container."""
    t = unsigned(width)
    if width == container(width):
        return f"({t})({text})"
    mask = f"ss_mask128({width})" if width > 64 else number((1 << width) - 1, width)
    return f"({t})(({text}) & {mask})"


class Expressions:
    """Translates the expressions of one scope."""

    def __init__(self, layout: Layout, wide: WideFunctions, equality: Equality, scope: Scope) -> None:
        self.layout = layout
        self.wide = wide
        self.equality = equality
        self.scope = scope

    # --- l-values ---------------------------------------------------------------------------------

    def l_value(self, expr: e.Expr) -> str:
        """The C l-value of a variable, field or stack element."""
        if isinstance(expr, e.Var):
            return self.scope.variable(expr)
        if isinstance(expr, e.FieldRef):
            return member(self._base(expr.base), c_name(expr.name))
        if isinstance(expr, e.Index):
            return self._element(expr)
        if isinstance(expr, e.StackNext):
            stack = self._base(expr.base)
            return f"{member(stack, 'items')}[{member(stack, 'next')}]"
        if isinstance(expr, e.StackLast):
            stack = self._base(expr.base)
            return f"{member(stack, 'items')}[{member(stack, 'next')} - 1]"
        raise Unsupported(expr, "this cannot be assigned to")

    def _base(self, expr: e.Expr) -> str:
        return self.l_value(expr) if isinstance(expr, _L_VALUES) else f"({self.value(expr)})"

    def _element(self, expr: e.Index) -> str:
        if isinstance(expr.base.type, TupleType) and isinstance(expr.index, e.Const):
            return member(self._base(expr.base), f"e{expr.index.value}")
        if not isinstance(expr.base.type, StackType):
            raise Unsupported(expr, f"indexing a value of type {expr.base.type} is not supported")
        stack = self._base(expr.base)
        if isinstance(expr.index, e.Const) and 0 <= expr.index.value < expr.base.type.size:
            return f"{member(stack, 'items')}[{expr.index.value}]"
        name = self.layout.ctype(expr.base.type, expr.loc)
        return f"(*{name}_at({address(stack)}, {self.as_u64(expr.index)}))"

    # --- values -----------------------------------------------------------------------------------

    def value(self, expr: e.Expr) -> str:
        """The C expression of a value."""
        if isinstance(expr, _L_VALUES):
            self.layout.ctype(expr.type, expr.loc)
            return self.l_value(expr)
        method = getattr(self, f"_{type(expr).__name__}", None)
        if method is None:
            raise Unsupported(expr, f"{type(expr).__name__} expressions are not supported here")
        text: str = method(expr)
        return text

    def as_u64(self, expr: e.Expr) -> str:
        """A number as uint64_t; what does not fit becomes the largest one."""
        width, text = scalar_width(expr.type), self.value(expr)
        if width <= 64:
            return f"(uint64_t){text}"
        if width <= WIDE:
            return f"ss_at_most64({text})"
        raise Unsupported(expr, "a number of more than 128 bits is not supported here")

    def _Const(self, expr: e.Const) -> str:  # noqa: N802
        width = scalar_width(expr.type)
        if width > WIDE:
            self.layout.ctype(expr.type, expr.loc)
            return self.wide.constant(expr.value & (1 << width) - 1, width)
        return number(expr.value, width)

    def _BoolConst(self, expr: e.BoolConst) -> str:  # noqa: N802
        return "true" if expr.value else "false"

    def _EnumConst(self, expr: e.EnumConst) -> str:  # noqa: N802
        return f"{expr.value}u"

    def _ErrorConst(self, expr: e.ErrorConst) -> str:  # noqa: N802
        return f"error_{expr.member}"

    def _StackLastIndex(self, expr: e.StackLastIndex) -> str:  # noqa: N802
        return f"({member(self._base(expr.base), 'next')} - 1)"

    def _Slice(self, expr: e.Slice) -> str:  # noqa: N802
        base, take = self.value(expr.base), expr.high - expr.low + 1
        if is_wide(expr.base.type):
            return f"{self.wide.slice(scalar_width(expr.base.type), expr.high, expr.low)}({base})"
        return wrap(f"{base} >> {expr.low}" if expr.low else base, take)

    def _Cast(self, expr: e.Cast) -> str:  # noqa: N802
        return self._cast(self.value(expr.operand), expr.operand.type, expr.type)

    def _cast(self, text: str, source: Type, target: Type) -> str:
        if isinstance(target, BoolType):
            return text if isinstance(source, BoolType) else f"({text} != 0)"
        width, to = scalar_width(source), scalar_width(target)
        if width == 0 or to == 0:
            raise Unsupported(e.NOWHERE, f"a cast from {source} to {target} is not supported")
        if width == to:
            return f"({unsigned(to)}){text}" if isinstance(source, BoolType) else text
        if width > WIDE or to > WIDE:
            return f"{self.wide.resize(width, to, is_signed(source))}({text})"
        if to < width:
            return wrap(text, to)
        if is_signed(source):
            return wrap(self._signed(text, width), to)
        return f"({unsigned(to)}){text}"

    def _signed(self, text: str, width: int) -> str:
        return f"ss_sign64({text}, {width})" if width <= 64 else f"ss_sign128({text}, {width})"

    def _Concat(self, expr: e.Concat) -> str:  # noqa: N802
        left, right = self.value(expr.left), self.value(expr.right)
        low, width = scalar_width(expr.right.type), scalar_width(expr.type)
        high = scalar_width(expr.left.type)
        if width > WIDE:
            left = f"{self.wide.resize(high, width, False)}({left})" if high != width else left
            right = f"{self.wide.resize(low, width, False)}({right})" if low != width else right
            shifted = f"{self.wide.shift('shl', width)}({left}, {low})"
            return f"{self.wide.binary('or', width)}({shifted}, {right})"
        t = unsigned(max(width, 32))
        return f"({unsigned(width)})(({t}){left} << {low} | {right})"

    def _Unary(self, expr: e.Unary) -> str:  # noqa: N802
        text, width = self.value(expr.operand), scalar_width(expr.type)
        if expr.op is e.UnaryOp.NOT:
            return f"(!{text})"
        if width > WIDE:
            if expr.op is e.UnaryOp.BIT_NOT:
                return f"{self.wide.complement(width)}({text})"
            return f"{self.wide.binary('sub', width)}({self.wide.constant(0, width)}, {text})"
        t = unsigned(max(width, 32))
        return wrap(f"~({t}){text}" if expr.op is e.UnaryOp.BIT_NOT else f"({t})0 - {text}", width)

    def _Mux(self, expr: e.Mux) -> str:  # noqa: N802
        t = self.layout.ctype(expr.type, expr.loc)
        cast = f"({t})" if is_scalar(expr.type) and not is_wide(expr.type) else ""
        condition = self.value(expr.condition)
        return f"{cast}({condition} ? {self.value(expr.then)} : {self.value(expr.otherwise)})"

    def _IsValid(self, expr: e.IsValid) -> str:  # noqa: N802
        base = self._base(expr.header)
        if isinstance(expr.header.type, UnionType):
            parts = [member(member(base, name), "ss_valid") for name in header_members(expr.header.type)]
            return "(" + " || ".join(parts) + ")"
        return member(base, "ss_valid")

    def _FieldsExpr(self, expr: e.FieldsExpr) -> str:  # noqa: N802
        t = self.layout.ctype(expr.type, expr.loc)
        fields = getattr(expr.type, "fields", ())
        parts = [f".{c_name(f.name)} = {self.value(v)}" for f, v in zip(fields, expr.values, strict=True)]
        if isinstance(expr.type, HeaderType):
            parts.insert(0, ".ss_valid = true")
        return f"(({t}){{{', '.join(parts) or '0'}}})"

    def _TupleExpr(self, expr: e.TupleExpr) -> str:  # noqa: N802
        values = ", ".join(self.value(v) for v in expr.values)
        return f"(({self.layout.ctype(expr.type, expr.loc)}){{{values or '0'}}})"

    def _InvalidHeader(self, expr: e.InvalidHeader) -> str:  # noqa: N802
        return f"(({self.layout.ctype(expr.type, expr.loc)}){{0}})"

    # --- binary operators ---------------------------------------------------------------------------

    def _Binary(self, expr: e.Binary) -> str:  # noqa: N802
        if expr.op in (Op.AND, Op.OR):
            return f"({self.value(expr.left)} {'&&' if expr.op is Op.AND else '||'} {self.value(expr.right)})"
        if expr.op in _COMPARISONS:
            return self._comparison(expr)
        if expr.op in (Op.SHL, Op.SHR):
            return self._shift(expr)
        if scalar_width(expr.type) > WIDE:
            return self._wide_binary(expr)
        return self._narrow_binary(expr)

    def _comparison(self, expr: e.Binary) -> str:
        left, right, t = self.value(expr.left), self.value(expr.right), expr.left.type
        operator, width = _COMPARISONS[expr.op], scalar_width(t)
        if not is_scalar(t):
            if expr.op not in (Op.EQ, Op.NE):
                raise Unsupported(expr, f"values of type {t} have no order")
            return (
                f"({'' if expr.op is Op.EQ else '!'}{self.equality.function(t, expr.loc)}({left}, {right}))"
            )
        if width > WIDE:
            return f"({self.wide.compare(width, is_signed(t))}({left}, {right}) {operator} 0)"
        if is_signed(t) and expr.op not in (Op.EQ, Op.NE):
            return f"({self._signed(left, width)} {operator} {self._signed(right, width)})"
        return f"({left} {operator} {right})"

    def _shift(self, expr: e.Binary) -> str:
        left, width = self.value(expr.left), scalar_width(expr.type)
        by = self.as_u64(expr.right)
        arithmetic = expr.op is Op.SHR and is_signed(expr.type)
        if isinstance(expr.right, e.Const) and expr.right.value < width <= WIDE and not arithmetic:
            t = unsigned(max(width, 32))
            if expr.op is Op.SHR:
                return f"({unsigned(width)})({left} >> {expr.right.value})"
            return wrap(f"({t}){left} << {expr.right.value}", width)
        name = "sar" if arithmetic else "shl" if expr.op is Op.SHL else "shr"
        if width > WIDE:
            return f"{self.wide.shift(name, width)}({left}, {by})"
        size = 64 if width <= 64 else 128
        if arithmetic:
            return f"({unsigned(width)})ss_sar{size}({left}, {width}, {by})"
        return wrap(f"ss_{name}{size}({left}, {by})", width)

    def _wide_binary(self, expr: e.Binary) -> str:
        left, right, width = self.value(expr.left), self.value(expr.right), scalar_width(expr.type)
        operation = (_BITWISE | _ARITHMETIC).get(expr.op)
        if operation is not None:
            return f"{self.wide.binary(operation, width)}({left}, {right})"
        if expr.op in (Op.SAT_ADD, Op.SAT_SUB) and not is_signed(expr.type):
            return (
                f"{self.wide.saturating('add' if expr.op is Op.SAT_ADD else 'sub', width)}({left}, {right})"
            )
        raise Unsupported(expr, f"operator {expr.op.value} on more than {WIDE} bits is not supported")

    def _narrow_binary(self, expr: e.Binary) -> str:
        left, right, width = self.value(expr.left), self.value(expr.right), scalar_width(expr.type)
        t = unsigned(max(width, 32))
        if expr.op in _BITWISE:
            return f"({unsigned(width)})({left} {expr.op.value} {right})"
        if expr.op in _ARITHMETIC:
            return wrap(f"({t}){left} {expr.op.value} {right}", width)
        if expr.op in (Op.SAT_ADD, Op.SAT_SUB):
            name = "add" if expr.op is Op.SAT_ADD else "sub"
            if is_signed(expr.type):
                return f"({unsigned(width)})ss_sat_{name}_signed({left}, {right}, {width})"
            extra = f", {width}" if name == "add" else ""
            return f"({unsigned(width)})ss_sat_{name}({left}, {right}{extra})"
        return self._division(expr, left, right, width)

    def _division(self, expr: e.Binary, left: str, right: str, width: int) -> str:
        if is_signed(expr.type) or isinstance(expr.type, SerEnumType):
            raise Unsupported(expr, f"operator {expr.op.value} on {expr.type} is not supported")
        if isinstance(expr.right, e.Const) and expr.right.value != 0:
            return f"({unsigned(width)})({left} {expr.op.value} {right})"
        name = f"ss_{'div' if expr.op is Op.DIV else 'mod'}{64 if width <= 64 else 128}"
        return f"({unsigned(width)}){name}({left}, {right})"
