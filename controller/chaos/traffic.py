# SPDX-License-Identifier: Apache-2.0
"""The traffic of a run: long transfers and short connections without a pause, every byte checked.

What is promised differs with how far a connection has come. `established`: both sides have had bytes of the
other's; it must end well. Before that, a fault may cost it.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.scenario.netns import tcp_socket

_PATIENCE = 60.0  # seconds without any progress
_TURN = 4096  # bytes of one turn of a transfer


class EndedError(Exception):
    """A connection ended before it should have."""


@dataclass(frozen=True)
class Outcome:
    """How a connection went. Times count from the start of the run; `failure` is empty when all went well."""

    name: str
    began: float
    ended: float
    established: bool
    turns: int
    set_up: float
    """Seconds from the first SYN to the first byte that came back; 0 when none did."""
    failure: str = ""
    client: tuple[str, int] = ("", 0)
    server: tuple[str, int] = ("", 0)


class Traffic:
    """Clients in the namespace `netns` of echo servers at `targets`, each a thread, until `stop`."""

    def __init__(
        self,
        netns: str,
        targets: list[tuple[str, int]],
        seed: int,
        start: float,
        report: Callable[[Outcome], None],
    ) -> None:
        self._netns = netns
        self._targets = targets
        self._seed = seed
        self._start = start
        self._report = report
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, transfers: int, short: int) -> None:
        """So many long transfers at a time, and so many short connections."""
        for number in range(transfers):
            # Some transfers live through the whole run, others begin and end within it.
            lives = (10**9, 200, 40)[number % 3]
            self._spawn(f"transfer {number}", (lives, lives), 0.1)
        for number in range(short):
            self._spawn(f"short {number}", (2, 5), 0.02)

    def stop(self) -> None:
        """Ends all in order: what is open goes on to the end of its turn, and closes."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * _PATIENCE)

    def _spawn(self, name: str, turns: tuple[int, int], pause: float) -> None:
        source = random.Random(f"{self._seed} {name}")
        thread = threading.Thread(target=self._run, args=(name, source, turns, pause), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, name: str, source: random.Random, turns: tuple[int, int], pause: float) -> None:
        while not self._stopping.is_set():
            self._report(self._connection(name, source, source.randint(*turns), pause))
            self._stopping.wait(source.uniform(0.0, 0.2))

    def _connection(self, name: str, source: random.Random, turns: int, pause: float) -> Outcome:
        began, done, set_up, failure = self._now(), 0, 0.0, ""
        target, client, waits_for = source.choice(self._targets), ("", 0), "SYN/ACK"
        try:
            with tcp_socket(self._netns, target[0]) as sock:
                sock.settimeout(_PATIENCE)
                try:
                    sock.connect(target)
                finally:
                    client = sock.getsockname()[:2]
                waits_for = "first byte"
                while done < turns and not (done and self._stopping.is_set()):
                    _turn(sock, source.randbytes(_TURN))
                    done, waits_for = done + 1, "next byte"
                    set_up = set_up or self._now() - began
                    self._stopping.wait(source.uniform(0.0, pause))
                sock.shutdown(socket.SHUT_WR)
                if sock.recv(1):
                    raise EndedError("more bytes came than were sent")
        except (OSError, EndedError) as error:
            failure = f"{str(error) or type(error).__name__}, waiting for the {waits_for}"
        return Outcome(name, began, self._now(), done > 0, done, set_up, failure, client, target)

    def _now(self) -> float:
        return time.monotonic() - self._start


def _turn(sock: socket.socket, data: bytes) -> None:
    """Sends bytes and compares the echo."""
    sock.sendall(data)
    received = b""
    while len(received) < len(data):
        more = sock.recv(len(data) - len(received))
        if not more:
            raise EndedError("the server's end came too early")
        received += more
    if received != data:
        raise EndedError("other bytes came back than were sent")
