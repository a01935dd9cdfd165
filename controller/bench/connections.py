# SPDX-License-Identifier: Apache-2.0
"""Short connections: how many a second, how slow, and how much of the CPU each one takes.

nginx serves, ab makes one connection per request, 64 at once. The same load goes through Syncline on two-pop,
to a port that the same switches merely route, through kernel routers in the switches' places, and through
nft's synproxy (one router: it must see both directions).
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.bench import kernel
from controller.bench.kernel import KernelError
from controller.lab.lab import Lab
from controller.lab.model import Topology
from controller.lab.programs import missing
from controller.lab.topology import load_topology
from controller.scenario.steps.kernel import parse_counters

AT_ONCE = 64
_PATIENCE = 5  # seconds
_GIVEN_UP = "timeout specified has expired"
_PROGRAMS = ("ab", "nginx")
SYNCLINE, ROUTED, ROUTERS, SYNPROXY = "Syncline", "routed", "kernel routers", "nft synproxy"
_ADDRESS, _PORT, _PLAIN_PORT = "203.0.113.10", 80, 9999
_COUNTERS = {"retransmitted": "TcpRetransSegs", "paws": "TcpExtPAWSEstab"}
_ONE_ROUTER = Path(__file__).with_name("kernel.yaml")
_TICK = os.sysconf("SC_CLK_TCK")

_NGINX = f"""
daemon off;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp;
  fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {{
    listen {_ADDRESS}:{_PORT} backlog=1024;
    listen {_ADDRESS}:{_PLAIN_PORT} backlog=1024;
    location / {{ return 200 "one line of text\\n"; }}
  }}
}}
"""


@dataclass(frozen=True)
class Load:
    """One run of ab: requests that failed, connections a second, milliseconds by percentile (50, 99, 100);
    what both hosts' kernels counted, and CPU microseconds a connection by process of the lab.
    """

    failed: int
    per_s: float
    ms: dict[int, float]
    counted: dict[str, int] = field(default_factory=dict)
    cpu_us: dict[str, float] = field(default_factory=dict)


def lacking() -> list[str]:
    """Programs that this needs and the machine lacks."""
    return missing(_PROGRAMS)


def measure_connections(
    connections: int, rounds: int, say: Callable[[str], None] = lambda _: None
) -> dict[str, dict[str, Any]]:
    """Per way: medians over the rounds, and the sums of what must not happen.

    Brings up labs of its own. Raises LabError, KernelError or OSError.
    """
    loads: dict[str, list[Load]] = {}
    with ExitStack() as stack:
        two_pop = stack.enter_context(_lab(load_topology("two-pop"), "bench-short", controller=True))
        routers = stack.enter_context(_lab(with_routers(load_topology("two-pop")), "bench-routers"))
        ways = [(SYNCLINE, two_pop, _PORT), (ROUTED, two_pop, _PLAIN_PORT), (ROUTERS, routers, _PORT)]
        if kernel.has_nft():
            proxy = stack.enter_context(_lab(load_topology(_ONE_ROUTER), "bench-proxy"))
            kernel.synproxy(proxy)
            _forget_soon(proxy)
            ways.append((SYNPROXY, proxy, _PORT))
        for lab in {id(lab): lab for _, lab, _ in ways}.values():
            stack.enter_context(_nginx(lab))
        for number in range(1, rounds + 1):
            for name, lab, port in ways:
                load = _run(lab, port, connections)
                loads.setdefault(name, []).append(load)
                say(f"  round {number} {name:18} {load.per_s:,.0f}/s, {load.failed} failed")
    return {name: summary(own) for name, own in loads.items()}


def summary(loads: Sequence[Load]) -> dict[str, Any]:
    """Medians of rates and times, sums of failures and of what the kernels counted."""

    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 1)

    return {
        "per_s": median([load.per_s for load in loads]),
        "failed": sum(load.failed for load in loads),
        "ms": {str(share): median(times) for share, times in _times(loads).items()},
        **{name: sum(load.counted[name] for load in loads) for name in loads[0].counted},
        "cpu_us": {name: median([load.cpu_us[name] for load in loads]) for name in loads[0].cpu_us},
    }


def _times(loads: Sequence[Load]) -> dict[int, list[float]]:
    shares = sorted({share for load in loads for share in load.ms})
    return {share: [load.ms[share] for load in loads if share in load.ms] for share in shares}


def lines(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each way, for people."""
    for name, own in figures.items():
        times = "/".join(f"{ms:.0f}" for ms in own["ms"].values()) or "-"
        bad = f"{own['failed']} failed, {own['retransmitted']} retransmitted, {own['paws']} PAWS drops"
        cpu = "".join(f", {part} {us:.0f}" for part, us in own["cpu_us"].items())
        yield f"{name}: {own['per_s']:,.0f} connections/s; median/99 %/slowest {times} ms; {bad}" + (
            f"; µs of CPU each{cpu[1:]}" if cpu else ""
        )


