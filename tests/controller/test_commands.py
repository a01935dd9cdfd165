# SPDX-License-Identifier: Apache-2.0
"""The commands: exit codes, tables, one clear line when something is wrong."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from google.protobuf import text_format
from typer.testing import CliRunner, Result

from controller import commands
from controller.api.client import find_api

from .fake_switch import make_p4info

STATUS = {
    "name": "lab",
    "role": "leading",
    "memory_bytes": 90 << 20,
    "ready": False,
    "uptime_s": 75.2,
    "epoch": {"number": 4, "rotating": True, "age_s": 1.0},
    "federation": None,
    "switches": [
        {
            "name": "a",
            "address": "unix:/a",
            "device_id": 1,
            "state": "in-service",
            "reason": "",
            "sessions": 2,
        },
        {"name": "b", "address": "unix:/b", "device_id": 1, "state": "down", "reason": "gone", "sessions": 0},
    ],
    "services": [
        {
            "name": "web",
            "address": "203.0.113.10",
            "port": 80,
            "mss": 1460,
            "window_scale": None,
            "sack": True,
            "timestamps": False,
            "origin": {
                "mss": "configured",
                "window_scale": "learned",
                "sack": "default",
                "timestamps": "learned",
            },
            "learned": {"mss": 1400, "window_scale": None, "sack": True, "timestamps": False},
            "window": 5840,
            "unknown": "drop",
            "mode": "on-attack",
            "leaving": False,
            "sync": "all",
            "stance": "draining",
            "syn_rate": 12.4,
            "sessions": 2,
            "pending": 0,
        }
    ],
    "sessions": {"open": 1, "closing": 1},
    "pending": 3,
    "held_bytes": 99,
    "drops": {"a": {"BAD_COOKIE": 12}, "b": {}},
    "events": {"a": {}, "b": {}},
}
SESSIONS = {
    "total": 7,
    "sessions": [
        {
            "client": "198.51.100.1",
            "client_port": 4000,
            "server": "203.0.113.10",
            "server_port": 80,
            "service": "web",
            "phase": "OPEN",
            "age_s": 4000.0,
            "ingress": None,
        }
    ],
}


class _Handler(http.server.BaseHTTPRequestHandler):
    paths: list[str]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        body = json.dumps(STATUS if self.path == "/api/status" else SESSIONS).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    _Handler.paths = []
    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(*arguments: str) -> Result:
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, arguments)


def test_status_shows_states_and_reasons(api: str) -> None:
    result = run("status", "--api", api)
    assert result.exit_code == 0
    for text in (
        "lab leading, not ready, up 1m15s, cookie epoch 4, rotating",
        "memory: 90 MiB",
        "in-service",
        "b: gone",
        "none",
        "BAD_COOKIE 12",
    ):
        assert text in result.output
    for text in ("1460 (configured)", "none (learned)", "yes (default)", "no (learned)"):
        assert text in result.output
    assert "mss 1400, no scale, sack, no timestamps" in result.output
    for text in ("on-attack:", "draining", "12 SYNs/s"):
        assert text in result.output


def test_status_as_json_is_the_apis(api: str) -> None:
    assert json.loads(run("status", "--api", api, "--json").output) == STATUS


def test_sessions(api: str) -> None:
    result = run("sessions", "--api", api, "--limit", "3")
    assert _Handler.paths == ["/api/sessions?limit=3"]
    for text in ("7 sessions", "198.51.100.1:4000", "203.0.113.10:80", "1h06m", "?"):
        assert text in result.output


@pytest.mark.parametrize("command", ["status", "sessions"])
def test_nobody_there_is_one_line(command: str, tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", f"unix:{tmp_path}/none.sock"):
        result = run(command, "--api", address)
        assert result.exit_code == 1
        assert len(result.output.strip().splitlines()) == 1
        assert f"no controller answers at {address}" in result.output


def test_an_address_that_is_none() -> None:
    result = run("status", "--api", "here")
    assert result.exit_code == 1
    assert "give unix:PATH or HOST:PORT" in result.output


def test_something_else_that_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"220 smtp\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        result = run("status", "--api", f"127.0.0.1:{server.getsockname()[1]}")
    assert result.exit_code == 1
    assert "no Syncline controller" in result.output


def test_where_the_api_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNCLINE_API", raising=False)
    monkeypatch.setenv("SYNCLINE_BUILD", str(tmp_path))
    assert find_api() == "127.0.0.1:8080"
    for age, name in ((100, "old"), (10, "new")):
        path = tmp_path / "lab" / name / "run" / "controller.sock"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    assert find_api() == f"unix:{tmp_path}/lab/new/run/controller.sock"
    monkeypatch.setenv("SYNCLINE_API", "10.0.0.1:80")
    assert find_api() == "10.0.0.1:80"


# --- controller


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "p4info.txtpb").write_text(text_format.MessageToString(make_p4info()))
    (tmp_path / "program").write_bytes(b"program")
    path = tmp_path / "controller.yaml"
    path.write_text(
        "api: {listen: 'unix:api.sock'}\n"
        "program: {p4info: p4info.txtpb, device_config: program}\n"
        "switches:\n"
        "- {name: a, address: 'unix:none.sock', ports: [{port: 1, mac: '02:00:00:00:00:01'}]}\n"
    )
    return path


def test_check(config: Path) -> None:
    result = run("controller", "--config", str(config), "--check")
    assert (result.exit_code, result.output) == (0, f"{config}: good (1 switches, 0 services)\n")


def test_a_bad_configuration_is_a_usage_error(config: Path) -> None:
    config.write_text(config.read_text() + "colour: blue\nservices: 5\n")
    result = run("controller", "--config", str(config))
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"{config}: services: 5: input should be a valid list; give a list of services",
        f"{config}: colour: unknown key; known here: api, federation, limits, log, name, program, services, "
        "state, switches, timers, tls",
    ]


def test_a_bad_log_level(config: Path) -> None:
    result = run("controller", "--config", str(config), "--log-level", "loud")
    assert result.exit_code == 2
    assert "'loud' is none of" in result.output


def start(config: Path) -> subprocess.Popen[str]:
    code = "import typer; from controller import commands; a = typer.Typer(); commands.register(a); a()"
    command = [sys.executable, "-c", code, "controller", "--config", str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(config: Path, number: signal.Signals) -> None:
    with start(config) as process:
        path = config.parent / "api.sock"
        for _ in range(300):
            if path.exists() and "cannot connect" in run("status", "--api", f"unix:{path}").output:
                break
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        log = process.stderr.read()
    assert not path.exists()
    assert "switch a is down: cannot connect: No such file or directory" in log
    assert "Traceback" not in log


def test_an_api_address_in_use_is_one_line(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config.write_text(config.read_text().replace("unix:api.sock", f"127.0.0.1:{port}"))
        with start(config) as process:
            assert process.wait(20) == 1
            assert process.stderr is not None
            [line] = process.stderr.read().splitlines()
    assert line.endswith(f"ERROR api.listen: 127.0.0.1:{port}: already in use")


def test_a_program_that_lacks_something(config: Path) -> None:
    info = make_p4info()
    del info.tables[3]
    (config.parent / "p4info.txtpb").write_text(text_format.MessageToString(info))
    with start(config) as process:
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert "the program has no table" in process.stderr.read()


def test_a_program_that_does_not_compile(config: Path) -> None:
    source = config.parent / "bad.p4"
    source.write_text("header h { bit<8> x }\n")
    text = config.read_text().replace("p4info: p4info.txtpb, device_config: program", "p4: bad.p4")
    config.write_text(text)
    with start(config) as process:
        assert process.wait(20) == 1
        assert process.stderr is not None
        log = process.stderr.read()
    assert f"{source}:1:" in log
    assert "error:" in log
    assert "Traceback" not in log
