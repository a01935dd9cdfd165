# SPDX-License-Identifier: Apache-2.0
"""Ethernet/IP/TCP frames as the exception path needs them: read and built with `struct`, nothing else.

Addresses are integers, sequence numbers mod 2^32. A segment is IPv6 when either address is beyond 32 bits:
one of the two is always a service's, which is never of ::/96. Checksums are RFC 1071's: as 65536 = 1 (mod
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
ETHERTYPE_IPV6: Final = b"\x86\xdd"
_VLAN_TAGS: Final = (b"\x81\x00", b"\x88\xa8")

_IP = struct.Struct("!BBHHHBBHII")
_TCP = struct.Struct("!HHIIBBHHH")
_PSEUDO = struct.Struct("!IIBBH")
_IP6 = struct.Struct("!IHBB16s16s")
_PSEUDO6 = struct.Struct("!16s16sIHBB")
_TS = struct.Struct("!II")
_TTL: Final = 64
_ACKNOWLEDGING_WINDOW: Final = 512  # small and not zero, as the client's own next segment corrects it
_DONT_FRAGMENT: Final = 0x4000
_TCP_PROTOCOL: Final = 6
_MASK32: Final = 0xFFFFFFFF

# Extension headers that may stand before TCP, and how many of them, of how many bytes: as the switches read.
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_EXTENSIONS: Final = 4
_EXTENSION_LENGTH: Final = 64


class MalformedError(ValueError):
    """A frame that is no whole TCP segment."""


@dataclass(slots=True)
class Segment:
    """A TCP segment within its frame. `l2` is everything before the IP header, tags included."""

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
        return _sum(_pseudo(self.source, self.destination, len(self.tcp)) + self.tcp) == 0


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


def _pseudo(source: int, destination: int, length: int) -> bytes:
    """What TCP's checksum covers of the IP header (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    if (source | destination) <= _MASK32:
        return _PSEUDO.pack(source, destination, 0, _TCP_PROTOCOL, length)
    return _PSEUDO6.pack(source.to_bytes(16), destination.to_bytes(16), length, 0, 0, _TCP_PROTOCOL)


def parse(frame: bytes) -> Segment:
    """Read a frame, with any number of VLAN tags.

    Raises:
        MalformedError: truncated, not IP, not TCP, a fragment, too many extension headers, or lengths that
            contradict each other.
    """
    start = 14
    while frame[start - 2 : start] in _VLAN_TAGS:
        start += 4
    ethertype = frame[start - 2 : start]
    if ethertype == ETHERTYPE_IPV4:
        source, destination, tcp_start, end = _parse_ipv4(frame, start)
    elif ethertype == ETHERTYPE_IPV6:
        source, destination, tcp_start, end = _parse_ipv6(frame, start)
    else:
        raise MalformedError("not an IP frame")
    if end > len(frame) or end < tcp_start + 20:
        raise MalformedError("the IP length does not fit the frame")
    sport, dport, seq, ack, offset, flags, window, _, _ = _TCP.unpack_from(frame, tcp_start)
    header = (offset >> 4) * 4
    if header < 20 or tcp_start + header > end:
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
        frame[tcp_start:end],
        end - tcp_start - header,
    )


def _parse_ipv4(frame: bytes, start: int) -> tuple[int, int, int, int]:
    """Source, destination, where TCP begins and ends (RFC 791)."""
    if len(frame) < start + 40:
        raise MalformedError("too short for IPv4 and TCP")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(frame, start)
    ip_length = (first & 15) * 4
    if first >> 4 != 4 or ip_length < 20 or protocol != _TCP_PROTOCOL or fragment & 0x3FFF:
        raise MalformedError("not a whole IPv4 TCP packet")
    return source, destination, start + ip_length, start + total


def _parse_ipv6(frame: bytes, start: int) -> tuple[int, int, int, int]:
    """Source, destination, where TCP begins and ends (RFC 8200)."""
    if len(frame) < start + 60:
        raise MalformedError("too short for IPv6 and TCP")
    first, length, following, _, source, destination = _IP6.unpack_from(frame, start)
    if first >> 28 != 6:
        raise MalformedError("not IPv6")
    at, end = start + 40, start + 40 + length
    for _ in range(_EXTENSIONS):
        if following == _TCP_PROTOCOL or at + 8 > min(end, len(frame)):
            break
        if following == _FRAGMENT:
            if int.from_bytes(frame[at + 2 : at + 4]) & 0xFFF9:  # an atomic one is whole (RFC 6946)
                raise MalformedError("a fragment")
            size = 8
        elif following in (_HOP_BY_HOP, _ROUTING, _DESTINATION):
            size = (frame[at + 1] + 1) * 8
        else:
            break
        if size > _EXTENSION_LENGTH:
            raise MalformedError("an extension header that is too long")
        following = frame[at]
        at += size
    if following != _TCP_PROTOCOL:
        raise MalformedError("not an IPv6 TCP packet")
    return int.from_bytes(source), int.from_bytes(destination), at, end


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
    """A segment without payload: checksums right, TTL 64, DF set. `options`: a multiple of 4 bytes.

    `l2` ends in the EtherType of the addresses' version of IP.
    """
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
    check = _checksum(_pseudo(source, destination, length) + tcp)
    ip = _ip_header(source, destination, length)
    return b"".join((l2, ip, tcp[:16], check.to_bytes(2), tcp[18:]))


def acknowledgment(synack: Segment) -> bytes:
    """The ACK that completes a server's SYN/ACK, as a switch makes it (p4src/v1model/reply.p4)."""
    stamps = parse_options(synack.options).timestamps
    return build(
        synack.l2,
        synack.destination,
        synack.source,
        synack.destination_port,
        synack.source_port,
        seq=synack.ack,
        ack=synack.seq + 1,
        flags=ACK,
        window=_ACKNOWLEDGING_WINDOW,
        options=b"" if stamps is None else timestamps_option(stamps[1], stamps[0]),
    )


def _ip_header(source: int, destination: int, length: int) -> bytes:
    """For `length` bytes of TCP."""
    if (source | destination) > _MASK32:
        return _IP6.pack(6 << 28, length, _TCP_PROTOCOL, _TTL, source.to_bytes(16), destination.to_bytes(16))
    ip = _IP.pack(0x45, 0, 20 + length, 0, _DONT_FRAGMENT, _TTL, _TCP_PROTOCOL, 0, source, destination)
    return ip[:10] + _checksum(ip).to_bytes(2) + ip[12:]
