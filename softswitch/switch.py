# SPDX-License-Identifier: Apache-2.0
"""The switch process: a device, its gRPC server, and the signals that end it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from softswitch.build import BuildError
from softswitch.compiler import CompiledProgram, compile_file
from softswitch.engine import Engine, EngineError
from softswitch.p4.errors import P4Error
from softswitch.p4runtime.device import Device, DeviceOptions, Port
from softswitch.p4runtime.errors import P4RuntimeError
from softswitch.p4runtime.server import Server, ServerError
from softswitch.pushed import compile_pushed
from softswitch.tlsfiles import TlsFiles

DEFAULT_ADDRESS = "127.0.0.1:9559"
DEFAULT_CPU_PORT = 510

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SwitchOptions:
    """Everything that `syncline switch` can be told."""

    program: Path | None = None
    "P4 file to run from the start; without one the switch waits for a controller's."
    include_dirs: Sequence[Path] = ()
    defines: Sequence[str] = ()
    ports: Sequence[Port] = ()
    device_id: int = 1
    address: str = DEFAULT_ADDRESS
    "HOST:PORT or unix:PATH."
    cpu_port: int = DEFAULT_CPU_PORT
    pcap_dir: Path | None = None
    threads: int = 1
    realtime: bool | None = None
    "Whether data-plane threads run before all else; None: if they leave cores to it."
    tls: TlsFiles | None = None


class SwitchError(Exception):
    """The switch cannot start; the text is one line for people."""


def run_switch(options: SwitchOptions) -> int:
    """Run a switch until SIGTERM or SIGINT; return the exit code, 1 with a line on stderr if it fails."""
    try:
        program = _prepare(options)
        device, server = _start(options, program)
    except P4Error as error:
        print(error, file=sys.stderr)
        return 1
    except (SwitchError, ServerError, EngineError, BuildError, P4RuntimeError) as error:
        print(f"switch: error: {error}", file=sys.stderr)
        return 1
    with _signals() as stop:
        print(_greeting(options, server), flush=True)
        stop.recv(1)
        _LOG.info("stopping")
        server.stop()
        device.close()
    return 0


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Hold SIGTERM and SIGINT off; the socket can be read once one has come.

    A handler that sets an event would not do: handlers run in the main thread between two of its
    instructions, and a signal that comes just before the thread goes to sleep does not wake it.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    with reader, writer:
        former = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
        }
        signal.set_wakeup_fd(writer.fileno())
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in former.items():
                signal.signal(number, handler)


def _prepare(options: SwitchOptions) -> CompiledProgram | None:
    """Everything that can be checked before anything is opened."""
    for port in options.ports:
        check_interface(port.interface)
    if options.pcap_dir is not None:
        try:
            options.pcap_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SwitchError(f"cannot make the folder {options.pcap_dir}: {error.strerror}") from error
        if not os.access(options.pcap_dir, os.W_OK):
            raise SwitchError(f"cannot write to the folder {options.pcap_dir}")
        for port in options.ports:  # captures of an earlier process: the data plane appends
            for direction in ("in", "out"):
                (options.pcap_dir / f"{port.interface}_{direction}.pcap").unlink(missing_ok=True)
    if options.program is None:
        return None
    try:
        return compile_file(options.program, options.include_dirs, options.defines)
    except OSError as error:
        raise SwitchError(f"cannot read {error.filename or options.program}: {error.strerror}") from error


def _start(options: SwitchOptions, program: CompiledProgram | None) -> tuple[Device, Server]:
    device = Device(
        DeviceOptions(
            device_id=options.device_id,
            cpu_port=options.cpu_port,
            ports=options.ports,
            pcap_dir=options.pcap_dir,
            threads=options.threads,
            realtime=runs_in_real_time(options),
        ),
        compile_text=compile_pushed,
        open_engine=Engine,
    )
    server = Server(device, options.address, options.tls)
    try:
        if program is not None:
            device.load(program)
        server.start()
    except BaseException:
        server.stop()
        device.close()
        raise
    return device, server


def check_interface(name: str) -> None:
    """Raise SwitchError if frames cannot be received on an interface, and say why."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        raise SwitchError(f"interface {name} does not exist") from None
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as probe:
            probe.bind((name, 0))
    except PermissionError:
        raise SwitchError(
            f"interface {name}: permission denied: opening ports needs root (CAP_NET_RAW)"
        ) from None
    except OSError as error:
        raise SwitchError(f"interface {name}: {error.strerror}") from error


def runs_in_real_time(options: SwitchOptions) -> bool:
    """Data-plane threads in real time leave nothing of a core to others when packets do not leave off: unless
    told otherwise, only where there are more cores than such threads.
    """
    if options.realtime is not None:
        return options.realtime
    return len(os.sched_getaffinity(0)) > options.threads


def _greeting(options: SwitchOptions, server: Server) -> str:
    ports = " ".join(f"{port.number}@{port.interface}" for port in options.ports)
    shown = f"ports {ports}" if ports else "no ports"
    running = f", running {options.program.name}" if options.program else ""
    address = server.address
    if not address.startswith("unix:") and address.endswith(":0"):
        address = f"{address[:-1]}{server.port}"
    return f"switch: device {options.device_id} serving P4Runtime on {address}, {shown}{running}"
