# SPDX-License-Identifier: Apache-2.0
"""The intermediate representation that a code generator consumes.

Everything is resolved, monomorphic and sized: no generics, no untyped integers, no names to look up but
unique ones. This file holds a program's declarations; expressions are in ir_expr.py, statements in
ir_stmt.py, types in types.py.

* **Expressions are pure.** Whatever has an effect or reads the packet (calls, table application,
  lookahead) is a statement; the front end has made evaluation order and short circuits explicit with
  temporaries.
* **Names.** `name` of an object (parser, control, table, action, extern instance, function, value set,
  digest) is a C identifier and unique in the program; `cp_name` is its control-plane name as p4c gives it
  (`MyIngress.ipv4_lpm`). Variables and parameters have names (C identifiers) unique within the parser,
  control or function they belong to, its actions included, so that one frame can hold them all.
* **Arguments.** `in` (and directionless) arguments are values. For `out` and `inout` the argument is an
  l-value and may be passed by reference: where that would differ from copy-in/copy-out, the front end has
  made the copies. The callee resets an `out` parameter at entry (zero; headers invalid, stacks' nextIndex
  0).
* **Packets.** Parameters of type packet_in and packet_out are left out: there is one packet.
* **Variables** without initialiser start at zero (headers invalid) each time their declaration is
  reached.
* **Arithmetic** on bit<W> and int<W> wraps mod 2^W (two's complement), saturating operators clamp, shifts
  by W or more give 0 (-1 for a negative int<W> shifted right), as P4_16 chapter 8 says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import Enum

from softswitch.p4.ir_expr import Expr, KeySet, Node
from softswitch.p4.ir_stmt import Arg, Block, Direction, Stmt, VarDecl
from softswitch.p4.ir_text import args_text, block_lines, expr_text, indented, keys_text
from softswitch.p4.types import Annotation, FieldsType, StructType, Type


def _lines(parts: Iterable[Node]) -> list[str]:
    return [line for part in parts for line in str(part).split("\n")]


def _unit_text(head: str, params: tuple[Param, ...], lines: list[str]) -> str:
    return "\n".join([f"{head}({', '.join(map(str, params))}) {{", *indented(lines), "}"])


@dataclass(frozen=True)
class SelectCase(Node):
    """One key set per select expression (or a single KeyValueSet); `target` a state, "accept" or "reject"."""

    keys: tuple[KeySet, ...]
    target: str

    def __str__(self) -> str:
        return f"{keys_text(self.keys)}: {self.target}"


@dataclass(frozen=True)
class Select(Node):
    """`transition select(values) {…}`; the first case that matches; none: reject with error.NoMatch."""

    values: tuple[Expr, ...]
    cases: tuple[SelectCase, ...]

    def __str__(self) -> str:
        values = ", ".join(map(expr_text, self.values))
        return "\n".join([f"select ({values}) {{", *indented(map(str, self.cases)), "}"])


@dataclass(frozen=True)
class Goto(Node):
    """`transition target`: a state, "accept" or "reject"."""

    target: str

    def __str__(self) -> str:
        return f"goto {self.target}"


@dataclass(frozen=True)
class State(Node):
    """A parser state; `name` is a C identifier unique in the parser."""

    name: str
    body: tuple[Stmt, ...]
    transition: Select | Goto

    def __str__(self) -> str:
        lines = [*block_lines(self.body), *str(self.transition).split("\n")]
        return "\n".join([f"state {self.name} {{", *indented(lines), "}"])


@dataclass(frozen=True)
class Param(Node):
    """A parameter; `type_name` as in Field; `source_name` as the program and the control plane know it."""

    name: str
    type: Type
    direction: Direction
    annotations: tuple[Annotation, ...] = ()
    type_name: str | None = None
    source_name: str = ""

    def __str__(self) -> str:
        return f"{self.direction.value} {self.type} {self.name}".strip()


@dataclass(frozen=True)
class Parser(Node):
    """One parser instance. `variables` (no `init`) are zeroed at each apply, then `setup` and "start" run."""

    name: str
    cp_name: str
    params: tuple[Param, ...]
    variables: tuple[VarDecl, ...]
    setup: tuple[Stmt, ...]
    states: tuple[State, ...]

    def __str__(self) -> str:
        lines = [*block_lines(self.variables), *block_lines(self.setup), *_lines(self.states)]
        return _unit_text(f"parser {self.name} [{self.cp_name}]", self.params, lines)


@dataclass(frozen=True)
class ValueSet(Node):
    """`value_set<T>(size)`: `members` are the match fields."""

    name: str
    cp_name: str
    size: int
    members: tuple[Key, ...]
    annotations: tuple[Annotation, ...] = ()

    def __str__(self) -> str:
        return (
            f"value_set {self.name} [{self.cp_name}] size {self.size} ({', '.join(map(str, self.members))})"
        )


# --- controls -------------------------------------------------------------------------------------


class MatchKind(Enum):
    """Match kinds of v1model tables; `selector` keys stand in Table.selector."""

    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"
    OPTIONAL = "optional"


@dataclass(frozen=True)
class Key(Node):
    """A match field: `name` for the control plane (`hdr.ipv4.dst_addr`), `width` in bits, P4Info's `id`."""

    expr: Expr
    match: MatchKind
    name: str
    width: int
    id: int
    annotations: tuple[Annotation, ...] = ()
    type_name: str | None = None

    def __str__(self) -> str:
        return f"{expr_text(self.expr)}: {self.match.value} {self.name} {self.width}"


