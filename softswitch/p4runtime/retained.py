# SPDX-License-Identifier: Apache-2.0
"""What a new primary should hear of the time before it: its predecessor may have died with it unread.

P4Runtime does not say whether a packet-in was processed, nor, of a digest that was acknowledged, whether what
came of it was written down anywhere. So what was delivered in the last moments goes to a new primary again,
and whatever found no primary at all is kept for the next one; both within bounds, the oldest goes first.
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
TOLD_SECONDS: Final = 10.0
"""How long a delivered notice is: by then another controller leads. Nobody repeats an end."""
_PACKETS: Final = 1024
_NOTICES: Final = 4096


class Retained:
    """Any thread may call. `clock`: seconds, steady."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._packets: deque[tuple[float, Make]] = deque(maxlen=_PACKETS)
        self._notices: deque[Make] = deque(maxlen=_NOTICES)
        self._delivered: deque[tuple[float, Make]] = deque(maxlen=_NOTICES)

    def packet(self, make: Make) -> None:
        """A packet-in was delivered, or not."""
        self._add(self._packets, make, SECONDS)

    def notice(self, make: Make, *, delivered: bool = False) -> None:
        """A digest or an idle notification found no primary, or was delivered to one."""
        if delivered:
            self._add(self._delivered, make, TOLD_SECONDS)
            return
        with self._lock:
            self._notices.append(make)

    def _add(self, recent: deque[tuple[float, Make]], make: Make, seconds: float) -> None:
        now = self._clock()
        with self._lock:
            while recent and recent[0][0] < now - seconds:
                recent.popleft()
            recent.append((now, make))

    def take(self) -> list[Make]:
        """What a new primary is to hear: what was not delivered once, the rest as long as it is recent."""
        now = self._clock()
        with self._lock:
            told = [make for at, make in self._delivered if at >= now - TOLD_SECONDS]
            notices = list(self._notices)
            self._notices.clear()
            return told + notices + [make for at, make in self._packets if at >= now - SECONDS]

    def clear(self) -> None:
        """Another program runs now: what the last one said means nothing to it."""
        with self._lock:
            self._packets.clear()
            self._delivered.clear()
            self._notices.clear()
