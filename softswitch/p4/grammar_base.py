# SPDX-License-Identifier: Apache-2.0
"""The token stream under the grammar: looking ahead, expecting, limits, and recovery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from softswitch.p4.errors import Diagnostics, Failure
from softswitch.p4.ir_expr import Loc
from softswitch.p4.lexer import CONTEXTUAL, Kind, Token

MAX_DEPTH = 90
"""Deepest nesting of parentheses, blocks, types, …"""


class TokenStream:
    """A cursor over tokens; `type_names` are the names that denote types at this point."""

    def __init__(self, tokens: list[Token], diagnostics: Diagnostics) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0
        self._in_annotation = False
        self.diagnostics = diagnostics
        self.type_names: set[str] = set()

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._position]

    @property
    def loc(self) -> Loc:
        """Where the next token stands."""
        return self.token.loc

    def peek(self, ahead: int = 1) -> Token:
        """The token `ahead` after the next one (END at the end)."""
        return self._tokens[min(self._position + ahead, len(self._tokens) - 1)]

    def next(self) -> Token:
        """Takes the next token."""
        token = self.token
        if token.kind is not Kind.END:
            self._position += 1
        return token

    def at(self, *texts: str) -> bool:
        """Whether the next token is one of these keywords or punctuation marks."""
        token = self.token
        return token.text in texts and token.kind in (Kind.KEYWORD, Kind.PUNCT)

    def at_name(self) -> bool:
        """Whether the next token can be a name."""
        token = self.token
        return token.kind is Kind.NAME or (token.kind is Kind.KEYWORD and token.text in CONTEXTUAL)

    def accept(self, *texts: str) -> Token | None:
        """Takes the next token if it is one of these."""
        return self.next() if self.at(*texts) else None

    def expect(self, text: str, where: str = "") -> Token:
        """Takes exactly this token. Failure otherwise."""
        if self.at(text):
            return self.next()
        raise self.unexpected(f"`{text}`{' ' + where if where else ''}")

    def name(self, what: str = "a name") -> Token:
        """Takes a name. Failure otherwise."""
        if self.at_name():
            return self.next()
        raise self.unexpected(what)

    def unexpected(self, wanted: str) -> Failure:
        """The failure that something else than `wanted` came."""
        return Failure(self.loc, f"expected {wanted}, found {self.token}")

    def close_angle(self) -> None:
        """Takes the `>` that ends type arguments or parameters."""
        self.expect(">")

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Guards one level of nesting. Failure when it is too deep."""
        if self._depth >= MAX_DEPTH:
            raise Failure(self.loc, f"nested deeper than {MAX_DEPTH} levels: not supported")
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def mark(self) -> int:
        """The position, for `reset`."""
        return self._position

    def reset(self, mark: int) -> None:
        """Goes back to a mark."""
        self._position = mark

    def skip_to(self, *texts: str) -> None:
        """After an error: skips to one of `texts` at this nesting of braces and parentheses, or the end."""
        depth = 0
        while self.token.kind is not Kind.END:
            if depth == 0 and self.at(*texts):
                return
            if self.at("{", "(", "["):
                depth += 1
            elif self.at("}", ")", "]"):
                if depth == 0:
                    return
                depth -= 1
            self.next()
