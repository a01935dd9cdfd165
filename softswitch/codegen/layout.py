# SPDX-License-Identifier: Apache-2.0
"""C types for P4 types.

bit<W> and int<W> lie in the smallest unsigned integer that holds W bits (up to 128), wider ones in structs
of 64-bit
limbs; bits above W are zero in every stored value (int<W> is kept as its two's complement). A header is a
struct with
`ss_valid` before its fields, a stack has `next` and one spare element for indices out of bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from softswitch.codegen.errors import Unsupported
from softswitch.codegen.names import c_comment, c_name
from softswitch.codegen.writer import Writer
from softswitch.p4.ir_expr import NOWHERE, Loc
from softswitch.p4.types import (
    BitType,
    BoolType,
    EnumType,
    ErrorType,
    FieldsType,
    HeaderType,
    IntType,
    SerEnumType,
    StackType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarbitType,
)

WIDE = 128
"""Numbers of more bits than this are structs of limbs."""

MAX_WIDTH = 16384
MAX_STATE_BYTES = 1 << 20


def limbs(width: int) -> int:
    """How many 64-bit limbs hold `width` bits."""
    return (width + 63) // 64


def num_bytes(width: int) -> int:
    """How many bytes hold `width` bits."""
    return (width + 7) // 8


def scalar_width(t: Type) -> int:
    """Bits of a number, bool, enum or error as it is computed with; 0 for anything else."""
    if isinstance(t, BitType | IntType):
        return t.width
    if isinstance(t, BoolType):
        return 1
    if isinstance(t, SerEnumType):
        return t.underlying.width
    if isinstance(t, EnumType):
        return 32
    if isinstance(t, ErrorType):
        return 16
    return 0


def is_scalar(t: Type) -> bool:
    """Whether a value of the type is one number."""
    return scalar_width(t) > 0


def is_signed(t: Type) -> bool:
    """Whether the type is int<W>."""
    return isinstance(t, IntType) or (isinstance(t, SerEnumType) and isinstance(t.underlying, IntType))


def is_wide(t: Type) -> bool:
    """Whether the type is a struct of limbs."""
    return scalar_width(t) > WIDE


def container(width: int) -> int:
    """Bits of the C type that holds `width` (at most 128) bits."""
    return next(size for size in (8, 16, 32, 64, 128) if width <= size)


def unsigned(width: int) -> str:
    """The C type of a number of `width` bits."""
    if width > WIDE:
        return f"ss_w{limbs(width)}"
    size = container(width)
    return "ss_u128" if size == 128 else f"uint{size}_t"


class Layout:
    """Names C types, and declares each once, in the order of their first use."""

    def __init__(self, standard_metadata: StructType) -> None:
        self.declarations = Writer()
        self._standard = standard_metadata.name
        self._declared: set[str] = set()
        self._tuples: dict[TupleType, str] = {}

    def ctype(self, t: Type, loc: Loc = NOWHERE) -> str:
        """The C type; declares it if that has not happened."""
        if isinstance(t, BoolType):
            return "bool"
        if is_scalar(t):
            return self._number(scalar_width(t), loc)
        if isinstance(t, FieldsType):
            return self._fields(t, loc)
        if isinstance(t, StackType):
            return self._stack(t, loc)
        if isinstance(t, VarbitType):
            return self._varbit(t, loc)
        if isinstance(t, TupleType):
            return self._tuple(t, loc)
        raise Unsupported(loc, f"a variable of type {t} is not supported")

    def _once(self, name: str) -> bool:
        if name in self._declared:
            return False
        self._declared.add(name)
        return True

    def _number(self, width: int, loc: Loc) -> str:
        if width > MAX_WIDTH:
            raise Unsupported(loc, f"numbers of more than {MAX_WIDTH} bits are not supported")
        name = unsigned(width)
        if width > WIDE and self._once(name):
            self.declarations.line(f"typedef struct {{ uint64_t w[{limbs(width)}]; }} {name};")
        return name

    def _varbit(self, t: VarbitType, loc: Loc) -> str:
        name = f"ss_varbit{t.width}"
        if t.width > MAX_WIDTH:
            raise Unsupported(loc, f"varbit of more than {MAX_WIDTH} bits is not supported")
        if self._once(name):
            size = max(1, num_bytes(t.width))
            self.declarations.line(f"typedef struct {{ uint32_t bits; uint8_t data[{size}]; }} {name};")
        return name

    def _tuple(self, t: TupleType, loc: Loc) -> str:
        if t not in self._tuples:
            members = [f"{self.ctype(element, loc)} e{i};" for i, element in enumerate(t.elements)]
            name = self._tuples[t] = f"struct ss_tuple{len(self._tuples)}"
            self.declarations.line(
                f"{name} {{ {' '.join(members) or 'char ss_empty;'} }};  {c_comment(str(t))}"
            )
        return self._tuples[t]

    def _fields(self, t: FieldsType, loc: Loc) -> str:
        if t.name == self._standard:
            return "ss_standard_metadata"
        name = f"struct {c_name(t.name)}"
        if self._once(name):
            self._declare_fields(name, t, loc)
        return name

    def _declare_fields(self, name: str, t: FieldsType, loc: Loc) -> None:
        members = [f"{self.ctype(f.type, loc)} {c_name(f.name)};" for f in t.fields]
        if isinstance(t, HeaderType):
            members.insert(0, "bool ss_valid;")
        out = self.declarations
        out.line()
        out.line(f"{name} {{")
        for member in members or ["char ss_empty;"]:
            out.line(member)
        out.line("};")
        if size_of(t) > MAX_STATE_BYTES:
            raise Unsupported(loc, f"{t.name} takes more than {MAX_STATE_BYTES} bytes")

    def _stack(self, t: StackType, loc: Loc) -> str:
        element = self.ctype(t.element, loc)
        name = f"ss_stack{t.size}_{c_name(str(t.element))}"
        if self._once(name):
            if t.size < 1 or t.size > 1024:
                raise Unsupported(loc, "a header stack has 1 to 1024 elements")
            out = self.declarations
            out.line(f"typedef struct {{ uint32_t next; {element} items[{t.size} + 1]; }} {name};")
            out.line()
            out.line(f"static inline {element} *{name}_at({name} *stack, uint64_t index) {{")
            out.line(f"if (index < {t.size}) return &stack->items[index];")
            out.line(f"memset(&stack->items[{t.size}], 0, sizeof stack->items[0]);")
            out.line(f"return &stack->items[{t.size}];")
            out.line("}")
        return name


def size_of(t: Type) -> int:
    """About how many bytes the C type takes."""
    if is_scalar(t):
        return num_bytes(scalar_width(t))
    if isinstance(t, FieldsType):
        return 1 + sum(size_of(f.type) for f in t.fields)
    if isinstance(t, StackType):
        return (t.size + 1) * size_of(t.element)
    if isinstance(t, VarbitType):
        return 4 + num_bytes(t.width)
    if isinstance(t, TupleType):
        return sum(size_of(e) for e in t.elements)
    return 0


def flat_fields(t: Type, prefix: str = "") -> Iterator[tuple[str, Type]]:
    """C member paths (`a.b`) and types of all fields of a header or struct, structs in it flattened."""
    if isinstance(t, StructType | HeaderType):
        for f in t.fields:
            path = f"{prefix}{c_name(f.name)}"
            if isinstance(f.type, StructType):
                yield from flat_fields(f.type, path + ".")
            else:
                yield path, f.type


def header_members(t: UnionType) -> list[str]:
    """C names of the members of a header union."""
    return [c_name(f.name) for f in t.fields]
