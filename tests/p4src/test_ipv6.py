# SPDX-License-Identifier: Apache-2.0
"""What IPv6 has that IPv4 has not: extension headers, its own ways to be malformed and to be routed."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from .network import (
    CLIENT,
    CLIENT_LINK,
    CLIENT_MAC,
    EVEN,
    PROVEN,
    ROUTE,
    SERVER,
    SERVER_LINK,
    SERVER_MAC,
    SERVER_SYNACK,
    SWITCH_CLIENT_MAC,
    SWITCH_SERVER_MAC,
    V6,
    Drop,
    Event,
    Network,
    client_segment,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    RST,
    SYN,
    Extension,
    Segment,
    Session,
    ethernet,
    extension_chain,
    ipv6_header,
    pad,
    sack_option,
    timestamps_option,
    v6,
)

pytestmark = pytest.mark.parametrize("wire", [V6], ids=["v6"], indirect=True)

SESSION = Session(delta=0x89ABCDEF, tau=0x76543210)
UNPROTECTED = "203.0.113.81"


def options(kind: int, length: int = 0) -> Extension:
    """An options header, `length` units of 8 bytes longer than the shortest, filled by one PadN."""
    return Extension(kind, bytes((length, 1, min(8 * length + 4, 255))) + bytes(8 * length + 4))


def routing(segments: int) -> Extension:
    """A segment routing header."""
    return Extension(43, bytes((2 * segments, 4, 0, segments - 1, 0, 0, 0)) + b"\x20" * 16 * segments)


def fragment(offset: int, more: int, reserved: int = 0) -> Extension:
    """A fragment header; the offset in units of 8 bytes."""
    return Extension(44, struct.pack(">BHI", reserved, offset << 3 | more, 0xFEEDF00D))


HOP, DESTINATION = options(0), options(60)
CHAINS = [
    pytest.param((HOP,), id="hop-by-hop"),
    pytest.param((DESTINATION,), id="destination"),
    pytest.param((routing(1),), id="routing"),
    pytest.param((routing(3),), id="routing-56-bytes"),
    pytest.param((options(0, 7), options(60, 7), options(60, 7), options(60, 7)), id="four-long-ones"),
    pytest.param((HOP, DESTINATION, routing(2), options(60, 3)), id="the-recommended-order"),
    pytest.param((DESTINATION, HOP), id="another-order"),
    pytest.param((fragment(0, 0),), id="atomic-fragment"),
    pytest.param((HOP, fragment(0, 0, reserved=0xFF), DESTINATION), id="atomic-fragment-between"),
]
OBSCURE = [
    pytest.param((HOP, *[DESTINATION] * 4), id="five"),
    pytest.param((options(60, 8),), id="72-bytes"),
    pytest.param((options(0, 255),), id="2048-bytes"),
    pytest.param((Extension(51, bytes(23)),), id="authentication"),
    pytest.param((HOP, Extension(135, bytes(7))), id="mobility"),
    pytest.param((Extension(139, bytes(7)),), id="host-identity"),
    pytest.param((Extension(140, bytes(7)),), id="shim6"),
    pytest.param((Extension(253, bytes(7)),), id="experimental"),
    pytest.param((fragment(0, 0), *[HOP] * 4), id="five-with-a-fragment-header"),
]


@pytest.mark.parametrize("chain", CHAINS)
def test_extension_headers_stay_on_translated_packets(net: Network, chain: tuple[Extension, ...]) -> None:
    net.open(SESSION)
    area = pad(sack_option(1, 2) + timestamps_option(3, 4)) + b"\x01" * 8
    out = client_segment(1, 2, options=area, payload=b"behind", extensions=chain)
    assert net.from_client(out).outputs == (net.to_server(out, SESSION),)
    back = server_segment(1, 2, options=area, payload=b"behind", extensions=chain)
    assert net.from_server(back).outputs == (net.to_client(back, SESSION),)


@pytest.mark.parametrize("chain", CHAINS)
def test_extension_headers_are_not_copied_to_answers(net: Network, chain: tuple[Extension, ...]) -> None:
    net.set_service(timestamps=0)
    (plain,) = net.from_client(syn(7)).outputs
    assert net.from_client(syn(7, extensions=chain)).outputs == (plain,)
    net.set_service(reset_unknown=1)
    (plain,) = net.from_client(client_segment(7, 8)).outputs
    assert plain.frame[net.tcp_at + 13] == RST
    assert net.from_client(client_segment(7, 8, extensions=chain)).outputs == (plain,)


@pytest.mark.parametrize("chain", CHAINS)
def test_extension_headers_do_not_hide(net: Network, chain: tuple[Extension, ...]) -> None:
    wrong = client_segment(5, 6, extensions=chain, payload=b"hidden")
    net.dropped(net.from_client(wrong), Drop.BAD_COOKIE)
    right = client_segment(2, net.proof(EVEN, 1) + 1, extensions=chain, payload=b"GET /")
    assert net.punted(net.from_client(right), PROVEN).frame == net.frame(right)
    answer = server_segment(1, 2, SYN | ACK, extensions=chain)
    assert net.punted(net.from_server(answer), SERVER_SYNACK).frame == net.frame(answer)


@pytest.mark.parametrize("chain", OBSCURE)
def test_what_is_not_walked_does_not_reach_a_service(net: Network, chain: tuple[Extension, ...]) -> None:
    net.open(SESSION)
    net.dropped(net.from_client(client_segment(1, 2, extensions=chain)), Drop.EXTENSIONS)
    net.dropped(net.from_server(server_segment(1, 2, extensions=chain)), Drop.EXTENSIONS, 2)


@pytest.mark.parametrize("chain", [*CHAINS, *OBSCURE])
def test_others_are_routed_as_they_came(net: Network, chain: tuple[Extension, ...]) -> None:
    segment = replace(client_segment(1, 2, extensions=chain, payload=b"x"), destination=UNPROTECTED)
    assert net.from_client(segment).outputs == (net.to_server(segment),)


# --- fragments


@pytest.mark.parametrize(("offset", "more"), [(0, 1), (1, 0), (1, 1), (0x1FFF, 0), (185, 1)])
@pytest.mark.parametrize("before", [(), (HOP,), (HOP, DESTINATION)])
def test_fragments_of_a_service(net: Network, offset: int, more: int, before: tuple[Extension, ...]) -> None:
    net.open(SESSION)
    chain = (*before, fragment(offset, more))
    right = client_segment(2, net.proof(EVEN, 1) + 1, extensions=chain, payload=b"part")
    net.dropped(net.from_client(right), Drop.FRAGMENT)
    net.dropped(net.from_server(server_segment(1, 2, extensions=chain)), Drop.FRAGMENT, 2)
    elsewhere = replace(right, destination=UNPROTECTED)
    assert net.from_client(elsewhere).outputs == (net.to_server(elsewhere),)


def test_later_fragments_that_go_on_with_extension_headers(net: Network) -> None:
    """The transport protocol is not to be seen, so the address decides."""
    net.dropped(
        net.from_client(client_segment(1, 2, extensions=(fragment(3, 0), DESTINATION))), Drop.FRAGMENT
    )


def test_first_fragment_too_short_for_the_tcp_header(net: Network) -> None:
    """RFC 7112: what decides may not be left to a later fragment."""
    frame = raw((fragment(0, 1),), 6, bytes(16))
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.FRAGMENT)


@pytest.mark.parametrize("offset", [0, 5])
def test_fragments_of_other_protocols_pass(net: Network, offset: int) -> None:
    frame = raw((fragment(offset, 1),), 17, b"datagram")
    ((port, sent),) = net.target.send(CLIENT_LINK, frame).outputs
    assert port == SERVER_LINK
    assert sent[14 + 40 :] == frame[14 + 40 :]


# --- malformed


def raw(
    chain: tuple[Extension, ...],
    protocol: int,
    payload: bytes,
    *,
    source: str = CLIENT,
    destination: str = SERVER,
    length: int | None = None,
    hop_limit: int = 64,
) -> bytes:
    """A client's frame of any protocol, with a wrong payload length if one is given."""
    first, extensions = extension_chain(chain, protocol)
    body = extensions + payload
    length = len(body) if length is None else length
    sender, receiver = (address if ":" in address else v6(address) for address in (source, destination))
    head = ipv6_header(sender, receiver, first, length, hop_limit=hop_limit)
    return ethernet(SWITCH_CLIENT_MAC, CLIENT_MAC, 0x86DD) + head + body


