# SPDX-License-Identifier: Apache-2.0
"""Whole labs: real switches, a real controller, kernel TCP through them; and the command line around them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.lab.network import existing_namespaces
from controller.lab.plan import make_plan
from controller.lab.processes import processes_in, processes_marked
from controller.lab.state import LabFiles, LabState
from controller.lab.supervisor import MARK
from controller.lab.topology import load_topology

pytestmark = pytest.mark.root

SYNCLINE = [sys.executable, "-m", "controller"]
CLIENT_ADDRESSES = [
    *("198.51.100.10", "2001:db8:51::10"),
    *("198.18.1.2", "2001:db8:1::2", "198.18.2.2", "2001:db8:2::2"),
]


def syncline(
    *arguments: str, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SYNCLINE, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )


@contextmanager
def web_server(lab: Lab, folder: Path) -> Iterator[None]:
    server = lab.popen(
        "server", [sys.executable, "-m", "http.server", "80"], cwd=folder, stdout=-3, stderr=-3
    )
    try:
        deadline = time.monotonic() + 10
        probe = "import socket; socket.create_connection(('127.0.0.1', 80))"
        while lab.run("server", [sys.executable, "-c", probe]).returncode != 0:
            assert time.monotonic() < deadline, "the web server does not listen"
        yield
    finally:
        server.kill()
        server.wait()


def fetch(lab: Lab, url: str = "http://203.0.113.10/page") -> str:
    done = lab.run("client", ["curl", "-sS", "-m", "10", url])
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- two-pop, once for all these ---------------------------------------------------------------------------


def test_a_page_through_two_pops(two_pop: Lab, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("hello")
    with web_server(two_pop, tmp_path):
        assert fetch(two_pop) == "hello"
    time.sleep(1.1)  # the counters of a second ago are good enough for the controller
    events = two_pop.api("/api/status")["events"]
    assert events["a"]["TO_SERVER"] > 3, "the client's packets enter through a"
    assert events["b"]["TO_CLIENT"] > 3, "the server's packets enter through b"
    assert "TO_CLIENT" not in events["a"], "nothing goes the other way"
    assert "TO_SERVER" not in events["b"], "nothing goes the other way"
    assert (two_pop.pcap_dir / "a-eth1_in.pcap").stat().st_size > 200


def test_the_controller_dies_and_a_new_one_takes_over(two_pop: Lab, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("again")
    two_pop.kill_controller()
    assert not two_pop.processes.running("controller")
    assert two_pop.status()["ready"] is False
    with pytest.raises(LabError, match="controller is not running"):
        two_pop.kill_controller()
    two_pop.start_controller()
    two_pop.wait_ready()
    with web_server(two_pop, tmp_path):
        assert fetch(two_pop) == "again"


def test_a_switch_is_stopped_and_started_again(two_pop: Lab, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("back")
    two_pop.stop_switch("b")
    assert two_pop.status()["switches"]["b"]["running"] is False
    with pytest.raises(LabError, match="b is not running"):
        two_pop.stop_switch("b")
    two_pop.start_switch("b")
    deadline = time.monotonic() + 30
    while not two_pop.status()["ready"]:
        assert time.monotonic() < deadline, two_pop.processes.tail("controller")
        time.sleep(0.1)
    with web_server(two_pop, tmp_path):
        assert fetch(two_pop) == "back"


def test_another_process_attaches(two_pop: Lab) -> None:
    other = Lab.attach(two_pop.name)
    assert other.status() == two_pop.status()
    assert other.api("/api/status")["ready"] is True


def test_status_as_json(two_pop: Lab) -> None:
    done = syncline("lab", "status", two_pop.name, "--json")
    document = json.loads(done.stdout)
    name = two_pop.name
    assert document["hosts"]["client"] == {
        "netns": f"{name}-client",
        "addresses": CLIENT_ADDRESSES,
    }
    a = document["switches"]["a"]
    assert (a["netns"], a["ports"]) == (f"{name}-a", {"1": "a-eth1", "2": "a-eth2"})
    assert Path(a["grpc"].removeprefix("unix:")).is_socket()
    assert document["services"]["web"] == {"host": "server", "address": "203.0.113.10", "port": 80}


def test_status_as_text(two_pop: Lab) -> None:
    done = syncline("lab", "status")
    assert f"lab {two_pop.name} (softswitch): traffic can flow." in done.stdout
    assert f"client    {two_pop.name}-client    {', '.join(CLIENT_ADDRESSES)}\n" in done.stdout


def test_exec_passes_everything_through(two_pop: Lab) -> None:
    done = syncline("lab", "exec", "client", "--", "sh", "-c", "cat; echo $$ >&2; exit 7", stdin="in")
    assert (done.returncode, done.stdout) == (7, "in")
    assert done.stderr.strip().isdecimal()
    done = syncline("lab", "exec", "--lab", two_pop.name, "a", "ls", "--", "/sys/class/net")
    assert done.stdout.split() == ["a-eth1", "a-eth2", "lo"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody", "--", "true"], 1, "has no host nobody; it has client, backbone, server, a, b"),
        (["client", "--", "no-such-command"], 127, "no-such-command: command not found"),
        (["client", "--"], 1, "give the command to run"),
        (["--lab", "no-lab", "client", "--", "true"], 1, "no lab no-lab is up"),
    ],
)
def test_exec_that_cannot_be(two_pop: Lab, arguments: list[str], code: int, said: str) -> None:
    done = syncline("lab", "exec", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.shell
def test_an_operators_shell_reads_beside_the_controller(two_pop: Lab) -> None:
    script = 'tables\nprint("services", len(list(table_entry["services_v4"].read())))\n'
    done = syncline("lab", "shell", "a", stdin=script)
    assert "You are not the primary client" in done.stdout
    assert "sessions_v4" in done.stdout
    assert "services 3" in done.stdout
    assert two_pop.status()["ready"] is True


def test_a_shell_on_what_is_no_switch(two_pop: Lab) -> None:
    done = syncline("lab", "shell", "client")
    assert (done.returncode, done.stderr) == (1, f"lab {two_pop.name} has no switch client; it has a, b\n")


def test_a_second_lab_of_the_same_name(two_pop: Lab) -> None:
    done = syncline("lab", "up", "two-pop", "--name", two_pop.name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"take it down with: syncline lab down {two_pop.name}\n")
    assert two_pop.status()["ready"] is True


# --- going up and down -------------------------------------------------------------------------------------


def test_up_and_down_at_the_command_line(lab_name: str) -> None:
    done = syncline("lab", "up", "single", "--name", lab_name)
    assert done.returncode == 0, done.stderr
    assert f"lab {lab_name} is up" in done.stdout
    done = syncline("lab", "down", lab_name)
    assert done.returncode == 0
    assert f"removed {lab_name}-client" in done.stdout
    done = syncline("lab", "down", "single", "--name", lab_name)
    assert (done.returncode, done.stdout) == (0, "nothing to take down\n")
    nothing_is_left(lab_name)


def test_the_prompt(lab_name: str) -> None:
    script = "client echo from $HOME\nstatus\nsessions\nnobody ls\n\nhelp\nexit\nclient echo not reached\n"
    done = syncline("lab", "run", "single", "--name", lab_name, stdin=script)
    assert "from $HOME\n" in done.stdout
    assert "in-service" in done.stdout
    assert "0 sessions" in done.stdout
    assert "hosts and switches: client, server, s\n" in done.stdout
    assert "not reached" not in done.stdout
    assert "nobody: neither a command nor a host; try help\n" in done.stderr
    assert done.returncode == 1, "a script's failed command is a failure"
    nothing_is_left(lab_name)


def test_a_service_with_a_command_runs_on_its_host(lab_name: str, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("served by the lab")
    single = load_topology("single")
    run = f"{sys.executable} -m http.server 80 --directory {tmp_path}"
    services = [single.services[0].model_copy(update={"run": run})]
    lab = Lab.up(single.model_copy(update={"services": services}), name=lab_name)
    try:
        assert fetch(lab) == "served by the lab"
        assert lab.processes.running("service-web")
    finally:
        lab.down()
    nothing_is_left(lab_name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_up_leaves_nothing(lab_name: str, number: int) -> None:
    with going_up(lab_name, "switch") as process:
        process.send_signal(number)
        assert process.wait(timeout=30) != 0
        nothing_is_left(lab_name)


@pytest.mark.parametrize("moment", ["namespaces", "switch", "controller"])
def test_down_clears_away_what_a_crash_has_left(lab_name: str, moment: str) -> None:
    with going_up(lab_name, moment) as process:
        process.kill()
        process.wait()
    assert LabState.load(LabFiles.of(lab_name)) is not None
    done = syncline("lab", "down", lab_name)
    assert done.returncode == 0, done.stderr
    nothing_is_left(lab_name)


def test_down_without_a_state_file(lab_name: str) -> None:
    with going_up(lab_name, "controller") as process:
        process.kill()
        process.wait()
    LabFiles.of(lab_name).state.unlink()
    done = syncline("lab", "down", "single", "--name", lab_name)
    assert done.returncode == 0, done.stderr
    nothing_is_left(lab_name)


def test_a_switch_that_does_not_start(lab_name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "simple_switch_grpc"
    broken.write_text("#!/bin/sh\necho this switch says why >&2\nexit 3\n")
    compiler = tmp_path / "p4c-bm2-ss"
    compiler.write_text(
        '#!/bin/sh\nwhile [ $# -gt 1 ]; do case $1 in -o|--p4runtime-files) : >"$2";; esac; shift; done\n'
    )
    for tool in (broken, compiler):
        tool.chmod(0o755)
    monkeypatch.setenv("SYNCLINE_BMV2", str(tmp_path))
    with pytest.raises(
        LabError, match=r"^s ended (at once|before the lab was ready)\n--- .*/s.log\nthis switch says why$"
    ):
        Lab.up("single", name=lab_name, target="bmv2")
    nothing_is_left(lab_name)


def nothing_is_left(name: str) -> None:
    namespaces = [
        namespace for topology in ("single", "two-pop") for namespace in _namespaces(topology, name)
    ]
    assert existing_namespaces(namespaces) == []
    assert processes_in(namespaces) == []
    assert processes_marked(MARK, str(LabFiles.of(name).root)) == []
    assert not LabFiles.of(name).state.exists()


def _namespaces(topology: str, name: str) -> list[str]:
    return make_plan(load_topology(topology), name).namespaces


@contextmanager
def going_up(name: str, moment: str) -> Iterator[subprocess.Popen[str]]:
    """`lab up single` on its way, at the moment when it says that it makes namespaces, starts a switch, …"""
    words = {
        "namespaces": "making 3 namespaces",
        "switch": "starting switch",
        "controller": "waiting for the con",
    }
    process = subprocess.Popen(
        [*SYNCLINE, "lab", "up", "single", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(words[moment]):
                break
        else:
            raise AssertionError(f"never said: {words[moment]}")
        yield process
    finally:
        process.kill()
        process.communicate()
