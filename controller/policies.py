# SPDX-License-Identifier: Apache-2.0
"""The policies of the services at work: reads the rates of SYNs, writes what is decided to every switch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.config import ControllerConfig
from controller.logic.model import Service
from controller.logic.policy import AttackWatch, Stance, SynRates, drain_time
from controller.p4.errors import SwitchError
from controller.p4.link import Switch
from controller.p4.schema import Row, Schema
from controller.p4.static import changes, proxy_rows, stance_held

log = logging.getLogger(__name__)

_EVERY: Final = 1.0
_READ_TIME: Final = 0.8
_FLUSH_TIME: Final = 0.5  # a switch that is slower than this does not hold the defence up


class Policies:
    """The stance of every service. `syn_rates`: SYNs/s by service id, of services of mode `on-attack`."""

    def __init__(
        self,
        config: ControllerConfig,
        services: Iterable[Service],
        links: Mapping[str, Switch],
        clock: Callable[[], float],
    ) -> None:
        self._links = links
        self._clock = clock
        self._meter = SynRates()
        self._written: list[Row] | None = None
        self._services: list[Service] = []
        self._watches: dict[int, AttackWatch] = {}
        self.syn_rates: dict[int, float] = {}
        self.configure(config, services)

    def configure(self, config: ControllerConfig, services: Iterable[Service]) -> None:
        """Go on with other services, or others' policies. Who is guarded now stays so until it is calm."""
        before = {service.service_id: self.stance(service) for service in self._services}
        self._services = list(services)
        self._drain = drain_time(config.timers)
        self._watches = {
            service.service_id: AttackWatch(
                service.config, self._drain, _guarded(before.get(service.service_id, Stance.PASSING))
            )
            for service in self._services
            if service.config.mode == "on-attack"
        }

    # --- what is decided ----------------------------------------------------------------------------

    def stance(self, service: Service) -> Stance:
        """A bypassed service stays known to the switches as long as it has sessions from before."""
        watch = self._watches.get(service.service_id)
        if watch is not None:
            return watch.stance
        if service.config.mode == "bypass":
            return Stance.PASSING if service.sessions else Stance.ABSENT
        return Stance.PROXYING

    def stance_at(self, switch: str, service: Service) -> Stance:
        """What a switch must be told: one that lacks sessions lets nothing of a guarded service pass."""
        filling = self._links[switch].filling and service.config.mode != "bypass"
        return Stance.FILLING if filling else self.stance(service)

    def rows(self) -> list[Row]:
        """What every switch must hold now that has all sessions."""
        return proxy_rows((service, self.stance(service)) for service in self._services)

    def rows_at(self, switch: str) -> list[Row]:
        """What this switch must hold now."""
        return proxy_rows((service, self.stance_at(switch, service)) for service in self._services)

    def adopt(self, rows: Iterable[Row]) -> None:
        """Go on from where the last controller was: what it guarded stays guarded until it is calm."""
        held = list(rows)
        for service in self._services:
            watch = self._watches.get(service.service_id)
            if watch is not None and watch.stance is not Stance.PROXYING:
                found = stance_held(held, service)
                watch.stance = found if found is not Stance.PASSING else watch.stance

    # --- at work ------------------------------------------------------------------------------------

    async def run(self, schema: Schema, writable: Callable[[], Iterable[str]]) -> None:
        """Read, decide and write once a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            if all(service.config.mode == "always" for service in self._services):
                continue
            try:
                await self._round(schema, writable)
            except Exception:  # the next round may do better
                log.exception("the services' policies could not be carried out")

    async def _round(self, schema: Schema, writable: Callable[[], Iterable[str]]) -> None:
        arming = self._decide(await self._read())
        self._write(schema, writable())
        if not arming:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_TIME):
                await asyncio.gather(*(self._links[name].flush() for name in writable()))
        for watch in arming:
            watch.armed()
        self._write(schema, writable())

    async def _read(self) -> dict[int, float] | None:
        """SYNs/s by service id; None: not known."""
        if not self._watches:
            return None
        names = [name for name, link in self._links.items() if link.in_service]
        answers = await asyncio.gather(*(self._read_one(self._links[name]) for name in names))
        counts = {name: cells for name, cells in zip(names, answers, strict=True) if cells is not None}
        return self._meter.rates(counts, self._clock())

    @staticmethod
    async def _read_one(link: Switch) -> dict[int, int] | None:
        try:
            async with asyncio.timeout(_READ_TIME):
                return await link.service_syns()
        except (SwitchError, TimeoutError):
            return None

    def _decide(self, rates: dict[int, float] | None) -> list[AttackWatch]:
        """Bring every watch up to date; those that arm now."""
        arming: list[AttackWatch] = []
        now = self._clock()
        for service in self._services:
            watch = self._watches.get(service.service_id)
            if watch is None:
                continue
            rate = None if rates is None else rates.get(service.service_id, 0.0)
            if rate is not None:
                self.syn_rates[service.service_id] = rate
            if watch.update(rate, now):
                self._log(service, watch.stance, rate or 0.0)
            if watch.stance is Stance.ARMING:
                arming.append(watch)
        return arming

    def _log(self, service: Service, stance: Stance, rate: float) -> None:
        config = service.config
        if stance is Stance.ARMING:
            text = f"attack: {rate:.0f} SYNs/s (threshold {config.attack_syn_rate}): guarded from now on"
        elif stance is Stance.DRAINING:
            text = f"calm for {config.calm_after:g} s: SYNs pass, cookies count for {self._drain:g} s more"
        else:
            text = "no cookie lives any more: all passes but sessions"
        log.warning("service %s: %s", config.name, text)

    def write(self, schema: Schema, held: list[Row], switches: Iterable[str]) -> None:
        """Write at once what has changed since the switches held these rows."""
        self._written = held
        self._write(schema, switches)

    def _write(self, schema: Schema, switches: Iterable[str]) -> None:
        rows = self.rows()
        if self._written is None:  # some switch may still hold what another controller wrote
            absent = [service for service in self._services if self.stance(service) is Stance.ABSENT]
            self._written = proxy_rows((service, Stance.PASSING) for service in absent)
        jobs = changes(schema, self._written, rows)
        self._written = rows
        for name in switches:
            if not self._links[name].filling:  # else it gets them when it has all sessions
                for job in jobs:
                    self._links[name].put(job)


def _guarded(stance: Stance) -> Stance:
    """The stance to begin with of a service that was in this one under another policy."""
    return Stance.PASSING if stance is Stance.ABSENT else stance
