# SPDX-License-Identifier: Apache-2.0
"""How figures grow with the sessions and with the PoPs, as plots.

    python -m controller.bench.plots FOLDER BENCH.JSON...

draws what several runs of the bench have left in their files. matplotlib is an optional dependency (`plots`).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

Rows = Sequence[dict[str, Any]]
Value = Callable[[dict[str, Any]], float | None]

_PARTS: Final = {
    "scale": ("sessions", "sessions, on three switches", True),
    "pops": ("switches", "PoPs", False),
}
"""By part of the bench: what grows, its name, and whether on a logarithmic scale."""

_GOALS: Final = {"memory": 1024, "resync": 60}


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """A file for each part that is in the bench's document."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for part, (axis, name, logarithmic) in _PARTS.items():
        if rows := document.get(part, {}).get("rows"):
            rows = sorted(rows, key=lambda row: float(row[axis]))
            path = folder / f"{part}.svg"
            _draw(rows, axis, name, logarithmic, path)
            drawn.append(path)
    return drawn


def _draw(rows: Rows, axis: str, name: str, logarithmic: bool, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": path.name, "font.size": 9})
    from matplotlib import pyplot

    figure, plots = pyplot.subplots(2, 2, figsize=(8.5, 6), layout="constrained")
    across = [row[axis] for row in rows]

    def curve(plot: Any, value: Value, label: str, style: str = "o-") -> None:
        points = [(x, y) for x, row in zip(across, rows, strict=True) if (y := value(row)) is not None]
        if points:
            plot.plot(*zip(*points, strict=True), style, label=label)

    memory, resync, share, rate = plots.flat
    memory.set_title("Controller: bytes a session")
    curve(memory, lambda row: row["bytes_per_session"], "in operation")
    curve(memory, lambda row: row["peak_bytes_per_session"], "peak of the take-over")
    memory.axhline(_GOALS["memory"], color="grey", linestyle=":", label="goal")
    resync.set_title("Verified resync of an empty switch: seconds")
    curve(resync, lambda row: row["resync"]["s"], "elapsed")
    curve(resync, lambda row: row["resync"]["switch_cpu_s"], "CPU of the switch", "s--")
    curve(resync, lambda row: row["resync"]["controller_cpu_s"], "CPU of the controller", "^--")
    resync.axhline(_GOALS["resync"], color="grey", linestyle=":", label="goal for a million")
    share.set_title("SYN/ACK to entry in the last switch: ms")
    for percentile, style in (("50", "o-"), ("99", "s--")):
        for way, label in (("paced", "60 a second"), ("set_up", "as fast as they go")):
            curve(share, _share(way, percentile), f"p{percentile}, {label}", style)
    rate.set_title("Connections a second, as fast as they go")
    curve(rate, lambda row: row["set_up"]["per_s"], "machine of the run")
    curve(
        rate,
        lambda row: 1e6 / row["set_up"]["cpu_us"]["controller"],
        "per CPU second of the controller",
        "s--",
    )
    for plot in plots.flat:
        plot.set_xlabel(name)
        if logarithmic:
            plot.set_xscale("log")
        plot.set_ylim(bottom=0)
        plot.set_xticks(across, [f"{x:,}" for x in across])
        plot.minorticks_off()
        plot.grid(alpha=0.3)
        plot.legend(fontsize=7)
    resync.set_ylim(bottom=0)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _share(way: str, percentile: str) -> Value:
    return lambda row: row[way]["share_ms"].get(percentile)


def merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows of several runs as those of one; of the same network the last one's."""
    result: dict[str, Any] = {}
    for part in _PARTS:
        rows = {
            (row["sessions"], row["switches"]): row
            for document in documents
            for row in document.get(part, {}).get("rows", ())
        }
        if rows:
            result[part] = {"rows": list(rows.values())}
    return result


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m controller.bench.plots FOLDER BENCH.JSON...")
    found = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[2:]]
    for drawn_file in draw(merged(found), Path(sys.argv[1])):
        print(drawn_file)
