# SPDX-License-Identifier: Apache-2.0
"""Who gets an answer from the API: everybody on this machine's own addresses, elsewhere who has the token."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.client import Access, ApiUnreachableError, get_json
from controller.config import load_config
from controller.config_check import is_local
from controller.config_errors import ConfigError
from controller.lab.certificates import SERVER, Authority
from tests.security.test_reload import MAIL, File

TOKEN = "a-token-of-some-length"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def secret(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("unix:/run/x.sock", True),
        ("127.0.0.1:80", True),
        ("127.9.9.9:80", True),
        ("[::1]:80", True),
        ("localhost:80", True),
        ("0.0.0.0:80", False),
        ("[::]:80", False),
        ("192.0.2.1:80", False),
        ("host.example:80", False),
    ],
)
def test_what_only_this_machine_reaches(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local


def problems(file: File, **parts: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        file.write(**parts)
    return [line.removeprefix(f"{file.path}: ") for line in str(caught.value).splitlines()]


def test_nobody_listens_to_the_network_without_a_token(tmp_path: Path) -> None:
    file = File(tmp_path)
    [line] = problems(file, api={"listen": "0.0.0.0:8080"})
    assert line.startswith("api.listen: 0.0.0.0:8080 can be reached from other machines; give api.token")
    token = secret(tmp_path / "token", TOKEN, 0o644)
    [line] = problems(file, api={"listen": "0.0.0.0:8080", "token": "token"})
    assert line == f"api.token: {token}: mode 0644: others than its owner have access; chmod 600 {token}"
    token.chmod(0o600)
    file.write()


def test_files_of_tls_are_checked_with_the_configuration(tmp_path: Path) -> None:
    file, authority = File(tmp_path), Authority(tmp_path)
    authority.issue("a", [SERVER])
    good = {"ca": "ca.pem", "certificate": "a.pem", "key": "a.key"}
    file.write(tls=good, switches=[{**file.parts["switches"][0], "tls": False, "server_name": "x"}])
    (tmp_path / "a.key").chmod(0o644)
    [line] = problems(file, tls=good)
    assert line.startswith(f"tls.key: {tmp_path}/a.key: mode 0644: others")
    (tmp_path / "a.key").chmod(0o600)
    [line] = problems(file, tls={**good, "ca": "none.pem"})
    assert line == f"tls.ca: {tmp_path}/none.pem: No such file or directory; give the path of a readable file"
    assert problems(file, tls={"ca": "ca.pem", "certifcate": "a.pem", "key": "a.key"}) == [
        "tls.certificate: missing; give path of the controller's certificate, with its chain",
        "tls.certifcate: unknown key; did you mean certificate?",
    ]
    secret(tmp_path / "open.key", "", 0o644)
    own = {**file.parts["switches"][0], "tls": {**good, "key": "open.key"}}
    [line] = problems(file, tls=None, switches=[own])
    assert line.startswith(f"switches[0].tls.key: {tmp_path}/open.key: mode 0644")


class Controller:
    """A `syncline controller` process whose switches are away."""

    def __init__(self, file: File) -> None:
        command = [sys.executable, "-m", "controller", "controller", "--config", str(file.path)]
        self.log = (file.path.parent / "log").open("w+")
        self.process = subprocess.Popen(command, stderr=self.log)

    def said(self, text: str) -> bool:
        return text in Path(self.log.name).read_text()

    def errors(self) -> list[str]:
        return [line for line in Path(self.log.name).read_text().splitlines() if " ERROR " in line]

    def next_error(self, cause: Callable[[], None]) -> str:
        known = len(self.errors())
        cause()
        self.until(lambda: len(self.errors()) > known)
        [told] = self.errors()[known:]
        return told

    def until(self, condition: Callable[[], Any], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, Path(self.log.name).read_text()
            assert time.monotonic() < end, Path(self.log.name).read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture
def start() -> Iterator[Callable[[File], Controller]]:
    running: list[Controller] = []

    def starting(file: File) -> Controller:
        running.append(Controller(file))
        running[-1].until(lambda: running[-1].said("API on"))
        return running[-1]

    yield starting
    for controller in running:
        controller.process.kill()
        controller.process.wait()
        controller.log.close()


def syncline(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_token_over_tls(tmp_path: Path, start: Callable[[File], Controller]) -> None:
    file, authority, port = File(tmp_path), Authority(tmp_path), free_port()
    authority.issue("127.0.0.1", [SERVER])
    token, wrong = secret(tmp_path / "token", TOKEN), secret(tmp_path / "wrong", TOKEN[::-1])
    file.write(
        api={
            "listen": f"0.0.0.0:{port}",
            "token": "token",
            "tls": {"certificate": "127.0.0.1.pem", "key": "127.0.0.1.key"},
        }
    )
    controller = start(file)
    where, ca = f"https://127.0.0.1:{port}", authority.file
    assert get_json(where, "/api/status", Access(token, ca))["name"] == "syncline"
    for access, text in (
        (Access(None, ca), "a token is needed: give its file with --token-file or $SYNCLINE_API_TOKEN_FILE"),
        (Access(wrong, ca), "this is not the controller's token"),
        (Access(token, None), "TLS: unable to get local issuer certificate; give the CA"),
        (Access(tmp_path / "none", ca), f"{tmp_path}/none: No such file or directory"),
    ):
        for path in ("/api/status", "/api/sessions", "/metrics", "/none"):
            with pytest.raises(ApiUnreachableError) as caught:
                get_json(where, path, access)
            assert text in str(caught.value)
            assert TOKEN not in str(caught.value)
    done = syncline("status", "--api", where, "--token-file", str(token), "--ca", str(ca), "--json")
    assert json.loads(done.stdout)["ready"] is False
    done = syncline("status", "--api", where, SYNCLINE_API_TOKEN_FILE=str(wrong), SYNCLINE_API_CA=str(ca))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{where}/api/status: this is not the controller's token\n"
    # A new token and a new certificate count after a reload.
    secret(tmp_path / "token", "another-token-of-length")
    before = controller.process.pid
    os.kill(before, signal.SIGHUP)
    controller.until(lambda: controller.said("configuration loaded anew: nothing has changed"))
    assert get_json(where, "/api/status", Access(token, ca))["name"] == "syncline"
    assert controller.stop() == 0
    assert not controller.said(TOKEN)
    assert not controller.said("another-token")


def test_a_configuration_is_loaded_anew(tmp_path: Path, start: Callable[[File], Controller]) -> None:
    file = File(tmp_path)
    file.write(api={"listen": "unix:api.sock"})
    controller, api = start(file), f"unix:{tmp_path}/api.sock"
    file.write(services=[MAIL], timers={"idle": 10})
    done = syncline("reload", "--api", api)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "service web removed",
        "service mail added",
        "timers.idle 300 -> 10",
        "timers.barrier 1 -> 5",
        "timers.reconnect_min 0.02 -> 0.25",
        "timers.reconnect_max 0.05 -> 5",
    ]
    names = [service["name"] for service in get_json(api, "/api/status")["services"]]
    assert names == ["mail"]
    # With an error in it, the one before stays: said by the command, and in one line of the log.
    text = file.path.read_text()
    for broken, reason in (
        (text.replace("services:", "servces:"), "servces: unknown key; did you mean services?"),
        (text + "\n  - [", ":"),
        (yaml.safe_dump({**file.parts, "timers": {"idle": "long"}}), "timers.idle: 'long': input should be"),
    ):
        file.path.write_text(broken)
        done = syncline("reload", "--api", api)
        assert done.returncode == 1
        assert "the configuration of before stays" in done.stderr
        assert reason in done.stderr
        told = controller.next_error(lambda: os.kill(controller.process.pid, signal.SIGHUP))
        assert "configuration not loaded, the one before stays: " in told
        assert reason in told
    assert [service["name"] for service in get_json(api, "/api/status")["services"]] == ["mail"]
    file.write(log="debug")
    assert load_config(file.path).log == "debug"
    assert "log info -> debug" in syncline("reload", "--api", api).stdout
    assert controller.stop() == 0


def test_a_page_in_a_browser_cannot_reload(tmp_path: Path, start: Callable[[File], Controller]) -> None:
    file, port = File(tmp_path), free_port()
    file.write(api={"listen": f"127.0.0.1:{port}"})
    start(file)
    done = subprocess.run(
        [sys.executable, "-c", _POST, str(port)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == "415"


_POST = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("POST", "/api/reload", "x=1", {"Content-Type": "text/plain"})
print(connection.getresponse().status)
"""
