# SPDX-License-Identifier: Apache-2.0
"""A step with kernels on both sides: every combination of the options that they can be told to use."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from controller.lab.model import Topology, TopologyService
from controller.scenario.matrix import MSS_STEPS, Abilities
from controller.scenario.netns import tcp_socket
from controller.scenario.steps.base import Step
from controller.scenario.steps.options import SETTLED_S, Clients, Server, not_learned
from controller.scenario.steps.stacks import Tcp, established
from controller.scenario.world import UnmetError, World, poll

_UPLOAD = 65536
_TIMEOUT_S = 10.0
_SERVER_MTU = 1500
_STAMPS = 12
"""Bytes of each segment that timestamps take (RFC 7323 appendix A)."""

KernelMss = Annotated[int, Field(ge=88, le=65495)]


class Kernel(Server):
    """What a host's kernel is told to use; `window_scale` null = none. It always names an MSS."""

    mss: KernelMss


class Kernels(Clients):
    """Each combination of these."""

    mss: Annotated[tuple[KernelMss, ...], Field(min_length=1)]


class OptionsOfKernels(Step):
    """The kernels of a client and a server in every combination, each with a connection of its own.

    Each connection carries 64 KiB both ways at once, every byte compared; meanwhile both kernels say what
    they have agreed on (`ss -ti`): window scales, SACK, timestamps, and their largest segments. The server's
    kernel changes from service to service, so each service learns one. A server without SACK or timestamps
    costs its first client a reset.
    """

    keyword: ClassVar[str] = "options_of_kernels"
    host: str
    mtu: Annotated[int, Field(ge=1280, le=65535)] = Field(1500, description="Of the client's interface")
    clients: Kernels
    servers: Annotated[dict[str, Kernel], Field(min_length=1)] = Field(description="By the services' names")
    cover: Literal["pairs", "all"] = "pairs"

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        known = {service.name for service in topology.services}
        for name in self.servers:
            if name not in known:
                yield f"servers.{name}", f"no service {name} in topology {topology.name}"

    def run(self, world: World) -> str:
        start, count = time.monotonic(), 0
        for name, kernel in self.servers.items():
            service = next(service for service in world.topology.services if service.name == name)
            had = kernel.abilities
            self._learn(world, service, had)
            for offered in self.clients.combinations(self.cover):
                _use(world, self.host, offered)
                try:
                    self._connect(world, service, offered, had)
                except (OSError, UnmetError) as error:
                    raise UnmetError(f"{offered} to {name} ({had}): {error}") from error
                count += 1
        return f"{count} connections to {len(self.servers)} servers in {time.monotonic() - start:.1f} s"

    def _learn(self, world: World, service: TopologyService, had: Abilities) -> None:
        """Let a client with all options show the controller what the server lacks."""
        _use(world, service.host, had)
        _use(world, self.host, Abilities(window_scale=7, mss=1400, sack=True, timestamps=True))
        with (
            contextlib.suppress(ConnectionResetError, BrokenPipeError),
            tcp_socket(world.lab.netns(self.host), str(service.address)) as sock,
        ):
            sock.settimeout(_TIMEOUT_S)
            sock.connect((str(service.address), service.port))
            sock.sendall(b"?")
            sock.recv(1)
        poll(SETTLED_S * 10, lambda: not_learned(world, [(service, had)]))
        time.sleep(SETTLED_S)

    def _connect(self, world: World, service: TopologyService, offered: Abilities, had: Abilities) -> None:
        address = str(service.address)
        data = random.Random(service.port).randbytes(_UPLOAD)
        with tcp_socket(world.lab.netns(self.host), address) as sock:
            sock.settimeout(_TIMEOUT_S)
            sock.connect((address, service.port))
            sender = threading.Thread(target=_send, args=(sock, data), daemon=True)
            sender.start()
            received = bytearray()
            while len(received) < len(data) and (more := sock.recv(65536)):
                received += more
            sender.join()
            if received != data:
                raise UnmetError(f"{len(received)} bytes came back of {len(data)}, or not the same ones")
            self._compare(world, self.host, service, _client_says(service, offered, had, self.mtu))
            self._compare(world, service.host, service, _server_says(service, offered, had))

    def _compare(self, world: World, host: str, service: TopologyService, wanted: Said) -> None:
        def differs() -> str | None:
            found = established(world, host, service.name)
            if len(found) != 1:
                return f"{len(found)} connections at {host} instead of 1"
            said = Said(found[0].window_scale, found[0].sack, found[0].timestamps, found[0].mss)
            return None if said == wanted else f"{host} says {said} instead of {wanted}"

        poll(2.0, differs)


class Said(NamedTuple):
    """What a kernel says of a connection; `window_scale` is [the other end's, its own]."""

    window_scale: tuple[int, int] | None
    sack: bool
    timestamps: bool
    mss: int


def _client_says(service: TopologyService, offered: Abilities, had: Abilities, mtu: int) -> Said:
    """The server's scale is the one that clients are told: the switches repair it."""
    scaled = offered.window_scale is not None and had.window_scale is not None
    scales = (service.window_scale, offered.window_scale) if scaled else None
    return _said(scales, offered, had, min(had.mss or 0, _payload(mtu, service.address.version)))


def _server_says(service: TopologyService, offered: Abilities, had: Abilities) -> Said:
    """The client's MSS is rounded down to one that a cookie can hold."""
    scaled = offered.window_scale is not None and had.window_scale is not None
    scales = (offered.window_scale, had.window_scale) if scaled else None
    told = max(step for step in MSS_STEPS if step <= (offered.mss or 0))
    return _said(scales, offered, had, min(told, _payload(_SERVER_MTU, service.address.version)))


def _said(scales: tuple[int | None, int | None] | None, offered: Abilities, had: Abilities, mss: int) -> Said:
    stamps = offered.timestamps and had.timestamps
    known = None if scales is None else (scales[0] or 0, scales[1] or 0)
    return Said(known, offered.sack and had.sack, stamps, mss - _STAMPS * stamps)


def _payload(mtu: int, version: int) -> int:
    """Bytes that a segment without options carries."""
    return mtu - (40 if version == 4 else 60)


def _use(world: World, host: str, kernel: Abilities) -> None:
    Tcp(host=host, **asdict(kernel)).run(world)


def _send(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the receiver tells
        sock.sendall(data)


KERNEL_OPTION_STEPS: tuple[type[Step], ...] = (OptionsOfKernels,)
