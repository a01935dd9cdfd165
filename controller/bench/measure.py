# SPDX-License-Identifier: Apache-2.0
"""One measurement: spoofed SYNs as fast as one sender can, and what the interfaces count meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.bench.flood import Flood, FloodPlan, HostRunner
from controller.scenario.netns import interface_counters

MOST_SYNS = 5_000_000
_DRAIN_S = 0.5


@dataclass(frozen=True)
class Way:
    """A way to deal with SYNs, up and ready: where to send them, and the interface that counts."""

    name: str
    lab: HostRunner
    client_netns: str
    target: str
    port: int
    counted_netns: str
    counted: str = "eth0"


@dataclass(frozen=True)
class Sample:
    """Packets sent within `seconds`, and packets counted behind the way: answers or forwarded SYNs."""

    sent: int
    counted: int
    seconds: float

    @property
    def offered_per_s(self) -> float:
        """SYNs a second that the sender got rid of."""
        return self.sent / self.seconds

    @property
    def absorbed_per_s(self) -> float:
        """SYNs a second that were answered (or forwarded)."""
        return self.counted / self.seconds


def measure(way: Way, seconds: int, seed: int) -> Sample:
    """Sends for `seconds` at most and counts until the queues have run dry."""
    plan = FloodPlan(way.target, way.port, MOST_SYNS, seed=seed, deadline_s=seconds)
    before = interface_counters(way.counted_netns)[way.counted].rx_packets
    with Flood(way.lab, "client", way.client_netns, plan) as flood:
        sent = flood.wait()
    time.sleep(_DRAIN_S)
    counted = interface_counters(way.counted_netns)[way.counted].rx_packets - before
    return Sample(sent.syns, counted, sent.seconds)


def summary(samples: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, Any]]:
    """Per way: medians over the rounds, and the ratio of its absorbed rate to that of each other way."""
    rates = {
        name: statistics.median(sample.absorbed_per_s for sample in own)
        for name, own in samples.items()
        if own
    }
    return {
        name: {
            "offered_per_s": round(statistics.median(sample.offered_per_s for sample in samples[name])),
            "absorbed_per_s": round(rate),
            "lowest_per_s": round(min(sample.absorbed_per_s for sample in samples[name])),
            "highest_per_s": round(max(sample.absorbed_per_s for sample in samples[name])),
            "ratio_to": {
                other: round(rate / base, 3) for other, base in rates.items() if other != name and base
            },
        }
        for name, rate in rates.items()
    }
