# SPDX-License-Identifier: Apache-2.0
"""Names and what they mean: symbols and nested scopes."""

from __future__ import annotations

from dataclasses import dataclass, field

from softswitch.p4 import ast, ir
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import Expr, Loc, Var
from softswitch.p4.ir_stmt import Direction
from softswitch.p4.types import Type


@dataclass(frozen=True)
class Val:
    """A translated expression; `new_type` names its new type (`type … T`), which the IR does not know."""

    expr: Expr
    new_type: str | None = None
    writable: bool = False

    @property
    def type(self) -> Type:
        """Type of the expression."""
        return self.expr.type


class Symbol:
    """What a name can mean."""


@dataclass(frozen=True)
class VarSymbol(Symbol):
    """A variable or parameter."""

    var: Var
    new_type: str | None
    writable: bool


@dataclass(frozen=True)
class ConstSymbol(Symbol):
    """A compile-time constant."""

    value: Val


@dataclass(frozen=True)
class DeclSymbol(Symbol):
    """A top-level declaration: types, constants, externs, functions (all overloads), controls, …"""

    decls: tuple[ast.Declaration, ...]


@dataclass(frozen=True)
class TypeSymbol(Symbol):
    """A type already known: a bound type parameter."""

    type: Type
    new_type: str | None = None


@dataclass(frozen=True)
class PacketSymbol(Symbol):
    """The packet_in or packet_out parameter (`kind`)."""

    kind: str


@dataclass(frozen=True)
class ParamInfo:
    """A parameter as its callee declares it: `type` may hold unbound type parameters."""

    name: str
    type: Type
    new_type: str | None
    direction: Direction
    default: ast.Expression | None = None
    packet: bool = False


@dataclass(frozen=True)
class ActionSymbol(Symbol):
    """An action; `params` as written (names of the source, directed and directionless)."""

    action: ir.Action
    params: tuple[ParamInfo, ...] = field(compare=False)


@dataclass(frozen=True)
class TableSymbol(Symbol):
    """A table; `actions` are the names that may stand in switch labels, by source name."""

    name: str
    actions: dict[str, str] = field(compare=False)


@dataclass(frozen=True)
class ExternSymbol(Symbol):
    """An extern instance: `decl` its type, `types` bound type parameters."""

    name: str
    decl: ast.ExternDecl
    types: dict[str, TypeSymbol] = field(compare=False)


@dataclass(frozen=True)
class BlockSymbol(Symbol):
    """A control or parser instance."""

    block: ir.Control | ir.Parser
    decl: ast.ControlDecl | ast.ParserDecl
    params: tuple[ParamInfo, ...] = field(compare=False)


@dataclass(frozen=True)
class ValueSetSymbol(Symbol):
    """A parser value set."""

    name: str
    type: Type


class Scope:
    """A block's names over the enclosing ones."""

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self.names: dict[str, Symbol] = {}
        self.places: dict[str, Loc] = {}

    def define(self, name: str, symbol: Symbol, loc: Loc) -> None:
        """Adds a name. Failure when the same scope has it already."""
        if name in self.names:
            where = self.places.get(name)
            before = f" (line {where.line} of {where.file})" if where and where.line else ""
            raise Failure(loc, f"`{name}` is declared twice{before}")
        self.names[name] = symbol
        self.places[name] = loc

    def find(self, name: str) -> Symbol | None:
        """The innermost meaning of `name`, None if it has none."""
        scope: Scope | None = self
        while scope is not None:
            symbol = scope.names.get(name)
            if symbol is not None:
                return symbol
            scope = scope.parent
        return None
