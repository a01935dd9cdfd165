# SPDX-License-Identifier: Apache-2.0
"""Ethernet/IPv4/TCP frames as the exception path needs them: read and built with `struct`, nothing else.

Addresses are 32-bit integers, sequence numbers mod 2^32. Checksums are RFC 1071's: as 65536 = 1 (mod
65535), a whole buffer's ones'-complement sum is one big integer mod 65535.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

ETHERTYPE_IPV4: Final = b"\x08\x00"
_VLAN_TAGS: Final = (b"\x81\x00", b"\x88\xa8")

_IP = struct.Struct("!BBHHHBBHII")
_TCP = struct.Struct("!HHIIBBHHH")
_PSEUDO = struct.Struct("!IIBBH")
_TS = struct.Struct("!II")
_TTL: Final = 64
_DONT_FRAGMENT: Final = 0x4000


class MalformedError(ValueError):
    """A frame that is no whole IPv4 TCP segment."""


@dataclass(slots=True)
class Segment:
    """A TCP segment within its frame. `l2` is everything before the IPv4 header, tags included."""

    frame: bytes
    l2: bytes
    source: int
    destination: int
    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes
    tcp: bytes  # header and payload
    payload_length: int

    def checksum_ok(self) -> bool:
        """True when the TCP checksum fits (RFC 9293 section 3.1)."""
        pseudo = _PSEUDO.pack(self.source, self.destination, 0, 6, len(self.tcp))
        return _sum(pseudo + self.tcp) == 0


@dataclass(slots=True)
class Options:
    """Options of a SYN or SYN/ACK that matter here; None or False = absent. `timestamps`: (TSval, TSecr)."""

    mss: int | None = None
    window_scale: int | None = None
    sack: bool = False
    timestamps: tuple[int, int] | None = None


def _sum(data: bytes) -> int:
    if len(data) & 1:
        data += b"\0"
    return int.from_bytes(data, "big") % 0xFFFF


def _checksum(data: bytes) -> int:
    return (0xFFFF - _sum(data)) % 0xFFFF


def parse(frame: bytes) -> Segment:
    """Read a frame, with any number of VLAN tags.

    Raises:
        MalformedError: truncated, not IPv4, not TCP, a fragment, or lengths that contradict each other.
    """
    start = 14
    while frame[start - 2 : start] in _VLAN_TAGS:
        start += 4
    if frame[start - 2 : start] != ETHERTYPE_IPV4 or len(frame) < start + 40:
        raise MalformedError("not an IPv4 TCP frame")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(frame, start)
    ip_length = (first & 15) * 4
    tcp_start = start + ip_length
    if first >> 4 != 4 or ip_length < 20 or protocol != 6 or fragment & 0x3FFF:
        raise MalformedError("not a whole IPv4 TCP packet")
    if start + total > len(frame) or total < ip_length + 20:
        raise MalformedError("the IPv4 length does not fit the frame")
    sport, dport, seq, ack, offset, flags, window, _, _ = _TCP.unpack_from(frame, tcp_start)
    header = (offset >> 4) * 4
    if header < 20 or ip_length + header > total:
        raise MalformedError("bad TCP data offset")
    return Segment(
        frame,
        frame[:start],
        source,
        destination,
        sport,
        dport,
        seq,
        ack,
        flags,
        window,
        frame[tcp_start + 20 : tcp_start + header],
        frame[tcp_start : start + total],
        total - ip_length - header,
    )


def parse_options(data: bytes) -> Options:
    """Read TCP options (RFC 9293 section 3.2, RFC 7323, RFC 2018) up to the first malformed one."""
    options = Options()
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        length = data[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end:
            break
        if kind == 2 and length == 4:
            options.mss = data[at + 2] << 8 | data[at + 3]
        elif kind == 3 and length == 3:
            options.window_scale = min(data[at + 2], 14)  # RFC 7323 section 2.3
        elif kind == 4 and length == 2:
            options.sack = True
        elif kind == 8 and length == 10:
            options.timestamps = _TS.unpack_from(data, at + 2)
        at += length
    return options


def build_options(options: Options) -> bytes:
    """SYN options in Linux's order and padding: MSS; SACK-permitted and timestamps; NOP, window scale."""
    out = b"" if options.mss is None else b"\x02\x04" + options.mss.to_bytes(2, "big")
    if options.timestamps is not None:
        out += b"\x04\x02\x08\x0a" if options.sack else b"\x01\x01\x08\x0a"
        out += _TS.pack(*options.timestamps)
    elif options.sack:
        out += b"\x01\x01\x04\x02"
    if options.window_scale is not None:
        out += b"\x01\x03\x03" + bytes((options.window_scale,))
    return out


def timestamps_option(tsval: int, tsecr: int) -> bytes:
    """NOP NOP TS (RFC 7323 appendix A)."""
    return b"\x01\x01\x08\x0a" + _TS.pack(tsval, tsecr)


def build(
    l2: bytes,
    source: int,
    destination: int,
    source_port: int,
    destination_port: int,
    *,
    seq: int,
    ack: int = 0,
    flags: int,
    window: int = 0,
    options: bytes = b"",
) -> bytes:
    """A segment without payload: checksums right, TTL 64, DF set. `options`: a multiple of 4 bytes."""
    length = 20 + len(options)
    header = _TCP.pack(
        source_port,
        destination_port,
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        length << 2,
        flags,
        window,
        0,
        0,
    )
    tcp = header + options
    check = _checksum(_PSEUDO.pack(source, destination, 0, 6, length) + tcp)
    ip = _IP.pack(0x45, 0, 20 + length, 0, _DONT_FRAGMENT, _TTL, 6, 0, source, destination)
    return b"".join(
        (l2, ip[:10], _checksum(ip).to_bytes(2, "big"), ip[12:], tcp[:16], check.to_bytes(2, "big"), tcp[18:])
    )