@dataclass(frozen=True)
class Action(Node):
    """An action: `params` are the directed ones, bound by the program; the control plane sets `cp_params`.

    An action of a control sees that control's parameters and `variables`; a top-level action sees nothing.
    """

    name: str
    cp_name: str
    params: tuple[Param, ...]
    cp_params: tuple[Param, ...]
    body: Block
    annotations: tuple[Annotation, ...] = ()

    def __str__(self) -> str:
        head = f"action {self.name} [{self.cp_name}]"
        return _unit_text(head, (*self.params, *self.cp_params), block_lines(self.body.body))


@dataclass(frozen=True)
class ActionRef(Node):
    """An action in a table's list: `args`, for its `params`, are evaluated when the action runs.

    `before`, `after`: copies that the arguments need.
    """

    action: str
    args: tuple[Arg, ...]
    annotations: tuple[Annotation, ...] = ()
    table_only: bool = False
    default_only: bool = False
    before: tuple[Stmt, ...] = ()
    after: tuple[Stmt, ...] = ()

    def __str__(self) -> str:
        scope = " tableonly" * self.table_only + " defaultonly" * self.default_only
        return f"action {self.action}{args_text(self.args)}{scope}"


@dataclass(frozen=True)
class ActionCallConst(Node):
    """An action with constants for its `cp_params` (default action, entries)."""

    action: str
    args: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"{self.action}({', '.join(map(expr_text, self.args))})"


@dataclass(frozen=True)
class Entry(Node):
    """An entry given by the program. `priority`: P4Runtime's (higher wins); 0 in tables without."""

    keys: tuple[KeySet, ...]
    action: ActionCallConst
    priority: int
    const: bool
    annotations: tuple[Annotation, ...] = ()

    def __str__(self) -> str:
        return f"{'const ' * self.const}entry {self.priority} {keys_text(self.keys)}: {self.action}"


@dataclass(frozen=True)
class Table(Node):
    """A table; default size 1024.

    Key sets of entries by match kind: exact KeyValue; optional KeyValue or KeyAny; lpm KeyMask (a prefix) or
    KeyAny; ternary KeyMask or KeyAny; range KeyRange or KeyAny.

    `const_entries`: the control plane may not write.
    `counter`, `meter`, `implementation`: names of extern instances.
    """

    name: str
    cp_name: str
    keys: tuple[Key, ...]
    selector: tuple[Expr, ...]
    actions: tuple[ActionRef, ...]
    default: ActionCallConst
    const_default: bool
    entries: tuple[Entry, ...]
    const_entries: bool
    size: int
    idle_timeout: bool
    counter: str | None
    meter: str | None
    implementation: str | None
    annotations: tuple[Annotation, ...] = ()
    setup: tuple[Stmt, ...] = ()
    """What is done before the keys are read: calls in key expressions."""

    def __str__(self) -> str:
        lines = [*block_lines(self.setup), *(f"key {key}" for key in self.keys)]
        lines += [f"selector {expr_text(x)}" for x in self.selector]
        lines += map(str, self.actions)
        lines += [f"{'const ' * self.const_default}default {self.default}", f"size {self.size}"]
        lines += map(str, self.entries)
        for what in ("const_entries", "idle_timeout", "counter", "meter", "implementation"):
            value = getattr(self, what)
            if value:
                lines.append(what if value is True else f"{what} {value}")
        return "\n".join([f"table {self.name} [{self.cp_name}] {{", *indented(lines), "}"])


@dataclass(frozen=True)
class Control(Node):
    """One control instance (ingress, deparser, sub-control, …); `variables` and `setup` as in Parser."""

    name: str
    cp_name: str
    params: tuple[Param, ...]
    variables: tuple[VarDecl, ...]
    actions: tuple[Action, ...]
    tables: tuple[Table, ...]
    setup: tuple[Stmt, ...]
    body: Block

    def __str__(self) -> str:
        lines = [*block_lines(self.variables), *_lines(self.actions), *_lines(self.tables)]
        lines += [*block_lines(self.setup), *block_lines([self.body])]
        return _unit_text(f"control {self.name} [{self.cp_name}]", self.params, lines)


@dataclass(frozen=True)
class Function(Node):
    """A P4 function, monomorphic."""

    name: str
    params: tuple[Param, ...]
    result: Type
    body: Block

    def __str__(self) -> str:
        return _unit_text(f"function {self.result} {self.name}", self.params, block_lines(self.body.body))


