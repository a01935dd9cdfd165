# SPDX-License-Identifier: Apache-2.0
"""What the six blocks of a program really use: p4c leaves the rest out of P4Info."""

from __future__ import annotations

from dataclasses import dataclass

from softswitch.p4 import ir
from softswitch.p4.aliases import nodes
from softswitch.p4.ir_expr import KeyValueSet
from softswitch.p4.ir_stmt import ApplyTable, CallAction, CallControl, CallExtern, CallParser, SendDigest


@dataclass(frozen=True)
class Reachable:
    """Objects that some packet could meet, in the program's order."""

    tables: tuple[ir.Table, ...]
    actions: tuple[ir.Action, ...]
    externs: tuple[ir.Extern, ...]
    value_sets: tuple[ir.ValueSet, ...]
    digests: tuple[ir.DigestDecl, ...]
    listed: frozenset[str]
    """Names of the actions that some table lists."""
    calls_externs: bool
    """Whether a control or action calls an extern function."""
    blocks: frozenset[str]
    """Names of the instances of parsers and controls that are applied."""


def _blocks(program: ir.Program) -> list[ir.Control | ir.Parser]:
    """Instances that are applied, directly or through others, from the six of the package."""
    known: dict[str, ir.Control | ir.Parser] = {c.name: c for c in program.controls}
    known |= {p.name: p for p in program.parsers}
    pending = [
        program.parser,
        program.verify_checksum,
        program.ingress,
        program.egress,
        program.compute_checksum,
        program.deparser,
    ]
    found: dict[str, ir.Control | ir.Parser] = {}
    while pending:
        name = pending.pop(0)
        if name in found:
            continue
        block = found[name] = known[name]
        body: object = block.states if isinstance(block, ir.Parser) else block.body
        for node in nodes(body):
            if isinstance(node, CallControl):
                pending.append(node.control)
            elif isinstance(node, CallParser):
                pending.append(node.parser)
    everything: list[ir.Control | ir.Parser] = [*program.parsers, *program.controls]
    return [b for b in everything if b.name in found]


def reachable(program: ir.Program) -> Reachable:
    """Tables that are applied, their actions, and what those use."""
    blocks = _blocks(program)
    controls = [b for b in blocks if isinstance(b, ir.Control)]
    applied = {n.table for c in controls for n in nodes(c.body) if isinstance(n, ApplyTable)}
    for c in controls:
        for t in reversed(c.tables):  # a key may apply tables declared before
            if t.name in applied:
                applied |= {n.table for n in nodes(t.setup) if isinstance(n, ApplyTable)}
    tables = tuple(t for c in controls for t in c.tables if t.name in applied)
    actions = _actions(program, controls, tables)
    bodies = [*(c.body for c in controls), *(a.body for a in actions)]
    sent = {n.digest for body in bodies for n in nodes(body) if isinstance(n, SendDigest)}
    listed = frozenset(ref.action for t in tables for ref in t.actions)
    calls = any(isinstance(n, CallExtern | SendDigest) for body in bodies for n in nodes(body))
    value_sets = _value_sets(program, blocks)
    digests = tuple(d for d in program.digests if d.name in sent)
    return Reachable(
        tables,
        actions,
        program.externs,
        value_sets,
        digests,
        listed,
        calls,
        frozenset(b.name for b in blocks),
    )


def _actions(
    program: ir.Program, controls: list[ir.Control], tables: tuple[ir.Table, ...]
) -> tuple[ir.Action, ...]:
    """Actions of the tables, and those that controls call: p4c inlines what only actions call."""
    known = program.all_actions()
    used = {ref.action for t in tables for ref in t.actions}
    for control in controls:
        used |= {n.action for n in nodes(control.body) if isinstance(n, CallAction)}
    return tuple(a for name, a in known.items() if name in used)


def _value_sets(program: ir.Program, blocks: list[ir.Control | ir.Parser]) -> tuple[ir.ValueSet, ...]:
    used: set[str] = set()
    for block in blocks:
        for state in block.states if isinstance(block, ir.Parser) else ():
            cases = state.transition.cases if isinstance(state.transition, ir.Select) else ()
            used |= {k.value_set for case in cases for k in case.keys if isinstance(k, KeyValueSet)}
    return tuple(v for v in program.value_sets if v.name in used)
