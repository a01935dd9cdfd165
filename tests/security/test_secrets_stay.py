# SPDX-License-Identifier: Apache-2.0
"""Live cookie keys are in the switches' tables and nowhere else; nobody listens to the network by default."""

from __future__ import annotations

import base64
import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from finsy.proto import p4r, p4r_grpc

from controller.api.client import Access, ApiUnreachableError, _connection, get_json
from controller.config import ApiConfig
from controller.config_check import is_local
from softswitch import cli
from softswitch.p4runtime.device import Device, DeviceOptions
from softswitch.p4runtime.server import Server
from tests.p4runtime.fakes import FakeEngine, compile_fake

PROGRAM = Path(__file__).parents[2] / "p4src" / "v1model" / "syncline.p4"
LISTENING = "0A"
EPOCH = 2.0


def until(condition: Callable[[], Any], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A switch and a controller, as talkative as they can be; their output is in files of `tmp_path`."""
    config = {
        "program": {"p4": str(PROGRAM)},
        "api": {"listen": "unix:api.sock"},
        "state": "learned.json",
        "switches": [
            {"name": "a", "address": "unix:a.sock", "ports": [{"port": 1, "mac": "02:00:00:00:00:01"}]}
        ],
        "services": [{"name": "web", "address": "203.0.113.10", "port": 80}],
        "timers": {"epoch": EPOCH},
    }
    (tmp_path / "controller.yaml").write_text(yaml.safe_dump(config))
    started = []
    for name, arguments in (
        ("a", ["switch", "--grpc-server-addr", f"unix:{tmp_path}/a.sock"]),
        ("controller", ["controller", "--config", str(tmp_path / "controller.yaml")]),
    ):
        with (tmp_path / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "controller", *arguments, "--log-level", "debug"]
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
    yield started
    for process in started:
        process.kill()
        process.wait()


def keys_in(address: str) -> set[tuple[int, int, int]]:
    """The cookie keys that a switch holds: two words and the epoch."""
    found = set()
    with grpc.insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        info = stub.GetForwardingPipelineConfig(
            p4r.GetForwardingPipelineConfigRequest(device_id=1), timeout=10
        ).config.p4info
        [table] = [t.preamble.id for t in info.tables if t.preamble.alias == "cookie_keys"]
        request = p4r.ReadRequest(device_id=1)
        request.entities.add().table_entry.table_id = table
        for reply in stub.Read(request, timeout=10):
            for entity in reply.entities:
                if params := entity.table_entry.action.action.params:
                    k0, k1, epoch = (int.from_bytes(param.value, "big") for param in params)
                    found.add((k0, k1, epoch))
    return found


def forms(word: int) -> list[bytes]:
    """How a 32-bit word may stand in an output."""
    big, little = word.to_bytes(4, "big"), word.to_bytes(4, "little")
    shown = [str(word).encode(), f"{word:x}".encode(), f"{word:08X}".encode(), big, little]
    return [*shown, base64.b64encode(big).rstrip(b"=")]


def test_keys_are_in_no_output(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    api = f"unix:{tmp_path}/api.sock"

    def ready() -> bool:
        try:
            return bool(get_json(api, "/api/status")["ready"])
        except ApiUnreachableError:
            return False

    until(ready)
    keys = keys_in(f"unix:{tmp_path}/a.sock")
    epoch = get_json(api, "/api/status")["epoch"]["number"]
    until(lambda: get_json(api, "/api/status")["epoch"]["number"] > epoch)
    keys |= keys_in(f"unix:{tmp_path}/a.sock")
    assert len(keys) >= 3
    for path in ("/api/status?fresh", "/api/sessions", "/metrics"):
        connection = _connection(api, Access())
        connection.request("GET", path)
        (tmp_path / path.strip("/").replace("/", "-")).write_bytes(connection.getresponse().read())
        connection.close()
    os.kill(processes[1].pid, signal.SIGHUP)
    until(lambda: b"loaded anew" in (tmp_path / "controller.log").read_bytes())
    assert [listeners(process.pid) for process in processes] == [[], []]
    for process in reversed(processes):
        process.terminate()
        assert process.wait(30) == 0
    outputs = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert {"a.log", "controller.log", "metrics", "api-sessions"} <= set(outputs)
    for word in {word for k0, k1, _ in keys for word in (k0, k1)}:
        for name, content in outputs.items():
            assert not [form for form in forms(word) if form in content], f"a cookie key is in {name}"


def listeners(pid: int) -> list[str]:
    """The TCP addresses that a process listens on, as /proc/net/tcp writes them."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(link)
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    lines = [
        line.split()
        for family in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]
    ]
    return [fields[1] for fields in lines if fields[3] == LISTENING and fields[9] in inodes]


def test_defaults_are_this_machines_own() -> None:
    assert is_local(ApiConfig().listen)
    assert is_local(inspect.signature(cli.switch).parameters["address"].default)


def test_a_switch_open_to_all_says_so(caplog: pytest.LogCaptureFixture) -> None:
    device = Device(DeviceOptions(), compile_fake, FakeEngine)
    for address, told in (("127.0.0.1:0", False), ("0.0.0.0:0", True)):
        caplog.clear()
        Server(device, address).stop()
        assert ("whoever comes controls the switch" in caplog.text) is told
    device.close()
