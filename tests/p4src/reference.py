# SPDX-License-Identifier: Apache-2.0
"""What the data plane has to compute, written down a second time and independently of the P4.

Bytes in, bytes out, no state. Numbers are taken mod 2^32 where TCP does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

MASK32 = 0xFFFFFFFF
MSS_TABLE = (88, 536, 1220, 1300, 1400, 1440, 1460, 8960)
NO_SCALE = 15

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))


# --- HalfSipHash-2-4 ------------------------------------------------------------------------------------


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & MASK32


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & MASK32
        v[1] = _rotate(v[1], 5) ^ v[0]
        v[0] = _rotate(v[0], 16)
        v[2] = (v[2] + v[3]) & MASK32
        v[3] = _rotate(v[3], 8) ^ v[2]
        v[0] = (v[0] + v[3]) & MASK32
        v[3] = _rotate(v[3], 7) ^ v[0]
        v[2] = (v[2] + v[1]) & MASK32
        v[1] = _rotate(v[1], 13) ^ v[2]
        v[2] = _rotate(v[2], 16)


def halfsiphash(key: bytes, message: bytes) -> bytes:
    """HalfSipHash-2-4 with an 8-byte key: 4 bytes, in the order of the reference implementation."""
    k0, k1 = struct.unpack("<II", key)
    v = [k0, k1, 0x6C796765 ^ k0, 0x74656462 ^ k1]
    whole = len(message) & ~3
    last = len(message) << 24 & MASK32 | int.from_bytes(message[whole:], "little")
    for word in (*struct.unpack(f"<{whole // 4}I", message[:whole]), last):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return struct.pack("<I", v[1] ^ v[3])


# --- the cookie -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Epoch:
    """An epoch's number and its key."""

    number: int
    k0: int
    k1: int

    @property
    def parity(self) -> int:
        """What a cookie says of its epoch."""
        return self.number & 1


@dataclass(frozen=True)
class Flow:
    """The four-tuple, seen from the client."""

    client: str
    client_port: int
    server: str
    server_port: int


def mss_index(offered: int | None, none: int = 536) -> int:
    """Index of the largest table entry that is no larger than `offered` (nothing: `none`), else 0."""
    mss = offered or none
    return max((i for i, entry in enumerate(MSS_TABLE) if entry <= mss), default=0)


def _words(address: str) -> tuple[int, ...]:
    packed = ip_address(address).packed
    return struct.unpack(f">{len(packed) // 4}I", packed)


def cookie(epoch: Epoch, flow: Flow, isn: int, index: int, window_scale: int, sack: int) -> int:
    """The 32-bit cookie; `window_scale` 15 means none."""
    words = (
        *_words(flow.client),
        *_words(flow.server),
        flow.client_port << 16 | flow.server_port,
        isn & MASK32,
        epoch.number & MASK32,
        index << 5 | window_scale << 1 | sack,
    )
    mac = halfsiphash(struct.pack("<II", epoch.k0, epoch.k1), struct.pack(f"<{len(words)}I", *words))
    low = int.from_bytes(mac, "little") & 0x7FFFFF
    return epoch.parity << 31 | index << 28 | window_scale << 24 | sack << 23 | low


# --- segments -------------------------------------------------------------------------------------------


def ones_complement(data: bytes) -> int:
    """The ones'-complement sum of 16-bit words (RFC 1071), folded; an odd byte is padded with zero."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Extension(NamedTuple):
    """An IPv6 extension header: its number, and its bytes behind the next header's number."""

    kind: int
    rest: bytes


def extension_chain(extensions: tuple[Extension, ...], protocol: int) -> tuple[int, bytes]:
    """The first header's number, and the extension headers' bytes."""
    made = b""
    for kind, rest in reversed(extensions):
        assert len(rest) % 8 == 7
        made = bytes((protocol,)) + rest + made
        protocol = kind
    return protocol, made


def pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    """What checksums cover besides the segment (RFC 9293, section 3.1; RFC 8200, section 8.1)."""
    ends = ip_address(source).packed + ip_address(destination).packed
    return ends + struct.pack(">II" if len(ends) == 32 else ">HH", length, protocol)


