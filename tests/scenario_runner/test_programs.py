# SPDX-License-Identifier: Apache-2.0
"""Programs on hosts: started, judged by their output, ended; and the parameters of scenario files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from controller.config_errors import ConfigError
from controller.lab import programs
from controller.lab.plan import Plan, make_plan
from controller.lab.topology import load_topology
from controller.scenario.model import load_scenarios, parse_step
from controller.scenario.steps.programs import Run, Start, Stop, expand, listening, measured
from controller.scenario.world import LabLike, UnmetError, World


class HereLab:
    """A lab whose hosts are this machine."""

    def __init__(self) -> None:
        self.plan: Plan = make_plan(load_topology("two-pop"))
        self.tables = ""

    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen(argv, **options)

    def run(self, host: str, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 0, self.tables, "")


@pytest.fixture
def world() -> Iterator[World]:
    made = World(cast(LabLike, HereLab()))
    yield made
    made.close()
    assert not made.folder.exists()


def run(world: World, command: str, output: dict[str, Any] | None = None, within: float = 10.0) -> str:
    step = Run.model_validate(
        {"host": "client", "command": command, "output": output or {}, "within": within}
    )
    return step.run(world)


def test_what_only_the_lab_knows(world: World) -> None:
    text = "@{web} @{web.address} @{web.port} @{web-v6} @{dir}/x guest@@{web.address}"
    address = "203.0.113.10"
    assert expand(text, world) == (
        f"{address}:80 {address} 80 [2001:db8:203::10]:80 {world.folder}/x guest@{address}"
    )


def test_unknown_names_are_found_before_anything_runs() -> None:
    topology = load_topology("two-pop")
    _, problems = parse_step(
        {"start": {"name": "x", "host": "server", "command": "a @{wep}", "files": {"../f": "@{web.prot}"}}},
        "steps[0]",
        topology,
    )
    assert [problem.path for problem in problems] == [
        "steps[0].start.command",
        "steps[0].start.files.../f",
        "steps[0].start.files.../f",
    ]
    assert problems[0].text.startswith("@{wep}: no parameter or service of this name; services: web, ")


def test_output_is_measured(world: World) -> None:
    text = "a: 3 lost\nb: 4.5 lost\nend"
    assert measured(r"(\d[\d.]*) lost", text) == 7.5
    assert measured("lost$", text) == 2
    assert measured("won", text) == 0
    with pytest.raises(UnmetError, match="gives no number"):
        measured("(lost)", text)
    shown = run(world, "echo 'done:   5   of 5'; echo more", {r"done: +(\d)": 5, "failed": 0})
    assert shown == "done: 5 of 5"


@pytest.mark.parametrize("pattern", ["(a)(b)", "(", "[a"])
def test_patterns_are_checked(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Run.model_validate({"host": "client", "command": "true", "output": {pattern: 0}})


@pytest.mark.parametrize(
    ("command", "output", "said"),
    [
        ("echo no >&2; exit 3", {}, "exit code 3: no"),
        ("false; echo on", {}, "exit code 1"),  # the first failure ends it
        ("echo 4 failed", {r"(\d+) failed": 0}, "4 instead of exactly 0"),
        ("echo before; sleep 60", {}, "not finished within 0.3 s: before"),
    ],
)
def test_failures_say_what_happened(world: World, command: str, output: dict[str, int], said: str) -> None:
    with pytest.raises(UnmetError, match=said):
        run(world, command, output, within=0.3 if "sleep" in command else 10)


def test_a_program_runs_until_it_is_stopped(world: World) -> None:
    start = Start.model_validate(
        {"name": "sleeper", "host": "server", "command": "cat text; sleep 60", "files": {"text": "@{web}"}}
    )
    start.run(world)
    with pytest.raises(UnmetError, match="is running already"):
        start.run(world)
    process = world.programs["sleeper"].process
    assert run(world, "sleep 0.1; cat sleeper.log") == "203.0.113.10:80"
    Stop(name="sleeper").run(world)
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    with pytest.raises(UnmetError, match="no program"):
        Stop(name="sleeper").run(world)


def test_a_program_that_ends_or_does_not_listen(world: World) -> None:
    fields: dict[str, Any] = {"name": "x", "host": "server", "listens": ["web"], "within": 0.2}
    with pytest.raises(UnmetError, match="x has ended: broken"):
        Start.model_validate({**fields, "command": "echo broken; sleep 0.05; exit 1", "within": 5}).run(world)
    with pytest.raises(UnmetError, match="y does not listen on port 80"):
        Start.model_validate({**fields, "name": "y", "command": "exec sleep 60"}).run(world)
    cast(HereLab, world.lab).tables = "sl local rem st\n0: 0A7100CB:0050 00000000:0000 0A 0\n"
    Start.model_validate({**fields, "name": "z", "command": "exec sleep 60"}).run(world)
    processes = [program.process for program in world.programs.values()]
    world.close()
    assert all(process.poll() is not None for process in processes)


def test_listening_ports() -> None:
    tables = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1F91 0100007F:0050 01 00000000:00000000\n"
        "   2: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n"
    )
    assert listening(tables) == {8080, 22}


def test_programs_are_searched_where_they_were_unpacked(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(programs, "UNPACKED", tmp_path)
    assert programs.missing(["syncline-test", "sh", "syncline-test"]) == ["syncline-test"]
    command = tmp_path / "usr" / "sbin" / "syncline-test"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    assert programs.missing(["syncline-test", "sh"]) == []
    assert shutil.which("syncline-test", path=programs.search_path()) == os.fspath(command)


SCENARIO = """\
name: test
topology: two-pop
parameters: {count: 3, what: echo}
soak: {count: 7}
timers: {linger: "@{count}"}
steps:
  - connect: {host: client, service: web, connections: '@{count}'}
  - run: {host: client, command: '@{what} @{count} @{web}'}
"""


@pytest.mark.parametrize(("soak", "count"), [(False, 3), (True, 7)])
def test_parameters(tmp_path: Path, soak: bool, count: int) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    [scenario] = load_scenarios(path, soak=soak)
    assert scenario.topology.controller.timers.linger == count
    assert getattr(scenario.steps[0], "connections", None) == count
    assert getattr(scenario.steps[1], "command", None) == f"echo {count} @{{web}}"


def test_parameters_on_bmv2(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.replace("soak: {count: 7}", "bmv2: {count: 2}"))
    for bmv2, count in ((False, 3), (True, 2)):
        [scenario] = load_scenarios(path, bmv2=bmv2)
        assert scenario.topology.controller.timers.linger == count
    path.write_text(SCENARIO.replace("soak: {count: 7}", "bmv2: {cuont: 2}"))
    with pytest.raises(ConfigError, match=r"bmv2\.cuont: no such parameter; there are: count, what"):
        load_scenarios(path)


def test_only_some_have_a_long_form(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.replace("soak: {count: 7}\n", ""))
    assert load_scenarios(path, soak=True) == []
    path.write_text(SCENARIO.replace("{count: 7}", "{cuont: 7}"))
    with pytest.raises(ConfigError, match=r"soak\.cuont: no such parameter; there are: count, what"):
        load_scenarios(path)
