# SPDX-License-Identifier: Apache-2.0
"""Translation and type check of expressions (P4_16 chapter 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from softswitch.p4 import ast, fold
from softswitch.p4.aliases import has_effects
from softswitch.p4.convert import describe
from softswitch.p4.errors import Failure
from softswitch.p4.fold import wrap
from softswitch.p4.ir_expr import (
    BinaryOp,
    BoolConst,
    Cast,
    Concat,
    Const,
    EnumConst,
    ErrorConst,
    Expr,
    FieldRef,
    FieldsExpr,
    Index,
    InvalidHeader,
    Loc,
    Slice,
    StackLast,
    StackLastIndex,
    StackNext,
    StringConst,
    TupleExpr,
    UnaryOp,
)
from softswitch.p4.ir_stmt import Assign, If, Stmt
from softswitch.p4.lists import ListTranslator
from softswitch.p4.scopes import ConstSymbol, DeclSymbol, Symbol, TypeSymbol, Val, VarSymbol
from softswitch.p4.types import (
    BOOL,
    ERROR,
    INF_INT,
    STRING,
    BitType,
    EnumType,
    FieldsType,
    HeaderType,
    InfInt,
    IntType,
    SerEnumType,
    StackType,
    TupleType,
    Type,
    UnionType,
)

_ORDERED = (BinaryOp.LT, BinaryOp.LE, BinaryOp.GT, BinaryOp.GE)


class ExpressionTranslator(ListTranslator):
    """Expressions but for calls, which the class above adds."""

    def translate(self, expression: ast.Expression, expected: Type | None = None) -> Val:
        """The value of an expression; `expected` helps lists and literals to a type, not more."""
        handler = self._handlers.get(type(expression))
        if handler is None:
            raise Failure(expression.loc, "this kind of expression is not supported here")
        return handler(expression, expected)

    @cached_property
    def _handlers(self) -> dict[type[ast.Expression], Callable[[Any, Type | None], Val]]:
        return {
            ast.IntLiteral: self._int_literal,
            ast.BoolLiteral: lambda e, _: Val(BoolConst(BOOL, e.value, loc=e.loc)),
            ast.StringLiteral: lambda e, _: Val(StringConst(STRING, e.value, loc=e.loc)),
            ast.NameExpr: self._name,
            ast.TypeExpr: self._type_as_value,
            ast.MemberExpr: self._member,
            ast.IndexExpr: self._index,
            ast.SliceExpr: self._slice,
            ast.UnaryExpr: self._unary,
            ast.BinaryExpr: self._binary,
            ast.MuxExpr: self._mux,
            ast.CastExpr: self._cast,
            ast.CallExpr: self.call_value,
            ast.ListExpr: self.list_value,
            ast.RecordExpr: self.record_value,
            ast.InvalidExpr: self._invalid,
            ast.DotsExpr: self.dots_value,
        }

    def call_value(self, call: ast.CallExpr, expected: Type | None) -> Val:
        """The value of a call."""
        raise NotImplementedError

    def value(self, expression: ast.Expression, expected: Type, new_type: str | None = None) -> Expr:
        """An expression converted to a type. Failure when it has another."""
        return self.convert(self.translate(expression, expected), expected, new_type, expression.loc)

    def condition(self, expression: ast.Expression) -> Expr:
        """A bool expression."""
        value = self.translate(expression)
        if value.type != BOOL:
            raise Failure(expression.loc, f"a condition must be bool, not {describe(value)}")
        return value.expr

    def target(self, expression: ast.Expression) -> Val:
        """An l-value. Failure when it cannot be written."""
        value = self.translate(expression)
        if not value.writable:
            raise Failure(expression.loc, "this cannot be written: not an l-value, or read-only")
        return value

    def ordered(self, parts: Sequence[Callable[[], Val]]) -> list[Val]:
        """Values in order: what an earlier one read is saved when a later one has effects."""
        values: list[Val] = []
        for part in parts:
            with self.collecting() as extra:
                value = part()
            if has_effects(extra):
                values = [Val(self.saved(v.expr), v.new_type) for v in values]
            self.out.extend(extra)
            values.append(value)
        return values

    # --- leaves ---

    def _int_literal(self, e: ast.IntLiteral, _: Type | None) -> Val:
        if e.width is None:
            return Val(Const(INF_INT, e.value, loc=e.loc))
        t = self.sized_int(e.width, e.signed, e.loc)
        value = wrap(e.value, t)
        if value != e.value:
            self.context.diagnostics.warn(e.loc, f"{e.value} does not fit {t}: it becomes {value}")
        return Val(Const(t, value, loc=e.loc))

    def _name(self, e: ast.NameExpr, _: Type | None) -> Val:
        symbol = self.find(e.name, e.loc, e.absolute)
        if isinstance(symbol, VarSymbol):
            var = symbol.var
            return Val(
                type(var)(var.type, var.name, var.storage, loc=e.loc), symbol.new_type, symbol.writable
            )
        if isinstance(symbol, ConstSymbol):
            return symbol.value
        if isinstance(symbol, DeclSymbol) and isinstance(symbol.decls[0], ast.ConstDecl):
            return self.global_constant(symbol.decls[0])
        raise Failure(e.loc, f"`{e.name}` is no value")

    def global_constant(self, declaration: ast.ConstDecl) -> Val:
        """Value of a top-level constant, computed once."""
        with self._opened(declaration), self.global_scope():
            value = self.constant(declaration)
        self.context.globals.names[declaration.name] = ConstSymbol(value)
        return value

    def constant(self, declaration: ast.ConstDecl) -> Val:
        """Value of a `const` declaration."""
        t, new_type = self.resolve(declaration.type)
        with self.collecting() as extra:
            expr = self.value(declaration.value, t, new_type)
        if extra or not self.is_constant(expr):
            raise Failure(declaration.value.loc, f"`{declaration.name}` must be a compile-time constant")
        return Val(expr, new_type)

    def _type_as_value(self, e: ast.TypeExpr, _: Type | None) -> Val:
        if isinstance(e.type, ast.NamedTypeRef) and not e.type.args:
            symbol = self.scope.find(e.type.name)
            if symbol is not None and not isinstance(symbol, DeclSymbol | TypeSymbol):
                return self._name(ast.NameExpr(e.loc, e.type.name, e.type.absolute), None)
        raise Failure(e.loc, "a type is no value")

    def _invalid(self, e: ast.InvalidExpr, expected: Type | None) -> Val:
        if isinstance(expected, HeaderType | UnionType):
            return Val(InvalidHeader(expected, loc=e.loc))
        raise Failure(e.loc, "`{#}` needs a header type: cast it")

    # --- members ---

    def entity(self, e: ast.Expression) -> Symbol | Type | None:
        """The symbol or type that a name denotes, None for ordinary values."""
        if isinstance(e, ast.TypeExpr):
            if isinstance(e.type, ast.NamedTypeRef) and e.type.name not in ("error", "bool"):
                symbol = self.find(e.type.name, e.loc, e.type.absolute)
                if isinstance(symbol, DeclSymbol) and not isinstance(
                    symbol.decls[0], ast.FieldsDecl | ast.EnumDecl | ast.TypedefDecl
                ):
                    return symbol
                if not isinstance(symbol, DeclSymbol | TypeSymbol):
                    return symbol
            return self.resolve(e.type)[0]
        if isinstance(e, ast.NameExpr):
            symbol = self.find(e.name, e.loc, e.absolute)
            if isinstance(symbol, VarSymbol | ConstSymbol):
                return None
            if isinstance(symbol, DeclSymbol) and isinstance(symbol.decls[0], ast.ConstDecl):
                return None
            return symbol
        return None

    def _member(self, e: ast.MemberExpr, _: Type | None) -> Val:
        entity = self.entity(e.base)
        if isinstance(entity, Type):
            return self._type_member(e, entity)
        if entity is not None:
            raise Failure(e.at, f"`.{e.name}` is no value")
        if isinstance(e.base, ast.CallExpr) and e.name in ("hit", "miss", "action_run"):
            return self.table_result(e.base, e.name, e.loc)
        base = self.translate(e.base)
        if isinstance(base.type, FieldsType):
            return self._field_value(base, base.type, e)
        if isinstance(base.type, StackType):
            return self._stack_member(base, base.type, e)
        raise Failure(e.at, f"{describe(base)} has no member `{e.name}`")

    def table_result(self, call: ast.CallExpr, what: str, loc: Loc) -> Val:
        """`table.apply().hit` or `.miss`."""
        raise NotImplementedError

    def _type_member(self, e: ast.MemberExpr, t: Type) -> Val:
        if t == ERROR:
            if e.name not in self.context.errors:
                raise Failure(e.at, f"error `{e.name}` is not declared")
            return Val(ErrorConst(ERROR, e.name, self.context.errors.index(e.name), loc=e.loc))
        if isinstance(t, EnumType) and e.name in t.members:
            return Val(EnumConst(t, e.name, t.members.index(e.name), loc=e.loc))
        if isinstance(t, SerEnumType):
            for name, number in t.members:
                if name == e.name:
                    return Val(Const(t, number, loc=e.loc))
        raise Failure(e.at, f"{t} has no member `{e.name}`")

    def _field_value(self, base: Val, t: FieldsType, e: ast.MemberExpr) -> Val:
        for position, f in enumerate(t.fields):
            if f.name == e.name:
                if isinstance(base.expr, FieldsExpr):
                    return Val(base.expr.values[position], f.type_name)
                return Val(FieldRef(f.type, base.expr, f.name, loc=e.loc), f.type_name, base.writable)
        raise Failure(e.at, f"{t} has no field `{e.name}`")

    def _stack_member(self, base: Val, t: StackType, e: ast.MemberExpr) -> Val:
        if e.name == "size":
            return Val(Const(BitType(32), t.size, loc=e.loc))
        if e.name in ("next", "last", "lastIndex") and self.unit.kind != "parser":
            raise Failure(e.at, f"`.{e.name}` of a header stack exists only in parsers")
        if e.name == "next":
            return Val(StackNext(t.element, base.expr, loc=e.loc), None, base.writable)
        if e.name == "last":
            return Val(StackLast(t.element, base.expr, loc=e.loc), None, base.writable)
        if e.name == "lastIndex":
            return Val(StackLastIndex(BitType(32), base.expr, loc=e.loc))
        raise Failure(e.at, f"a header stack has no member `{e.name}`")

    def _index(self, e: ast.IndexExpr, _: Type | None) -> Val:
        base, index = self.ordered_lvalue(e.base, e.index)
        t = base.type
        if isinstance(index.type, SerEnumType):
            index = Val(Cast(index.type.underlying, index.expr, loc=e.loc))
        if isinstance(t, StackType):
            if isinstance(index.expr, Const) and not 0 <= index.expr.value < t.size:
                raise Failure(e.index.loc, f"index {index.expr.value} is outside {t}")
            if isinstance(index.expr, Const):
                index = Val(Const(BitType(32), index.expr.value, loc=e.index.loc))
            elif not isinstance(index.type, BitType | IntType):
                raise Failure(e.index.loc, f"an index must be an integer, not {describe(index)}")
            return Val(Index(t.element, base.expr, index.expr, loc=e.loc), None, base.writable)
        if isinstance(t, TupleType):
            if not isinstance(index.expr, Const) or not 0 <= index.expr.value < len(t.elements):
                raise Failure(e.index.loc, f"the index of a tuple must be a constant below {len(t.elements)}")
            number = index.expr.value
            if isinstance(base.expr, TupleExpr):
                return Val(base.expr.values[number])
            place = Const(BitType(32), number, loc=e.index.loc)
            return Val(Index(t.elements[number], base.expr, place, loc=e.loc), None, base.writable)
        raise Failure(e.loc, f"{describe(base)} cannot be indexed")

    def ordered_lvalue(self, base: ast.Expression, index: ast.Expression) -> tuple[Val, Val]:
        """Base and index, the base left an l-value (its variables are not copied)."""
        return self.translate(base), self.translate(index)

    def _slice(self, e: ast.SliceExpr, _: Type | None) -> Val:
        base = self.translate(e.base)
        high = self.constant_int(e.high, "a slice's bound")
        low = self.constant_int(e.low, "a slice's bound")
        t = base.type
        if isinstance(t, SerEnumType):
            base, t = Val(Cast(t.underlying, base.expr, loc=e.loc)), t.underlying
        if not isinstance(t, BitType | IntType | InfInt):
            raise Failure(e.loc, f"{describe(base)} has no bits to slice")
        width = fold.MAX_INT_BITS if isinstance(t, InfInt) else t.width
        if not 0 <= low <= high < width:
            raise Failure(e.loc, f"slice [{high}:{low}] does not fit {t}: needs {width} > high ≥ low ≥ 0")
        result = BitType(high - low + 1)
        if isinstance(base.expr, Const):
            return Val(Const(result, wrap(base.expr.value >> low, result), loc=e.loc))
        return Val(Slice(result, base.expr, high, low, loc=e.loc), None, base.writable)

    # --- operators ---

    def _unary(self, e: ast.UnaryExpr, expected: Type | None) -> Val:
        operand = self.translate(e.operand, expected)
        t = operand.type
        if e.op == "!":
            if t != BOOL:
                raise Failure(e.loc, f"`!` needs bool, not {describe(operand)}")
            return Val(fold.unary(UnaryOp.NOT, operand.expr, e.loc))
        if isinstance(t, SerEnumType):
            operand, t = Val(Cast(t.underlying, operand.expr, loc=e.loc)), t.underlying
        allowed = (BitType, IntType) if e.op == "~" else (BitType, IntType, InfInt)
        if not isinstance(t, allowed):
            raise Failure(e.loc, f"`{e.op}` needs a number with a width, not {describe(operand)}")
        if e.op == "+":
            return Val(operand.expr, operand.new_type)
        return Val(fold.unary(UnaryOp(e.op), operand.expr, e.loc), operand.new_type)

    def _binary(self, e: ast.BinaryExpr, expected: Type | None) -> Val:
        if e.op in ("&&", "||"):
            return self._short_circuit(e)
        wanted = expected if e.op in ("+", "-", "*", "&", "|", "^") else None
        left, right = self.ordered(
            [lambda: self.translate(e.left, wanted), lambda: self.translate(e.right, wanted)]
        )
        return self.operate(e.op, left, right, e.at)

    def operate(self, op: str, left: Val, right: Val, loc: Loc) -> Val:
        """`left op right` of translated operands."""
        if op == "++":
            return self._concat(left, right, loc)
        if op in ("<<", ">>"):
            return self._shift(op, left, right, loc)
        operator = BinaryOp(op)
        if operator in (BinaryOp.EQ, BinaryOp.NE):
            return self._equal(operator, left, right, loc)
        for side in (left, right):
            if not isinstance(side.type, BitType | IntType | InfInt | SerEnumType):
                raise Failure(loc, f"`{op}` cannot take {describe(left)} and {describe(right)}")
        left, right = self._same_width(op, left, right, loc)
        t = left.type
        if not isinstance(t, BitType | IntType | InfInt) or left.type != right.type:
            raise Failure(loc, f"`{op}` cannot take {describe(left)} and {describe(right)}")
        if operator in (BinaryOp.SAT_ADD, BinaryOp.SAT_SUB) and isinstance(t, InfInt):
            raise Failure(loc, f"`{op}` needs numbers with a width")
        if operator in (BinaryOp.DIV, BinaryOp.MOD) and isinstance(t, IntType):
            raise Failure(loc, f"`{op}` is not defined on {t}")
        new_type = left.new_type if operator not in _ORDERED else None
        return Val(fold.binary(operator, left.expr, right.expr, loc), new_type)

    def _same_width(self, op: str, left: Val, right: Val, loc: Loc) -> tuple[Val, Val]:
        """Operands of one type: literals take the other's type, enums with values become numbers."""
        if isinstance(left.type, SerEnumType):
            left = Val(self.cast_expr(left.expr, left.type.underlying, loc))
        if isinstance(right.type, SerEnumType):
            right = Val(self.cast_expr(right.expr, right.type.underlying, loc))
        if left.new_type and right.new_type and left.new_type != right.new_type:
            raise Failure(loc, f"`{op}` cannot take {describe(left)} and {describe(right)}")
        if isinstance(left.type, InfInt) and not isinstance(right.type, InfInt):
            left = Val(self.convert(left, right.type, right.new_type, loc), right.new_type)
        elif isinstance(right.type, InfInt) and not isinstance(left.type, InfInt):
            right = Val(self.convert(right, left.type, left.new_type, loc), left.new_type)
        return left, right

    def _concat(self, left: Val, right: Val, loc: Loc) -> Val:
        for side in (left, right):
            if not isinstance(side.type, BitType | IntType | SerEnumType):
                raise Failure(loc, f"`++` needs numbers with a width, not {describe(side)}")
        a, b = (
            self.cast_expr(v.expr, v.type.underlying, loc) if isinstance(v.type, SerEnumType) else v.expr
            for v in (left, right)
        )
        assert isinstance(a.type, BitType | IntType)
        assert isinstance(b.type, BitType | IntType)
        t = self.sized_int(a.type.width + b.type.width, isinstance(a.type, IntType), loc)
        if isinstance(a, Const) and isinstance(b, Const):
            low = b.value & ((1 << b.type.width) - 1)
            return Val(Const(t, wrap((a.value << b.type.width) | low, t), loc=loc))
        return Val(Concat(t, a, b, loc=loc))

    def _shift(self, op: str, left: Val, right: Val, loc: Loc) -> Val:
        if isinstance(left.type, SerEnumType):
            left = Val(self.cast_expr(left.expr, left.type.underlying, loc))
        if isinstance(right.type, SerEnumType):
            right = Val(self.cast_expr(right.expr, right.type.underlying, loc))
        if not isinstance(left.type, BitType | IntType | InfInt):
            raise Failure(loc, f"`{op}` cannot shift {describe(left)}")
        amount = right.expr
        if isinstance(right.type, InfInt):
            if not isinstance(amount, Const):
                raise Failure(loc, "the shift amount needs a width")
            if amount.value < 0:
                raise Failure(loc, "shift by a negative amount")
            amount = Const(BitType(32), min(amount.value, 0xFFFFFFFF), loc=amount.loc)
        elif not isinstance(right.type, BitType):
            raise Failure(loc, f"a shift amount must be unsigned, not {describe(right)}")
        if isinstance(left.type, InfInt) and not isinstance(amount, Const):
            raise Failure(loc, "a literal shifted by a variable amount needs a width")
        return Val(fold.binary(BinaryOp(op), left.expr, amount, loc), left.new_type)

    def _equal(self, op: BinaryOp, left: Val, right: Val, loc: Loc) -> Val:
        if left.type != right.type:
            if isinstance(right.expr, TupleExpr | InvalidHeader):
                right = Val(self.convert(right, left.type, None, loc))
            elif isinstance(left.expr, TupleExpr | InvalidHeader):
                left = Val(self.convert(left, right.type, None, loc))
            else:
                left, right = self._same_width(op.value, left, right, loc)
        if left.new_type and right.new_type and left.new_type != right.new_type:
            raise Failure(loc, f"`{op.value}` cannot compare {describe(left)} and {describe(right)}")
        if left.type != right.type or left.type == STRING:
            raise Failure(loc, f"`{op.value}` cannot compare {describe(left)} and {describe(right)}")
        return Val(fold.binary(op, left.expr, right.expr, loc))

    def _short_circuit(self, e: ast.BinaryExpr) -> Val:
        left = self.condition(e.left)
        with self.collecting() as extra:
            right = self.condition(e.right)
        operator = BinaryOp(e.op)
        if not extra or isinstance(left, BoolConst):
            if not (isinstance(left, BoolConst) and left.value != (operator is BinaryOp.AND)):
                self.out.extend(extra)
            return Val(fold.binary(operator, left, right, e.loc))
        result = self.temporary(BOOL, e.loc, left)
        extra.append(Assign(result, right, loc=e.loc))
        negated = fold.unary(UnaryOp.NOT, result, e.loc)
        test = result if operator is BinaryOp.AND else negated
        self.out.append(If(test, self.block(extra, e.loc), None, loc=e.loc))
        return Val(result)

    def _mux(self, e: ast.MuxExpr, expected: Type | None) -> Val:
        condition = self.condition(e.condition)
        with self.collecting() as first:
            then = self.translate(e.then, expected)
        with self.collecting() as second:
            otherwise = self.translate(e.otherwise, expected)
        if isinstance(condition, BoolConst):
            self.out.extend(first if condition.value else second)
            return then if condition.value else otherwise
        if then.type != otherwise.type:
            then, otherwise = self._same_width("?:", then, otherwise, e.loc)
        if isinstance(then.type, InfInt) and isinstance(expected, BitType | IntType):
            then = Val(self.convert(then, expected, None, e.loc))
            otherwise = Val(self.convert(otherwise, expected, None, e.loc))
        if then.type != otherwise.type:
            raise Failure(e.loc, f"`?:` cannot choose between {describe(then)} and {describe(otherwise)}")
        if isinstance(then.type, InfInt):
            raise Failure(e.loc, "`?:` of literals without width: give them one")
        if not first and not second:
            return Val(fold.mux(condition, then.expr, otherwise.expr, e.loc), then.new_type)
        return self._branching_mux(e.loc, condition, (then, first), (otherwise, second))

    def _branching_mux(
        self, loc: Loc, condition: Expr, then: tuple[Val, list[Stmt]], otherwise: tuple[Val, list[Stmt]]
    ) -> Val:
        result = self.temporary(then[0].type, loc)
        for value, body in (then, otherwise):
            body.append(Assign(result, value.expr, loc=loc))
        self.out.append(If(condition, self.block(then[1], loc), self.block(otherwise[1], loc), loc=loc))
        return Val(result, then[0].new_type)

    def _cast(self, e: ast.CastExpr, _: Type | None) -> Val:
        t, new_type = self.resolve(e.type)
        operand = self.translate(e.operand, t)
        return Val(self.cast(operand, t, e.loc), new_type)
