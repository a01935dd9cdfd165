# SPDX-License-Identifier: Apache-2.0
"""Where the state machines meet the switches: events from the links, effects to them, the clocks."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from controller.config import ControllerConfig
from controller.dataplane import End, Punt, PuntHeader
from controller.learned import LearnedFile
from controller.logic.coordinator import Coordinator
from controller.logic.keys import Expel, InstallKey, KeyEffect, KeyRing, KeySet
from controller.logic.model import (
    CheckIdle,
    Effect,
    Effects,
    Entry,
    Key,
    PacketOut,
    Put,
    Remove,
    Service,
    ServiceChanged,
    Session,
)
from controller.logic.policy import Stance
from controller.p4.errors import OK, RESOURCE_EXHAUSTED, DeposedError, Outcome, SwitchError
from controller.p4.link import Switch, SwitchLink
from controller.p4.program import Program, load_program
from controller.p4.schema import Row, Schema
from controller.p4.standby import Standby
from controller.p4.static import epoch_row, key_row, meter_cells, meter_changes, row_job, service_row
from controller.p4.sync import Held
from controller.p4.writer import DELETE, INSERT, MODIFY, Job
from controller.policies import Policies

log = logging.getLogger(__name__)

_TICK: Final = 0.02
_STOOD_STILL: Final = 0.5
_CATCH_UP: Final = 0.25
_GATHER_TIME: Final = 2.0  # how long a controller that begins to lead waits for all switches
_IDLE_CHUNK: Final = 500


class SessionWrite(NamedTuple):
    """Whose write it was: a session's, of this version."""

    version: int
    removed: bool


class KeyWrite(NamedTuple):
    """Whose write it was: the key ring's, of this generation."""

    generation: int


def _random_key() -> tuple[int, int]:
    return secrets.randbits(32), secrets.randbits(32)


def _goes_through(effect: Effect) -> str | None:
    """The switch of a packet-out; consecutive ones of the same switch are sent together."""
    return effect.switch if isinstance(effect, PacketOut) else None


class SteppedDownError(Exception):
    """Another controller leads; what this one knew is out of date. The text is one line."""


