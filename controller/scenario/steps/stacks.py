# SPDX-License-Identifier: Apache-2.0
"""Steps about the TCP of the hosts' kernels: what it offers, and what it thinks of a connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from controller.lab.model import Topology
from controller.scenario.steps.base import Step
from controller.scenario.values import Bound
from controller.scenario.world import UnmetError, World, poll

_UNIT = 50_000
"""Bytes of receive buffer for window scale 0: the kernel takes the first scale by which its largest window
fits into 16 bits (net/ipv4/tcp_output.c, tcp_select_initial_window)."""
_SWITCHES = ("window_scaling", "sack", "timestamps")
_SLACK_MS = 10.0
_FIRST_FLIGHT = 4
"""Segments that a client may send before its session is open (a service's `window`)."""


class Tcp(Step):
    """From now on the host's kernel offers these options on new connections, and answers with them.

    `window_scale` null: none. `mss` null: what the interface's MTU gives; it can only lower that.
    """

    keyword: ClassVar[str] = "tcp"
    host: str
    window_scale: Annotated[int, Field(ge=0, le=14)] | None = 7
    sack: bool = True
    timestamps: bool = True
    mss: Annotated[int, Field(ge=88, le=65495)] | None = None

    def run(self, world: World) -> str:
        largest = _UNIT << (self.window_scale or 0)
        on = (self.window_scale is not None, self.sack, self.timestamps)
        settings = [f"tcp_{name}={int(value)}" for name, value in zip(_SWITCHES, on, strict=True)]
        settings += [f"tcp_rmem=4096 {min(131072, largest)} {largest}"]
        script = [f"echo {s.partition('=')[2]} > /proc/sys/net/ipv4/{s.partition('=')[0]}" for s in settings]
        _run(world, self.host, ["sh", "-ec", "; ".join(script)])
        # A route's `window` bounds the largest window also below what the system wants buffers to be.
        features = ["window", str(largest)] + (["advmss", str(self.mss)] if self.mss else [])
        for version in ("-4", "-6"):
            for route in _default_routes(world, self.host, version):
                _run(world, self.host, ["ip", version, "route", "replace", *route, *features])
        return ", ".join(settings)


class Sockets(Step):
    """What the host's kernel (`ss -ti`) says of its established connections with a service: each must be so.

    `window_scale` is [the other end's, its own], as this kernel has heard and told; null: none is used.
    `beside`: no connection's round-trip time is longer than twice the longest to this other service, and
    10 ms; and they have repeated no more segments than twice those, and a first flight for each connection:
    a busy machine may take longer to open one than its client waits. All this at some time `within` so many
    seconds, for a machine that stands still makes round trips longer for a while.
    """

    keyword: ClassVar[str] = "sockets"
    host: str
    service: str
    connections: Bound = Bound(at_least=1)
    window_scale: tuple[int, int] | None = None
    sack: bool = True
    timestamps: bool = True
    mss: Annotated[Bound | None, Field(description="Bytes of payload of its largest segments")] = None
    beside: str | None = None
    within: Annotated[float, Field(gt=0, le=60)] = 2.0

    def run(self, world: World) -> str:
        found: list[SocketInfo] = []
        others: list[SocketInfo] = []

        def problem() -> str | None:
            found[:] = established(world, self.host, self.service)
            if not self.connections.admits(len(found)):
                return f"{len(found)} connections instead of {self.connections}"
            if self.beside is None:
                return None
            others[:] = established(world, self.host, self.beside)
            return self._differs(found, others)

        poll(self.within, problem)
        for socket in found:
            self._check(socket)
        text = f"{len(found)} connections"
        if found:
            text += f", mss {found[0].mss}, rtt {_longest_rtt(found):g} ms"
        if others:
            text += f", {_repeated(found)} repeated; with {self.beside} {_longest_rtt(others):g} ms, "
            text += f"{_repeated(others)} repeated"
        return text

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        known = [service.name for service in topology.services]
        if self.beside is not None and self.beside not in known:
            yield "beside", f"no service {self.beside} in topology {topology.name}; it has {', '.join(known)}"

    def _check(self, socket: SocketInfo) -> None:
        for what in ("window_scale", "sack", "timestamps"):
            if getattr(socket, what) != getattr(self, what):
                raise UnmetError(f"{what} is {getattr(socket, what)} instead of {getattr(self, what)}")
        if self.mss is not None and not self.mss.admits(socket.mss):
            raise UnmetError(f"mss is {socket.mss} instead of {self.mss}")

    def _differs(self, found: list[SocketInfo], others: list[SocketInfo]) -> str | None:
        """In what these connections are worse than those beside them."""
        if not (others and found):
            return f"no connections with {self.service} and {self.beside} to compare"
        own, plain = _longest_rtt(found), _longest_rtt(others)
        if own > 2 * plain + _SLACK_MS:
            return f"rtt {own:g} ms; with {self.beside} it is {plain:g} ms"
        repeated, usual = _repeated(found), _repeated(others)
        if repeated > 2 * usual + _FIRST_FLIGHT * len(found):
            return f"{repeated} segments were repeated; with {self.beside} {usual}"
        return None


@dataclass(frozen=True)
class SocketInfo:
    """One connection as ss(8) describes it; `rtt_ms` is the smoothed round-trip time, `repeated` how many
    segments were sent again.
    """

    window_scale: tuple[int, int] | None
    sack: bool
    timestamps: bool
    mss: int
    rtt_ms: float
    repeated: int = 0


def _longest_rtt(sockets: list[SocketInfo]) -> float:
    return max(socket.rtt_ms for socket in sockets)


def _repeated(sockets: list[SocketInfo]) -> int:
    return sum(socket.repeated for socket in sockets)


def parse_sockets(text: str) -> list[SocketInfo]:
    """The output of `ss -tinoHO`: a line for each connection, of words and NAME:VALUE pairs."""
    found = []
    for line in text.splitlines():
        words = line.split()
        values = dict(word.partition(":")[::2] for word in words)
        if "mss" not in values:
            continue
        scales = re.fullmatch(r"(\d+),(\d+)", values.get("wscale", ""))
        found.append(
            SocketInfo(
                window_scale=(int(scales[1]), int(scales[2])) if scales else None,
                sack="sack" in words,
                timestamps="ts" in words,
                mss=int(values["mss"]),
                rtt_ms=float(values.get("rtt", "0").partition("/")[0]),
                repeated=int(values.get("retrans", "0/0").partition("/")[2]),
            )
        )
    return found


def established(world: World, host: str, service: str) -> list[SocketInfo]:
    """What the host's kernel says of its established connections with the service."""
    address, port = world.service(service)
    end = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    side = "src" if world.service_host(service) == host else "dst"
    return parse_sockets(_run(world, host, ["ss", "-tinoHO", "state", "established", side, end]))


def _default_routes(world: World, host: str, version: str) -> list[list[str]]:
    """The host's default routes of this version of IP, as the `ip` command takes them."""
    routes = []
    for line in _run(world, host, ["ip", version, "route", "show", "default"]).splitlines():
        words = line.split()
        kept = ["default"]
        for name in ("via", "dev", "src", "metric"):
            if name in words:
                kept += [name, words[words.index(name) + 1]]
        routes.append(kept)
    return routes


def _run(world: World, host: str, command: list[str]) -> str:
    done = world.lab.run(host, command, timeout=10)
    if done.returncode != 0:
        raise UnmetError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


STACK_STEPS: tuple[type[Step], ...] = (Tcp, Sockets)
