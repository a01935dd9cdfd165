# SPDX-License-Identifier: Apache-2.0
"""Expressions and key sets of the IR; the rules for all of them stand in ir.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from softswitch.p4.types import Type


@dataclass(frozen=True)
class Loc:
    """A place in the source: `line` and `column` count from 1; `file` as the preprocessor named it."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Loc("", 0, 0)


@dataclass(frozen=True)
class Node:
    """Base of expressions, statements and declarations: where it came from."""

    loc: Loc = field(default=NOWHERE, compare=False, kw_only=True, repr=False)


# --- expressions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expr(Node):
    """A pure expression and its type."""

    type: Type


@dataclass(frozen=True)
class Const(Expr):
    """A literal of type bit<W> (0 ≤ value < 2^W), int<W> (signed) or a serializable enum (its number)."""

    value: int


@dataclass(frozen=True)
class BoolConst(Expr):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True)
class StringConst(Expr):
    """A string literal; only an argument of log_msg and the like."""

    value: str


@dataclass(frozen=True)
class EnumConst(Expr):
    """Member of an enum without representation: `type` is EnumType, `value` the member's index."""

    member: str
    value: int


@dataclass(frozen=True)
class ErrorConst(Expr):
    """`error.member`; `value` is the index in `Program.errors`."""

    member: str
    value: int


class Storage(Enum):
    """What a variable reference names."""

    PARAM = "param"
    """Parameter of the parser, control or function."""
    UNIT = "unit"
    """Declared at the level of the parser or control: actions, table keys, states and the body see it."""
    LOCAL = "local"
    """Declared by a VarDecl within a body, an action or a state."""
    ACTION_PARAM = "action_param"
    """Parameter of the action being executed."""


@dataclass(frozen=True)
class Var(Expr):
    """A variable or parameter; an l-value."""

    name: str
    storage: Storage


@dataclass(frozen=True)
class FieldRef(Expr):
    """`base.name` of a header, struct or union; an l-value if the base is."""

    base: Expr
    name: str


@dataclass(frozen=True)
class Index(Expr):
    """`base[index]` of a header stack (index any unsigned expression), or of a tuple (index a Const)."""

    base: Expr
    index: Expr


@dataclass(frozen=True)
class StackNext(Expr):
    """`stack.next` in a parser: target of an extract, or an l-value. Error StackOutOfBounds when full."""

    base: Expr


@dataclass(frozen=True)
class StackLast(Expr):
    """`stack.last` in a parser: the element before nextIndex. Error StackOutOfBounds when nextIndex is 0."""

    base: Expr


@dataclass(frozen=True)
class StackLastIndex(Expr):
    """`stack.lastIndex` in a parser: nextIndex - 1 as bit<32>."""

    base: Expr


@dataclass(frozen=True)
class Slice(Expr):
    """`base[high:low]`, bit<high-low+1>; an l-value if the base is."""

    base: Expr
    high: int
    low: int


@dataclass(frozen=True)
class Cast(Expr):
    """Conversion: bit<> ↔ int<>, widths, bool ↔ bit<1>, enum with values ↔ number. int<> extends its sign."""

    operand: Expr


@dataclass(frozen=True)
class Concat(Expr):
    """`left ++ right`: left in the high bits."""

    left: Expr
    right: Expr


class UnaryOp(Enum):
    """Operators of one operand."""

    NEG = "-"
    BIT_NOT = "~"
    NOT = "!"


@dataclass(frozen=True)
class Unary(Expr):
    """`op operand`."""

    op: UnaryOp
    operand: Expr


class BinaryOp(Enum):
    """Operators of two operands. Both have one type, but for shifts, whose right side may be any bit<>."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    SAT_ADD = "|+|"
    SAT_SUB = "|-|"
    BIT_AND = "&"
    BIT_OR = "|"
    BIT_XOR = "^"
    SHL = "<<"
    SHR = ">>"
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    AND = "&&"
    OR = "||"


@dataclass(frozen=True)
class Binary(Expr):
    """`left op right`. EQ and NE take any type (headers, structs, stacks too); AND, OR take bool."""

    op: BinaryOp
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Mux(Expr):
    """`condition ? then : otherwise`."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True)
class IsValid(Expr):
    """`header.isValid()`, also of a header union (some member is valid)."""

    header: Expr


@dataclass(frozen=True)
class FieldsExpr(Expr):
    """A struct or header value: one expression per field, in the type's order. A header becomes valid."""

    values: tuple[Expr, ...]


@dataclass(frozen=True)
class TupleExpr(Expr):
    """A list `{a, b}` that is no struct: `type` is TupleType. Data of hash, checksums, log_msg, …

    `type_names`: for each value its new type (`type`), None for others; empty where nobody asks.
    """

    values: tuple[Expr, ...]
    type_names: tuple[str | None, ...] = field(default=(), kw_only=True, compare=False)


@dataclass(frozen=True)
class InvalidHeader(Expr):
    """`{#}`: an invalid header or header union, to assign or compare."""


# --- key sets --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeyValue:
    """Equal to a constant (Const, BoolConst, EnumConst, ErrorConst)."""

    value: Expr


@dataclass(frozen=True)
class KeyMask:
    """`value &&& mask`: matches x when x & mask == value & mask."""

    value: int
    mask: int


@dataclass(frozen=True)
class KeyRange:
    """`low .. high`, both included."""

    low: int
    high: int


@dataclass(frozen=True)
class KeyAny:
    """`default` or `_`."""


@dataclass(frozen=True)
class KeyValueSet:
    """Membership in a parser value set, by its `name`; takes all select expressions of the case at once."""

    value_set: str


KeySet = KeyValue | KeyMask | KeyRange | KeyAny | KeyValueSet
