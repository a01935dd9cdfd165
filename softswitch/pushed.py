# SPDX-License-Identifier: Apache-2.0
"""Compiles what clients push, in a process of its own with limits of time and memory.

The text may be hostile. Whatever it does to the compiler, the switch goes on, and gets an answer in time.
`python -m softswitch.pushed NAME` is that process: the text on standard input, JSON as its answer.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from softswitch import build
from softswitch.compiler import CompiledProgram, cached_program, compile_text
from softswitch.p4.errors import Diagnostic, P4Error

_ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one compilation may take. The C compiler has limits of its own beside them (`build.run_cc`)."""

    cpu_s: int = 60
    "Processor time of the front end, and of the C compiler."
    wall_s: float = 180.0
    memory_bytes: int = 4 << 30
    "Address space of each process."


def compile_pushed(text: str, name: str, limits: Limits | None = None) -> CompiledProgram:
    """As `compile_text`, apart from this process unless the result is cached. P4Error or build.BuildError."""
    found = cached_program(text, name=name)
    if found is not None:
        return found
    _compile_apart(text, name, limits or Limits())
    return compile_text(text, name=name)


def _compile_apart(text: str, name: str, limits: Limits) -> None:
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-m", "softswitch.pushed", name, str(limits.cpu_s), str(limits.memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            answer, _ = process.communicate(text.encode(), timeout=limits.wall_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise _too_much(name, f"more than {limits.wall_s:.0f} s") from None
            raise
    _judge(name, answer, process.returncode, limits)


def _judge(name: str, answer: bytes, code: int, limits: Limits) -> None:
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        raise _too_much(name, f"more than {limits.cpu_s} s of processor time")
    try:
        result = json.loads(answer)
    except ValueError:
        raise build.BuildError(f"{name}: the compiler ended with code {code}") from None
    if "memory" in result:
        raise _too_much(name, f"more than {limits.memory_bytes >> 20} MiB of memory")
    if "diagnostics" in result:
        raise P4Error([Diagnostic(**d) for d in result["diagnostics"]])
    if "build" in result:
        raise build.BuildError(result["build"])


def _too_much(name: str, what: str) -> P4Error:
    return P4Error([Diagnostic(name, 1, 1, f"compiling this takes {what}")])


def _serve(name: str, cpu_s: int, memory_bytes: int) -> None:
    """This is the other process: compiles into the cache and answers."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: dict[str, object] = {}
    try:
        compile_text(sys.stdin.buffer.read().decode(), name=name)
    except P4Error as error:
        answer["diagnostics"] = [dataclasses.asdict(d) for d in error.diagnostics]
    except build.BuildError as error:
        answer["build"] = str(error)
    except MemoryError:
        answer["memory"] = True
    print(json.dumps(answer))


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
