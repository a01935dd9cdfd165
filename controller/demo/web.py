# SPDX-License-Identifier: Apache-2.0
"""The traffic of the demo: Python's own HTTP server, curl, and short timed connections."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.config import socket_text
from controller.lab.lab import Lab
from controller.lab.signals import uninterrupted
from controller.scenario.clients import many, percentile
from controller.scenario.netns import tcp_socket

PAGE, FILE = "page.html", "file.bin"
FILE_BYTES = 50 << 20
_SHORT_TIMEOUT_S = 15.0
CLIENT, SERVER, SERVICE = "client", "server", "web"


@dataclass(frozen=True)
class WebServer:
    """An HTTP server that runs on the lab's server, with the files of a folder."""

    address: str
    port: int
    folder: Path

    def url(self, name: str) -> str:
        """The address of one of its files."""
        return f"http://{socket_text(self.address, self.port)}/{name}"

    def sha256(self, name: str) -> str:
        """Checksum of a file as it lies at the server."""
        return sha256_of(self.folder / name)


@contextmanager
def web_server(lab: Lab, folder: Path) -> Iterator[WebServer]:
    """Runs `python -m http.server` on the lab's server, with a page and a file of 50 MiB, until the context
    ends.
    """
    service = next(s for s in lab.plan.topology.services if s.name == SERVICE)
    server = WebServer(str(service.address), service.port, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text("<!doctype html><title>Syncline</title><p>Through two PoPs.</p>\n")
    (folder / FILE).write_bytes(os.urandom(FILE_BYTES))
    # It looks its own name up when it starts. Nobody answers DNS in a lab: let it give up soon.
    environment = {**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"}
    command = [sys.executable, "-P", "-m", "http.server", "--bind", "0.0.0.0", str(server.port)]
    process = None
    log_path = folder.parent / "http-server.log"
    try:
        with log_path.open("wb") as log, uninterrupted():
            process = lab.popen(SERVER, command, cwd=folder, env=environment, stdout=log, stderr=log)
        _wait_until_it_listens(lab, server, process, log_path)
        yield server
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def _wait_until_it_listens(lab: Lab, server: WebServer, process: subprocess.Popen[Any], log: Path) -> None:
    """Asked from the server itself: no connection through the switches yet."""
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        with tcp_socket(lab.netns(SERVER), server.address) as probe:
            if probe.connect_ex((server.address, server.port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the HTTP server does not listen; see {log}")


@dataclass(frozen=True)
class CurlResult:
    """How a curl command ended: exit code, seconds, and the checksum of what it has written."""

    code: int
    seconds: float
    sha256: str
    error: str


class Curl:
    """A curl command on the client, under way or done. `limit` is in bytes per second."""

    def __init__(
        self, lab: Lab, url: str, target: Path, *, limit: int | None = None, timeout_s: int = 60
    ) -> None:
        self.target = target
        target.unlink(missing_ok=True)
        command = ["curl", "-sS", "--fail", "--max-time", str(timeout_s), "-o", str(target)]
        command += [] if limit is None else ["--limit-rate", str(limit)]
        self._start = time.monotonic()
        with uninterrupted():
            self._process = lab.popen(CLIENT, [*command, url], stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Curl:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self._process.kill()
            self._process.communicate()

    @property
    def running(self) -> bool:
        """Whether it still transfers."""
        return self._process.poll() is None

    @property
    def received(self) -> int:
        """Bytes written so far."""
        return self.target.stat().st_size if self.target.exists() else 0

    def wait(self) -> CurlResult:
        """Waits for its end, which curl's own time limit bounds."""
        _, error = self._process.communicate()
        seconds = time.monotonic() - self._start
        digest = sha256_of(self.target) if self.target.exists() else ""
        return CurlResult(self._process.returncode, seconds, digest, error.strip())


@dataclass(frozen=True)
class ShortConnections:
    """Outcome of many short HTTP requests, each on a connection of its own: times in milliseconds, and the
    failures.
    """

    times_ms: list[float]
    failures: list[str]

    def figures(self) -> dict[str, Any]:
        """For the report."""
        figures: dict[str, Any] = {
            "connections": len(self.times_ms) + len(self.failures),
            "failed": len(self.failures),
        }
        if self.times_ms:
            figures |= {
                "median_ms": round(percentile(self.times_ms, 0.5), 2),
                "p99_ms": round(percentile(self.times_ms, 0.99), 2),
                "slowest_ms": round(max(self.times_ms), 2),
            }
        return figures | ({"first_failure": self.failures[0]} if self.failures else {})


def short_connections(
    lab: Lab, server: WebServer, count: int, *, parallel: int = 4, over_s: float
) -> ShortConnections:
    """Fetches the page `count` times, spread over `over_s` seconds; the body is compared each time."""
    page = (server.folder / PAGE).read_bytes()
    netns = lab.netns(CLIENT)
    outcomes = many(count, parallel, lambda _: _fetch(netns, server, page), over_s=over_s)
    return ShortConnections(
        [outcome * 1000 for outcome in outcomes if isinstance(outcome, float)],
        [f"{type(outcome).__name__}: {outcome}" for outcome in outcomes if isinstance(outcome, Exception)],
    )


def _fetch(netns: str, server: WebServer, page: bytes) -> float:
    """Seconds from the SYN to the last byte of the page."""
    connection = http.client.HTTPConnection(server.address, server.port)
    with tcp_socket(netns, server.address) as sock:
        sock.settimeout(_SHORT_TIMEOUT_S)
        start = time.monotonic()
        sock.connect((server.address, server.port))
        connection.sock = sock
        connection.request("GET", f"/{PAGE}")
        try:
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise RuntimeError(f"bad answer: {error!r}") from error
        seconds = time.monotonic() - start
    if answer.status != http.client.OK or body != page:
        raise RuntimeError(f"status {answer.status} and {len(body)} bytes instead of the page")
    return seconds


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing_tools(tools: Sequence[str] = ("curl",)) -> list[str]:
    """Which of the programs that the demo needs are not installed."""
    return [tool for tool in tools if shutil.which(tool) is None]
