# SPDX-License-Identifier: Apache-2.0
"""C identifiers for P4 names, and C literals."""

from __future__ import annotations

import re

from softswitch.codegen.errors import Unsupported
from softswitch.p4.ir_expr import NOWHERE

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
    while _Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local
    asm typeof bool true false NULL offsetof alignas alignof linux unix
"""
_RESERVED = frozenset(_WORDS.split())
"""Keywords and macros of the headers that generated code includes."""

_OURS = frozenset(["x", "f", "p", "row", "key", "memset", "memcpy", "memcmp", "memmove"])
"""Names that generated code uses itself, beside those with a prefix."""

_LIBRARY_PREFIX = re.compile(
    r"(ss_|SS_|atomic_|ATOMIC_|__|u?int[0-9]|U?INT|memory_order|ptrdiff|size_t|wchar)"
)
_OUR_PREFIX = re.compile(r"(action|control|parser|table|function|extract|emit|equal|state|error)_")


def c_name(name: str) -> str:
    """The C identifier for a field or type: the P4 name, with `_` behind it where C has taken the name."""
    if not _IDENTIFIER.match(name):
        raise Unsupported(NOWHERE, f"name {name!r} is not a C identifier")
    return name + "_" if name.rstrip("_") in _RESERVED or _LIBRARY_PREFIX.match(name) else name


def c_variable(name: str) -> str:
    """The C identifier for a variable or parameter; it also keeps clear of the generated functions."""
    if name.rstrip("_") in _OURS or _OUR_PREFIX.match(name):
        return c_name(name) + "_"
    return c_name(name)


def c_string(text: str) -> str:
    """A C string literal: plain ASCII is kept, everything else escaped (question marks too: trigraphs)."""
    out = []
    for byte in text.encode():
        char = chr(byte)
        plain = 32 <= byte < 127 and char not in '\\"?'
        out.append(char if plain else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def c_comment(text: str) -> str:
    """A comment to the end of the line. The text may come from the program, line breaks and all (`@name`):
    what could end or continue the comment is left out."""
    return "// " + "".join(c if " " <= c <= "~" and c not in "\\?" else "_" for c in text)


def number(value: int, width: int) -> str:
    """An unsigned literal of `width` (at most 128) bits; `value` may be negative: taken mod 2^width."""
    value &= (1 << width) - 1
    if width <= 32:
        return f"{value:#x}u" if value > 9 else f"{value}u"
    if width <= 64:
        return f"UINT64_C({value:#x})"
    high, low = value >> 64, value & (1 << 64) - 1
    return f"((ss_u128)UINT64_C({high:#x}) << 64 | UINT64_C({low:#x}))"


def byte_array(data: bytes) -> str:
    """The elements of an initialiser for an array of bytes (one zero if there is none)."""
    return "{" + ", ".join(f"{b:#04x}" for b in data or b"\0") + "}"
