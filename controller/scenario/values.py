# SPDX-License-Identifier: Apache-2.0
"""Values of scenario files: sizes, bounds on counts, and sequence numbers as expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB)?$")
_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_TERM = re.compile(r"\s*([+-])?\s*([A-Za-z_]\w*|0x[0-9a-fA-F]+|\d+)\s*")
_MODULUS = 1 << 32


def _size(value: Any) -> Any:
    if isinstance(value, str):
        match = _SIZE.match(value)
        if match is None:
            raise ValueError("a size is a number of bytes, or such as 64 KiB or 5 MiB")
        return int(match[1]) * _UNITS[match[2]]
    return value


Size = Annotated[int, BeforeValidator(_size), Field(ge=0, le=1 << 30)]
"""Bytes: 100, "64 KiB", "5 MiB"."""


def _expression(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value % _MODULUS)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a number mod 2^32 is wanted: 7, 0xffffffff, x, x+1, k-2")
    at = 0
    while at < len(value):
        match = _TERM.match(value, at)
        if match is None or (at > 0 and match[1] is None):
            raise ValueError("a sum of names and numbers is wanted: 7, 0xffffffff, x, x+1, k-2")
        at = match.end()
    return value


Expression = Annotated[
    str, BeforeValidator(_expression), Field(json_schema_extra={"type": ["string", "integer"]})
]
"""A sum of names and numbers, mod 2^32: `x+1`."""


def evaluate(expression: str, names: Mapping[str, int]) -> int:
    """The value of an Expression mod 2^32; KeyError names what no step has set."""
    total = 0
    for sign, term in _TERM.findall(expression):
        value = int(term, 0) if term[0].isdigit() else names[term]
        total += -value if sign == "-" else value
    return total % _MODULUS


def names_in(expression: str) -> list[str]:
    """The names that an Expression refers to."""
    return [term for _, term in _TERM.findall(expression) if not term[0].isdigit()]


class Bound(BaseModel):
    """How many there may be: a plain number (exactly that many), or `at_least` and/or `at_most`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    at_least: int | None = None
    at_most: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _exactly(cls, value: Any) -> Any:
        return {"at_least": value, "at_most": value} if isinstance(value, int) else value

    @model_validator(mode="after")
    def _not_empty(self) -> Bound:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a number, or at_least and/or at_most, is wanted")
        return self

    def admits(self, value: float) -> bool:
        """Whether `value` lies within."""
        return not (
            (self.at_least is not None and value < self.at_least)
            or (self.at_most is not None and value > self.at_most)
        )

    def __str__(self) -> str:
        if self.at_least == self.at_most:
            return f"exactly {self.at_least}"
        parts = [
            f"{word} {limit}"
            for word, limit in (("at least", self.at_least), ("at most", self.at_most))
            if limit is not None
        ]
        return " and ".join(parts)
