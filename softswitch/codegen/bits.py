# SPDX-License-Identifier: Apache-2.0
"""Moving rows of fields between C values and bytes: neighbours that share bytes go in one load or store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from softswitch.codegen.layout import limbs, num_bytes, unsigned
from softswitch.codegen.names import number
from softswitch.codegen.writer import Writer


@dataclass(frozen=True)
class Bits:
    """A field of a row: its C value (to store) or l-value (to load); bool when `is_bool`."""

    text: str
    width: int
    is_bool: bool = False


def _groups(fields: Sequence[Bits]) -> Iterator[tuple[int, list[Bits]]]:
    """Runs of fields that begin and end at byte borders, with the bit they begin at."""
    start = position = 0
    group: list[Bits] = []
    for f in fields:
        group.append(f)
        position += f.width
        if position % 8 == 0:
            yield start, group
            start, group = position, []
    if group:
        yield start, group


def store(out: Writer, where: str, fields: Sequence[Bits]) -> None:
    """Stores fields from `where` (a C pointer) on, most significant bit first; a last partial byte ends in
    zeros."""
    padding = -sum(f.width for f in fields) % 8
    if padding:
        fields = [*fields, Bits("0", padding)]
    for bit, group in _groups(fields):
        total, at = sum(f.width for f in group), f"{where} + {bit // 8}" if bit else where
        if total <= 64:
            out.line(f"ss_store({at}, {total // 8}, {_joined(group)});")
        elif len(group) == 1 and total <= 128:
            out.line(f"ss_store128({at}, {total // 8}, {group[0].text});")
        else:
            _store_one_by_one(out, at, group)


def _joined(group: list[Bits]) -> str:
    parts, shift = [], sum(f.width for f in group)
    for f in group:
        shift -= f.width
        parts.append(
            f"(uint64_t){f.text} << {shift}" if shift else f"(uint64_t){f.text}" if len(group) > 1 else f.text
        )
    return " | ".join(parts)


def _store_one_by_one(out: Writer, at: str, group: list[Bits]) -> None:
    bit = 0
    for f in group:
        if f.width <= 64:
            out.line(f"ss_put_bits({at}, {bit}, {f.width}, {f.text});")
        elif f.width <= 128:
            out.line(f"ss_put_bits({at}, {bit}, {f.width - 64}, (uint64_t)({f.text} >> 64));")
            out.line(f"ss_put_bits({at}, {bit + f.width - 64}, 64, (uint64_t){f.text});")
        else:
            out.line(f"ss_wide_store({at}, {bit}, {f.width}, {f.text}.w);")
        bit += f.width


def load(out: Writer, where: str, fields: Sequence[Bits]) -> None:
    """Loads l-values from `where` (a C pointer) on; beyond the last field nothing is read but the rest of
    its byte."""
    for bit, group in _groups(fields):
        total, at = sum(f.width for f in group), f"{where} + {bit // 8}" if bit else where
        if len(group) == 1 and total <= 64 and total % 8 == 0 and not group[0].is_bool:
            out.line(f"{group[0].text} = ({unsigned(total)})ss_load({at}, {total // 8});")
        elif len(group) == 1 and 64 < total <= 128 and total % 8 == 0:
            out.line(f"{group[0].text} = ss_load128({at}, {total // 8});")
        elif total <= 64:
            _load_together(out, at, group, total)
        else:
            _load_one_by_one(out, at, group)


def _load_together(out: Writer, at: str, group: list[Bits], total: int) -> None:
    out.line("{")
    out.line(f"const uint64_t ss_bits = ss_load({at}, {num_bytes(total)});")
    shift = num_bytes(total) * 8
    for f in group:
        shift -= f.width
        shifted = f"ss_bits >> {shift}" if shift else "ss_bits"
        cast = "bool" if f.is_bool else unsigned(f.width)
        out.line(f"{f.text} = ({cast})({shifted} & {number((1 << f.width) - 1, 64)});")
    out.line("}")


def _load_one_by_one(out: Writer, at: str, group: list[Bits]) -> None:
    bit = 0
    for f in group:
        if f.width <= 64:
            out.line(f"{f.text} = ({unsigned(f.width)})ss_get_bits({at}, {bit}, {f.width});")
        elif f.width <= 128:
            high = f"(ss_u128)ss_get_bits({at}, {bit}, {f.width - 64}) << 64"
            out.line(f"{f.text} = {high} | ss_get_bits({at}, {bit + f.width - 64}, 64);")
        else:
            out.line(f"ss_wide_load({f.text}.w, {limbs(f.width)}, {at}, {bit}, {f.width});")
        bit += f.width
