# SPDX-License-Identifier: Apache-2.0
"""ICMP errors that say a packet was too big, as bytes.

RFC 792 and RFC 1191 (IPv4), RFC 4443 section 3.2 (IPv6).
Like `wire`, it shares no code with the controller or the switch.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from controller.scenario import wire

_FRAGMENTATION_NEEDED = (3, 4)
_PACKET_TOO_BIG = (2, 0)
_ICMP, _ICMPV6 = 1, 58


@dataclass(frozen=True)
class TooBig:
    """`router` tells the sender of `segment` that its packet does not fit into `mtu` bytes.

    `quoted` is how many bytes of the TCP segment follow the quoted IP header: RFC 792 wants 8 at least.
    """

    router: str
    segment: wire.Segment
    mtu: int
    quoted: int

    @property
    def quote(self) -> bytes:
        """The quoted packet: its IP header and the first bytes behind it."""
        packet = wire.build(self.segment, source_mac=bytes(6), destination_mac=bytes(6))[14:]
        return packet[: (40 if _is_v6(self.router) else 20) + self.quoted]


def build(error: TooBig, *, source_mac: bytes, destination_mac: bytes) -> bytes:
    """The Ethernet frame of the error, with right checksums."""
    addresses = b"".join(ipaddress.ip_address(a).packed for a in (error.router, error.segment.source))
    if _is_v6(error.router):
        message = struct.pack("!BBHI", *_PACKET_TOO_BIG, 0, error.mtu) + error.quote
        total = wire.checksum(addresses + struct.pack("!II", len(message), _ICMPV6) + message)
        ip = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 64) + addresses
        ethertype = wire.ETHERTYPE_IPV6
    else:
        message = struct.pack("!BBHHH", *_FRAGMENTATION_NEEDED, 0, 0, error.mtu) + error.quote
        total = wire.checksum(message)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 0, 0, 64, _ICMP, 0) + addresses
        ip = ip[:10] + struct.pack("!H", wire.checksum(ip)) + ip[12:]
        ethertype = wire.ETHERTYPE_IPV4
    message = message[:2] + struct.pack("!H", total) + message[4:]
    return destination_mac + source_mac + struct.pack("!H", ethertype) + ip + message


def is_too_big(frame: bytes, address: str) -> bool:
    """Whether the frame is such an error, sent to this address."""
    own = ipaddress.ip_address(address).packed
    if _is_v6(address):
        return (
            frame[12:14] == b"\x86\xdd"
            and frame[20] == _ICMPV6
            and frame[38:54] == own
            and frame[54:56] == bytes(_PACKET_TOO_BIG)
        )
    return (
        frame[12:14] == b"\x08\x00"
        and frame[23] == _ICMP
        and frame[30:34] == own
        and frame[34:36] == bytes(_FRAGMENTATION_NEEDED)
    )


def difference(frame: bytes, wanted: TooBig) -> str | None:
    """What in an arrived frame is not as in `wanted`; None = nothing.

    The frame's MAC addresses and its own TTL (with the checksum that covers it, which is verified) may be
    others; all that the error says must be equal, byte for byte, the checksums of the quoted headers too.
    """
    model = build(wanted, source_mac=frame[6:12], destination_mac=frame[:6])
    body = 54 if _is_v6(wanted.router) else 34
    if body == 34 and wire.checksum(frame[14:34]):
        return "wrong IPv4 header checksum"
    if len(frame) != len(model):
        return f"{len(frame)} bytes instead of {len(model)}"
    if frame[body:] != model[body:]:
        return f"{frame[body:].hex(' ')} instead of {model[body:].hex(' ')}"
    return None


def _is_v6(address: str) -> bool:
    return ipaddress.ip_address(address).version == 6
