# SPDX-License-Identifier: Apache-2.0
"""Answers to neighbours that ask for a crafted endpoint's address: ARP (RFC 826), and neighbour discovery
(RFC 4861 sections 4.3 and 4.4).
"""

from __future__ import annotations

import ipaddress
import struct

from controller.scenario import wire

_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_SOLICITED_AND_OVERRIDE = 0x60000000
_TARGET_LINK_LAYER_ADDRESS = b"\x02\x01"


def answer(question: bytes, address: str, mac: bytes) -> bytes | None:
    """The frame that says `address` is at `mac`; None when the frame does not ask for this address."""
    packed = ipaddress.ip_address(address).packed
    if len(packed) == 4:
        return _arp_reply(question, mac) if _is_arp_request_for(question, packed) else None
    return _advertisement(question, mac) if _is_solicitation_for(question, packed) else None


def _is_arp_request_for(frame: bytes, address: bytes) -> bool:
    return frame[12:22] == b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" and frame[38:42] == address


def _arp_reply(request: bytes, mac: bytes) -> bytes:
    asker, asked = request[22:32], request[38:42]
    return request[6:12] + mac + request[12:21] + b"\x02" + mac + asked + asker


def _is_solicitation_for(frame: bytes, address: bytes) -> bool:
    return (
        frame[12:14] == b"\x86\xdd"
        and frame[20] == _ICMPV6
        and frame[54:55] == bytes([_SOLICITATION])
        and frame[62:78] == address
        and frame[22:38] != bytes(16)  # somebody who only looks whether the address is free
    )


def _advertisement(solicitation: bytes, mac: bytes) -> bytes:
    asker, asked = solicitation[22:38], solicitation[62:78]
    message = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _SOLICITED_AND_OVERRIDE) + asked
    message += _TARGET_LINK_LAYER_ADDRESS + mac
    pseudo = asked + asker + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + struct.pack("!H", wire.checksum(pseudo + message)) + message[4:]
    ip = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + asked + asker
    return solicitation[6:12] + mac + b"\x86\xdd" + ip + message
