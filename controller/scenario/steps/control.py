# SPDX-License-Identifier: Apache-2.0
"""Steps that come between the controller and its switches, or ask the switches themselves."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.lab.checks import CONTROLLER
from controller.lab.model import Topology
from controller.scenario.faults import Fault
from controller.scenario.relay import Relay
from controller.scenario.steps.base import Step
from controller.scenario.steps.crafted import value_of
from controller.scenario.tables import SessionEntry, TableError, session_entries
from controller.scenario.values import Bound, Expression, Size
from controller.scenario.world import UnmetError, World, poll

_READY_SECONDS = 30.0


class DelayWrites(Step):
    """From now on a switch's answers to Write reach the controller so much later; with `late`, the Writes
    themselves reach the switch later.

    The first of these steps for a switch puts a relay between them, which the controller is restarted for.
    """

    keyword: ClassVar[str] = "delay_writes"
    switch: str
    seconds: Annotated[float, Field(ge=0, le=120)]
    late: bool = False

    def run(self, world: World) -> str:
        if self.switch not in world.relays:
            interpose(world, self.switch)
        relay = world.relays[self.switch]
        relay.late, relay.delay_s = self.late, self.seconds
        return f"{self.seconds:g} s"

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        yield from _no_relay(topology)


class SwitchFault(Step):
    """From now on the controllers meet this fault at a switch; its data plane goes on. The first of these
    steps, and of `delay_writes`, for a switch restarts the controllers, for a relay comes between them.
    """

    keyword: ClassVar[str] = "fault"
    switch: str
    kind: Fault

    def run(self, world: World) -> str:
        if self.switch not in world.relays:
            interpose(world, self.switch)
        world.relays[self.switch].fault = self.kind
        return self.kind

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        yield from _no_relay(topology)


class OutOfService(Step):
    """The controller must come to have exactly these switches out of service; why, must contain `reason`."""

    keyword: ClassVar[str] = "out_of_service"
    switches: list[str]
    reason: str = ""
    within: Annotated[float, Field(gt=0, le=120)] = 10.0

    def run(self, world: World) -> str:
        start = time.monotonic()
        poll(self.within, lambda: self._problem(world), every_s=0.05)
        return f"after {time.monotonic() - start:.1f} s"

    def _problem(self, world: World) -> str | None:
        states = world.lab.api("/api/status")["switches"]
        away = [switch["name"] for switch in states if switch["state"] != "in-service"]
        if sorted(away) != sorted(self.switches):
            return f"out of service: {', '.join(away) or 'none'}"
        for switch in states:
            if switch["name"] in away and self.reason not in switch["reason"]:
                return f"switch {switch['name']}: {switch['state']}: {switch['reason']}"
        return None


def _no_relay(topology: Topology) -> Iterable[tuple[str, str]]:
    if topology.controller.tls:
        yield "switch", "no relay can come between them when they speak TLS; leave out tls: true"


def interpose(world: World, *switches: str) -> None:
    """Puts relays between the controllers, which are restarted, and these switches."""
    for name in world.lab.controllers:
        world.lab.kill_controller(signal.SIGTERM, name)
    for switch in switches:
        address = world.lab.relay_address(switch)
        world.relays[switch] = Relay(address, world.lab.grpc_address(switch))
        world.lab.reach_switch_at(switch, address)
    for name in world.lab.controllers:
        world.lab.start_controller(name)
    world.lab.wait_ready(_READY_SECONDS)


class Entries(Step):
    """How many session entries each switch really holds (or one of them), read from it past the controller.

    With `delta`, all of them must have this Δ; with `phase`, this phase (0 open, 1 closing).
    """

    keyword: ClassVar[str] = "entries"
    sessions: Bound
    switch: str | None = None
    delta: Expression | None = None
    phase: Literal[0, 1] | None = None
    within: Annotated[float, Field(gt=0, le=60)] = 5.0

    def run(self, world: World) -> str:
        switches = [self.switch] if self.switch else list(world.topology.switches)
        poll(self.within, lambda: self._problem(world, switches))
        return ", ".join(f"{switch} {len(entries_of(world, switch))}" for switch in switches)

    def _problem(self, world: World, switches: list[str]) -> str | None:
        delta = None if self.delta is None else value_of(self.delta, world)
        for switch in switches:
            entries = entries_of(world, switch)
            if not self.sessions.admits(len(entries)):
                return f"{len(entries)} session entries in switch {switch} instead of {self.sessions}"
            for entry in entries:
                if delta is not None and entry.delta != delta:
                    return f"an entry in switch {switch} has delta {entry.delta} instead of {delta}"
                if self.phase is not None and entry.phase != self.phase:
                    return f"an entry in switch {switch} has phase {entry.phase} instead of {self.phase}"
        return None


class Memory(Step):
    """How much memory a process may hold now: `controller` (each of several), or a switch by its name."""

    keyword: ClassVar[str] = "memory"
    process: str
    at_most: Size

    def run(self, world: World) -> str:
        processes = world.lab.state.processes
        names = world.lab.controllers if self.process == CONTROLLER else [self.process]
        if missing := [name for name in names if name not in processes]:
            raise UnmetError(f"no process {missing[0]}; there are {', '.join(processes)}")
        status = [Path(f"/proc/{processes[name].pid}/status").read_text(encoding="ascii") for name in names]
        held = max(map(resident_bytes, status))
        if held > self.at_most:
            raise UnmetError(f"{self.process} holds {held >> 20} MiB, more than {self.at_most >> 20} MiB")
        return f"{held >> 20} MiB"


def resident_bytes(status: str) -> int:
    """VmRSS in a /proc/PID/status (proc(5))."""
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


class NextEpoch(Step):
    """Waits until the next epoch of cookie keys has begun, and every switch uses its key."""

    keyword: ClassVar[str] = "next_epoch"
    within: Annotated[float, Field(gt=0, le=120)] = 10.0

    def run(self, world: World) -> str:
        before = world.lab.api("/api/status")["epoch"]["number"]

        def problem() -> str | None:
            now = world.lab.api("/api/status")["epoch"]
            if now["number"] == before:
                return f"still epoch {before}"
            return f"not every switch uses the key of epoch {now['number']}" if now["rotating"] else None

        poll(self.within, problem, every_s=0.02)
        return f"after {before}"


class InService(Step):
    """The controller must come to have every switch in service."""

    keyword: ClassVar[str] = "in_service"
    shorthand: ClassVar[str | None] = "within"
    within: Annotated[float, Field(gt=0, le=120)] = 30.0

    def run(self, world: World) -> str:
        start = time.monotonic()
        world.lab.wait_ready(self.within)
        return f"after {time.monotonic() - start:.1f} s"


def entries_of(world: World, switch: str) -> list[SessionEntry]:
    """The session entries of a switch; UnmetError when it cannot be read."""
    try:
        device_id = world.lab.plan.device_id(switch)
        return session_entries(world.lab.grpc_address(switch), device_id, world.lab.tls(switch))
    except TableError as error:
        raise UnmetError(str(error)) from error


CONTROL_STEPS: tuple[type[Step], ...] = (
    DelayWrites,
    SwitchFault,
    OutOfService,
    Entries,
    Memory,
    NextEpoch,
    InService,
)
