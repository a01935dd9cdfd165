# SPDX-License-Identifier: Apache-2.0
"""Established bulk traffic: iperf3 through the switch of single.yaml, beside plain kernel forwarding.

Offloads are on in both networks, as kernels have them: frames of up to 64 KiB go through whole. A third
network is the switch's with the offloads off: every frame is a segment.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
from contextlib import ExitStack
from typing import Any

from controller.bench.absorb import KERNEL_TOPOLOGY
from controller.bench.kernel import KernelError
from controller.lab.lab import Lab
from controller.lab.signals import uninterrupted

KERNEL, SWITCH, SEGMENTS = "kernel forwarding", "switch", "switch, offloads off"
_ADDRESS, _PORT = "203.0.113.10", 80
_READY_S = 5.0


def has_iperf3() -> bool:
    """Whether iperf3 is installed."""
    return shutil.which("iperf3") is not None


def measure_bulk(seconds: int, rounds: int) -> dict[str, Any]:
    """Per direction and way bits a second, medians over the rounds, and the ratios to kernel forwarding.

    Brings up labs of its own. Raises LabError, KernelError or OSError.
    """
    rates: dict[str, dict[str, list[float]]] = {"upload": {}, "download": {}}
    with ExitStack() as stack:
        labs = {
            KERNEL: _lab(stack, KERNEL_TOPOLOGY, "bench-plain", True),
            SWITCH: _lab(stack, "single", "bench-bulk", True),
            SEGMENTS: _lab(stack, "single", "bench-segments", False),
        }
        for _ in range(rounds):
            for direction, found in rates.items():
                for way, lab in labs.items():
                    found.setdefault(way, []).append(_iperf(lab, direction == "download", seconds))
    return {direction: _summary(found) for direction, found in rates.items()}


def _summary(found: dict[str, list[float]]) -> dict[str, Any]:
    medians = {way: statistics.median(own) for way, own in found.items()}
    return {
        "bits_per_s": {way: round(rate) for way, rate in medians.items()},
        "ratio_to_kernel": {
            way: round(rate / medians[KERNEL], 3) for way, rate in medians.items() if way != KERNEL
        },
    }


def _lab(stack: ExitStack, topology: Any, name: str, offloads: bool) -> Lab:
    lab = Lab.up(topology, name=name, offloads=offloads)

    def down() -> None:
        with uninterrupted():
            lab.down()

    stack.callback(down)
    return lab


def _iperf(lab: Lab, download: bool, seconds: int) -> float:
    server = lab.popen(
        "server",
        ["iperf3", "-s", "-1", "-p", str(_PORT), "--forceflush"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _await_listening(server)
        command = ["iperf3", "-c", _ADDRESS, "-p", str(_PORT), "-t", str(seconds), "-J"]
        done = lab.run("client", [*command, *(["-R"] if download else [])], timeout=seconds + 30)
        report = json.loads(done.stdout)
        if "error" in report:
            raise KernelError(f"iperf3: {report['error']}")
        return float(report["end"]["sum_received"]["bits_per_second"])
    finally:
        server.kill()
        server.communicate()


def _await_listening(server: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        if server.stdout is None or "listening" in server.stdout.readline():
            return
    raise KernelError("iperf3 does not listen")


def lines(figures: dict[str, Any]) -> list[str]:
    """A line per direction, for people."""
    found = []
    for direction, own in figures.items():
        rates = ", ".join(f"{way} {rate / 1e9:.2f} Gbit/s" for way, rate in own["bits_per_s"].items())
        ratio = own["ratio_to_kernel"]
        found.append(f"bulk {direction}: {rates}; {ratio[SWITCH]:.2f} of the kernel's")
    return found
