# SPDX-License-Identifier: Apache-2.0
"""The life of one switch as the controller sees it, and how long it waits before it tries again."""

from __future__ import annotations

from enum import StrEnum

from controller.config import TimersConfig


class SwitchState(StrEnum):
    CONNECTING = "connecting"
    SYNCING = "syncing"
    IN_SERVICE = "in-service"
    DOWN = "down"


class Liveness:
    """connecting → syncing → in-service; from anywhere → down with a reason, then connecting again.

    The wait before a new attempt doubles from `reconnect_min` to `reconnect_max`; a switch that was in
    service, or whose reason changed, starts at the minimum again.
    """

    def __init__(self, timers: TimersConfig) -> None:
        self.timers = timers
        self._wait = timers.reconnect_min
        self.state = SwitchState.CONNECTING
        self.reason = ""

    def connected(self) -> None:
        """The stream stands and this controller is primary."""
        self.state, self.reason = SwitchState.SYNCING, ""

    def in_service(self) -> None:
        """The switch holds everything, verified."""
        self.state, self.reason = SwitchState.IN_SERVICE, ""
        self._wait = self.timers.reconnect_min

    def waiting(self, reason: str) -> bool:
        """Connected, but of no use for now (a backup); True when this is news."""
        news = self.reason != reason
        self.state, self.reason = SwitchState.DOWN, reason
        return news

    def lost(self, reason: str) -> tuple[float, bool]:
        """The connection is gone or of no use: seconds until the next attempt, and whether this is news."""
        news = self.state is not SwitchState.DOWN or self.reason != reason
        if self.reason != reason:
            self._wait = self.timers.reconnect_min
        self.state, self.reason = SwitchState.DOWN, reason
        wait = self._wait
        self._wait = min(2 * self._wait, self.timers.reconnect_max)
        return wait, news
