# SPDX-License-Identifier: Apache-2.0
"""Bytestrings: the specification's own tables of valid and invalid encodings, and every value of small
widths."""

from __future__ import annotations

import pytest
from finsy.proto import rpc_code
from hypothesis import given
from hypothesis import strategies as st

from softswitch.p4runtime.bytestrings import decode_signed, decode_unsigned, encode_signed, shortest
from softswitch.p4runtime.errors import P4RuntimeError

VALID = [
    (8, b"\x63", 99),
    (16, b"\x00\x63", 99),
    (16, b"\x63", 99),
    (16, b"\x30\x64", 12388),
    (16, b"\x00\x30\x64", 12388),
    (12, b"\x00\x63", 99),
    (12, b"\x63", 99),
    (12, b"\x00\x00\x63", 99),
]
INVALID = [(8, b"\x01\x63"), (8, b""), (16, b"\x01\x00\x63"), (12, b"\x10\x63"), (12, b"\x01\x00\x63")]
VALID_SIGNED = [
    (8, b"\x63", 99),
    (8, b"\x9d", -99),
    (8, b"\xff\x9d", -99),
    (12, b"\xfd\x1d", -739),
    (16, b"\x00\x00", 0),
    (16, b"\x00", 0),
]
INVALID_SIGNED = [(8, b"\x00\x9d"), (12, b"\x8d\x1d"), (16, b"")]


@pytest.mark.parametrize(("bits", "text", "value"), VALID)
def test_valid(bits: int, text: bytes, value: int) -> None:
    decoded = decode_unsigned(text, bits, "x")
    assert (len(decoded), int.from_bytes(decoded, "big")) == ((bits + 7) // 8, value)


@pytest.mark.parametrize(("bits", "text"), [*INVALID, (12, b"\x00\x40\x63")])
def test_invalid(bits: int, text: bytes) -> None:
    with pytest.raises(P4RuntimeError, match="x: ") as error:
        decode_unsigned(text, bits, "x")
    assert error.value.code == rpc_code.OUT_OF_RANGE


@pytest.mark.parametrize(("bits", "text", "value"), VALID_SIGNED)
def test_valid_signed(bits: int, text: bytes, value: int) -> None:
    decoded = decode_signed(text, bits, "x")
    assert int.from_bytes(decoded, "big") == value % (1 << bits)


@pytest.mark.parametrize(("bits", "text"), INVALID_SIGNED)
def test_invalid_signed(bits: int, text: bytes) -> None:
    with pytest.raises(P4RuntimeError):
        decode_signed(text, bits, "x")


@given(st.integers(1, 40), st.data())
def test_unsigned_round_trip(bits: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << bits) - 1))
    padding = data.draw(st.integers(0, 3))
    size = max(1, (value.bit_length() + 7) // 8)
    wire = value.to_bytes(size, "big")
    assert shortest(decode_unsigned(bytes(padding) + wire, bits, "x")) == wire


@given(st.integers(1, 40), st.data())
def test_signed_round_trip(bits: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    size = next(n for n in range(1, 9) if -(1 << (8 * n - 1)) <= value < 1 << (8 * n - 1))
    wire = value.to_bytes(size, "big", signed=True)
    assert encode_signed(decode_signed(wire, bits, "x"), bits) == wire
