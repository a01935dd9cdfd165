# SPDX-License-Identifier: Apache-2.0
"""The cookie keys that all members share: one encrypted record, replaced by compare-and-set.

Only one member rotates (`Members.leader`). Should two believe that they do, the store takes the record of one of
them, and the other follows it. The record is encrypted (Fernet: AES-128-CBC with HMAC-SHA256) with a secret that
the members share and NATS never sees.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken

from controller.federation.messages import KeyRecord, MessageError, decode
from controller.logic.keys import CookieKey, KeyRing


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
