# SPDX-License-Identifier: Apache-2.0
"""TCP options as bytes, in Linux's order and padding or in any other.

RFC 9293 section 3.1 (MSS, padding), RFC 7323 (window scale, timestamps), RFC 2018 (SACK).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

LONGEST = 40
"""Bytes of options that a TCP header has room for."""

_KINDS = {2: "mss", 3: "window_scale", 4: "sack_permitted", 5: "sack", 8: "timestamps"}
_FILLER = 0xAA


class MalformedError(ValueError):
    """The frame is TCP by its headers but does not parse or its checksums are wrong."""


@dataclass(frozen=True)
class Options:
    """TCP options that matter here; None or empty = absent. `sack` holds (left edge, right edge) pairs.

    `layout` says how they lie, in order: the names of the fields above, `nop`, `end` (what follows it is
    padding), and `KIND:LENGTH` for an option of any other kind. Empty: as Linux lays them out
    (net/ipv4/tcp_output.c). It is always filled in what was parsed, and does not count in comparisons.
    """

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    timestamps: tuple[int, int] | None = None
    sack: tuple[tuple[int, int], ...] = ()
    layout: tuple[str, ...] = field(default=(), compare=False)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of those that are there."""
        absent: tuple[object, ...] = (None, False, ())
        return tuple(
            name for name in _KINDS.values() if not any(getattr(self, name) is value for value in absent)
        )


def build(options: Options) -> bytes:
    """The option area, padded with zeros to whole words. ValueError: it is longer than a header can hold, or
    the layout names what is not given.
    """
    area = b"".join(_piece(word, options) for word in options.layout or linux_layout(options))
    area += bytes(-len(area) % 4)
    if len(area) > LONGEST:
        raise ValueError(f"{len(area)} bytes of options; a header has room for {LONGEST}")
    return area


def parse(area: bytes) -> Options:
    """What an option area holds; of an option that is there twice, the last. MalformedError: one does not
    fit. One of a known kind and of a wrong length counts as of another kind.
    """
    found = Options()
    layout: list[str] = []
    at = 0
    while at < len(area):
        kind = area[at]
        if kind == 0:
            layout.append("end")
            break
        if kind == 1:
            layout.append("nop")
            at += 1
            continue
        length = area[at + 1] if at + 1 < len(area) else 0
        if length < 2 or at + length > len(area):
            raise MalformedError(f"TCP option {kind} of length {length} does not fit")
        value = _value(kind, area[at + 2 : at + length])
        layout.append(f"{kind}:{length}" if value is None else _KINDS[kind])
        if value is not None:
            found = Options(**{**vars(found), _KINDS[kind]: value})
        at += length
    return Options(**{**vars(found), "layout": tuple(layout)})


def linux_layout(options: Options) -> tuple[str, ...]:
    """How Linux lays these options out: MSS, SACK-permitted, timestamps, window scale, SACK."""
    layout: list[str] = []
    if options.mss is not None:
        layout += ["mss"]
    if options.timestamps is not None:
        layout += ["sack_permitted", "timestamps"] if options.sack_permitted else ["nop", "nop", "timestamps"]
    elif options.sack_permitted:
        layout += ["nop", "nop", "sack_permitted"]
    if options.window_scale is not None:
        layout += ["nop", "window_scale"]
    if options.sack:
        layout += ["nop", "nop", "sack"]
    return tuple(layout)


def check_word(word: str) -> None:
    """ValueError when `word` is none that a layout may have."""
    if word in ("nop", "end", *_KINDS.values()):
        return
    kind, _, length = word.partition(":")
    if not (kind.isdigit() and length.isdigit() and 2 <= int(kind) <= 255 and 2 <= int(length) <= LONGEST):
        raise ValueError(
            f"{word!r} is none of nop, end, {', '.join(_KINDS.values())} and KIND:LENGTH, such as 253:6"
        )


def _piece(word: str, options: Options) -> bytes:
    match word:
        case "nop":
            return b"\x01"
        case "end":
            return b"\x00"
        case "mss" if options.mss is not None:
            return struct.pack("!BBH", 2, 4, options.mss)
        case "window_scale" if options.window_scale is not None:
            return struct.pack("!BBB", 3, 3, options.window_scale)
        case "sack_permitted" if options.sack_permitted:
            return b"\x04\x02"
        case "timestamps" if options.timestamps is not None:
            return struct.pack("!BBII", 8, 10, *options.timestamps)
        case "sack" if options.sack:
            blocks = b"".join(struct.pack("!II", *block) for block in options.sack)
            return struct.pack("!BB", 5, 2 + len(blocks)) + blocks
    kind, _, length = word.partition(":")
    if not length:
        raise ValueError(f"the layout names {word}, which is not given")
    return bytes((int(kind), int(length))) + bytes([_FILLER]) * (int(length) - 2)


def _value(kind: int, body: bytes) -> object:
    """The value of a known option of a right length, else None."""
    match kind, len(body):
        case 2, 2:
            return int.from_bytes(body)
        case 3, 1:
            return body[0]
        case 4, 0:
            return True
        case 5, length if length and length % 8 == 0:
            edges = struct.unpack(f"!{length // 4}I", body)
            return tuple(zip(edges[::2], edges[1::2], strict=True))
        case 8, 8:
            return struct.unpack("!II", body)
    return None
