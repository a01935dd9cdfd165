# SPDX-License-Identifier: Apache-2.0
"""The text of an STF file as statements.

A statement a line, `#` begins a comment:

    add TABLE [PRIORITY] FIELD:VALUE … ACTION(PARAM:VALUE, …) [= NAME]
    setdefault TABLE ACTION(PARAM:VALUE, …)
    packet PORT HEX…
    expect PORT [HEX… [$]]                     `*` stands for any digit, `$`: and nothing after it
    no_packet                                  nothing may have come out but what was expected so far
    check_counter NAME(INDEX or ENTRY) [packets|bytes ==|!=|<=|<|>=|> NUMBER]
    wait, remove all
    mirroring_add SESSION PORT, mirroring_add_mc SESSION GROUP
    mirroring_delete SESSION, mirroring_get SESSION
    mc_mgrp_create GROUP, mc_node_create RID PORT…, mc_node_update NODE PORT…, mc_node_associate GROUP NODE
    counter_read NAME INDEX, counter_write NAME INDEX PACKETS BYTES
    register_read NAME INDEX, register_write NAME INDEX VALUE, register_reset NAME
    check_register NAME INDEX VALUE
    meter_get_rates NAME INDEX, meter_set_rates NAME INDEX RATE:BURST…, meter_array_set_rates NAME RATE:BURST…
    value_set_add NAME VALUE…                  one value or VALUE&&&MASK per field of the set's type

A VALUE is decimal, or hexadecimal, binary or octal with its prefix; in those `*` stands for a digit that does
not matter. VALUE/LENGTH is a prefix, VALUE&&&MASK a mask, LOW->HIGH a range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


class StfError(Exception):
    """The test cannot be run as it is written; the text is one line, without the place."""


@dataclass(frozen=True)
class Call:
    """`name(param:value, …)`."""

    name: str
    args: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Statement:
    """One line. `words` are the rest of a command that has no further structure."""

    line: int
    command: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Add(Statement):
    """`add`: one table entry; `name` is what `check_counter` may call it."""

    table: str = ""
    priority: int | None = None
    match: tuple[tuple[str, str], ...] = ()
    action: Call = Call("", ())
    name: str = ""


@dataclass(frozen=True)
class SetDefault(Statement):
    """`setdefault`: a table's default action."""

    table: str = ""
    action: Call = Call("", ())


@dataclass(frozen=True)
class Packet(Statement):
    """`packet`: a frame that arrives on a port."""

    port: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class Expect(Statement):
    """`expect`: a frame that leaves by a port. `pattern`: hex digits and `*`; `exact`: nothing follows."""

    port: int = 0
    pattern: str = ""
    exact: bool = False


@dataclass(frozen=True)
class CheckCounter(Statement):
    """`check_counter`: `unit` "packets" or "bytes", compared by `operator` with `value`."""

    name: str = ""
    index: str = ""
    unit: str = "packets"
    operator: str = ""
    value: int = 0


_NAME = r'(?:"[^"]+"|[A-Za-z_$][\w$]*(?:\[\d+\])?)(?:\.[A-Za-z_$][\w$]*(?:\[\d+\])?)*'
_VALUE = r"[0-9A-Fa-fxXoO*]+(?:/\d+|&&&\w+|->\w+)?"
_CALL = re.compile(rf"({_NAME})\s*\((.*?)\)\s*(?:=\s*([\w$]+))?")
_MATCH = re.compile(rf"({_NAME})\s*:\s*({_VALUE})(?=\s|$)")
_ARG = re.compile(rf"({_NAME})\s*:\s*({_VALUE})")
_CHECK = re.compile(
    rf"({_NAME})\s*\(\s*([\w$]+)\s*\)\s*(?:(packets|bytes)\s*(==|!=|<=|>=|<|>)\s*(\w+))?", re.I
)
_HEX = re.compile(r"[0-9A-Fa-f]*")
_PATTERN = re.compile(r"([0-9A-Fa-f*]*)(\$?)")
_ARITY: dict[str, tuple[int, int | None]] = {
    "no_packet": (0, 0),
    "wait": (0, 0),
    "remove": (1, 1),
    "mirroring_add": (2, 2),
    "mirroring_add_mc": (2, 2),
    "mirroring_delete": (1, 1),
    "mirroring_get": (1, 1),
    "mc_mgrp_create": (1, 1),
    "mc_node_create": (1, None),
    "mc_node_update": (1, None),
    "mc_node_associate": (2, 2),
    "counter_read": (2, 2),
    "counter_write": (4, 4),
    "register_read": (2, 2),
    "register_write": (3, 3),
    "register_reset": (1, 1),
    "check_register": (3, 3),
    "meter_get_rates": (2, 2),
    "meter_set_rates": (3, None),
    "meter_array_set_rates": (2, None),
    "value_set_add": (2, None),
}
"""Commands of plain words, with the least and the most of them."""


