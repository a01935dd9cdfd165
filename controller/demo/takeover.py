# SPDX-License-Identifier: Apache-2.0
"""Section 4: the controller dies in the middle of a transfer, and a new one takes over."""

from __future__ import annotations

import http.client
import signal
import time
from typing import Any

from controller.demo.context import Demo
from controller.demo.web import CLIENT, FILE, FILE_BYTES, PAGE, Curl, short_connections
from controller.lab.errors import LabError
from controller.scenario.netns import tcp_socket

_RATE = 8 << 20
"""Bytes a second of the transfer: some 6 s for the whole file."""
_KILL_AT = FILE_BYTES // 4
_NEW_CONNECTIONS = 20
_READY_S = 30.0


def run(demo: Demo) -> None:
    """Kills the controller at a quarter of a download; starts a new one when the download is done."""
    demo.report.section("4. The controller is killed in the middle of a transfer")
    url, target = demo.server.url(FILE), demo.folder / FILE
    idle = tcp_socket(demo.lab.netns(CLIENT), demo.server.address)
    with idle, Curl(demo.lab, url, target, limit=_RATE) as curl:
        idle.settimeout(20)
        idle.connect((demo.server.address, demo.server.port))
        idle.sendall(b"GET ")  # opens the session; the rest of the request comes after the take-over
        held = _survive(demo, curl)
        _take_over(demo, held)
        _after(demo, idle)


def _survive(demo: Demo, curl: Curl) -> int:
    """The transfer without a controller; returns how many sessions the switches held when it died."""
    while curl.running and curl.received < _KILL_AT:
        time.sleep(0.02)
    held = _sessions(demo.lab.api("/api/status"))
    at_kill = curl.received
    in_the_middle = curl.running and 0 < at_kill < FILE_BYTES
    demo.lab.kill_controller(signal.SIGKILL)
    result = curl.wait()
    demo.report.check(
        "SIGKILL to the controller: the transfer of 50 MiB completes without it, checksums equal",
        in_the_middle and result.code == 0 and result.sha256 == demo.server.sha256(FILE),
        received_when_killed=at_kill,
        received=curl.received,
        seconds=round(result.seconds, 2),
        sha256=result.sha256[:16],
        **({"error": result.error} if result.error else {}),
    )
    return held


def _take_over(demo: Demo, held: int) -> None:
    start = time.monotonic()
    demo.lab.start_controller()
    try:
        demo.lab.wait_ready(_READY_S)
    except LabError as error:
        demo.report.check("a new controller takes over", False, error=str(error).splitlines()[0])
        return
    seconds = time.monotonic() - start
    status = demo.lab.api("/api/status")
    read_back = _sessions(status)
    by_switch = {f"held_by_{switch['name']}": switch["sessions"] for switch in status["switches"]}
    demo.report.check(
        "a new controller takes over and reads the sessions back from the switches",
        read_back > 0 and all(count == read_back for count in by_switch.values()),
        seconds=round(seconds, 2),
        sessions_when_killed=held,
        sessions_read_back=read_back,
        **by_switch,
    )


def _after(demo: Demo, idle: Any) -> None:
    connection = http.client.HTTPConnection(demo.server.address)
    connection.sock = idle
    error = ""
    try:
        idle.sendall(f"/{PAGE} HTTP/1.0\r\n\r\n".encode())
        answer = http.client.HTTPResponse(idle)
        answer.begin()
        body = answer.read()
    except (OSError, http.client.HTTPException) as problem:
        body, error = b"", repr(problem)
    demo.report.check(
        "a connection from before the kill goes on under the new controller",
        body == (demo.server.folder / PAGE).read_bytes(),
        bytes=len(body),
        **({"error": error} if error else {}),
    )
    new = short_connections(demo.lab, demo.server, _NEW_CONNECTIONS, over_s=0.0)
    demo.report.check("new connections work", not new.failures, **new.figures())


def _sessions(status: dict[str, Any]) -> int:
    return int(status["sessions"]["open"]) + int(status["sessions"]["closing"])
