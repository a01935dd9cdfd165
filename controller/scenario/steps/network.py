# SPDX-License-Identifier: Apache-2.0
"""Steps that change the network or its parts: routes, failures, floods, time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.bench.flood import Flood, FloodPlan
from controller.lab.model import Topology
from controller.scenario.steps.base import Step
from controller.scenario.world import UnmetError, World


class Enter(Step):
    """From now on, what a host sends by its default route goes to this switch: an anycast shift."""

    keyword: ClassVar[str] = "enter"
    host: str
    switch: str

    def run(self, world: World) -> str:
        ways = []
        for route in world.topology.hosts[self.host].routes:
            via = self._address(world.topology, route.to.version)
            if route.to.prefixlen or via is None:
                continue
            command = ["ip", "route", "replace", str(route.to), "via", via]
            source = ["src", str(route.source)] if route.source else []
            done = world.lab.run(self.host, command + source, timeout=10)
            if done.returncode != 0:
                raise UnmetError(f"{' '.join(command)}: {done.stderr.strip()}")
            ways.append(via)
        return f"default via {', '.join(ways)}"

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        if self.host in topology.hosts and self.switch in topology.switches:
            versions = {
                route.to.version for route in topology.hosts[self.host].routes if not route.to.prefixlen
            }
            if not any(self._address(topology, version) for version in versions):
                text = (
                    f"no default route of {self.host} can lead to {self.switch} in topology {topology.name}"
                )
                yield "switch", text

    def _address(self, topology: Topology, version: int) -> str | None:
        """The switch's address of this version of IP on its link with the host."""
        for link in topology.links:
            ends = {end.node: addresses for end, addresses in link.parsed_ends()}
            if self.host in ends and self.switch in ends:
                return next((str(a.ip) for a in ends[self.switch] if a.version == version), None)
        return None


class StopSwitch(Step):
    """Ends a switch process by a signal; the traffic that needs it stops."""

    keyword: ClassVar[str] = "stop_switch"
    shorthand: ClassVar[str | None] = "switch"
    switch: str
    by: Literal["KILL", "TERM"] = "TERM"

    def run(self, world: World) -> str:
        world.lab.stop_switch(self.switch, signal.Signals[f"SIG{self.by}"])
        return ""


class StartSwitch(Step):
    """Starts a switch, empty, and waits until the controller has it in service again."""

    keyword: ClassVar[str] = "start_switch"
    shorthand: ClassVar[str | None] = "switch"
    switch: str
    within: Annotated[float, Field(gt=0, le=120)] = 30.0

    def run(self, world: World) -> str:
        start = time.monotonic()
        world.lab.start_switch(self.switch)
        world.lab.wait_ready(self.within)
        return f"in service after {time.monotonic() - start:.1f} s"


class RestartSwitch(Step):
    """Starts a switch, empty, and goes on at once."""

    keyword: ClassVar[str] = "restart_switch"
    shorthand: ClassVar[str | None] = "switch"
    switch: str

    def run(self, world: World) -> str:
        world.lab.start_switch(self.switch)
        return ""


class PauseSwitch(Step):
    """Stops a switch process in its tracks: it answers nothing, and nobody is told that it is gone."""

    keyword: ClassVar[str] = "pause_switch"
    shorthand: ClassVar[str | None] = "switch"
    switch: str

    def run(self, world: World) -> str:
        world.lab.state.processes[self.switch].signal(signal.SIGSTOP)
        return ""


class ResumeSwitch(Step):
    """Lets a paused switch go on where it was."""

    keyword: ClassVar[str] = "resume_switch"
    shorthand: ClassVar[str | None] = "switch"
    switch: str

    def run(self, world: World) -> str:
        world.lab.state.processes[self.switch].signal(signal.SIGCONT)
        return ""


class Wait(Step):
    """Lets time pass."""

    keyword: ClassVar[str] = "wait"
    shorthand: ClassVar[str | None] = "seconds"
    seconds: Annotated[float, Field(gt=0, le=3600)]

    def run(self, world: World) -> str:
        time.sleep(self.seconds)
        return f"{self.seconds:g} s"


class SpoofedFlood(Step):
    """A bounded flood of spoofed SYNs and random ACKs from a host towards a service; see `connect` for
    `background`.
    """

    keyword: ClassVar[str] = "flood"
    host: str
    service: str
    syns: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    acks: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    rate: Annotated[int, Field(ge=1, le=500_000)] = Field(20_000, description="Packets per second")
    sources: str | None = Field(None, description="A prefix; absent = 198.19.0.0/16 or 2001:db8:198::/48")
    bots: bool = Field(False, description="Answer the SYN/ACKs: the SYNs are those of real clients")
    background: str | None = None

    def run(self, world: World) -> str:
        return world.carry_out(lambda _: self._send(world), self.background)

    def _send(self, world: World) -> str:
        address, port = world.service(self.service)
        plan = FloodPlan(
            address, port, self.syns, self.acks, rate=self.rate, sources=self.sources, complete=self.bots
        )
        with Flood(world.lab, self.host, world.lab.netns(self.host), plan) as flood:
            result = flood.wait()
        if (result.syns, result.acks) != (self.syns, self.acks):
            raise UnmetError(f"only {result.syns} SYNs and {result.acks} ACKs could be sent")
        completed = f", {result.completed} handshakes completed" if self.bots else ""
        return f"{result.syns} SYNs and {result.acks} ACKs at {result.rate:.0f}/s{completed}"


NETWORK_STEPS: tuple[type[Step], ...] = (
    Enter,
    StopSwitch,
    StartSwitch,
    RestartSwitch,
    PauseSwitch,
    ResumeSwitch,
    Wait,
    SpoofedFlood,
)
