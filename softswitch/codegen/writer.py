# SPDX-License-Identifier: Apache-2.0
"""Collects lines of C, indented by their braces, with `#line` towards the P4 source."""

from __future__ import annotations

from softswitch.codegen.names import c_string
from softswitch.p4.ir_expr import Loc


class Writer:
    """Lines of C; `at` sets the P4 place of what follows, None for code without one."""

    def __init__(self) -> None:
        self._lines: list[tuple[Loc | None, str]] = []
        self._depth = 0
        self._loc: Loc | None = None

    def fork(self) -> Writer:
        """An empty writer at the same P4 place."""
        other = Writer()
        other._loc = self._loc
        return other

    def __len__(self) -> int:
        return len(self._lines)

    def at(self, loc: Loc | None) -> None:
        """What follows comes from `loc`."""
        self._loc = loc if loc is not None and loc.line > 0 else None

    def line(self, text: str = "") -> None:
        """One line. `}` at its beginning closes a level, `{` at its end opens one."""
        if "\n" in text or "\r" in text:  # from a string of the program, it would be C of the program's own
            raise ValueError("a line of C with a line break in it")
        if text.startswith("}"):
            self._depth -= 1
        depth = self._depth - 1 if text.endswith(":;") else self._depth
        indent = "  " * max(depth, 0)
        self._lines.append((self._loc, indent + text if text else ""))
        if text.endswith("{"):
            self._depth += 1

    def lines(self, text: str) -> None:
        """Several lines, kept as they are."""
        self._lines += [(None, each) for each in text.strip("\n").split("\n")]

    def extend(self, other: Writer) -> None:
        """Appends what another writer has collected, at this one's depth."""
        indent = "  " * self._depth
        self._lines += [(loc, indent + text if text else "") for loc, text in other._lines]

    def text(self, file_name: str) -> str:
        """The file; `file_name` is what `#line` calls the code without a P4 place."""
        out: list[str] = []
        where: tuple[str, int] | None = None  # of the next line, as the compiler sees it; None = our own file
        for loc, text in self._lines:
            if loc is None:
                if where is not None:
                    out.append(f"#line {len(out) + 2} {c_string(file_name)}")
                    where = None
            else:
                if where != (loc.file, loc.line):
                    out.append(f"#line {loc.line} {c_string(loc.file)}")
                where = (loc.file, loc.line + 1)
            out.append(text)
        return "\n".join(out) + "\n"
