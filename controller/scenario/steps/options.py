# SPDX-License-Identifier: Apache-2.0
"""A step with very many crafted connections: every combination of what clients and servers can do."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from controller.lab.model import Topology, TopologyService
from controller.scenario import wire
from controller.scenario.matrix import MSS_OF_NONE, Abilities, MismatchError, Trial, pairs
from controller.scenario.station import Station
from controller.scenario.steps.base import Step
from controller.scenario.world import UnmetError, World, poll

_FIRST = Abilities(window_scale=7, mss=1460, sack=True, timestamps=True)
_FIRST_PORT = 10_000
SETTLED_S = 0.3
"""From the moment at which the controller knows what it learned until every switch tells so."""

WindowScale = Annotated[int, Field(ge=0, le=14)] | None
Mss = Annotated[int, Field(ge=88, le=65535)] | None


class Server(BaseModel):
    """What a server has; null = it lacks the option."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    window_scale: WindowScale
    mss: Mss
    sack: bool
    timestamps: bool

    @property
    def abilities(self) -> Abilities:
        return Abilities(self.window_scale, self.mss, self.sack, self.timestamps)


class Clients(BaseModel):
    """What the clients offer: each combination of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    window_scale: Annotated[tuple[WindowScale, ...], Field(min_length=1)]
    mss: Annotated[tuple[Mss, ...], Field(min_length=1)]
    sack: Annotated[tuple[bool, ...], Field(min_length=1)]
    timestamps: Annotated[tuple[bool, ...], Field(min_length=1)]

    def combinations(self, cover: Literal["pairs", "all"]) -> list[Abilities]:
        """All of them, or so few that every pair of two options' values is among them."""
        choices = (self.window_scale, self.mss, self.sack, self.timestamps)
        some: Iterable[tuple[object, ...]] = itertools.product(*choices) if cover == "all" else pairs(choices)
        return [Abilities(*found) for found in some]  # type: ignore[arg-type]  # of the types of the choices


@dataclass(frozen=True)
class _Plan:
    """A connection to be tried."""

    service: TopologyService
    offered: Abilities
    told: Abilities
    had: Abilities
    number: int

    def __str__(self) -> str:
        return f"connection {self.number} to {self.service.name} ({self.offered}; server: {self.had})"


class OptionsMatrix(Step):
    """Crafted clients of every kind, each with a connection of its own to crafted servers of every kind.

    On each connection the SYN/ACK with the cookie, the SYN to the server, all windows, timestamps and SACK
    blocks are compared to what the two have agreed on. The first connection to each service has all options,
    so that it learns what its server lacks; where that cannot be repaired, both sides are reset.
    """

    keyword: ClassVar[str] = "options_matrix"
    host: str
    local: str = Field(description="The clients' address, one that no kernel owns")
    clients: Clients
    servers: Annotated[dict[str, Server], Field(min_length=1)] = Field(description="By the services' names")
    cover: Literal["pairs", "all"] = "pairs"
    parallel: Annotated[int, Field(ge=1, le=64)] = 16

    def run(self, world: World) -> str:
        services = {s.name: s for s in world.topology.services if s.name in self.servers}
        addresses = {str(service.address) for service in services.values()}
        server_host = {service.host for service in services.values()}.pop()
        client_end = Station(world.lab.netns(self.host), [self.local], min(addresses))
        server_end = Station(world.lab.netns(server_host), addresses, self.local)
        try:
            return self._run(world, services, client_end, server_end)
        finally:
            client_end.close()
            server_end.close()

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        known = {service.name: service for service in topology.services}
        for name in self.servers:
            if name not in known:
                yield f"servers.{name}", f"no service {name} in topology {topology.name}"
        if len({known[name].host for name in self.servers if name in known}) > 1:
            yield "servers", "their services are to be on one host"

    def _run(
        self, world: World, services: dict[str, TopologyService], client_end: Station, server_end: Station
    ) -> str:
        start = time.monotonic()
        pairs_of = [(services[name], server.abilities) for name, server in self.servers.items()]
        first = [
            _Plan(service, _FIRST, _configured(service), had, number)
            for number, (service, had) in enumerate(pairs_of)
        ]
        self._try(first, client_end, server_end)
        poll(SETTLED_S * 10, lambda: not_learned(world, pairs_of))
        time.sleep(SETTLED_S)
        offers = self.clients.combinations(self.cover)
        rest = [
            _Plan(service, offered, _learned(service, had), had, number)
            for number, (offered, (service, had)) in enumerate(
                itertools.product(offers, pairs_of), start=len(first)
            )
        ]
        self._try(rest, client_end, server_end)
        time.sleep(SETTLED_S)
        for line, segment in client_end.left_over() + server_end.left_over():
            flags = wire.format_flags(segment.flags)
            raise UnmetError(f"{flags} seq {segment.seq} arrived at {line.local} and was not to be")
        seconds = time.monotonic() - start
        return f"{len(first) + len(rest)} connections to {len(pairs_of)} servers in {seconds:.1f} s"

    def _try(self, plans: list[_Plan], client_end: Station, server_end: Station) -> None:
        def one(plan: _Plan) -> str | None:
            client = self.local, _FIRST_PORT + plan.number
            server = str(plan.service.address), plan.service.port
            trial = Trial(
                client_end.line(client, server),
                server_end.line(server, client),
                plan.offered,
                plan.told,
                plan.had,
                plan.service.address.version,
                plan.number,
            )
            try:
                trial.run()
            except (MismatchError, wire.MalformedError) as error:
                return f"{plan}: {error}"
            return None

        with ThreadPoolExecutor(self.parallel) as pool:
            failures = [failure for failure in pool.map(one, plans) if failure is not None]
        if failures:
            raise UnmetError(f"{len(failures)} of {len(plans)} went wrong, the first: {failures[0]}")


def _configured(service: TopologyService) -> Abilities:
    """What clients are told before the server was asked."""
    return Abilities(service.window_scale, service.mss, service.sack, service.timestamps)


def _learned(service: TopologyService, had: Abilities) -> Abilities:
    """What they are told from then on: what is configured, and for the rest what the server has. Its window
    scale is not told, only that it has one, for the switches repair it.
    """
    given = service.model_fields_set
    scale = service.window_scale if "window_scale" in given or had.window_scale is not None else None
    return Abilities(
        window_scale=scale,
        mss=service.mss if "mss" in given else had.mss or MSS_OF_NONE[service.address.version],
        sack=service.sack if "sack" in given else had.sack,
        timestamps=service.timestamps if "timestamps" in given else had.timestamps,
    )


def not_learned(world: World, pairs_of: list[tuple[TopologyService, Abilities]]) -> str | None:
    """What a service tells its clients instead of what it should have learned."""
    shown = {service["name"]: service for service in world.lab.api("/api/status")["services"]}
    for service, had in pairs_of:
        found = shown[service.name]
        told = Abilities(found["window_scale"], found["mss"], found["sack"], found["timestamps"])
        if told != _learned(service, had):
            return f"clients of {service.name} are told: {told}, instead of: {_learned(service, had)}"
    return None


OPTION_STEPS: tuple[type[Step], ...] = (OptionsMatrix,)
