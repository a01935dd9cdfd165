# SPDX-License-Identifier: Apache-2.0
"""The commands `controller`, `status` and `sessions` of the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from controller.api.client import Access, ApiUnreachableError, find_api, get_json
from controller.config import load_config, socket_text
from controller.config_errors import ConfigError

_API_HELP = (
    "The controller's API: unix:PATH, HOST:PORT or https://HOST:PORT. Default: $SYNCLINE_API, else the "
    "running lab's, else 127.0.0.1:8080."
)
Api = Annotated[str | None, typer.Option("--api", help=_API_HELP, show_default=False)]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="A file (mode 0600) with the API's token. Default: $SYNCLINE_API_TOKEN_FILE.", show_default=False
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        help="The CA of an API at https://HOST:PORT. Default: $SYNCLINE_API_CA.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]
_LEVELS = ("debug", "info", "warning", "error")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("controller")(controller)
    app.command("status")(status)
    app.command("sessions")(sessions)
    app.command("reload")(reload)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)


def controller(
    config: Annotated[Path, typer.Option("--config", "-c", help="The controller's YAML file.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the file.")] = False,
    log_level: Annotated[
        str | None,
        typer.Option(help=f"One of {', '.join(_LEVELS)}; else what the file says.", show_default=False),
    ] = None,
) -> None:
    """Run a controller: connect to the switches, prove clients, share their sessions."""
    if log_level is not None and log_level not in _LEVELS:
        _fail(f"--log-level: {log_level!r} is none of {', '.join(_LEVELS)}", 2)
    try:
        loaded = load_config(config)
    except ConfigError as err:
        _fail(str(err), 2)
    if check:
        typer.echo(f"{config}: good ({len(loaded.switches)} switches, {len(loaded.services)} services)")
        return
    # What gRPC's core would write between our lines is in our own words in the log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from controller.app import run, set_up_logging  # gRPC and its friends take a while to import

    set_up_logging(log_level or loaded.log)
    raise typer.Exit(run(config, loaded, log_level))


def reload(api: Api = None, token_file: TokenFile = None, ca: Ca = None) -> None:
    """Have a controller read its configuration file again; on an error in it, it keeps the one of before."""
    document = _get(api, "/api/reload", Access.of(token_file, ca), method="POST")
    for line in document["changed"] or ["nothing has changed"]:
        typer.echo(line)
    for key in document["restart"]:
        typer.echo(f"{key}: changed, but in effect only after a restart")


def status(api: Api = None, as_json: AsJson = False, token_file: TokenFile = None, ca: Ca = None) -> None:
    """Show the controller's switches, services and counters."""
    document = _get(api, "/api/status", Access.of(token_file, ca))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    console = _console()
    ready = "[green]ready[/]" if document["ready"] else "[red]not ready[/]"
    epoch = document["epoch"]
    rotating = ", rotating" if epoch["rotating"] else ""
    console.print(
        f"[bold]{document['name']}[/] {document['role']}, {ready}, up {_duration(document['uptime_s'])}, "
        f"cookie epoch {epoch['number'] or 'none'}{rotating}"
    )
    if (federation := document["federation"]) is not None:
        standing = (
            f"member {federation['member']} of {', '.join(federation['members'])}"
            if federation["is_member"]
            else f"[red]{federation['member']} is not a member[/]: {escape(federation['reason'])}"
        )
        console.print(f"federation {federation['cluster']}: {standing}", highlight=False)
    console.print(_switch_table(document))
    for switch in document["switches"]:
        if switch["reason"]:
            console.print(f"[red]{switch['name']}[/]: {escape(switch['reason'])}", highlight=False)
    console.print(_service_table(document))
    console.print(_option_table(document))
    sessions = document["sessions"]
    console.print(
        f"sessions: {sessions['open']} open, {sessions['closing']} closing; handshakes under way: "
        f"{document['pending']} ({document['held_bytes']} bytes held); "
        f"memory: {document['memory_bytes'] >> 20} MiB"
    )
    for title, counts in (("drops", document["drops"]), ("events", document["events"])):
        for switch, values in counts.items():
            if values:
                listed = ", ".join(f"{name} {packets}" for name, packets in values.items())
                console.print(f"{title} at {switch}: {listed}", highlight=False)


