# SPDX-License-Identifier: Apache-2.0
"""Early returns: a server's packets that reached a switch before their session did.

They are held for a short time (200 ms by default) and sent through that same switch again if the session
has appeared, else dropped. Bounded in packets and bytes.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from controller.logic.model import Key

_PACKETS = 4096
_BYTES = 4 * 2**20


@dataclass(slots=True)
class EarlyReturn:
    deadline: float
    key: Key
    switch: str
    port: int
    frame: bytes
    done: bool = False


class EarlyReturns:
    """Held packets by session key. `dropped` counts by reason."""

    def __init__(self, hold_time: float) -> None:
        self._hold_time = hold_time
        self._queue: deque[EarlyReturn] = deque()
        self._by_key: dict[Key, list[EarlyReturn]] = {}
        self.held_bytes = 0
        self.dropped: Counter[str] = Counter()

    def hold(self, key: Key, switch: str, port: int, frame: bytes, now: float) -> None:
        if len(self._queue) >= _PACKETS or self.held_bytes + len(frame) > _BYTES:
            self.dropped["early_return_full"] += 1
            return
        packet = EarlyReturn(now + self._hold_time, key, switch, port, frame)
        self._queue.append(packet)
        self._by_key.setdefault(key, []).append(packet)
        self.held_bytes += len(frame)

    def take(self, key: Key) -> list[EarlyReturn]:
        """The packets held for a session, in the order in which they came; they are no longer held."""
        packets = self._by_key.pop(key, [])
        for packet in packets:
            packet.done = True
            self.held_bytes -= len(packet.frame)
        return packets

    def expire(self, now: float) -> set[Key]:
        """Keys of packets whose time is over: the caller takes them."""
        keys: set[Key] = set()
        while self._queue and (self._queue[0].done or self._queue[0].deadline <= now):
            packet = self._queue.popleft()
            if not packet.done:
                keys.add(packet.key)
        return keys
