# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of the front end: what is wrong, where, with the offending source line."""

from __future__ import annotations

from dataclasses import dataclass

from softswitch.p4.ir_expr import Loc

MAX_ERRORS = 20


@dataclass(frozen=True)
class Diagnostic:
    """One finding. `line`, `column` count from 1; `source_line` is that line's text ("" if unknown)."""

    file: str
    line: int
    column: int
    message: str
    source_line: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"
        if not self.source_line.strip():
            return text
        shown = self.source_line.rstrip()
        pad = "".join("\t" if c == "\t" else " " for c in shown[: self.column - 1])
        return f"{text}\n{shown}\n{pad}^"


class P4Error(Exception):
    """The program is wrong, or needs something that is not supported; `diagnostics` says what and where."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(map(str, self.diagnostics))


class Failure(Exception):  # noqa: N818 - control flow inside the front end, never seen outside
    """Raised where one construct cannot be understood; caught where the next one begins."""

    def __init__(self, loc: Loc, message: str) -> None:
        super().__init__(message)
        self.loc = loc
        self.message = message


class Diagnostics:
    """Collects findings of one compilation, each once; raises P4Error when there are too many errors."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, int, str], Diagnostic] = {}
        self.source_lines: dict[tuple[str, int], str] = {}
        """Text of each line by (file, line), filled by the lexer."""

    def _add(self, loc: Loc, message: str, severity: str) -> None:
        source_line = self.source_lines.get((loc.file, loc.line), "")
        finding = Diagnostic(loc.file, loc.line, loc.column, message, source_line, severity)
        self._found.setdefault((loc.file, loc.line, loc.column, message), finding)

    def error(self, loc: Loc, message: str) -> None:
        """Notes an error."""
        self._add(loc, message, "error")
        if len(self.errors) >= MAX_ERRORS:
            raise P4Error(self.errors)

    def warn(self, loc: Loc, message: str) -> None:
        """Notes a warning."""
        self._add(loc, message, "warning")

    def failed(self, failure: Failure) -> None:
        """Notes a failure as an error."""
        self.error(failure.loc, failure.message)

    @property
    def errors(self) -> list[Diagnostic]:
        """Errors so far, in order."""
        return [d for d in self._found.values() if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        """Warnings so far, in order."""
        return [d for d in self._found.values() if d.severity == "warning"]

    def raise_if_errors(self) -> None:
        """Raises P4Error when there was an error."""
        if self.errors:
            raise P4Error(self.errors)
