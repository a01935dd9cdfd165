# SPDX-License-Identifier: Apache-2.0
"""How long things took, counted by range: what an operator sees of millions of handshakes."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

BOUNDS: Final = tuple(
    value * 10.0**power for power in range(-3, 1) for value in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
)
"""Upper ends of the ranges in seconds, 1 ms to 8 s; one range more is beyond."""


class Times:
    """`counts`: by range; `total`: the sum of all times in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def __len__(self) -> int:
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def within(self, share: float) -> float | None:
        """The time, to the end of its range, within which that share of all was done: 0.99 for the 99th
        percentile. None as long as there is none; infinity when it is beyond all ranges.
        """
        wanted = share * len(self)
        so_far = 0
        for count, bound in zip(self.counts, (*BOUNDS, float("inf")), strict=True):
            so_far += count
            if count and so_far >= wanted:
                return bound
        return None
