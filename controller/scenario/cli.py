# SPDX-License-Identifier: Apache-2.0
"""`syncline scenario run FILE…` and `syncline scenario check FILE…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from controller.config_errors import ConfigError, read_yaml
from controller.lab.errors import LabError
from controller.lab.signals import end_in_order_on_signals
from controller.lab.targets import Target
from controller.scenario.model import Scenario, load_scenarios
from controller.scenario.runner import StepOutcome, run_scenario

scenario_app = typer.Typer(
    help="Scenarios: YAML files of topology, steps and expectations, run on real traffic.",
    no_args_is_help=True,
)

Files = Annotated[list[Path], typer.Argument(help="Scenario files, e.g. tests/scenarios/*.yaml")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the `syncline` command line."""
    app.add_typer(scenario_app, name="scenario")


@scenario_app.command("run")
def run(
    files: Files,
    target: Annotated[Target, typer.Option(help="Which switch to run on")] = "softswitch",
    soak: Annotated[
        bool, typer.Option("--soak", help="Only those with a long form, and these in it")
    ] = False,
    federated: Annotated[
        bool, typer.Option("--federated", help="All that can, with a controller for each PoP")
    ] = False,
) -> None:
    """Run scenarios, each in a lab of its own. Exit code 1 when an expectation is not met."""
    console = Console(highlight=False)
    end_in_order_on_signals()
    scenarios = _load(files, soak, federated, bmv2=target == "bmv2")
    if absent := sorted({program for scenario in scenarios for program in scenario.missing_programs()}):
        how = "as root, `scripts/programs .programs` gets them from Debian"
        typer.echo(f"not on this machine: {', '.join(absent)}; {how}", err=True)
        raise typer.Exit(1)
    failed = [scenario for scenario in scenarios if not _run_one(scenario, target, console)]
    if failed:
        console.print(f"{len(failed)} of {len(scenarios)} scenarios failed", style="red")
        raise typer.Exit(1)
    console.print(f"{len(scenarios)} scenarios, all as expected", style="green")


@scenario_app.command("check")
def check(files: Files) -> None:
    """Check scenario files without running anything."""
    for scenario in _load(files, soak=False, federated=False):
        typer.echo(
            f"{scenario.path}: {scenario.label}: {len(scenario.steps)} steps on {scenario.topology.name}"
        )


def _load(files: list[Path], soak: bool, federated: bool, *, bmv2: bool = False) -> list[Scenario]:
    scenarios: list[Scenario] = []
    try:
        for file in files:
            found = load_scenarios(file, soak=soak, federated=federated, bmv2=bmv2)
            if federated and not found and (reason := read_yaml(file).get("not_federated")):
                typer.echo(f"{file}: left out: {reason}")
            scenarios += found
        return scenarios
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _run_one(scenario: Scenario, target: Target, console: Console) -> bool:
    title = f"{scenario.name} ({scenario.label}, {scenario.topology.name}, {target})"
    console.print(title, style="bold", markup=False, soft_wrap=True)
    if target == "bmv2" and scenario.not_bmv2 is not None:
        console.print(f"  left out: {scenario.not_bmv2}", markup=False, soft_wrap=True)
        return True

    def report(outcome: StepOutcome) -> None:
        console.print(f"  {outcome}", style="" if outcome.ok else "red", markup=False, soft_wrap=True)

    try:
        outcomes = run_scenario(scenario, target, report)
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    return outcomes[-1].ok
