# SPDX-License-Identifier: Apache-2.0
"""P4Data values: registers' cells and digests' structs, between protobuf and the data plane's bytes.

In the data plane a value is its scalar members in order, each in ceil(bits / 8) bytes, big-endian.
"""

from __future__ import annotations

from finsy.proto import p4d, p4t

from softswitch.p4runtime.bytestrings import (
    byte_width,
    decode_signed,
    decode_unsigned,
    encode_signed,
    shortest,
)
from softswitch.p4runtime.errors import invalid, unimplemented

_DEPTH = 16  # of types within types; P4 forbids recursive types, a hostile P4Info may not


class ValueCodec:
    """Values of one type, named by a P4DataTypeSpec."""

    def __init__(self, spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, name: str) -> None:
        self._root = _node(spec, types, name, 0)
        self.size = self._root.size

    def encode(self, data: p4d.P4Data) -> bytes:
        """The data plane's bytes; INVALID_ARGUMENT for another shape, OUT_OF_RANGE if too wide."""
        return self._root.encode(data)

    def decode(self, value: bytes, data: p4d.P4Data) -> None:
        """Fill in `data` from the data plane's bytes."""
        self._root.decode(value, data)


class _Node:
    size: int
    name: str

    def encode(self, data: p4d.P4Data) -> bytes:
        raise NotImplementedError

    def decode(self, value: bytes, data: p4d.P4Data) -> None:
        raise NotImplementedError

    def _expect(self, data: p4d.P4Data, kind: str) -> None:
        given = data.WhichOneof("data")
        if given != kind:
            raise invalid(f"{self.name}: the value must be a {kind}, not {given or 'unset'}")


class _Unsigned(_Node):
    def __init__(self, name: str, bits: int) -> None:
        self.name, self.bits, self.size = name, bits, byte_width(bits)

    def encode(self, data: p4d.P4Data) -> bytes:
        self._expect(data, "bitstring")
        return decode_unsigned(data.bitstring, self.bits, self.name)

    def decode(self, value: bytes, data: p4d.P4Data) -> None:
        data.bitstring = shortest(value)


class _Signed(_Unsigned):
    def encode(self, data: p4d.P4Data) -> bytes:
        self._expect(data, "bitstring")
        return decode_signed(data.bitstring, self.bits, self.name)

    def decode(self, value: bytes, data: p4d.P4Data) -> None:
        data.bitstring = encode_signed(value, self.bits)


class _Bool(_Node):
    def __init__(self, name: str) -> None:
        self.name, self.size = name, 1

    def encode(self, data: p4d.P4Data) -> bytes:
        self._expect(data, "bool")
        return b"\1" if data.bool else b"\0"

    def decode(self, value: bytes, data: p4d.P4Data) -> None:
        data.bool = any(value)


class _Members(_Node):
    """A struct or a tuple."""

    def __init__(self, name: str, kind: str, members: list[_Node]) -> None:
        self.name, self.kind, self.members = name, kind, members
        self.size = sum(member.size for member in members)

    def _of(self, data: p4d.P4Data) -> p4d.P4StructLike:
        return data.struct if self.kind == "struct" else data.tuple

    def encode(self, data: p4d.P4Data) -> bytes:
        self._expect(data, self.kind)
        given = self._of(data).members
        if len(given) != len(self.members):
            raise invalid(f"{self.name}: {len(self.members)} members wanted, {len(given)} given")
        return b"".join(member.encode(value) for member, value in zip(self.members, given, strict=True))

    def decode(self, value: bytes, data: p4d.P4Data) -> None:
        target = self._of(data)
        start = 0
        for member in self.members:
            end = start + member.size
            member.decode(value[start:end], target.members.add())
            start = end


def _node(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, name: str, depth: int) -> _Node:
    if depth > _DEPTH:
        raise invalid(f"{name}: types nested too deeply")
    kind = spec.WhichOneof("type_spec")
    if kind == "bitstring":
        return _bits(spec.bitstring, name)
    if kind == "bool":
        return _Bool(name)
    if kind == "struct" and spec.struct.name in types.structs:
        fields = types.structs[spec.struct.name].members
        members = [_node(field.type_spec, types, f"{name}.{field.name}", depth + 1) for field in fields]
        return _Members(name, "struct", members)
    if kind == "tuple":
        members = [_node(item, types, f"{name}[{i}]", depth + 1) for i, item in enumerate(spec.tuple.members)]
        return _Members(name, "tuple", members)
    if kind == "serializable_enum" and spec.serializable_enum.name in types.serializable_enums:
        return _Unsigned(name, types.serializable_enums[spec.serializable_enum.name].underlying_type.bitwidth)
    if kind == "new_type" and spec.new_type.name in types.new_types:
        new_type = types.new_types[spec.new_type.name]
        if new_type.WhichOneof("representation") == "original_type":
            return _node(new_type.original_type, types, name, depth + 1)
    raise unimplemented(f"{name}: values of type {kind or 'unset'} cannot be carried")


def _bits(spec: p4t.P4BitstringLikeTypeSpec, name: str) -> _Node:
    kind = spec.WhichOneof("type_spec")
    if kind == "bit":
        return _Unsigned(name, spec.bit.bitwidth)
    if kind == "int":
        return _Signed(name, spec.int.bitwidth)
    raise unimplemented(f"{name}: values of type {kind or 'unset'} cannot be carried")
