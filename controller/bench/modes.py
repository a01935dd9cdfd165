# SPDX-License-Identifier: Apache-2.0
"""Sync modes side by side, with 35 ms between places: how long a connection's set-up takes, what is lost.

On three-pop the controller sits at a, where clients enter. The control channels of b and c, and the way
between the PoPs and the server, take 35 ms in each direction. The modes take turns, round by round.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from controller.bench.distance import far_channel, far_host
from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.lab.model import Topology, TopologyService
from controller.lab.topology import load_topology
from controller.scenario.steps.kernel import parse_counters

DELAY_S: Final = 0.035
_ADDRESS: Final = "203.0.113.10"
_PORTS: Final = {"all": 7001, "quorum": 7002, "local": 7003}
_FAR: Final = ("b", "c")
_KINDS: Final = ("request", "greeting")

# One port per mode answers a request; the port 100 above it speaks first.
_SERVER = """
import asyncio, sys
async def answer(reader, writer):
    if not await reader.read(100): return writer.close()
    writer.write(b"answer"); await reader.read(); writer.close()
async def greet(reader, writer):
    writer.write(b"greeting"); await reader.read(); writer.close()
async def main():
    for port in map(int, sys.argv[2:]):
        await asyncio.start_server(answer, sys.argv[1], port)
        await asyncio.start_server(greet, sys.argv[1], port + 100)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

_CLIENT = """
import json, socket, sys, time
address, port, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
times = {"request": [], "greeting": []}
for _ in range(connections):
    for kind, offset in (("request", 0), ("greeting", 100)):
        start = time.monotonic()
        try:
            with socket.create_connection((address, port + offset), 10) as end:
                if kind == "request": end.sendall(b"request")
                ok = end.recv(100)
            times[kind].append((time.monotonic() - start) * 1000 if ok else None)
        except OSError:
            times[kind].append(None)
print(json.dumps(times))
"""


@dataclass
class Turns:
    """What a mode has shown so far: times to the first byte in ms (None: failed), by kind; and counts."""

    times: dict[str, list[float | None]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})
    counted: Counter[str] = field(default_factory=Counter)


def measure_modes(connections: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Per mode: milliseconds to the first byte of an answer and of a greeting, what failed and what was lost.

    Brings up a lab of its own. Raises LabError or OSError.
    """
    with ExitStack() as stack:
        lab = Lab.up(_topology(), name="bench-modes", controller=False)
        stack.callback(lab.down)
        for switch in _FAR:
            relay = lab.relay_address(switch)
            path = lab.grpc_address(switch).removeprefix("unix:")
            stack.enter_context(far_channel(relay.removeprefix("unix:"), path, DELAY_S))
            lab.reach_switch_at(switch, relay)
        stack.enter_context(far_host(lab, "server", "backbone", _ADDRESS, DELAY_S))
        lab.start_controller()
        lab.wait_ready()
        ports = [str(port) for port in _PORTS.values()]
        server = stack.enter_context(
            lab.popen("server", [sys.executable, "-c", _SERVER, _ADDRESS, *ports], stdout=-1, text=True)
        )
        stack.callback(server.terminate)
        if server.stdout is None or server.stdout.readline() != "ready\n":
            raise LabError("the server of the modes does not start")
        turns = {mode: Turns() for mode in _PORTS}
        for _ in range(rounds):
            for mode, own in turns.items():
                _turn(lab, mode, connections, own)
    return {mode: summary(own) for mode, own in turns.items()}


def _turn(lab: Lab, mode: str, connections: int, own: Turns) -> None:
    before = _counted(lab)
    command = [sys.executable, "-c", _CLIENT, _ADDRESS, str(_PORTS[mode]), str(connections)]
    done = lab.run("client", command, timeout=200)
    if done.returncode:
        raise LabError(f"the client of mode {mode}: {done.stderr.strip()[-300:]}")
    time.sleep(0.3)  # what the last connections still cause
    after = _counted(lab)
    own.counted.update({name: after[name] - before[name] for name in after})
    for kind, found in json.loads(done.stdout).items():
        own.times[kind] += found


def summary(turns: Turns) -> dict[str, Any]:
    """Medians and 95th percentiles in ms by kind, connections that failed, and what was counted."""
    figures: dict[str, Any] = dict(turns.counted)
    for kind, own in turns.times.items():
        good = sorted(spent for spent in own if spent is not None)
        figures[kind] = {
            "ms": round(statistics.median(good), 1) if good else None,
            "p95_ms": round(good[len(good) * 95 // 100], 1) if good else None,
            "connections": len(own),
            "failed": len(own) - len(good),
        }
    return figures


def lines(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each mode, for people."""
    for mode, own in figures.items():
        parts = [
            f"{kind} {own[kind]['ms']} ms (95 %: {own[kind]['p95_ms']}), {own[kind]['failed']} failed"
            for kind in _KINDS
        ]
        parts += [f"{name} {number}" for name, number in own.items() if name not in _KINDS]
        yield f"sync {mode}: {'; '.join(parts)}"


def _topology() -> Topology:
    topology = load_topology("three-pop")
    services = [
        TopologyService.model_validate(
            {
                "name": f"{mode}-{kind}",
                "host": "server",
                "address": _ADDRESS,
                "port": port + offset,
                "sync": mode,
            }
        )
        for mode, port in _PORTS.items()
        for kind, offset in zip(_KINDS, (0, 100), strict=True)
    ]
    return topology.model_copy(update={"services": services})


def _counted(lab: Lab) -> dict[str, int]:
    """Early returns that came and that were dropped, and segments that the hosts repeated."""
    status = lab.api("/api/status?fresh")
    punted = sum(events.get("EARLY_RETURN_PUNTED", 0) for events in status["events"].values())
    repeated = 0
    for host in ("client", "server"):
        text = lab.run(host, ["cat", "/proc/net/snmp", "/proc/net/netstat"], timeout=10).stdout
        repeated += parse_counters(text)["TcpRetransSegs"]
    return {
        "early returns": punted,
        "of them dropped": status["results"].get("early_return_expired", 0),
        "segments repeated": repeated,
    }
