# SPDX-License-Identifier: Apache-2.0
"""Flows that were released a moment ago.

A switch sends what it is given only if no other packet of the flow is on its way to the controller
(`PacketOut.release`). If one comes, that had to wait, it is given all of them again, with that one. What
comes while it sends them waits, too, and is released by itself.
"""

from __future__ import annotations

from collections import deque

from controller.logic.handshake import Handshake, Held
from controller.logic.model import Key

_TIME = 1.1  # seconds: a little longer than a switch holds a flow whose session is open
_BYTES = 16 * 2**20


class ReleasedFlows:
    """Released flows by key, with the packets that they held."""

    def __init__(self) -> None:
        self._flows: dict[Key, Handshake] = {}
        self._in_order: deque[tuple[float, int, Handshake]] = deque()
        self._bytes = 0

    def get(self, key: Key) -> Handshake | None:
        return self._flows.get(key)

    def add(self, flow: Handshake, held: list[Held], now: float) -> None:
        """`held` is what the flow held until now."""
        flow.held = held
        size = sum(len(packet.frame) for packet in held)
        self._flows[flow.key] = flow
        self._in_order.append((now + _TIME, size, flow))
        self._bytes += size

    def expire(self, now: float) -> None:
        """Forget those whose time is over, and the oldest of too many."""
        while self._in_order and (self._in_order[0][0] <= now or self._bytes > _BYTES):
            _, size, flow = self._in_order.popleft()
            self._bytes -= size
            flow.held = []
            if self._flows.get(flow.key) is flow:
                del self._flows[flow.key]
