# SPDX-License-Identifier: Apache-2.0
"""Instances of parsers and controls, functions for given types: elaboration (P4_16 chapter 18)."""

from __future__ import annotations

from collections.abc import Sequence

from softswitch.p4 import ast, ir
from softswitch.p4.aliases import nodes
from softswitch.p4.arguments import DIRECTIONS
from softswitch.p4.calls import may_exit
from softswitch.p4.errors import Failure
from softswitch.p4.externs import ExternTranslator
from softswitch.p4.field_ids import field_ids
from softswitch.p4.ir_expr import Loc, Storage, Var
from softswitch.p4.ir_stmt import Assign, CallControl, Direction, Stmt, VarDecl
from softswitch.p4.scopes import (
    ActionSymbol,
    BlockSymbol,
    ConstSymbol,
    DeclSymbol,
    ExternSymbol,
    PacketSymbol,
    ParamInfo,
    Scope,
    Symbol,
    TypeSymbol,
    Val,
    ValueSetSymbol,
    VarSymbol,
)
from softswitch.p4.states import StateTranslator
from softswitch.p4.translator import Unit
from softswitch.p4.types import (
    VOID,
    Annotation,
    BitType,
    IntType,
    SerEnumType,
    StructType,
    find_annotation,
    width_of,
)

MAX_INSTANCES = 2000
"""Most instances of parsers and controls in one program."""