@pytest.mark.parametrize("version", [0, 4, 5, 7, 15])
def test_version(net: Network, version: int) -> None:
    frame = bytearray(net.frame(syn(1)))
    frame[14] = version << 4
    net.dropped(net.target.send(CLIENT_LINK, bytes(frame)), Drop.MALFORMED_IP)


@pytest.mark.parametrize("length", [21, 100, 0xFFFF])
def test_payload_length_beyond_the_frame(net: Network, length: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, raw((), 17, bytes(20), length=length)), Drop.MALFORMED_IP)


@pytest.mark.parametrize("length", range(14, 74))
def test_frames_cut_short(net: Network, length: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, net.frame(syn(1))[:length]), Drop.MALFORMED_IP)


@pytest.mark.parametrize("length", [0, 7, 8, 15])
def test_extension_headers_longer_than_the_payload(net: Network, length: int) -> None:
    frame = raw((options(0, 1),), 6, bytes(20), length=length)
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.MALFORMED_IP)


@pytest.mark.parametrize("length", [0, 1, 19])
def test_payload_shorter_than_the_tcp_header(net: Network, length: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, raw((), 6, bytes(60), length=length)), Drop.MALFORMED_TCP)


@pytest.mark.parametrize("protocol", [17, 50, 58, 59, 132, 255])
@pytest.mark.parametrize("chain", [(), (HOP, DESTINATION)])
def test_other_protocols_are_routed(net: Network, protocol: int, chain: tuple[Extension, ...]) -> None:
    frame = raw(chain, protocol, b"\x80payload", hop_limit=9)
    sent = raw(chain, protocol, b"\x80payload", hop_limit=8)
    expected = ethernet(SERVER_MAC, SWITCH_SERVER_MAC, 0x86DD) + sent[14:]
    assert net.target.send(CLIENT_LINK, frame).outputs == ((SERVER_LINK, expected),)


