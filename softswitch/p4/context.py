# SPDX-License-Identifier: Apache-2.0
"""What one compilation shares: diagnostics, the global scope, unique names, and the objects made so far."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from softswitch.p4 import ast, ir
from softswitch.p4.errors import Diagnostics
from softswitch.p4.scopes import ActionSymbol, DeclSymbol, Scope
from softswitch.p4.types import Type

_C_KEYWORD_TEXT = """
auto bool break case char const continue default do double else enum extern float for goto if inline int
long main register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while
"""
_C_KEYWORDS = frozenset(_C_KEYWORD_TEXT.split())


def c_name(text: str) -> str:
    """`text` as a C identifier."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"{name}_" if name in _C_KEYWORDS or not name or name[0].isdigit() else name


class Names:
    """Hands out identifiers that are unique within one object."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """`wanted`, or `wanted_N` when that is taken."""
        base = name = c_name(wanted)
        while name in self._used:
            number = self._next.get(base, 0) + 1
            self._next[base] = number
            name = f"{base}_{number}"
        self._used.add(name)
        return name


@dataclass
class Context:
    """Shared state of a compilation, filled in as declarations are met."""

    diagnostics: Diagnostics
    globals: Scope = field(default_factory=Scope)
    names: Names = field(default_factory=Names)
    types: dict[str, Type] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    match_kinds: list[str] = field(default_factory=list)
    new_types: dict[str, ir.NewType] = field(default_factory=dict)
    typedefs: dict[int, tuple[Type, str | None]] = field(default_factory=dict)
    """What typedefs stand for, by the id of the declaration: each is resolved once."""
    functions: list[ir.Function] = field(default_factory=list)
    actions: list[ir.Action] = field(default_factory=list)
    externs: list[ir.Extern] = field(default_factory=list)
    digests: list[ir.DigestDecl] = field(default_factory=list)
    value_sets: list[ir.ValueSet] = field(default_factory=list)
    parsers: list[ir.Parser] = field(default_factory=list)
    controls: list[ir.Control] = field(default_factory=list)
    monomorphs: dict[tuple[int, tuple[str, ...]], ir.Function] = field(default_factory=dict)
    top_actions: dict[str, ActionSymbol] = field(default_factory=dict)
    attached: dict[str, list[str]] = field(default_factory=dict)
    """Tables by the direct or implementation extern that they name."""
    may_exit: set[str] = field(default_factory=set)
    """Names of controls that may exit, themselves or through what they apply."""
    used_declarations: set[int] = field(default_factory=set)
    """Ids of the parsers, controls, actions and functions that were translated."""
    open_declarations: set[int] = field(default_factory=set)
    """Ids of declarations being resolved, against cycles."""

    def shadow(self) -> Context:
        """A context over the same names whose objects are thrown away: to check what nothing uses."""
        return Context(
            self.diagnostics,
            self.globals,
            types=dict(self.types),
            errors=self.errors,
            match_kinds=self.match_kinds,
            new_types=dict(self.new_types),
        )

    def declaration(self, name: str) -> ast.Declaration | None:
        """The (first) top-level declaration of that name."""
        symbol = self.globals.names.get(name)
        return symbol.decls[0] if isinstance(symbol, DeclSymbol) else None
