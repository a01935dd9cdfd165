# SPDX-License-Identifier: Apache-2.0
"""Downloads under random loss at both hosts: a protected service beside the same path without Syncline.

Both go through the same switches; the other port is not protected, so its packets are merely routed.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controller.bench.kernel import KernelError
from controller.lab.lab import Lab
from controller.scenario.netns import tcp_socket
from controller.scenario.steps.kernel import loss_rules

PERCENTS = (1, 3)
_SECONDS = 1.0
_PROTECTED, _PLAIN = "protected", "plain"
_PLAIN_PORT = 9999
_CHUNK = bytes(1 << 16)


def measure_loss(rounds: int) -> dict[str, dict[str, float]]:
    """Per loss on each side, `"1 %"`: bytes a second of the protected and of the plain download, medians over
    the rounds, and their ratio.

    Brings up a lab of its own. Raises LabError, KernelError or OSError.
    """
    with _lab() as lab:
        service = lab.plan.topology.services[0]
        address = str(service.address)
        ports = {_PROTECTED: service.port, _PLAIN: _PLAIN_PORT}
        with _source(lab, address, service.port), _source(lab, address, _PLAIN_PORT):
            return {f"{percent} %": _compare(lab, address, ports, percent, rounds) for percent in PERCENTS}


def _compare(lab: Lab, address: str, ports: dict[str, int], percent: int, rounds: int) -> dict[str, float]:
    for host in ("client", "server"):
        _lose(lab, host, percent)
    rates: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, port in ports.items():
            rates[name].append(_download(lab, address, port))
    medians = {name: statistics.median(own) for name, own in rates.items()}
    ratio = medians[_PROTECTED] / medians[_PLAIN]
    return {f"{name}_bytes_per_s": round(rate) for name, rate in medians.items()} | {"ratio": round(ratio, 3)}


def _download(lab: Lab, address: str, port: int) -> float:
    """Bytes a second within `_SECONDS` of the first byte."""
    with tcp_socket(lab.netns("client"), address) as sock:
        sock.settimeout(10)
        sock.connect((address, port))
        sock.recv(1)
        start, received = time.monotonic(), 0
        while time.monotonic() < start + _SECONDS:
            if not (data := sock.recv(len(_CHUNK))):
                raise ConnectionError(f"the download from port {port} ended after {received} bytes")
            received += len(data)
        return received / (time.monotonic() - start)


@contextmanager
def _lab() -> Iterator[Lab]:
    lab = Lab.up("two-pop", name="bench-loss", target="softswitch", offloads=False)
    try:
        yield lab
    finally:
        lab.down()


@contextmanager
def _source(lab: Lab, address: str, port: int) -> Iterator[None]:
    """A server that sends to one connection after the other for as long as its peer takes it."""
    with tcp_socket(lab.netns("server"), address) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join(15)


def _serve(listener: Any) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            while True:
                connection.sendall(_CHUNK)


def _lose(lab: Lab, host: str, percent: float) -> None:
    process = lab.popen(
        host,
        ["nft", "-f", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = process.communicate(loss_rules(percent), timeout=20)
    if process.returncode != 0:
        raise KernelError(f"nft on {host}: {output.strip()}")
