# SPDX-License-Identifier: Apache-2.0
"""Packets cut into fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

from __future__ import annotations

import struct

from controller.scenario import wire

_FRAGMENT = 44  # the fragment header's number
_IDENTIFICATION = 0x1234


def fragments(frame: bytes, size: int) -> list[bytes]:
    """An Ethernet frame with an IP packet, cut into frames with at most `size` bytes (a multiple of 8) of the
    packet's payload each. IPv6 extension headers are cut like any payload.
    """
    return _cut_v6(frame, size) if frame[12:14] == b"\x86\xdd" else _cut_v4(frame, size)


def _pieces(payload: bytes, size: int) -> list[tuple[int, bytes, bool]]:
    """Offset, bytes, and whether more follow."""
    places = range(0, len(payload), size)
    return [(at, payload[at : at + size], at + size < len(payload)) for at in places]


def _cut_v4(frame: bytes, size: int) -> list[bytes]:
    header, payload = frame[14:34], frame[34 : 14 + int.from_bytes(frame[16:18])]
    cut = []
    for at, piece, more in _pieces(payload, size):
        ip = header[:2] + struct.pack("!HHH", 20 + len(piece), _IDENTIFICATION, more << 13 | at // 8)
        ip += header[8:10] + b"\0\0" + header[12:]
        cut.append(frame[:14] + ip[:10] + struct.pack("!H", wire.checksum(ip)) + ip[12:] + piece)
    return cut


def _cut_v6(frame: bytes, size: int) -> list[bytes]:
    header, payload = frame[14:54], frame[54 : 54 + int.from_bytes(frame[18:20])]
    cut = []
    for at, piece, more in _pieces(payload, size):
        fragment = struct.pack("!BBHI", header[6], 0, at | more, _IDENTIFICATION) + piece
        ip = header[:4] + struct.pack("!HB", len(fragment), _FRAGMENT) + header[7:]
        cut.append(frame[:14] + ip + fragment)
    return cut
