# SPDX-License-Identifier: Apache-2.0
"""Lists, with and without names, and default values (P4_16 sections 8.11 to 8.13 and 7.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from softswitch.p4 import ast
from softswitch.p4.convert import Converter
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import (
    BoolConst,
    Const,
    EnumConst,
    ErrorConst,
    Expr,
    FieldsExpr,
    InvalidHeader,
    Loc,
    TupleExpr,
)
from softswitch.p4.scopes import Val
from softswitch.p4.types import (
    BOOL,
    ERROR,
    BitType,
    EnumType,
    Field,
    HeaderType,
    IntType,
    SerEnumType,
    StackType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarbitType,
)


class ListTranslator(Converter):
    """List expressions; the class above it translates what stands in them."""

    # --- to be provided above ---

    def ordered(self, parts: Sequence[Callable[[], Val]]) -> list[Val]:
        """Values in order: what an earlier one read is saved when a later one has effects."""
        raise NotImplementedError

    def value(self, expression: ast.Expression, expected: Type, new_type: str | None = None) -> Expr:
        """An expression converted to a type. Failure when it has another."""
        raise NotImplementedError

    # --- lists ---

    def list_value(self, e: ast.ListExpr, expected: Type | None) -> Val:
        if e.dots:
            return self._completed_list(e, expected)
        wanted: list[Type | None] = [None] * len(e.items)
        if isinstance(expected, StructType | HeaderType) and len(expected.fields) == len(e.items):
            wanted = [f.type for f in expected.fields]
        elif isinstance(expected, TupleType) and len(expected.elements) == len(e.items):
            wanted = list(expected.elements)
        elif isinstance(expected, StackType):
            wanted = [expected.element] * len(e.items)
        parts = [partial(self.translate, i, w) for i, w in zip(e.items, wanted, strict=True)]
        values = self.ordered(parts)
        exprs, names = tuple(v.expr for v in values), tuple(v.new_type for v in values)
        return Val(TupleExpr(TupleType(tuple(x.type for x in exprs)), exprs, type_names=names, loc=e.loc))

    def record_value(self, e: ast.RecordExpr, expected: Type | None) -> Val:
        if not isinstance(expected, StructType | HeaderType):
            if e.dots:
                raise Failure(e.loc, "`...` needs a struct or header type: give the variable one")
            values = self.ordered([partial(self.translate, i) for _, i in e.items])
            parts_only = tuple(v.expr for v in values)
            return Val(TupleExpr(TupleType(tuple(x.type for x in parts_only)), parts_only, loc=e.loc))
        names = [name for name, _ in e.items]
        fields = {f.name: f for f in expected.fields}
        for name in names:
            if name not in fields or names.count(name) > 1:
                raise Failure(e.loc, f"{expected}: no field `{name}`, or given twice")
        if len(names) != len(fields) and not e.dots:
            missing = ", ".join(f"`{n}`" for n in fields if n not in names)
            raise Failure(e.loc, f"{expected}: value for {missing} missing")
        parts = [partial(self._field_of_record, fields[n], i) for n, i in e.items]
        given = dict(zip(names, self.ordered(parts), strict=True))
        exprs = tuple(
            given[n].expr if n in given else self.default_value(f.type, e.loc) for n, f in fields.items()
        )
        return Val(FieldsExpr(expected, exprs, loc=e.loc))

    def _field_of_record(self, f: Field, item: ast.Expression) -> Val:
        return Val(self.value(item, f.type, f.type_name))

    # --- default values (P4_16 section 7.3) ---

    def dots_value(self, e: ast.DotsExpr, expected: Type | None) -> Val:
        if expected is None:
            raise Failure(e.loc, "`...` needs a type: give the variable one")
        return Val(self.default_value(expected, e.loc))

    def _completed_list(self, e: ast.ListExpr, expected: Type | None) -> Val:
        """`{a, b, ...}`: what follows has its default value."""
        if isinstance(expected, StructType | HeaderType):
            wanted = [f.type for f in expected.fields]
        elif isinstance(expected, TupleType):
            wanted = list(expected.elements)
        else:
            raise Failure(e.loc, "`...` needs a struct, header or tuple type: give the variable one")
        if len(e.items) > len(wanted):
            raise Failure(e.loc, f"{expected} has {len(wanted)} elements, the list {len(e.items)}")
        given = self.ordered([partial(self.translate, i, w) for i, w in zip(e.items, wanted, strict=False)])
        values = [v.expr for v in given]
        values += [self.default_value(t, e.loc) for t in wanted[len(values) :]]
        return Val(TupleExpr(TupleType(tuple(x.type for x in values)), tuple(values), loc=e.loc))

    def default_value(self, t: Type, loc: Loc) -> Expr:
        """Zero, false, the first member, no error, an invalid header, or these in every field."""
        if isinstance(t, BitType | IntType | SerEnumType):
            return Const(t, 0, loc=loc)
        if t == BOOL:
            return BoolConst(BOOL, False, loc=loc)
        if t == ERROR:
            return ErrorConst(ERROR, "NoError", self.context.errors.index("NoError"), loc=loc)
        if isinstance(t, EnumType) and t.members:
            return EnumConst(t, t.members[0], 0, loc=loc)
        if isinstance(t, HeaderType | UnionType):
            return InvalidHeader(t, loc=loc)
        if isinstance(t, StructType):
            return FieldsExpr(t, tuple(self.default_value(f.type, loc) for f in t.fields), loc=loc)
        if isinstance(t, TupleType):
            return TupleExpr(t, tuple(self.default_value(x, loc) for x in t.elements), loc=loc)
        if isinstance(t, StackType | VarbitType):
            return self.temporary(t, loc, name="empty")  # a variable begins at its default
        raise Failure(loc, f"{t} has no default value")
