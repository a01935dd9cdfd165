# SPDX-License-Identifier: Apache-2.0
"""TCP connections from the kernel stack of a lab's host: timed, checked byte for byte, many at once."""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from controller.scenario.netns import tcp_socket
from controller.scenario.signatures import sign

_CHUNK = 1 << 16
_SPREAD_S = 0.05  # what is spread over a time goes piece by piece: no burst, and no silence, is longer
T = TypeVar("T")


class ExchangeError(RuntimeError):
    """A connection did not do what it should; the text says what happened instead."""


@dataclass(frozen=True)
class Exchange:
    """One connection to an echo server: what to send and how.

    `greeting` are bytes that the server must send first; `upload` bytes go up and must come back unchanged
    while they go; with `over_s` the upload is spread over that many seconds, with `pause_s` nothing is sent
    for so long in the middle of it, and with `until` more of it follows at that pace until this is set. With
    `answer` the server must send that many bytes of its own (`servers.TcpServer`) instead of the echo.
    `keep_alive_s`: the client's kernel probes a connection that has been idle for so long, again and again;
    0 = never. `source` is the local (address, port), 0 = any. Before it begins to read, `reads_after_s`
    seconds pass; `receive_buffer` bytes are asked for the socket (0: what the system gives). With a key
    `md5`, TCP-MD5 signs every segment.
    """

    target: tuple[str, int]
    upload: int = 0
    greeting: bytes = b""
    over_s: float = 0.0
    pause_s: float = 0.0
    answer: int = 0
    keep_alive_s: int = 0
    source: tuple[str, int] = ("", 0)
    timeout_s: float = 20.0
    receive_buffer: int = 0
    md5: bytes = b""
    reads_after_s: float = 0.0
    until: threading.Event | None = None


@dataclass(frozen=True)
class ExchangeResult:
    """Times in seconds; `sha256` of the bytes that came back, which are those that were to come."""

    connect_s: float
    total_s: float
    bytes_each_way: int
    sha256: str


def exchange(netns: str, plan: Exchange) -> ExchangeResult:
    """Connects, takes the greeting, sends and compares the echo, closes. ExchangeError or OSError when it
    goes wrong.
    """
    with tcp_socket(netns, plan.target[0]) as sock:
        sock.settimeout(plan.timeout_s)
        if plan.source != ("", 0):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(plan.source)
        if plan.md5:
            sign(sock, plan.md5, plan.target[0])
        if plan.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, plan.receive_buffer)
        if plan.keep_alive_s:
            _keep_alive(sock, plan.keep_alive_s)
        start = time.monotonic()
        sock.connect(plan.target)
        connected = time.monotonic()
        if plan.greeting:
            received = receive_exactly(sock, len(plan.greeting))
            if received != plan.greeting:
                raise ExchangeError(f"greeting {received!r} instead of {plan.greeting!r}")
        sent, digest = _echo(sock, plan)
        return ExchangeResult(connected - start, time.monotonic() - start, sent, digest)


def _keep_alive(sock: socket.socket, seconds: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        sock.setsockopt(socket.IPPROTO_TCP, option, seconds)


def receive_exactly(sock: socket.socket, length: int) -> bytes:
    """`length` bytes, or fewer when the peer ends first."""
    data = b""
    while len(data) < length and (more := sock.recv(length - len(data))):
        data += more
    return data


def refused(netns: str, target: tuple[str, int], timeout_s: float) -> float:
    """Seconds until the connection attempt was refused by RST; ExchangeError when it was not.

    A SYN proxy can only refuse after it accepted: so a reset as the first thing on a connection counts as
    refusal too.
    """
    start = time.monotonic()
    with tcp_socket(netns, target[0]) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(target)
            data = sock.recv(1)
        except (ConnectionRefusedError, ConnectionResetError):
            return time.monotonic() - start
        except TimeoutError as error:
            raise ExchangeError(f"neither refused nor reset within {timeout_s} s") from error
    raise ExchangeError(f"not refused, got {data!r}")


def many(
    count: int, parallel: int, function: Callable[[int], T], *, over_s: float = 0.0
) -> list[T | Exception]:
    """Calls function(0 … count - 1), at most `parallel` at once; the n-th not before n/count of `over_s`
    seconds.
    """
    start = time.monotonic()

    def one(n: int) -> T | Exception:
        time.sleep(max(0.0, start + over_s * n / count - time.monotonic()))
        try:
            return function(n)
        except (OSError, RuntimeError) as error:
            return error

    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(one, range(count)))


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0 … 1) of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def chunks(total: int, seed: int | None = None) -> Iterator[bytes]:
    """The first `total` pseudo-random bytes of a seed, by default `total`; no chunk equals another, so a
    lost, doubled or swapped one cannot go unnoticed.
    """
    source = random.Random(total if seed is None else seed)
    while total > 0:
        chunk = source.randbytes(_CHUNK)[:total]
        total -= len(chunk)
        yield chunk


def _echo(sock: socket.socket, plan: Exchange) -> tuple[int, str]:
    """How many bytes went, and the digest of those that came."""
    failure: list[OSError] = []
    sent = 0

    def send() -> None:
        nonlocal sent
        try:
            sent = send_spread(sock, plan.upload, plan.over_s, pause_s=plan.pause_s, until=plan.until)
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            failure.append(error)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    received, length = hashlib.sha256(), 0
    try:
        time.sleep(plan.reads_after_s)
        while data := sock.recv(_CHUNK):
            received.update(data)
            length += len(data)
    finally:
        if length < (plan.answer or plan.upload):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the sender
        sender.join()
    if failure:
        raise failure[0]
    expected = hashlib.sha256()
    for chunk in chunks(plan.answer) if plan.answer else chunks(sent, plan.upload):
        expected.update(chunk)
    if received.digest() != expected.digest():
        raise ExchangeError(f"{length} bytes came back of {plan.answer or sent}, or not the same ones")
    return sent, received.hexdigest()


def send_spread(
    sock: socket.socket,
    total: int,
    over_s: float,
    *,
    pause_s: float = 0.0,
    until: threading.Event | None = None,
) -> int:
    """Sends `total` pseudo-random bytes (`chunks`) evenly spread over `over_s` seconds, in the middle nothing
    for `pause_s` seconds. With `until`, goes on at that pace until it is set. Returns how many were sent.
    """
    start, done = time.monotonic(), 0
    size = min(_CHUNK, math.ceil(total * _SPREAD_S / over_s)) if over_s else _CHUNK
    data = chunks(total if until is None else sys.maxsize, total)
    for piece in (chunk[at : at + size] for chunk in data for at in range(0, len(chunk), size)):
        pause = max(0.0, start + over_s * done / total - time.monotonic())
        if until is None or done < total:
            time.sleep(pause)
        elif until.wait(pause):
            break
        half = len(piece) // 2 if pause_s and done + len(piece) > total // 2 >= done else len(piece)
        sock.sendall(piece[:half])
        if half < len(piece):
            time.sleep(pause_s)
            sock.sendall(piece[half:])
        done += len(piece)
    return done
