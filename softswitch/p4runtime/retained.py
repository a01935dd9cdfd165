# SPDX-License-Identifier: Apache-2.0
"""What a new primary should hear of the time before it: its predecessor may have died with it unread.

P4Runtime does not say whether a packet-in was processed. So the packets of the last moments go to a new
primary again, and whatever found no primary at all is kept for the next one; both within bounds, the oldest
goes first.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from softswitch.p4runtime.pump import Make

SECONDS: Final = 3.0
"""How long a packet is worth hearing of: a client or server repeats it by then."""
_PACKETS: Final = 1024
_NOTICES: Final = 4096


class Retained:
    """Any thread may call. `clock`: seconds, steady."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._packets: deque[tuple[float, Make]] = deque(maxlen=_PACKETS)
        self._notices: deque[Make] = deque(maxlen=_NOTICES)

    def packet(self, make: Make) -> None:
        """A packet-in was delivered, or not."""
        now = self._clock()
        with self._lock:
            while self._packets and self._packets[0][0] < now - SECONDS:
                self._packets.popleft()
            self._packets.append((now, make))

    def notice(self, make: Make) -> None:
        """A digest or an idle notification found no primary."""
        with self._lock:
            self._notices.append(make)

    def take(self) -> list[Make]:
        """What a new primary is to hear: notices once, packets as long as they are recent."""
        since = self._clock() - SECONDS
        with self._lock:
            notices = list(self._notices)
            self._notices.clear()
            return notices + [make for at, make in self._packets if at >= since]

    def clear(self) -> None:
        """Another program runs now: what the last one said means nothing to it."""
        with self._lock:
            self._packets.clear()
            self._notices.clear()
