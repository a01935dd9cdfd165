# SPDX-License-Identifier: Apache-2.0
"""Digests: which are enabled, what waits to be sent, what was sent and not yet acknowledged.

Pure apart from a lock: digest messages and the time (nanoseconds of any steady clock) go in, digest lists
come out. See the specification, "DigestEntry".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from finsy.proto import p4i, p4r, p4t

from softswitch.p4runtime.errors import ALREADY_EXISTS, NOT_FOUND, P4RuntimeError, invalid
from softswitch.p4runtime.p4data import ValueCodec

_MAX_LIST = 4096  # messages in a list when the client sets no limit
_MAX_CACHE = 65536  # messages remembered as unacknowledged, per digest


class DigestCodec:
    """One digest of the program."""

    def __init__(self, digest: p4i.Digest, types: p4t.P4TypeInfo) -> None:
        self.id = digest.preamble.id
        self.name = digest.preamble.alias or digest.preamble.name
        self.value = ValueCodec(digest.type_spec, types, self.name)


@dataclass
class _Learner:
    """An enabled digest. Dictionaries keep their order, so the oldest comes first in each."""

    codec: DigestCodec
    config: p4r.DigestEntry.Config
    buffer: dict[bytes, None] = field(default_factory=dict)
    buffer_since: int = 0
    sent: dict[int, tuple[int, list[bytes]]] = field(default_factory=dict)  # list id → (time, messages)
    unacknowledged: set[bytes] = field(default_factory=set)
    next_list_id: int = 1

    def learn(self, message: bytes, now: int) -> p4r.DigestList | None:
        """A message came from the data plane: a list if it is time to send one."""
        self._forget_old(now)
        if message in self.buffer or message in self.unacknowledged:
            return None
        if not self.buffer:
            self.buffer_since = now
        self.buffer[message] = None
        full = len(self.buffer) >= (self.config.max_list_size or _MAX_LIST)
        return self._send(now) if full or self.config.max_timeout_ns == 0 else None

    def due(self, now: int) -> p4r.DigestList | None:
        """A list if the oldest message has waited for its time."""
        if self.buffer and now >= self.deadline():
            return self._send(now)
        return None

    def deadline(self) -> int:
        """When the buffer must go out, if there is anything in it."""
        return self.buffer_since + self.config.max_timeout_ns

    def acknowledge(self, list_id: int) -> None:
        """The client has dealt with a list: what is in it may be reported again."""
        _, messages = self.sent.pop(list_id, (0, []))
        self.unacknowledged.difference_update(messages)

    def _send(self, now: int) -> p4r.DigestList:
        messages = list(self.buffer)
        self.buffer.clear()
        result = p4r.DigestList(digest_id=self.codec.id, list_id=self.next_list_id, timestamp=time.time_ns())
        for message in messages:
            self.codec.value.decode(message, result.data.add())
        if self.config.ack_timeout_ns > 0:
            self.sent[self.next_list_id] = (now, messages)
            self.unacknowledged.update(messages)
        self.next_list_id += 1
        while len(self.unacknowledged) > _MAX_CACHE:
            self.acknowledge(next(iter(self.sent)))
        return result

    def _forget_old(self, now: int) -> None:
        while self.sent:
            list_id, (sent_at, _) = next(iter(self.sent.items()))
            if now - sent_at < self.config.ack_timeout_ns:
                return
            self.acknowledge(list_id)


class Digests:
    """All digests of one running program. Safe to use from several threads."""

    def __init__(self, codecs: dict[int, DigestCodec]) -> None:
        self._codecs = codecs
        self._learners: dict[int, _Learner] = {}
        self._lock = threading.Lock()

    def insert(self, codec: DigestCodec, config: p4r.DigestEntry.Config) -> None:
        """Enable a digest."""
        _check(codec, config)
        with self._lock:
            if codec.id in self._learners:
                raise P4RuntimeError(ALREADY_EXISTS, f"digest {codec.name} is already enabled")
            self._learners[codec.id] = _Learner(codec, _copy(config))

    def modify(self, codec: DigestCodec, config: p4r.DigestEntry.Config) -> None:
        """Change how an enabled digest is reported."""
        _check(codec, config)
        with self._lock:
            self._enabled(codec).config = _copy(config)

    def delete(self, codec: DigestCodec) -> None:
        """Disable a digest; what waits is dropped."""
        with self._lock:
            self._enabled(codec)
            del self._learners[codec.id]

    def read(self, digest_id: int) -> list[p4r.DigestEntry]:
        """The configuration of one enabled digest, or of all with id 0."""
        with self._lock:
            return [
                p4r.DigestEntry(digest_id=learner.codec.id, config=learner.config)
                for learner in self._learners.values()
                if digest_id in (0, learner.codec.id)
            ]

    def learn(self, digest_id: int, message: bytes, now: int) -> p4r.DigestList | None:
        """A message came from the data plane; digests that are not enabled are dropped."""
        with self._lock:
            learner = self._learners.get(digest_id)
            return learner.learn(message, now) if learner else None

    def due(self, now: int) -> list[p4r.DigestList]:
        """Lists whose oldest message has waited long enough."""
        with self._lock:
            ready = [learner.due(now) for learner in self._learners.values()]
        return [item for item in ready if item is not None]

    def next_deadline(self) -> int | None:
        """When `due` will next have something, None if nothing waits."""
        with self._lock:
            return min((item.deadline() for item in self._learners.values() if item.buffer), default=None)

    def acknowledge(self, ack: p4r.DigestListAck) -> None:
        """The primary acknowledged a list; one that is unknown or already forgotten does no harm."""
        if ack.digest_id not in self._codecs:
            raise invalid(f"digest id 0x{ack.digest_id:08x} is not in the program's P4Info")
        with self._lock:
            learner = self._learners.get(ack.digest_id)
            if learner:
                learner.acknowledge(ack.list_id)

    def restore(self, entries: Iterable[p4r.DigestEntry]) -> None:
        """Enable what another program had enabled, as far as this one has it."""
        for entry in entries:
            if entry.digest_id in self._codecs:
                self.insert(self._codecs[entry.digest_id], entry.config)

    def _enabled(self, codec: DigestCodec) -> _Learner:
        learner = self._learners.get(codec.id)
        if learner is None:
            raise P4RuntimeError(NOT_FOUND, f"digest {codec.name} is not enabled")
        return learner


def _check(codec: DigestCodec, config: p4r.DigestEntry.Config) -> None:
    for name in ("max_timeout_ns", "max_list_size", "ack_timeout_ns"):
        if getattr(config, name) < 0:
            raise invalid(f"digest {codec.name}: {name} is negative")


def _copy(config: p4r.DigestEntry.Config) -> p4r.DigestEntry.Config:
    copy = p4r.DigestEntry.Config()
    copy.CopyFrom(config)
    return copy
