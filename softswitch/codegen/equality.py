# SPDX-License-Identifier: Apache-2.0
"""C functions that compare headers, structs, unions, stacks and varbits, emitted on demand."""

from __future__ import annotations

from softswitch.codegen.errors import Unsupported
from softswitch.codegen.layout import Layout, is_scalar, is_wide, limbs, scalar_width
from softswitch.codegen.names import c_name
from softswitch.codegen.writer import Writer
from softswitch.p4.ir_expr import Loc
from softswitch.p4.types import FieldsType, HeaderType, StackType, TupleType, Type, VarbitType


class Equality:
    """Headers are equal when both are invalid, or both are valid and all fields are equal (P4_16, section
    8.17)."""

    def __init__(self, out: Writer, layout: Layout) -> None:
        self._out = out
        self._layout = layout
        self._made: set[str] = set()

    def function(self, t: Type, loc: Loc) -> str:
        """Name of the function `bool f(T a, T b)`."""
        ctype = self._layout.ctype(t, loc)
        name = "equal_" + ctype.removeprefix("struct ")
        if name not in self._made:
            self._made.add(name)
            body = self._body(t, loc)
            self._out.line(f"static inline bool {name}({ctype} a, {ctype} b) {{")
            for line in body:
                self._out.line(line)
            self._out.line("}")
        return name

    def _body(self, t: Type, loc: Loc) -> list[str]:
        if isinstance(t, FieldsType):
            tests = [self._test(f.type, c_name(f.name), loc) for f in t.fields]
            result = f"return {' && '.join(tests) or 'true'};"
            if isinstance(t, HeaderType):
                return [
                    "if (a.ss_valid != b.ss_valid) return false;",
                    "if (!a.ss_valid) return true;",
                    result,
                ]
            return [result]
        if isinstance(t, TupleType):
            tests = [self._test(element, f"e{i}", loc) for i, element in enumerate(t.elements)]
            return [f"return {' && '.join(tests) or 'true'};"]
        if isinstance(t, StackType):
            test = self._test(t.element, "items[i]", loc)
            return [
                f"for (unsigned i = 0; i < {t.size}; i++) {{",
                f"if (!({test})) return false;",
                "}",
                "return true;",
            ]
        if isinstance(t, VarbitType):
            return ["return a.bits == b.bits && memcmp(a.data, b.data, (a.bits + 7) / 8) == 0;"]
        raise Unsupported(loc, f"values of type {t} cannot be compared")

    def _test(self, t: Type, path: str, loc: Loc) -> str:
        if is_wide(t):
            return f"ss_wide_compare(a.{path}.w, b.{path}.w, {limbs(scalar_width(t))}) == 0"
        if is_scalar(t):
            return f"a.{path} == b.{path}"
        return f"{self.function(t, loc)}(a.{path}, b.{path})"
