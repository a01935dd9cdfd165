# SPDX-License-Identifier: Apache-2.0
"""`syncline lab …`: bringing labs up and down, and running commands in them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.config_errors import ConfigError
from controller.lab import prompt
from controller.lab.beginning import need_root
from controller.lab.errors import LabError
from controller.lab.export import export
from controller.lab.lab import Lab
from controller.lab.plan import controller_config, controller_config_text, make_plan
from controller.lab.signals import end_in_order_on_signals, uninterrupted
from controller.lab.state import LabFiles, build_dir, known_labs
from controller.lab.supervisor import in_namespace, lab_environment, take_down
from controller.lab.targets import prepare
from controller.lab.topology import SCHEMA, load_topology, schema_text

COMMAND_NOT_FOUND = 127
SHELL_PYTHON = Path(__file__).resolve().parents[2] / ".venv-shell" / "bin" / "python"
"""p4runtime-shell needs an older protobuf than Syncline and lives in an environment of its own."""

app = typer.Typer(
    help="Labs: whole networks of hosts and P4 switches in network namespaces of this machine.",
    no_args_is_help=True,
)


def register(main: typer.Typer) -> None:
    """Adds the commands to the `syncline` command line."""
    main.add_typer(app, name="lab")


class TargetName(StrEnum):
    softswitch = "softswitch"
    bmv2 = "bmv2"


TopologyArgument = Annotated[
    str,
    typer.Argument(help="A YAML file, or the bare name of one in topologies/, such as two-pop."),
]
TargetOption = Annotated[TargetName, typer.Option(help="The switch program.")]
PcapOption = Annotated[bool, typer.Option("--pcap", help="Capture every switch port.")]
OffloadsOption = Annotated[
    bool | None,
    typer.Option(
        "--offloads/--no-offloads",
        help="Whether kernels may leave checksums and segmentation to the interfaces "
        "(default: with softswitch, unless captured).",
    ),
]
InOrderOption = Annotated[
    bool,
    typer.Option(
        "--in-order",
        help="Interfaces take packets in the order in which they were sent, as from a wire. "
        "For tests; floods do better without.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(help="The lab's name and prefix of its namespaces (default: the topology's name)."),
]
LabOption = Annotated[
    str | None, typer.Option("--lab", "-l", help="The lab's name (needed when more than one is up).")
]


@app.command()
def up(
    topology: TopologyArgument,
    target: TargetOption = TargetName.softswitch,
    pcap: PcapOption = False,
    offloads: OffloadsOption = None,
    in_order: InOrderOption = False,
    name: NameOption = None,
) -> None:
    """Bring a topology up; returns when traffic can flow.

    Hosts and switches become the network namespaces NAME-HOST and NAME-SWITCH. Logs and captures are in
    build/lab/NAME/logs and build/lab/NAME/pcap.
    """
    with _errors():
        lab = _bring_up(topology, name, target, pcap=pcap, offloads=offloads, in_order=in_order)
        host = next(iter(lab.plan.hosts))
        typer.echo(f"lab {lab.name} is up. Try: syncline lab exec {host} -- ip route")


@app.command()
def down(
    topology: Annotated[
        str | None, typer.Argument(help="The lab's name or its topology (default: every lab of this folder).")
    ] = None,
    name: NameOption = None,
) -> None:
    """Take labs down, also those that a crash has left. Safe to repeat; logs and captures stay."""
    with _errors():
        need_root("taking a lab down")
        if name is None and topology is None:
            removed = [line for files in known_labs() for line in _down(files, [])]
        else:
            removed = _down(*_lab_to_take_down(topology, name))
        for line in removed:
            typer.echo(f"removed {line}")
        if not removed:
            typer.echo("nothing to take down")


@app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def exec_(
    host: Annotated[str, typer.Argument(help="A host or switch of the lab.")],
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    lab: LabOption = None,
) -> None:
    """Run a command on a host of a lab: syncline lab exec client -- curl http://203.0.113.10/

    Input, output and exit code are the command's own.
    """
    command = command[1:] if command[0] == "--" else command
    with _errors():
        if not command:
            raise LabError(f"give the command to run: syncline lab exec {host} -- ip route")
        namespace = _the_lab(lab).netns(host)
        need_root("running a command in a lab")
        if shutil.which(command[0]) is None:
            typer.echo(f"{command[0]}: command not found", err=True)
            raise typer.Exit(COMMAND_NOT_FOUND)
        sys.stdout.flush()
        argv = in_namespace(namespace, command)
        os.execvpe(argv[0], argv, lab_environment())


@app.command()
def status(
    lab: Annotated[
        str | None, typer.Argument(help="The lab's name (needed when more than one is up).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a lab: its hosts, switches and services, and whether traffic can flow."""
    with _errors():
        document = _the_lab(lab).status()
        if as_json:
            typer.echo(json.dumps(document, indent=2))
        else:
            _print_status(document)


