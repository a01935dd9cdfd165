# SPDX-License-Identifier: Apache-2.0
"""Translation of actions and tables (P4_16 chapters 14.1 and 14.2)."""

from __future__ import annotations

from functools import partial

from softswitch.p4 import ast, ir
from softswitch.p4.aliases import variables_of
from softswitch.p4.arguments import DIRECTIONS
from softswitch.p4.convert import describe
from softswitch.p4.entries import EntryTranslator, TableShape
from softswitch.p4.errors import Failure
from softswitch.p4.field_ids import field_ids
from softswitch.p4.ir import ActionCallConst, ActionRef, Key, MatchKind
from softswitch.p4.ir_expr import Expr, Loc, Storage, Var
from softswitch.p4.ir_stmt import Arg, Direction, Stmt
from softswitch.p4.key_names import key_name
from softswitch.p4.scopes import (
    ActionSymbol,
    DeclSymbol,
    ExternSymbol,
    ParamInfo,
    Scope,
    TableSymbol,
    VarSymbol,
)
from softswitch.p4.types import (
    Annotation,
    BitType,
    BoolType,
    EnumType,
    ErrorType,
    IntType,
    SerEnumType,
    find_annotation,
    width_of,
)

DEFAULT_SIZE = 1024
MAX_SIZE = 0x7FFFFFFF
_PROPERTIES = (
    "default_action",
    "size",
    "implementation",
    "counters",
    "meters",
    "support_timeout",
    "largest_priority_wins",
    "priority_delta",
)
_UNSIZED_BITS = 32
"""Bits of a key without a width (an error, a plain enum) in the data plane."""
_PROPERTY_EXTERNS = {
    "counters": ("direct_counter",),
    "meters": ("direct_meter",),
    "implementation": ("action_profile", "action_selector"),
}