def number(text: str) -> int:
    """A number as STF writes it. StfError when it is none."""
    try:
        return int(text, 0) if text[:2].lower() in ("0x", "0b", "0o") else int(text)
    except ValueError:
        raise StfError(f"{text} is no number") from None


def parse_script(text: str, file: Path | str) -> list[Statement]:
    """All statements of a file's text. StfError names the file and line of what cannot be read."""
    found = []
    for index, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        try:
            found.append(_statement(index, line))
        except StfError as error:
            raise StfError(f"{file}:{index}: {error}") from None
    return found


def _statement(index: int, line: str) -> Statement:
    command, _, rest = line.partition(" ")
    command, rest = command.lower(), rest.replace("\t", " ").strip()
    if command == "add":
        return _add(index, rest)
    if command == "setdefault":
        table, _, call = rest.partition(" ")
        return SetDefault(index, command, table=table.strip('"'), action=_call(call)[0])
    if command == "packet":
        return _packet(index, rest)
    if command == "expect":
        return _expect(index, rest)
    if command == "check_counter":
        return _check_counter(index, rest)
    if command not in _ARITY:
        raise StfError(f"unknown command {command}")
    words = tuple(rest.split())
    least, most = _ARITY[command]
    if len(words) < least or (most is not None and len(words) > most):
        raise StfError(
            f"{command} takes {least if least == most else f'at least {least}'} words, not {len(words)}"
        )
    return Statement(index, command, words)


def _call(text: str) -> tuple[Call, str]:
    """An action call, and the name after `=`."""
    match = _CALL.fullmatch(text.strip())
    if match is None:
        raise StfError(f"expected ACTION(PARAM:VALUE, …), found {text.strip() or 'nothing'}")
    args = []
    for part in filter(None, (p.strip() for p in match[2].split(","))):
        arg = _ARG.fullmatch(part)
        if arg is None:
            raise StfError(f"expected PARAM:VALUE, found {part}")
        args.append((arg[1].strip('"'), arg[2]))
    return Call(match[1].strip('"'), tuple(args)), match[3] or ""


def _add(index: int, rest: str) -> Statement:
    table, _, rest = rest.partition(" ")
    rest = rest.strip()
    priority = None
    if match := re.match(r"(\d+)\s+", rest):
        priority, rest = int(match[1]), rest[match.end() :]
    fields = []
    while match := _MATCH.match(rest):
        fields.append((match[1].strip('"'), match[2]))
        rest = rest[match.end() :].strip()
    action, name = _call(rest)
    return Add(index, "add", (), table.strip('"'), priority, tuple(fields), action, name)


def _port(text: str) -> int:
    if not text.isdigit():
        raise StfError(f"expected a port number, found {text or 'nothing'}")
    return int(text)


def _packet(index: int, rest: str) -> Statement:
    port, _, data = rest.partition(" ")
    digits = "".join(data.split())
    if not _HEX.fullmatch(digits) or len(digits) % 2:
        raise StfError("a packet is an even number of hexadecimal digits")
    return Packet(index, "packet", (), _port(port), bytes.fromhex(digits))


def _expect(index: int, rest: str) -> Statement:
    port, _, data = rest.partition(" ")
    match = _PATTERN.fullmatch("".join(data.split()))
    if match is None:
        raise StfError("expected hexadecimal digits and `*`, perhaps `$` at the end")
    return Expect(index, "expect", (), _port(port), match[1].lower(), bool(match[2]))


def _check_counter(index: int, rest: str) -> Statement:
    match = _CHECK.fullmatch(rest)
    if match is None:
        raise StfError("expected NAME(INDEX) or NAME(INDEX) packets|bytes OPERATOR NUMBER")
    unit, operator = (match[3] or "packets").lower(), match[4] or "=="
    return CheckCounter(
        index, "check_counter", (), match[1].strip('"'), match[2], unit, operator, number(match[5] or "0")
    )
