# SPDX-License-Identifier: Apache-2.0
"""ICMP errors that quote a session's segment: what they quote is mapped to the receiver's sequence space."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from .network import (
    CLIENT_LINK,
    CLIENT_MAC,
    SERVER_LINK,
    SERVER_MAC,
    SERVER_PORT,
    SWITCH_CLIENT_MAC,
    SWITCH_SERVER_MAC,
    TAGGED_V4,
    V4,
    V6,
    Drop,
    Event,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
)
from .reference import (
    ACK,
    PSH,
    RST,
    SYN,
    Extension,
    Segment,
    Session,
    icmp_error,
    pad,
    sack_option,
    timestamps_option,
    translate,
)
from .target import Output

SESSION = Session(delta=0x89ABCDEF, tau=0x76543210, to_client_shift=3)
ROUTER = "198.18.9.9"
OPTIONS = pad(timestamps_option(1, 2) + sack_option(3, 4))
ERRORS = {False: [(3, 4), (3, 0), (4, 0), (11, 0), (12, 0)], True: [(1, 4), (2, 0), (3, 0), (4, 1)]}


def error_to_server(
    net: Network, quoted: Segment, kind: tuple[int, int], size: int, *, ttl: int = 64, tail: bytes = b""
) -> bytes:
    """An error about a segment of the server's, arriving on the client's link; with TTL 63: leaving."""
    macs = (CLIENT_MAC, SWITCH_CLIENT_MAC) if ttl == 64 else (SWITCH_SERVER_MAC, SERVER_MAC)
    return error(net, quoted, kind, size, ttl, macs, tail)


def error_to_client(
    net: Network, quoted: Segment, kind: tuple[int, int], size: int, *, ttl: int = 64, tail: bytes = b""
) -> bytes:
    """An error about a segment of the client's, arriving on the server's link; with TTL 63: leaving."""
    macs = (SERVER_MAC, SWITCH_SERVER_MAC) if ttl == 64 else (SWITCH_CLIENT_MAC, CLIENT_MAC)
    return error(net, quoted, kind, size, ttl, macs, tail)


def error(
    net: Network,
    quoted: Segment,
    kind: tuple[int, int],
    size: int,
    ttl: int,
    macs: tuple[str, str],
    tail: bytes,
) -> bytes:
    """An error on the network's wire."""
    return icmp_error(
        net.wired(quoted),
        net.wire.address(ROUTER),
        kind,
        size,
        ttl=ttl,
        source_mac=macs[0],
        destination_mac=macs[1],
        tail=tail,
    )


def kinds(net: Network) -> list[tuple[int, int]]:
    """Types and codes of the wire's IP version."""
    return ERRORS[net.wire.ipv6]


@on_every_wire
@pytest.mark.parametrize("size", [8, 12, 13, 16, 18, 19, 20, 40, 41, 60, 100, 548])
@pytest.mark.parametrize("flags", [ACK, ACK | PSH])
def test_numbers_of_the_receiver(net: Network, size: int, flags: int) -> None:
    """Whatever is quoted, it is the segment as its sender sent it, as far as numbers and checksum go."""
    net.open(SESSION)
    options = OPTIONS if size > 20 else b""
    sent = server_segment(0x10, 0x20, flags, payload=b"data" * 200, options=options)
    seen = replace(sent, seq=(sent.seq + SESSION.delta) & 0xFFFFFFFF)
    for kind in kinds(net):
        result = net.target.send(CLIENT_LINK, error_to_server(net, seen, kind, size))
        assert result.outputs == (Output(SERVER_LINK, error_to_server(net, sent, kind, size, ttl=63)),)
    sent = client_segment(0x30, 0x40, flags, payload=b"data" * 200, options=options)
    seen = replace(sent, ack=(sent.ack - SESSION.delta) & 0xFFFFFFFF)
    for kind in kinds(net):
        result = net.target.send(SERVER_LINK, error_to_client(net, seen, kind, size))
        assert result.outputs == (Output(CLIENT_LINK, error_to_client(net, sent, kind, size, ttl=63)),)
    assert net.target.counter("events", Event.ICMP_TRANSLATED) == 2 * len(kinds(net))


