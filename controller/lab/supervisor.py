# SPDX-License-Identifier: Apache-2.0
"""A lab's processes: starting them so that they are found again, stopping them, clearing everything away."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from controller.lab import network
from controller.lab.checks import CONTROLLER
from controller.lab.errors import LabError
from controller.lab.model import Topology
from controller.lab.processes import ProcessId, end_processes, processes_in, processes_marked
from controller.lab.programs import search_path
from controller.lab.signals import uninterrupted
from controller.lab.state import LabFiles, LabState

MARK = "SYNCLINE_LAB"
"""Environment variable of every process that a lab starts: the lab's folder. It finds a process whose start a
crash kept out of the state file."""
TAIL_LINES = 15
IP = shutil.which("ip") or "/usr/sbin/ip"
"""Root's PATH may lack the sbin folders (su without -)."""


class Supervisor:
    """The switches, the controller and the services of one lab, by name."""

    def __init__(self, files: LabFiles, state: LabState) -> None:
        self._files = files
        self._state = state
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        """Those that this very Python has started, and must reap."""

    def start(self, name: str, argv: Sequence[str], namespace: str | None) -> None:
        """Starts a process within a namespace (None: the caller's) and writes it down.

        Raises LabError when it is running already or ends at once.
        """
        if self.running(name):
            raise LabError(f"lab {self._files.name}: {name} is running already")
        command = in_namespace(namespace, argv) if namespace else list(argv)
        with self._files.log(name).open("ab") as log, uninterrupted():
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is for the command, not for the lab
                env={**lab_environment(), MARK: str(self._files.root)},
            )
            self._children[name] = child
        process = ProcessId.of(child.pid)
        if process is None:
            raise LabError(f"{name} ended at once\n{self.tail(name)}")
        self._state.processes[name] = process
        self._state.stopped = [other for other in self._state.stopped if other != name]
        self._state.save(self._files)

    def stop(self, name: str, number: int) -> None:
        """Sends a signal and waits for the end, which SIGKILL forces if need be.

        Raises LabError when it is not running.
        """
        if not self.running(name):
            raise LabError(f"lab {self._files.name}: {name} is not running")
        self._state.stopped.append(name)
        self._state.save(self._files)
        end_processes([self._state.processes[name]], first=number)
        if child := self._children.pop(name, None):
            child.wait()

    def running(self, name: str) -> bool:
        known = self._state.processes.get(name)
        return known is not None and known.alive()

    def answers(self, name: str) -> bool:
        """Whether it runs, and is not paused."""
        return self.running(name) and not self._state.processes[name].paused()

    def signal(self, name: str, number: int) -> None:
        """Sends a signal. Raises LabError when it is not running."""
        if not self.running(name):
            raise LabError(f"lab {self._files.name}: {name} is not running")
        self._state.processes[name].signal(number)

    def crashed(self) -> list[str]:
        """Those that have ended although nobody stopped them."""
        return [
            name
            for name in self._state.processes
            if name not in self._state.stopped and not self.running(name)
        ]

    def tail(self, name: str) -> str:
        """The last lines of a process's log, under a line with the log's path."""
        log = self._files.log(name)
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if log.exists() else []
        return "\n".join([f"--- {log}", *lines]) if lines else f"--- {log} is empty"

    def reap(self) -> None:
        """Waits for the own children, all of which must have been ended."""
        for child in self._children.values():
            child.wait()
        self._children.clear()


def controller_names(topology: Topology) -> list[str]:
    """The processes of a topology's controllers: of a federation one for each switch."""
    if topology.controller.federation is not None:
        return [controller_of(switch) for switch in topology.switches]
    return [CONTROLLER, *(f"{CONTROLLER}-{n}" for n in range(2, topology.controller.instances + 1))]


def controller_of(switch: str) -> str:
    """The name of a switch's controller in a federation."""
    return f"{CONTROLLER}-{switch}"


def is_controller(process: str) -> bool:
    """Whether a process of a lab is a controller; no node has a name that begins so."""
    return process == CONTROLLER or process.startswith(f"{CONTROLLER}-")


def take_down(files: LabFiles, namespaces: Sequence[str]) -> list[str]:
    """Ends what runs in these namespaces or was started by the lab; removes namespaces, sockets and state.

    Works with or without a state file; the caller holds the lab's lock. Returns what was
    removed.
    """
    state = LabState.load(files)
    known = dict(state.processes) if state else {}
    names = list(dict.fromkeys([*(state.namespaces if state else []), *namespaces]))
    removed = [f"{name} (process {process.pid})" for name, process in known.items() if process.alive()]
    # The controllers go first: they need not report switches that end.
    end_processes([process for name, process in known.items() if is_controller(name)])
    strays = [*processes_in(names), *processes_marked(MARK, str(files.root))]
    end_processes(dict.fromkeys([*known.values(), *strays]))
    removed += network.existing_namespaces(names)
    network.remove(names)
    shutil.rmtree(files.run, ignore_errors=True)
    files.state.unlink(missing_ok=True)
    return removed


def lab_environment() -> dict[str, str]:
    """The environment of commands in a lab. Nobody answers DNS there, so look-ups give up soon (seconds)."""
    return {"RES_OPTIONS": "timeout:1 attempts:1", **os.environ, "PATH": search_path()}


def in_namespace(namespace: str, argv: Sequence[str]) -> list[str]:
    """A command line that runs `argv` within a namespace, with the same pid, environment and folder."""
    return [IP, "netns", "exec", namespace, *argv]
