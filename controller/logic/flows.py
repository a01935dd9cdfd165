# SPDX-License-Identifier: Apache-2.0
"""The table of pending handshakes and its limits.

Bots can complete a handshake, so everything held is bounded: flows in total, per source and per service,
packets and bytes per flow, bytes in total. When it is full, new flows are shed first: a new flow needs an
eighth of the bytes free, the packets of flows under way may use the rest. What is shed is counted by reason.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from itertools import count

from controller.config import LimitsConfig
from controller.logic.handshake import Handshake, State
from controller.logic.model import Key, Service, is_v6
from controller.packets import Segment


class FlowTable:
    """Pending handshakes by key, within `limits`. `shed` counts refusals by reason; `held_bytes`: all packets
    held.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self.limits = limits
        self._flows: dict[Key, Handshake] = {}
        self._per_source: Counter[tuple[bool, int]] = Counter()
        self._deadlines: list[tuple[float, int, Handshake]] = []
        self._ticket = count()
        self.held_bytes = 0
        self.shed: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, key: Key) -> Handshake | None:
        return self._flows.get(key)

    def values(self) -> list[Handshake]:
        return list(self._flows.values())

    def admits(self, key: Key, service: Service, length: int) -> bool:
        """Whether a new flow to a service may begin with a packet of `length` bytes; a refusal is counted."""
        limits = self.limits
        if len(self._flows) >= limits.flows:
            reason = "flows"
        elif self._per_source[_source(key)] >= limits.flows_per_source:
            reason = "flows_per_source"
        elif service.pending >= limits.flows_per_service:
            reason = "flows_per_service"
        elif self.held_bytes + length > limits.bytes_total - limits.bytes_total // 8:
            reason = "bytes_total"
        else:
            return True
        self.shed[reason] += 1
        return False

    def add(self, flow: Handshake) -> None:
        self._flows[flow.key] = flow
        self._per_source[_source(flow.key)] += 1
        flow.service.pending += 1

    def hold(self, flow: Handshake, port: int, segment: Segment) -> None:
        """Queue a packet of a flow unless a limit forbids it (counted) or it is a copy (not counted)."""
        limits, length = self.limits, len(segment.frame)
        if len(flow.held) >= limits.packets_per_flow:
            self.shed["packets_per_flow"] += 1
        elif flow.held_bytes + length > limits.bytes_per_flow:
            self.shed["bytes_per_flow"] += 1
        elif self.held_bytes + length > limits.bytes_total:
            self.shed["bytes_total"] += 1
        elif flow.hold(port, segment):
            self.held_bytes += length

    def discard(self, flow: Handshake) -> None:
        """Forget a flow and everything that it holds."""
        flow.state = State.DONE
        del self._flows[flow.key]
        self.held_bytes -= flow.held_bytes
        flow.held, flow.held_bytes = [], 0  # its deadline may keep the flow itself alive for some seconds
        flow.service.pending -= 1
        source = _source(flow.key)
        self._per_source[source] -= 1
        if not self._per_source[source]:
            del self._per_source[source]

    def schedule(self, flow: Handshake) -> None:
        """Make `due` return the flow once its deadline has passed (and is still the same)."""
        if flow.scheduled != flow.deadline:
            flow.scheduled = flow.deadline
            heapq.heappush(self._deadlines, (flow.deadline, next(self._ticket), flow))

    def due(self, now: float) -> list[Handshake]:
        """Flows whose deadline has passed, each once."""
        found: list[Handshake] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, _, flow = heapq.heappop(self._deadlines)
            if flow.state is not State.DONE and flow.deadline == deadline:
                found.append(flow)
                flow.deadline = math.inf  # it may be in the queue twice, with the same deadline
        return found


def _source(key: Key) -> tuple[bool, int]:
    """Whose flow it is. One IPv6 client has a whole /64 (RFC 7421): all of it counts as one source."""
    return (True, key[0] >> 64) if is_v6(key) else (False, key[0])
