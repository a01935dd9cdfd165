# SPDX-License-Identifier: Apache-2.0
"""Constant expressions: wrap-around, saturation, signs, unlimited integers."""

from __future__ import annotations

import pytest

from tests.p4.snippets import body, compile_snippet, expect_error


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("8w255 + 1", 0),
        ("8w0 - 1", 255),
        ("8w16 * 17", 16),
        ("8w250 |+| 10", 255),
        ("8w5 |-| 10", 0),
        ("~8w0", 255),
        ("-8w1", 255),
        ("8w1 << 7", 128),
        ("8w1 << 8", 0),
        ("8w200 >> 9", 0),
        ("8w1 << 300", 0),
        ("100 - 200 + 101", 1),
        ("(1 << 100) >> 98", 4),
        ("7 / 2 * 10 + 7 % 4", 33),
        ("4w5 ++ 4w6", 0x56),
        ("16w0xABCD[11:4]", 0xBC),
        ("16w0xABCD[4 +: 8]", 0xBC),
        ("(bit<8>) 16w0x1234", 0x34),
        ("(bit<8>) (int<8>) -1", 255),
        ("(bit<8>) ((int<8>) -128 >> 3)", 0xF0),
        ("(bit<8>) (bit<1>) true", 1),
        ("8w6 & 3 | 8 ^ 1", 11),
        ("(3 > 2 && 8w1 != 2) ? 8w1 : 8w2", 1),
        ("-1", 255),
        ("1 + 2 * 3 - 4", 3),
        ("0xF0 & 0x3C", 0x30),
        ("A + B", 12),
        ("(bit<8>) LONG[39:32]", 0x12),
    ],
)
def test_values(expression: str, value: int) -> None:
    top = "const bit<8> A = 5; const bit<8> B = A + 2; const bit<64> LONG = 0x12_0000_0000;"
    program = compile_snippet(top=top, apply=f"meta.x = {expression};")
    assert body(program) == [f"meta.x = bit<8>({value})"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("8s127 + 1", -128),
        ("-8s128 - 1", 127),
        ("8s127 |+| 1", 127),
        ("-8s128 |-| 1", -128),
        ("-8s7 >> 1", -4),
    ],
)
def test_signed_values(expression: str, value: int) -> None:
    assert body(compile_snippet(apply=f"meta.s = {expression};")) == [f"meta.s = int<8>({value})"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [("8w255 == -1", "true"), ("-8s1 < 0", "true"), ("8w200 < 100", "false"), ("!(true || false)", "false")],
)
def test_comparisons(expression: str, value: str) -> None:
    assert body(compile_snippet(apply=f"meta.flag = {expression};")) == [f"meta.flag = {value}"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("8w1 /*!*/ / 0", "division by zero"),
        ("1 /*!*/ % 0", "division by zero"),
        ("8w1 /*!*/ << -1", "shift by a negative amount"),
        ("1 /*!*/ << 100000", "8192 bits"),
        ("/*!*/16w1[16:0]", "slice [16:0] does not fit bit<16>"),
        ("/*!*/16w1[3:4]", "slice [3:4]"),
        ("/*!*/16w1", "expected bit<8>, found bit<16>"),
        ("8w1 /*!*/ + 16w1", "`+` cannot take bit<8> and bit<16>"),
        ("8w1 /*!*/ + 8s1", "`+` cannot take bit<8> and int<8>"),
        ("true /*!*/ + 1", "cannot take bool"),
        ("1 /*!*/ << hdr.h.a", "needs a width"),
        ("4w1 /*!*/ ++ 1", "`++` needs numbers with a width"),
    ],
)
def test_errors(expression: str, message: str) -> None:
    expect_error(message, apply=f"meta.x = {expression.replace('/*!*/ ', '/*!*/')};")


def test_constants_may_not_define_themselves() -> None:
    expect_error("defined by itself", top="const bit<8> A = B + 1; const bit<8> B = A;")


def test_decided_conditions_leave_one_branch() -> None:
    program = compile_snippet(
        top="const bool ON = false;", apply="if (ON) { meta.x = 1; } else { meta.x = 2; }"
    )
    assert body(program) == ["{", "meta.x = bit<8>(2)", "}"]
