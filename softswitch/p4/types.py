# SPDX-License-Identifier: Apache-2.0
"""Types of P4_16 (specification, chapter 7), shared by the type checker and the IR.

Derived nominal types (header, struct, union, enum) are equal when their names are: a program has one of each
name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Annotation:
    """`@name(body)`: `values` are its folded expressions, `pairs` its key-values, `text` the raw body."""

    name: str
    values: tuple[int | str | bool, ...] = ()
    pairs: tuple[tuple[str, int | str | bool], ...] = ()
    text: str = ""
    structured: bool = False
    """Written with brackets."""


def find_annotation(annotations: tuple[Annotation, ...], name: str) -> Annotation | None:
    """The first annotation called `name`, or None."""
    return next((a for a in annotations if a.name == name), None)


class Type:
    """Base of all types."""


@dataclass(frozen=True)
class BitType(Type):
    """`bit<width>`: unsigned, arithmetic mod 2^width."""

    width: int

    def __str__(self) -> str:
        return f"bit<{self.width}>"


@dataclass(frozen=True)
class IntType(Type):
    """`int<width>`: two's complement, arithmetic mod 2^width."""

    width: int

    def __str__(self) -> str:
        return f"int<{self.width}>"


@dataclass(frozen=True)
class VarbitType(Type):
    """`varbit<width>`: `width` is the maximum; the current length is part of the value."""

    width: int

    def __str__(self) -> str:
        return f"varbit<{self.width}>"


@dataclass(frozen=True)
class BoolType(Type):
    """`bool`."""

    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True)
class ErrorType(Type):
    """`error`; values are indices into `Program.errors`."""

    def __str__(self) -> str:
        return "error"


@dataclass(frozen=True)
class StringType(Type):
    """`string`: literals only (log messages, annotations)."""

    def __str__(self) -> str:
        return "string"


@dataclass(frozen=True)
class VoidType(Type):
    """`void`: the result of calls without a value."""

    def __str__(self) -> str:
        return "void"


@dataclass(frozen=True)
class EnumType(Type):
    """`enum` without representation; a value is the index of its member."""

    name: str
    members: tuple[str, ...] = field(compare=False)
    annotations: tuple[Annotation, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class SerEnumType(Type):
    """`enum bit<W>`: `underlying` is BitType or IntType; `members` pairs names with values."""

    name: str
    underlying: BitType | IntType = field(compare=False)
    members: tuple[tuple[str, int], ...] = field(compare=False)
    annotations: tuple[Annotation, ...] = field(default=(), compare=False)
    member_annotations: tuple[tuple[Annotation, ...], ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Field:
    """A field of a header, struct or union.

    `type_name` is set when the field was declared with a `type … NAME` (a new type, erased in `type`).
    """

    name: str
    type: Type
    annotations: tuple[Annotation, ...] = ()
    type_name: str | None = None


@dataclass(frozen=True)
class FieldsType(Type):
    """Base of header, struct and union: named fields in order."""

    name: str
    fields: tuple[Field, ...] = field(compare=False)
    annotations: tuple[Annotation, ...] = field(default=(), compare=False)

    def field_type(self, name: str) -> Type | None:
        """Type of the field called `name`, or None."""
        return next((f.type for f in self.fields if f.name == name), None)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class HeaderType(FieldsType):
    """`header`: fields of bit<>, int<>, bool, enum with values, varbit or struct type, and a validity bit."""


@dataclass(frozen=True)
class StructType(FieldsType):
    """`struct`."""


@dataclass(frozen=True)
class UnionType(FieldsType):
    """`header_union`: fields are headers, at most one of them valid."""


@dataclass(frozen=True)
class StackType(Type):
    """`element[size]`: a header stack with its implicit nextIndex; `element` is a header or union."""

    element: Type
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True)
class TupleType(Type):
    """`tuple<…>`, and the type of a list expression."""

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True)
class InfInt(Type):
    """`int` of unlimited size: literals without width. Only the checker meets it, not the IR."""

    def __str__(self) -> str:
        return "int"


@dataclass(frozen=True)
class TypeVar(Type):
    """A type parameter not yet bound. Only the checker meets it, not the IR."""

    name: str

    def __str__(self) -> str:
        return self.name


INF_INT = InfInt()
BOOL = BoolType()
ERROR = ErrorType()
STRING = StringType()
VOID = VoidType()


def width_of(t: Type) -> int | None:
    """Bits of a type with a size on the wire (a varbit counts its maximum); None if it has none."""
    if isinstance(t, BitType | IntType | VarbitType):
        return t.width
    if isinstance(t, BoolType):
        return 1
    if isinstance(t, SerEnumType):
        return t.underlying.width
    if isinstance(t, HeaderType | StructType):
        return _sum(width_of(f.type) for f in t.fields)
    if isinstance(t, TupleType):
        return _sum(width_of(e) for e in t.elements)
    if isinstance(t, StackType):
        inner = width_of(t.element)
        return None if inner is None else inner * t.size
    return None


def _sum(widths: Iterable[int | None]) -> int | None:
    total = 0
    for width in widths:
        if width is None:
            return None
        total += width
    return total
