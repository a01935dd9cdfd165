# SPDX-License-Identifier: Apache-2.0
"""Reading the switches' port captures: TCP headers only, quickly, also while the switch still writes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MAGICS = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}


class PcapError(ValueError):
    """The file is not an Ethernet pcap."""


class TcpPacket(NamedTuple):
    """Headers of a captured TCP packet; `time` in Unix seconds, addresses in dotted form, `length` of the
    payload.
    """

    time: float
    source: str
    source_port: int
    destination: str
    destination_port: int
    seq: int
    ack: int
    flags: int
    length: int


def read_frames(path: Path) -> Iterator[tuple[float, bytes]]:
    """(Unix time, frame) of each packet. What the writer has not finished yet at the end is left out."""
    data = path.read_bytes()
    if len(data) < 24:
        raise PcapError(f"{path}: not a pcap: only {len(data)} bytes")
    order = "<" if struct.unpack_from("<I", data)[0] in _MAGICS else ">"
    magic, _, _, _, _, _, link = struct.unpack_from(f"{order}IHHiIII", data)
    if magic not in _MAGICS or link & 0xFFFF != 1:
        raise PcapError(f"{path}: not a pcap of Ethernet frames")
    unit, record, at = _MAGICS[magic], struct.Struct(f"{order}IIII"), 24
    while at + 16 <= len(data):
        seconds, fraction, length, _ = record.unpack_from(data, at)
        at += 16
        if at + length > len(data):
            return
        yield seconds + fraction * unit, data[at : at + length]
        at += length


def read_tcp(path: Path) -> list[TcpPacket]:
    """The unfragmented IPv4 TCP packets of a capture, in its order."""
    return [packet for moment, frame in read_frames(path) if (packet := parse_tcp(moment, frame)) is not None]


_TCP = struct.Struct("!HHIIBB")


def parse_tcp(moment: float, frame: bytes) -> TcpPacket | None:
    """The TCP headers of a frame; None when it is something else or cut short."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    tcp_at = 14 + (frame[14] & 0xF) * 4
    total, fragment = struct.unpack_from("!H", frame, 16)[0], struct.unpack_from("!H", frame, 20)[0]
    if fragment & 0x3FFF or len(frame) < tcp_at + 20:
        return None
    source_port, destination_port, seq, ack, offset, flags = _TCP.unpack_from(frame, tcp_at)
    return TcpPacket(
        moment,
        socket.inet_ntoa(frame[26:30]),
        source_port,
        socket.inet_ntoa(frame[30:34]),
        destination_port,
        seq,
        ack,
        flags,
        14 + total - tcp_at - (offset >> 4) * 4,
    )
