# SPDX-License-Identifier: Apache-2.0
"""Binding of arguments to parameters: order, inference, directions, copies (P4_16 section 6.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from softswitch.p4 import ast
from softswitch.p4.aliases import has_effects, is_aggregate, overlap, root, variables_of
from softswitch.p4.errors import Failure
from softswitch.p4.expressions import ExpressionTranslator
from softswitch.p4.ir_expr import Const, Expr, FieldRef, Index, Loc, Slice
from softswitch.p4.ir_stmt import Arg, Assign, Direction, Stmt
from softswitch.p4.scopes import DeclSymbol, PacketSymbol, ParamInfo, TypeSymbol, Val
from softswitch.p4.types import (
    BitType,
    InfInt,
    TupleType,
    Type,
    TypeVar,
)

_WRITTEN = (Direction.OUT, Direction.INOUT)
DIRECTIONS = {d.value: d for d in Direction}


class ArgumentBinder(ExpressionTranslator):
    """Matches arguments with parameters."""

    def packet_kind(self, ref: ast.TypeRef) -> str | None:
        """ "packet_in" or "packet_out" when the type is that extern."""
        if not isinstance(ref, ast.NamedTypeRef):
            return None
        symbol = self.scope.find(ref.name)
        is_extern = isinstance(symbol, DeclSymbol) and isinstance(symbol.decls[0], ast.ExternDecl)
        return ref.name if is_extern and ref.name in ("packet_in", "packet_out") else None

    def param_infos(self, params: Sequence[ast.Parameter], bound: dict[str, TypeSymbol]) -> list[ParamInfo]:
        """The parameters of a top-level callable, with type parameters as `bound` (TypeVar where free)."""
        with self.global_scope(), self.inner_scope() as scope:
            for name, symbol in bound.items():
                scope.names[name] = symbol
            return [self._param_info(p) for p in params]

    def _param_info(self, p: ast.Parameter) -> ParamInfo:
        direction = DIRECTIONS[p.direction]
        if self.packet_kind(p.type):
            return ParamInfo(p.name, BitType(0), None, direction, p.default, packet=True)
        t, new_type = self.resolve(p.type)
        return ParamInfo(p.name, t, new_type, direction, p.default)

    def match(
        self, params: Sequence[ParamInfo], args: Sequence[ast.Argument], loc: Loc, what: str
    ) -> list[ast.Argument]:
        """Arguments in the parameters' order, defaults filled in. Failure when they do not fit."""
        if len(args) > len(params):
            raise Failure(loc, f"{what} takes {len(params)} arguments, {len(args)} are given")
        found: dict[str, ast.Argument] = {}
        for position, arg in enumerate(args):
            name = arg.name or params[position].name
            if name not in {p.name for p in params}:
                raise Failure(arg.loc, f"{what} has no parameter `{name}`")
            if name in found:
                raise Failure(arg.loc, f"{what}: parameter `{name}` is given twice")
            found[name] = arg
        for p in params:
            if p.name not in found:
                if p.default is None:
                    raise Failure(loc, f"{what}: argument for `{p.name}` is missing")
                found[p.name] = ast.Argument(loc, p.name, p.default)
        return [found[p.name] for p in params]

    def bind(
        self,
        params: Sequence[ParamInfo],
        args: Sequence[ast.Argument],
        bound: dict[str, TypeSymbol],
        loc: Loc,
        what: str,
    ) -> list[Arg]:
        """Typed arguments; packets are left out. Fills the type parameters in `bound` that were free."""
        matched = self.match(params, args, loc, what)
        values: list[Val | None] = []
        for p, arg in zip(params, matched, strict=True):
            with self.collecting() as extra:
                values_here = self._argument(p, arg, bound)
            if has_effects(extra):
                values = [
                    Val(self.saved(v.expr), v.new_type)
                    if v is not None and q.direction in (Direction.IN, Direction.NONE)
                    else v
                    for q, v in zip(params, values, strict=False)
                ]
            self.out.extend(extra)
            values.append(values_here)
            if values_here is not None and not p.packet:
                self.unify(p.type, values_here, bound, arg.loc)
        self._settle(bound, values, params, loc, what)
        result = []
        for p, arg, value in zip(params, matched, values, strict=True):
            if p.packet:
                continue
            t, new_type = self.substitute(p.type, p.new_type, bound)
            if p.direction in _WRITTEN:
                result.append(Arg(p.direction, self._out_argument(value, t, new_type, arg)))
            else:
                if value is None:
                    raise Failure(arg.loc, "`_` is no value")
                result.append(Arg(p.direction, self.convert(value, t, new_type, arg.loc)))
        return result

    def _argument(self, p: ParamInfo, arg: ast.Argument, bound: dict[str, TypeSymbol]) -> Val | None:
        if p.packet:
            symbol = self.scope.find(arg.value.name) if isinstance(arg.value, ast.NameExpr) else None
            if not isinstance(symbol, PacketSymbol):
                raise Failure(arg.loc, f"parameter `{p.name}` needs the packet")
            return None
        if p.direction in _WRITTEN:
            if arg.value is None:
                return None
            return self.target(arg.value)
        if arg.value is None:
            raise Failure(arg.loc, f"parameter `{p.name}` needs a value")
        known, _ = self.substitute(p.type, p.new_type, bound)
        return self.translate(arg.value, None if self.has_free(known) else known)

    def _out_argument(self, value: Val | None, t: Type, new_type: str | None, arg: ast.Argument) -> Expr:
        if value is None:
            return self.temporary(t, arg.loc, name="ignored")
        if value.type != t or value.new_type != new_type:
            raise Failure(arg.loc, f"expected {new_type or t}, found {value.new_type or value.type}")
        return value.expr

    # --- type parameters ---

    def has_free(self, t: Type) -> bool:
        """Whether a type holds an unbound type parameter."""
        if isinstance(t, TupleType):
            return any(self.has_free(e) for e in t.elements)
        return isinstance(t, TypeVar)

    def substitute(
        self, t: Type, new_type: str | None, bound: dict[str, TypeSymbol]
    ) -> tuple[Type, str | None]:
        """A type with its bound type parameters replaced."""
        if isinstance(t, TypeVar):
            symbol = bound.get(t.name)
            return (symbol.type, symbol.new_type) if symbol else (t, new_type)
        if isinstance(t, TupleType):
            return TupleType(tuple(self.substitute(e, None, bound)[0] for e in t.elements)), None
        return t, new_type

    def unify(self, wanted: Type, value: Val, bound: dict[str, TypeSymbol], loc: Loc) -> None:
        """Learns type parameters from an argument."""
        if isinstance(wanted, TupleType) and isinstance(value.type, TupleType):
            for a, b in zip(wanted.elements, value.type.elements, strict=False):
                self.unify(a, Val(Const(b, 0, loc=loc)), bound, loc)
        if not isinstance(wanted, TypeVar):
            return
        known = bound.get(wanted.name)
        if known is None or isinstance(known.type, TypeVar | InfInt):
            bound[wanted.name] = TypeSymbol(value.type, value.new_type)

    def _settle(
        self,
        bound: dict[str, TypeSymbol],
        values: list[Val | None],
        params: Sequence[ParamInfo],
        loc: Loc,
        what: str,
    ) -> None:
        """Gives literals a width where nothing else did; refuses what stays unknown."""
        for name, symbol in bound.items():
            if isinstance(symbol.type, TypeVar):
                raise Failure(loc, f"{what}: type argument `{name}` cannot be inferred: give it in <…>")
            if isinstance(symbol.type, InfInt):
                numbers = [
                    v.expr.value
                    for p, v in zip(params, values, strict=True)
                    if p.type == TypeVar(name) and v is not None and isinstance(v.expr, Const)
                ]
                if any(n < 0 for n in numbers):
                    raise Failure(loc, f"{what}: a negative number needs a width here")
                bound[name] = TypeSymbol(BitType(max(32, *(n.bit_length() for n in numbers), 0)))

    # --- copy-in / copy-out ---

    def copies(
        self, args: list[Arg], touched: frozenset[str], by_reference: bool, always: bool = False
    ) -> tuple[list[Arg], list[Stmt]]:
        """Arguments that may be passed by reference, and the copies to make after the call.

        `touched`: variables that the callee reaches by itself (actions).
        `by_reference` False: an extern, which reads all before it writes; only slices need a copy then.
        `always`: what the callee writes is copied in any case.
        """
        after: list[Stmt] = []
        result = list(args)
        for i, arg in enumerate(args):
            loc = arg.value.loc
            if arg.direction in _WRITTEN:
                others = [a.value for j, a in enumerate(args) if j != i and a.direction in _WRITTEN]
                if not always and not self._needs_copy(arg, others, touched, by_reference):
                    continue
                target = self.stable(arg.value)
                init = target if arg.direction is Direction.INOUT else None
                copy = self.temporary(target.type, loc, init)
                result[i] = replace(arg, value=copy)
                after.append(Assign(target, copy, loc=loc))
            elif by_reference and is_aggregate(arg.value.type):
                writes = [a.value for a in args if a.direction in _WRITTEN]
                if any(overlap(arg.value, w) for w in writes) or variables_of(arg.value) & touched:
                    result[i] = replace(arg, value=self.temporary(arg.value.type, loc, arg.value))
        return result, after

    @staticmethod
    def _needs_copy(arg: Arg, others: list[Expr], touched: frozenset[str], by_reference: bool) -> bool:
        if isinstance(arg.value, Slice):
            return True
        if not by_reference:
            return False
        base = root(arg.value)
        if base is not None and base.name in touched:
            return True
        return any(overlap(arg.value, other) for other in others)

    def stable(self, target: Expr) -> Expr:
        """An l-value whose indices are computed now."""
        if isinstance(target, Index):
            return replace(target, base=self.stable(target.base), index=self.saved(target.index))
        if isinstance(target, FieldRef | Slice):
            return replace(target, base=self.stable(target.base))
        return target
