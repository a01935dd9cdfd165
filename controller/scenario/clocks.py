# SPDX-License-Identifier: Apache-2.0
"""Two crafted ends with timestamp clocks of their own, and time that passes as fast as packets do.

Each end does with timestamps what RFC 7323 says: it keeps the peer's last one (section 4.3), rejects what is
older (PAWS, section 5.3), echoes it, and takes a round-trip time from each echo (section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.scenario import wire
from controller.scenario.rawport import Endpoint

_MASK32 = 0xFFFFFFFF
_WINDOW = 64240


class ClockError(Exception):
    """A timestamp or a number was not what its receiver can do with; the text says what came."""


@dataclass
class End:
    """One end of an established connection, in its own numbers (mod 2^32).

    `start` is the TSval at time 0, `rate` the ticks of its clock a second; `recent` the last TSval of the
    peer. `slowest_s` and `fastest_s` are of the round-trip times that it has measured.
    """

    name: str
    endpoint: Endpoint
    rate: int
    start: int
    seq: int
    ack: int
    recent: int
    rejected: int = 0
    fastest_s: float = float("inf")
    slowest_s: float = 0.0

    def clock(self, now: float) -> int:
        """TSval at `now`, in seconds of the connection."""
        return (self.start + int(now * self.rate)) & _MASK32

    def send(self, now: float, payload: bytes) -> wire.Segment:
        """The next segment at `now`, acknowledging all that has come."""
        segment = wire.Segment(
            *(self.endpoint.local[0], self.endpoint.remote[0]),
            *(self.endpoint.local[1], self.endpoint.remote[1]),
            wire.ACK | (wire.PSH if payload else 0),
            self.seq,
            self.ack,
            _WINDOW,
            wire.Options(timestamps=(self.clock(now), self.recent)),
            payload,
        )
        self.endpoint.send(segment)
        self.seq = (self.seq + len(payload)) & _MASK32
        return segment

    def receive(self, now: float, acknowledged: float | None, within_s: float) -> None:
        """Takes the next segment, which acknowledges what this end sent at `acknowledged` (None: nothing
        new). ClockError when a sound TCP would not take it, or would take a wrong time from it.
        """
        value, echo, segment = self._stamps(within_s)
        if (value - self.recent) & 0x80000000:
            raise ClockError(f"{self.name} would reject TSval {value} after {self.recent} (PAWS)")
        if segment.seq != self.ack:
            raise ClockError(f"{self.name} got seq {segment.seq} instead of {self.ack}")
        if segment.ack != self.seq:
            raise ClockError(f"{self.name} got ack {segment.ack} instead of {self.seq}")
        if acknowledged is not None:
            if echo != self.clock(acknowledged):
                raise ClockError(f"{self.name} got TSecr {echo} instead of {self.clock(acknowledged)}")
            measured = ((self.clock(now) - echo) & _MASK32) / self.rate
            self.fastest_s, self.slowest_s = min(self.fastest_s, measured), max(self.slowest_s, measured)
        self.recent = value
        self.ack = (self.ack + len(segment.payload)) & _MASK32

    def reject(self, within_s: float) -> None:
        """Takes a stale segment, which PAWS must tell from a new one."""
        value, _, _ = self._stamps(within_s)
        if not (value - self.recent) & 0x80000000:
            raise ClockError(f"{self.name} would accept the stale TSval {value} after {self.recent}")
        self.rejected += 1

    def _stamps(self, within_s: float) -> tuple[int, int, wire.Segment]:
        segment = self.endpoint.receive(within_s)
        if segment is None:
            raise ClockError(f"nothing came to {self.name} within {within_s:g} s")
        if segment.options.timestamps is None:
            raise ClockError(f"{self.name} got a segment without timestamps")
        return *segment.options.timestamps, segment


@dataclass(frozen=True)
class Conversation:
    """`span_s` seconds between two ends: every `every_s` the client says something, the server answers, the
    client acknowledges. Each way takes `way_s`. Now and then a stale copy of what each side sent arrives.
    """

    client: End
    server: End
    span_s: float
    every_s: float
    way_s: float = 0.03
    within_s: float = 5.0
    stale_after: int = 50

    def run(self) -> int:
        """All of it; how many times the client has spoken. ClockError when something is wrong."""
        way, within = self.way_s, self.within_s
        turns = int(self.span_s / self.every_s)
        stale: tuple[wire.Segment, ...] = ()
        for turn in range(turns):
            now = turn * self.every_s
            said = self.client.send(now, b"ask")
            self.server.receive(now + way, None, within)
            answered = self.server.send(now + way, b"answer")
            self.client.receive(now + 2 * way, now, within)
            self.client.send(now + 2 * way, b"")
            self.server.receive(now + 3 * way, now + way, within)
            if turn % self.stale_after == 0:
                stale = said, answered
            elif turn % self.stale_after == self.stale_after - 1:
                self.client.endpoint.send(stale[0])
                self.server.reject(within)
                self.server.endpoint.send(stale[1])
                self.client.reject(within)
        return turns
