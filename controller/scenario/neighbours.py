# SPDX-License-Identifier: Apache-2.0
"""Answers to who asks for the link-layer address of a crafted end: ARP (RFC 826), ND (RFC 4861)."""

from __future__ import annotations

import ipaddress
import struct

from controller.scenario import wire

_ICMPV6 = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOLICITED_OVERRIDE = 0x60000000
_TARGET_LINK_LAYER_ADDRESS = 2
_LONGEST_HOP_LIMIT = 255


def answer(frame: bytes, address: str, mac: bytes) -> bytes | None:
    """The frame that tells a neighbour that `address` is at `mac` (6 bytes); None when `frame` does not ask
    for it.
    """
    own = ipaddress.ip_address(address).packed
    if len(own) == 4:
        return _arp_reply(frame, mac) if _asks_by_arp(frame, own) else None
    return _advertisement(frame, own, mac) if _asks_by_nd(frame, own) else None


def _asks_by_arp(frame: bytes, own: bytes) -> bool:
    return frame[12:22] == b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" and frame[38:42] == own


def _arp_reply(request: bytes, mac: bytes) -> bytes:
    asker, asked = request[22:32], request[38:42]
    return request[6:12] + mac + request[12:21] + b"\x02" + mac + asked + asker


def _asks_by_nd(frame: bytes, own: bytes) -> bool:
    """A solicitation for the address, of somebody who has one (section 7.1.1)."""
    return (
        frame[12:14] == b"\x86\xdd"
        and frame[20:22] == bytes((_ICMPV6, _LONGEST_HOP_LIMIT))
        and frame[54:55] == bytes((_SOLICITATION,))
        and frame[62:78] == own
        and frame[22:38] != bytes(16)
    )


def _advertisement(solicitation: bytes, own: bytes, mac: bytes) -> bytes:
    addresses = own + solicitation[22:38]
    message = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _SOLICITED_OVERRIDE) + own
    message += bytes((_TARGET_LINK_LAYER_ADDRESS, 1)) + mac
    total = wire.checksum(addresses + struct.pack("!II", len(message), _ICMPV6) + message)
    message = message[:2] + struct.pack("!H", total) + message[4:]
    ip = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, _LONGEST_HOP_LIMIT) + addresses
    return solicitation[6:12] + mac + b"\x86\xdd" + ip + message
