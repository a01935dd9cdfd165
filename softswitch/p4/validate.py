# SPDX-License-Identifier: Apache-2.0
"""Checks of the finished program that need all of it: what v1model's targets cannot do, names that clash."""

from __future__ import annotations

from collections.abc import Iterable

from softswitch.p4 import ir
from softswitch.p4.aliases import nodes
from softswitch.p4.errors import Diagnostics
from softswitch.p4.ir_expr import Node
from softswitch.p4.ir_stmt import CallMethod, Emit, Extract
from softswitch.p4.types import FieldsType, HeaderType, StackType, Type, VarbitType, width_of


def validate(program: ir.Program, diagnostics: Diagnostics) -> None:
    """Notes every violation as an error."""
    _unique_names(program, diagnostics)
    _whole_bytes(program, diagnostics)
    _direct_externs(program, diagnostics)


def _unique_names(program: ir.Program, diagnostics: Diagnostics) -> None:
    groups: dict[str, Iterable[ir.Action | ir.Table | ir.Extern | ir.ValueSet]] = {
        "actions": program.all_actions().values(),
        "tables": program.all_tables().values(),
        "value sets": program.value_sets,
    }
    for extern in program.externs:
        kind = f"instances of {type(extern).__name__}"
        groups[kind] = [*groups.get(kind, ()), extern]
    for kind, members in groups.items():
        seen: set[str] = set()
        for member in members:
            if member.cp_name in seen:
                diagnostics.error(member.loc, f"two {kind} have the control-plane name `{member.cp_name}`")
            seen.add(member.cp_name)


def _headers_in(t: Type) -> Iterable[HeaderType]:
    if isinstance(t, HeaderType):
        yield t
    elif isinstance(t, StackType):
        yield from _headers_in(t.element)
    elif isinstance(t, FieldsType):
        for f in t.fields:
            yield from _headers_in(f.type)


def _whole_bytes(program: ir.Program, diagnostics: Diagnostics) -> None:
    """Headers on the wire are whole bytes; a varbit's maximum too."""
    reported: set[str] = set()
    for node in _all_nodes(program):
        value = node.header if isinstance(node, Extract) else node.value if isinstance(node, Emit) else None
        for header in _headers_in(value.type) if value is not None else ():
            width = width_of(header)
            if header.name in reported or (width is not None and width % 8 == 0):
                continue
            reported.add(header.name)
            varies = any(isinstance(f.type, VarbitType) for f in header.fields)
            longest = ", its varbit at its longest," if varies else ""
            diagnostics.error(node.loc, f"header {header}{longest} has {width} bits, not whole bytes")


def _direct_externs(program: ir.Program, diagnostics: Diagnostics) -> None:
    """Direct resources are used in actions; a direct meter only in actions of the table it belongs to."""
    direct = {e.name: e for e in program.externs if isinstance(e, ir.DirectCounter | ir.DirectMeter)}
    tables = program.all_tables()
    for control in program.controls:
        for node in nodes(control.body):
            if isinstance(node, CallMethod) and node.instance in direct:
                diagnostics.error(
                    node.loc, f"`{node.method}` of a direct resource is called outside an action"
                )
        for action in control.actions:
            users = {t.name for t in tables.values() if any(r.action == action.name for r in t.actions)}
            for node in nodes(action.body):
                if isinstance(node, CallMethod) and isinstance(direct.get(node.instance), ir.DirectMeter):
                    _direct_meter(node, direct[node.instance].table, users, diagnostics)


def _direct_meter(call: CallMethod, table: str, users: set[str], diagnostics: Diagnostics) -> None:
    if not table:
        diagnostics.error(call.loc, "no table has this direct meter as its `meters`")
    elif users - {table}:
        diagnostics.error(call.loc, "this action belongs to a table that does not have this direct meter")


def _all_nodes(program: ir.Program) -> Iterable[Node]:
    for parser in program.parsers:
        yield from nodes(parser.states)
    for control in program.controls:
        yield from nodes(control.body)
