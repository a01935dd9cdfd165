# SPDX-License-Identifier: Apache-2.0
"""One run: a lab with three PoPs and two controllers, traffic, the faults of a schedule, a verdict."""

from __future__ import annotations

import heapq
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

from controller.chaos.evidence import known
from controller.chaos.schedule import Fault, make_schedule
from controller.chaos.traffic import Outcome, Traffic
from controller.chaos.verdict import Verdict, judge
from controller.lab.lab import Lab
from controller.lab.topology import find_topology, load_topology
from controller.scenario.clients import percentile
from controller.scenario.servers import TcpServer
from controller.scenario.steps.control import entries_of, interpose
from controller.scenario.steps.network import Enter
from controller.scenario.world import UnmetError, World, poll

TOPOLOGY = "three-pop"
SERVICES = ("web", "web-alt", "web-v6")
_RECOVERS = 30.0
_SLOW = 0.5  # seconds that a slow switch takes for an answer
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A run: so many seconds, transfers at a time, and short connections at a time."""

    seed: int
    seconds: float
    transfers: int = 6
    short: int = 4
    name: str = "chaos"


def run(plan: Plan, say: Say) -> Verdict:
    """Brings the lab up, runs, takes it down.

    Raises:
        LabError: the lab cannot be made.
        UnmetError: the lab does not recover in the end.
    """
    topology = load_topology(find_topology(TOPOLOGY))
    timers = topology.controller.timers.model_copy(
        update={"epoch": 15.0, "linger": 10.0, "reconnect_max": 1.0}
    )
    settings = topology.controller.model_copy(update={"instances": 2, "timers": timers})
    lab = Lab.up(topology.model_copy(update={"controller": settings}), name=plan.name)
    try:
        world = World(lab)
        try:
            return _run(plan, lab, world, say)
        finally:
            world.close()
    finally:
        lab.down()


def _run(plan: Plan, lab: Lab, world: World, say: Say) -> Verdict:
    schedule = make_schedule(plan.seed, plan.seconds, list(lab.plan.switches))
    say(f"seed {plan.seed}, {plan.seconds:g} s, {len(schedule)} faults:")
    for fault in schedule:
        say(f"  {fault}")
    interpose(world, *lab.plan.switches)
    targets = [world.service(name) for name in SERVICES]
    for name, (address, port) in zip(SERVICES, targets, strict=True):
        world.servers[name] = TcpServer(lab.netns(world.service_host(name)), address, port)
    outcomes: list[Outcome] = []
    lock = threading.Lock()

    def report(outcome: Outcome) -> None:
        with lock:
            outcomes.append(outcome)
        if outcome.failure:
            say(f"{outcome.ended:7.1f}  {outcome.name} ends: {outcome.failure}; {known(lab, outcome)}")

    start = time.monotonic()
    traffic = Traffic(lab.netns("client"), targets, plan.seed, start, report)
    traffic.begin(plan.transfers, plan.short)
    try:
        for at, what, act in _Faults(lab, world, schedule):
            time.sleep(max(0.0, start + at - time.monotonic()))
            act()
            say(f"{time.monotonic() - start:7.1f}  {what}")
        time.sleep(max(0.0, start + plan.seconds - time.monotonic()))
        lab.wait_ready(_RECOVERS)
    finally:
        traffic.stop()
    poll(_RECOVERS, lambda: _difference(world))
    return judge(outcomes, schedule)


def _difference(world: World) -> str | None:
    """What keeps the switches from holding all the same sessions."""
    held = {switch: set(entries_of(world, switch)) for switch in world.topology.switches}
    union = set().union(*held.values())
    for switch, entries in held.items():
        if lacks := union - entries:
            return f"{len(lacks)} session entries of other switches are not in switch {switch}"
    return None


class _Faults:
    """The actions of a schedule in order of time: a fault's beginning, and its end."""

    def __init__(self, lab: Lab, world: World, schedule: list[Fault]) -> None:
        self._lab = lab
        self._world = world
        self._tickets = count()
        self._due: list[tuple[float, int, str, Callable[[], None]]] = []
        for fault in schedule:
            self._add(fault.at, " ".join(str(fault).split()[1:]), partial(self._begin, fault))

    def __iter__(self) -> Iterator[tuple[float, str, Callable[[], None]]]:
        while self._due:
            at, _, what, act = heapq.heappop(self._due)
            yield at, what, act

    def _add(self, at: float, what: str, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._tickets), what, act))

    def _begin(self, fault: Fault) -> None:
        if fault.kind in ("enter", "return"):
            Enter(host="client" if fault.kind == "enter" else "backbone", switch=fault.target).run(
                self._world
            )
            return
        name = self._lab.leader if fault.target == "controller" else fault.target
        self._add(fault.until, f"{name} recovers", self._apply(fault, name))

    def _apply(self, fault: Fault, name: str) -> Callable[[], None]:
        """Begins a fault; what ends it."""
        lab, process = self._lab, self._lab.processes
        if fault.kind == "pause":
            process.signal(name, signal.SIGSTOP)
            return lambda: process.signal(name, signal.SIGCONT)
        if fault.kind == "kill":
            process.stop(name, signal.SIGKILL)
            return lambda: (
                lab.start_controller(name) if fault.target == "controller" else lab.start_switch(name)
            )
        relay = self._world.relays[name]
        if fault.kind == "cut":
            relay.fault = "cut"
        else:
            relay.delay_s = _SLOW

        def heal() -> None:
            relay.fault, relay.delay_s = "none", 0.0

        return heal


def summary(verdict: Verdict) -> list[str]:
    """The verdict as lines."""
    lines = [
        f"{verdict.transfers} transfers, {verdict.short} short connections, {verdict.turns} turns of 4 KiB, "
        "all compared"
    ]
    if verdict.set_ups:
        times = [1000 * seconds for seconds in verdict.set_ups]
        figures = ", ".join(
            f"p{share * 100:g} {percentile(times, share):.0f} ms" for share in (0.5, 0.9, 0.99)
        )
        lines.append(f"to the first bytes back: {figures}, slowest {max(times):.0f} ms")
    lines += [
        f"lost while set up, in a fault: {len(verdict.excused)}",
        *(f"  {line}" for line in verdict.excused),
    ]
    lines += [f"lost against the promise: {len(verdict.broken)}", *(f"  {line}" for line in verdict.broken)]
    return lines


__all__ = ["Plan", "UnmetError", "run", "summary"]
