# SPDX-License-Identifier: Apache-2.0
"""Statements of the IR; the rules for all of them stand in ir.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from softswitch.p4.ir_expr import Expr, Node
from softswitch.p4.types import Type


@dataclass(frozen=True)
class Stmt(Node):
    """A statement."""


@dataclass(frozen=True)
class Block(Stmt):
    """`{ … }`."""

    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class VarDecl(Stmt):
    """A variable: zero (headers invalid) unless `init`."""

    name: str
    type: Type
    init: Expr | None


@dataclass(frozen=True)
class Assign(Stmt):
    """`target = value` of equal types, also of structs, headers (with validity), stacks; or to a Slice."""

    target: Expr
    value: Expr


@dataclass(frozen=True)
class If(Stmt):
    """`if (condition) then else otherwise`."""

    condition: Expr
    then: Block
    otherwise: Block | None


@dataclass(frozen=True)
class SwitchCase(Node):
    """Values (of the switch's expression type) that share a body."""

    values: tuple[Expr, ...]
    body: Block


@dataclass(frozen=True)
class Switch(Stmt):
    """`switch (expr)` over constants; no fall through; `default` None = nothing."""

    value: Expr
    cases: tuple[SwitchCase, ...]
    default: Block | None


@dataclass(frozen=True)
class Loop(Stmt):
    """`setup`, then while `condition` holds: `body`, `update`, and `setup` again, for the condition."""

    setup: tuple[Stmt, ...]
    condition: Expr
    body: Block
    update: tuple[Stmt, ...]


@dataclass(frozen=True)
class Break(Stmt):
    """Ends the innermost loop."""


@dataclass(frozen=True)
class Continue(Stmt):
    """Goes on with the innermost loop's update."""


@dataclass(frozen=True)
class ActionCase(Node):
    """Names of actions (`Action.name`) that share a body."""

    actions: tuple[str, ...]
    body: Block


@dataclass(frozen=True)
class ApplyTable(Stmt):
    """`table.apply()`.

    `hit`: a bool l-value that receives whether an entry matched, or None.
    `cases`, `default`: bodies by the action that ran (`switch (t.apply().action_run)`), else empty and None.
    """

    table: str
    hit: Expr | None = None
    cases: tuple[ActionCase, ...] = ()
    default: Block | None = None


class Direction(Enum):
    """Direction of a parameter; NONE is directionless (set by the control plane, or a constant)."""

    NONE = ""
    IN = "in"
    OUT = "out"
    INOUT = "inout"


@dataclass(frozen=True)
class Arg:
    """An argument: a value, or an l-value for out and inout (see the module's text)."""

    direction: Direction
    value: Expr


@dataclass(frozen=True)
class CallFunction(Stmt):
    """`result = function(args)`, a P4 function."""

    function: str
    args: tuple[Arg, ...]
    result: Expr | None


@dataclass(frozen=True)
class CallAction(Stmt):
    """`action(args)` from a body or another action: every parameter has an argument.

    `after`: copies to make when it returns, also when it has exited.
    """

    action: str
    args: tuple[Arg, ...]
    after: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class CallControl(Stmt):
    """`instance.apply(args)` of a sub-control; `after` as for actions."""

    control: str
    args: tuple[Arg, ...]
    after: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class CallParser(Stmt):
    """`instance.apply(args)` of a sub-parser; rejects when that rejects."""

    parser: str
    args: tuple[Arg, ...]


@dataclass(frozen=True)
class CallExtern(Stmt):
    """`result = function(args)`, an extern function of v1model (mark_to_drop, hash, random, clone, …).

    Type arguments can be read off the arguments' types. `digest` is a SendDigest statement instead.
    """

    function: str
    args: tuple[Arg, ...]
    result: Expr | None


@dataclass(frozen=True)
class CallMethod(Stmt):
    """`result = instance.method(args)` of an extern instance: counter.count(i), register.read(v, i), …"""

    instance: str
    method: str
    args: tuple[Arg, ...]
    result: Expr | None


@dataclass(frozen=True)
class SendDigest(Stmt):
    """`digest(receiver, value)`: `digest` names a DigestDecl, `value` has its type."""

    digest: str
    value: Expr


@dataclass(frozen=True)
class Return(Stmt):
    """Ends the function, action or control; `value` for functions."""

    value: Expr | None


@dataclass(frozen=True)
class Exit(Stmt):
    """Ends the whole ingress or egress block, from however deep."""


@dataclass(frozen=True)
class SetValid(Stmt):
    """`header.setValid()` or `setInvalid()`; in a union, validates that member alone."""

    header: Expr
    valid: bool


@dataclass(frozen=True)
class ShiftStack(Stmt):
    """`stack.push_front(count)` (front) or `pop_front(count)`."""

    stack: Expr
    push: bool
    count: int


@dataclass(frozen=True)
class Extract(Stmt):
    """`packet.extract(header)`; `varbit_bits` (bit<32>): the varbit field's size, of the two-argument form.

    Errors: PacketTooShort, StackOutOfBounds (StackNext), HeaderTooShort (varbit larger than its maximum).
    """

    header: Expr
    varbit_bits: Expr | None


@dataclass(frozen=True)
class Advance(Stmt):
    """`packet.advance(bits)`, bit<32>. Error PacketTooShort."""

    bits: Expr


@dataclass(frozen=True)
class Lookahead(Stmt):
    """`target = packet.lookahead<T>()`, consumes nothing; a header becomes valid. Error PacketTooShort."""

    target: Expr


@dataclass(frozen=True)
class Verify(Stmt):
    """`verify(condition, error)`: if false, rejects with that error (an expression of type error)."""

    condition: Expr
    error: Expr


@dataclass(frozen=True)
class Emit(Stmt):
    """`packet.emit(value)` of a header, stack, union, or struct of these (in order)."""

    value: Expr
