# SPDX-License-Identifier: Apache-2.0
"""IP/TCP frames as bytes: built for crafted traffic, parsed and verified when captured.

It shares no code with the controller's own packet handling, so that a mistake there cannot excuse itself
here. Sequence numbers are mod 2^32, windows the raw 16 bits of the header, timestamps mod 2^32. Formats:
RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 section 3.1 (TCP); the options: `tcp_options`.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field

from controller.scenario import extensions, tcp_options
from controller.scenario.tcp_options import MalformedError as MalformedError
from controller.scenario.tcp_options import Options as Options

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
PROTOCOL_TCP = 6

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
_FLAG_LETTERS = "FSRPAUEC"


@dataclass(frozen=True)
class Segment:
    """A TCP segment with the IP fields around it. Addresses as text in their canonical form; `extensions` are
    the IPv6 headers before TCP by their names (`extensions.NAMES`).
    """

    source: str
    destination: str
    source_port: int
    destination_port: int
    flags: int
    seq: int
    ack: int = 0
    window: int = 64240
    options: Options = field(default_factory=Options)
    payload: bytes = b""
    ttl: int = 64
    extensions: tuple[str, ...] = ()

    @property
    def flow(self) -> tuple[str, int, str, int]:
        """(source, source port, destination, destination port)."""
        return self.source, self.source_port, self.destination, self.destination_port


def parse_flags(letters: str) -> int:
    """`"SA"` → SYN|ACK. Letters FSRPAUEC in any order; ValueError for others."""
    flags = 0
    for letter in letters:
        if letter not in _FLAG_LETTERS:
            raise ValueError(f"unknown TCP flag {letter!r}; the letters are {_FLAG_LETTERS}")
        flags |= 1 << _FLAG_LETTERS.index(letter)
    return flags


def format_flags(flags: int) -> str:
    """SYN|ACK → `"SA"`; no flag → `"-"`."""
    return "".join(letter for bit, letter in enumerate(_FLAG_LETTERS) if flags >> bit & 1) or "-"


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of `data`; 0 when `data` includes a right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def build(segment: Segment, *, source_mac: bytes, destination_mac: bytes, pad_to: int = 0) -> bytes:
    """The Ethernet frame of `segment` with right checksums, padded with zeros to `pad_to` bytes."""
    options = tcp_options.build(segment.options)
    header_words = 5 + len(options) // 4
    addresses = _packed(segment.source) + _packed(segment.destination)
    tcp = struct.pack(
        "!HHIIBBHHH",
        segment.source_port,
        segment.destination_port,
        segment.seq & 0xFFFFFFFF,
        segment.ack & 0xFFFFFFFF,
        header_words << 4,
        segment.flags,
        segment.window,
        0,
        0,
    )
    tcp += options + segment.payload
    tcp = tcp[:16] + struct.pack("!H", checksum(_pseudo(addresses, len(tcp)) + tcp)) + tcp[18:]
    if len(addresses) == 32:
        ethertype = ETHERTYPE_IPV6
        following, tcp = extensions.put_before(segment.extensions, PROTOCOL_TCP, tcp)
        ip = struct.pack("!IHBB", 6 << 28, len(tcp), following, segment.ttl) + addresses
    else:
        ethertype = ETHERTYPE_IPV4
        ip = (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, segment.ttl, PROTOCOL_TCP, 0)
            + addresses
        )
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    frame = destination_mac + source_mac + struct.pack("!H", ethertype) + ip + tcp
    return frame.ljust(pad_to, b"\0")


def parse(frame: bytes, *, verify: bool = True) -> Segment | None:
    """The segment in an Ethernet frame, or None when it is not an unfragmented TCP packet.

    With `verify`, wrong checksums raise MalformedError; bad lengths always do.
    """
    found = _ipv6(frame) if frame[12:14] == b"\x86\xdd" else _ipv4(frame, verify)
    if found is None:
        return None
    addresses, ttl, names, tcp = found
    header_length = (tcp[12] >> 4) * 4
    if header_length < 20 or header_length > len(tcp):
        raise MalformedError(f"TCP data offset {header_length} does not fit into {len(tcp)} bytes")
    if verify and checksum(_pseudo(addresses, len(tcp)) + tcp):
        raise MalformedError("wrong TCP checksum")
    source_port, destination_port, seq, ack, _, flags, window = struct.unpack_from("!HHIIBBH", tcp)
    half = len(addresses) // 2
    return Segment(
        source=str(ipaddress.ip_address(addresses[:half])),
        destination=str(ipaddress.ip_address(addresses[half:])),
        source_port=source_port,
        destination_port=destination_port,
        flags=flags,
        seq=seq,
        ack=ack,
        window=window,
        options=tcp_options.parse(tcp[20:header_length]),
        payload=bytes(tcp[header_length:]),
        ttl=ttl,
        extensions=names,
    )


_Found = tuple[bytes, int, tuple[str, ...], bytes]
"""Both addresses, the TTL or hop limit, the names of the extension headers, and the TCP segment."""


def _ipv4(frame: bytes, verify: bool) -> _Found | None:
    """None for everything but TCP."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00" or frame[23] != PROTOCOL_TCP:
        return None
    if struct.unpack_from("!H", frame, 20)[0] & 0x3FFF:
        return None
    ip_length = (frame[14] & 0xF) * 4
    total_length = struct.unpack_from("!H", frame, 16)[0]
    packet = frame[14 : 14 + total_length]
    if ip_length < 20 or len(packet) < total_length or total_length < ip_length + 20:
        raise MalformedError(
            f"IPv4 lengths do not fit: header {ip_length}, total {total_length}, frame {len(frame)}"
        )
    if verify and checksum(packet[:ip_length]):
        raise MalformedError("wrong IPv4 header checksum")
    return packet[12:20], packet[8], (), packet[ip_length:]


def _ipv6(frame: bytes) -> _Found | None:
    """None for everything but TCP."""
    if len(frame) < 54:
        return None
    length = struct.unpack_from("!H", frame, 18)[0]
    names, protocol, tcp = extensions.taken_off(frame[20], frame[54 : 54 + length])
    if protocol != PROTOCOL_TCP:
        return None
    if len(frame) < 54 + length or len(tcp) < 20:
        raise MalformedError(f"IPv6 length does not fit: payload {length}, frame {len(frame)}")
    return frame[22:54], frame[21], names, tcp


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _pseudo(addresses: bytes, length: int) -> bytes:
    """The pseudo-header of either version of IP; the sum is the same with zeros in other places."""
    return addresses + struct.pack("!IHBB", length, 0, 0, PROTOCOL_TCP)
