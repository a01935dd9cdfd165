# SPDX-License-Identifier: Apache-2.0
"""Calls of functions, actions, externs, tables, controls and parsers."""

from __future__ import annotations

from collections.abc import Iterable

from softswitch.p4 import ast, fold, ir
from softswitch.p4.aliases import nodes, variables_of
from softswitch.p4.convert import describe
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import BoolConst, Expr, Loc, StringConst, TupleExpr, UnaryOp
from softswitch.p4.ir_stmt import (
    ApplyTable,
    Arg,
    Block,
    CallAction,
    CallControl,
    CallExtern,
    CallFunction,
    CallMethod,
    CallParser,
    Direction,
    Exit,
    SendDigest,
    Verify,
)
from softswitch.p4.packets import PacketTranslator
from softswitch.p4.scopes import (
    ActionSymbol,
    BlockSymbol,
    DeclSymbol,
    ExternSymbol,
    PacketSymbol,
    ParamInfo,
    Symbol,
    TableSymbol,
    TypeSymbol,
    Val,
)
from softswitch.p4.types import (
    BOOL,
    VOID,
    HeaderType,
    InfInt,
    StackType,
    StructType,
    Type,
    TypeVar,
    UnionType,
)

EXTERN_FUNCTIONS = frozenset(
    (
        "assert",
        "assume",
        "clone",
        "clone3",
        "clone_preserving_field_list",
        "digest",
        "hash",
        "log_msg",
        "mark_to_drop",
        "random",
        "recirculate",
        "recirculate_preserving_field_list",
        "resubmit",
        "resubmit_preserving_field_list",
        "static_assert",
        "truncate",
        "update_checksum",
        "update_checksum_with_payload",
        "verify",
        "verify_checksum",
        "verify_checksum_with_payload",
    )
)
"""Extern functions of core and v1model."""