@app.command()
def shell(
    switch: Annotated[str, typer.Argument(help="A switch of the lab.")],
    lab: LabOption = None,
) -> None:
    """p4runtime-shell on a switch of a lab, beside the controller (make shell sets it up first).

    Its election id is lower than the controller's: it reads tables and counters, and writes nothing as long
    as the controller is connected.
    """
    with _errors():
        found = _the_lab(lab)
        if switch not in found.plan.switches:
            known = ", ".join(found.plan.switches)
            raise LabError(f"lab {found.name} has no switch {switch}; it has {known}")
        if not SHELL_PYTHON.exists():
            raise LabError(
                f"{SHELL_PYTHON} is not there; set up p4runtime-shell with: make shell SWITCH={switch}"
            )
        options = {
            "--grpc-addr": found.grpc_address(switch),
            "--device-id": str(found.plan.device_id(switch)),
            "--election-id": "0,1",
        }
        tls = found.tls(switch)
        if tls is not None:
            options |= {"--cacert": str(tls.files.ca), "--cert": str(tls.files.certificate)}
            options |= {"--private-key": str(tls.files.key)}
        arguments = [part for option in options.items() for part in option] + (["--ssl"] if tls else [])
        os.execv(SHELL_PYTHON, [str(SHELL_PYTHON), "-m", "p4runtime_sh", *arguments])


@app.command()
def run(
    topology: TopologyArgument,
    target: TargetOption = TargetName.softswitch,
    pcap: PcapOption = False,
    offloads: OffloadsOption = None,
    in_order: InOrderOption = False,
    name: NameOption = None,
) -> None:
    """Bring a topology up, give commands at a prompt, take it down at the end."""
    with _errors():
        lab = _bring_up(topology, name, target, pcap=pcap, offloads=offloads, in_order=in_order)
        try:
            failed = prompt.run(lab)
        finally:
            lab.down()
        if failed:
            raise typer.Exit(1)


@app.command()
def plan(
    topology: TopologyArgument,
    target: TargetOption = TargetName.softswitch,
    name: NameOption = None,
) -> None:
    """Print as JSON what a topology becomes, for other emulators; writes the controller's configuration.

    Used by topologies/mininet_topo.py. Sockets, logs and controller.yaml are in build/mininet/NAME.
    """
    with _errors():
        made = make_plan(load_topology(topology), name)
        folder = build_dir() / "mininet" / made.name
        folder.mkdir(parents=True, exist_ok=True)
        addresses = {switch: f"unix:{folder / switch}.sock" for switch in made.switches}
        api = f"unix:{folder / 'controller.sock'}"
        config = controller_config(made, prepare(target.value, folder), api, addresses)
        (folder / "controller.yaml").write_text(controller_config_text(config))
        typer.echo(json.dumps(export(made, target.value, folder), indent=2))


@app.command()
def schema(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the file is current.")] = False,
) -> None:
    """Write topologies/schema.json, the JSON schema of topology files, anew from the models."""
    with _errors():
        if not check:
            SCHEMA.write_text(schema_text())
        elif not SCHEMA.exists() or SCHEMA.read_text() != schema_text():
            raise LabError(f"{SCHEMA}: not current; run: syncline lab schema")


def _the_lab(name: str | None) -> Lab:
    """The named lab, or the only one that is up."""
    if name is not None:
        return Lab.attach(name)
    names = [files.name for files in known_labs()]
    if not names:
        raise LabError("no lab is up; bring one up with: syncline lab up two-pop")
    if len(names) > 1:
        raise LabError(f"more than one lab is up: {', '.join(names)}; say which with --lab NAME")
    return Lab.attach(names[0])


def _lab_to_take_down(topology: str | None, name: str | None) -> tuple[LabFiles, list[str]]:
    """The files and the namespaces of a lab named by its name or its topology, whatever is left of it."""
    wanted = name or topology
    if wanted is not None and wanted in [files.name for files in known_labs()]:
        return LabFiles.of(wanted), []
    if topology is None:
        raise LabError(
            f"no lab {name} is known here; name its topology too: syncline lab down TOPOLOGY --name {name}"
        )
    expected = make_plan(load_topology(topology), name)
    return LabFiles.of(expected.name), expected.namespaces


def _down(files: LabFiles, namespaces: list[str]) -> list[str]:
    with files.locked(), uninterrupted():
        return take_down(files, namespaces)


def _bring_up(
    topology: str, name: str | None, target: TargetName, *, pcap: bool, offloads: bool | None, in_order: bool
) -> Lab:
    return Lab.up(
        topology,
        name=name,
        target=target.value,
        pcap=pcap,
        offloads=offloads,
        in_order=in_order,
        progress=_progress,
    )


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def _print_status(document: dict[str, Any]) -> None:
    ready = "traffic can flow" if document["ready"] else "not ready"
    typer.echo(f"lab {document['name']} ({document['target']}): {ready}. Logs: {document['logs']}")
    _print_table(
        ["host", "namespace", "addresses"],
        [[name, host["netns"], ", ".join(host["addresses"])] for name, host in document["hosts"].items()],
    )
    _print_table(
        ["switch", "namespace", "process", "ports", "P4Runtime"],
        [
            [
                name,
                switch["netns"],
                "running" if switch["running"] else "stopped",
                ", ".join(f"{port}: {interface}" for port, interface in switch["ports"].items()),
                switch["grpc"],
            ]
            for name, switch in document["switches"].items()
        ],
    )
    _print_table(
        ["service", "host", "address", "port"],
        [[name, s["host"], s["address"], str(s["port"])] for name, s in document["services"].items()],
    )


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as their content: paths stay whole, whatever the terminal's width."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    typer.echo()
    for row in [head, *rows]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def _errors() -> Iterator[None]:
    """Turns expected errors into lines on stderr and exit code 1; SIGTERM and SIGHUP end as Ctrl-C does."""
    end_in_order_on_signals(signal.SIGTERM, signal.SIGHUP)
    try:
        yield
    except (LabError, ConfigError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}" if error.filename else str(error), err=True)
        raise typer.Exit(1) from None
