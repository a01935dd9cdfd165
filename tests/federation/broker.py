# SPDX-License-Identifier: Apache-2.0
"""NATS in memory: what the federation uses of it, at once and in order, with ways that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from controller.federation.bus import BusError, ConflictError, Handler


class Broker:
    """The store and everybody's subjects. `away`: nobody can connect, or reach it."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.keys: tuple[bytes, int] | None = None
        self.buses: dict[str, FakeBus] = {}
        self.cut: set[str] = set()
        self.away = False
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue()

    def open(self, name: str, handler: Handler) -> FakeBus:
        """Raises BusError."""
        if self.away or name in self.cut:
            raise BusError("nats://nowhere:4222: no server answers")
        bus = self.buses[name] = FakeBus(self, name, handler)
        return bus

    def reaches(self, name: str) -> bool:
        return not self.away and name not in self.cut

    def deliver(self, sender: str, topic: str, data: bytes) -> None:
        """To all but the sender, a moment later."""
        asyncio.get_running_loop().call_soon(self._deliver, sender, topic, data)

    def _deliver(self, sender: str, topic: str, data: bytes) -> None:
        for name, bus in list(self.buses.items()):
            if name == sender or bus.closed.is_set() or not self.reaches(name):
                continue
            if topic.startswith("to."):
                _, receiver, kind = topic.split(".")
                if receiver == name:
                    bus.handler(f"to.{kind}", data, None)
            else:
                bus.handler(topic, data, None)


class FakeBus:
    """One member's connection (`controller.federation.bus.Bus`)."""

    def __init__(self, broker: Broker, name: str, handler: Handler) -> None:
        self.closed = asyncio.Event()
        self.reason = ""
        self.handler = handler
        self._broker = broker
        self._name = name

    @property
    def _works(self) -> bool:
        return not self.closed.is_set() and self._broker.reaches(self._name)

    def break_off(self, reason: str = "the connection is broken") -> None:
        self.reason = reason
        self.closed.set()

    def publish(self, topic: str, data: bytes) -> None:
        if self._works:
            self._broker.deliver(self._name, topic, data)

    def store(self, key: str, data: bytes, ttl: float | None = None) -> asyncio.Future[None]:
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._works:  # else nobody answers
            self._broker.entries[key] = data
            self._broker.deliver(self._name, key, data)
            asyncio.get_running_loop().call_soon(_settle, stored, None)
        return stored

    async def snapshot(self, prefix: str) -> AsyncIterator[tuple[str, bytes]]:
        self._check()
        for key, data in list(self._broker.entries.items()):
            if key.startswith(prefix):
                yield key, data

    async def read_keys(self) -> tuple[bytes, int] | None:
        self._check()
        return self._broker.keys

    async def write_keys(self, data: bytes, revision: int) -> int:
        self._check()
        if revision != (self._broker.keys[1] if self._broker.keys else 0):
            raise ConflictError
        self._broker.keys = (data, revision + 1)
        self._broker.deliver(self._name, "keys", data)
        return revision + 1

    async def request(self, topic: str, data: bytes, time_limit: float) -> bytes:
        self._check()
        _, receiver, kind = topic.split(".")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        bus = self._broker.buses.get(receiver)
        if bus is not None and not bus.closed.is_set() and self._broker.reaches(receiver):
            bus.handler(f"to.{kind}", data, lambda data: _settle(answer, data))
        try:
            return await asyncio.wait_for(answer, time_limit)
        except TimeoutError:
            raise BusError("no answer in time") from None

    async def close(self) -> None:
        self.break_off("closed")

    def _check(self) -> None:
        if not self._works:
            raise BusError(self.reason or "no answer in time")


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
