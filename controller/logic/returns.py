# SPDX-License-Identifier: Apache-2.0
"""Early returns: packets that reached a switch before their session did, mostly the server's.

They are held for a short time (200 ms by default) and sent through that same switch again if the session
has appeared, else dropped. Bounded in packets and bytes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from controller.logic.model import Key

_PACKETS = 4096
_BYTES = 4 * 2**20


@dataclass(slots=True, eq=False)
class EarlyReturn:
    deadline: float
    key: Key
    switch: str
    port: int
    frame: bytes
    done: bool = False


class EarlyReturns:
    """Packets by session key, each held for `hold_time` seconds. `dropped` counts by reason."""

    def __init__(self, hold_time: float) -> None:
        self.hold_time = hold_time
        self._queue: deque[EarlyReturn] = deque()
        self._by_key: dict[Key, list[EarlyReturn]] = {}
        self.held_bytes = 0
        self.dropped: Counter[str] = Counter()

    def hold(self, key: Key, switch: str, port: int, frame: bytes, now: float) -> None:
        if len(self._queue) >= _PACKETS or self.held_bytes + len(frame) > _BYTES:
            self.dropped["early_return_full"] += 1
            return
        packet = EarlyReturn(now + self.hold_time, key, switch, port, frame)
        self._queue.append(packet)
        self._by_key.setdefault(key, []).append(packet)
        self.held_bytes += len(frame)

    def take(self, key: Key, at: Callable[[str], bool] = lambda _: True) -> list[EarlyReturn]:
        """The packets held for a session at the switches for which `at` is true, in the order in which they
        came; they are no longer held.
        """
        packets = [packet for packet in self._by_key.get(key, ()) if at(packet.switch)]
        for packet in packets:
            self._drop(packet)
        return packets

    def expire(self, now: float) -> list[EarlyReturn]:
        """The packets whose time is over; they are no longer held."""
        packets: list[EarlyReturn] = []
        while self._queue and (self._queue[0].done or self._queue[0].deadline <= now):
            packet = self._queue.popleft()
            if not packet.done:
                self._drop(packet)
                packets.append(packet)
        return packets

    def _drop(self, packet: EarlyReturn) -> None:
        packet.done = True
        self.held_bytes -= len(packet.frame)
        rest = self._by_key[packet.key]
        rest.remove(packet)
        if not rest:
            del self._by_key[packet.key]
