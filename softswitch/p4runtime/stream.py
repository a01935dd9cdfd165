# SPDX-License-Identifier: Apache-2.0
"""The server's side of one StreamChannel: an outbox that never waits for a slow client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from finsy.proto import p4r

from softswitch.p4runtime.errors import RESOURCE_EXHAUSTED, P4RuntimeError

_CAPACITY = 4096  # notifications that may wait for a client that does not read


class Outbox:
    """Messages for one client, in order. When too many wait, notifications are dropped and counted."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._messages: deque[p4r.StreamMessageResponse] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: P4RuntimeError | None = None
        self.dropped = 0

    def has_room(self) -> bool:
        """Can a notification be queued? If not, one is counted as dropped: ask before making it."""
        with self._changed:
            if not self._closed and len(self._messages) < self._capacity:
                return True
            self.dropped += 1
            return False

    def offer(self, message: p4r.StreamMessageResponse) -> None:
        """Queue a notification, or drop and count it."""
        if self.has_room():
            with self._changed:
                self._messages.append(message)
                self._changed.notify()

    def put(self, message: p4r.StreamMessageResponse) -> None:
        """Queue an answer that must not get lost; a client that never reads loses its stream."""
        with self._changed:
            if self._closed:
                return
            if len(self._messages) >= 2 * self._capacity:
                self._closed = True
                self._error = P4RuntimeError(RESOURCE_EXHAUSTED, "too many unread messages on this stream")
            else:
                self._messages.append(message)
            self._changed.notify()

    def close(self, error: P4RuntimeError | None = None) -> None:
        """End the stream once what waits is sent, with this error if any. The first close counts."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._error = error
            self._changed.notify()

    def messages(self) -> Iterator[p4r.StreamMessageResponse]:
        """Wait for messages and yield them until the outbox is closed."""
        while True:
            with self._changed:
                while not self._messages and not self._closed:
                    self._changed.wait()
                if not self._messages:
                    if self._error is not None:
                        raise self._error
                    return
                message = self._messages.popleft()
            yield message
