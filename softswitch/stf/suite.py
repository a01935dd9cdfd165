# SPDX-License-Identifier: Apache-2.0
"""Many STF tests at once: a process each, so that none can take the others down, with a limit of time."""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from softswitch.build import BuildError
from softswitch.compiler import compile_file
from softswitch.engine import EngineError
from softswitch.p4.errors import P4Error
from softswitch.p4runtime.errors import P4RuntimeError
from softswitch.stf.script import StfError, parse_script
from softswitch.stf.session import Session

TIMEOUT_S = 180.0
_MAX_DEPTH = 8
_INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", re.MULTILINE)
_FORK = multiprocessing.get_context("fork")


class Verdict(Enum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"
    """The program does not compile, or the test cannot be run as it is written."""


@dataclass(frozen=True)
class Case:
    """One STF file with its program."""

    program: Path
    script: Path


@dataclass(frozen=True)
class Result:
    """What became of a case. `details`: lines that say why, or what was read on request."""

    case: Case
    verdict: Verdict
    details: tuple[str, ...]
    seconds: float


def collect(paths: Iterable[Path]) -> tuple[list[Case], list[Path]]:
    """Cases of the arguments: folders, or P4 files each with the STF files after it.

    Also returns the STF files of folders whose program is for another architecture than v1model.
    StfError for what is missing.
    """
    cases: list[Case] = []
    foreign: list[Path] = []
    program: Path | None = None
    used = True
    for path in [*paths, None]:
        if (path is None or path.suffix != ".stf") and program is not None and not used:
            cases.append(_beside(program))
        if path is None:
            break
        if path.is_dir():
            _folder(path, cases, foreign)
            program = None
        elif not path.is_file():
            raise StfError(f"{path}: no such file or folder")
        elif path.suffix == ".p4":
            program, used = path, False
        elif path.suffix == ".stf":
            if program is None:
                raise StfError(f"{path}: give its program before it: FILE.p4 FILE.stf")
            cases.append(Case(program, path))
            used = True
        else:
            raise StfError(f"{path}: neither a folder nor FILE.p4 nor FILE.stf")
    return cases, foreign


def _beside(program: Path) -> Case:
    script = program.with_suffix(".stf")
    if not script.is_file():
        raise StfError(f"{program}: no STF file given, and there is no {script.name} beside it")
    return Case(program, script)


def _folder(folder: Path, cases: list[Case], foreign: list[Path]) -> None:
    for script in sorted(folder.glob("*.stf")):
        program = script.with_suffix(".p4")
        if not program.is_file():
            raise StfError(f"{script}: there is no {program.name} beside it")
        if _for_v1model(program):
            cases.append(Case(program, script))
        else:
            foreign.append(script)


def _for_v1model(program: Path, depth: int = 0) -> bool:
    """Whether a program includes v1model.p4, itself or by a file of its own."""
    for quote, name in _INCLUDE.findall(program.read_text(errors="replace")):
        if Path(name).name == "v1model.p4":
            return True
        inner = program.parent / name
        if quote == '"' and depth < _MAX_DEPTH and inner.is_file() and _for_v1model(inner, depth + 1):
            return True
    return False


def run_case(case: Case) -> Result:
    """Compiles and runs one case in this process."""
    started = time.monotonic()
    verdict, details = _judge(case)
    return Result(case, verdict, tuple(details), time.monotonic() - started)


def _judge(case: Case) -> tuple[Verdict, list[str]]:
    try:
        statements = parse_script(case.script.read_text(errors="replace"), case.script)
        program = compile_file(case.program)
        session = Session(program)
    except P4Error as error:
        return Verdict.REFUSED, [str(d).split("\n")[0] for d in error.diagnostics]
    except (StfError, BuildError, EngineError, P4RuntimeError) as error:
        return Verdict.REFUSED, [str(error)]
    try:
        session.run(statements, case.script)
    except StfError as error:
        return Verdict.REFUSED, [str(error)]
    finally:
        session.close()
    return (Verdict.FAILED, session.failures) if session.failures else (Verdict.PASSED, session.notes)


# --- in processes of their own ------------------------------------------------------------------------------


@dataclass
class _Running:
    case: Case
    process: BaseProcess
    pipe: Connection
    started: float


def run_all(cases: list[Case], jobs: int = 0) -> Iterator[Result]:
    """Runs cases, `jobs` at a time (0: one per core); results in the order in which they end."""
    waiting = list(reversed(cases))
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (jobs or os.cpu_count() or 1):
                started = _start(waiting.pop(), run_case)
                running[started.pipe] = started
            ready = [p for p in wait(list(running), timeout=1.0) if isinstance(p, Connection)]
            late = [p for p, r in running.items() if time.monotonic() - r.started > TIMEOUT_S]
            for pipe in {*ready, *late}:
                yield _finish(running.pop(pipe), late=pipe not in ready)
    finally:
        for left in running.values():
            left.process.kill()
            left.process.join()


def _start(case: Case, run: Callable[[Case], Result]) -> _Running:
    ours, theirs = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_child, args=(theirs, run, case))
    process.start()
    theirs.close()
    return _Running(case, process, ours, time.monotonic())


def _child(pipe: Connection, run: Callable[[Case], Result], case: Case) -> None:
    pipe.send(run(case))
    pipe.close()


def _finish(run: _Running, *, late: bool) -> Result:
    result: Result | None = None
    if late:
        run.process.kill()
        reason = f"took more than {TIMEOUT_S:.0f} s"
    else:
        try:
            result = run.pipe.recv()
        except EOFError:
            reason = ""
    run.process.join()
    run.pipe.close()
    if result is None:
        reason = reason or f"the process died (exit code {run.process.exitcode})"
        result = Result(run.case, Verdict.FAILED, (reason,), time.monotonic() - run.started)
    return result
