# SPDX-License-Identifier: Apache-2.0
"""What many sessions, and many PoPs, cost: memory of the controller, times of handshakes, resync of a switch.

A switch is filled over P4Runtime; a controller that starts then takes its sessions over and brings the other
switches to the same: so both its table and theirs are filled by what it does in operation. Real connections
come on top. Then a switch is killed and comes back empty, while connections go on through the others.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from controller.bench.primary import Primary
from controller.bench.star import PORT, SERVER, star
from controller.lab.checks import CONTROLLER
from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.lab.signals import uninterrupted
from controller.lab.targets import P4_SOURCE
from controller.logic.model import Entry
from controller.p4.schema import Schema
from softswitch.compiler import compile_file

SIZES: Final = (10_000, 100_000, 1_000_000)
SWITCHES: Final = 3
POPS: Final = (2, 4, 8)
POPS_SESSIONS: Final = 20_000
"""How many sessions there are when the number of PoPs grows."""
_CONNECTIONS: Final = 3000  # as fast as they go
_PACED, _PER_SECOND = 600, 60  # connections, and how many of them a second
_AT_ONCE: Final = 64
_BATCH: Final = 1000
_NAME = "bench-scale"
_BY_HANDSHAKE: Final = 100_000
_FIRST_CLIENT, _CLIENT_PORT = 0x0A000000, 40000
_IDLE_NS: Final = 7200 * 10**9
_TIMEOUT: Final = 900.0
_HOLDING = str(Path(__file__).with_name("holding.py"))
_TICK = os.sysconf("SC_CLK_TCK")

Say = Callable[[str], None]


def measure_sizes(sizes: Sequence[int], say: Say) -> dict[str, Any]:
    """Figures of three switches, for each number of sessions. Raises LabError or OSError."""
    command = [sys.executable, "-m", "controller.bench.session_memory", str(_BY_HANDSHAKE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    say(f"  a session that came by a handshake: {done.stdout.strip()} bytes in the state machines")
    rows = [measure(size, SWITCHES, say) for size in sorted(sizes)]
    return {"bytes_per_session_by_handshake": int(done.stdout), "rows": rows}


def measure_pops(say: Say) -> dict[str, Any]:
    """Figures of the same number of sessions, for each number of switches. Raises LabError or OSError."""
    return {"rows": [measure(POPS_SESSIONS, pops, say) for pops in POPS]}


def table(title: str, figures: dict[str, Any]) -> Table:
    """The figures for people: a column for each network."""
    rows = figures["rows"]
    shown = Table(title=title, title_justify="left", box=None)
    shown.add_column("")
    for row in rows:
        shown.add_column(f"{row['sessions']:,} sessions\n{row['switches']} switches", justify="right")
    for text, value in _LINES:
        shown.add_row(text, *(value(row) for row in rows))
    return shown


def _times(times: dict[str, float]) -> str:
    return f"{times['50']:g} / {times['99']:g}" if times else "-"


_LINES: Final[tuple[tuple[str, Callable[[dict[str, Any]], str]], ...]] = (
    ("controller: bytes a session", lambda row: f"{row['bytes_per_session']:,}"),
    ("… at the peak of the take-over", lambda row: f"{row['peak_bytes_per_session']:,}"),
    ("take-over, all switches verified, s", lambda row: f"{row['take_over']['s']:g}"),
    ("resync of an empty switch, s", lambda row: f"{row['resync']['s']:g}"),
    ("… CPU: controller, s", lambda row: f"{row['resync']['controller_cpu_s']:g}"),
    ("… CPU: the switch, s", lambda row: f"{row['resync']['switch_cpu_s']:g}"),
    ("… slowest answer of the API meanwhile, s", lambda row: f"{row['resync']['slowest_answer_s']:g}"),
    (
        "SYN/ACK to last switch meanwhile, p50 / p99 ms",
        lambda row: _times(row["resync"].get("meanwhile", {}).get("share_ms", {})),
    ),
    (f"the same at {_PER_SECOND} connections/s", lambda row: _times(row["paced"]["share_ms"])),
    ("… as fast as they go", lambda row: _times(row["set_up"]["share_ms"])),
    ("connections/s, as fast as they go", lambda row: f"{row['set_up']['per_s']:g}"),
    ("… CPU: controller, µs each", lambda row: f"{row['set_up']['cpu_us'][CONTROLLER]:,}"),
    ("failed", lambda row: f"{row['set_up']['failed'] + row['paced']['failed']}"),
)


def measure(sessions: int, pops: int, say: Say) -> dict[str, Any]:
    """All figures of one network."""
    with _lab(pops) as lab:
        say(f"  {sessions:,} sessions, {pops} switches")
        before = _memory(lab, CONTROLLER)
        lab.kill_controller()
        filling = _fill(lab, sessions)
        taken_over = _take_over(lab, sessions)
        grown = _memory(lab, CONTROLLER) - before
        figures: dict[str, Any] = {
            "sessions": sessions,
            "switches": pops,
            "inserts_per_s": round(filling),
            "take_over": taken_over,
            "bytes_per_session": round(grown / sessions),
            "peak_bytes_per_session": round((_memory(lab, CONTROLLER, "VmHWM") - before) / sessions),
        }
        say(f"  … controller: {grown / sessions:.0f} bytes a session; taken over in {taken_over['s']:.1f} s")
        with _server(lab):
            figures["paced"] = _set_up(lab, _PACED, _PER_SECOND)
            figures["set_up"] = _set_up(lab, _CONNECTIONS, 0)
            figures["resync"] = _resync(lab, f"p{pops}", sessions, meanwhile=pops > 2)
        return figures


@contextmanager
def _lab(pops: int) -> Iterator[Lab]:
    lab = Lab.up(star(pops), name=_NAME)
    try:
        yield lab
    finally:
        with uninterrupted():
            lab.down()


def _fill(lab: Lab, sessions: int) -> float:
    """Writes so many sessions into the first switch; inserts a second."""
    schema = Schema(compile_file(P4_SOURCE).p4info)
    client = Primary(lab.grpc_address("p1"), lab.plan.device_id("p1"))
    server = int(lab.plan.topology.services[0].address)
    version, spent = int(time.time()), 0.0
    try:
        for first in range(0, sessions, _BATCH):
            numbers = range(first, min(first + _BATCH, sessions))
            request = client.request(
                schema.session_bytes(
                    (_FIRST_CLIENT + n, server, _CLIENT_PORT, PORT),
                    Entry(
                        delta=n * 0x9E3779B1 & 0xFFFFFFFF,
                        tau=n * 0x85EBCA6B & 0xFFFFFFFF,
                        to_client_shift=0,
                        to_server_shift=0,
                        phase=0,
                        version=version,
                        isn=n * 0xC2B2AE35 & 0xFFFFFFFF,
                        cookie=n * 0x27D4EB2F & 0xFFFFFFFF,
                        idle_ns=_IDLE_NS,
                    ),
                )
                for n in numbers
            )
            start = time.monotonic()
            client.write(request)
            spent += time.monotonic() - start
    finally:
        client.close()
    return sessions / spent


def _take_over(lab: Lab, sessions: int) -> dict[str, float]:
    """Starts a controller; seconds until every switch has all the sessions, verified, and CPU seconds."""
    spent = _cpu(lab)
    start = time.monotonic()
    lab.start_controller()
    lab.wait_ready(_TIMEOUT)
    seconds = time.monotonic() - start
    _expect(lab, sessions)
    return {"s": round(seconds, 2), "cpu_s": round(_cpu(lab)[CONTROLLER], 2), **_busiest(lab, spent)}


def _expect(lab: Lab, sessions: int) -> None:
    for switch in lab.api("/api/status")["switches"]:
        if switch["sessions"] < sessions:
            raise LabError(f"switch {switch['name']} holds {switch['sessions']} sessions, not {sessions}")


@contextmanager
def _server(lab: Lab) -> Iterator[None]:
    command = [sys.executable, _HOLDING, "serve", SERVER, str(PORT)]
    with lab.popen("server", command, stdout=subprocess.PIPE) as server:
        try:
            if server.stdout is None or server.stdout.readline() != b"ready\n":
                raise LabError("the bench's server does not start")
            yield
        finally:
            server.kill()


@contextmanager
def _connections(lab: Lab, count: int, per_second: float) -> Iterator[subprocess.Popen[str]]:
    """Connections, opened one after the other or as fast as they go, and kept open within."""
    command = [
        sys.executable,
        _HOLDING,
        "open",
        SERVER,
        str(PORT),
        str(count),
        str(_AT_ONCE),
        str(per_second),
    ]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with lab.popen("client", command, **options) as client:
        try:
            yield client
        finally:
            client.kill()


def _set_up(lab: Lab, count: int, per_second: float) -> dict[str, Any]:
    """Opens connections: how many a second, how long clients waited, how long sessions were on their way."""
    spent = _cpu(lab)
    with _connections(lab, count, per_second) as client:
        report = _report(client)
        cpu = {name: seconds - spent[name] for name, seconds in _cpu(lab).items()}
        shared = _share_times(lab, count)
    return {
        "connections": report["opened"],
        "failed": report["failed"],
        "per_s": round(report["opened"] / report["seconds"], 1),
        "client_ms": _percentiles(report["ms"]),
        "share_ms": _percentiles(shared),
        "cpu_us": {name: round(seconds / count * 1e6) for name, seconds in cpu.items()},
    }


def _report(client: subprocess.Popen[str]) -> dict[str, Any]:
    line = client.stdout.readline() if client.stdout else ""
    if not line:
        raise LabError("the bench's client ended before its time")
    report: dict[str, Any] = json.loads(line)
    return report


def _share_times(lab: Lab, count: int) -> list[float]:
    """Milliseconds from SYN/ACK to the last switch, of the youngest sessions."""
    found = lab.api(f"/api/sessions?limit={count}")["sessions"]
    timelines = [session["timeline"] for session in found]
    return [(t["shared"] - t["synack"]) * 1e3 for t in timelines if t and t["shared"]]


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"50": round(cuts[49], 2), "99": round(cuts[98], 2), "100": round(max(values), 2)}


def _resync(lab: Lab, switch: str, sessions: int, *, meanwhile: bool) -> dict[str, Any]:
    """Kills a switch that no traffic needs, starts it empty; seconds until it holds everything, verified.

    `meanwhile`: connections go on through the others.
    """
    if not meanwhile:
        return _come_back(lab, switch, sessions)
    with _connections(lab, 20_000, _PER_SECOND) as client:
        time.sleep(1)
        began = lab.api("/api/status")["sessions"]["open"]
        figures = _come_back(lab, switch, sessions)
        opened = lab.api("/api/status")["sessions"]["open"] - began
        client.kill()
    figures["meanwhile"] = {
        "connections": opened,
        "share_ms": _percentiles(_share_times(lab, max(opened, 2))),
    }
    return figures


def _come_back(lab: Lab, switch: str, sessions: int) -> dict[str, Any]:
    lab.stop_switch(switch, 9)
    spent = _cpu(lab)
    lab.start_switch(switch)
    start, slowest = time.monotonic(), 0.0
    while True:
        asked = time.monotonic()
        [state] = [s for s in lab.api("/api/status")["switches"] if s["name"] == switch]
        slowest = max(slowest, time.monotonic() - asked)
        if state["state"] == "in-service" and asked - start > 0.5:
            break
        if asked - start > _TIMEOUT:
            raise LabError(f"switch {switch} is {state['state']} after {_TIMEOUT:g} s: {state['reason']}")
        time.sleep(0.1)
    seconds = time.monotonic() - start
    _expect(lab, sessions)
    cpu = _cpu(lab)
    return {
        "s": round(seconds, 2),
        "controller_cpu_s": round(cpu[CONTROLLER] - spent[CONTROLLER], 2),
        "switch_cpu_s": round(cpu[switch], 2),
        "slowest_answer_s": round(slowest, 3),
    }


def _busiest(lab: Lab, before: dict[str, float]) -> dict[str, float]:
    """CPU seconds of the switch that took most."""
    taken = [seconds - before.get(name, 0.0) for name, seconds in _cpu(lab).items() if name != CONTROLLER]
    return {"busiest_switch_cpu_s": round(max(taken), 2)}


def _memory(lab: Lab, process: str, what: str = "VmRSS") -> int:
    """Bytes of a process (proc(5)): what it has now (VmRSS), or had at most (VmHWM)."""
    status = Path(f"/proc/{lab.state.processes[process].pid}/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


def _cpu(lab: Lab) -> dict[str, float]:
    """CPU seconds that each process of the lab that runs has taken (proc(5), fields 14 and 15 of stat)."""
    spent = {}
    for name, process in lab.state.processes.items():
        stat = Path(f"/proc/{process.pid}/stat")
        if stat.exists():
            fields = stat.read_text().rpartition(")")[2].split()
            spent[name] = (int(fields[11]) + int(fields[12])) / _TICK
    return spent
