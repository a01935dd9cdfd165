# SPDX-License-Identifier: Apache-2.0
"""The demo: brings up two-pop, shows four things on real traffic, takes it down."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from controller.bench.flood import FloodError, build_sender
from controller.config_errors import ConfigError
from controller.demo import flood, paths, takeover, transfers
from controller.demo.context import Demo
from controller.demo.report import Report
from controller.demo.web import missing_tools, web_server
from controller.lab.beginning import need_root
from controller.lab.errors import LabError
from controller.lab.lab import Lab

TOPOLOGY = "two-pop"
SYNS, ACKS = 500_000, 100_000


def demo(
    rate: Annotated[int, typer.Option(min=1000, help="Packets of the flood per second.")] = 50_000,
    syns: Annotated[int, typer.Option(min=1, max=5_000_000, help="Spoofed SYNs of the flood.")] = SYNS,
    acks: Annotated[int, typer.Option(min=0, max=1_000_000, help="Random ACKs of the flood.")] = ACKS,
) -> None:
    """Show Syncline on real traffic in the lab two-pop. The report is also written to
    build/demo/report.json.

    Exit code 1 when a line of the report fails; 130 or 143 when interrupted (everything is taken down then,
    too).
    """
    folder = Path(os.environ.get("SYNCLINE_BUILD", "build")) / "demo"
    try:
        need_root("the demo")
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    console = Console(highlight=False)
    report = Report(console)
    start = time.monotonic()
    try:
        _show(report, folder.absolute(), syns, acks, rate)
    except (LabError, ConfigError, FloodError, RuntimeError, OSError) as error:
        report.check("the demo runs to its end", False, error=str(error))
    except Exception as error:
        report.check("the demo runs to its end", False, error=repr(error))
        raise
    except SystemExit as end:
        report.check("the demo runs to its end", False, interrupted_by_signal=int(str(end.code)) - 128)
        raise
    finally:
        report.write(folder / "report.json")
    passed = sum(check.ok for check in report.checks)
    seconds = time.monotonic() - start
    console.print(
        f"\n{passed} of {len(report.checks)} checks passed in {seconds:.0f} s: {folder / 'report.json'}",
        style="bold green" if report.ok else "bold red",
    )
    raise typer.Exit(0 if report.ok else 1)


def _show(report: Report, folder: Path, syns: int, acks: int, rate: int) -> None:
    if missing := missing_tools():
        raise RuntimeError(f"not installed: {', '.join(missing)}")
    build_sender()
    shutil.rmtree(folder, ignore_errors=True)
    report.section("Setting up")
    lab = Lab.up(TOPOLOGY, pcap=True, progress=report.note)
    try:
        with web_server(lab, folder / "www") as server:
            run = Demo(lab, server, report, folder, syns, acks, rate)
            before = paths.port_counters(run)
            quiet = transfers.run(run)
            paths.run(run, before)
            flood.run(run, quiet)
            takeover.run(run)
    finally:
        lab.down()


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
app.command()(demo)