# --- extern instances -----------------------------------------------------------------------------


class Unit(Enum):
    """What a counter or meter counts."""

    PACKETS = "packets"
    BYTES = "bytes"
    BOTH = "packets_and_bytes"


@dataclass(frozen=True)
class Extern(Node):
    """Base of extern instances."""

    name: str
    cp_name: str
    annotations: tuple[Annotation, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        own = (f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name not in _COMMON)
        return f"{type(self).__name__} {self.name} [{self.cp_name}] {' '.join(own)}".rstrip()


@dataclass(frozen=True)
class Counter(Extern):
    """`counter(size, unit)`; `index_type_name` is a new type given as index type."""

    size: int
    unit: Unit
    index_type_name: str | None = None


@dataclass(frozen=True)
class DirectCounter(Extern):
    """`direct_counter(unit)`; `table` is the table's name ("" when no table has it)."""

    unit: Unit
    table: str


@dataclass(frozen=True)
class Meter(Extern):
    """`meter(size, unit)`: execute_meter(index, out color)."""

    size: int
    unit: Unit
    index_type_name: str | None = None


@dataclass(frozen=True)
class DirectMeter(Extern):
    """`direct_meter<T>(unit)`: read(out color) in the table's actions."""

    unit: Unit
    table: str
    result: Type


@dataclass(frozen=True)
class Register(Extern):
    """`register<T>(size)`."""

    element: Type
    size: int
    index_type_name: str | None = None
    element_type_name: str | None = None


@dataclass(frozen=True)
class ActionProfile(Extern):
    """`action_profile(size)`; `tables` are the names of the tables that use it."""

    size: int
    tables: tuple[str, ...]


@dataclass(frozen=True)
class ActionSelector(Extern):
    """`action_selector(algorithm, size, output_width)`; `algorithm` a member of HashAlgorithm."""

    algorithm: str
    size: int
    output_width: int
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Checksum16(Extern):
    """`Checksum16()`: method get(data)."""


@dataclass(frozen=True)
class DigestDecl(Node):
    """A digest message; one per struct type given to digest(). `cp_name` is the type's name.

    `type_names`: of a list, for each value its new type (`type`), None for others.
    """

    name: str
    cp_name: str
    type: Type
    type_names: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        return f"digest {self.name} [{self.cp_name}] {self.type}"


@dataclass(frozen=True)
class NewType(Node):
    """`type underlying name`: erased in types; the control plane sees it (`type_name` of fields, keys, …)."""

    name: str
    type: Type
    annotations: tuple[Annotation, ...] = ()


_COMMON = ("name", "cp_name", "annotations", "loc")


# --- the program ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Program(Node):
    """A whole v1model program.

    `types`: the named types in use, each after those it is made of. `errors`: NoError first.
    `parsers`, `controls`: all instances, callees before callers; the six fields after them name V1Switch's.
    """

    name: str
    types: tuple[Type, ...]
    errors: tuple[str, ...]
    functions: tuple[Function, ...]
    actions: tuple[Action, ...]
    externs: tuple[Extern, ...]
    digests: tuple[DigestDecl, ...]
    value_sets: tuple[ValueSet, ...]
    parsers: tuple[Parser, ...]
    controls: tuple[Control, ...]
    parser: str
    verify_checksum: str
    ingress: str
    egress: str
    compute_checksum: str
    deparser: str
    headers_type: StructType
    metadata_type: StructType
    standard_metadata_type: StructType
    new_types: tuple[NewType, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    """Annotations of the `main` instance (@pkginfo)."""

    def parser_named(self, name: str) -> Parser:
        """The parser instance of that name. KeyError if there is none."""
        return {p.name: p for p in self.parsers}[name]

    def control_named(self, name: str) -> Control:
        """The control instance of that name. KeyError if there is none."""
        return {c.name: c for c in self.controls}[name]

    def all_actions(self) -> dict[str, Action]:
        """Every action by name: those of controls and the top-level ones."""
        found = {a.name: a for a in self.actions}
        for control in self.controls:
            found |= {a.name: a for a in control.actions}
        return found

    def all_tables(self) -> dict[str, Table]:
        """Every table by name."""
        return {t.name: t for c in self.controls for t in c.tables}

    def __str__(self) -> str:
        roles = (self.parser, self.verify_checksum, self.ingress, self.egress, self.compute_checksum)
        lines = [f"program {self.name}: {' '.join((*roles, self.deparser))}"]
        for t in self.types:
            if isinstance(t, FieldsType):
                members = "; ".join(f"{f.type} {f.name}" for f in t.fields)
                lines.append(f"{type(t).__name__.removesuffix('Type').lower()} {t.name} {{{members}}}")
        groups: tuple[tuple[Node, ...], ...] = (
            self.functions,
            self.actions,
            self.externs,
            self.digests,
            self.value_sets,
            self.parsers,
            self.controls,
        )
        return "\n".join(lines + [line for group in groups for line in _lines(group)])