class TableTranslator(EntryTranslator):
    """Actions and tables of a control."""

    # --- actions ---

    def action(self, declaration: ast.ActionDecl, cp_name: str, name: str) -> ActionSymbol:
        """Translates an action in the current scope; directed parameters come first in the IR."""
        infos, params = [], []
        outer, self.scope = self.scope, Scope(self.scope)
        try:
            for p in declaration.params:
                t, new_type = self.data_type(p.type)
                direction = DIRECTIONS[p.direction]
                local = self.unit.names.take(p.name)
                infos.append(ParamInfo(p.name, t, new_type, direction, p.default))
                annotations = self.annotations(p.annotations)
                params.append((p, ir.Param(local, t, direction, annotations, new_type, p.name, loc=p.loc)))
                var = Var(t, local, Storage.ACTION_PARAM, loc=p.loc)
                writable = direction in (Direction.OUT, Direction.INOUT)
                self.scope.define(p.name, VarSymbol(var, new_type, writable), p.loc)
            self.unit.in_action = True
            body = self.body(declaration.body.body, declaration.body.loc)
        finally:
            self.unit.in_action = False
            self.scope = outer
        directed = tuple(p for _, p in params if p.direction is not Direction.NONE)
        plain = tuple(p for _, p in params if p.direction is Direction.NONE)
        annotations = self.annotations(declaration.annotations)
        made = ir.Action(name, cp_name, directed, plain, body, annotations, loc=declaration.loc)
        return ActionSymbol(made, tuple(infos))

    # --- tables ---

    def table(self, declaration: ast.TableDecl, cp_name: str, name: str) -> TableSymbol:
        """Translates a table and adds it to the unit."""
        properties = {p.name: p for p in declaration.properties}
        for p in declaration.properties:
            if p.name not in _PROPERTIES:
                self.context.diagnostics.warn(p.loc, f"table property `{p.name}` is unknown: ignored")
        keys, selector, setup = self._keys(declaration.keys or [])
        if declaration.actions is None:
            raise Failure(declaration.loc, f"table `{declaration.name}` has no list of actions")
        symbols: dict[str, ActionSymbol] = {}
        refs: list[ActionRef] = []
        given: dict[str, tuple[Arg, ...]] = {}
        for element in declaration.actions:
            symbol, ref, given[element.name] = self._action_ref(element)
            if element.name in symbols:
                raise Failure(element.loc, f"action `{element.name}` is listed twice")
            symbols[element.name] = symbol
            refs.append(ref)
        shape = TableShape(tuple(keys), symbols, {r.action: r for r in refs}, given)
        default, const_default = self._default(properties.get("default_action"), shape, refs, declaration)
        entries = self.entries(declaration, shape, properties)
        size = self._size(properties.get("size"))
        attached = {w: self._attached(properties.get(w), w, cp_name, name) for w in _PROPERTY_EXTERNS}
        made = ir.Table(
            name,
            cp_name,
            tuple(keys),
            tuple(selector),
            tuple(refs),
            default,
            const_default,
            entries,
            declaration.entries is not None and declaration.const_entries,
            size,
            self.flag(properties.get("support_timeout")),
            attached["counters"],
            attached["meters"],
            attached["implementation"],
            self.annotations(declaration.annotations),
            tuple(setup),
            loc=declaration.loc,
        )
        self.unit.tables.append(made)
        return TableSymbol(name, {n: s.action.name for n, s in symbols.items()})

    def _keys(self, elements: list[ast.KeyElement]) -> tuple[list[Key], list[Expr], list[Stmt]]:
        """Match fields, selector fields, and the statements that come before them."""
        keys: list[Key] = []
        selector: list[Expr] = []
        marks = [self.annotations(e.annotations) for e in elements]
        with self.collecting() as setup:
            values = self.ordered([partial(self.translate, e.expression) for e in elements])
        for element, value, own, number in zip(elements, values, marks, field_ids(marks), strict=True):
            if not isinstance(value.type, BitType | IntType | BoolType | SerEnumType | EnumType | ErrorType):
                raise Failure(element.loc, f"a key cannot be {describe(value)}")
            if element.match == "selector":
                selector.append(value.expr)
                continue
            if element.match not in self.context.match_kinds:
                raise Failure(element.loc, f"match kind `{element.match}` is not declared")
            if element.match not in {m.value for m in MatchKind}:
                raise Failure(element.loc, f"match kind `{element.match}` is not supported")
            width = width_of(value.type) or _UNSIZED_BITS
            name = self._key_name(element, own)
            match = MatchKind(element.match)
            made = Key(value.expr, match, name, width, number, own, value.new_type, loc=element.loc)
            keys.append(made)
        if sum(k.match is MatchKind.LPM for k in keys) > 1:
            raise Failure(elements[0].loc, "a table can have one lpm key")
        return keys, selector, setup

    def _key_name(self, element: ast.KeyElement, annotations: tuple[Annotation, ...]) -> str:
        given = find_annotation(annotations, "name")
        if given is not None and given.values and isinstance(given.values[0], str):
            return given.values[0]
        name = key_name(element.expression, self.field_name)
        if name is None:
            raise Failure(element.loc, 'this key expression needs a name: add @name("…")')
        return name

    def field_name(self, expression: ast.MemberExpr) -> str:
        """The control-plane name of a member: `@name` of its field, or its own."""
        if self.entity(expression.base) is not None:
            return expression.name
        base = self.translate(expression.base).type
        for f in getattr(base, "fields", ()):
            if f.name == expression.name:
                given = find_annotation(f.annotations, "name")
                return str(given.values[0]) if given is not None and given.values else expression.name
        return expression.name

    def find_action(self, name: str, loc: Loc, absolute: bool = False) -> ActionSymbol:
        """The action called `name`. Failure when there is none."""
        symbol = self.find(name, loc, absolute)
        if isinstance(symbol, ActionSymbol):
            return symbol
        if isinstance(symbol, DeclSymbol) and isinstance(symbol.decls[0], ast.ActionDecl):
            return self.top_action(symbol.decls[0])
        raise Failure(loc, f"`{name}` is no action")

    def _action_ref(self, element: ast.ActionElement) -> tuple[ActionSymbol, ActionRef, tuple[Arg, ...]]:
        """An action of the list, and its arguments as written."""
        symbol = self.find_action(element.name, element.loc, element.absolute)
        directed = [p for p in symbol.params if p.direction is not Direction.NONE]
        args: list[Arg] = []
        with self.collecting() as before:
            if element.args is not None or directed:
                args = self.bind(directed, element.args or [], {}, element.loc, f"action `{element.name}`")
            touched = variables_of(tuple(self.bodies_behind(symbol.action)))
            passed, after = self.copies(args, touched, by_reference=True)
        annotations = self.annotations(element.annotations)
        names = {a.name for a in annotations}
        ref = ActionRef(
            symbol.action.name,
            tuple(passed),
            annotations,
            "tableonly" in names,
            "defaultonly" in names,
            tuple(before),
            tuple(after),
            loc=element.loc,
        )
        return symbol, ref, tuple(args)

    def _default(
        self,
        given: ast.PropertySyntax | None,
        shape: TableShape,
        refs: list[ActionRef],
        declaration: ast.TableDecl,
    ) -> tuple[ActionCallConst, bool]:
        if given is not None:
            call = self.constant_call(given.value, shape)
            ref = shape.refs[call.action]
            if ref.table_only:
                raise Failure(given.loc, "a @tableonly action cannot be the default action")
            return call, given.const
        no_action = self.find_action("NoAction", declaration.loc, absolute=True)
        name = no_action.action.name
        if name not in shape.refs:
            mark = Annotation("defaultonly")
            refs.append(ActionRef(name, (), (mark,), default_only=True, loc=declaration.loc))
        return ActionCallConst(name, (), loc=declaration.loc), False

    def _size(self, given: ast.PropertySyntax | None) -> int:
        if given is None:
            return DEFAULT_SIZE
        size = self.constant_int(given.value, "a table's size")
        if not 0 <= size <= MAX_SIZE:
            raise Failure(given.loc, f"table size {size} is not between 0 and {MAX_SIZE}")
        return size or DEFAULT_SIZE

    def _attached(self, given: ast.PropertySyntax | None, what: str, cp_name: str, table: str) -> str | None:
        """Name of the extern instance that a property names (or makes, for implementations)."""
        if given is None:
            return None
        wanted = _PROPERTY_EXTERNS[what]
        if isinstance(given.value, ast.CallExpr):
            symbol = self.inline_extern(given.value, cp_name, given)
        else:
            entity = self.entity(given.value)
            symbol = entity if isinstance(entity, ExternSymbol) else None
        if symbol is None or symbol.decl.name not in wanted:
            raise Failure(given.loc, f"`{what}` must name an instance of {' or '.join(wanted)}")
        known = self.context.attached.setdefault(symbol.name, [])
        if known and what != "implementation":
            raise Failure(given.loc, f"this {wanted[0]} belongs to another table already")
        known.append(table)
        return symbol.name

    def inline_extern(
        self, call: ast.CallExpr, table_cp_name: str, given: ast.PropertySyntax
    ) -> ExternSymbol | None:
        """The extern instance that a property constructs in place."""
        raise NotImplementedError
