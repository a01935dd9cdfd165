# SPDX-License-Identifier: Apache-2.0
"""`python -m controller.bench`: absorbed spoofed SYNs a second, software switch and kernel in one run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from controller.bench import connections, kernel
from controller.bench.compiling import compile_seconds
from controller.bench.flood import FloodError, build_sender
from controller.bench.kernel import KernelError
from controller.bench.loss import measure_loss
from controller.bench.measure import Sample, Way, measure, summary
from controller.config_errors import ConfigError
from controller.lab.errors import LabError
from controller.lab.lab import Lab, need_root
from controller.lab.signals import end_in_order_on_signals, uninterrupted
from controller.lab.targets import BMV2, P4C, find_tool

SOFTSWITCH = "software switch"
_CONNECTIONS = 3000
KERNEL_TOPOLOGY = Path(__file__).with_name("kernel.yaml")

Opener = Callable[[], Any]
"""Makes a way ready for one measurement; a context manager."""


def bench(
    seconds: Annotated[int, typer.Option(min=1, max=20, help="Seconds of each measurement.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often each way is measured.")] = 3,
) -> None:
    """Measure how many spoofed SYNs a second the software switch absorbs (answers with a cookie).

    Beside it, in the same shape of network, from the same sender, in one run: plain kernel forwarding, nft's
    synproxy and, if installed, BMv2. Then downloads with random loss on both sides (needs nft), protected and
    not. Then short connections (needs ab and nginx), protected and not. The figures are medians over the
    rounds, also in build/bench/bench.json.
    """
    try:
        need_root("the bench")
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    console = Console(highlight=False)
    end_in_order_on_signals()
    try:
        cold, cached = compile_seconds()
        console.print(f"P4 source to loadable switch: {cold:.2f} s cold, {cached:.2f} s cached")
        samples = _measure_all(console, seconds, rounds)
        loss = measure_loss(rounds) if kernel.has_nft() else {}
        short = _short_connections(console, rounds)
    except (LabError, ConfigError, FloodError, KernelError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    figures = summary(samples)
    path = Path(os.environ.get("SYNCLINE_BUILD", "build")) / "bench" / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "compile_s": {"cold": round(cold, 3), "cached": round(cached, 3)},
        "seconds": seconds,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "ways": figures,
        "loss": loss,
        "connections": short,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    console.print(_table(figures))
    console.print(_ratios(figures), style="bold")
    for percent, rates in loss.items():
        own, plain = (rates[f"{name}_bytes_per_s"] / 1e6 for name in ("protected", "plain"))
        line = f"download with {percent} loss on each side: {own:.1f} MB/s, unprotected {plain:.1f} MB/s"
        console.print(f"{line}, ratio {rates['ratio']:.2f}", style="bold", soft_wrap=True)
    for text in connections.lines(short):
        console.print(text, style="bold", soft_wrap=True)
    console.print(f"figures in {path}", style="dim")


def _short_connections(console: Console, rounds: int) -> dict[str, dict[str, Any]]:
    if absent := connections.lacking():
        console.print(f"{', '.join(absent)} not installed: no short connections in this run", style="yellow")
        return {}
    return connections.measure_connections(
        _CONNECTIONS, rounds, lambda text: console.print(text, style="dim")
    )


def _measure_all(console: Console, seconds: int, rounds: int) -> dict[str, list[Sample]]:
    """Every way in turn, `rounds` times over, so that a busy spell of the machine falls on all of them."""
    build_sender()
    samples: dict[str, list[Sample]] = {}
    with _ways(console) as ways:
        for number in range(1, rounds + 1):
            for opener in ways:
                with opener() as way:
                    sample = measure(way, seconds, seed=number)
                samples.setdefault(way.name, []).append(sample)
                rate = f"{sample.absorbed_per_s:,.0f}/s of {sample.offered_per_s:,.0f}/s offered"
                console.print(f"  round {number} {way.name:18} {rate}", style="dim")
    return samples


@contextmanager
def _ways(console: Console) -> Iterator[list[Opener]]:
    """The labs of all ways, up together: only one at a time has anything to do."""
    labs: list[Lab] = []

    def up(*args: Any, **options: Any) -> Lab:
        labs.append(Lab.up(*args, **options))
        return labs[-1]

    try:
        ways = [_switch(up("single", name="bench-softswitch", target="softswitch"), SOFTSWITCH)]
        router = up(KERNEL_TOPOLOGY, controller=False)
        ways.append(lambda: nullcontext(kernel.forwarding(router)))
        if kernel.has_nft():
            ways.append(lambda: _synproxy(router))
        else:
            console.print("nft is not installed: no nft synproxy in this run", style="yellow")
        if _has_bmv2():
            ways.append(_switch(up("single", name="bench-bmv2", target="bmv2"), "BMv2"))
        else:
            console.print("BMv2 is not installed: not in this run", style="yellow")
        yield ways
    finally:
        with uninterrupted():
            for lab in labs:
                lab.down()


def _switch(lab: Lab, name: str) -> Opener:
    service = lab.plan.topology.services[0]
    netns = lab.netns("client")
    way = Way(name, lab, netns, str(service.address), service.port, netns)
    return lambda: nullcontext(way)


@contextmanager
def _synproxy(lab: Lab) -> Iterator[Way]:
    try:
        yield kernel.synproxy(lab)
    finally:
        kernel.no_rules(lab)


def _has_bmv2() -> bool:
    try:
        return bool(find_tool(BMV2) and find_tool(P4C))
    except LabError:
        return False


def _table(figures: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Spoofed SYNs absorbed (forwarding: SYNs passed on)", title_justify="left", box=None)
    table.add_column("")
    for heading in ("offered/s", "absorbed/s", "lowest", "highest"):
        table.add_column(heading, justify="right")
    for name, own in figures.items():
        keys = ("offered_per_s", "absorbed_per_s", "lowest_per_s", "highest_per_s")
        table.add_row(name, *(f"{own[key]:,}" for key in keys))
    return table


def _ratios(figures: dict[str, dict[str, Any]]) -> str:
    ratios = figures[SOFTSWITCH]["ratio_to"]
    return f"{SOFTSWITCH}: " + ", ".join(f"{ratio:.2f} times {other}" for other, ratio in ratios.items())


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(bench)
    app(prog_name="python -m controller.bench")
