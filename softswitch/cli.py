# SPDX-License-Identifier: Apache-2.0
"""The commands `switch`, `compile` and `stf`: of `syncline`, and of `softswitch`, which has no others."""

from __future__ import annotations

import logging
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from softswitch.stf.cli import stf

_PORT = re.compile(r"(\d+)@(\S+)")
_MAX_PORT = 511
_P4INFO_HEAD = "# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n"
_LEVELS = ("debug", "info", "warning", "error")

IncludeDirs = Annotated[
    list[Path],
    typer.Option("-I", "--include", metavar="DIR", help="Folder to search for #include. Repeatable."),
]
Defines = Annotated[
    list[str], typer.Option("-D", "--define", metavar="NAME[=VALUE]", help="Define a macro. Repeatable.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("switch")(switch)
    app.command("compile")(compile_program)
    app.command("stf")(stf)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"softswitch {version('syncline')}")
        raise typer.Exit


def main() -> None:
    """The switch without the rest of Syncline: `softswitch`, or `python -m softswitch`."""
    app = typer.Typer(
        name="softswitch",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    register(app)
    app.callback()(_common)
    app(prog_name="softswitch")


def _common(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """A P4 switch in software: P4_16 programs for v1model, compiled to C, with P4Runtime."""


def switch(
    program: Annotated[
        Path | None,
        typer.Argument(
            metavar="P4",
            help="P4_16 program (v1model) to run from the start. "
            "Without one, the switch waits for a controller to push one.",
        ),
    ] = None,
    interfaces: Annotated[
        list[str],
        typer.Option(
            "-i",
            "--interface",
            metavar="PORT@IFACE",
            help="Attach a network interface as a port, e.g. -i 1@veth1. Repeatable; needs root.",
        ),
    ] = [],  # noqa: B006 (typer copies it)
    device_id: Annotated[
        int, typer.Option("--device-id", metavar="ID", min=1, max=(1 << 64) - 1, help="P4Runtime device id.")
    ] = 1,
    address: Annotated[
        str,
        typer.Option(
            "--grpc-server-addr", metavar="ADDR", help="Where to serve P4Runtime: HOST:PORT or unix:PATH."
        ),
    ] = "127.0.0.1:9559",
    cpu_port: Annotated[
        int,
        typer.Option(
            "--cpu-port",
            metavar="PORT",
            min=1,
            max=_MAX_PORT - 1,
            help="Port number that means the controller in P4.",
        ),
    ] = 510,
    pcap: Annotated[
        Path | None,
        typer.Option(
            "--pcap", metavar="DIR", help="Write IFACE_in.pcap and IFACE_out.pcap of every port there."
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="|".join(_LEVELS), help="How much to say on stderr.")
    ] = "warning",
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", min=1, max=16, help="Data-plane threads.")
    ] = 1,
    realtime: Annotated[
        bool | None,
        typer.Option(
            "--realtime/--no-realtime",
            help="Whether they run before all else on the machine (default: if there are more cores).",
            show_default=False,
        ),
    ] = None,
    include_dirs: IncludeDirs = [],  # noqa: B006
    defines: Defines = [],  # noqa: B006
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", metavar="FILE", help="Server certificate (PEM): serve with TLS."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Private key of the certificate (PEM).")
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca", metavar="FILE", help="CA (PEM) that must have signed the clients' certificates."
        ),
    ] = None,
) -> None:
    """Run a software switch: a P4 program between network interfaces, controlled over P4Runtime.

    The switch runs until SIGTERM or Ctrl-C. Without interfaces it needs no root and can still be programmed.

    Example: softswitch switch -i 1@veth1 -i 2@veth2 --grpc-server-addr unix:/tmp/s1.sock
    """
    from softswitch.p4runtime.device import Port
    from softswitch.switch import SwitchOptions, run_switch
    from softswitch.tlsfiles import TlsFiles

    if log_level.lower() not in _LEVELS:
        raise typer.BadParameter(f"{log_level}: one of {', '.join(_LEVELS)}", param_hint="--log-level")
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key belong together", param_hint="--tls-cert")
    if tls_ca is not None and tls_cert is None:
        raise typer.BadParameter("needs --tls-cert and --tls-key too", param_hint="--tls-ca")
    ports = [Port(number, name) for number, name in parse_ports(interfaces, cpu_port)]
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("grpclib").setLevel(logging.WARNING)  # it reports each client that leaves
    options = SwitchOptions(
        program=program,
        include_dirs=include_dirs,
        defines=defines,
        ports=ports,
        device_id=device_id,
        address=address,
        cpu_port=cpu_port,
        pcap_dir=pcap,
        threads=threads,
        realtime=realtime,
        tls=TlsFiles(tls_cert, tls_key, tls_ca) if tls_cert and tls_key else None,
    )
    raise typer.Exit(run_switch(options))


def compile_program(
    program: Annotated[
        Path, typer.Argument(metavar="P4", help="P4_16 program for the v1model architecture.")
    ],
    include_dirs: IncludeDirs = [],  # noqa: B006
    defines: Defines = [],  # noqa: B006
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results; made if missing.")
    ] = Path(),
) -> None:
    """Compile a P4 program to P4Info, a device config and C.

    Writes NAME.p4info.txtpb (for controllers), NAME.p4i (the preprocessed program: the device config to
    push) and NAME.c (what the switch runs).

    Errors are printed as FILE:LINE:COLUMN: error: …, and the exit code is then 1.
    """
    from google.protobuf import text_format

    from softswitch.build import BuildError
    from softswitch.compiler import compile_file
    from softswitch.p4.errors import P4Error

    try:
        compiled = compile_file(program, include_dirs, defines)
        output.mkdir(parents=True, exist_ok=True)
        results = {
            f"{program.stem}.p4info.txtpb": _P4INFO_HEAD + text_format.MessageToString(compiled.p4info),
            f"{program.stem}.p4i": compiled.text,
            f"{program.stem}.c": compiled.c_source,
        }
        for name, text in results.items():
            (output / name).write_text(text)
    except P4Error as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except BuildError as error:
        print(f"compile: error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except OSError as error:
        print(f"compile: error: {error.filename}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None
    for name in results:
        print(output / name)


def parse_ports(values: list[str], cpu_port: int) -> list[tuple[int, str]]:
    """The ports that PORT@IFACE options name; typer.BadParameter says which is wrong."""
    ports: dict[int, str] = {}
    for value in values:
        match = _PORT.fullmatch(value)
        if match is None:
            raise typer.BadParameter(f"{value}: want PORT@IFACE, e.g. 1@eth1", param_hint="-i")
        number, name = int(match.group(1)), match.group(2)
        if number >= _MAX_PORT or number == cpu_port:
            what = "the CPU port" if number == cpu_port else f"not in 0..{_MAX_PORT - 1}"
            raise typer.BadParameter(f"{value}: port {number} is {what}", param_hint="-i")
        if number in ports:
            raise typer.BadParameter(f"{value}: port {number} is already {ports[number]}", param_hint="-i")
        if name in ports.values():
            raise typer.BadParameter(f"{value}: interface {name} is already a port", param_hint="-i")
        ports[number] = name
    return list(ports.items())
