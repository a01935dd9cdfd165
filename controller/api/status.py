# SPDX-License-Identifier: Apache-2.0
"""What the controller tells about itself: /api/status and /api/sessions. Keys are never part of it."""

from __future__ import annotations

import asyncio
import resource
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

from controller.dataplane import DROP_REASONS, EVENTS, Phase
from controller.hub import ControllerHub
from controller.logic.model import Session, is_v6
from controller.logic.times import Times
from controller.p4.errors import SwitchError

_FRESH: Final = 1.0
_READ_TIME: Final = 2.0

OPTIONS: Final = ("mss", "window_scale", "sack", "timestamps")

Counts = dict[str, dict[str, int]]


class Counters:
    """Counters by switch and name, read at most once a second. A switch that is away keeps its last.

    With `now` they are read whatever their age.
    """

    def __init__(self, hub: ControllerHub) -> None:
        self._hub = hub
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self.drops: Counts = {name: {} for name in hub.links}
        self.events: Counts = {name: {} for name in hub.links}

    async def refresh(self, *, now: bool = False) -> None:
        async with self._lock:
            if not now and self._hub.clock() - self._read_at < _FRESH:
                return
            await asyncio.gather(*(self._read(name) for name in list(self._hub.links)))
            for counts in (self.drops, self.events):
                for name in [name for name in counts if name not in self._hub.links]:
                    del counts[name]
            self._read_at = self._hub.clock()

    async def _read(self, name: str) -> None:
        link = self._hub.links[name]
        if not link.in_service:
            return
        try:
            async with asyncio.timeout(_READ_TIME):
                drops, events = await link.counters()
        except (SwitchError, TimeoutError):
            return
        if name not in self._hub.links:  # removed meanwhile
            return
        self.drops[name] = _named(drops, DROP_REASONS)
        self.events[name] = _named(events, EVENTS)


def _named(cells: dict[int, int], names: tuple[str, ...]) -> dict[str, int]:
    """Non-zero cells by name; a cell beyond the names shows its number."""
    named = {}
    for index, packets in sorted(cells.items()):
        if packets and index:
            named[names[index] if index < len(names) else f"REASON_{index}"] = packets
    return named


def memory_bytes() -> int:
    """What this process holds in memory (proc(5), statm: resident pages)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def status(hub: ControllerHub, counters: Counters) -> dict[str, Any]:
    """The answer to /api/status; times in seconds."""
    now, coordinator = hub.clock(), hub.coordinator
    closing, federation = coordinator.sessions.closing, hub.federation
    takes_part = federation is None or federation["is_member"]
    return {
        "name": hub.config.name,
        "role": "leading" if hub.leading else "standing-by",
        "election_id": hub.election_id or None,
        "ready": takes_part and all(link.in_service for link in hub.links.values()),
        "uptime_s": round(now - hub.started, 3),
        "epoch": {
            "number": hub.keys.epoch,
            "rotating": hub.keys.rotating,
            "age_s": round(now - hub.keys.began, 3) if hub.keys.ready else None,
        },
        "federation": federation,
        "switches": [
            {
                "name": link.name,
                "address": link.config.address,
                "device_id": link.config.device_id,
                "state": str(link.life.state),
                "reason": link.life.reason,
                "sessions": link.sessions,
            }
            for link in hub.links.values()
        ],
        "services": [
            {
                "name": service.config.name,
                "address": str(service.config.address),
                "port": service.config.port,
                "mss": service.mss,
                "window_scale": service.window_scale,
                "sack": service.sack,
                "timestamps": service.timestamps,
                "origin": {option: service.origin(option) for option in OPTIONS},
                "learned": service.learned,
                "window": service.config.window,
                "unknown": service.config.unknown,
                "mode": service.config.mode,
                "sync": service.config.sync,
                "leaving": service.leaving,
                "stance": str(hub.policies.stance(service)),
                "syn_rate": round(hub.policies.syn_rates.get(service.service_id, 0.0), 1),
                "sessions": service.sessions,
                "pending": service.pending,
            }
            for service in coordinator.services.values()
        ],
        "sessions": {"open": len(coordinator.sessions) - closing, "closing": closing},
        "pending": len(coordinator.flows),
        "times": {
            "setup": _times(coordinator.openings.setup_times),
            "share": _times(coordinator.openings.share_times),
        },
        "memory_bytes": memory_bytes(),
        "held_bytes": coordinator.flows.held_bytes + coordinator.returns.held_bytes,
        "shed": dict(coordinator.flows.shed),
        "results": dict(coordinator.results + coordinator.returns.dropped),
        "drops": counters.drops,
        "events": counters.events,
    }


def _times(times: Times) -> dict[str, float | None]:
    """How many, and the milliseconds within which half and 99 % of them were done, to the end of a range."""
    p50, p99 = times.within(0.5), times.within(0.99)
    return {"count": len(times), "p50_ms": _ms(p50), "p99_ms": _ms(p99)}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None or seconds == float("inf") else round(seconds * 1e3, 1)


def sessions(hub: ControllerHub, limit: int) -> dict[str, Any]:
    """The answer to /api/sessions: the `limit` youngest sessions, the youngest first."""
    table = hub.coordinator.sessions
    wall = hub.wall()
    found = [_session(session, wall) for session in table.youngest(limit)]
    return {"total": len(table), "sessions": found}


def _session(session: Session, wall: float) -> dict[str, Any]:
    client, server, client_port, server_port = session.key
    address = IPv6Address if is_v6(session.key) else IPv4Address
    entry, timeline = session.entry, session.timeline
    return {
        "client": str(address(client)),
        "client_port": client_port,
        "server": str(address(server)),
        "server_port": server_port,
        "service": session.service,
        "phase": Phase(entry.phase).name,
        "version": entry.version,
        "delta": entry.delta,
        "tau": entry.tau,
        "to_client_shift": entry.to_client_shift,
        "to_server_shift": entry.to_server_shift,
        "age_s": round(wall - session.created, 3),
        "ingress": session.ingress,
        "timeline": None
        if timeline is None
        else {
            "proven": timeline.proven,
            "syn_sent": timeline.syn_sent,
            "synack": timeline.synack,
            "confirmed": timeline.confirmed,
            "released": timeline.released or None,
            "shared": timeline.shared or None,
        },
    }
