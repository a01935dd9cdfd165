# SPDX-License-Identifier: Apache-2.0
"""Processes by pid and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from controller.lab.processes import ProcessId, end_processes, processes_marked

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def child(*argv: str, **options: object) -> Iterator[tuple[subprocess.Popen[bytes], ProcessId]]:
    process = subprocess.Popen(argv, **options)  # type: ignore[call-overload]
    known = ProcessId.of(process.pid)
    assert known is not None
    try:
        yield process, known
    finally:
        process.kill()
        process.wait()


def test_a_process_is_alive_until_it_ends() -> None:
    with child("sleep", "60") as (process, known):
        assert known.alive()
        process.kill()
        time.sleep(0.05)
        assert not known.alive(), "a zombie that nobody has reaped yet is no living process"
    assert ProcessId.of(known.pid) is None


def test_another_process_with_the_same_pid_is_left_alone() -> None:
    with child("sleep", "60") as (process, known):
        earlier = replace(known, start=known.start - 1)
        assert not earlier.alive()
        end_processes([earlier])
        earlier.signal(signal.SIGKILL)
        time.sleep(0.05)
        assert process.poll() is None


def test_a_polite_end() -> None:
    with child("sleep", "60") as (process, known):
        end_processes([known])
        assert process.wait() == -signal.SIGTERM


def test_a_process_that_ignores_the_polite_signal_is_killed() -> None:
    with child(sys.executable, "-c", STUBBORN, stdout=subprocess.PIPE) as (process, known):
        assert process.stdout is not None
        process.stdout.readline()
        end_processes([known], patience=0.1)
        assert process.wait() == -signal.SIGKILL


def test_the_first_signal_is_the_callers_choice() -> None:
    with child("sleep", "60") as (process, known):
        end_processes([known], first=signal.SIGINT)
        assert process.wait() == -signal.SIGINT


def test_marked_processes_are_found_by_the_exact_mark() -> None:
    mark = f"/tmp/{uuid.uuid4()}"
    marked = {**os.environ, "SYNCLINE_TEST_MARK": mark}
    longer = {**os.environ, "SYNCLINE_TEST_MARK": f"{mark}-2"}
    with child("sleep", "60", env=marked) as (_, known), child("sleep", "60", env=longer):
        deadline = time.monotonic() + 5  # /proc/PID/environ is the new one only after exec
        while (found := processes_marked("SYNCLINE_TEST_MARK", mark)) != [known]:
            assert time.monotonic() < deadline, found
