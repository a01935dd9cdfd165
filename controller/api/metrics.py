# SPDX-License-Identifier: Apache-2.0
"""The same as Prometheus metrics, collected when they are asked for, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.api.status import Counters, Counts, memory_bytes
from controller.hub import ControllerHub
from controller.logic.liveness import SwitchState
from controller.logic.policy import Stance
from controller.logic.times import BOUNDS, Times


def registry(hub: ControllerHub, counters: Counters) -> CollectorRegistry:
    """A registry with everything about one controller."""
    result = CollectorRegistry(auto_describe=False)
    result.register(_HubCollector(hub, counters))
    return result


class _HubCollector(Collector):
    def __init__(self, hub: ControllerHub, counters: Counters) -> None:
        self._hub = hub
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        yield from self._switches()
        yield from self._sessions()
        coordinator = self._hub.coordinator
        yield _counter(
            "syncline_results", "How handshakes and exceptional packets ended", "result", coordinator.results
        )
        yield _histogram(
            "syncline_setup_seconds",
            "From a client's proof to the release of its packets",
            coordinator.openings.setup_times,
        )
        yield _histogram(
            "syncline_share_seconds",
            "From the server's SYN/ACK to the session in the last live switch",
            coordinator.openings.share_times,
        )
        shed = coordinator.flows.shed + coordinator.returns.dropped
        yield _counter("syncline_shed", "Packets and flows refused by a limit", "reason", shed)
        yield _by_switch(
            "syncline_switch_drops", "Packets dropped by a switch", "reason", self._counters.drops
        )
        yield _by_switch(
            "syncline_switch_events", "Packets by what a switch did", "event", self._counters.events
        )

    def _switches(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "syncline_switch_state", "1 for the state a switch is in", labels=["switch", "state"]
        )
        held = GaugeMetricFamily(
            "syncline_switch_sessions", "Session entries that a switch holds", labels=["switch"]
        )
        dropped = CounterMetricFamily(
            "syncline_packet_outs_dropped", "Packet-outs that a connection could not take", labels=["switch"]
        )
        for link in self._hub.links.values():
            for possible in SwitchState:
                state.add_metric([link.name, possible], float(link.life.state is possible))
            held.add_metric([link.name], link.sessions)
            dropped.add_metric([link.name], link.dropped_out)
        yield state
        yield held
        yield dropped

    def _sessions(self) -> Iterable[Metric]:
        coordinator, keys = self._hub.coordinator, self._hub.keys
        sessions = GaugeMetricFamily("syncline_sessions", "Sessions by phase", labels=["phase"])
        sessions.add_metric(["open"], len(coordinator.sessions) - coordinator.sessions.closing)
        sessions.add_metric(["closing"], coordinator.sessions.closing)
        yield sessions
        pending = GaugeMetricFamily("syncline_pending", "Handshakes under way by service", labels=["service"])
        shared = GaugeMetricFamily("syncline_service_sessions", "Sessions by service", labels=["service"])
        rate = GaugeMetricFamily(
            "syncline_service_syn_rate", "SYNs per second of on-attack services", labels=["service"]
        )
        stance = GaugeMetricFamily(
            "syncline_service_stance",
            "1 for how a service's packets without session are treated",
            labels=["service", "stance"],
        )
        policies = self._hub.policies
        for service in coordinator.services.values():
            if service.config.mode == "on-attack":
                rate.add_metric([service.config.name], policies.syn_rates.get(service.service_id, 0.0))
            for possible in Stance:
                current = policies.stance(service) is possible
                stance.add_metric([service.config.name, possible], float(current))
            pending.add_metric([service.config.name], service.pending)
            shared.add_metric([service.config.name], service.sessions)
        yield rate
        yield stance
        yield pending
        yield shared
        yield GaugeMetricFamily(
            "syncline_leading", "1 for the controller that leads", value=float(self._hub.leading)
        )
        if (federation := self._hub.federation) is not None:
            text = "1 while this controller is a member of its federation"
            yield GaugeMetricFamily("syncline_federation_member", text, value=float(federation["is_member"]))
        held = coordinator.flows.held_bytes + coordinator.returns.held_bytes
        yield GaugeMetricFamily(
            "syncline_memory_bytes", "Memory that the controller holds", value=memory_bytes()
        )
        yield GaugeMetricFamily("syncline_held_bytes", "Bytes of packets held for handshakes", value=held)
        yield GaugeMetricFamily("syncline_epoch", "Number of the current cookie epoch", value=keys.epoch or 0)
        age = self._hub.clock() - keys.began if keys.ready else 0.0
        yield GaugeMetricFamily("syncline_epoch_age_seconds", "Age of the current cookie epoch", value=age)


def _histogram(name: str, text: str, times: Times) -> Metric:
    so_far = accumulate(times.counts)
    bounds = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
    buckets = [(bound, float(count)) for bound, count in zip(bounds, so_far, strict=True)]
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=times.total)


def _counter(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _by_switch(name: str, text: str, label: str, values: Counts) -> Metric:
    family = CounterMetricFamily(name, text, labels=["switch", label])
    for switch, counts in values.items():
        for key, value in counts.items():
            family.add_metric([switch, key], value)
    return family
