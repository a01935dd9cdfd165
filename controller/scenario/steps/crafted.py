# SPDX-License-Identifier: Apache-2.0
"""Steps with crafted packets: what no kernel sends, and numbers that no kernel shows."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from controller.lab.model import Topology
from controller.scenario import tcp_options, wire
from controller.scenario.rawport import Endpoint
from controller.scenario.steps.base import Step
from controller.scenario.values import Expression, evaluate, names_in
from controller.scenario.world import UnmetError, World


def _word(word: str) -> str:
    tcp_options.check_word(word)
    return word


def _flags(letters: str) -> str:
    wire.parse_flags(letters)
    return letters


Flags = Annotated[str, AfterValidator(_flags), Field(description="Letters of FSRPAUEC, e.g. SA")]
Extension = Literal["hop_by_hop", "routing", "destination"]
Socket = Annotated[str, Field(pattern=r"^(\d+\.\d+\.\d+\.\d+:\d+|\[[0-9a-f:]+\]:\d+|[a-z][a-z0-9-]*)$")]
"""ADDRESS:PORT, [IPV6 ADDRESS]:PORT, or the name of a service."""


class CraftedOptions(BaseModel):
    """TCP options; one that is not named is not sent, and not looked at in what arrives (see `absent`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    mss: Annotated[int, Field(ge=0, le=65535)] | None = None
    window_scale: Annotated[int, Field(ge=0, le=255)] | None = None
    sack_permitted: bool = False
    timestamps: tuple[Expression, Expression] | None = Field(default=None, description="[TSval, TSecr]")
    sack: tuple[tuple[Expression, Expression], ...] = Field(
        default=(), description="[left edge, right edge] of each block"
    )
    layout: tuple[Annotated[str, AfterValidator(_word)], ...] = Field(
        default=(), description="How they lie in the header; absent = as Linux lays them out"
    )

    @model_validator(mode="after")
    def _is_possible(self) -> CraftedOptions:
        """The layout names all that is given, and it fits into a header."""
        options = self.to_wire(dict.fromkeys(self._names(), 0))
        if self.layout and (left_out := set(options.given) - set(self.layout)):
            raise ValueError(f"the layout leaves out {', '.join(sorted(left_out))}")
        tcp_options.build(options)
        return self

    def _names(self) -> Iterator[str]:
        """The names in its numbers."""
        for pair in (*self.sack, *([self.timestamps] if self.timestamps else [])):
            for expression in pair:
                yield from names_in(expression)

    def to_wire(self, names: dict[str, int]) -> wire.Options:
        """With the numbers filled in."""
        stamps = self.timestamps and (
            evaluate(self.timestamps[0], names),
            evaluate(self.timestamps[1], names),
        )
        sack = tuple((evaluate(left, names), evaluate(right, names)) for left, right in self.sack)
        return wire.Options(self.mss, self.window_scale, self.sack_permitted, stamps, sack, self.layout)


class Let(Step):
    """Sets names for later expressions: `{x: random, r: 0xfffffff0, y: x+5}`. Random numbers differ from
    run to run.
    """

    keyword: ClassVar[str] = "let"
    names: dict[str, Expression]

    @classmethod
    def from_yaml(cls, value: Any) -> Any:
        return {"names": value}

    def run(self, world: World) -> str:
        for name, expression in self.names.items():
            world.names[name] = (
                random.getrandbits(32) if expression == "random" else value_of(expression, world)
            )
        return ", ".join(f"{name} = {world.names[name]}" for name in self.names)


class MakeEndpoint(Step):
    """An end of a crafted connection on a host. Let `local` be an address that no kernel owns, for it would
    answer too: one of 198.19.0.0/16 at the client, a service's of its own at the server.
    """

    keyword: ClassVar[str] = "endpoint"
    name: str
    host: str
    local: Socket
    remote: Socket
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = Field(
        None, description="Identifier of the 802.1Q tag that all its frames have"
    )

    def run(self, world: World) -> str:
        if self.name in world.endpoints:
            world.endpoints.pop(self.name).close()
        world.endpoints[self.name] = Endpoint(
            world.lab.netns(self.host),
            _socket(self.local, world),
            _socket(self.remote, world),
            vlan=self.vlan,
        )
        return ""

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        services = [service.name for service in topology.services]
        for field, value in (("local", self.local), ("remote", self.remote)):
            if ":" not in value and value not in services:
                yield field, f"no service {value} in topology {topology.name}; it has {', '.join(services)}"


class Send(Step):
    """Sends one segment from an endpoint, `times` times, one `every` so many seconds; see `connect` for
    `background`.
    """

    keyword: ClassVar[str] = "send"
    endpoint: str
    flags: Flags = "A"
    seq: Expression
    ack: Expression = "0"
    window: Annotated[int, Field(ge=0, le=65535)] = 64240
    options: CraftedOptions = CraftedOptions()
    payload: str = ""
    pad_to: Annotated[int, Field(ge=0, le=1514)] = Field(
        0, description="Pad the frame with zeros to so many bytes"
    )
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    every: Annotated[float, Field(ge=0, le=10)] = Field(0.0, description="Seconds between the copies")
    background: str | None = None
    extensions: tuple[Extension, ...] = Field((), description="IPv6 headers before TCP")
    fragment: Annotated[int, Field(ge=0, le=1480, multiple_of=8)] = Field(
        0, description="Cut into fragments with so many bytes of the packet's payload each; 0 = not at all"
    )

    def run(self, world: World) -> str:
        endpoint = endpoint_of(self.endpoint, world)
        segment = wire.Segment(
            source=endpoint.local[0],
            destination=endpoint.remote[0],
            source_port=endpoint.local[1],
            destination_port=endpoint.remote[1],
            flags=wire.parse_flags(self.flags),
            seq=value_of(self.seq, world),
            ack=value_of(self.ack, world),
            window=self.window,
            options=_options(self.options, world),
            payload=self.payload.encode(),
            extensions=self.extensions,
        )
        return world.carry_out(lambda _: self._send(endpoint, segment), self.background)

    def _send(self, endpoint: Endpoint, segment: wire.Segment) -> str:
        for copy in range(self.times):
            time.sleep(self.every if copy else 0)
            endpoint.send(segment, pad_to=self.pad_to, fragment=self.fragment)
        return describe(segment)


class Receive(Step):
    """The next segment that arrives at an endpoint must be this; what is not named is not looked at.

    Checksums are always verified. `remember` notes fields of it under new names: `{k: seq}`; fields are
    seq, ack, window, mss, window_scale, tsval, tsecr. `absent` names options that must not be there.
    """

    keyword: ClassVar[str] = "receive"
    endpoint: str
    within: Annotated[float, Field(gt=0, le=60)] = 2.0
    flags: Flags | None = None
    seq: Expression | None = None
    ack: Expression | None = None
    window: int | None = None
    options: CraftedOptions = CraftedOptions()
    absent: tuple[str, ...] = ()
    payload: str | None = None
    extensions: tuple[Extension, ...] | None = None
    remember: dict[str, str] = Field(default={})

    def run(self, world: World) -> str:
        segment = endpoint_of(self.endpoint, world).receive(self.within)
        if segment is None:
            raise UnmetError(f"nothing arrived at {self.endpoint} within {self.within:g} s")
        fields = fields_of(segment)
        for what, wanted in self._wanted(world).items():
            if fields[what] != wanted:
                raise UnmetError(f"{what} is {fields[what]!r} instead of {wanted!r} in {describe(segment)}")
        for name, what in self.remember.items():
            value = fields.get(what)
            if not isinstance(value, int):
                raise UnmetError(f"no {what} to remember as {name} in {describe(segment)}")
            world.names[name] = value
        return describe(segment)

    def _wanted(self, world: World) -> dict[str, Any]:
        options = _options(self.options, world)
        wanted: dict[str, Any] = {
            "flags": self.flags and wire.format_flags(wire.parse_flags(self.flags)),
            "seq": None if self.seq is None else value_of(self.seq, world),
            "ack": None if self.ack is None else value_of(self.ack, world),
            "window": self.window,
            "payload": None if self.payload is None else self.payload.encode(),
            "extensions": self.extensions,
            "mss": options.mss,
            "window_scale": options.window_scale,
            "sack_permitted": options.sack_permitted or None,
            "timestamps": options.timestamps,
            "sack": options.sack or None,
            "layout": options.layout or None,
        }
        given = {what: value for what, value in wanted.items() if value is not None}
        missing = {"sack": (), "sack_permitted": False}
        return given | {what: missing.get(what) for what in self.absent}


class Nothing(Step):
    """For `within` seconds nothing may arrive at an endpoint."""

    keyword: ClassVar[str] = "nothing"
    endpoint: str
    within: Annotated[float, Field(gt=0, le=60)] = 0.5

    def run(self, world: World) -> str:
        segment = endpoint_of(self.endpoint, world).receive(self.within)
        if segment is not None:
            raise UnmetError(f"{describe(segment)} arrived at {self.endpoint}")
        return f"for {self.within:g} s"


def fields_of(segment: wire.Segment) -> dict[str, Any]:
    """A segment's fields by the names that scenarios use."""
    stamps = segment.options.timestamps
    return {
        "flags": wire.format_flags(segment.flags),
        "seq": segment.seq,
        "ack": segment.ack,
        "window": segment.window,
        "payload": segment.payload,
        "extensions": segment.extensions,
        "mss": segment.options.mss,
        "window_scale": segment.options.window_scale,
        "sack_permitted": segment.options.sack_permitted,
        "timestamps": stamps,
        "tsval": stamps and stamps[0],
        "tsecr": stamps and stamps[1],
        "sack": segment.options.sack,
        "layout": segment.options.layout,
    }


def describe(segment: wire.Segment) -> str:
    """One line: flags, numbers, options."""
    fields = fields_of(segment)
    parts = [
        f"{wire.format_flags(segment.flags)} seq {segment.seq} ack {segment.ack} window {segment.window}"
    ]
    for name in ("mss", "window_scale", "timestamps"):
        if fields[name] is not None:
            parts.append(f"{name} {fields[name]}")
    parts += ["sack_permitted"] if segment.options.sack_permitted else []
    parts += [f"sack {segment.options.sack}"] if segment.options.sack else []
    parts += [f"{len(segment.payload)} bytes"] if segment.payload else []
    return ", ".join(parts)


def value_of(expression: str, world: World) -> int:
    """The number; UnmetError when a name in it is not set."""
    try:
        return evaluate(expression, world.names)
    except KeyError as error:
        raise UnmetError(
            f"the name {error.args[0]} in {expression!r} is not set by any step before"
        ) from error


def _options(options: CraftedOptions, world: World) -> wire.Options:
    try:
        return options.to_wire(world.names)
    except KeyError as error:
        raise UnmetError(f"the name {error.args[0]} in an option is not set by any step before") from error


def endpoint_of(name: str, world: World) -> Endpoint:
    """The endpoint of this name; UnmetError when there is none."""
    if name not in world.endpoints:
        raise UnmetError(f"no endpoint {name}; make it with an endpoint step")
    return world.endpoints[name]


def _socket(value: str, world: World) -> tuple[str, int]:
    if ":" not in value:
        return world.service(value)
    address, _, port = value.rpartition(":")
    return address.strip("[]"), int(port)


CRAFTED_STEPS: tuple[type[Step], ...] = (Let, MakeEndpoint, Send, Receive, Nothing)
