# SPDX-License-Identifier: Apache-2.0
"""Inline C functions over numbers of more than 128 bits, emitted on demand; they wrap those of
runtime/wide.h."""

from __future__ import annotations

from softswitch.codegen.layout import WIDE, Layout, limbs
from softswitch.codegen.writer import Writer
from softswitch.p4.types import BitType


class WideFunctions:
    """Names of functions by what they do; each is written to `out` when first asked for."""

    def __init__(self, out: Writer, layout: Layout) -> None:
        self._out = out
        self._layout = layout
        self._made: set[str] = set()

    def _type(self, width: int) -> str:
        return self._layout.ctype(BitType(width))

    def _make(self, name: str, result: str, params: str, body: list[str]) -> str:
        if name not in self._made:
            self._made.add(name)
            self._out.line(f"static inline {result} {name}({params}) {{")
            for line in body:
                self._out.line(line)
            self._out.line("}")
        return name

    def binary(self, operation: str, width: int) -> str:
        """add, sub, mul, and, or, xor of two numbers of `width` bits, mod 2^width."""
        n, t = limbs(width), self._type(width)
        body = [
            f"{t} r;",
            f"ss_wide_{operation}(r.w, a.w, b.w, {n});",
            f"ss_wide_trim(r.w, {n}, {width});",
            "return r;",
        ]
        return self._make(f"ss_{operation}{width}", t, f"{t} a, {t} b", body)

    def complement(self, width: int) -> str:
        """`~a`."""
        n, t = limbs(width), self._type(width)
        body = [f"{t} r;", f"ss_wide_not(r.w, a.w, {n});", f"ss_wide_trim(r.w, {n}, {width});", "return r;"]
        return self._make(f"ss_not{width}", t, f"{t} a", body)

    def shift(self, direction: str, width: int) -> str:
        """shl, shr, sar by an amount of up to 64 bits."""
        n, t = limbs(width), self._type(width)
        extra = f"{n}, {width}" if direction == "sar" else f"{n}"
        body = [
            f"{t} r;",
            f"ss_wide_{direction}(r.w, a.w, {extra}, by);",
            f"ss_wide_trim(r.w, {n}, {width});",
            "return r;",
        ]
        return self._make(f"ss_{direction}{width}", t, f"{t} a, uint64_t by", body)

    def saturating(self, operation: str, width: int) -> str:
        """add or sub of unsigned numbers that stops at 2^width - 1 or 0."""
        n, t = limbs(width), self._type(width)
        plain = self.binary(operation, width)
        test = (
            "ss_wide_compare(r.w, a.w, {n}) < 0"
            if operation == "add"
            else "ss_wide_compare(a.w, b.w, {n}) < 0"
        )
        end = (
            f"return {self.complement(width)}(({t}){{{{0}}}});"
            if operation == "add"
            else f"return ({t}){{{{0}}}};"
        )
        body = [f"{t} r = {plain}(a, b);", f"if ({test.format(n=n)}) {end}", "return r;"]
        return self._make(f"ss_sat_{operation}{width}", t, f"{t} a, {t} b", body)

    def compare(self, width: int, signed: bool) -> str:
        """-1, 0 or 1."""
        n, t = limbs(width), self._type(width)
        body = [f"return ss_wide_compare(a.w, b.w, {n});"]
        if signed:
            top = f"ss_wide_bit({{}}.w, {width - 1})"
            body.insert(0, f"if ({top.format('a')} != {top.format('b')}) return {top.format('a')} ? -1 : 1;")
        return self._make(f"ss_compare{width}{'s' if signed else ''}", "int", f"{t} a, {t} b", body)

    def resize(self, width: int, to: int, signed: bool) -> str:
        """From `width` to `to` bits; one of them is more than 128. Widening extends the sign if `signed`."""
        t, result = self._type(width), self._type(to)
        name = f"ss_w{width}{'s' if signed else ''}_to{to}"
        if to <= WIDE:
            mask = f"ss_mask128({to})"
            return self._make(
                name, result, f"{t} a", [f"return ({result})(ss_wide_get128(a.w, {limbs(width)}) & {mask});"]
            )
        if width <= WIDE:
            body = [f"{result} r;", f"ss_wide_set128(r.w, {limbs(to)}, a);"]
            if signed:
                body[1] = f"ss_wide_set128(r.w, {limbs(to)}, (ss_u128)ss_sign128(a, {width}));"
                body.append(f"const uint64_t fill = ss_sign128(a, {width}) < 0 ? UINT64_MAX : 0;")
                body.append(f"for (unsigned i = 2; i < {limbs(to)}; i++) r.w[i] = fill;")
            body += [f"ss_wide_trim(r.w, {limbs(to)}, {to});", "return r;"]
            return self._make(name, result, f"{t} a", body)
        body = [f"{result} r;", f"ss_wide_resize(r.w, {limbs(to)}, a.w, {limbs(width)}, 0);"]
        if signed and to > width:
            body.append(f"for (unsigned i = {width}; ss_wide_bit(a.w, {width - 1}) && i < {to}; i++) {{")
            body.append("r.w[i / 64] |= UINT64_C(1) << (i % 64);")
            body.append("}")
        body += [f"ss_wide_trim(r.w, {limbs(to)}, {to});", "return r;"]
        return self._make(name, result, f"{t} a", body)

    def slice(self, width: int, high: int, low: int) -> str:
        """Bits high … low of a number of `width` bits."""
        take, t = high - low + 1, self._type(width)
        result, n = self._type(take), limbs(width)
        name = f"ss_slice{width}_{high}_{low}"
        if take <= 64:
            return self._make(
                name, result, f"{t} a", [f"return ({result})ss_wide_slice(a.w, {n}, {low}, {take});"]
            )
        return self._make(
            name,
            result,
            f"{t} a",
            [f"{t} r;", f"ss_wide_shr(r.w, a.w, {n}, {low});", f"return {self._narrow(width, take)};"],
        )

    def _narrow(self, width: int, to: int) -> str:
        return f"{self.resize(width, to, False)}(r)" if to != width else "r"

    def constant(self, value: int, width: int) -> str:
        """A literal."""
        parts = [f"UINT64_C({value >> 64 * i & (1 << 64) - 1:#x})" for i in range(limbs(width))]
        return f"(({self._type(width)}){{{{{', '.join(parts)}}}}})"
