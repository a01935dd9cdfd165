# SPDX-License-Identifier: Apache-2.0
"""P4Info's type_info: how structs, headers, enums and new types look to the control plane."""

from __future__ import annotations

from finsy.proto import p4t

from softswitch.p4 import ir
from softswitch.p4.types import (
    BitType,
    BoolType,
    EnumType,
    ErrorType,
    Field,
    HeaderType,
    IntType,
    SerEnumType,
    StackType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarbitType,
    find_annotation,
    width_of,
)
from softswitch.p4info_annotations import annotate


class TypeInfo:
    """Describes types, and collects the named ones in a P4TypeInfo message."""

    def __init__(self, program: ir.Program, message: p4t.P4TypeInfo, *, layout: bool) -> None:
        """`layout`: numbers that the control plane sees translated are described as the data plane's."""
        self._layout = layout
        self._new_types = {n.name: n for n in program.new_types}
        self._errors = program.errors
        self._message = message

    def sdn_width(self, t: Type, new_type: str | None) -> int:
        """Bits of a value: those of a translated type where it is one (0 for a string)."""
        translation = self._translation(new_type)
        if translation is not None:
            number = translation[1]
            return number if isinstance(number, int) else 0
        return 0 if isinstance(t, ErrorType) else width_of(t) or 0

    def _translation(self, new_type: str | None) -> tuple[str, int | str] | None:
        if new_type is None:
            return None
        annotation = find_annotation(self._new_types[new_type].annotations, "p4runtime_translation")
        if annotation is None:
            return None
        uri, controller = (*annotation.values, "")[:2]
        if isinstance(controller, str) and annotation.text.rsplit(",", 1)[-1].strip().startswith("bit"):
            controller = int("".join(c for c in annotation.text.rsplit(",", 1)[-1] if c.isdigit()))
        if self._layout and isinstance(controller, int):
            return None
        return str(uri), controller

    def spec(self, t: Type, new_type: str | None = None) -> p4t.P4DataTypeSpec:
        """The description of a type; named types it mentions are added to type_info."""
        self._message.SetInParent()
        spec = p4t.P4DataTypeSpec()
        if new_type is not None:
            spec.new_type.name = new_type
            self._add_new_type(new_type)
        elif isinstance(t, BitType | IntType | VarbitType):
            spec.bitstring.CopyFrom(_bitstring(t))
        elif isinstance(t, BoolType):
            spec.bool.SetInParent()
        elif isinstance(t, TupleType):
            for element in t.elements:
                spec.tuple.members.append(self.spec(element))
        elif isinstance(t, StructType):
            spec.struct.name = t.name
            self._add_struct(t)
        elif isinstance(t, HeaderType):
            spec.header.name = t.name
            self._add_header(t)
        elif isinstance(t, UnionType):
            spec.header_union.name = t.name
            self._add_union(t)
        elif isinstance(t, StackType):
            self._stack(spec, t)
        elif isinstance(t, SerEnumType):
            spec.serializable_enum.name = t.name
            self._add_serializable_enum(t)
        elif isinstance(t, EnumType):
            spec.enum.name = t.name
            self._add_enum(t)
        elif isinstance(t, ErrorType):
            spec.error.SetInParent()
            if not self._message.HasField("error"):
                self._message.error.members.extend(self._errors)
        return spec

    def message(self, t: Type, names: tuple[str | None, ...]) -> p4t.P4DataTypeSpec:
        """The description of a digest's message; `names`: the new types of a list's values, if any is one."""
        if not isinstance(t, TupleType) or not any(names):
            return self.spec(t)
        self._message.SetInParent()
        spec = p4t.P4DataTypeSpec()
        spec.tuple.members.extend(self.spec(e, n) for e, n in zip(t.elements, names, strict=True))
        return spec

    def _stack(self, spec: p4t.P4DataTypeSpec, t: StackType) -> None:
        if isinstance(t.element, HeaderType):
            spec.header_stack.header.name = t.element.name
            spec.header_stack.size = t.size
            self._add_header(t.element)
        elif isinstance(t.element, UnionType):
            spec.header_union_stack.header_union.name = t.element.name
            spec.header_union_stack.size = t.size
            self._add_union(t.element)

    def _add_new_type(self, name: str) -> None:
        if name in self._message.new_types:
            return
        declared = self._new_types[name]
        made = self._message.new_types[name]
        annotate(made, declared.annotations, ("p4runtime_translation",))
        translation = self._translation(name)
        if translation is None:
            made.original_type.CopyFrom(self.spec(declared.type))
            return
        made.translated_type.uri = translation[0]
        if isinstance(translation[1], int):
            made.translated_type.sdn_bitwidth = translation[1]
        else:
            made.translated_type.sdn_string.SetInParent()

    def _add_struct(self, t: StructType) -> None:
        if t.name in self._message.structs:
            return
        members = [(field_name(f), self.spec(f.type, f.type_name)) for f in t.fields]
        made = self._message.structs[t.name]
        for name, spec in members:
            member = made.members.add()
            member.name = name
            member.type_spec.CopyFrom(spec)

    def _add_header(self, t: HeaderType) -> None:
        if t.name in self._message.headers:
            return
        made = self._message.headers[t.name]
        for f in t.fields:
            member = made.members.add()
            member.name = field_name(f)
            if isinstance(f.type, BitType | IntType | VarbitType):
                member.type_spec.CopyFrom(_bitstring(f.type))

    def _add_union(self, t: UnionType) -> None:
        if t.name in self._message.header_unions:
            return
        made = self._message.header_unions[t.name]
        for f in t.fields:
            member = made.members.add()
            member.name = field_name(f)
            member.header.CopyFrom(self.spec(f.type).header)

    def _add_enum(self, t: EnumType) -> None:
        if t.name not in self._message.enums:
            made = self._message.enums[t.name]
            for name in t.members:
                made.members.add().name = name

    def _add_serializable_enum(self, t: SerEnumType) -> None:
        if t.name in self._message.serializable_enums:
            return
        made = self._message.serializable_enums[t.name]
        made.underlying_type.bitwidth = t.underlying.width
        for name, value in t.members:
            member = made.members.add()
            member.name = name
            member.value = as_bytes(value, t.underlying.width)


def field_name(f: Field) -> str:
    """A field's control-plane name: its @name or its own."""
    given = find_annotation(f.annotations, "name")
    return str(given.values[0]) if given is not None and given.values else f.name


def as_bytes(value: int, width: int) -> bytes:
    """A number as p4c writes it into P4Info: big-endian, all bytes of its width."""
    return (value & (1 << width) - 1).to_bytes(max(1, (width + 7) // 8), "big")


def _bitstring(t: BitType | IntType | VarbitType) -> p4t.P4BitstringLikeTypeSpec:
    spec = p4t.P4BitstringLikeTypeSpec()
    if isinstance(t, BitType):
        spec.bit.bitwidth = t.width
    elif isinstance(t, IntType):
        spec.int.bitwidth = t.width
    else:
        spec.varbit.max_bitwidth = t.width
    return spec
