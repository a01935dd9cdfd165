# SPDX-License-Identifier: Apache-2.0
"""Translation of statements (P4_16 chapter 12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from softswitch.p4 import ast
from softswitch.p4.aliases import mentions
from softswitch.p4.convert import describe
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import BoolConst, Expr, FieldsExpr, Loc, Storage, TupleExpr, Var
from softswitch.p4.ir_stmt import (
    ActionCase,
    ApplyTable,
    Assign,
    Block,
    Exit,
    If,
    Return,
    Switch,
    SwitchCase,
    VarDecl,
)
from softswitch.p4.loops import LoopTranslator
from softswitch.p4.scopes import ConstSymbol, TableSymbol, Val, VarSymbol
from softswitch.p4.types import VOID, BitType, EnumType, ErrorType, IntType, SerEnumType


class StatementTranslator(LoopTranslator):
    """Statements, each failure noted and the next statement tried."""

    def body(self, statements: Sequence[ast.Statement], loc: Loc) -> Block:
        """Statements in a scope of their own."""
        with self.collecting() as out, self.inner_scope():
            for statement in statements:
                self.guarded(statement)
        return self.block(out, loc)

    def branch(self, statement: ast.Statement) -> Block:
        """A statement as a block of its own."""
        inner = statement.body if isinstance(statement, ast.BlockStatement) else [statement]
        return self.body(inner, statement.loc)

    def guarded(self, statement: ast.Statement) -> None:
        """One statement; a failure becomes a diagnostic."""
        try:
            self.statement(statement)
        except Failure as failure:
            self.context.diagnostics.failed(failure)
            if isinstance(statement, ast.DeclarationStatement):
                self.forget(statement.declaration)

    def forget(self, declaration: ast.Declaration) -> None:
        """Declares what failed nevertheless, so that its uses are not reported again."""
        if isinstance(declaration, ast.VarDeclSyntax) and declaration.name not in self.scope.names:
            try:
                t, new_type = self.data_type(declaration.type)
            except Failure:
                return
            var = Var(t, declaration.name, Storage.LOCAL, loc=declaration.loc)
            self.scope.names[declaration.name] = VarSymbol(var, new_type, True)

    @cached_property
    def _statement_handlers(self) -> dict[type[ast.Statement], Callable[[Any], None]]:
        return {
            ast.EmptyStatement: lambda s: None,
            ast.BlockStatement: self._block,
            ast.AssignStatement: self._assign,
            ast.CallStatement: self._call,
            ast.IfStatement: self._if,
            ast.SwitchStatement: self._switch,
            ast.ReturnStatement: self._return,
            ast.ExitStatement: self._exit,
            ast.DeclarationStatement: self._declaration,
            ast.ForStatement: self.for_loop,
            ast.ForInStatement: self.for_in_loop,
            ast.BreakStatement: self.leave_loop,
            ast.ContinueStatement: self.leave_loop,
        }

    def statement(self, statement: ast.Statement) -> None:
        """One statement. Failure when it is wrong."""
        self._statement_handlers[type(statement)](statement)

    def _block(self, s: ast.BlockStatement) -> None:
        self.out.append(self.branch(s))

    def _call(self, s: ast.CallStatement) -> None:
        self.call(s.call)

    def _assign(self, s: ast.AssignStatement) -> None:
        target = self.target(s.target)
        with self.collecting() as extra:
            if s.op == "=":
                value = self.value(s.value, target.type, target.new_type)
            else:
                operand = self.translate(s.value, target.type)
                result = self.operate(s.op[:-1], Val(target.expr, target.new_type), operand, s.loc)
                value = self.convert(result, target.type, target.new_type, s.loc)
        place = target.expr
        if extra:
            place = self.stable(place)
            self.out.extend(extra)
        if isinstance(value, FieldsExpr | TupleExpr) and mentions(value, place):
            value = self.temporary(value.type, s.loc, value)  # else {h.b, h.a} to h would not swap
        self.out.append(Assign(place, value, loc=s.loc))

    def _if(self, s: ast.IfStatement) -> None:
        condition = self.condition(s.condition)
        then = self.branch(s.then)
        otherwise = None
        if s.otherwise is not None:
            otherwise = self.branch(s.otherwise)
        if isinstance(condition, BoolConst):
            taken = then if condition.value else otherwise
            if taken is not None:
                self.out.append(taken)
            return
        self.out.append(If(condition, then, otherwise, loc=s.loc))

    def _return(self, s: ast.ReturnStatement) -> None:
        if self.unit.kind == "parser":
            raise Failure(s.loc, "return is not allowed in a parser")
        result = VOID if self.unit.in_action else self.unit.result
        if s.value is None:
            if result != VOID:
                raise Failure(s.loc, f"return needs a value of type {result}")
            self.out.append(Return(None, loc=s.loc))
            return
        if result == VOID:
            raise Failure(s.loc, "return cannot have a value here")
        self.out.append(Return(self.value(s.value, result, self.unit.result_new_type), loc=s.loc))

    def _exit(self, s: ast.ExitStatement) -> None:
        if self.unit.kind not in ("control", "deparser"):
            raise Failure(s.loc, "exit is allowed only in controls and actions")
        self.out.append(Exit(loc=s.loc))

    # --- declarations ---

    def _declaration(self, s: ast.DeclarationStatement) -> None:
        declaration = s.declaration
        if isinstance(declaration, ast.ConstDecl):
            symbol = ConstSymbol(self.constant(declaration))
            self.scope.define(declaration.name, symbol, declaration.loc)
        elif isinstance(declaration, ast.VarDeclSyntax):
            self._variable(declaration)
        else:
            raise Failure(declaration.loc, "instances are declared before apply or the first state")

    def _variable(self, declaration: ast.VarDeclSyntax) -> None:
        t, new_type = self.data_type(declaration.type)
        init: Expr | None = None
        if declaration.init is not None:
            init = self.value(declaration.init, t, new_type)
        var = Var(t, self.unit.names.take(declaration.name), Storage.LOCAL, loc=declaration.loc)
        self.scope.define(declaration.name, VarSymbol(var, new_type, True), declaration.loc)
        self.out.append(VarDecl(var.name, t, init, loc=declaration.loc))

    # --- switch ---

    def _switch(self, s: ast.SwitchStatement) -> None:
        if (
            isinstance(s.value, ast.MemberExpr)
            and s.value.name == "action_run"
            and isinstance(s.value.base, ast.CallExpr)
        ):
            table = self.table_of(s.value.base)
            if table is not None:
                self._action_switch(s, s.value.base, table)
                return
        self._value_switch(s)

    def _grouped(self, s: ast.SwitchStatement) -> list[tuple[list[ast.Expression], Block]]:
        """Labels that share a body, bodies translated."""
        found: list[tuple[list[ast.Expression], Block]] = []
        labels: list[ast.Expression] = []
        for case in s.cases:
            if case is not s.cases[-1] and isinstance(case.label, ast.DefaultExpr):
                raise Failure(case.loc, "default must be the last case of a switch, and there is only one")
            labels.append(case.label)
            if case.body is not None:
                found.append((labels, self.branch(case.body)))
                labels = []
        if labels:
            self.context.diagnostics.warn(labels[-1].loc, "the last case of this switch has no body")
        return found

    def _action_switch(self, s: ast.SwitchStatement, call: ast.CallExpr, table: TableSymbol) -> None:
        cases: list[ActionCase] = []
        default: Block | None = None
        seen: set[str] = set()
        self.apply_table(call, table)
        place = len(self.out) - 1
        for labels, body in self._grouped(s):
            actions = []
            for label in labels:
                if isinstance(label, ast.DefaultExpr):
                    default = body
                    continue
                name = label.name if isinstance(label, ast.NameExpr) else ""
                if name not in table.actions:
                    raise Failure(label.loc, "this label is no action of the table")
                if name in seen:
                    raise Failure(label.loc, f"`{name}` is a label twice")
                seen.add(name)
                actions.append(table.actions[name])
            if actions:
                cases.append(ActionCase(tuple(actions), body, loc=labels[0].loc))
        applied = self.out[place]
        assert isinstance(applied, ApplyTable)
        self.out[place] = replace(applied, cases=tuple(cases), default=default)

    def _value_switch(self, s: ast.SwitchStatement) -> None:
        value = self.translate(s.value)
        if not isinstance(value.type, BitType | IntType | EnumType | SerEnumType | ErrorType):
            raise Failure(s.value.loc, f"switch cannot take {describe(value)}")
        cases: list[SwitchCase] = []
        default: Block | None = None
        seen: list[Expr] = []
        for labels, body in self._grouped(s):
            values = []
            for label in labels:
                if isinstance(label, ast.DefaultExpr):
                    default = body
                    continue
                constant = self.value(label, value.type, value.new_type)
                if not self.is_constant(constant):
                    raise Failure(label.loc, "a label must be a compile-time constant")
                if constant in seen:
                    raise Failure(label.loc, "this label stands twice in the switch")
                seen.append(constant)
                values.append(constant)
            if values:
                cases.append(SwitchCase(tuple(values), body, loc=labels[0].loc))
        self.out.append(Switch(value.expr, tuple(cases), default, loc=s.loc))