class CallTranslator(PacketTranslator):
    """Every kind of call; effects go to the statement list."""

    # --- to be provided above ---

    def direct_block(self, declaration: ast.Declaration, loc: Loc) -> BlockSymbol:
        """The instance behind `Type.apply(…)`."""
        raise NotImplementedError

    def called_often(self, method: ast.MemberExpr) -> bool:
        """Whether a sub-parser's `apply` is called at more than one place of the parser."""
        raise NotImplementedError

    def top_action(self, declaration: ast.ActionDecl) -> ActionSymbol:
        """A top-level action."""
        raise NotImplementedError

    def monomorph(self, declaration: ast.FunctionDecl, bound: dict[str, TypeSymbol], loc: Loc) -> ir.Function:
        """A function for given type arguments."""
        raise NotImplementedError

    # --- entry points ---

    def call_value(self, call: ast.CallExpr, expected: Type | None) -> Val:
        """The value of a call in an expression. Failure when it has none."""
        result = self.call(call, expected)
        if result is None:
            raise Failure(call.loc, "this call has no value")
        return result

    def call(self, call: ast.CallExpr, expected: Type | None = None) -> Val | None:
        """Translates a call; None when it returns nothing."""
        function = call.function
        if isinstance(function, ast.MemberExpr):
            return self._method(call, function)
        entity = self.entity(function)
        if isinstance(entity, ActionSymbol):
            self._action(call, entity)
            return None
        if isinstance(entity, DeclSymbol):
            return self._declared(call, entity, expected)
        raise Failure(call.loc, "this cannot be called")

    def _declared(self, call: ast.CallExpr, symbol: DeclSymbol, expected: Type | None) -> Val | None:
        first = symbol.decls[0]
        if isinstance(first, ast.ActionDecl):
            self._action(call, self.top_action(first))
            return None
        if isinstance(first, ast.FunctionDecl):
            return self._function(call, self._overload(call, symbol, first.name), expected)
        if isinstance(first, ast.MethodDecl):
            return self._extern_function(call, self._overload(call, symbol, first.name))
        if isinstance(first, ast.ExternDecl | ast.ControlDecl | ast.ParserDecl | ast.PackageDecl):
            raise Failure(call.loc, f"`{first.name}` makes an instance: declare it with a name")
        raise Failure(call.loc, f"`{first.name}` cannot be called")

    @staticmethod
    def _overload(call: ast.CallExpr, symbol: DeclSymbol, name: str) -> ast.CallableDecl:
        candidates = [d for d in symbol.decls if isinstance(d, ast.CallableDecl)]
        for d in candidates:
            required = sum(1 for p in d.params if p.default is None)
            names = {p.name for p in d.params}
            if required <= len(call.args) <= len(d.params) and all(
                a.name is None or a.name in names for a in call.args
            ):
                return d
        if len(candidates) == 1:
            return candidates[0]
        raise Failure(call.loc, f"no overload of `{name}` takes {len(call.args)} arguments")

    # --- functions and actions ---

    def _type_arguments(self, call: ast.CallExpr, type_params: list[str], what: str) -> dict[str, TypeSymbol]:
        bound = {name: TypeSymbol(TypeVar(name)) for name in type_params}
        if not call.types:
            return bound
        if len(call.types) != len(type_params):
            raise Failure(call.loc, f"{what} takes {len(type_params)} type arguments")
        for name, ref in zip(type_params, call.types, strict=True):
            if not (isinstance(ref, ast.NamedTypeRef) and ref.name == "_"):
                bound[name] = TypeSymbol(*self.resolve(ref))
        return bound

    def _function(self, call: ast.CallExpr, decl: ast.CallableDecl, expected: Type | None) -> Val | None:
        assert isinstance(decl, ast.FunctionDecl)
        what = f"function `{decl.name}`"
        bound = self._type_arguments(call, decl.type_params, what)
        if isinstance(decl.result, ast.NamedTypeRef) and decl.result.name in bound and expected is not None:
            symbol = bound[decl.result.name]
            if isinstance(symbol.type, TypeVar) and not isinstance(expected, InfInt):
                bound[decl.result.name] = TypeSymbol(expected)
        args = self.bind(self.param_infos(decl.params, bound), call.args, bound, call.loc, what)
        function = self.monomorph(decl, bound, call.loc)
        args, after = self.copies(args, frozenset(), by_reference=True)
        result: Val | None = None
        if function.result == VOID:
            self.out.append(CallFunction(function.name, tuple(args), None, loc=call.loc))
        else:
            new_type = self._result_new_type(decl, bound)
            var = self.temporary(function.result, call.loc)
            result = Val(var, new_type)
            self.out.append(CallFunction(function.name, tuple(args), var, loc=call.loc))
        self.out.extend(after)
        return result

    def _result_new_type(self, decl: ast.FunctionDecl, bound: dict[str, TypeSymbol]) -> str | None:
        with self.global_scope(), self.inner_scope() as scope:
            scope.names.update(bound)
            return self.resolve(decl.result)[1]

    def _action(self, call: ast.CallExpr, symbol: ActionSymbol) -> None:
        if self.unit.kind not in ("control", "deparser"):
            raise Failure(call.loc, "actions are called only in controls")
        args = self.bind(symbol.params, call.args, {}, call.loc, "the action")
        bodies = self.bodies_behind(symbol.action)
        args, after = self.copies(args, variables_of(tuple(bodies)), by_reference=True)
        directed = [a for a in args if a.direction is not Direction.NONE]
        plain = [a for a in args if a.direction is Direction.NONE]
        self.out.append(CallAction(symbol.action.name, tuple(directed + plain), tuple(after), loc=call.loc))

    def bodies_behind(self, action: ir.Action) -> list[Block]:
        """The bodies of an action and of the actions that it calls."""
        known = {a.name: a for a in (*self.unit.actions, *self.context.actions)}
        found = {action.name: action.body}
        pending = [action.body]
        while pending:
            for node in nodes(pending.pop()):
                if isinstance(node, CallAction) and node.action not in found:
                    found[node.action] = known[node.action].body
                    pending.append(found[node.action])
        return list(found.values())

    # --- extern functions ---

    def _extern_function(self, call: ast.CallExpr, decl: ast.CallableDecl) -> Val | None:
        name = decl.name
        if name not in EXTERN_FUNCTIONS:
            raise Failure(call.loc, f"extern function `{name}` is not part of v1model: not supported")
        what = f"`{name}`"
        bound = self._type_arguments(call, decl.type_params, what)
        params = self.param_infos(decl.params, bound)
        if name == "verify":
            self._verify(call, params)
            return None
        args = self.bind(params, call.args, bound, call.loc, what)
        if name == "static_assert":
            return self._static_assert(call, args)
        for p, arg in zip(params, args, strict=True):
            if p.direction is Direction.NONE and not self.is_constant(arg.value):
                raise Failure(arg.value.loc, f"{what}: `{p.name}` must be a compile-time constant")
        if self.unit.kind == "parser" and name not in ("log_msg", "assert", "assume"):
            raise Failure(call.loc, f"{what} cannot be called in a parser")
        if name == "digest":
            self._digest(call, args[1].value)
            return None
        args, after = self.copies(args, frozenset(), by_reference=False)
        self.out.append(CallExtern(name, tuple(args), None, loc=call.loc))
        self.out.extend(after)
        return None

    def _verify(self, call: ast.CallExpr, params: list[ParamInfo]) -> None:
        if self.unit.kind != "parser":
            raise Failure(call.loc, "verify can be called only in parsers")
        condition, error = self.bind(params, call.args, {}, call.loc, "`verify`")
        self.out.append(Verify(condition.value, error.value, loc=call.loc))

    def _static_assert(self, call: ast.CallExpr, args: list[Arg]) -> Val:
        check = args[0].value
        if not isinstance(check, BoolConst):
            raise Failure(call.loc, "static_assert needs a compile-time condition")
        if not check.value:
            text = args[1].value if len(args) > 1 else None
            message = f": {text.value}" if isinstance(text, StringConst) else ""
            raise Failure(call.loc, f"static_assert failed{message}")
        return Val(BoolConst(BOOL, True, loc=call.loc))

    def _digest(self, call: ast.CallExpr, value: Expr) -> None:
        t = value.type
        known = {d.type: d for d in self.context.digests}
        if t not in known:
            unnamed = sum(not isinstance(d.type, StructType) for d in known.values())
            own = t.name if isinstance(t, StructType) else f"digest_{unnamed}"  # the name that p4c gives
            names = value.type_names if isinstance(value, TupleExpr) else ()
            known[t] = ir.DigestDecl(self.context.names.take(f"digest_{own}"), own, t, names, loc=call.loc)
            self.context.digests.append(known[t])
        self.out.append(SendDigest(known[t].name, value, loc=call.loc))

    # --- methods ---

    def _method(self, call: ast.CallExpr, member: ast.MemberExpr) -> Val | None:
        entity = self.entity(member.base)
        if isinstance(entity, PacketSymbol):
            return self.packet_method(call, member.name, entity.kind)
        if isinstance(entity, TableSymbol) and member.name == "apply":
            self.apply_table(call, entity)
            return None
        if isinstance(entity, BlockSymbol) and member.name == "apply":
            self._apply_block(call, entity)
            return None
        if isinstance(entity, ExternSymbol):
            return self._extern_method(call, member.name, entity)
        if isinstance(entity, DeclSymbol) and member.name == "apply":
            self._apply_block(call, self.direct_block(entity.decls[0], call.loc))
            return None
        if isinstance(entity, Type):
            return self.size_method(call, member.name, entity)
        if isinstance(entity, Symbol):
            raise Failure(member.at, f"there is no method `{member.name}` here")
        base = self.translate(member.base)
        if isinstance(base.type, HeaderType | UnionType) and member.name in (
            "isValid",
            "setValid",
            "setInvalid",
        ):
            return self.header_method(call, member, base)
        if isinstance(base.type, StackType) and member.name in ("push_front", "pop_front"):
            self.shift_stack(call, member, base)
            return None
        if member.name in ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes"):
            return self.size_method(call, member.name, base.type)
        raise Failure(member.at, f"{describe(base)} has no method `{member.name}`")

    # --- tables, blocks, extern instances ---

    def apply_table(self, call: ast.CallExpr, table: TableSymbol, hit: Expr | None = None) -> None:
        """Adds `table.apply()`, its hit to go to `hit`."""
        if call.args:
            raise Failure(call.loc, "a table's apply takes no arguments")
        if self.unit.in_action or self.unit.kind not in ("control", "deparser"):
            raise Failure(call.loc, "tables are applied only in a control's apply block")
        self.out.append(ApplyTable(table.name, hit, loc=call.loc))

    def table_of(self, call: ast.CallExpr) -> TableSymbol | None:
        """The table when the call is `table.apply()`."""
        if isinstance(call.function, ast.MemberExpr) and call.function.name == "apply":
            entity = self.entity(call.function.base)
            if isinstance(entity, TableSymbol):
                return entity
        return None

    def table_result(self, call: ast.CallExpr, what: str, loc: Loc) -> Val:
        """`table.apply().hit` or `.miss` as a variable."""
        table = self.table_of(call)
        if table is None:
            raise Failure(loc, f"`.{what}` belongs to a table's apply()")
        if what == "action_run":
            raise Failure(loc, "`action_run` can only be the expression of a switch")
        hit = self.temporary(BOOL, loc, name="hit")
        self.apply_table(call, table, hit)
        return Val(hit if what == "hit" else fold.unary(UnaryOp.NOT, hit, loc))

    def _apply_block(self, call: ast.CallExpr, symbol: BlockSymbol) -> None:
        is_parser = isinstance(symbol.decl, ast.ParserDecl)
        if is_parser != (self.unit.kind == "parser") or self.unit.in_action:
            where = "a parser's states" if is_parser else "a control's apply block"
            raise Failure(call.loc, f"`{symbol.decl.name}` can be applied only in {where}")
        what = f"`{symbol.decl.name}`.apply"
        args = self.bind(symbol.params, call.args, {}, call.loc, what)
        often = is_parser and isinstance(call.function, ast.MemberExpr) and self.called_often(call.function)
        args, after = self.copies(args, frozenset(), by_reference=True, always=often)
        if not is_parser:
            self.out.append(CallControl(symbol.block.name, tuple(args), tuple(after), loc=call.loc))
            return
        self.out.append(CallParser(symbol.block.name, tuple(args), loc=call.loc))
        self.out.extend(after)

    def _extern_method(self, call: ast.CallExpr, name: str, symbol: ExternSymbol) -> Val | None:
        methods = [m for m in symbol.decl.methods if m.name == name and m.result is not None]
        if not methods:
            raise Failure(call.loc, f"{symbol.decl.name} has no method `{name}`")
        decl = self._overload(call, DeclSymbol(tuple(methods)), name)
        assert isinstance(decl, ast.MethodDecl)
        assert decl.result is not None
        what = f"`{symbol.decl.name}.{name}`"
        bound = symbol.types | self._type_arguments(call, decl.type_params, what)
        args = self.bind(self.param_infos(decl.params, bound), call.args, bound, call.loc, what)
        args, after = self.copies(args, frozenset(), by_reference=False)
        with self.global_scope(), self.inner_scope() as scope:
            scope.names.update(bound)
            result_type, new_type = self.resolve(decl.result)
        result = None if result_type == VOID else self.temporary(result_type, call.loc)
        self.out.append(CallMethod(symbol.name, name, tuple(args), result, loc=call.loc))
        self.out.extend(after)
        return None if result is None else Val(result, new_type)


def may_exit(bodies: Iterable[object]) -> bool:
    """Whether one of the bodies exits."""
    return any(isinstance(n, Exit) for body in bodies for n in nodes(body))
