# SPDX-License-Identifier: Apache-2.0
"""Bytestrings of the specification: big-endian integers, any padding accepted, shortest form sent."""

from __future__ import annotations

from softswitch.p4runtime.errors import OUT_OF_RANGE, P4RuntimeError


def byte_width(bits: int) -> int:
    """Bytes that a value of `bits` bits takes in the data plane's layouts."""
    return (bits + 7) // 8


def shortest(value: bytes) -> bytes:
    """The canonical form of an unsigned value: no leading zero bytes, but at least one byte."""
    return value.lstrip(b"\0") or b"\0"


def decode_unsigned(value: bytes, bits: int, what: str) -> bytes:
    """An unsigned value from a client, in exactly `byte_width(bits)` bytes; else OUT_OF_RANGE."""
    if not value:
        raise P4RuntimeError(OUT_OF_RANGE, f"{what}: empty value")
    size = (bits + 7) // 8
    stripped = value.lstrip(b"\0") if len(value) > size else value
    if len(stripped) > size or (len(stripped) == size and bits & 7 and stripped[0] >> (bits & 7)):
        raise P4RuntimeError(OUT_OF_RANGE, f"{what}: 0x{_brief(value)} does not fit in bit<{bits}>")
    return stripped.rjust(size, b"\0")


def decode_signed(value: bytes, bits: int, what: str) -> bytes:
    """A two's complement value from a client, in exactly `byte_width(bits)` bytes, spare high bits zero."""
    if not value:
        raise P4RuntimeError(OUT_OF_RANGE, f"{what}: empty value")
    number = int.from_bytes(value, "big", signed=True)
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise P4RuntimeError(OUT_OF_RANGE, f"{what}: 0x{_brief(value)} does not fit in int<{bits}>")
    return (number & ((1 << bits) - 1)).to_bytes(byte_width(bits), "big")


def encode_signed(value: bytes, bits: int) -> bytes:
    """The canonical form of a two's complement value that the data plane holds in `bits` bits."""
    number = int.from_bytes(value, "big") & ((1 << bits) - 1)
    if number >> (bits - 1):
        number -= 1 << bits
    needed = (number + (number < 0)).bit_length() + 1
    return number.to_bytes(byte_width(needed), "big", signed=True)


def _brief(value: bytes) -> str:
    return value.hex() if len(value) <= 20 else f"{value[:16].hex()}…({len(value)} bytes)"
