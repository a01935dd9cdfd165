# SPDX-License-Identifier: Apache-2.0
"""The server's side of one StreamChannel: an outbox that never waits for a slow client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from softswitch.p4runtime.errors import RESOURCE_EXHAUSTED, P4RuntimeError

_CAPACITY = 4096  # notifications that may wait for a client that does not read
_PIECE = 1 << 16  # bytes of messages that are taken at once, or one that is longer


class Outbox:
    """Serialised StreamMessageResponses for one client, in order.

    When too many wait, notifications are dropped and counted.

    Any thread may call. `wake` is called when there is something to take, once until something is taken.
    """

    def __init__(self, capacity: int = _CAPACITY, wake: Callable[[], object] = lambda: None) -> None:
        self._capacity = capacity
        self._wake = wake
        self._messages: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._awake = False
        self._closed = False
        self._error: P4RuntimeError | None = None
        self.dropped = 0

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def has_room(self) -> bool:
        """Can a notification be queued? If not, one is counted as dropped: ask before making it."""
        with self._lock:
            return self._has_room()

    def offer(self, message: bytes) -> None:
        """Queue a notification, or drop and count it."""
        with self._lock:
            if self._has_room():
                self._messages.append(message)
                self._changed()

    def put(self, message: bytes) -> None:
        """Queue an answer that must not get lost; a client that never reads loses its stream."""
        with self._lock:
            if self._closed:
                return
            if len(self._messages) >= 2 * self._capacity:
                self._closed = True
                self._error = P4RuntimeError(RESOURCE_EXHAUSTED, "too many unread messages on this stream")
            else:
                self._messages.append(message)
            self._changed()

    def close(self, error: P4RuntimeError | None = None) -> None:
        """End the stream once what waits is sent, with this error if any. The first close counts."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._error = error
            self._changed()

    def take(self) -> list[bytes]:
        """The next messages, those that fit in one piece; none when none waits.

        At the end, the error that it ended with is raised.
        """
        taken, size = list[bytes](), 0
        with self._lock:
            while self._messages and size < _PIECE:
                taken.append(self._messages.popleft())
                size += len(taken[-1])
            if not self._messages:
                self._awake = False
                if not taken and self._error is not None:
                    raise self._error
        return taken

    def _has_room(self) -> bool:
        if not self._closed and len(self._messages) < self._capacity:
            return True
        self.dropped += 1
        return False

    def _changed(self) -> None:
        if not self._awake:
            self._awake = True
            self._wake()