def sessions(
    api: Api = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Show so many, the youngest first.")] = 20,
    as_json: AsJson = False,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Show the sessions that all switches share."""
    document = _get(api, f"/api/sessions?limit={limit}", Access.of(token_file, ca))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, title=f"{document['total']} sessions", title_justify="left")
    for name in ("client", "server", "service", "phase", "age", "ingress"):
        table.add_column(name, justify="right" if name == "age" else "left")
    for session in document["sessions"]:
        table.add_row(
            socket_text(session["client"], session["client_port"]),
            socket_text(session["server"], session["server_port"]),
            session["service"],
            session["phase"],
            _duration(session["age_s"]),
            session["ingress"] or "?",
        )
    _console().print(table)


def _get(api: str | None, path: str, access: Access, *, method: str = "GET") -> Any:
    try:
        return get_json(api or find_api(), path, access, method=method)
    except ApiUnreachableError as err:
        _fail(str(err), 1)


def _console() -> Console:
    """As wide as the terminal; wide enough for everything where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=140)


_STATE_COLOURS = {"in-service": "green", "syncing": "yellow", "connecting": "yellow", "down": "red"}


def _switch_table(document: Any) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("switch", "state", "sessions", "address"):
        table.add_column(name, justify="right" if name == "sessions" else "left", overflow="fold")
    for switch in document["switches"]:
        colour = _STATE_COLOURS[switch["state"]]
        table.add_row(
            switch["name"],
            f"[{colour}]{switch['state']}[/]",
            str(switch["sessions"]),
            switch["address"],
        )
    return table


def _service_table(document: Any) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in (
        "service",
        "address",
        "policy",
        "sync",
        "sessions",
        "pending",
    ):
        table.add_column(name, justify="right" if name in ("sessions", "pending") else "left")
    for service in document["services"]:
        table.add_row(
            service["name"],
            socket_text(service["address"], service["port"]),
            _policy(service),
            service["sync"],
            str(service["sessions"]),
            str(service["pending"]),
        )
    return table


def _option_table(document: Any) -> Table:
    """What each service's clients are told, and why; and what its server has shown."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("clients of", "mss", "window scale", "sack", "timestamps", "the server's SYN/ACKs had"):
        table.add_column(name)
    for service in document["services"]:
        scale = service["window_scale"]
        told = {
            "mss": str(service["mss"]),
            "window_scale": "none" if scale is None else str(scale),
            "sack": "yes" if service["sack"] else "no",
            "timestamps": "yes" if service["timestamps"] else "no",
        }
        cells = [f"{value} ({service['origin'][option]})" for option, value in told.items()]
        table.add_row(service["name"], *cells, _learned(service["learned"]))
    return table


def _policy(service: dict[str, Any]) -> str:
    """The mode, and what comes of it now: `on-attack: proxying, 1200 SYNs/s`."""
    mode = "removed" if service["leaving"] else str(service["mode"])
    if mode == "always":
        return mode
    rate = f", {service['syn_rate']:.0f} SYNs/s" if mode == "on-attack" else ""
    return f"{mode}: {service['stance']}{rate}"


def _learned(options: dict[str, Any]) -> str:
    """What the server's SYN/ACKs have shown: `mss 1460, scale 7, sack, no timestamps`."""
    words = [f"mss {options['mss']}"] if "mss" in options else ["nothing yet"]
    if "window_scale" in options:
        scale = options["window_scale"]
        words.append("no scale" if scale is None else f"scale {scale}")
    words += [name if options[name] else f"no {name}" for name in ("sack", "timestamps") if name in options]
    return ", ".join(words)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 60}m{whole % 60:02}s" if whole >= 60 else f"{seconds:.1f}s"
