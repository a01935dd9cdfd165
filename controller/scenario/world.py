# SPDX-License-Identifier: Apache-2.0
"""What the steps of a scenario act on: the lab, and what earlier steps have started or noted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from controller.config import SwitchTls
from controller.lab.model import Topology
from controller.lab.plan import Plan
from controller.lab.state import LabState
from controller.scenario.cable import Cable
from controller.scenario.rawport import Capture, Endpoint
from controller.scenario.relay import Relay
from controller.scenario.servers import TcpServer

_KILL_AFTER = 3.0
"""Seconds between SIGTERM and SIGKILL."""


class UnmetError(Exception):
    """An expectation of the scenario was not met; the text says what was expected and what was there."""


class NatsLike(Protocol):
    """The part of `controller.lab.nats.NatsServers` that scenarios need."""

    def start(self) -> None: ...
    def stop(self, number: int, name: str | None = None) -> None: ...
    def address(self) -> tuple[str, int]: ...


class LabLike(Protocol):
    """The part of `controller.lab.lab.Lab` that scenarios need."""

    @property
    def plan(self) -> Plan: ...
    @property
    def state(self) -> LabState: ...
    def netns(self, node: str) -> str: ...
    def api(self, path: str) -> Any: ...
    @property
    def controllers(self) -> list[str]: ...
    @property
    def leader(self) -> str: ...
    def role(self, controller: str) -> str | None: ...
    def run(self, host: str, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]: ...
    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]: ...
    def kill_controller(self, number: int, name: str | None = None) -> None: ...
    def signal_controller(self, number: int, name: str) -> None: ...
    def start_controller(self, name: str | None = None) -> None: ...
    @property
    def nats(self) -> NatsLike: ...
    def reach_nats_at(self, controller: str, url: str) -> None: ...
    @property
    def nats_leader(self) -> str | None: ...
    def stop_switch(self, switch: str, number: int) -> None: ...
    def start_switch(self, switch: str) -> None: ...
    def wait_ready(self, timeout: float) -> None: ...
    def grpc_address(self, switch: str) -> str: ...
    def controller_config(self) -> dict[str, Any]: ...
    def reload(self, change: Callable[[dict[str, Any]], None]) -> list[str]: ...
    def tls(self, switch: str) -> SwitchTls | None: ...
    def issue_certificate(
        self, switch: str | None, dates: tuple[datetime, datetime] | None, *, trusted: bool
    ) -> None: ...
    def relay_address(self, switch: str) -> str: ...
    def reach_switch_at(self, switch: str, address: str) -> None: ...


Work: TypeAlias = Callable[[threading.Event], str]
"""What a step does; the figures to show. The event is set when its end is waited for."""


class Background:
    """A step's work that goes on while later steps run."""

    def __init__(self, name: str, work: Work) -> None:
        self.asked_for = threading.Event()
        self._result: str | Exception | None = None
        self._thread = threading.Thread(
            target=self._run, args=(work,), name=f"background {name}", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still under way."""
        return self._thread.is_alive()

    def wait(self, within_s: float) -> str:
        """Its figures, or the error that it ended with; UnmetError when it goes on longer than that."""
        self.asked_for.set()
        self._thread.join(within_s)
        if self.running:
            raise UnmetError(f"not finished within {within_s:g} s")
        if isinstance(self._result, Exception):
            raise self._result
        return self._result or ""

    def _run(self, work: Work) -> None:
        try:
            self._result = work(self.asked_for)
        except Exception as error:
            self._result = error


@dataclass
class Program:
    """A program on a host, with what it prints in `log`. It leads a process group of its own."""

    process: subprocess.Popen[Any]
    log: Path

    def last_words(self, characters: int) -> str:
        """The end of what it has printed."""
        return self.log.read_text(errors="replace").strip()[-characters:]

    def stop(self) -> None:
        """Ends it with all that it has started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_KILL_AFTER)


@dataclass
class World:
    """The state of one run. `names` holds the numbers that crafted packets refer to (x, k, r …), mod 2^32."""

    lab: LabLike
    servers: dict[str, TcpServer] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    background: dict[str, Background] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    captures: dict[str, Capture] = field(default_factory=dict)
    paused: list[str] = field(default_factory=list)  # controllers
    relays: dict[str, Relay] = field(default_factory=dict)
    cables: dict[str, Cable] = field(default_factory=dict)  # between controllers and NATS
    names: dict[str, int] = field(default_factory=dict)
    config_before: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)
    kernel_counters: dict[str, dict[str, int]] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="syncline-", ignore_cleanup_errors=True)
    )

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)

    @property
    def folder(self) -> Path:
        """A folder for the files of this run's programs, which every user may enter; gone at the end."""
        return Path(self._folder.name)

    @property
    def topology(self) -> Topology:
        """The lab's topology."""
        return self.lab.plan.topology

    def service(self, name: str) -> tuple[str, int]:
        """Address and port of a protected service."""
        for service in self.topology.services:
            if service.name == name:
                return str(service.address), service.port
        raise UnmetError(f"no service {name} in topology {self.topology.name}")

    def service_host(self, name: str) -> str:
        """The host that a service belongs to."""
        return next(service.host for service in self.topology.services if service.name == name)

    def carry_out(self, work: Work, background: str | None) -> str:
        """Does a step's work, or begins it under this name in the background; the figures to show."""
        if background is None:
            return work(threading.Event())
        self.background[background] = Background(background, work)
        return f"goes on as {background}"

    def close(self) -> None:
        """Ends all that the steps have started, and removes its files."""
        for background in self.background.values():
            background.asked_for.set()
        for program in self.programs.values():
            program.stop()
        for endpoint in self.endpoints.values():
            endpoint.close()
        for capture in self.captures.values():
            capture.stop()
        for server in self.servers.values():
            server.close()
        for relay in self.relays.values():
            relay.close()
        for cable in self.cables.values():
            cable.close()
        self._folder.cleanup()


def poll(within_s: float, probe: Callable[[], str | None], *, every_s: float = 0.1) -> None:
    """Calls `probe` until it returns None (met); UnmetError with its last answer when the time is over."""
    end = time.monotonic() + within_s
    while (problem := probe()) is not None:
        if time.monotonic() > end:
            raise UnmetError(problem)
        time.sleep(every_s)
