# SPDX-License-Identifier: Apache-2.0
"""When a controller that stands by takes over: pure, from what it sees of the switches.

The controller that leads counts a heartbeat in every switch. One that stands by reads it: a primary whose
count stands still for the time of the lease is taken for dead, whatever its connection looks like. It takes
over when more of the switches that it reaches have no living primary than have one: so a leader that is cut
off from a single switch of several stays, and of two parts of a broken network each goes on with its own.
Whoever leads with the higher election id wins every switch that both reach (`arbitration.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

PATIENCE = 1.0
"""Seconds in which a controller that starts tries to reach every switch before it decides."""


class Sight(Enum):
    UNKNOWN = auto()  # not tried yet
    AWAY = auto()  # cannot be reached
    FREE = auto()  # has no primary
    HELD = auto()  # has one


@dataclass(slots=True)
class _View:
    sight: Sight = Sight.UNKNOWN
    primary_id: int | None = None
    beat: int | None = None
    since: float = 0.0  # when the beat was seen to change, or the primary to be there
    again: float = float("-inf")  # when the switch was reached again; -inf: its beat has been read since


class Watch:
    """What a controller that stands by sees of each switch. Times are seconds of a monotonic clock."""

    def __init__(self, switches: Iterable[str], lease: float, now: float) -> None:
        self._views = {name: _View() for name in switches}
        self._lease = lease
        self._began = now
        self.highest = 0

    def away(self, switch: str) -> None:
        """The switch cannot be reached."""
        self._views[switch].sight = Sight.AWAY

    def free(self, switch: str, highest: int) -> None:
        """The switch has no primary; `highest`: the highest election id that it names."""
        self._views[switch] = _View(Sight.FREE)
        self.highest = max(self.highest, highest)

    def held(self, switch: str, primary_id: int, now: float) -> None:
        """The switch has a primary."""
        view = self._views[switch]
        self.highest = max(self.highest, primary_id)
        if view.primary_id != primary_id:
            self._views[switch] = _View(Sight.HELD, primary_id, None, now)
        elif view.sight is not Sight.HELD:
            # Whether it has lived meanwhile the next beat shows: a slow switch must not make a dead one live.
            view.sight, view.again = Sight.HELD, now

    def beat(self, switch: str, count: int | None, now: float) -> None:
        """The primary's heartbeat as read from the switch; None: it is only now loading the program."""
        view = self._views[switch]
        if view.sight is Sight.HELD:
            view.again = float("-inf")
            if count is None or count != view.beat:
                view.beat, view.since = count, now

    def primary(self, now: float) -> int | None:
        """The election id of a living primary, the highest one."""
        living = [view.primary_id or 0 for view in self._views.values() if self._lives(view, now)]
        return max(living, default=None)

    def reached(self) -> set[str]:
        """The switches that answer."""
        return {name for name, view in self._views.items() if view.sight in (Sight.FREE, Sight.HELD)}

    def may_lead(self, now: float) -> bool:
        """Whether it is time to take over."""
        views = self._views.values()
        if now - self._began < PATIENCE and any(view.sight is Sight.UNKNOWN for view in views):
            return False
        living = sum(self._lives(view, now) for view in views)
        return len(self.reached()) - living > living

    def _lives(self, view: _View, now: float) -> bool:
        return view.sight is Sight.HELD and now - max(view.since, view.again) < self._lease
