# SPDX-License-Identifier: Apache-2.0
"""Spoofed SYNs absorbed a second: the software switch beside plain forwarding, nft's synproxy and BMv2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from controller.bench import kernel
from controller.bench.flood import build_sender
from controller.bench.measure import Sample, Way, measure, summary
from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.lab.signals import uninterrupted
from controller.lab.targets import BMV2, P4C, find_tool

SOFTSWITCH = "software switch"
KERNEL_TOPOLOGY = Path(__file__).with_name("kernel.yaml")

Opener = Callable[[], Any]
"""Makes a way ready for one measurement; a context manager."""


def measure_absorbed(console: Console, seconds: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Per way, medians over the rounds. The ways take turns: a busy spell of the machine falls on all."""
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
    return summary(samples)


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


def table(figures: dict[str, dict[str, Any]]) -> Table:
    """The figures for people."""
    shown = Table(title="Spoofed SYNs absorbed (forwarding: SYNs passed on)", title_justify="left", box=None)
    shown.add_column("")
    for heading in ("offered/s", "absorbed/s", "lowest", "highest"):
        shown.add_column(heading, justify="right")
    for name, own in figures.items():
        keys = ("offered_per_s", "absorbed_per_s", "lowest_per_s", "highest_per_s")
        shown.add_row(name, *(f"{own[key]:,}" for key in keys))
    return shown


def ratios(figures: dict[str, dict[str, Any]]) -> str:
    """Our own rate by that of the others."""
    found = figures[SOFTSWITCH]["ratio_to"]
    return f"{SOFTSWITCH}: " + ", ".join(f"{ratio:.2f} times {other}" for other, ratio in found.items())
