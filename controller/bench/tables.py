# SPDX-License-Identifier: Apache-2.0
"""A million sessions in a running switch, over P4Runtime: inserts a second, memory, and packets lost while
all of them are read at half of the load that the switch can take.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from controller.bench.flood import Flood, FloodPlan
from controller.bench.measure import MOST_SYNS, Way, measure
from controller.bench.primary import Primary
from controller.lab.lab import Lab
from controller.lab.signals import uninterrupted
from controller.lab.targets import P4_SOURCE
from controller.logic.model import Entry
from controller.p4.schema import Schema
from controller.scenario.netns import interface_counters
from softswitch.compiler import compile_file

_BATCH = 1000  # updates per Write
_CLIENTS, _SERVER = 0x0A000000, 0xCB00710A
_SECONDS = 5


def measure_tables(sessions: int) -> dict[str, Any]:
    """Inserts so many sessions, then reads them under load. Raises LabError, FloodError or OSError."""
    with _lab() as lab:
        client = Primary(lab.grpc_address("s"), lab.plan.device_id("s"))
        try:
            schema = Schema(compile_file(P4_SOURCE).p4info)
            way = _way(lab)
            before = _memory(lab)
            spent = _cpu_seconds(lab)
            rate = _insert(client, schema, sessions)
            spent = _cpu_seconds(lab) - spent
            grown = _memory(lab) - before
            absorbed = measure(way, 2, seed=1).absorbed_per_s
            half = int(absorbed / 2)
            return {
                "sessions": sessions,
                "inserts_per_s": round(rate),
                "inserts_per_cpu_s": round(sessions / spent),
                "process_bytes_per_entry": round(grown / sessions),
                "absorbed_per_s": round(absorbed),
                "alone": _under_load(way, half, None, 0),
                "read": _under_load(way, half, client, schema.sessions_ids[0]),
            }
        finally:
            client.close()


@contextmanager
def _lab() -> Iterator[Lab]:
    """A switch as the controller has left it: it is the bench's from now on."""
    lab = Lab.up("single", name="bench-tables")
    try:
        lab.kill_controller()
        yield lab
    finally:
        with uninterrupted():
            lab.down()


def _way(lab: Lab) -> Way:
    service = lab.plan.topology.services[0]
    netns = lab.netns("client")
    return Way("switch", lab, netns, str(service.address), service.port, netns)


def _insert(client: Primary, schema: Schema, sessions: int) -> float:
    """Inserts a second, by the time that the switch takes to answer; encoding is the client's affair."""
    spent = 0.0
    for first in range(_CLIENTS, _CLIENTS + sessions, _BATCH):
        keys = [(address, _SERVER, 40000, 80) for address in range(first, first + _BATCH)]
        request = client.request(
            [schema.session_bytes(key, Entry(1, 2, 0, 0, 0, 1, 3, 4, 0)) for key in keys]
        )
        start = time.monotonic()
        client.write(request)
        spent += time.monotonic() - start
    return sessions / spent


def _cpu_seconds(lab: Lab) -> float:
    """What the switch process has taken (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{lab.state.processes['s'].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(lab: Lab) -> int:
    """Bytes of memory of the switch process."""
    status = Path(f"/proc/{lab.state.processes['s'].pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def _under_load(way: Way, rate: int, client: Primary | None, table_id: int) -> dict[str, int]:
    """SYNs at that rate for some seconds, and the table read over and over meanwhile if there is a client.
    What was not answered is lost.
    """
    plan = FloodPlan(
        way.target,
        way.port,
        min(rate * _SECONDS, MOST_SYNS),
        rate=rate,
        seed=2,
        deadline_s=2 * _SECONDS,
        steady=True,
    )
    before = interface_counters(way.counted_netns)[way.counted].rx_packets
    read: list[int] = []
    with Flood(way.lab, "client", way.client_netns, plan) as flood, ExitStack() as stack:
        if client is not None:
            count = partial(_entries_while, client, table_id, flood)
            reader = threading.Thread(target=lambda: read.extend(count()))
            reader.start()
            stack.callback(reader.join)
        sent = flood.wait()
    time.sleep(0.5)
    answered = interface_counters(way.counted_netns)[way.counted].rx_packets - before
    lost = max(sent.syns - answered, 0)
    return {"syns": sent.syns, "per_s": round(sent.rate), "lost": lost, "entries_read": sum(read)}


def _entries_while(client: Primary, table_id: int, flood: Flood) -> Iterator[int]:
    while flood.running:
        yield client.read_all(table_id)


def lines(figures: dict[str, Any]) -> list[str]:
    """The figures for people."""
    read, alone = figures["read"], figures["alone"]
    return [
        f"tables: {figures['inserts_per_s']:,} inserts/s in batches of {_BATCH} "
        f"({figures['inserts_per_cpu_s']:,} per second of the switch's CPU time), "
        f"{figures['process_bytes_per_entry']} bytes of the process per entry at {figures['sessions']:,}",
        f"tables: {read['entries_read']:,} entries read while {read['per_s']:,} SYNs/s came, half of the "
        f"{figures['absorbed_per_s']:,}/s that were absorbed before: "
        f"{read['lost']:,} of {read['syns']:,} lost; without reading {alone['lost']:,} of {alone['syns']:,}",
    ]
