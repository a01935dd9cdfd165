# SPDX-License-Identifier: Apache-2.0
"""Steps that look: the controller's sessions, the switches' counters, what arrived at a host."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from controller.lab.model import Topology
from controller.logic.model import Origin
from controller.logic.policy import Stance
from controller.scenario import wire
from controller.scenario.rawport import Capture
from controller.scenario.steps.base import Step
from controller.scenario.steps.crafted import Flags, describe, value_of
from controller.scenario.values import Bound, Expression
from controller.scenario.world import UnmetError, World, poll

Within = Annotated[float, Field(gt=0, le=120)]


class Sessions(Step):
    """How many sessions there must come to be `within` seconds: open and closing ones, handshakes pending
    at the controller, and entries that each switch holds.
    """

    keyword: ClassVar[str] = "sessions"
    open: Bound | None = None
    closing: Bound | None = None
    pending: Bound | None = None
    on_every_switch: Bound | None = None
    within: Within = 5.0

    def run(self, world: World) -> str:
        poll(self.within, lambda: self._problem(world.lab.api("/api/status")))
        status = world.lab.api("/api/status")
        held = ", ".join(f"{switch['name']} {switch['sessions']}" for switch in status["switches"])
        sessions = status["sessions"]
        counts = f"open {sessions['open']}, closing {sessions['closing']}, pending {status['pending']}"
        return f"{counts}; held by {held}"

    def _problem(self, status: dict[str, Any]) -> str | None:
        found = [
            ("open", self.open, status["sessions"]["open"]),
            ("closing", self.closing, status["sessions"]["closing"]),
            ("pending", self.pending, status["pending"]),
        ]
        for switch in status["switches"]:
            found.append((f"held by switch {switch['name']}", self.on_every_switch, switch["sessions"]))
        for what, bound, value in found:
            if bound is not None and not bound.admits(value):
                return f"{what}: {value} instead of {bound}"
        return None


class StanceIs(Step):
    """A service must come to have this stance (as in /api/status) `within` seconds."""

    keyword: ClassVar[str] = "stance"
    service: str
    stance: Stance
    within: Within = 10.0

    def run(self, world: World) -> str:
        start = time.monotonic()
        poll(self.within, lambda: self._problem(world.lab.api("/api/status")))
        return f"after {time.monotonic() - start:.1f} s"

    def _problem(self, status: dict[str, Any]) -> str | None:
        for service in status["services"]:
            if service["name"] == self.service and service["stance"] != self.stance:
                return f"{self.service} is {service['stance']} at {service['syn_rate']:g} SYNs/s"
        return None


class Told(Step):
    """What a service's clients are told, why, and what its server's SYN/ACKs have shown, as /api/status has
    it; only what is named is looked at.
    """

    keyword: ClassVar[str] = "told"
    service: str
    mss: int | None = None
    window_scale: int | None = None
    sack: bool | None = None
    timestamps: bool | None = None
    origin: dict[str, Origin] = Field(default={})
    learned: dict[str, bool | int | None] | None = None
    within: Within = 5.0

    def run(self, world: World) -> str:
        poll(self.within, lambda: self._problem(world))
        return ", ".join(f"{name} {getattr(self, name)}" for name in sorted(self._named()))

    def _named(self) -> set[str]:
        return self.model_fields_set - {"service", "within"}

    def _problem(self, world: World) -> str | None:
        services = world.lab.api("/api/status")["services"]
        found = next(service for service in services if service["name"] == self.service)
        for name in sorted(self._named()):
            wanted, there = getattr(self, name), found[name]
            if name == "origin":
                there = {option: there.get(option) for option in wanted}
            if there != wanted:
                return f"{name} of {self.service}: {there} instead of {wanted}"
        return None


class Mark(Step):
    """Remembers the counters as they are: `counters` counts from here (else from the scenario's start)."""

    keyword: ClassVar[str] = "mark"

    def run(self, world: World) -> str:
        world.counters = read_counters(world)
        return ""


class Counters(Step):
    """Packets that a switch has counted since the last `mark`, by drop reason and by event (names as in
    /api/status).
    """

    keyword: ClassVar[str] = "counters"
    switch: str
    drops: dict[str, Bound] = Field(default={})
    events: dict[str, Bound] = Field(default={})
    within: Within = 5.0

    def run(self, world: World) -> str:
        poll(self.within, lambda: self._problem(world), every_s=0.3)
        return ", ".join(
            f"{name} {self._since_mark(world, kind, name)}"
            for kind in ("drops", "events")
            for name in getattr(self, kind)
        )

    def _problem(self, world: World) -> str | None:
        for kind in ("drops", "events"):
            for name, bound in getattr(self, kind).items():
                value = self._since_mark(world, kind, name)
                if not bound.admits(value):
                    return f"{kind} {name} at switch {self.switch}: {value} instead of {bound}"
        return None

    def _since_mark(self, world: World, kind: str, name: str) -> int:
        now = read_counters(world)[kind].get(self.switch, {}).get(name, 0)
        return int(now) - int(world.counters.get(kind, {}).get(self.switch, {}).get(name, 0))


class ControllerCounters(Step):
    """What the controller has counted since it started: `shed` by limit, `results` by how handshakes and
    exceptional packets ended (names as in /api/status).
    """

    keyword: ClassVar[str] = "counted"
    shed: dict[str, Bound] = Field(default={})
    results: dict[str, Bound] = Field(default={})
    within: Within = 5.0

    def run(self, world: World) -> str:
        poll(self.within, lambda: self._problem(world.lab.api("/api/status")))
        status = world.lab.api("/api/status")
        return ", ".join(
            f"{name} {status[kind].get(name, 0)}"
            for kind in ("shed", "results")
            for name in getattr(self, kind)
        )

    def _problem(self, status: dict[str, Any]) -> str | None:
        for kind in ("shed", "results"):
            for name, bound in getattr(self, kind).items():
                if not bound.admits(value := status[kind].get(name, 0)):
                    return f"{kind} {name}: {value} instead of {bound}"
        return None


class StartCapture(Step):
    """Captures from now on all that arrives at a host."""

    keyword: ClassVar[str] = "capture"
    shorthand: ClassVar[str | None] = "host"
    host: str

    def run(self, world: World) -> str:
        if self.host in world.captures:
            world.captures.pop(self.host).stop()
        world.captures[self.host] = Capture(world.lab.netns(self.host))
        return ""


class CapturedSegments(Step):
    """How many TCP segments have arrived at a host since `capture` with these sources, flags and bytes of
    payload.
    """

    keyword: ClassVar[str] = "captured"
    host: str
    segments: Bound
    sources: str | None = Field(None, description="Source addresses: a prefix; absent = all")
    service: str | None = Field(None, description="Only to this service")
    flags: Flags | None = None
    payload: Bound | None = Field(None, description="Bytes of payload in the segment")
    seq: tuple[Expression, Expression] | None = Field(
        None, description="[first, last] sequence number: every one of them must lie there, mod 2^32"
    )

    def run(self, world: World) -> str:
        if self.host not in world.captures:
            raise UnmetError(f"no capture at {self.host}; begin it with a capture step")
        network = ipaddress.ip_network(self.sources) if self.sources else None
        target = None if self.service is None else world.service(self.service)

        def wanted(segment: wire.Segment) -> bool:
            return (
                (network is None or ipaddress.ip_address(segment.source) in network)
                and (self.flags is None or segment.flags == wire.parse_flags(self.flags))
                and (target is None or (segment.destination, segment.destination_port) == target)
                and (self.payload is None or self.payload.admits(len(segment.payload)))
            )

        found = [c.segment for c in world.captures[self.host].segments() if wanted(c.segment)]
        self._check_numbers(found, world)
        count = len(found)
        if not self.segments.admits(count):
            raise UnmetError(f"{count} such segments arrived at {self.host} instead of {self.segments}")
        return f"{count} segments"

    def _check_numbers(self, segments: list[wire.Segment], world: World) -> None:
        if self.seq is None:
            return
        first, last = (value_of(expression, world) for expression in self.seq)
        for segment in segments:
            if (segment.seq - first) % (1 << 32) > (last - first) % (1 << 32):
                raise UnmetError(f"not from {first} to {last}: {describe(segment)}")

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        try:
            ipaddress.ip_network(self.sources or "::/0")
        except ValueError:
            yield "sources", f"{self.sources} is not a prefix such as 198.19.0.0/16"


def read_counters(world: World) -> dict[str, Any]:
    """The switches' counters as they are now, as the controller's API tells them."""
    status = world.lab.api("/api/status?fresh")
    return {"drops": status["drops"], "events": status["events"]}


OBSERVATION_STEPS: tuple[type[Step], ...] = (
    Sessions,
    Told,
    StanceIs,
    Mark,
    Counters,
    ControllerCounters,
    StartCapture,
    CapturedSegments,
)
