# SPDX-License-Identifier: Apache-2.0
"""Standing by: one watching connection to every switch, until it is time to lead (`logic/leadership.py`)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from controller.config import ControllerConfig, SwitchConfig
from controller.logic.arbitration import Arbitration, Standing, leading_id
from controller.logic.leadership import Watch
from controller.p4.connection import Connection
from controller.p4.errors import NoProgramError, SwitchError
from controller.p4.schema import Schema
from controller.p4.sync import read_beat

log = logging.getLogger(__name__)

_LOOK: Final = 0.02  # seconds between two looks at whether to lead
_RETRY: Final = 0.2
_LOOKS_PER_LEASE: Final = 6


class Standby:
    """`on_state(switch, reason, away)` hears in a line why a switch is not this controller's own, and whether
    that is because it does not answer."""

    def __init__(
        self,
        config: ControllerConfig,
        schema: Schema,
        clock: Callable[[], float],
        on_state: Callable[[str, str, bool], None],
    ) -> None:
        self._config = config
        self._schema = schema
        self._clock = clock
        self._on_state = on_state
        self.watch = Watch((s.name for s in config.switches), config.timers.lease, clock())

    async def run(self) -> int:
        """Wait until it is time to lead; the election id to lead with."""
        tasks = [asyncio.ensure_future(self._follow(switch)) for switch in self._config.switches]
        told = None
        try:
            while not self.watch.may_lead(now := self._clock()):
                primary = self.watch.primary(now)
                if primary is not None and told != primary:
                    told = primary
                    log.info("standing by: another controller leads (election id %d)", primary)
                await asyncio.sleep(_LOOK)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return leading_id(self.watch.highest, secrets.randbits(16))

    async def _follow(self, switch: SwitchConfig) -> None:
        while True:
            try:
                await self._observe(switch)
            except SwitchError as err:
                self._away(switch.name, str(err))
            except Exception as err:
                log.exception("switch %s: unexpected", switch.name)
                self._away(switch.name, f"unexpected {type(err).__name__}: {err}")
            await asyncio.sleep(_RETRY)

    def _away(self, switch: str, reason: str) -> None:
        self.watch.away(switch)
        self._on_state(switch, reason, True)

    async def _observe(self, switch: SwitchConfig) -> None:
        """Follow one switch's arbitration and heartbeat until its connection breaks."""
        tls = self._config.tls_of(switch)
        connection = Connection(switch.address, switch.device_id, Arbitration(), lambda _: None, tls)
        try:
            standing = await connection.open()
            while True:
                self._note(switch.name, standing, connection)
                notice = asyncio.ensure_future(connection.next_standing())
                try:
                    while not notice.done():
                        if standing is Standing.BACKUP:
                            await self._look(switch.name, connection)
                        await asyncio.wait([notice], timeout=self._config.timers.lease / _LOOKS_PER_LEASE)
                    standing = notice.result()
                finally:
                    notice.cancel()
        finally:
            await connection.close()

    def _note(self, switch: str, standing: Standing, connection: Connection) -> None:
        if standing is Standing.BACKUP:
            self.watch.held(switch, connection.highest_id, self._clock())
            self._on_state(switch, f"standing by: {connection.backup_reason()}", False)
        else:
            self.watch.free(switch, connection.highest_id)
            self._on_state(switch, "standing by: no controller is primary", False)

    async def _look(self, switch: str, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._config.timers.lease):
                count: int | None = await read_beat(connection, self._schema)
        except NoProgramError:
            count = None
        except TimeoutError:
            raise SwitchError(f"no answer within {self._config.timers.lease:g} s") from None
        self.watch.beat(switch, count, self._clock())
