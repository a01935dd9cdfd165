# SPDX-License-Identifier: Apache-2.0
"""Neighbour solicitations (RFC 4861) for the switch's own addresses are answered; all others end here."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest

from .network import (
    ARRIVE,
    CLIENT,
    CLIENT_LINK,
    CLIENT_MAC,
    ROUTE,
    SERVER_LINK,
    SWITCH_CLIENT_ADDRESS,
    SWITCH_CLIENT_MAC,
    TAG,
    Drop,
    Event,
    Network,
)
from .reference import ethernet, ipv6_header, mac_bytes, ones_complement, pseudo_header, v6

OWN, ASKING = v6(SWITCH_CLIENT_ADDRESS), v6(CLIENT)
SOURCE_MAC = b"\x01\x01" + mac_bytes(CLIENT_MAC)
NONCE = b"\x0e\x01nonce!"


def solicited_node(target: str) -> str:
    """The group that a solicitation for an address goes to (RFC 4291, section 2.7.1)."""
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(IPv6Address(target)) & 0xFFFFFF))


def icmpv6(source: str, destination: str, head: bytes, body: bytes) -> bytes:
    """A message with its checksum; `head` is type and code."""
    message = head + b"\0\0" + body
    total = ones_complement(pseudo_header(source, destination, 58, len(message)) + message)
    return head + struct.pack(">H", 0xFFFF ^ total) + body


def solicitation(
    target: str = OWN,
    *,
    source: str = ASKING,
    destination: str | None = None,
    options: bytes = SOURCE_MAC,
    hop_limit: int = 255,
    head: bytes = b"\x87\0",
    reserved: int = 0,
    tag: int | None = None,
    corrupt: int = 0,
    cut: int = 0,
) -> bytes:
    """A frame that asks for a target."""
    destination = solicited_node(target) if destination is None else destination
    body = struct.pack(">I", reserved) + IPv6Address(target).packed + options
    message = bytearray(icmpv6(source, destination, head, body))
    message[3] ^= corrupt
    group = IPv6Address(destination).packed
    mac = SWITCH_CLIENT_MAC if group[0] != 0xFF else "33:33:" + ":".join(f"{byte:02x}" for byte in group[-4:])
    header = ipv6_header(source, destination, 58, len(message) - cut, hop_limit=hop_limit)
    return ethernet(mac, CLIENT_MAC, 0x86DD, tag) + header + bytes(message)


def advertisement(target: str = OWN, *, to_all: bool = False, tag: int | None = None) -> bytes:
    """What the switch has to say to it."""
    flags, destination, mac = 0xE0000000, ASKING, CLIENT_MAC
    if to_all:
        flags, destination, mac = 0xA0000000, "ff02::1", "33:33:00:00:00:01"
    body = struct.pack(">I", flags) + IPv6Address(target).packed + b"\x02\x01" + mac_bytes(SWITCH_CLIENT_MAC)
    message = icmpv6(target, destination, b"\x88\0", body)
    header = ipv6_header(target, destination, 58, len(message), hop_limit=255, label=0)
    return ethernet(mac, SWITCH_CLIENT_MAC, 0x86DD, tag) + header + message


@pytest.mark.parametrize("destination", [None, OWN])
@pytest.mark.parametrize(
    "options", [b"", SOURCE_MAC, SOURCE_MAC + NONCE, b"\x0e\x03" + b"n" * 22 + SOURCE_MAC]
)
@pytest.mark.parametrize("tag", [None, TAG])
@pytest.mark.parametrize("reserved", [0, 0xFFFFFFFF])
def test_answered(
    net: Network, destination: str | None, options: bytes, tag: int | None, reserved: int
) -> None:
    asked = solicitation(destination=destination, options=options, tag=tag, reserved=reserved) + b"\0" * 6
    assert net.target.send(CLIENT_LINK, asked).outputs == ((CLIENT_LINK, advertisement(tag=tag)),)
    assert net.target.counter("events", Event.ND_ANSWERED) == 1


@pytest.mark.parametrize("options", [b"", NONCE])
def test_duplicate_address_detection(net: Network, options: bytes) -> None:
    asked = solicitation(source="::", options=options)
    assert net.target.send(CLIENT_LINK, asked).outputs == ((CLIENT_LINK, advertisement(to_all=True)),)


def test_link_local_addresses(net: Network) -> None:
    net.target.insert(
        "local_addresses_v6", {"port": 1, "address": "fe80::1"}, "answer_nd", mac=0x020000000501
    )
    ((port, frame),) = net.target.send(CLIENT_LINK, solicitation("fe80::1")).outputs
    assert (port, frame) == (CLIENT_LINK, advertisement("fe80::1"))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(solicitation(v6("198.18.1.9")), id="for-another"),
        pytest.param(solicitation(hop_limit=254), id="from-another-link"),
        pytest.param(solicitation(head=b"\x87\x01"), id="code"),
        pytest.param(solicitation(corrupt=1), id="checksum"),
        pytest.param(solicitation(destination=solicited_node("::1")), id="to-another-group"),
        pytest.param(solicitation(destination="ff02::1"), id="to-all-nodes"),
        pytest.param(solicitation(destination=v6("198.18.1.9")), id="to-another-host"),
        pytest.param(solicitation(source="::"), id="unspecified-with-a-mac"),
        pytest.param(solicitation(source="::", destination=OWN, options=b""), id="unspecified-to-unicast"),
        pytest.param(solicitation(options=b"\x01\0" + bytes(6)), id="option-of-length-zero"),
        pytest.param(solicitation(options=b"\x01\x02" + bytes(6)), id="option-runs-over"),
        pytest.param(solicitation(options=SOURCE_MAC + bytes(4)) + bytes(4), id="half-an-option"),
    ],
)
def test_not_answered(net: Network, frame: bytes) -> None:
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NOT_IP)


def test_too_short(net: Network) -> None:
    """No solicitation, so a message like any other; its group is nobody's that is reached by routing."""
    net.dropped(net.target.send(CLIENT_LINK, solicitation(options=b"", cut=1)), Drop.NO_ROUTE)
    frame = solicitation()
    for times, length in enumerate(range(54, len(frame)), start=1):
        net.dropped(net.target.send(CLIENT_LINK, frame[:length]), Drop.MALFORMED_IP, times)


def test_on_another_port(net: Network) -> None:
    net.dropped(net.target.send(SERVER_LINK, solicitation()), Drop.NOT_IP)


def test_packet_out(net: Network) -> None:
    sent = net.target.packet_out(ARRIVE, CLIENT_LINK, solicitation()).outputs
    assert sent == ((CLIENT_LINK, advertisement()),)
    net.dropped(net.target.packet_out(ROUTE, CLIENT_LINK, solicitation()), Drop.NOT_IP)
