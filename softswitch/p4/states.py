# SPDX-License-Identifier: Apache-2.0
"""Translation of parser states (P4_16 chapter 13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import partial

from softswitch.p4 import ast
from softswitch.p4.context import Names
from softswitch.p4.convert import describe
from softswitch.p4.entries import EntryTranslator
from softswitch.p4.errors import Failure
from softswitch.p4.ir import Goto, Select, SelectCase, State
from softswitch.p4.ir_expr import KeySet, KeyValueSet
from softswitch.p4.ir_stmt import Stmt
from softswitch.p4.scopes import Val, ValueSetSymbol
from softswitch.p4.types import BitType, BoolType, EnumType, ErrorType, IntType, SerEnumType

_FINAL = ("accept", "reject")


class StateTranslator(EntryTranslator):
    """States, transitions, selects."""

    def states(self, declaration: ast.ParserDecl) -> tuple[State, ...]:
        """All states of a parser; failures in one do not stop the others."""
        self._applied = Counter(_applied(declaration.states))
        names = Names()
        known: dict[str, str] = {name: names.take(name) for name in _FINAL}
        for state in declaration.states or []:
            try:
                if state.name in known:
                    raise Failure(state.loc, f"state `{state.name}` is declared twice, or is a final state")
                known[state.name] = names.take(state.name)
            except Failure as failure:
                self.context.diagnostics.failed(failure)
        if "start" not in known:
            raise Failure(declaration.loc, f"parser {declaration.name} has no state `start`")
        found = []
        for state in declaration.states or []:
            try:
                found.append(self._state(state, known))
            except Failure as failure:
                self.context.diagnostics.failed(failure)
        return tuple(found)

    def called_often(self, method: ast.MemberExpr) -> bool:
        """As p4c for BMv2: what a sub-parser has written when it rejects reaches its caller only when that
        calls it at a single place."""
        return self._applied[_name(method.base)] > 1

    def _state(self, syntax: ast.StateDecl, known: dict[str, str]) -> State:
        with self.collecting() as out, self.inner_scope():
            for statement in syntax.body:
                if isinstance(statement, ast.SwitchStatement | ast.ExitStatement):
                    raise Failure(statement.loc, "this statement is not allowed in a parser")
                self.guarded(statement)
            transition = self._transition(syntax, known, out)
        return State(known[syntax.name], tuple(out), transition, loc=syntax.loc)

    def _target(self, name: str, known: dict[str, str], syntax: ast.Syntax) -> str:
        if name not in known:
            raise Failure(syntax.loc, f"state `{name}` does not exist")
        return known[name]

    def _transition(self, syntax: ast.StateDecl, known: dict[str, str], out: list[Stmt]) -> Select | Goto:
        transition = syntax.transition
        if transition is None:
            return Goto("reject", loc=syntax.loc)
        if isinstance(transition, str):
            return Goto(self._target(transition, known, syntax), loc=syntax.loc)
        values = self.ordered([partial(self.translate, e) for e in transition.values])
        cases = []
        for value, e in zip(values, transition.values, strict=True):
            if not isinstance(value.type, BitType | IntType | BoolType | SerEnumType | EnumType | ErrorType):
                raise Failure(e.loc, f"select cannot take {describe(value)}")
        for case in transition.cases:
            keys = self._keys_of_case(case, values)
            cases.append(SelectCase(keys, self._target(case.target, known, case), loc=case.loc))
        return Select(tuple(v.expr for v in values), tuple(cases), loc=transition.loc)

    def _keys_of_case(self, case: ast.SelectCaseSyntax, values: list[Val]) -> tuple[KeySet, ...]:
        if len(case.keys) == 1:
            only = case.keys[0]
            if isinstance(only, ast.DefaultExpr):
                return tuple(self.key_set(only, v.type, v.new_type) for v in values)
            entity = self.entity(only)
            if isinstance(entity, ValueSetSymbol):
                return (KeyValueSet(entity.name),)
        if len(case.keys) != len(values):
            raise Failure(case.loc, f"the case has {len(case.keys)} key sets, select {len(values)} values")
        for key in case.keys:
            if isinstance(self.entity(key), ValueSetSymbol):
                raise Failure(key.loc, "a value set beside other key sets is not supported")
        return tuple(self.key_set(k, v.type, v.new_type) for k, v in zip(case.keys, values, strict=True))


def _applied(syntax: object) -> Iterator[str]:
    """Names of the instances that a syntax tree applies, each as often as it does."""
    pending = [syntax]
    while pending:
        here = pending.pop()
        if isinstance(here, list):
            pending.extend(here)
        elif isinstance(here, ast.Syntax) and is_dataclass(here):
            pending.extend(getattr(here, f.name) for f in fields(here) if f.name != "loc")
            if isinstance(here, ast.MemberExpr) and here.name == "apply":
                yield _name(here.base)


def _name(base: ast.Expression) -> str:
    return base.name if isinstance(base, ast.NameExpr) else ""