class BlockTranslator(StateTranslator, ExternTranslator):
    """Makes instances of parsers and controls, and everything declared in them."""

    def cp_name(self, declaration: ast.Declaration, annotations: tuple[Annotation, ...]) -> str:
        """Control-plane name of something declared in this unit, `@name` honoured."""
        given = find_annotation(annotations, "name")
        own = declaration.name
        if given is not None and given.values:
            own = str(given.values[0])
            if own.startswith("."):
                return own[1:]
        return f"{self.unit.path}.{own}" if self.unit.path else own

    def instantiate(
        self,
        declaration: ast.ControlDecl | ast.ParserDecl,
        type_args: Sequence[ast.TypeRef],
        args: Sequence[ast.Argument],
        path: str,
        loc: Loc,
        kind: str = "",
    ) -> BlockSymbol:
        """An instance with control-plane name `path`, added to the program with all that is in it."""
        if len(self.context.parsers) + len(self.context.controls) >= MAX_INSTANCES:
            raise Failure(loc, f"more than {MAX_INSTANCES} instances: not supported")
        if len(type_args) != len(declaration.type_params):
            raise Failure(loc, f"`{declaration.name}` takes {len(declaration.type_params)} type arguments")
        scope = Scope(self.context.globals)
        for name, ref in zip(declaration.type_params, type_args, strict=True):
            scope.define(name, TypeSymbol(*self.resolve(ref)), loc)
        self._constructor_arguments(declaration, args, scope, loc)
        if isinstance(declaration, ast.ParserDecl):
            kind = "parser"
        unit = Unit(kind or "control", self.context.names.take(path.replace(".", "_")), path)
        with self._opened(declaration):
            inner = BlockTranslator(self.context, unit, scope)
            if isinstance(declaration, ast.ParserDecl):
                return inner.make_parser(declaration)
            return inner.make_control(declaration)

    def _constructor_arguments(
        self,
        declaration: ast.ControlDecl | ast.ParserDecl,
        args: Sequence[ast.Argument],
        scope: Scope,
        loc: Loc,
    ) -> None:
        what = f"constructor of `{declaration.name}`"
        params = declaration.constructor_params
        infos = [ParamInfo(p.name, VOID, None, Direction.NONE, p.default) for p in params]
        for p, arg in zip(params, self.match(infos, args, loc, what), strict=True):
            if arg.value is None:
                raise Failure(arg.loc, "`_` is no value")
            entity = self.entity(arg.value)
            if isinstance(entity, ExternSymbol | BlockSymbol):
                self._check_instance(entity, p, arg.loc)
                scope.define(p.name, entity, p.loc)
                continue
            t, new_type = self.resolve(p.type)
            value = self.value(arg.value, t, new_type)
            if not self.is_constant(value):
                raise Failure(arg.loc, f"{what}: `{p.name}` must be a compile-time constant")
            scope.define(p.name, ConstSymbol(Val(value, new_type)), p.loc)

    def _check_instance(self, entity: Symbol, p: ast.Parameter, loc: Loc) -> None:
        name = p.type.name if isinstance(p.type, ast.NamedTypeRef) else ""
        wanted = self.context.declaration(name)
        if isinstance(entity, BlockSymbol) and isinstance(wanted, ast.ControlDecl | ast.ParserDecl):
            concrete = wanted.body if isinstance(wanted, ast.ControlDecl) else wanted.states
            if concrete is None and self.param_infos(wanted.params, {}) == list(entity.params):
                return
        if isinstance(entity, ExternSymbol | BlockSymbol) and entity.decl.name != name:
            raise Failure(loc, f"parameter `{p.name}` needs a {name}, not a {entity.decl.name}")

    # --- parameters and local declarations ---

    def _parameters(self, params: Sequence[ast.Parameter]) -> tuple[list[ir.Param], list[ParamInfo]]:
        made: list[ir.Param] = []
        infos: list[ParamInfo] = []
        for p in params:
            direction = DIRECTIONS[p.direction]
            packet = self.packet_kind(p.type)
            if packet is not None:
                self.scope.define(p.name, PacketSymbol(packet), p.loc)
                infos.append(ParamInfo(p.name, BitType(0), None, direction, packet=True))
                continue
            t, new_type = self.data_type(p.type)
            name = self.unit.names.take(p.name)
            annotations = self.annotations(p.annotations)
            made.append(ir.Param(name, t, direction, annotations, new_type, p.name, loc=p.loc))
            infos.append(ParamInfo(p.name, t, new_type, direction, p.default))
            var = Var(t, name, Storage.PARAM, loc=p.loc)
            writable = direction in (Direction.OUT, Direction.INOUT)
            self.scope.define(p.name, VarSymbol(var, new_type, writable), p.loc)
        return made, infos

    def _locals(self, declarations: Sequence[ast.Declaration]) -> list[Stmt]:
        """Declares everything before apply or the first state; the initialisers' statements."""
        with self.collecting() as setup:
            for declaration in declarations:
                try:
                    self._local(declaration)
                except Failure as failure:
                    self.context.diagnostics.failed(failure)
        return setup

    def _local(self, declaration: ast.Declaration) -> None:
        annotations = self.annotations(declaration.annotations)
        cp_name = self.cp_name(declaration, annotations)
        symbol: Symbol
        if isinstance(declaration, ast.ConstDecl):
            symbol = ConstSymbol(self.constant(declaration))
        elif isinstance(declaration, ast.VarDeclSyntax):
            symbol = self._unit_variable(declaration)
        elif isinstance(declaration, ast.ActionDecl):
            symbol = self.action(declaration, cp_name, self._global_name(cp_name))
            self.unit.actions.append(symbol.action)
        elif isinstance(declaration, ast.TableDecl):
            symbol = self.table(declaration, cp_name, self._global_name(cp_name))
        elif isinstance(declaration, ast.ValueSetDecl):
            symbol = self._value_set(declaration, cp_name, annotations)
        elif isinstance(declaration, ast.InstanceDecl):
            symbol = self.instance(declaration, cp_name, annotations)
        else:
            raise Failure(declaration.loc, f"`{declaration.name}` cannot be declared here")
        self.scope.define(declaration.name, symbol, declaration.loc)

    def _global_name(self, cp_name: str) -> str:
        return self.context.names.take(cp_name.replace(".", "_"))

    def _unit_variable(self, declaration: ast.VarDeclSyntax) -> VarSymbol:
        t, new_type = self.data_type(declaration.type)
        name = self.unit.names.take(declaration.name)
        var = Var(t, name, Storage.UNIT, loc=declaration.loc)
        if declaration.init is not None:
            value = self.value(declaration.init, t, new_type)
            self.out.append(Assign(var, value, loc=declaration.loc))
        self.unit.variables.append(VarDecl(name, t, None, loc=declaration.loc))
        return VarSymbol(var, new_type, True)

    def _value_set(
        self, declaration: ast.ValueSetDecl, cp_name: str, annotations: tuple[Annotation, ...]
    ) -> ValueSetSymbol:
        t, new_type = self.resolve(declaration.type)
        size = self.constant_int(declaration.size, "a value set's size")
        members = [("", t, annotations, new_type)]
        if isinstance(t, StructType):
            members = [(f.name, f.type, f.annotations, f.type_name) for f in t.fields]
        keys = []
        numbers = field_ids(m[2] if m[0] else () for m in members)
        for (name, member, marks, type_name), number in zip(members, numbers, strict=True):
            width = width_of(member)
            if not isinstance(member, BitType | IntType | SerEnumType) or width is None:
                raise Failure(declaration.loc, f"a value set of {member} is not supported")
            given = find_annotation(marks, "match")
            kind = str(given.text) if given is not None and name else "exact"
            if kind not in {m.value for m in ir.MatchKind}:
                raise Failure(declaration.loc, f"match kind `{kind}` is not supported")
            shown = marks if name else ()
            place = Var(member, name or declaration.name, Storage.UNIT, loc=declaration.loc)
            keys.append(ir.Key(place, ir.MatchKind(kind), name, width, number, shown, type_name))
        made = ir.ValueSet(
            self._global_name(cp_name), cp_name, size, tuple(keys), annotations, loc=declaration.loc
        )
        self.context.value_sets.append(made)
        return ValueSetSymbol(made.name, t)

    def instance(
        self, declaration: ast.InstanceDecl, cp_name: str, annotations: tuple[Annotation, ...]
    ) -> ExternSymbol | BlockSymbol:
        """`Type(args) name;`: an extern, control or parser instance."""
        if declaration.has_body:
            raise Failure(declaration.loc, "instances with abstract methods are not supported")
        ref = declaration.type
        if not isinstance(ref, ast.NamedTypeRef):
            raise Failure(declaration.loc, "this type has no constructor")
        symbol = self.find(ref.name, ref.loc, ref.absolute)
        first = symbol.decls[0] if isinstance(symbol, DeclSymbol) else None
        if isinstance(first, ast.ExternDecl):
            return self.extern_instance(
                first, ref.args, declaration.args, cp_name, annotations, declaration.loc
            )
        if isinstance(first, ast.ControlDecl | ast.ParserDecl):
            if (first.body if isinstance(first, ast.ControlDecl) else first.states) is None:
                raise Failure(declaration.loc, f"`{ref.name}` is only a type: it has no body")
            kind = "deparser" if self.unit.kind == "deparser" else ""
            return self.instantiate(first, ref.args, declaration.args, cp_name, declaration.loc, kind)
        raise Failure(declaration.loc, f"`{ref.name}` has no constructor")

    def direct_block(self, declaration: ast.Declaration, loc: Loc) -> BlockSymbol:
        """The instance behind `Type.apply(…)`, a new one for every call."""
        if not isinstance(declaration, ast.ControlDecl | ast.ParserDecl):
            raise Failure(loc, f"`{declaration.name}` has no apply")
        name = f"{self.unit.path}.{declaration.name}"
        kind = "deparser" if self.unit.kind == "deparser" else ""
        return self.instantiate(declaration, [], [], name, loc, kind)

    # --- parsers and controls ---

    def make_control(self, declaration: ast.ControlDecl) -> BlockSymbol:
        """This unit as a control instance."""
        assert declaration.body is not None
        params, infos = self._parameters(declaration.params)
        setup = self._locals(declaration.locals)
        body = self.body(declaration.body.body, declaration.body.loc)
        unit = self.unit
        made = ir.Control(
            unit.name,
            unit.path,
            tuple(params),
            tuple(unit.variables),
            tuple(unit.actions),
            tuple(unit.tables),
            tuple(setup),
            body,
            loc=declaration.loc,
        )
        self.context.controls.append(made)
        parts = [made.body, *(a.body for a in made.actions)]
        called = {n.control for part in parts for n in nodes(part) if isinstance(n, CallControl)}
        if may_exit(parts) or called & self.context.may_exit or self._tables_may_exit(made):
            self.context.may_exit.add(made.name)
        return BlockSymbol(made, declaration, tuple(infos))

    def _tables_may_exit(self, control: ir.Control) -> bool:
        listed = {ref.action for t in control.tables for ref in t.actions}
        return may_exit(a.body for a in self.context.actions if a.name in listed)

    def make_parser(self, declaration: ast.ParserDecl) -> BlockSymbol:
        """This unit as a parser instance."""
        params, infos = self._parameters(declaration.params)
        setup = self._locals(declaration.locals)
        states = self.states(declaration)
        unit = self.unit
        made = ir.Parser(
            unit.name,
            unit.path,
            tuple(params),
            tuple(unit.variables),
            tuple(setup),
            states,
            loc=declaration.loc,
        )
        self.context.parsers.append(made)
        return BlockSymbol(made, declaration, tuple(infos))

    # --- top-level actions and functions ---

    def top_action(self, declaration: ast.ActionDecl) -> ActionSymbol:
        """A top-level action, translated when first used."""
        known = self.context.top_actions.get(declaration.name)
        if known is not None:
            return known
        with self._opened(declaration):
            annotations = self.annotations(declaration.annotations)
            unit = Unit("control", declaration.name, "")
            inner = BlockTranslator(self.context, unit, self.context.globals)
            cp_name = inner.cp_name(declaration, annotations)
            made = inner.action(declaration, cp_name, self.context.names.take(declaration.name))
        self.context.top_actions[declaration.name] = made
        self.context.actions.append(made.action)
        return made

    def monomorph(self, declaration: ast.FunctionDecl, bound: dict[str, TypeSymbol], loc: Loc) -> ir.Function:
        """A function for given type arguments, translated when first called."""
        key = (id(declaration), tuple(s.new_type or str(s.type) for s in bound.values()))
        known = self.context.monomorphs.get(key)
        if known is not None:
            return known
        with self._opened(declaration):
            scope = Scope(self.context.globals)
            scope.names.update(bound)
            unit = Unit("function", self.context.names.take(declaration.name), "")
            inner = BlockTranslator(self.context, unit, scope)
            made = inner.make_function(declaration)
        self.context.monomorphs[key] = made
        self.context.functions.append(made)
        return made

    def make_function(self, declaration: ast.FunctionDecl) -> ir.Function:
        """This unit as a function."""
        result, self.unit.result_new_type = self.resolve(declaration.result)
        self.unit.result = result
        params, _ = self._parameters(declaration.params)
        body = self.body(declaration.body.body, declaration.body.loc)
        if result != VOID and not always_returns(declaration.body):
            raise Failure(declaration.loc, f"function `{declaration.name}` may end without return")
        return ir.Function(self.unit.name, tuple(params), result, body, loc=declaration.loc)


def always_returns(statement: ast.Statement | None) -> bool:
    """Whether every way through a statement ends in return."""
    if isinstance(statement, ast.BlockStatement):
        return any(always_returns(s) for s in statement.body)
    if isinstance(statement, ast.IfStatement):
        return always_returns(statement.then) and always_returns(statement.otherwise)
    if isinstance(statement, ast.SwitchStatement):
        bodies = [c.body for c in statement.cases if c.body is not None]
        has_default = any(isinstance(c.label, ast.DefaultExpr) for c in statement.cases)
        return has_default and all(always_returns(b) for b in bodies)
    return isinstance(statement, ast.ReturnStatement)
