# SPDX-License-Identifier: Apache-2.0
"""`python -m controller.bench`: what switch and controller do in a second, beside the kernel's own ways."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from controller.bench import absorb, bulk, connections, kernel, modes, pipeline, scale, tables
from controller.bench.compiling import compile_seconds
from controller.bench.flood import FloodError
from controller.bench.kernel import KernelError
from controller.bench.loss import measure_loss
from controller.bench.plots import can_draw, draw
from controller.config_errors import ConfigError
from controller.lab.beginning import need_root
from controller.lab.errors import LabError
from controller.lab.signals import end_in_order_on_signals

_CONNECTIONS = 3000
_TURN = 10  # connections of each kind in a turn of a sync mode


@dataclass(frozen=True)
class Run:
    """What the command line asks for, and where progress goes."""

    console: Console
    seconds: int
    rounds: int
    sessions: list[int]

    def say(self, text: str) -> None:
        """A line for people."""
        self.console.print(text, style="bold", soft_wrap=True)

    def note(self, text: str) -> None:
        """A line on the way."""
        self.console.print(text, style="dim", soft_wrap=True)

    def lacks(self, what: str) -> dict[str, Any]:
        """Why a part has no figures."""
        self.console.print(f"{what} not installed: not in this run", style="yellow")
        return {}


def _compile(run: Run) -> dict[str, Any]:
    cold, cached = compile_seconds()
    run.say(f"P4 source to loadable switch: {cold:.2f} s cold, {cached:.2f} s cached")
    return {"cold_s": round(cold, 3), "cached_s": round(cached, 3)}


def _pipeline(run: Run) -> dict[str, Any]:
    figures = pipeline.measure_pipeline(run.rounds)
    for line in pipeline.lines(figures):
        run.say(line)
    return figures


def _absorb(run: Run) -> dict[str, Any]:
    figures = absorb.measure_absorbed(run.console, run.seconds, run.rounds)
    run.console.print(absorb.table(figures))
    run.say(absorb.ratios(figures))
    return figures


def _bulk(run: Run) -> dict[str, Any]:
    if not bulk.has_iperf3():
        return run.lacks("iperf3")
    figures = bulk.measure_bulk(run.seconds, run.rounds)
    for line in bulk.lines(figures):
        run.say(line)
    return figures


def _tables(run: Run) -> dict[str, Any]:
    figures = tables.measure_tables(max(run.sessions, default=1_000_000))
    for line in tables.lines(figures):
        run.say(line)
    return figures


def _loss(run: Run) -> dict[str, Any]:
    if not kernel.has_nft():
        return run.lacks("nft")
    figures = measure_loss(run.rounds)
    for percent, rates in figures.items():
        own, plain = (rates[f"{name}_bytes_per_s"] / 1e6 for name in ("protected", "plain"))
        line = f"download with {percent} loss on each side: {own:.1f} MB/s, unprotected {plain:.1f} MB/s"
        run.say(f"{line}, ratio {rates['ratio']:.2f}")
    return figures


def _connections(run: Run) -> dict[str, Any]:
    if absent := connections.lacking():
        return run.lacks(", ".join(absent))
    figures = connections.measure_connections(
        _CONNECTIONS, run.rounds, lambda text: run.console.print(text, style="dim")
    )
    for text in connections.lines(figures):
        run.say(text)
    return figures


def _scale(run: Run) -> dict[str, Any]:
    figures = scale.measure_sizes(run.sessions or scale.SIZES, run.note)
    run.console.print(scale.table("How it grows with the sessions", figures))
    by_handshake = figures["bytes_per_session_by_handshake"]
    run.say(f"controller: {by_handshake} bytes for a session that came by a handshake, in the state machines")
    return figures


def _pops(run: Run) -> dict[str, Any]:
    figures = scale.measure_pops(run.note)
    run.console.print(scale.table("How it grows with the PoPs", figures))
    return figures


def _modes(run: Run) -> dict[str, Any]:
    figures = modes.measure_modes(_TURN, run.rounds)
    for line in modes.lines(figures):
        run.say(line)
    return figures


PARTS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "compile": _compile,
    "pipeline": _pipeline,
    "absorb": _absorb,
    "bulk": _bulk,
    "tables": _tables,
    "loss": _loss,
    "connections": _connections,
    "scale": _scale,
    "pops": _pops,
    "modes": _modes,
}


def bench(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Measure only this: {', '.join(PARTS)}. Repeatable.")
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, max=20, help="Seconds of each measurement.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often each way is measured.")] = 3,
    sessions: Annotated[
        list[int] | None,
        typer.Option(
            min=1000, max=1_000_000, help="Sessions in the switches. Repeatable: the sizes of scale."
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Draw the figures of scale and pops into this folder, as SVG.")
    ] = None,
) -> None:
    """Measure what the software switch and the controller can do, beside the kernel's own ways.

    The parts: P4 source to loadable switch; the pipeline alone, from memory; spoofed SYNs absorbed (answered
    with a cookie); bulk traffic of established connections; table writes and reads; downloads under random
    loss; short connections; three switches with ever more sessions; ever more switches. Ways that are
    compared take turns, in the same shape of network. The figures are medians over the rounds, also in
    build/bench/bench.json; docs/performance.md has the method.
    """
    for name in only or ():
        if name not in PARTS:
            raise typer.BadParameter(f"{name}: one of {', '.join(PARTS)}", param_hint="--only")
    if plots is not None and not can_draw():
        raise typer.BadParameter(
            "matplotlib is not installed: pip install 'syncline[plots]'", param_hint="--plots"
        )
    console = Console(highlight=False)
    end_in_order_on_signals()
    run = Run(console, seconds, rounds, sessions or [])
    document: dict[str, Any] = {"seconds": seconds, "rounds": rounds, "cores": os.cpu_count()}
    try:
        need_root("the bench")
        for name, part in PARTS.items():
            if not only or name in only:
                document[name] = part(run)
    except (LabError, ConfigError, FloodError, KernelError, OSError, subprocess.SubprocessError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    path = Path(os.environ.get("SYNCLINE_BUILD", "build")) / "bench" / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print(f"figures in {path}", style="dim")
    if plots is not None:
        for drawn in draw(document, plots):
            console.print(f"drawn: {drawn}", style="dim")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(bench)
    app(prog_name="python -m controller.bench")
