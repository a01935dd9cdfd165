# SPDX-License-Identifier: Apache-2.0
"""Tokens of P4_16 (specification, section 6.3) from preprocessed text with line markers.

`>` is always a token of its own, so that `register<bit<8>>` needs no care; the grammar joins adjacent ones to
the shift operators.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from softswitch.p4.errors import Diagnostics, Failure
from softswitch.p4.ir_expr import Loc

MAX_TOKEN = 1000
"""Longest number or name, in characters."""

_KEYWORD_TEXT = """
abstract action actions apply bit bool break const continue control default else entries enum error exit
extern false for header header_union if in inout int key match_kind out package parser priority return
select state string struct switch table this transition true tuple type typedef value_set varbit list void
"""
KEYWORDS = frozenset(_KEYWORD_TEXT.split())

_CONTEXTUAL_TEXT = """
abstract actions apply break continue entries for key list match_kind priority state string this
type value_set
"""
CONTEXTUAL = frozenset(_CONTEXTUAL_TEXT.split())
"""Keywords that may also be names."""


class Kind(Enum):
    """Classes of tokens."""

    NAME = "name"
    KEYWORD = "keyword"
    INT = "integer"
    STRING = "string"
    PUNCT = "punctuation"
    END = "end of file"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as written; `value`, `width` (None: none given) and `signed` of integers, `value` of strings."""

    kind: Kind
    text: str
    loc: Loc
    value: int | str = 0
    width: int | None = None
    signed: bool = False
    glued: bool = False
    """No white space between the token before and this one."""

    def __str__(self) -> str:
        return "end of file" if self.kind is Kind.END else f"`{self.text}`"


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+)
    |(?P<line_comment>//[^\n]*)
    |(?P<comment>/\*.*?\*/)
    |(?P<open>/\*)
    |(?P<number>[0-9][0-9A-Za-z_]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<punct>\.\.\.|&&&|\|\+\||\|-\||<<=|\|\+\|=|\|-\|=|
        \+\+|\.\.|&&|\|\||==|!=|<=|>=|<<|\+=|-=|\*=|/=|%=|&=|\|=|\^=|[-+*/%&|^~!<>=?:;,.(){}\[\]@\#])
    |(?P<newline>\n)
    |(?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
_MARKER = re.compile(r'[ \t]*#[ \t]*(?:line[ \t]+)?([0-9]+)(?:[ \t]+"((?:[^"\\]|\\.)*)"[ \t0-9]*)?[ \t]*\r?$')
_NUMBER = re.compile(
    r"(?:([0-9]+)([ws]))?(0[xX][0-9A-Fa-f_]+|0[bB][01_]+|0[oO][0-7_]+|0[dD][0-9_]+|[0-9][0-9_]*)"
)
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class Lexer:
    """Cuts one preprocessed text into tokens; errors go to `diagnostics`."""

    def __init__(self, text: str, name: str, diagnostics: Diagnostics) -> None:
        self._text = text
        self._file = name
        self._line = 1
        self._diagnostics = diagnostics
        self._line_start = 0
        self._loc_file = name

    def tokens(self) -> list[Token]:
        """All tokens, an END last."""
        found: list[Token] = []
        position, glued = 0, False
        if (after := self._marker(0)) is not None:
            position = after
        else:
            self._begin_line(0)
        while position < len(self._text):
            match = _TOKEN.match(self._text, position)
            if match is None:  # cannot happen: the last alternative takes anything
                break
            kind, text = match.lastgroup, match.group()
            loc = Loc(self._file, self._line, position - self._line_start + 1)
            start, position = position, match.end()
            if kind == "newline":
                position = self._next_line(position)
            elif kind == "comment":
                self._skip_lines(start, text)
            elif kind == "open":
                self._diagnostics.error(loc, "comment without end")
                position = len(self._text)
            elif kind == "bad":
                self._bad(loc, text)
                if text == '"':
                    stop = self._text.find("\n", position)
                    position = len(self._text) if stop < 0 else stop
            elif kind not in ("space", "line_comment"):
                try:
                    found.append(self._token(str(kind), text, loc, glued))
                except Failure as failure:
                    self._diagnostics.failed(failure)
                glued = True
                continue
            glued = False
        end = Loc(self._file, self._line, max(1, position - self._line_start + 1))
        found.append(Token(Kind.END, "", end))
        return found

    def _bad(self, loc: Loc, text: str) -> None:
        if text == '"':
            self._diagnostics.error(loc, "string without closing quote")
        elif ord(text) < 32 or ord(text) > 126:
            self._diagnostics.error(loc, f"unexpected character U+{ord(text):04X}")
        else:
            self._diagnostics.error(loc, f"unexpected character `{text}`")

    def _begin_line(self, position: int) -> None:
        self._line_start = position
        end = self._text.find("\n", position)
        line = self._text[position : len(self._text) if end < 0 else min(end, position + 500)]
        self._diagnostics.source_lines[self._file, self._line] = line

    def _next_line(self, position: int) -> int:
        self._line += 1
        after = self._marker(position)
        if after is not None:
            return after
        self._begin_line(position)
        return position

    def _skip_lines(self, start: int, text: str) -> None:
        for match in re.finditer("\n", text):
            self._line += 1
            self._begin_line(start + match.end())

    def _marker(self, position: int) -> int | None:
        """Obeys line markers (`# 12 "file"`) at `position`: where the text goes on, None without marker."""
        seen = False
        while self._text[position : position + 1] in ("#", " ", "\t"):
            end = self._text.find("\n", position)
            end = len(self._text) if end < 0 else end
            line = self._text[position:end]
            match = _MARKER.match(line) if len(line) <= 5000 else None
            if match is None:
                if line.lstrip().startswith("#pragma"):
                    self._line += 1
                    position = min(end + 1, len(self._text))
                    seen = True
                    continue
                break
            self._line = int(match[1][:9])
            if match[2] is not None:
                self._file = re.sub(r"\\(.)", r"\1", match[2])
            position = min(end + 1, len(self._text))
            seen = True
        if not seen:
            return None
        self._begin_line(position)
        return position

    def _token(self, kind: str, text: str, loc: Loc, glued: bool) -> Token:
        if kind == "number":
            return self._number(text, loc, glued)
        if kind == "string":
            value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), text[1:-1], flags=re.DOTALL)
            return Token(Kind.STRING, text, loc, value, glued=glued)
        if kind == "name":
            if len(text) > MAX_TOKEN:
                raise Failure(loc, f"name longer than {MAX_TOKEN} characters")
            return Token(Kind.KEYWORD if text in KEYWORDS else Kind.NAME, text, loc, glued=glued)
        return Token(Kind.PUNCT, text, loc, glued=glued)

    def _number(self, text: str, loc: Loc, glued: bool) -> Token:
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise Failure(loc, f"`{text[:40]}` is no integer")
        if len(text) > MAX_TOKEN:
            raise Failure(loc, f"integer longer than {MAX_TOKEN} characters")
        digits = match[3].replace("_", "")
        prefixed = digits[1:2].isalpha()
        if prefixed and len(digits) == 2:
            raise Failure(loc, f"`{text[:40]}` is no integer")
        value = int(digits[2:], _BASES[digits[1].lower()]) if prefixed else int(digits)
        width = int(match[1]) if match[1] is not None else None
        return Token(Kind.INT, text, loc, value, width, match[2] == "s", glued)


def tokenize(text: str, name: str, diagnostics: Diagnostics) -> list[Token]:
    """Tokens of `text`; `name` is the file's name until a line marker gives another."""
    return Lexer(text, name, diagnostics).tokens()
