# SPDX-License-Identifier: Apache-2.0
"""Joining the federation, staying in it, coming back.

To join: announce oneself, so that all others send what they share from now on; wait until they have
acknowledged that; read the store, which has everything older; take over the cookie keys. From then on the
lease is renewed. When it is over, or the connection breaks, this is no member any more until it has joined
anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from controller.federation.bus import Bus, BusError, Handler
from controller.federation.members import Members, Peer
from controller.federation.messages import AnyMessage, Lease, MessageError, Record, decode

log = logging.getLogger(__name__)

OpenBus = Callable[[Handler], Awaitable[Bus]]
"""Connects, or raises BusError."""

_RENEWALS: Final = 4  # within the time of a lease
_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 2.0


class Shared(Protocol):
    """What the membership needs of the hub."""

    def clock(self) -> float: ...
    def merge(self, record: Record) -> None: ...
    def settle(self, stored: set[str], continued: bool) -> None: ...
    async def join_keys(self) -> None: ...
    def became_member(self) -> None: ...
    def left(self, reason: str) -> None: ...
    def peer_changed(self, peer: Peer) -> None: ...
    def peer_lost(self, peer: Peer) -> None: ...
    def repeat_unsaved(self) -> None: ...
    def switches_held(self) -> tuple[dict[str, int], dict[str, str]]: ...


class LeaseLostError(Exception):
    """This is no member any more; one line."""


class Membership:
    """One member's way through connections and memberships. `bus` is None while there is no connection."""

    def __init__(self, members: Members, shared: Shared, open_bus: OpenBus, handler: Handler) -> None:
        self.members = members
        self.bus: Bus | None = None
        self.joined = asyncio.Event()
        """Set once it has been a member."""
        self.reason = "not connected yet"
        """Why it is no member; empty when it is."""
        self._shared = shared
        self._open_bus = open_bus
        self._handler = handler
        self._changed = asyncio.Event()
        self._again = asyncio.Event()
        self._news: set[str] = set()
        self._reading = False
        self._before: dict[str, str] = {}

    @property
    def me(self) -> str:
        return self.members.me

    @property
    def run_id(self) -> str:
        return self.members.run

    # --- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Be a member whenever that is possible, until cancelled; then say goodbye."""
        wait = _FIRST_WAIT
        try:
            while True:
                try:
                    self.bus = await self._open_bus(self._handler)
                    await self._join(self.bus)
                    wait = _FIRST_WAIT
                    await self._stay(self.bus)
                except (BusError, MessageError, LeaseLostError) as error:
                    self._leave(str(error))
                except Exception as error:
                    log.exception("the federation: unexpected")
                    self._leave(f"unexpected {type(error).__name__}: {error}")
                await self._close()
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
        finally:
            await self._say_goodbye()

    def _leave(self, reason: str) -> None:
        if reason != self.reason:
            log.warning("federation: not a member: %s; nothing new is let through meanwhile", reason)
        if self.members.state == "member":
            self._before = {
                peer.name: peer.run for peer in self.members.peers.values() if peer.state == "member"
            }
        self.reason = reason
        self.members.become("left")
        self._shared.left(reason)

    async def _close(self) -> None:
        if self.bus is not None:
            bus, self.bus = self.bus, None
            await bus.close()

    async def _say_goodbye(self) -> None:
        if self.bus is not None and self.members.state != "left":
            self.members.become("left")
            try:
                async with asyncio.timeout(1.0):
                    await self._publish(self.bus)
            except (TimeoutError, BusError):
                pass  # the others will see the lease end
        await self._close()

    # --- joining ----------------------------------------------------------------------------------

    async def _join(self, bus: Bus) -> None:
        clock, members = self._shared.clock, self.members
        members.begin(clock())
        await self._publish(bus)
        async for _, data in bus.snapshot("m."):
            if (lease := self._decoded(Lease, data)) is not None and lease.state != "left":
                self.heard(lease, stored=True)
        keeper = asyncio.ensure_future(self._keep_lease(bus))
        try:
            await self._acknowledged(keeper)
            stored = await self._read_store(bus)
            known = {peer.name: peer.run for peer in members.peers.values() if peer.state == "member"}
            self._shared.settle(stored, any(self._before.get(name) == run for name, run in known.items()))
            await self._shared.join_keys()
        finally:
            _end(keeper)
        members.become("member")
        self.reason = ""
        await self._publish(bus)
        self.joined.set()
        log.info("federation: member %s of %s", self.me, ", ".join(members.in_order()))
        self._shared.became_member()

    async def _acknowledged(self, keeper: asyncio.Future[None]) -> None:
        while self.members.unaware():
            if keeper.done():
                keeper.result()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), self._interval)
            except TimeoutError:
                self._expire()

    async def acknowledged(self) -> None:
        """Wait until every peer knows the present state of this member and its switches."""
        while self.members.unaware():
            self._changed.clear()
            await self._changed.wait()

    async def _read_store(self, bus: Bus) -> set[str]:
        """Take in what the store has; the keys that it has."""
        stored: set[str] = set()
        async for key, data in bus.snapshot("s."):
            if (record := self._decoded(Record, data)) is not None:
                stored.add(key)
                self._shared.merge(record)
        return stored

    def read_again(self) -> None:
        """Records were missed: take in what the store has, once, beside everything else."""
        if self.bus is not None and not self._reading:
            self._reading = True
            asyncio.get_running_loop().create_task(self._read_again(self.bus))

    async def _read_again(self, bus: Bus) -> None:
        try:
            await self._read_store(bus)
        except BusError as error:
            log.warning("federation: the store could not be read: %s", error)
        finally:
            self._reading = False

    # --- staying ----------------------------------------------------------------------------------

    @property
    def _interval(self) -> float:
        return self.members.lease / _RENEWALS

    async def _stay(self, bus: Bus) -> None:
        keeper = asyncio.ensure_future(self._keep_lease(bus))
        closed = asyncio.ensure_future(bus.closed.wait())
        try:
            await asyncio.wait((keeper, closed), return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                raise BusError(f"NATS: {bus.reason}")
            keeper.result()
        finally:
            _end(keeper)
            _end(closed)

    async def _keep_lease(self, bus: Bus) -> None:
        """Renew the lease, and at once when there is news. Raises LeaseLostError, BusError."""
        loop = asyncio.get_running_loop()
        renewals: set[asyncio.Task[None]] = set()
        while True:
            if bus.closed.is_set():
                raise BusError(f"NATS: {bus.reason}")
            if not self.members.valid(self._shared.clock()):
                raise LeaseLostError(f"NATS has not taken a sign of life for {self.members.lease:g} s")
            self._expire()
            renewal = loop.create_task(self._renew(bus))
            renewals.add(renewal)
            renewal.add_done_callback(renewals.discard)
            self._again.clear()
            try:
                await asyncio.wait_for(self._again.wait(), self._interval)
            except TimeoutError:
                continue

    async def _renew(self, bus: Bus) -> None:
        try:
            await self._publish(bus)
        except BusError as error:
            log.debug("federation: a renewal failed: %s", error)

    async def _publish(self, bus: Bus) -> None:
        sent = self._shared.clock()
        message = self.members.message(*self._shared.switches_held())
        await bus.store(f"m.{self.me}", message.encoded(), ttl=2 * self.members.lease + 1)
        self.members.renewed(sent)

    def tell(self) -> None:
        """Something has changed that the others must know: do not wait for the next renewal."""
        self._again.set()

    # --- the others -------------------------------------------------------------------------------

    def heard(self, lease: Lease, *, stored: bool = False) -> None:
        """A lease came; `stored`: it lay in the store."""
        if lease.by == self.me:
            if lease.run != self.members.run and not stored:
                log.warning(
                    "federation: another controller says that it is %s too; give each its own name", self.me
                )
            return
        known = self.members.peers.get(lease.by)
        if stored and known is not None and known.stamp:
            return  # heard of directly meanwhile
        news = self.members.heard(lease, self._shared.clock())
        peer = self.members.peers.get(lease.by)
        if lease.state == "left":
            if known is not None and peer is None:
                log.info("federation: %s has left", lease.by)
                self._shared.peer_lost(known)
        elif peer is not None:
            if known is None or known.run != peer.run:
                log.info("federation: %s is %s", peer.name, peer.state)
                if self.members.state == "member":  # else the store may have what is later than this
                    self._shared.repeat_unsaved()
            self._shared.peer_changed(peer)
            if self.members.missed(lease.by, lease.run, lease.n, record=False):
                self.read_again()
        self._changed.set()
        if news:
            self.tell()

    def _expire(self) -> None:
        for peer in self.members.expired(self._shared.clock()):
            log.warning("federation: %s is lost: no sign of life for %g s", peer.name, self.members.lease)
            self._shared.peer_lost(peer)
            self._changed.set()

    def _decoded(self, kind: type[AnyMessage], data: bytes) -> AnyMessage | None:
        try:
            return decode(kind, data)
        except MessageError as error:
            self.complain(str(error))
            return None

    def complain(self, text: str) -> None:
        """One line for each different complaint."""
        if text not in self._news and len(self._news) < 1000:
            self._news.add(text)
            log.warning("federation: a message is left out: %s", text)


def _end(task: asyncio.Future[Any]) -> None:
    """Cancel it; whatever it ended with has been seen, or is of no interest any more."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
