# SPDX-License-Identifier: Apache-2.0
"""Segments as the simulation moves them, and their frames where the controller sees them.

One of a segment's two numbers is never translated, and so says for ever which connection it belongs to:
towards the server the sequence number, towards the client the acknowledgment.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from controller.logic.model import MASK32, Key
from controller.packets import ACK, FIN, SYN, build, parse

L2 = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
SPACE = 1 << 16
"""How far the numbers of one connection reach from its ISN; no two ISNs of a run are so close."""


def beyond(number: int, isn: int) -> int | None:
    """How far a number is into the space that begins at `isn`; None when it is not in there."""
    distance = (number - isn) & MASK32
    return distance if distance < SPACE else None


class Packet(NamedTuple):
    key: Key
    to_server: bool
    flags: int
    seq: int
    ack: int = 0
    length: int = 0
    made: Made | None = None
    """Of a client's packet: the cookie that it brings back."""

    @property
    def end(self) -> int:
        """The sequence number behind it."""
        return (self.seq + self.length + bool(self.flags & FIN) + bool(self.flags & SYN)) & MASK32

    @property
    def is_ack(self) -> bool:
        """Whether it is an ACK and nothing else."""
        return self.flags == ACK and not self.length

    def __str__(self) -> str:
        flags = "".join(
            letter for letter, bit in zip("FSRPA", (1, 2, 4, 8, 16), strict=True) if self.flags & bit
        )
        way = "C>S" if self.to_server else "S>C"
        return f"{way} {flags} seq {self.seq:08x} ack {self.ack:08x} len {self.length} port {self.key[2]}"


@dataclass(frozen=True, slots=True)
class Made:
    """Where and when a cookie was made; `served`: by a switch that was in service."""

    switch: str
    at: float
    served: bool
    epoch: int


@lru_cache(maxsize=4096)
def _frame(key: Key, to_server: bool, flags: int, seq: int, ack: int, length: int) -> bytes:
    client, server, client_port, server_port = key
    ends = (
        (client, server, client_port, server_port)
        if to_server
        else (server, client, server_port, client_port)
    )
    frame = build(L2, *ends, seq=seq, ack=ack, flags=flags, window=1000)
    if not length:
        return frame
    # A payload of zeros: the lengths change, and with them the two checksums.
    total = len(frame) - 14 + length
    ip = bytearray(frame[14:34])
    ip[2:4], ip[10:12] = total.to_bytes(2), b"\0\0"
    ip[10:12] = _checksum(bytes(ip))
    tcp = bytearray(frame[34:]) + bytes(length)
    tcp[16:18] = b"\0\0"
    pseudo = struct.pack("!IIBBH", *ends[:2], 0, 6, len(tcp))
    tcp[16:18] = _checksum(pseudo + bytes(tcp))
    return L2 + bytes(ip) + bytes(tcp)


def _checksum(data: bytes) -> bytes:
    total = int.from_bytes(data + bytes(len(data) % 2)) % 0xFFFF
    return ((0xFFFF - total) % 0xFFFF).to_bytes(2)


def frame_of(packet: Packet) -> bytes:
    return _frame(packet.key, packet.to_server, packet.flags, packet.seq, packet.ack, packet.length)


@lru_cache(maxsize=4096)
def packet_of(frame: bytes, server: int) -> Packet:
    """The packet in a frame that the controller sends; `server` is the services' address."""
    s = parse(frame)
    to_server = s.destination == server
    if to_server:
        key = (s.source, s.destination, s.source_port, s.destination_port)
    else:
        key = (s.destination, s.source, s.destination_port, s.source_port)
    return Packet(key, to_server, s.flags, s.seq, s.ack if s.flags & ACK else 0, s.payload_length)
