# SPDX-License-Identifier: Apache-2.0
"""Connections that stay open, from the kernels of two hosts; a script of its own, run inside a lab's hosts.

    holding.py serve ADDRESS PORT
    holding.py open ADDRESS PORT COUNT AT_ONCE PER_SECOND

The server greets with a byte, so a connection counts when its session is known everywhere and the client's
first packet was released. `open` prints a line of JSON (connections opened and failed, seconds, milliseconds
of each), keeps them until its standard input ends, then resets them. PER_SECOND 0: as fast as they go.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import struct
import sys
import time

_PATIENCE = 15.0  # seconds for one connection
_RESET = struct.pack("ii", 1, 0)


def serve(address: str, port: int) -> None:
    """Accepts, greets and keeps connections, until killed."""
    with socket.create_server((address, port), backlog=4096) as listener:
        print("ready", flush=True)
        kept = []
        while True:
            connection, _ = listener.accept()
            connection.send(b"!")
            kept.append(connection)


def open_many(address: str, port: int, count: int, at_once: int, per_second: float) -> None:
    """Opens so many connections, so many at once at most, and reports."""
    chooser = selectors.DefaultSelector()
    began: dict[socket.socket, float] = {}
    done: list[socket.socket] = []
    milliseconds: list[float] = []
    failed = started = 0
    start = time.monotonic()
    while len(milliseconds) + failed < count:
        due = min(count, int((time.monotonic() - start) * per_second) + 1) if per_second else count
        while started < due and len(began) < at_once:
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex((address, port))
            began[connection] = time.monotonic()
            chooser.register(connection, selectors.EVENT_READ)
            started += 1
        for ready, _ in chooser.select(0.002 if per_second else 0.1):
            connection = ready.fileobj  # type: ignore[assignment]
            chooser.unregister(connection)
            took = time.monotonic() - began.pop(connection)
            if _greeted(connection):
                milliseconds.append(took * 1e3)
                done.append(connection)
            else:
                failed += 1
        for connection in [c for c, since in began.items() if time.monotonic() - since > _PATIENCE]:
            chooser.unregister(connection)
            del began[connection]
            connection.close()
            failed += 1
    seconds = time.monotonic() - start
    report = {"opened": len(done), "failed": failed, "seconds": seconds, "ms": milliseconds}
    print(json.dumps(report), flush=True)
    sys.stdin.read()
    for connection in done:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()


def _greeted(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b"!"
    except OSError:
        return False


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    command, host, *numbers = sys.argv[1:]
    if command == "serve":
        serve(host, int(numbers[0]))
    else:
        open_many(host, int(numbers[0]), int(numbers[1]), int(numbers[2]), float(numbers[3]))
