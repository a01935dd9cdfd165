# SPDX-License-Identifier: Apache-2.0
"""Crafted ends with timestamp clocks, connected to each other by nothing, or by something that is wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from controller.scenario import wire
from controller.scenario.clocks import ClockError, Conversation, End
from controller.scenario.rawport import Endpoint

Change = Callable[[wire.Segment], wire.Segment | None]


class Wire:
    """Stands for an endpoint; what it sends arrives at its peer as `change` leaves it."""

    def __init__(self, port: int, change: Change) -> None:
        self.local, self.remote = ("192.0.2.1", port), ("192.0.2.1", 3 - port)
        self.change = change
        self.arrived: deque[wire.Segment] = deque()
        self.peer = self

    def send(self, segment: wire.Segment) -> None:
        changed = self.change(segment)
        if changed is not None:
            self.peer.arrived.append(changed)

    def receive(self, within_s: float) -> wire.Segment | None:
        return self.arrived.popleft() if self.arrived else None


def conversation(
    change: Change, *, client_start: int = 0xFFFF0000, rates: tuple[int, int] = (1000, 100)
) -> Conversation:
    """A minute between two ends; `change` is done to what the client sends."""
    there, back = Wire(1, change), Wire(2, lambda segment: segment)
    there.peer, back.peer = back, there
    return Conversation(
        End("client", cast(Endpoint, there), rates[0], client_start, 1, 0xFFFFFFFE, 500),
        End("server", cast(Endpoint, back), rates[1], 500, 0xFFFFFFFE, 1, client_start),
        span_s=100,
        every_s=1,
    )


def moved(segment: wire.Segment, value: int, echo: int) -> wire.Segment:
    stamps = segment.options.timestamps
    assert stamps is not None
    return replace(segment, options=wire.Options(timestamps=(stamps[0] + value, stamps[1] + echo)))


def test_nothing_is_wrong_and_a_clock_wraps() -> None:
    talk = conversation(lambda segment: segment)
    assert talk.run() == 100
    assert (talk.client.rejected, talk.server.rejected) == (2, 2)
    assert talk.client.clock(100) < talk.client.start
    for end in (talk.client, talk.server):
        assert end.slowest_s == pytest.approx(0.06, abs=1 / end.rate + 1e-9)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda segment: moved(segment, -5, 0), "server would reject TSval"),
        (lambda segment: moved(segment, 1, 0), "client got TSecr"),
        (lambda segment: moved(segment, 0, 1) if segment.seq > 1 else segment, "server got TSecr"),
        (lambda segment: replace(segment, seq=segment.seq + 1), "server got seq 2 instead of 1"),
        (lambda segment: replace(segment, ack=5), "server got ack 5"),
        (lambda segment: replace(segment, options=wire.Options()), "server got a segment without timestamps"),
        (lambda segment: None, "nothing came to server"),
    ],
)
def test_what_is_wrong_is_found(change: Change, complaint: str) -> None:
    with pytest.raises(ClockError, match=complaint):
        conversation(change).run()


def test_a_stale_segment_that_looks_new_is_found() -> None:
    """A clock that passes more than half of all values before the stale copy comes."""
    with pytest.raises(ClockError, match="client would accept the stale TSval"):
        conversation(lambda segment: segment, rates=(1, 50_000_000)).run()
