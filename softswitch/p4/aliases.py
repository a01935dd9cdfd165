# SPDX-License-Identifier: Apache-2.0
"""What an expression reads and whether two of them can share storage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from softswitch.p4.ir_expr import Expr, FieldRef, Index, Node, Slice, StackLast, StackNext, Storage, Var
from softswitch.p4.ir_stmt import Lookahead, Stmt, VarDecl
from softswitch.p4.types import FieldsType, StackType, TupleType, Type, UnionType, VarbitType


def is_aggregate(t: Type) -> bool:
    """Whether values of the type are more than one number."""
    return isinstance(t, FieldsType | StackType | TupleType | VarbitType)


_PARTS: dict[type[object], tuple[str, ...]] = {}


def _parts(kind: type[object]) -> tuple[str, ...]:
    """Names of the fields of a class that may hold nodes."""
    names = _PARTS.get(kind)
    if names is None:
        names = ()
        if is_dataclass(kind) and not issubclass(kind, Type):
            names = tuple(f.name for f in fields(kind) if f.name not in ("loc", "type"))
        _PARTS[kind] = names
    return names


def nodes(node: object) -> Iterator[Node]:
    """A node and all nodes below it."""
    pending = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, tuple):
            pending.extend(here)
            continue
        if isinstance(here, Node):
            yield here
        pending.extend(getattr(here, name) for name in _parts(type(here)))


def variables_of(node: object) -> frozenset[str]:
    """Names of the variables of the parser or control (not of the action or block) that a node mentions."""
    return frozenset(
        n.name for n in nodes(node) if isinstance(n, Var) and n.storage in (Storage.PARAM, Storage.UNIT)
    )


def root(expr: Expr) -> Var | None:
    """The variable that an l-value is part of."""
    while isinstance(expr, FieldRef | Index | Slice | StackNext | StackLast):
        expr = expr.base
    return expr if isinstance(expr, Var) else None


def _path(expr: Expr) -> list[str]:
    """Steps from the variable down; "*" for an element that may be any."""
    steps: list[str] = []
    while not isinstance(expr, Var):
        if isinstance(expr, FieldRef):
            steps.append("*" if isinstance(expr.base.type, UnionType) else expr.name)
            expr = expr.base
        elif isinstance(expr, Index | StackNext | StackLast):
            steps.append("*")
            expr = expr.base
        elif isinstance(expr, Slice):
            expr = expr.base
        else:
            return ["?"]
    steps.append(expr.name)
    return steps[::-1]


def overlap(a: Expr, b: Expr) -> bool:
    """Whether two l-values may share storage; False when either is no l-value."""
    first, second = root(a), root(b)
    if first is None or second is None or first.name != second.name:
        return False
    return all(x == y or "*" in (x, y) for x, y in zip(_path(a), _path(b), strict=False))


def mentions(value: Expr, target: Expr) -> bool:
    """Whether a value reads the variable that an l-value is part of."""
    base = root(target)
    return base is None or any(isinstance(n, Var) and n.name == base.name for n in nodes(value))


def has_effects(statements: list[Stmt]) -> bool:
    """Whether statements may change anything but the fresh variables that they declare."""
    return not all(isinstance(s, VarDecl | Lookahead) for s in statements)
