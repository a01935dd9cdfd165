# SPDX-License-Identifier: Apache-2.0
"""Packet-in and packet-out metadata: the packed fields of a controller header.

The header's fields follow one another bit by bit, in the program's order, and fill whole bytes together.
Those that the program hides from the control plane (`@hidden`) are zero in packet-outs, and left out of
packet-ins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from finsy.proto import p4i, p4r

from softswitch.p4runtime.bytestrings import byte_width, decode_unsigned
from softswitch.p4runtime.errors import P4RuntimeError, invalid, unimplemented

_PACKET = int(p4r.StreamMessageResponse.DESCRIPTOR.fields_by_name["packet"].number)
_PAYLOAD = int(p4r.PacketIn.DESCRIPTOR.fields_by_name["payload"].number)
_METADATA = int(p4r.PacketIn.DESCRIPTOR.fields_by_name["metadata"].number)
_VALUE = int(p4r.PacketMetadata.DESCRIPTOR.fields_by_name["value"].number)


@dataclass(frozen=True, slots=True)
class _Field:
    id: int
    name: str
    bits: int
    size: int
    shift: int  # of the field within the header taken as one number
    mask: int
    prefixes: tuple[bytes, ...]  # what stands before its value in a PacketIn, by the number of its bytes


class HeaderCodec:
    """One controller header; one without fields stands for a program that has no such header."""

    def __init__(self, header: p4i.ControllerPacketMetadata, shown: Collection[int]) -> None:
        """`header` has all fields with the program's widths; `shown`: the ids of those in messages."""
        total = sum(field.bitwidth for field in header.metadata)
        if total % 8:
            raise unimplemented(f"controller header {header.preamble.name}: {total} bits are not whole bytes")
        self.size = total // 8
        fields: list[_Field] = []
        shift = total
        for field in header.metadata:
            shift -= field.bitwidth
            if field.id not in shown:
                continue
            mask = (1 << field.bitwidth) - 1
            size = byte_width(field.bitwidth)
            prefixes = _prefixes(field.id, size)
            fields.append(_Field(field.id, field.name, field.bitwidth, size, shift, mask, prefixes))
        self._fields = tuple(fields)
        self._by_id = {field.id: field for field in fields}

    def encode(self, metadata: Iterable[p4r.PacketMetadata]) -> bytes:
        """The header that a packet-out begins with; every field that is shown must be given once."""
        number = 0
        missing = dict(self._by_id)
        for item in metadata:
            field = missing.pop(item.metadata_id, None)
            if field is None:
                reason = (
                    "given twice" if item.metadata_id in self._by_id else "not in the program's packet_out"
                )
                raise invalid(f"metadata id {item.metadata_id}: {reason}")
            try:
                value = decode_unsigned(item.value, field.bits, f"metadata {field.name}")
            except P4RuntimeError as error:
                raise invalid(error.message) from None
            number |= int.from_bytes(value, "big") << field.shift
        if missing:
            names = ", ".join(field.name for field in missing.values())
            raise invalid(f"metadata missing: {names}")
        return number.to_bytes(self.size, "big")

    def notification(self, frame: bytes) -> bytes:
        """The serialised StreamMessageResponse with the packet-in for a frame that begins with the header.

        It is what protobuf would make of it; joining pieces that were made beforehand takes a tenth of the
        time.
        """
        number = int.from_bytes(frame[: self.size], "big")
        payload = frame[self.size :]
        pieces = [_head(_PAYLOAD, len(payload)), payload] if payload else []
        for field in self._fields:
            value = (number >> field.shift) & field.mask
            length = (value.bit_length() + 7) >> 3 or 1
            pieces.append(field.prefixes[length])
            pieces.append(value.to_bytes(length, "big"))
        packet = b"".join(pieces)
        return _head(_PACKET, len(packet)) + packet


def _head(number: int, length: int) -> bytes:
    """What stands before a field of `length` bytes (protobuf encoding, "Length-Delimited Records")."""
    head = bytearray((number << 3 | 2,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)


def _prefixes(field_id: int, size: int) -> tuple[bytes, ...]:
    """What stands before a field's value in a PacketIn, by the number of its bytes."""
    named = p4r.PacketMetadata(metadata_id=field_id).SerializeToString()
    values = [named + _head(_VALUE, length) for length in range(1, size + 1)]
    return b"", *(_head(_METADATA, len(v) + length) + v for length, v in enumerate(values, 1))
