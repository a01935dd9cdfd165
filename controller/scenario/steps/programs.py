# SPDX-License-Identifier: Apache-2.0
"""Steps with programs on hosts: servers that run on, commands whose output is judged.

Commands are lines of shell. In them and in files, `@{…}` stands for what only the lab knows: see `expand`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from controller.config import socket_text
from controller.lab.model import Topology
from controller.scenario.steps.base import Step
from controller.scenario.values import Bound
from controller.scenario.world import Program, UnmetError, World, poll

_PLACEHOLDER = re.compile(r"@\{([^}]*)\}")
_LISTEN = "0A"  # in /proc/net/tcp
_SHOWN = 300  # characters of a program's last words
_LINES = 8  # of its output


def _pattern(text: str) -> str:
    try:
        if re.compile(text).groups > 1:
            raise ValueError("at most one group is wanted: it gives the number")
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class _Program(Step):
    """What both steps have in common."""

    host: str
    command: str
    needs: tuple[str, ...] = Field(default=(), description="Programs that must be on the machine")

    def commands(self) -> tuple[str, ...]:
        return self.needs

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        yield from _unknown("command", self.command, topology)


class Start(_Program):
    """Starts a program that runs on, and waits until it listens on the ports of `listens`.

    `files` are written to the scenario's own folder, `@{dir}`. At the end of the scenario it gets SIGTERM.
    """

    keyword: ClassVar[str] = "start"
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    files: dict[str, str] = Field(default={})
    listens: tuple[str, ...] = ()
    within: Annotated[float, Field(gt=0, le=60)] = 10.0

    def run(self, world: World) -> str:
        if self.name in world.programs:
            raise UnmetError(f"a program {self.name} is running already")
        for name, text in self.files.items():
            (world.folder / name).write_text(expand(text, world), encoding="utf-8")
        log = world.folder / f"{self.name}.log"
        with log.open("wb") as output:
            process = world.lab.popen(
                self.host,
                _shell(self.command, world),
                cwd=world.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        world.programs[self.name] = Program(process, log)
        ports = {world.service(service)[1] for service in self.listens}
        poll(self.within, lambda: self._not_yet(world, ports))
        return ""

    def _not_yet(self, world: World, ports: set[int]) -> str | None:
        program = world.programs[self.name]
        if program.process.poll() is not None:
            raise UnmetError(f"{self.name} has ended: {program.last_words(_SHOWN)}")
        tables = world.lab.run(self.host, ["cat", "/proc/net/tcp", "/proc/net/tcp6"], timeout=10).stdout
        if silent := ports - listening(tables):
            return f"{self.name} does not listen on port {min(silent)}: {program.last_words(_SHOWN)}"
        return None

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        for name, text in self.files.items():
            if not re.fullmatch(r"[\w.-]+", name):
                yield f"files.{name}", "a plain file name is wanted"
            yield from _unknown(f"files.{name}", text, topology)
        known = [service.name for service in topology.services]
        for service in self.listens:
            if service not in known:
                yield (
                    "listens",
                    f"no service {service} in topology {topology.name}; it has {', '.join(known)}",
                )


class Stop(Step):
    """Ends a program that `start` has started."""

    keyword: ClassVar[str] = "stop"
    shorthand: ClassVar[str | None] = "name"
    name: str

    def run(self, world: World) -> str:
        program = world.programs.pop(self.name, None)
        if program is None:
            raise UnmetError(f"no program {self.name} is running")
        program.stop()
        return ""


class Run(_Program):
    """A command; its exit code must be 0 within `within` seconds.

    `output` bounds what it prints, by regular expressions (of lines): the sum of the numbers that the group
    of one gives, or without a group how often it is found.
    """

    keyword: ClassVar[str] = "run"
    within: Annotated[float, Field(gt=0, le=900)] = 10.0
    output: dict[Pattern, Bound] = Field(default={})
    background: str | None = None

    def run(self, world: World) -> str:
        return world.carry_out(lambda _: self._run(world), self.background)

    def _run(self, world: World) -> str:
        process = world.lab.popen(
            self.host,
            _shell(self.command, world),
            cwd=world.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=self.within)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            said = output.strip()[-_SHOWN:]
            raise UnmetError(f"not finished within {self.within:g} s: {said}") from None
        if process.returncode != 0:
            said = (errors or output).strip()[-_SHOWN:]
            raise UnmetError(f"exit code {process.returncode}: {said}")
        if not self.output:
            return str(output.strip()[-200:])
        for pattern, bound in self.output.items():
            value = measured(pattern, output)
            if not bound.admits(value):
                raise UnmetError(f"{value:g} instead of {bound} by {pattern!r} in: {output.strip()[-1000:]}")
        lines = _lines_of(self.output, output)
        return "; ".join(lines[:_LINES] + ["…"] * (len(lines) > _LINES))


def expand(text: str, world: World) -> str:
    """`text` with `@{dir}` (the scenario's folder), `@{python}` (the interpreter) and, of each service,
    `@{NAME}` (ADDRESS:PORT, [ADDRESS]:PORT), `@{NAME.address}` and `@{NAME.port}` filled in.
    """
    names = {"dir": str(world.folder), "python": sys.executable}
    for service in world.topology.services:
        address = str(service.address)
        names[service.name] = socket_text(address, service.port)
        names[f"{service.name}.address"], names[f"{service.name}.port"] = address, str(service.port)
    return _PLACEHOLDER.sub(lambda match: names[match[1]], text)


def _unknown(field: str, text: str, topology: Topology) -> Iterator[tuple[str, str]]:
    services = [service.name for service in topology.services]
    known = {"dir", "python", *services, *(f"{s}.{part}" for s in services for part in ("address", "port"))}
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            text = f"@{{{name}}}: no parameter or service of this name; services: {', '.join(services)}"
            yield field, f"{text}, each also with .address or .port; and there are dir and python"


def _shell(command: str, world: World) -> list[str]:
    return ["sh", "-euc", expand(command, world)]


def measured(pattern: str, text: str) -> float:
    """The sum of what a pattern's group gives at all its places, or how many places there are.

    UnmetError when the group gives something that is no number.
    """
    found = list(re.finditer(pattern, text, re.MULTILINE))
    if not re.compile(pattern).groups:
        return len(found)
    try:
        return sum(float(match[1]) for match in found)
    except ValueError as error:
        raise UnmetError(f"{pattern!r} gives no number: {error}") from None


def _lines_of(patterns: Iterable[str], text: str) -> list[str]:
    """The lines that patterns are found in, as they are but for runs of blanks, each once."""
    lines = dict.fromkeys(
        line for line in text.splitlines() if any(re.search(pattern, line) for pattern in patterns)
    )
    return [" ".join(line.split()) for line in lines]


def listening(tables: str) -> set[int]:
    """The local ports in state LISTEN of /proc/net/tcp and tcp6 (proc(5))."""
    rows = [line.split() for line in tables.splitlines()]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTEN}


PROGRAM_STEPS: tuple[type[Step], ...] = (Start, Stop, Run)