def with_routers(topology: Topology) -> Topology:
    """The topology with a kernel router in the place of each switch."""
    document = topology.model_dump(mode="json", exclude_defaults=True)
    switches = document.pop("switches")
    for name, switch in switches.items():
        document["hosts"][name] = {"router": True, "routes": switch.get("routes", [])}
    for link in document["links"]:
        link["ends"] = {_router_end(end, switches): value for end, value in link["ends"].items()}
    return Topology.model_validate({**document, "switches": {}, "services": []})


def _router_end(end: str, switches: Mapping[str, Any]) -> str:
    node, _, port = end.partition(":")
    return f"{node}:eth{port}" if node in switches else end


def parse_ab(text: str, percentiles: str, connections: int, seconds: float) -> Load:
    """ab's report and the file that its option -e writes: `Percentage served,Time in ms`, a line for each.

    A run that ab has given up (it does so when nothing comes for `_PATIENCE`) has no times.
    """
    found = {
        name: re.search(rf"{pattern} *([\d.]+)", text)
        for name, pattern in (
            ("done", r"Complete requests:"),
            ("failed", r"Failed requests:"),
            ("strange", r"Non-2xx responses:"),
            ("per_s", r"Requests per second:"),
            ("done before", r"Total of"),
        )
    }
    values = {name: float(match[1]) for name, match in found.items() if match}
    done = values.get("done", values.get("done before", 0))
    failed = connections - done + values.get("failed", 0) + values.get("strange", 0)
    rows = [line.split(",") for line in percentiles.splitlines()[1:]]
    times = {int(share): float(ms) for share, ms in rows}
    ms = {share: times[min(share, max(times))] for share in (50, 99, 100)} if times else {}
    return Load(int(failed), values.get("per_s", done / seconds), ms)


def _run(lab: Lab, port: int, connections: int) -> Load:
    counted, spent, start = _counters(lab), _cpu_seconds(lab), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "percentiles.csv"
        table.touch()
        url = f"http://{_ADDRESS}:{port}/"
        options = ["-q", "-r", "-s", str(_PATIENCE), "-n", str(connections), "-c", str(AT_ONCE)]
        done = lab.run("client", ["ab", *options, "-e", str(table), url], timeout=120)
        text = done.stdout + done.stderr
        load = parse_ab(text, table.read_text(), connections, time.monotonic() - start)
    if load.failed >= connections and _GIVEN_UP not in text:
        raise KernelError(f"ab: {text.strip()[-300:]}")
    time.sleep(0.2)  # what the last ones still cause
    after, spent_after = _counters(lab), _cpu_seconds(lab)
    return Load(
        load.failed,
        load.per_s,
        load.ms,
        {name: after[name] - counted[name] for name in counted},
        {name: (spent_after[name] - spent[name]) / connections * 1e6 for name in spent},
    )


def _forget_soon(lab: Lab) -> None:
    """Connection tracking forgets what has ended after a second: a tuple that is still known when the client
    uses it again does not get through the proxy.
    """
    for state in ("time_wait", "close", "last_ack"):
        path = f"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_{state}"
        lab.run("s", ["sh", "-c", f"echo 1 > {path}"], timeout=10)


def _counters(lab: Lab) -> dict[str, int]:
    """What both hosts have counted, added up."""
    totals = dict.fromkeys(_COUNTERS, 0)
    for host in ("client", "server"):
        text = lab.run(host, ["cat", "/proc/net/snmp", "/proc/net/netstat"], timeout=10).stdout
        found = parse_counters(text)
        for name, counter in _COUNTERS.items():
            totals[name] += found[counter]
    return totals


def _cpu_seconds(lab: Lab) -> dict[str, float]:
    """CPU time that each process of the lab has taken (proc(5), fields 14 and 15 of stat)."""
    spent = {}
    for name, process in lab.state.processes.items():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        spent[name] = (int(fields[11]) + int(fields[12])) / _TICK
    return spent


@contextmanager
def _lab(topology: Topology, name: str, *, controller: bool = False) -> Iterator[Lab]:
    lab = Lab.up(topology, name=name, controller=controller)
    try:
        yield lab
    finally:
        lab.down()


@contextmanager
def _nginx(lab: Lab) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "nginx.conf").write_text(_NGINX)
        command = ["nginx", "-p", folder, "-e", "error.log", "-c", "nginx.conf"]
        with lab.popen("server", command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 5
                while not Path(folder, "nginx.pid").exists():
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise KernelError(f"nginx does not start: {Path(folder, 'error.log').read_text()}")
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()
