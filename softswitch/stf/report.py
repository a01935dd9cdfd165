# SPDX-License-Identifier: Apache-2.0
"""What came of a run of STF tests, as a table and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from softswitch.stf.suite import Result, Verdict

_FILE_WIDTH = 160
_COLOURS = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.REFUSED: "yellow"}


class Report:
    """Results as they come in. `foreign`: tests left out because they are for another architecture."""

    def __init__(self, foreign: int = 0) -> None:
        self._foreign = foreign
        self._results: list[Result] = []

    def add(self, result: Result) -> None:
        """Take one result."""
        self._results.append(result)

    @property
    def passed(self) -> bool:
        """Whether every test has passed."""
        return all(r.verdict is Verdict.PASSED for r in self._results)

    def _sorted(self) -> list[Result]:
        return sorted(self._results, key=lambda r: (r.case.script, r.case.program))

    def count(self, verdict: Verdict) -> int:
        """How many tests ended so."""
        return sum(r.verdict is verdict for r in self._results)

    def show(self, *, verbose: bool) -> None:
        """Print a table of what did not pass (`verbose`: of all) and a line of sums."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = _FILE_WIDTH
        shown = [r for r in self._sorted() if verbose or r.verdict is not Verdict.PASSED]
        if shown:
            table = Table("test", "result", "seconds", "why", box=None, pad_edge=False)
            for r in shown:
                verdict = Text(r.verdict.value, style=_COLOURS[r.verdict])
                table.add_row(
                    Text(r.case.script.stem), verdict, f"{r.seconds:.1f}", Text("\n".join(r.details))
                )
            console.print(table)
        sums = ", ".join(f"{n} {v.value}" for v in Verdict if (n := self.count(v)))
        others = f"; {self._foreign} for other architectures left out" if self._foreign else ""
        console.print(f"{len(self._results)} tests: {sums}{others}", markup=False)

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "tests": len(self._results),
            **{v.value: self.count(v) for v in Verdict},
            "left_out": self._foreign,
            "results": [
                {
                    "program": str(r.case.program),
                    "script": str(r.case.script),
                    "verdict": r.verdict.value,
                    "details": list(r.details),
                    "seconds": round(r.seconds, 3),
                }
                for r in self._sorted()
            ],
        }