# --- routing


@pytest.mark.parametrize("hop_limit", [0, 1])
def test_hop_limit(net: Network, hop_limit: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, raw((), 17, b"", hop_limit=hop_limit)), Drop.TTL)
    net.open(SESSION)
    net.dropped(net.from_client(client_segment(1, 2, ttl=hop_limit)), Drop.TTL, 2)
    assert net.target.counter("events", Event.TO_SERVER) == 0


@pytest.mark.parametrize("address", ["ff02::1", "ff0e::1234", "fe80::1", "febf::1", "::", "::1"])
@pytest.mark.parametrize("as_source", [True, False])
def test_addresses_that_are_not_routed(net: Network, address: str, as_source: bool) -> None:
    net.target.insert("routes_v6", {"destination": "::/0"}, "direct", port=SERVER_LINK)
    net.target.insert("neighbours_v6", {"next_hop": address}, "set_destination_mac", mac=1)
    frame = raw((), 17, b"", source=address) if as_source else raw((), 17, b"", destination=address)
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NO_ROUTE)


def test_no_route_and_no_neighbour(net: Network) -> None:
    net.dropped(net.target.send(CLIENT_LINK, raw((), 17, b"", destination="2001:db9::1")), Drop.NO_ROUTE)
    net.dropped(net.target.send(CLIENT_LINK, raw((), 17, b"", destination="198.18.1.77")), Drop.NO_NEIGHBOUR)
    group = ethernet("33:33:00:00:00:01", CLIENT_MAC, 0x86DD) + raw((), 17, b"")[14:]
    net.dropped(net.target.send(CLIENT_LINK, group), Drop.NO_ROUTE, 2)


def test_longest_prefix_wins(net: Network) -> None:
    host = {"destination": f"{v6(SERVER)}/128"}
    net.target.insert("routes_v6", host, "via_v6", port=CLIENT_LINK, next_hop=v6(CLIENT))
    net.target.insert("routes_v6", {"destination": "::/0"}, "direct", port=SERVER_LINK)
    ((port, _),) = net.target.send(CLIENT_LINK, raw((), 17, b"")).outputs
    assert port == CLIENT_LINK
    assert net.target.direct_counter("routes_v6", host) == 1


def test_route_skips_the_proxy(net: Network) -> None:
    opening: Segment = syn(7, extensions=(HOP,), source_mac="00:00:00:00:00:00")
    assert net.target.packet_out(ROUTE, 0, net.frame(opening)).outputs == (net.to_server(opening),)


def test_versions_do_not_mix(net: Network) -> None:
    """A service, and a session, of one IP version is none of the other's."""
    net.target.delete("services_v4", {"server": SERVER, "server_port": 80})
    assert net.target.send(CLIENT_LINK, client_segment(1, 2).frame()).outputs
    net.dropped(net.from_client(client_segment(1, 2)), Drop.BAD_COOKIE)