@on_every_wire
def test_what_the_switch_translated_comes_back(net: Network) -> None:
    """The segment as it left the switch, quoted, and its numbers as the sender knows them."""
    net.open(SESSION)
    for segment, to_server in ((server_segment(7, 8), False), (client_segment(9, 10), True)):
        seen = translate(segment, SESSION, to_server)
        seen = replace(seen, window=segment.window)
        send, link, out = (
            (error_to_client, SERVER_LINK, CLIENT_LINK)
            if to_server
            else (error_to_server, CLIENT_LINK, SERVER_LINK)
        )
        result = net.target.send(link, send(net, seen, kinds(net)[0], 20))
        assert result.outputs == (Output(out, send(net, segment, kinds(net)[0], 20, ttl=63)),)


@on_every_wire
@pytest.mark.parametrize("flags", [SYN, RST])
def test_no_acknowledgment_no_change(net: Network, flags: int) -> None:
    """Without the ACK flag the field means nothing, and was not translated."""
    net.open(SESSION)
    segment = client_segment(5, 0, flags)
    result = net.target.send(SERVER_LINK, error_to_client(net, segment, kinds(net)[0], 20))
    assert result.outputs == (Output(CLIENT_LINK, error_to_client(net, segment, kinds(net)[0], 20, ttl=63)),)


@on_every_wire
@pytest.mark.parametrize("size", [8, 20, 60])
def test_without_a_session_plain_traffic(net: Network, size: int) -> None:
    for port in (SERVER_PORT, 8080):
        segment = replace(client_segment(5, 6, payload=b"x" * 60), destination_port=port)
        result = net.target.send(SERVER_LINK, error_to_client(net, segment, kinds(net)[0], size))
        expected = error_to_client(net, segment, kinds(net)[0], size, ttl=63)
        assert result.outputs == (Output(CLIENT_LINK, expected),)
    assert net.target.counter("events", Event.ICMP_TRANSLATED) == 0


@on_every_wire
@pytest.mark.parametrize("size", range(8))
def test_less_than_eight_bytes(net: Network, size: int) -> None:
    net.open(SESSION)
    segment = server_segment(5, 6)
    result = net.target.send(CLIENT_LINK, error_to_server(net, segment, kinds(net)[0], size))
    assert result.outputs == (
        Output(SERVER_LINK, error_to_server(net, segment, kinds(net)[0], size, ttl=63)),
    )


@pytest.mark.parametrize("wire", [V4, TAGGED_V4], ids=["v4", "v4-tagged"], indirect=True)
@pytest.mark.parametrize("words", [1, 9, 10])
@pytest.mark.parametrize("size", [8, 20])
def test_quoted_ip_options(net: Network, words: int, size: int) -> None:
    net.open(SESSION)
    sent = server_segment(5, 6, ip_options=b"\x01" * 4 * words)
    seen = replace(sent, seq=5 + SESSION.delta)
    result = net.target.send(CLIENT_LINK, error_to_server(net, seen, (3, 4), size))
    assert result.outputs == (Output(SERVER_LINK, error_to_server(net, sent, (3, 4), size, ttl=63)),)


HOP = Extension(0, b"\0\x01\x04" + bytes(4))
LONG = Extension(60, b"\x07\x01\x3c" + bytes(60))
FRAGMENT_FIRST = Extension(44, struct.pack(">BHI", 0, 1, 7))


@pytest.mark.parametrize("wire", [V6], ids=["v6"], indirect=True)
@pytest.mark.parametrize("chain", [(HOP,), (HOP, LONG), (FRAGMENT_FIRST,), (HOP, FRAGMENT_FIRST)], ids=str)
@pytest.mark.parametrize("size", [8, 20])
def test_quoted_extension_headers(net: Network, chain: tuple[Extension, ...], size: int) -> None:
    net.open(SESSION)
    sent = server_segment(5, 6, extensions=chain)
    seen = replace(sent, seq=5 + SESSION.delta)
    result = net.target.send(CLIENT_LINK, error_to_server(net, seen, (2, 0), size))
    assert result.outputs == (Output(SERVER_LINK, error_to_server(net, sent, (2, 0), size, ttl=63)),)