@dataclass(frozen=True)
class Segment:
    """A TCP segment over IP over Ethernet. Lengths and checksums follow when it becomes bytes.

    The addresses say which IP. IPv6 has `tos` as traffic class, `identification` as flow label, `ttl` as hop
    limit, and neither `fragment` nor `ip_options`.
    """

    source: str
    destination: str
    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int = 8192
    options: bytes = b""
    payload: bytes = b""
    ttl: int = 64
    tos: int = 0
    identification: int = 0x1234
    fragment: int = 0x4000  # flags and offset: don't fragment
    ip_options: bytes = b""
    extensions: tuple[Extension, ...] = ()
    tag: int | None = None  # 802.1Q: priority and VLAN
    reserved: int = 0
    urgent: int = 0
    source_mac: str = "02:00:00:00:0c:01"
    destination_mac: str = "02:00:00:00:05:01"
    padding: bytes = b""  # Ethernet's, behind the datagram
    corrupt: int = 0  # added to the TCP checksum, in ones' complement

    def tcp_length(self) -> int:
        """TCP header, options and payload in bytes."""
        return 20 + len(self.options) + len(self.payload)

    def tcp(self) -> bytes:
        """The segment with its checksum."""
        assert len(self.options) % 4 == 0
        offset = (20 + len(self.options)) // 4 << 4 | self.reserved
        head = struct.pack(
            ">HHIIBBHHH",
            self.source_port,
            self.destination_port,
            self.seq & MASK32,
            self.ack & MASK32,
            offset,
            self.flags,
            self.window,
            0,
            self.urgent,
        )
        pseudo = pseudo_header(self.source, self.destination, 6, self.tcp_length())
        body = head + self.options + self.payload
        total = 0xFFFF ^ ones_complement(pseudo + body)
        if self.corrupt:
            total = ones_complement(struct.pack(">HH", total, self.corrupt))
        return body[:16] + struct.pack(">H", total) + body[18:]

    def frame(self) -> bytes:
        """The whole frame."""
        ethertype = 0x86DD if ":" in self.source else 0x0800
        link = ethernet(self.destination_mac, self.source_mac, ethertype, self.tag)
        return link + self.datagram() + self.padding

    def datagram(self) -> bytes:
        """The IP packet."""
        if ":" in self.source:
            first, extensions = extension_chain(self.extensions, 6)
            payload = extensions + self.tcp()
            label = self.identification
            head = ipv6_header(
                self.source,
                self.destination,
                first,
                len(payload),
                hop_limit=self.ttl,
                traffic_class=self.tos,
                label=label,
            )
            return head + payload
        return (
            ipv4_header(
                self.source,
                self.destination,
                6,
                self.tcp_length(),
                ttl=self.ttl,
                tos=self.tos,
                identification=self.identification,
                fragment=self.fragment,
                options=self.ip_options,
            )
            + self.tcp()
        )


def v6(address: str) -> str:
    """An IPv4 address's counterpart in the tests' IPv6 network."""
    return str(IPv6Address(0x20010DB8 << 96 | int(IPv4Address(address))))


def mac_bytes(mac: str) -> bytes:
    """Six bytes of a MAC address in colon notation."""
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(destination: str, source: str, ethertype: int, tag: int | None = None) -> bytes:
    """An Ethernet header, with an 802.1Q tag if there is one."""
    tagged = b"" if tag is None else struct.pack(">HH", 0x8100, tag)
    return mac_bytes(destination) + mac_bytes(source) + tagged + struct.pack(">H", ethertype)


def ipv6_header(
    source: str,
    destination: str,
    next_header: int,
    payload_length: int,
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
    label: int = 0x1234,
) -> bytes:
    """An IPv6 header."""
    word = 6 << 28 | traffic_class << 20 | label
    head = struct.pack(">IHBB", word, payload_length, next_header, hop_limit)
    return head + IPv6Address(source).packed + IPv6Address(destination).packed


def ipv4_header(
    source: str,
    destination: str,
    protocol: int,
    payload_length: int,
    *,
    ttl: int = 64,
    tos: int = 0,
    identification: int = 0x1234,
    fragment: int = 0x4000,
    options: bytes = b"",
) -> bytes:
    """An IPv4 header with a right checksum."""
    words = 5 + len(options) // 4
    head = struct.pack(
        ">BBHHHBBH",
        0x40 | words,
        tos,
        words * 4 + payload_length,
        identification,
        fragment,
        ttl,
        protocol,
        0,
    )
    head += IPv4Address(source).packed + IPv4Address(destination).packed + options
    return head[:10] + struct.pack(">H", 0xFFFF ^ ones_complement(head)) + head[12:]


