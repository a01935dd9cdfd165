# SPDX-License-Identifier: Apache-2.0
"""The controller around the real state machines: what hub.py and p4/link.py do, without I/O.

Each link has four queues, in order, that the schedule moves one step at a time: writes, their outcomes,
packet-outs, and what the switch says. A switch that is slow is one whose queues are not moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from controller.config import ControllerConfig
from controller.dataplane import End, Mode, Punt, PuntHeader
from controller.logic.coordinator import Coordinator
from controller.logic.keys import CookieKey, Expel, InstallKey, KeyEffect, KeyRing, KeySet
from controller.logic.model import CheckIdle, Effects, Entry, Key, PacketOut, Put, Remove

from .packets import Packet, frame_of, packet_of
from .switch import Switch, Told

WALL = 1_800_000_000.0
_ROUNDS = 5
_PACKETS_KEPT, _ENDS_KEPT = 3.0, 10.0  # seconds


@dataclass(slots=True)
class Job:
    """A write: a session's (`entry` None: its removal), a cookie key, or the epoch's parity."""

    key: Key | None = None
    entry: Entry | None = None
    version: int = 0
    cookie_key: CookieKey | None = None
    parity: int = 0
    generation: int | None = None
    sync: bool = False  # of a synchronisation: nobody waits for it


@dataclass
class Link:
    """`stage`: down, settling (writes of a synchronisation are under way), comparing, catching up (with what
    was released without it), or up (in service).
    """

    switch: Switch
    stage: str = "down"
    writes: deque[Job] = field(default_factory=deque)
    outcomes: deque[tuple[Job, str]] = field(default_factory=deque)
    packets_out: deque[PacketOut] = field(default_factory=deque)
    said: deque[Callable[[], None]] = field(default_factory=deque)
    held: dict[Key, Entry] = field(default_factory=dict)
    before: dict[Key, Entry] = field(default_factory=dict)
    generation: int = 0
    rounds: int = 0
    behind: list[Key] = field(default_factory=list)

    def clear(self) -> None:
        self.stage = "down"
        for queue in (self.writes, self.outcomes, self.packets_out, self.said):
            queue.clear()


class Checks(Protocol):
    """Invariants that are about writes."""

    def before_write(self, switch: Switch, job: Job) -> None: ...


class Control:
    """One controller process. `now` is the simulation's clock."""

    def __init__(
        self,
        config: ControllerConfig,
        switches: Mapping[str, Switch],
        checks: Checks,
        clock: Callable[[], float],
        new_key: Callable[[], tuple[int, int]],
        make: Callable[[ControllerConfig], Coordinator],
        make_ring: Callable[[float, Callable[[], tuple[int, int]]], KeyRing],
    ) -> None:
        self.config = config
        self.checks = checks
        self.clock = clock
        self.core = make(config)
        self.keys = make_ring(config.timers.epoch, new_key)
        self.links = {name: Link(switch) for name, switch in switches.items()}
        self._served: set[str] = set()
        self.server = int(config.services[0].address)

    @property
    def wall(self) -> float:
        return WALL + self.clock()

    # --- time and effects -------------------------------------------------------------------------

    def tick(self) -> None:
        now = self.clock()
        self.execute(self.core.tick(now, self.wall))
        serving = {name for name, link in self.links.items() if link.stage == "up"}
        self._served |= serving
        effects = self.keys.tick(now, self.core.answering, absent=self._served != serving)
        if effects:
            self._served = serving
            self._execute_keys(effects)

    def execute(self, effects: Effects) -> None:
        for name, group in groupby(effects, lambda e: e.switch if isinstance(e, PacketOut) else None):
            batch = list(group)
            if name is not None:
                link = self.links[name]
                if link.stage != "down":
                    link.packets_out.extend(e for e in batch if isinstance(e, PacketOut))
                continue
            for effect in batch:
                if isinstance(effect, Put):
                    job = Job(effect.key, effect.entry, effect.entry.version)
                    self._write(effect.switches, job)
                elif isinstance(effect, Remove):
                    self._write(effect.switches, Job(effect.key, None, effect.version))
                elif isinstance(effect, CheckIdle):
                    self._check_idle(effect)

    def _write(self, switches: tuple[str, ...], job: Job) -> None:
        for name in switches:
            if self.links[name].stage != "down":
                self.links[name].writes.append(job)

    def _execute_keys(self, effects: list[KeyEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Expel):
                for name in effect.switches:
                    self.lose(name)
                continue
            job = Job(generation=self.keys.generation)
            if isinstance(effect, InstallKey):
                job.cookie_key = effect.key
            else:
                job.parity = effect.parity
            self._write(effect.switches, job)

    def _check_idle(self, effect: CheckIdle) -> None:
        if all(self.links[name].stage != "down" for name in effect.switches):
            now = self.clock()
            elapsed = {
                key: {name: self.links[name].switch.elapsed(key, now) for name in effect.switches}
                for key in effect.keys
            }
            self.execute(self.core.idle_checked(elapsed, now, self.wall))

    # --- the queues, a step each ------------------------------------------------------------------

    def carry_out(self, name: str, refuse: str = "") -> None:
        """The switch carries out the next write, or refuses it: "full", or "wrong"."""
        link = self.links[name]
        job, switch = link.writes.popleft(), link.switch
        if not refuse:
            self.apply(switch, job)
        link.outcomes.append((job, refuse))

    def apply(self, switch: Switch, job: Job) -> None:
        if job.cookie_key is not None:
            switch.keys[job.cookie_key.parity] = job.cookie_key
        elif job.generation is not None:
            switch.parity = job.parity
        elif job.key is not None:
            self.checks.before_write(switch, job)
            if job.entry is None:
                switch.table.pop(job.key, None)
            else:
                switch.put(job.key, job.entry, self.clock())

    def hear_outcome(self, name: str) -> None:
        """The controller hears how a write ended (hub.on_written)."""
        job, refusal = self.links[name].outcomes.popleft()
        now, core = self.clock(), self.core
        if job.sync and not refusal:
            return
        if job.key is not None and not refusal:
            self.execute(core.written(name, job.key, job.version, job.entry is None, now, self.wall))
        elif job.key is not None and job.entry is not None and core.awaits(job.key, job.version):
            self.execute(core.refused(name, job.key, job.version, refusal == "full", now, self.wall))
        elif refusal:
            self.lose(name)
        elif job.generation == self.keys.generation:
            self._execute_keys(self.keys.confirmed(name, now, core.answering))

    def send_packets(self, name: str) -> None:
        """The switch takes the next packet-out."""
        link = self.links[name]
        out = link.packets_out.popleft()
        packet = packet_of(out.frame, self.server)
        if out.mode == Mode.ROUTE:
            link.switch.route(packet)
        else:
            link.switch.arrive(packet, self.clock(), injected=True, release=out.release)

    # --- what switches say ------------------------------------------------------------------------

    def punt(self, name: str, header: PuntHeader, packet: Packet) -> None:
        self._tell(name, lambda control: control._on_punt(name, header, frame_of(packet)), _PACKETS_KEPT)

    def digest(self, name: str, key: Key, end: End, version: int) -> None:
        self._tell(name, lambda control: control._on_end(key, end, version), _ENDS_KEPT)

    def idle(self, name: str, keys: list[Key]) -> None:
        self._say(name, lambda: self.execute(self.core.idle_seen(name, keys)))

    def _tell(self, name: str, event: Told, seconds: float) -> None:
        """Say it, and say it again to a controller that connects soon (softswitch/p4runtime/retained.py)."""
        self.links[name].switch.told.append((self.clock() + seconds, event))
        self._say(name, lambda: event(self))

    def _on_end(self, key: Key, end: End, version: int) -> None:
        self.execute(self.core.end_seen(key, end, self.clock(), self.wall, version))

    def _say(self, name: str, event: Callable[[], None]) -> None:
        if self.links[name].stage != "down":
            self.links[name].said.append(event)

    def _on_punt(self, name: str, header: PuntHeader, frame: bytes) -> None:
        core, now, wall, port = self.core, self.clock(), self.wall, header.ingress_port
        if header.reason == Punt.PROVEN:
            self.execute(core.punt_proven(name, header, frame, now, wall))
        elif header.reason == Punt.FOLLOWING:
            self.execute(core.punt_following(name, header, frame, now, wall))
        elif header.reason == Punt.SERVER_SYNACK:
            self.execute(core.punt_synack(name, port, frame, now, wall))
        else:
            self.execute(core.punt_early_return(name, port, frame, now, wall))

    # --- switches come and go ---------------------------------------------------------------------

    def lose(self, name: str) -> None:
        """The connection is gone: what was under way on it is lost."""
        link = self.links[name]
        if link.stage == "down":
            return
        link.clear()
        link.switch.in_service = False
        now = self.clock()
        self.execute(self.core.switch_lost(name, now, self.wall))
        self._execute_keys(self.keys.confirmed(name, now, self.core.answering))

    def connect(self, name: str) -> None:
        """The stream stands: read what the switch holds, settle keys, and write every session."""
        if not self.keys.ready:
            found = {n: link.switch for n, link in self.links.items()}
            self.keys.begin(self.clock(), [KeySet(dict(s.keys), s.parity) for s in found.values()])
            for n, link in self.links.items():
                held = [(key, row.entry) for key, row in link.switch.table.items()]
                self.execute(self.core.adopt(n, held, self.clock(), self.wall))
        link = self.links[name]
        link.stage, link.rounds = "settling", 0
        self._settle_keys(link)
        link.switch.filling = link.switch.filling or not link.switch.forwards
        link.switch.guards = link.switch.forwards = True
        self.core.switch_joined(name, self.clock(), filling=link.switch.filling)
        told, link.switch.told = link.switch.told, deque()
        for until, event in told:
            if until >= self.clock():
                event(self)

    def _settle_keys(self, link: Link) -> None:
        wanted = self.keys.held()
        link.switch.keys, link.switch.parity = dict(wanted.keys), wanted.parity
        link.generation = self.keys.generation

    def read_back(self, name: str) -> None:
        """A step of link._synchronise: read everything, or compare and go on."""
        link = self.links[name]
        if link.stage == "settling":
            link.before = self._entries(name)
            link.held = {key: row.entry for key, row in link.switch.table.items()}
            link.stage = "comparing"
            return
        if link.stage == "catching up":
            self._serve(link)
            return
        after, held = self._entries(name), link.held
        wrong = any(held.get(k) != e and after.get(k) == e for k, e in link.before.items())
        if wrong or any(k not in link.before and k not in after for k in held):
            self._write_difference(link, after)
            return
        if link.generation != self.keys.generation:
            self._settle_keys(link)
        self.core.switch_live(name)
        link.stage, link.behind = "catching up", self.core.spread.behind(name)
        self._serve(link)

    def _serve(self, link: Link) -> None:
        if not any(self.core.spread.lacks(key, link.switch.name) for key in link.behind):
            link.stage = "up"
            link.switch.filling, link.switch.in_service = False, True
            self.execute(self.core.switch_filled(link.switch.name, self.clock(), self.wall))

    def _entries(self, name: str) -> dict[Key, Entry]:
        """What a switch must hold."""
        return {s.key: s.entry for s in self.core.sessions.values() if not self.core.comes_last(name, s.key)}

    def _write_difference(self, link: Link, wanted: Mapping[Key, Entry]) -> None:
        link.rounds += 1
        if link.rounds > _ROUNDS:
            self.lose(link.switch.name)
            return
        link.stage = "settling"
        for key, entry in wanted.items():
            if link.held.get(key) != entry:
                link.writes.append(Job(key, entry, entry.version, sync=True))
        for key in link.held:
            if key not in wanted:
                link.writes.append(Job(key, None, link.held[key].version, sync=True))

    def may_read(self, name: str) -> bool:
        """Whether `read_back` is due: all writes are carried out and answered, or the reading is done."""
        link = self.links[name]
        idle = not link.writes and not link.outcomes
        return link.stage == "comparing" or (link.stage in ("settling", "catching up") and idle)

    def quiet(self) -> bool:
        """Nothing is under way on any link."""
        return all(
            not (link.writes or link.outcomes or link.packets_out or link.said) and link.stage == "up"
            for link in self.links.values()
        )
