# SPDX-License-Identifier: Apache-2.0
"""The bounded flood of spoofed SYNs and random ACKs, or of bots: builds flood.c once and runs it on a host of
a lab.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from controller.lab.signals import uninterrupted
from controller.scenario.nexthop import next_hop
from softswitch import build, cache

_SOURCE = Path(__file__).with_name("flood.c")
SPOOFED_SOURCES = "198.19.0.0/16"
SPOOFED_SOURCES_V6 = "2001:db8:198::/48"


class FloodError(RuntimeError):
    """The sender cannot be built or did not do what it was told."""


class HostRunner(Protocol):
    """What the flood needs of a lab: processes inside a host's namespace."""

    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]: ...


@dataclass(frozen=True)
class FloodPlan:
    """A flood: counts are exact upper bounds, `rate` is in packets per second (0 = as fast as it goes).

    `target` is an IPv4 or IPv6 address, `sources` a prefix of the same version (None: the lab's own). With
    `complete` the SYNs are those of bots, which answer each SYN/ACK with its ACK. `steady`: the rate is kept,
    as by another machine, whatever else this one has to do.
    """

    target: str
    port: int
    syns: int
    acks: int = 0
    rate: int = 0
    sources: str | None = None
    seed: int = 1
    deadline_s: int = 60
    complete: bool = False
    steady: bool = False


@dataclass(frozen=True)
class FloodResult:
    """What was really sent, how many SYN/ACKs were answered, and how long it took in seconds."""

    syns: int
    acks: int
    seconds: float
    completed: int = 0

    @property
    def rate(self) -> float:
        """Packets per second."""
        return (self.syns + self.acks) / self.seconds


def build_sender() -> Path:
    """The compiled sender, from the cache when its source is unchanged. FloodError without a C compiler."""
    try:
        binary = build.cache_dir() / f"flood-{build.digest(build.compiler_version(), _SOURCE.read_bytes())}"
        if not cache.use(binary):
            with cache.aside(binary.parent) as folder:
                arguments = ["-O2", "-std=gnu11", "-Wall", "-Wextra", str(_SOURCE)]
                build.run_cc(arguments, folder / "flood", _SOURCE.name)
                cache.publish(folder / "flood", binary)
    except build.BuildError as error:
        raise FloodError(str(error)) from error
    return binary


def flood_command(plan: FloodPlan, netns: str) -> list[str]:
    """The sender's command line for `plan` out of host namespace `netns`, along that host's own route to
    the target.
    """
    hop = next_hop(netns, plan.target)
    v6 = ":" in plan.target
    return [
        str(build_sender()),
        f"--interface={hop.interface}",
        f"--source-mac={hop.source_mac.hex(':')}",
        f"--destination-mac={hop.destination_mac.hex(':')}",
        f"--sources={plan.sources or (SPOOFED_SOURCES_V6 if v6 else SPOOFED_SOURCES)}",
        f"--target={f'[{plan.target}]' if v6 else plan.target}:{plan.port}",
        f"--syns={plan.syns}",
        f"--acks={plan.acks}",
        f"--rate={plan.rate}",
        f"--seed={plan.seed}",
        f"--deadline={plan.deadline_s}",
        *(["--complete"] if plan.complete else []),
        *(["--steady"] if plan.steady else []),
    ]


class Flood:
    """A flood under way. Leaving the context ends it."""

    def __init__(self, runner: HostRunner, host: str, netns: str, plan: FloodPlan) -> None:
        self.plan = plan
        command = flood_command(plan, netns)
        with uninterrupted():
            self._process = runner.popen(
                host, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate()

    @property
    def running(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    def wait(self) -> FloodResult:
        """Waits for its end, which is at most the plan's deadline away."""
        output, errors = self._process.communicate(timeout=self.plan.deadline_s + 30)
        if self._process.returncode != 0:
            raise FloodError(errors.strip() or f"the sender ended with code {self._process.returncode}")
        figures = json.loads(output)
        return FloodResult(figures["syns"], figures["acks"], figures["seconds"], figures["completed"])
