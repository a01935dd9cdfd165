# SPDX-License-Identifier: Apache-2.0
"""Translation of loops (P4_16 section 12.8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from softswitch.p4 import ast, fold
from softswitch.p4.calls import CallTranslator
from softswitch.p4.convert import describe
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import BinaryOp, Const, Expr, Index, Loc, Storage, Var
from softswitch.p4.ir_stmt import Assign, Block, Break, Continue, Loop, Stmt, VarDecl
from softswitch.p4.scopes import VarSymbol
from softswitch.p4.types import BOOL, BitType, IntType, SerEnumType, StackType, Type


class LoopTranslator(CallTranslator):
    """`for`, `break` and `continue`. A loop over a range or a stack becomes one that counts."""

    # --- to be provided above ---

    def body(self, statements: Sequence[ast.Statement], loc: Loc) -> Block:
        """Statements in a scope of their own."""
        raise NotImplementedError

    def branch(self, statement: ast.Statement) -> Block:
        """A statement as a block of its own."""
        raise NotImplementedError

    def guarded(self, statement: ast.Statement) -> None:
        """One statement; a failure becomes a diagnostic."""
        raise NotImplementedError

    # --- loops ---

    @contextmanager
    def _in_loop(self) -> Iterator[None]:
        self.unit.loops += 1
        try:
            yield
        finally:
            self.unit.loops -= 1

    def for_loop(self, s: ast.ForStatement) -> None:
        """`for (init; condition; update) body`."""
        with self.collecting() as out, self.inner_scope():
            for statement in s.init:
                self.guarded(statement)
            with self.collecting() as setup:
                condition = self.condition(s.condition)
            with self._in_loop():
                body = self.branch(s.body)
            with self.collecting() as update:
                for statement in s.update:
                    self.guarded(statement)
            out.append(Loop(tuple(setup), condition, body, tuple(update), loc=s.loc))
        self.out.append(self.block(out, s.loc))

    def for_in_loop(self, s: ast.ForInStatement) -> None:
        """`for (type name in low .. high) body`, or over the elements of a header stack."""
        t, new_type = self.data_type(s.variable.type)
        with self.collecting() as out, self.inner_scope():
            if isinstance(s.collection, ast.RangeExpr):
                first, last = self._bounds(s.collection, t, new_type)
                element: Expr | None = None
            else:
                stack = self.translate(s.collection)
                if not isinstance(stack.type, StackType) or stack.type.element != t:
                    raise Failure(s.collection.loc, f"a loop over {t} cannot take {describe(stack)}")
                counter = BitType(32)
                first = Const(counter, 0, loc=s.loc)
                last = Const(counter, stack.type.size - 1, loc=s.loc)
                element = stack.expr
            self._count(s, (t, new_type), (first, last), element)
        self.out.append(self.block(out, s.loc))

    def _bounds(self, collection: ast.RangeExpr, t: Type, new_type: str | None) -> tuple[Expr, Expr]:
        if not isinstance(t, BitType | IntType):
            raise Failure(collection.loc, f"a range cannot be of type {t}")
        low, high = self.ordered(
            [lambda: self.translate(collection.low, t), lambda: self.translate(collection.high, t)]
        )
        if isinstance(low.type, SerEnumType) or isinstance(high.type, SerEnumType):
            raise Failure(collection.loc, "a range of a loop is of numbers")
        first = self.convert(low, t, new_type, collection.loc)
        return first, self.convert(high, t, new_type, collection.loc)

    def _count(
        self,
        s: ast.ForInStatement,
        variable_type: tuple[Type, str | None],
        bounds: tuple[Expr, Expr],
        stack: Expr | None,
    ) -> None:
        """From the first to the last, which may be the largest value of its type."""
        loc, (t, new_type) = s.loc, variable_type
        place = self.temporary(bounds[0].type, loc, bounds[0])
        last = self.temporary(bounds[1].type, loc, bounds[1])
        more = self.temporary(BOOL, loc, fold.binary(BinaryOp.LE, place, last, loc))
        value: Expr = place if stack is None else Index(t, stack, place, loc=loc)
        with self.collecting() as inner, self.inner_scope() as scope, self._in_loop():
            var = Var(t, self.unit.names.take(s.variable.name), Storage.LOCAL, loc=s.variable.loc)
            scope.define(s.variable.name, VarSymbol(var, new_type, True), s.variable.loc)
            inner.append(VarDecl(var.name, t, value, loc=loc))
            inner.append(self.branch(s.body))
        assert isinstance(place.type, BitType | IntType)
        step = fold.binary(BinaryOp.ADD, place, Const(place.type, 1, loc=loc), loc)
        update: list[Stmt] = [
            Assign(more, fold.binary(BinaryOp.NE, place, last, loc), loc=loc),
            Assign(place, step, loc=loc),
        ]
        self.out.append(Loop((), more, self.block(inner, loc), tuple(update), loc=loc))

    def leave_loop(self, s: ast.BreakStatement | ast.ContinueStatement) -> None:
        """`break` and `continue`."""
        if not self.unit.loops:
            word = "break" if isinstance(s, ast.BreakStatement) else "continue"
            raise Failure(s.loc, f"`{word}` stands outside a loop")
        self.out.append(Break(loc=s.loc) if isinstance(s, ast.BreakStatement) else Continue(loc=s.loc))
