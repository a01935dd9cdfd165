# SPDX-License-Identifier: Apache-2.0
"""Carries a running program's events to the streams: in the server's event loop, all that wait at once."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from finsy.proto import p4r

from softswitch.engine import EVENT_DIGEST, EVENT_IDLE, EVENT_PACKET_IN, Event, parse_records
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.read import fill_key

Make = Callable[[], bytes]
"""Makes a serialised StreamMessageResponse."""


class Deliver(Protocol):
    """Takes a notification, or a packet-in; the message is only made if somebody can take it."""

    def __call__(self, make: Make, *, packet: bool) -> None: ...


_LOG = logging.getLogger(__name__)
_LONGEST_WAIT: Final = 0.25  # seconds: the data plane wants to be asked as often, for its idle entries
_SHORTEST_WAIT: Final = 0.001
_DIGEST_ID_SIZE: Final = 4


class EventPump:
    """Takes events from one pipeline's data plane until it is stopped."""

    def __init__(self, pipeline: Pipeline, deliver: Deliver, loop: asyncio.AbstractEventLoop) -> None:
        self._pipeline = pipeline
        self._deliver = deliver
        self._loop = loop
        self._descriptor = os.dup(pipeline.engine.events_fd())  # one of its own outlives the data plane
        self._lock = threading.Lock()
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to carry events. Any thread may call."""
        self._loop.call_soon_threadsafe(self._watch)

    def stop(self) -> None:
        """When this returns, the pump has left the data plane for good. Any thread may call."""
        with self._lock:
            self._stopped = True
        try:
            self._loop.call_soon_threadsafe(self._leave)
        except RuntimeError:  # the loop has ended
            os.close(self._descriptor)

    def _watch(self) -> None:
        self._loop.add_reader(self._descriptor, self._on_events)
        self._on_time()

    def _leave(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._timer is not None:
            self._timer.cancel()

    def _on_time(self) -> None:
        self._timer = None
        self._on_events()

    def _on_events(self) -> None:
        with self._lock:
            if self._stopped:
                return
            try:
                self._carry(self._pipeline.engine.wait_events(0))
            except Exception:  # whatever a strange event does, later ones must get through
                _LOG.exception("an event of the data plane could not be delivered")
            self._set_timer()

    def _set_timer(self) -> None:
        """Come back when a digest list is due, and soon enough in any case."""
        wait, due = _LONGEST_WAIT, self._pipeline.digests.next_deadline()
        if due is not None:
            wait = max(_SHORTEST_WAIT, min((due - time.monotonic_ns()) / 1e9, wait))
        at = self._loop.time() + wait
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(wait, self._on_time)

    def _carry(self, events: list[Event]) -> None:
        idle: list[bytes] = []
        notification = self._pipeline.schema.packet_in.notification
        for event in events:
            if event.kind == EVENT_PACKET_IN:
                self._deliver(partial(notification, event.payload), packet=True)
            elif event.kind == EVENT_DIGEST:
                self._carry_digest(event.payload)
            elif event.kind == EVENT_IDLE:
                idle.append(event.payload)
            else:
                _LOG.warning("event of unknown kind %d", event.kind)
        if idle:
            self._deliver(partial(self._idle_notification, idle), packet=False)
        for digest_list in self._pipeline.digests.due(time.monotonic_ns()):
            self._deliver(partial(_digest_notification, digest_list), packet=False)

    def _carry_digest(self, payload: bytes) -> None:
        digest_id = int.from_bytes(payload[:_DIGEST_ID_SIZE], sys.byteorder)
        message = payload[_DIGEST_ID_SIZE:]
        ready = self._pipeline.digests.learn(digest_id, message, time.monotonic_ns())
        if ready is not None:
            self._deliver(partial(_digest_notification, ready), packet=False)

    def _idle_notification(self, payloads: list[bytes]) -> bytes:
        message = p4r.StreamMessageResponse()
        notification = message.idle_timeout_notification
        notification.timestamp = time.time_ns()
        for payload in payloads:
            for record in parse_records(payload):
                table = self._pipeline.schema.table(record.table_id)
                fill_key(self._pipeline, table, record, notification.table_entry.add())
        return message.SerializeToString()


def _digest_notification(digest_list: p4r.DigestList) -> bytes:
    return p4r.StreamMessageResponse(digest=digest_list).SerializeToString()
