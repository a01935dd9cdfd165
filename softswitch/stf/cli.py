# SPDX-License-Identifier: Apache-2.0
"""The command `stf`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def stf(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.p4 [FILE.stf]… | FOLDER",
            help="A program with its tests (none given: the STF file of the same name), or a folder of both.",
        ),
    ],
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", metavar="N", min=0, help="Tests at a time; 0: one per core.")
    ] = 0,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also list what passed, and what the tests read.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results there as JSON.")
    ] = None,
) -> None:
    """Run STF tests: packets in, packets expected, table entries between them. Needs neither root nor ports.

    The exit code is 0 when all pass, 1 when one does not, 2 when there is nothing to run.

    Example: softswitch stf tests/stf
    """
    from softswitch.stf.report import Report
    from softswitch.stf.script import StfError
    from softswitch.stf.suite import collect, run_all

    try:
        cases, foreign = collect(paths)
    except StfError as error:
        print(f"stf: error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if not cases:
        print("stf: error: no tests found", file=sys.stderr)
        raise typer.Exit(2)
    report = Report(len(foreign))
    for result in run_all(cases, jobs):
        report.add(result)
    report.show(verbose=verbose)
    if output is not None:
        output.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    raise typer.Exit(0 if report.passed else 1)
