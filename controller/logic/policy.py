# SPDX-License-Identifier: Apache-2.0
"""When a service is guarded: rates of SYNs in, decisions out.

A service of mode `on-attack` lets SYNs pass while their rate is low, and is guarded while it is high. Between
the two, in both directions, is a stance in which SYNs pass and cookies are honoured: before guarding begins
every switch must punt the SYN/ACKs of proven clients, and after it the cookies given out must still count.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from controller.config import ServiceConfig, TimersConfig


class Stance(StrEnum):
    """How the switches treat a service's packets that belong to no session."""

    PROXYING = "proxying"  # SYNs are answered with cookies
    ARMING = "arming"  # SYNs pass, cookies count: guarding is about to begin
    DRAINING = "draining"  # the same, after guarding
    PASSING = "passing"  # everything passes
    ABSENT = "absent"  # the switches do not know the service
    FILLING = "filling"  # of one switch, which lacks sessions: SYNs are answered with cookies, nothing passes


def drain_time(timers: TimersConfig) -> float:
    """Seconds after the last cookie until no handshake can come of it: a cookie's life, and a handshake."""
    return 2 * timers.epoch + sum(timers.syn_retry) + timers.barrier


class AttackWatch:
    """The stance of one service of mode `on-attack`.

    PASSING → ARMING when the rate reaches `attack_syn_rate`; → PROXYING by `armed`; → DRAINING when it has
    stayed at or below `calm_syn_rate` for `calm_after` seconds; → PASSING after `drain` seconds, or → ARMING
    when the rate is high again.
    """

    def __init__(self, config: ServiceConfig, drain: float, stance: Stance = Stance.PASSING) -> None:
        if config.attack_syn_rate is None:
            raise ValueError(f"service {config.name} has no attack_syn_rate")
        self._attack = config.attack_syn_rate
        self._calm = config.calm_rate
        self._calm_after = config.calm_after
        self._drain = drain
        self._since: float | None = None  # of calm while PROXYING, of draining while DRAINING
        self.stance = stance

    def update(self, rate: float | None, now: float) -> bool:
        """Take in a rate (SYNs/s over all switches; None: not known, which is never calm). True: a change."""
        before = self.stance
        if self.stance is Stance.PROXYING:
            if rate is None or rate > self._calm:
                self._since = None
            elif self._since is None:
                self._since = now
            elif now - self._since >= self._calm_after:
                self.stance, self._since = Stance.DRAINING, now
        elif rate is not None and rate >= self._attack:
            self.stance, self._since = Stance.ARMING, None
        elif self.stance is Stance.DRAINING:
            if self._since is None:
                self._since = now
            if now - self._since >= self._drain:
                self.stance, self._since = Stance.PASSING, None
        return self.stance is not before

    def armed(self) -> None:
        """Every switch honours cookies now: guarding begins."""
        if self.stance is Stance.ARMING:
            self.stance = Stance.PROXYING


class SynRates:
    """SYNs per second by service out of the switches' counters."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Mapping[int, int]]] = {}

    def rates(self, counts: Mapping[str, Mapping[int, int]], now: float) -> dict[int, float] | None:
        """SYNs/s by service id, summed over the switches; None when no switch was read twice yet.

        `counts` has the counter cells of the switches that could be read. A cell that went back is a
        restarted switch's: it counts from zero.
        """
        total: dict[int, float] = {}
        known = False
        for switch, cells in counts.items():
            last = self._last.get(switch)
            self._last[switch] = (now, cells)
            if last is None or now <= last[0]:
                continue
            known = True
            for service_id, packets in cells.items():
                before = last[1].get(service_id, 0)
                grown = packets - before if packets >= before else packets
                total[service_id] = total.get(service_id, 0.0) + grown / (now - last[0])
        return total if known else None