def icmp_error(
    quoted: Segment,
    router: str,
    kind: tuple[int, int],
    size: int,
    *,
    ttl: int,
    source_mac: str,
    destination_mac: str,
    tail: bytes = b"",
) -> bytes:
    """A router's error (type and code) to a segment's sender.

    It quotes `size` bytes from the TCP header on, and `tail`.
    """
    datagram = quoted.datagram()
    quote = datagram[: len(datagram) - quoted.tcp_length() + size] + tail
    message = bytes(kind) + b"\0\0" + struct.pack(">I", 1280) + quote
    if ":" in router:
        covered = pseudo_header(router, quoted.source, 58, len(message)) + message
        head = ipv6_header(router, quoted.source, 58, len(message), hop_limit=ttl)
    else:
        covered = message
        head = ipv4_header(router, quoted.source, 1, len(message), ttl=ttl)
    checksum = struct.pack(">H", 0xFFFF ^ ones_complement(covered))
    link = ethernet(destination_mac, source_mac, 0x86DD if ":" in router else 0x0800, quoted.tag)
    return link + head + message[:2] + checksum + message[4:]


# --- options --------------------------------------------------------------------------------------------

NOP = b"\x01"
END = b"\x00"
SACK_PERMITTED = b"\x04\x02"


def mss_option(mss: int) -> bytes:
    """Kind 2."""
    return struct.pack(">BBH", 2, 4, mss)


def scale_option(shift: int) -> bytes:
    """Kind 3."""
    return bytes((3, 3, shift))


def timestamps_option(value: int, echo: int) -> bytes:
    """Kind 8."""
    return struct.pack(">BBII", 8, 10, value & MASK32, echo & MASK32)


def sack_option(*edges: int) -> bytes:
    """Kind 5: left and right edges in turn."""
    return bytes((5, 2 + 4 * len(edges))) + b"".join(struct.pack(">I", edge & MASK32) for edge in edges)


def pad(options: bytes) -> bytes:
    """Filled with NOPs to a multiple of four."""
    return options + NOP * (-len(options) % 4)


def walk(options: bytes) -> list[tuple[int, bytes]]:
    """(kind, value) of each option that has a length; NOPs and what follows the end are left out."""
    found = []
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        length = options[at + 1]
        assert 2 <= length <= len(options) - at
        found.append((options[at], options[at + 2 : at + length]))
        at += length
    return found


# --- sessions -------------------------------------------------------------------------------------------

RIGHT, REUSED = 0x80, 0x40


@dataclass(frozen=True)
class Session:
    """A session entry. Shifts: low four bits the amount, RIGHT to the right; REUSED in that to the server."""

    delta: int
    tau: int = 0
    to_client_shift: int = 0
    to_server_shift: int = 0
    phase: int = 0
    version: int = 1
    isn: int = 0
    cookie: int = 0


def shift_window(window: int, shift: int) -> int:
    """A window shifted, at most 65535."""
    amount = shift & 15
    return window >> amount if shift & RIGHT else min(window << amount, 0xFFFF)


def translate(segment: Segment, session: Session, to_server: bool) -> Segment:
    """A session's segment in the other sequence space, its options in the form that the switch gives them."""
    window = segment.window
    if not segment.flags & SYN:
        window = shift_window(window, session.to_server_shift if to_server else session.to_client_shift)
    options = segment.options
    if options and not segment.flags & SYN:
        options = _translate_options(segment, session, to_server)
    seq, ack = segment.seq, segment.ack
    if not to_server:
        seq = (seq + session.delta) & MASK32
    elif segment.flags & ACK:
        ack = (ack - session.delta) & MASK32
    return replace(segment, seq=seq, ack=ack, window=window, options=options)


def _translate_options(segment: Segment, session: Session, to_server: bool) -> bytes:
    stamps = sack = b""
    for kind, value in walk(segment.options):
        if kind == 8 and len(value) == 8:
            tsval, tsecr = struct.unpack(">II", value)
            if not to_server:
                tsval += session.tau
            elif segment.flags & ACK:
                tsecr -= session.tau
            stamps = timestamps_option(tsval, tsecr)
        elif kind == 5 and len(value) in (8, 16, 24, 32):
            edges = struct.unpack(f">{len(value) // 4}I", value)
            sack = sack_option(*(edge - session.delta if to_server else edge for edge in edges))
    padded = (NOP * 2 + stamps if stamps else b"") + (NOP * 2 + sack if sack else b"")
    return padded if len(padded) <= len(segment.options) else stamps + sack


def routed(segment: Segment, source_mac: str, destination_mac: str) -> Segment:
    """After routing: TTL one less, the MACs of the next link."""
    return replace(segment, ttl=segment.ttl - 1, source_mac=source_mac, destination_mac=destination_mac)
