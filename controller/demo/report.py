# SPDX-License-Identifier: Apache-2.0
"""The demo's report: checks with their figures, on the terminal as they come and as JSON at the end."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console


@dataclass(frozen=True)
class Check:
    """One line of the report. `figures` are plain JSON values whose keys name their unit where they have
    one.
    """

    name: str
    ok: bool
    figures: Mapping[str, Any]


class Report:
    """Collects checks; prints each at once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.checks: list[Check] = []

    @property
    def ok(self) -> bool:
        """Whether there are checks and all of them passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def section(self, title: str) -> None:
        """Begins a part of the report."""
        self._console.print(f"\n{title}", style="bold", highlight=False)

    def note(self, text: str) -> None:
        """Says what goes on now."""
        self._console.print(f"    {text}", style="dim", highlight=False, markup=False)

    def check(self, name: str, ok: bool, **figures: Any) -> None:
        """Adds a line: what should hold, whether it does, and the figures that it was judged by."""
        self.checks.append(Check(name, ok, figures))
        mark, style = ("✓", "green") if ok else ("✗", "bold red")
        for line in textwrap.wrap(
            name, self._console.width - 4, initial_indent=f"{mark} ", subsequent_indent="  "
        ):
            self._console.print(f"  {line}", style=style, highlight=False, markup=False)
        text = ", ".join(f"{key.replace('_', ' ')} {_shown(value)}" for key, value in figures.items())
        for line in textwrap.wrap(text, max(40, self._console.width - 6)):
            self._console.print(f"    {line}", highlight=False, markup=False)

    def to_json(self) -> dict[str, Any]:
        """The report as report.json holds it."""
        checks = [{"name": c.name, "ok": c.ok, "figures": dict(c.figures)} for c in self.checks]
        return {"ok": self.ok, "checks": checks}

    def write(self, path: Path) -> None:
        """Writes the JSON form, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
