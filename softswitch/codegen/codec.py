# SPDX-License-Identifier: Apache-2.0
"""C functions that read a header from the packet and write it to the output, emitted on demand, one pair
per type."""

from __future__ import annotations

from softswitch.codegen import bits
from softswitch.codegen.bits import Bits
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.layout import Layout, flat_fields, is_scalar, scalar_width
from softswitch.codegen.names import c_name
from softswitch.codegen.writer import Writer
from softswitch.p4.ir_expr import Loc
from softswitch.p4.types import BoolType, HeaderType, StructType, VarbitType


def field_bits(t: HeaderType | StructType, base: str, loc: Loc) -> tuple[list[Bits], str | None, list[Bits]]:
    """The fields before the varbit, its l-value (None if there is none), and those behind it."""
    before: list[Bits] = []
    after: list[Bits] = []
    varbit = None
    for path, field_type in flat_fields(t):
        text = f"{base}{path}"
        if isinstance(field_type, VarbitType):
            if varbit is not None:
                raise Unsupported(loc, f"{t.name} has more than one varbit field")
            varbit = text
        elif is_scalar(field_type):
            row = before if varbit is None else after
            row.append(Bits(text, scalar_width(field_type), isinstance(field_type, BoolType)))
        else:
            raise Unsupported(loc, f"{t.name}.{path}: a field of type {field_type} cannot be in a packet")
    return before, varbit, after


def fixed_bits(t: HeaderType | StructType, loc: Loc) -> int:
    """Bits of all fields but the varbit. Unsupported if they, or those before the varbit, fill no whole
    bytes."""
    before, varbit, after = field_bits(t, "", loc)
    head, tail = sum(f.width for f in before), sum(f.width for f in after)
    if (head + tail) % 8 or (varbit is not None and head % 8):
        raise Unsupported(
            loc, f"header {t.name} has {head + tail} bits: only whole bytes can be parsed and emitted"
        )
    return head + tail


def varbit_limit(t: HeaderType) -> int | None:
    """Most bits of the varbit field, None if there is none."""
    return next((f.width for _, f in flat_fields(t) if isinstance(f, VarbitType)), None)


def most_bytes(t: HeaderType, loc: Loc) -> int:
    """Size of the longest such header."""
    return (fixed_bits(t, loc) + (varbit_limit(t) or 0) + 7) // 8


class Codec:
    """Names of the functions `extract_T(header, bytes, varbit bits)` and `emit_T(x, header)`."""

    def __init__(self, out: Writer, layout: Layout) -> None:
        self._out = out
        self._layout = layout
        self._made: set[str] = set()

    def extract(self, t: HeaderType, loc: Loc) -> str:
        """Function that fills a header from bytes that are known to be there, and makes it valid."""
        ctype, name = self._layout.ctype(t, loc), f"extract_{c_name(t.name)}"
        if name in self._made:
            return name
        self._made.add(name)
        before, varbit, after = field_bits(t, "h->", loc)
        fixed_bits(t, loc)
        out, size = self._out, sum(f.width for f in before) // 8
        extra = ", uint32_t ss_varbits" if varbit else ""
        out.line(f"static inline void {name}({ctype} *h, const uint8_t *p{extra}) {{")
        bits.load(out, "p", before)
        if varbit is not None:
            out.line(f"{varbit}.bits = ss_varbits;")
            out.line(f"memcpy({varbit}.data, p + {size}, ss_varbits / 8);")
            if after:
                out.line(f"p += {size} + ss_varbits / 8;")
            bits.load(out, "p", after)
        out.line("h->ss_valid = true;")
        out.line("}")
        return name

    def emit(self, t: HeaderType, loc: Loc) -> str:
        """Function that appends a header to the output if it is valid."""
        ctype, name = self._layout.ctype(t, loc), f"emit_{c_name(t.name)}"
        if name in self._made:
            return name
        self._made.add(name)
        before, varbit, after = field_bits(t, "h->", loc)
        size, out = fixed_bits(t, loc) // 8, self._out
        total = f"{size} + (h->{varbit.removeprefix('h->')}.bits + 7) / 8" if varbit else f"{size}"
        out.line(f"static inline void {name}(ss_exec *x, const {ctype} *h) {{")
        out.line(f"if (!h->ss_valid || x->out_cap - x->out_len < {total}) return;")
        out.line("uint8_t *p = x->out + x->out_len;")
        bits.store(out, "p", before)
        if varbit is not None:
            out.line(
                f"memcpy(p + {sum(f.width for f in before) // 8}, {varbit}.data, ({varbit}.bits + 7) / 8);"
            )
            if after:
                out.line(f"p += {sum(f.width for f in before) // 8} + ({varbit}.bits + 7) / 8;")
            bits.store(out, "p", after)
        out.line(f"x->out_len += {total};")
        out.line("}")
        return name