class ControllerHub:
    """One controller, from standing by to stepping down: its state machines and one link per switch."""

    def __init__(
        self,
        config: ControllerConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        new_key: Callable[[], tuple[int, int]] = _random_key,
    ) -> None:
        self.config = config
        self.clock = clock
        self.wall = wall
        self.started = clock()
        self.coordinator = Coordinator(config)
        self.learned = LearnedFile(config.state)
        self.keys = KeyRing(config.timers.epoch, new_key)
        self.own = {switch.name: SwitchLink(switch, self) for switch in config.switches}
        self.links: dict[str, Switch] = dict(self.own)
        self.policies = Policies(config, self.coordinator.services.values(), self.links, clock)
        self.election_id = 0
        """What it leads with; 0 as long as it stands by."""
        self._loaded: asyncio.Future[Program] = asyncio.get_running_loop().create_future()
        self._gathered: dict[str, Held] = {}
        self._gathering_done = asyncio.Event()
        self._adopting: set[str] = set()
        self._expected = set(self.own)  # who is waited for before the first ones are trusted alone
        self._tasks: set[asyncio.Task[None]] = set()
        self._served: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._connected: dict[str, asyncio.Task[None]] = {}

    # --- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load the program, stand by while another controller leads, then keep all switches in service, until
        cancelled.

        Raises:
            ProgramError: the program cannot be had.
            SteppedDownError: another controller leads now. This hub is of no use any more.
        """
        program = await asyncio.to_thread(load_program, self.config.program)
        self._loaded.set_result(program)
        await self._stand_by(program.schema)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for link in self.own.values():
                    self._connect(link)
                group.create_task(self._ticks(), name="ticks")
                group.create_task(self.learned.run(self.coordinator.services.values()), name="learned")
                group.create_task(self.policies.run(program.schema, self._writable), name="policies")
        except BaseExceptionGroup as failures:
            deposed = failures.subgroup(DeposedError)
            if deposed is None:
                raise
            raise SteppedDownError(str(deposed.exceptions[0])) from None

    def _connect(self, link: SwitchLink) -> None:
        if self._group is not None:
            self._connected[link.name] = self._group.create_task(link.run(), name=f"switch {link.name}")

    def configure(self, config: ControllerConfig) -> None:
        """Go on with another configuration, while it leads: write what differs, connect and disconnect.

        A switch that is no longer configured keeps what it holds; nobody writes to it any more.
        """
        schema = self._loaded.result().schema
        rows, rates = self.policies.rows(), meter_cells(schema, self.services())
        self.config = config
        self.coordinator.configure(config)
        self.keys.epoch_time = config.timers.epoch
        self.policies.configure(config, self.coordinator.services.values())
        wanted = {switch.name: switch for switch in config.switches}
        for name in [name for name in self.own if name not in wanted]:
            self._connected.pop(name).cancel()
            self.lost(name)
            self._expected.discard(name)
            self._served.discard(name)
            del self.own[name], self.links[name]
        for name, switch in wanted.items():
            if name in self.own:
                self.own[name].life.timers = config.timers
                self.own[name].configure(switch, schema)
            else:
                self.own[name] = self.links[name] = SwitchLink(switch, self)
                self._connect(self.own[name])
        self.policies.write(schema, rows, self.coordinator.writable)
        for job in meter_changes(rates, meter_cells(schema, self.services())):
            for name in self.coordinator.writable:
                self.links[name].put(job)

    async def _stand_by(self, schema: Schema) -> None:
        began = self.clock()
        standby = Standby(self.config, schema, self.clock, self._stands_by)
        self.election_id = await standby.run()
        if self.clock() - began > _GATHER_TIME:
            self._expected = standby.watch.reached()
        self.coordinator.began = self.clock()
        self.learned.restore(self.coordinator.services.values())  # another controller may have written it
        log.info("leading with election id %d", self.election_id)

    def _stands_by(self, switch: str, reason: str, away: bool) -> None:
        self.own[switch].stands_by(reason, away=away)

    @property
    def leading(self) -> bool:
        """Whether it has begun to lead."""
        return self.election_id != 0

    @property
    def federation(self) -> dict[str, Any] | None:
        """What is told of the federation that it is a member of, if it is."""
        return None

    def _writable(self) -> tuple[str, ...]:
        return self.coordinator.writable

    async def program(self) -> Program:
        return await asyncio.shield(self._loaded)

    async def _ticks(self) -> None:
        last = self.clock()
        while True:
            await asyncio.sleep(_TICK)
            if self.clock() - last > _STOOD_STILL:
                # This process did not run. What switches have said meanwhile comes before the timers.
                await asyncio.sleep(_CATCH_UP)
            last = self.clock()
            try:
                self._tick()
            except Exception:  # the clock must go on
                log.exception("a timer's work failed")

    def _tick(self) -> None:
        now = self.clock()
        self._execute(self.coordinator.tick(now, self.wall()))
        self._rotate_keys(now)

    def _rotate_keys(self, now: float) -> None:
        serving = {name for name, link in self.links.items() if link.in_service}
        self._served |= serving
        effects = self.keys.tick(now, self.coordinator.answering, absent=self._served != serving)
        if effects:
            self._served = serving  # who was waited for in vain does not hold the next rotation too
            self._execute_keys(effects)

    # --- a switch comes and goes ------------------------------------------------------------------

    async def first_seen(self, switch: str, held: Held) -> None:
        """The first switches are waited for together, so that the keys of all of them count. Now the
        sessions of this one can be adopted, and until they are, `all_adopted` keeps the others waiting.
        """
        self._adopting.add(switch)
        if self.keys.ready:
            self.policies.adopt(held.rows)
            return
        self._gathered[switch] = held
        if self._expected <= self._gathered.keys():
            self._gathering_done.set()
        try:
            await asyncio.wait_for(self._gathering_done.wait(), _GATHER_TIME)
        except TimeoutError:
            self._gathering_done.set()
        if not self.keys.ready:
            self.keys.begin(self.clock(), [found.keys for found in self._gathered.values()])
            for found in self._gathered.values():
                self.policies.adopt(found.rows)
            self._gathered.clear()

    def adopt(self, switch: str, sessions: Sequence[tuple[Key, Entry]]) -> None:
        """Take over sessions that a switch holds from before this controller."""
        self._execute(self.coordinator.adopt(switch, sessions, self.clock(), self.wall()))

    async def all_adopted(self, switch: str) -> None:
        """All of this switch's have been adopted: return when those of the others have, too. Before, one that
        has lost its sessions would be brought into service without them.
        """
        self._adopting.discard(switch)
        log.info("switch %s: %d sessions taken over so far", switch, len(self.coordinator.sessions))
        while self._adopting:
            await asyncio.sleep(_TICK)

    def joined(self, switch: str) -> None:
        self.coordinator.switch_joined(switch, self.clock(), filling=self.own[switch].filling)

    async def went_live(self, switch: str) -> None:
        """From now on barriers wait for the switch; returns when it has what was released without it, too."""
        self.coordinator.switch_live(switch)
        spread = self.coordinator.spread
        behind = spread.behind(switch)
        while any(spread.lacks(key, switch) for key in behind):
            await asyncio.sleep(_TICK)

    def filled(self, switch: str) -> None:
        """The switch has all sessions, and lets traffic pass."""
        self._execute(self.coordinator.switch_filled(switch, self.clock(), self.wall()))

    def lost(self, switch: str) -> None:
        now = self.clock()
        self._adopting.discard(switch)
        self._execute(self.coordinator.switch_lost(switch, now, self.wall()))
        self._execute_keys(self.keys.confirmed(switch, now, self.coordinator.answering))

    def keys_to_hold(self) -> tuple[KeySet, int]:
        return self.keys.held(), self.keys.generation

    def proxy_rows(self, switch: str) -> list[Row]:
        return self.policies.rows_at(switch)

    def services(self) -> Collection[Service]:
        return self.coordinator.services.values()

    def session(self, key: Key) -> Session | None:
        return self.coordinator.sessions.get(key)

    def session_keys(self) -> list[Key]:
        return self.coordinator.sessions.keys()

    def comes_last(self, switch: str, key: Key) -> bool:
        return self.coordinator.comes_last(switch, key)

    # --- events of the switches -------------------------------------------------------------------

    def on_punt(self, switch: str, header: PuntHeader, frame: bytes) -> None:
        self._execute(self._punted(switch, header, frame))

    def _punted(self, switch: str, header: PuntHeader, frame: bytes) -> Effects:
        now, wall = self.clock(), self.wall()
        reason, port = header.reason, header.ingress_port
        if reason == Punt.PROVEN:
            return self.coordinator.punt_proven(switch, header, frame, now, wall)
        if reason == Punt.FOLLOWING:
            return self.coordinator.punt_following(switch, header, frame, now, wall)
        if reason == Punt.SERVER_SYNACK:
            return self.coordinator.punt_synack(switch, port, frame, now, wall)
        if reason == Punt.EARLY_RETURN:
            return self.coordinator.punt_early_return(switch, port, frame, now, wall)
        return []

    def on_end(self, key: Key, event: int, version: int) -> None:
        self._execute(self.coordinator.end_seen(key, End(event), self.clock(), self.wall(), version))

    def on_idle(self, switch: str, keys: list[Key]) -> None:
        self._execute(self.coordinator.idle_seen(switch, keys))

    def on_written(self, switch: str, job: Job, outcome: Outcome) -> None:
        token = job.token
        now, wall = self.clock(), self.wall()
        if isinstance(token, SessionWrite):
            key = job.key
            if not isinstance(key, tuple):
                return
            if outcome.code == OK:
                effects = self.coordinator.written(switch, key, token.version, token.removed, now, wall)
                self._execute(effects)
                return
            full = outcome.code == RESOURCE_EXHAUSTED
            if full and not token.removed and self.coordinator.awaits(key, token.version):
                self._execute(self.coordinator.refused(switch, key, token.version, full, now, wall))
                return
        elif outcome.code == OK:
            if isinstance(token, KeyWrite) and token.generation == self.keys.generation:
                self._execute_keys(self.keys.confirmed(switch, now, self.coordinator.answering))
            return
        what = "a session" if isinstance(token, SessionWrite) else "a key" if token else "an entry"
        self.links[switch].fail(f"it refused {what}: {outcome}")

    # --- effects ----------------------------------------------------------------------------------

    def _execute(self, effects: Effects) -> None:
        for switch, group in groupby(effects, _goes_through):
            if switch is None:
                self._execute_others(group)
            elif switch in self.links:  # it may have been removed from the configuration
                self.links[switch].send_packets([p for p in group if isinstance(p, PacketOut)])

    def _execute_others(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Put):
                kind = INSERT if effect.new else MODIFY
                token = SessionWrite(effect.entry.version, False)
                self._put_session(effect.switches, kind, effect.key, effect.entry, token)
            elif isinstance(effect, Remove):
                token = SessionWrite(effect.version, True)
                self._put_session(effect.switches, DELETE, effect.key, None, token)
            elif isinstance(effect, CheckIdle):
                self._spawn(self._check_idle(effect))
            elif isinstance(effect, ServiceChanged):
                self._service_changed(effect.service)

    def _service_changed(self, service: Service) -> None:
        """Something was learned of what a service supports: every switch is to tell clients so."""
        log.info(
            "service %s: its server supports mss=%d window scale=%s sack=%s timestamps=%s",
            service.config.name,
            service.mss,
            service.window_scale,
            service.sack,
            service.timestamps,
        )
        if self.policies.stance(service) is Stance.ABSENT:
            return
        schema = self._loaded.result().schema
        for name in self.coordinator.writable:
            stance = self.policies.stance_at(name, service)
            self.links[name].put(row_job(schema, service_row(service, stance)))

    def _put_session(
        self, switches: tuple[str, ...], kind: int, key: Key, entry: Entry | None, token: SessionWrite
    ) -> None:
        if not switches:
            return
        entity = self._loaded.result().schema.session_bytes(key, entry)
        for name in switches:
            self.links[name].put(Job(kind, entity, key, token))

    def _execute_keys(self, effects: Iterable[KeyEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Expel):
                for name in effect.switches:
                    self.links[name].fail("it did not take the cookie key within an epoch")
                continue
            row = key_row(effect.key) if isinstance(effect, InstallKey) else epoch_row(effect.parity)
            job = row_job(self._loaded.result().schema, row, KeyWrite(self.keys.generation))
            for name in effect.switches:
                self.links[name].put(job)

    async def _check_idle(self, effect: CheckIdle) -> None:
        for start in range(0, len(effect.keys), _IDLE_CHUNK):
            keys = effect.keys[start : start + _IDLE_CHUNK]
            reads = [self.links[name].elapsed(keys) for name in effect.switches]
            try:
                answers = await asyncio.gather(*reads)
            except SwitchError:
                return  # the switch goes out of service; its sessions come again
            elapsed = {
                key: {
                    name: found.get(key, float("inf"))
                    for name, found in zip(effect.switches, answers, strict=True)
                }
                for key in keys
            }
            self._execute(self.coordinator.idle_checked(elapsed, self.clock(), self.wall()))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