@pytest.mark.parametrize("wire", [V6], ids=["v6"], indirect=True)
@pytest.mark.parametrize(
    "chain",
    [
        (HOP, HOP, HOP),
        (Extension(60, b"\x08" + bytes(70)),),
        (Extension(44, struct.pack(">BHI", 0, 8, 7)),),
        (Extension(51, bytes(15)),),
    ],
    ids=["three", "too-long", "later-fragment", "authentication"],
)
def test_quoted_packets_that_are_not_understood(net: Network, chain: tuple[Extension, ...]) -> None:
    net.open(SESSION)
    segment = server_segment(5, 6, extensions=chain)
    result = net.target.send(CLIENT_LINK, error_to_server(net, segment, (2, 0), 20))
    assert result.outputs == (Output(SERVER_LINK, error_to_server(net, segment, (2, 0), 20, ttl=63)),)


@pytest.mark.parametrize("fragment", [1, 0x2001, 0x1FFF])
def test_quoted_later_fragments(net: Network, fragment: int) -> None:
    net.open(SESSION)
    segment = server_segment(5, 6, fragment=fragment)
    result = net.target.send(CLIENT_LINK, error_to_server(net, segment, (3, 4), 20))
    assert result.outputs == (Output(SERVER_LINK, error_to_server(net, segment, (3, 4), 20, ttl=63)),)


@on_every_wire
@pytest.mark.parametrize("kind", [(0, 0), (5, 0), (8, 0), (13, 0), (128, 0), (129, 0), (137, 0), (255, 0)])
def test_other_messages_are_routed(net: Network, kind: tuple[int, int]) -> None:
    net.open(SESSION)
    segment = server_segment(5, 6)
    result = net.target.send(CLIENT_LINK, error_to_server(net, segment, kind, 20))
    assert result.outputs == (Output(SERVER_LINK, error_to_server(net, segment, kind, 20, ttl=63)),)


@on_every_wire
@pytest.mark.parametrize("size", [8, 16])
def test_half_a_number_stays(net: Network, size: int) -> None:
    """The first byte alone of an acknowledgment number, or of a checksum, cannot be mapped."""
    net.open(SESSION)
    sent = client_segment(0x30, 0x40)
    seen = replace(sent, ack=(sent.ack - SESSION.delta) & 0xFFFFFFFF)
    kind = kinds(net)[0]
    result = net.target.send(SERVER_LINK, error_to_client(net, seen, kind, size, tail=b"\xab"))
    assert result.outputs == (
        Output(CLIENT_LINK, error_to_client(net, sent, kind, size, ttl=63, tail=b"\xab")),
    )


@on_every_wire
def test_hop_limit_of_errors(net: Network) -> None:
    net.open(SESSION)
    frame = error_to_server(net, server_segment(5, 6), kinds(net)[0], 8, ttl=1)
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.TTL)
    assert net.target.counter("events", Event.ICMP_TRANSLATED) == 0


@on_every_wire
def test_corrupt_errors_stay_corrupt(net: Network) -> None:
    """The checksum is updated, not made anew."""
    net.open(SESSION)
    sent = server_segment(5, 6)
    seen = replace(sent, seq=5 + SESSION.delta)
    frame = bytearray(error_to_server(net, seen, kinds(net)[0], 20))
    expected = bytearray(error_to_server(net, sent, kinds(net)[0], 20, ttl=63))
    for made in (frame, expected):
        made[-1] ^= 0x40
    assert net.target.send(CLIENT_LINK, bytes(frame)).outputs == (Output(SERVER_LINK, bytes(expected)),)
