# SPDX-License-Identifier: Apache-2.0
"""What a test needs of a switch that runs the program, whichever switch it is."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple, Protocol

CPU_PORT = 510

Value = int | str
Match = Mapping[str, Value]
"""Match fields by name: a number, or an IP address, with /length for LPM."""


class Output(NamedTuple):
    """A frame that left by a port."""

    port: int
    frame: bytes


class PacketIn(NamedTuple):
    """A frame for the controller, its header taken apart."""

    ingress_port: int
    reason: int
    service_id: int
    isn: int
    mss: int
    window_scale: int
    sack: int
    number: int
    frame: bytes

    @classmethod
    def parse(cls, data: bytes) -> PacketIn:
        """From the bytes that the deparser emitted."""
        port, reason, service, isn, mss, scale, sack, number = struct.unpack_from(">HBHIHBBH", data)
        return cls(port, reason, service, isn, mss, scale, sack, number, data[15:])


class SessionEvent(NamedTuple):
    """A digest."""

    client: str
    server: str
    client_port: int
    server_port: int
    event: int
    version: int

    @classmethod
    def parse(cls, data: bytes) -> SessionEvent:
        """From its fields in order, big-endian."""
        size = (len(data) - 9) // 2
        client, server = data[:size], data[size : 2 * size]
        return cls(
            str(ip_address(client)), str(ip_address(server)), *struct.unpack(">HHBI", data[2 * size :])
        )


@dataclass(frozen=True)
class Result:
    """Everything that came of one frame."""

    outputs: tuple[Output, ...] = ()
    packet_ins: tuple[PacketIn, ...] = ()
    events: tuple[SessionEvent, ...] = ()

    @property
    def nothing(self) -> bool:
        """Nothing left the switch, on any side."""
        return not (self.outputs or self.packet_ins or self.events)


class Target(Protocol):
    """A switch under test. Names are P4Info aliases."""

    shortest_frame: int
    """Bytes of the shortest frame that can be made to arrive."""

    def insert(self, table: str, match: Match, action: str, **params: Value) -> None:
        """Insert an entry."""

    def modify(self, table: str, match: Match, action: str, **params: Value) -> None:
        """Change an entry."""

    def delete(self, table: str, match: Match) -> None:
        """Remove an entry."""

    def set_default(self, table: str, action: str, **params: Value) -> None:
        """Set the default entry."""

    def set_meter(self, meter: str, index: int, rate: int | None, burst: int = 1) -> None:
        """Packets per second, the same for both rates; None: unconfigured."""

    def counter(self, name: str, index: int) -> int:
        """Packets that an indirect counter's cell has counted."""

    def direct_counter(self, table: str, match: Match) -> int:
        """Packets that an entry has counted."""

    def send(self, port: int, frame: bytes) -> Result:
        """Let a frame arrive on a port; wait for what comes of it."""

    def send_all(self, frames: Iterable[tuple[int, bytes]]) -> Result:
        """Let frames arrive one after another; give what comes of all of them, per port in their order."""

    def packet_out(self, mode: int, port: int, frame: bytes, release: int = 0) -> Result:
        """Send a frame from the controller; wait for what comes of it."""

    def reset(self) -> None:
        """Empty all tables, meters and counters."""

    def close(self) -> None:
        """End it."""


def number(value: Value) -> int:
    """A match field's or parameter's value as a number."""
    return value if isinstance(value, int) else int(ip_address(value))


def prefix(value: Value) -> tuple[int, int]:
    """Value and length of an LPM field."""
    assert isinstance(value, str)
    address, _, length = value.partition("/")
    made = ip_address(address)
    return int(made), int(length or made.max_prefixlen)
