# SPDX-License-Identifier: Apache-2.0
"""Tokens and where they stand."""

from __future__ import annotations

import pytest

from softswitch.p4.errors import Diagnostics
from softswitch.p4.lexer import MAX_TOKEN, Kind, Token, tokenize


def lex(text: str) -> tuple[list[Token], Diagnostics]:
    diagnostics = Diagnostics()
    return tokenize(text, "in.p4", diagnostics), diagnostics


@pytest.mark.parametrize(
    ("text", "value", "width", "signed"),
    [
        ("10", 10, None, False),
        ("0x1F", 31, None, False),
        ("0b1010_1010", 0xAA, None, False),
        ("0o17", 15, None, False),
        ("0d19", 19, None, False),
        ("007", 7, None, False),
        ("8w255", 255, 8, False),
        ("8w0xFF", 255, 8, False),
        ("4s7", 7, 4, True),
        ("32w0b1_0", 2, 32, False),
        ("1_000_000", 1000000, None, False),
    ],
)
def test_integers(text: str, value: int, width: int | None, signed: bool) -> None:
    tokens, diagnostics = lex(text)
    assert not diagnostics.errors
    assert [t.kind for t in tokens] == [Kind.INT, Kind.END]
    assert (tokens[0].value, tokens[0].width, tokens[0].signed) == (value, width, signed)


@pytest.mark.parametrize("text", ["0x", "8w", "12ab", "0b12", "0xg", "9" * (MAX_TOKEN + 1)])
def test_bad_integers(text: str) -> None:
    tokens, diagnostics = lex("a " + text)
    assert [(d.line, d.column) for d in diagnostics.errors] == [(1, 3)]
    assert tokens[-1].kind is Kind.END


def test_angles_stay_single_and_know_their_neighbours() -> None:
    tokens, _ = lex("register<bit<8>> a >> b > > c")
    angles = [(t.text, t.glued) for t in tokens if t.text == ">"]
    assert angles == [(">", True), (">", True), (">", False), (">", True), (">", False), (">", False)]


def test_longest_operator_wins() -> None:
    tokens, _ = lex("a &&& b && c & d |+| e ++ f .. 1 ...")
    punctuation = [t.text for t in tokens if t.kind is Kind.PUNCT]
    assert punctuation == ["&&&", "&&", "&", "|+|", "++", "..", "..."]


def test_comments_and_lines() -> None:
    tokens, _ = lex("a // b\n/* c\n d */ e\n  f")
    assert [(t.text, t.loc.line, t.loc.column) for t in tokens[:-1]] == [
        ("a", 1, 1),
        ("e", 3, 7),
        ("f", 4, 3),
    ]


def test_line_markers_rename_the_file() -> None:
    tokens, _ = lex('# 1 "<built-in>"\n# 40 "dir/x.p4" 2\na\n# 7 "y \\"q\\".p4"\n\nb')
    assert [(t.loc.file, t.loc.line) for t in tokens[:-1]] == [("dir/x.p4", 40), ('y "q".p4', 8)]


def test_strings() -> None:
    tokens, _ = lex(r'"a \"b\" \n"')
    assert tokens[0].kind is Kind.STRING
    assert tokens[0].value == 'a "b" \n'


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ('x = "abc', 5, "string without closing quote"),
        ("x /* abc", 3, "comment without end"),
        ("x $ y", 3, "unexpected character `$`"),
        ("x \u00e9", 3, "unexpected character U+00E9"),
    ],
)
def test_bad_text(text: str, column: int, message: str) -> None:
    _, diagnostics = lex(text)
    (found,) = diagnostics.errors
    assert (found.line, found.column, found.message) == (1, column, message)


def test_diagnostics_show_the_line_with_a_caret() -> None:
    _, diagnostics = lex("ok\n\tx = $;")
    assert str(diagnostics.errors[0]) == "in.p4:2:6: error: unexpected character `$`\n\tx = $;\n\t    ^"
