# SPDX-License-Identifier: Apache-2.0
"""The thread that carries a running program's events to the streams. It waits in C, without Python's lock."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from finsy.proto import p4r

from softswitch.engine import EVENT_DIGEST, EVENT_IDLE, EVENT_PACKET_IN, Event, parse_records
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.read import fill_key

Make = Callable[[], p4r.StreamMessageResponse]


class Deliver(Protocol):
    """Takes a notification, or a packet-in; the message is only made if somebody can take it."""

    def __call__(self, make: Make, *, packet: bool) -> None: ...


_LOG = logging.getLogger(__name__)
_LONGEST_WAIT_MS = 500
_DIGEST_ID_SIZE = 4


class EventPump:
    """Takes events from one pipeline's data plane until it is stopped."""

    def __init__(self, pipeline: Pipeline, deliver: Deliver) -> None:
        self._pipeline = pipeline
        self._deliver = deliver
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Begin to carry events."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait until the thread has left the data plane."""
        self._stopping.set()
        while self._thread.is_alive():
            self._pipeline.engine.wake()
            self._thread.join(timeout=0.05)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._carry(self._pipeline.engine.wait_events(self._timeout_ms()))
            except Exception:  # whatever a strange event does, later ones must get through
                _LOG.exception("an event of the data plane could not be delivered")

    def _timeout_ms(self) -> int:
        deadline = self._pipeline.digests.next_deadline()
        if deadline is None:
            return _LONGEST_WAIT_MS
        wait_ms = (deadline - time.monotonic_ns() + 999_999) // 1_000_000
        return max(0, min(wait_ms, _LONGEST_WAIT_MS))

    def _carry(self, events: list[Event]) -> None:
        idle: list[bytes] = []
        for event in events:
            if event.kind == EVENT_PACKET_IN:
                self._deliver(partial(self._packet_in, event.payload), packet=True)
            elif event.kind == EVENT_DIGEST:
                self._carry_digest(event.payload)
            elif event.kind == EVENT_IDLE:
                idle.append(event.payload)
            else:
                _LOG.warning("event of unknown kind %d", event.kind)
        if idle:
            self._deliver(partial(self._idle_notification, idle), packet=False)
        for digest_list in self._pipeline.digests.due(time.monotonic_ns()):
            self._deliver(partial(p4r.StreamMessageResponse, digest=digest_list), packet=False)

    def _packet_in(self, frame: bytes) -> p4r.StreamMessageResponse:
        return p4r.StreamMessageResponse(packet=self._pipeline.schema.packet_in.decode(frame))

    def _carry_digest(self, payload: bytes) -> None:
        digest_id = int.from_bytes(payload[:_DIGEST_ID_SIZE], sys.byteorder)
        message = payload[_DIGEST_ID_SIZE:]
        ready = self._pipeline.digests.learn(digest_id, message, time.monotonic_ns())
        if ready is not None:
            self._deliver(partial(p4r.StreamMessageResponse, digest=ready), packet=False)

    def _idle_notification(self, payloads: list[bytes]) -> p4r.StreamMessageResponse:
        message = p4r.StreamMessageResponse()
        notification = message.idle_timeout_notification
        notification.timestamp = time.time_ns()
        for payload in payloads:
            for record in parse_records(payload):
                table = self._pipeline.schema.table(record.table_id)
                fill_key(self._pipeline, table, record, notification.table_entry.add())
        return message
