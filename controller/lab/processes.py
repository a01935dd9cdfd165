# SPDX-License-Identifier: Apache-2.0
"""Processes known by pid and start time, so that a recycled pid is never taken for the process before it.

All that is known of a process comes from /proc; nothing here is ever found, or ended, by its name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.lab.errors import LabError

NETNS_DIR = Path("/run/netns")
KILL_AFTER = 3.0
"""Seconds between the polite signal and SIGKILL."""


@dataclass(frozen=True)
class ProcessId:
    """A process: its pid and its start time in clock ticks since boot (field 22 of /proc/PID/stat)."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The living process with this pid; None when there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may itself hold blanks and parentheses: fields begin after the last one.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    def paused(self) -> bool:
        """Whether a signal has stopped it in its tracks (proc(5), state T)."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def signal(self, number: int) -> None:
        """Sends a signal if the process still lives; a pid file descriptor holds on to that very one."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)


def end_processes(
    processes: Iterable[ProcessId], *, first: int = signal.SIGTERM, patience: float = KILL_AFTER
) -> None:
    """Sends the signal `first` to all, SIGKILL to those left after `patience` seconds; waits for their end.

    Raises LabError when one outlives SIGKILL (it hangs in the kernel).
    """
    left = list(processes)
    for number, seconds in ((first, patience), (signal.SIGKILL, 10.0)):
        for process in left:
            process.signal(number)
        left = wait_for_end(left, seconds)
    if left:
        raise LabError(f"process {left[0].pid} does not end, not even by SIGKILL")


def wait_for_end(processes: Iterable[ProcessId], timeout: float) -> list[ProcessId]:
    """Waits up to `timeout` seconds; returns those that still live."""
    deadline = time.monotonic() + timeout
    left = [process for process in processes if process.alive()]
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = [process for process in left if process.alive()]
    return left


def processes_in(namespaces: Iterable[str]) -> list[ProcessId]:
    """The processes whose network namespace is one of these named ones."""
    wanted = set()
    for name in namespaces:
        try:
            status = (NETNS_DIR / name).stat()
        except FileNotFoundError:
            continue
        wanted.add((status.st_dev, status.st_ino))
    return [found for pid in _pids() if _namespace(pid) in wanted and (found := ProcessId.of(pid))]


def processes_marked(variable: str, value: str) -> list[ProcessId]:
    """The processes that were started with this environment variable set to exactly this value."""
    mark = f"{variable}={value}".encode()
    return [found for pid in _pids() if mark in _environment(pid) and (found := ProcessId.of(pid))]


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid()]


def _namespace(pid: int) -> tuple[int, int] | None:
    try:
        status = os.stat(f"/proc/{pid}/ns/net")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
