# SPDX-License-Identifier: Apache-2.0
"""What all parts of the generator share for one program: helpers, places of objects in the descriptor
tables, P4Info ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from finsy.proto import p4i

from softswitch.codegen.codec import Codec
from softswitch.codegen.equality import Equality
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.layout import Layout
from softswitch.codegen.wide import WideFunctions
from softswitch.codegen.writer import Writer
from softswitch.p4 import ir
from softswitch.p4.ir_expr import Node
from softswitch.p4.ir_stmt import ApplyTable, CallAction, CallControl, CallExtern, Exit


def nodes(node: Any, kind: type[Any] | tuple[type[Any], ...]) -> Iterator[Any]:
    """All IR nodes of a kind within a node (itself included) or a tuple of them."""
    if isinstance(node, tuple):
        for each in node:
            yield from nodes(each, kind)
    elif isinstance(node, Node) or (
        is_dataclass(node) and type(node).__module__.startswith("softswitch.p4.ir")
    ):
        if isinstance(node, kind):
            yield node
        for f in fields(node):
            yield from nodes(getattr(node, f.name), kind)


class Context:
    """One program on its way to C."""

    def __init__(self, program: ir.Program, info: p4i.P4Info) -> None:
        self.program = program
        self.layout = Layout(program.standard_metadata_type)
        self.helpers = Writer()
        self.wide = WideFunctions(self.helpers, self.layout)
        self.equality = Equality(self.helpers, self.layout)
        self.codec = Codec(self.helpers, self.layout)
        self.actions = program.all_actions()
        in_use = _names(info.tables)
        self.tables = {name: t for name, t in program.all_tables().items() if t.cp_name in in_use}
        """Tables that the program can apply: the P4Info leaves out the others, and their actions."""
        self.functions = {f.name: f for f in program.functions}
        self.parsers = {p.name: p for p in program.parsers}
        self.controls = {c.name: c for c in program.controls}
        self.digests = {d.name: d for d in program.digests}
        self.externs = {x.name: x for x in program.externs}
        self.profiles = {x.name: x for x in program.externs if isinstance(x, _PROFILES) and x.tables}
        self.value_sets = {v.name: v for v in program.value_sets if v.cp_name in _names(info.value_sets)}
        self.counters = _of(program.externs, ir.Counter)
        self.meters = _of(program.externs, ir.Meter)
        self.registers = _of(program.externs, ir.Register)
        self.owner = {a.name: c for c in program.controls for a in c.actions}
        self.table_index = {name: i for i, name in enumerate((*self.tables, *self.value_sets))}
        """Places in the descriptor table; a value set is a table whose entries have no action."""
        self.ids = Ids(info)
        self.digest_bytes = 0
        """Longest digest met so far."""
        self._exits: dict[str, bool] = {}

    def may_exit(self, kind: str, name: str) -> bool:
        """Whether an action, table or control may end the packet's block (exit, assert)."""
        key = f"{kind} {name}"
        if key not in self._exits:
            self._exits[key] = False  # recursion is not possible in P4
            self._exits[key] = self._find_exit(kind, name)
        return self._exits[key]

    def _find_exit(self, kind: str, name: str) -> bool:
        if kind == "table":
            return any(
                self.may_exit("action", a.action) for a in self.tables[name].actions
            ) or self._body_may_exit(self.tables[name].setup)
        body = (
            self.actions[name].body
            if kind == "action"
            else (self.controls[name].setup, self.controls[name].body)
        )
        return self._body_may_exit(body)

    def _body_may_exit(self, body: Any) -> bool:
        return (
            any(True for _ in nodes(body, Exit))
            or any(c.function in ("assert", "assume") for c in nodes(body, CallExtern))
            or any(self.may_exit("action", c.action) for c in nodes(body, CallAction))
            or any(self.may_exit("table", c.table) for c in nodes(body, ApplyTable))
            or any(self.may_exit("control", c.control) for c in nodes(body, CallControl))
        )

    def action_list(self, table: ir.Table) -> list[str]:
        """The actions that a row's action counts through: those of all tables that share a profile."""
        if table.implementation is None:
            return [ref.action for ref in table.actions]
        sharing = [t for t in self.tables.values() if t.implementation == table.implementation]
        return list(dict.fromkeys(ref.action for t in sharing for ref in t.actions))

    def index_of(self, externs: dict[str, Any], name: str) -> int:
        """Place of an extern instance in its descriptor table."""
        return list(externs).index(name)

    def error_constant(self, name: str) -> str:
        """C constant of an error."""
        return f"error_{name}" if name in self.program.errors else "error_NoError"


_PROFILES = (ir.ActionProfile, ir.ActionSelector)


def _names(objects: Iterable[Any]) -> set[str]:
    return {x.preamble.name for x in objects}


def _of(externs: Iterable[ir.Extern], kind: type[Any]) -> dict[str, Any]:
    return {x.name: x for x in externs if isinstance(x, kind)}


class Ids:
    """P4Info ids by control-plane name."""

    def __init__(self, info: p4i.P4Info) -> None:
        lists: dict[str, Iterable[Any]] = {
            "table": info.tables,
            "action": info.actions,
            "counter": info.counters,
            "meter": info.meters,
            "register": info.registers,
            "digest": info.digests,
            "action profile": info.action_profiles,
            "value set": info.value_sets,
        }
        self._ids = {kind: {x.preamble.name: x.preamble.id for x in found} for kind, found in lists.items()}

    def get(self, kind: str, name: str, where: Node) -> int:
        """The id of an object."""
        found: Callable[[str], int | None] = self._ids[kind].get
        value = found(name)
        if value is None:
            raise Unsupported(where, f"{kind} {name} is not in the P4Info")
        return value
