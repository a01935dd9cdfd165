# SPDX-License-Identifier: Apache-2.0
"""The cookie keys that all members share: one encrypted record, replaced by compare-and-set.

Only one member rotates (`Members.leader`). Should two believe that they do, the store takes the record of one
of them, and the other follows it. The record is encrypted (Fernet: AES-128-CBC with HMAC-SHA256) with a
secret that the members share and NATS never sees.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken

from controller.federation.bus import BusError, ConflictError
from controller.federation.messages import KeyRecord, MessageError, decode
from controller.logic.keys import CookieKey, KeyEffect, KeyRing, KeySet

if TYPE_CHECKING:
    from controller.federation.hub import FederatedHub

log = logging.getLogger(__name__)

_TRY_AGAIN = 0.25  # seconds


class KeysUnreadableError(MessageError):
    """The record was not made with this member's secret, or is damaged; one line."""


class KeyBox:
    """Locks and opens the record with the shared secret (44 characters of base64, a Fernet key).

    Raises:
        ValueError: it is no such secret.
    """

    def __init__(self, secret: bytes) -> None:
        self._fernet = Fernet(secret.strip())

    def lock(self, record: KeyRecord) -> bytes:
        return self._fernet.encrypt(record.encoded())

    def open(self, data: bytes) -> KeyRecord:
        """Raises MessageError."""
        try:
            plain = self._fernet.decrypt(data)
        except InvalidToken:
            raise KeysUnreadableError(
                "the record of the cookie keys cannot be opened with federation.secret; "
                "give all members the same file"
            ) from None
        return decode(KeyRecord, plain)


def record_of(ring: KeyRing, by: str, run: str, now: float, wall: float) -> KeyRecord:
    """What all members must hold, as this one's ring has it."""
    keys = sorted((key.k0, key.k1, key.epoch) for key in ring.held().keys.values())
    return KeyRecord(by=by, run=run, epoch=ring.epoch or 0, keys=keys, began=wall - (now - ring.began))


def follow(ring: KeyRing, record: KeyRecord, now: float, wall: float) -> bool:
    """Bring a ring to what the record says; False when it is there already."""
    keys = [CookieKey(*key) for key in record.keys]
    held = ring.held()
    if ring.epoch == record.epoch and held.keys == {key.parity: key for key in keys}:
        return False
    ring.follow(now, keys, record.epoch, min(max(0.0, wall - record.began), 86400.0))
    return True


class SharedKeys:
    """This member's key ring as the federation's record has it. `revision`: of the record; 0: not known."""

    def __init__(self, hub: FederatedHub, secret: bytes) -> None:
        self.revision = 0
        self._hub = hub
        self._box = KeyBox(secret)
        self._storing = False
        self._writes: dict[str, int] = {}  # how many each own switch has not confirmed
        self._tell: tuple[str, int] | None = None  # whom, of which revision, when all are confirmed

    @property
    def settled(self) -> bool:
        """Whether the record is known and not being changed here."""
        return self.revision != 0 and not self._storing

    async def begin(self, held: KeySet) -> None:
        """Have keys: the federation's; else those of an own switch (`held`), or fresh ones, if this member is
        the
        first."""
        ring = self._hub.keys
        while not (ring.ready and self.revision):
            try:
                await self.join()
                if not ring.ready:
                    ring.begin(self._hub.clock(), [held])
            except (BusError, MessageError):
                await asyncio.sleep(_TRY_AGAIN)

    async def join(self) -> None:
        """Take over the record; or store it, if there is none and the ring has keys.

        Raises:
            BusError: NATS cannot be used.
            MessageError: the record cannot be read.
        """
        bus = self._hub.bus
        if bus is None:
            raise BusError("no connection to NATS")
        found = await bus.read_keys()
        if found is not None:
            self._follow(self._box.open(found[0]), found[1])
        elif self._hub.keys.ready:
            try:
                self.revision = await bus.write_keys(self._locked(), 0)
            except ConflictError:
                raise BusError("another member writes the keys") from None

    def changed(self, data: bytes) -> None:
        """Another member has replaced the record; its revision is asked for with it. Raises MessageError."""
        self._box.open(data)
        self._hub.spawn(self._read())

    async def _read(self) -> None:
        try:
            await self.join()
        except (BusError, MessageError) as error:
            log.warning("federation: the keys could not be read: %s", error)

    def _follow(self, record: KeyRecord, revision: int) -> None:
        if revision == self.revision:
            return
        hub, held = self._hub, self._hub.keys.held()
        self.revision = revision
        if follow(hub.keys, record, hub.clock(), hub.wall()):
            self._writes = hub.keys_followed(held)
        self._tell = (record.by, revision)
        self._tell_if_done()

    # --- own switches -----------------------------------------------------------------------------

    def written(self, switch: str, generation: int) -> None:
        """An own switch has confirmed a write of this generation of the ring."""
        if generation == self._hub.keys.generation and self._writes.get(switch):
            self._writes[switch] -= 1
            self._tell_if_done()

    def switch_lost(self, switch: str) -> None:
        if self._writes.pop(switch, 0):
            self._tell_if_done()

    def _tell_if_done(self) -> None:
        if self._tell is not None and not any(self._writes.values()):
            (owner, revision), self._tell = self._tell, None
            self._hub.routing.keyed(owner, revision)

    # --- rotation ---------------------------------------------------------------------------------

    def _locked(self) -> bytes:
        hub = self._hub
        return self._box.lock(record_of(hub.keys, hub.me, hub.run_id, hub.clock(), hub.wall()))

    async def store(self, changes: Iterable[KeyEffect]) -> None:
        """Store what the ring has now, then have the changes carried out. Else whatever is stored is
        followed.
        """
        bus, locked = self._hub.bus, self._locked()
        self._storing = True
        try:
            if bus is None:
                raise BusError("no connection to NATS")
            self.revision = await bus.write_keys(locked, self.revision)
            self._hub.carry_out_keys(changes)
        except (BusError, ConflictError) as error:
            why = str(error) or "another member rotates them"
            log.warning("federation: the cookie keys stay as they are: %s", why)
            self.revision = 0
            await self._read()
        finally:
            self._storing = False
