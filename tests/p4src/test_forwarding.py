# SPDX-License-Identifier: Apache-2.0
"""Plain routing, ARP, and the packet-out modes."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from .network import (
    ARRIVE,
    CLIENT,
    CLIENT_LINK,
    CLIENT_MAC,
    EMIT,
    EVEN,
    PROVEN,
    ROUTE,
    SERVER,
    SERVER_LINK,
    SERVER_MAC,
    SWITCH_CLIENT_ADDRESS,
    SWITCH_CLIENT_MAC,
    SWITCH_SERVER_MAC,
    Drop,
    Event,
    Network,
    client_segment,
    proof,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    NOP,
    RST,
    SACK_PERMITTED,
    Session,
    ethernet,
    ipv4_header,
    mac_bytes,
    mss_option,
    pad,
    scale_option,
    timestamps_option,
)


def udp(
    source: str = CLIENT, destination: str = SERVER, ttl: int = 64, options: bytes = b"", protocol: int = 17
) -> bytes:
    """A datagram of another protocol."""
    return (
        ipv4_header(source, destination, protocol, 12, ttl=ttl, options=options)
        + b"\0\x01\0\x02\0\x0c\0\0data"
    )


def on_client_link(datagram: bytes, destination_mac: str = SWITCH_CLIENT_MAC) -> bytes:
    """A frame from the client."""
    return ethernet(destination_mac, CLIENT_MAC, 0x0800) + datagram


# --- routing


@pytest.mark.parametrize("ttl", [2, 64, 255])
@pytest.mark.parametrize("protocol", [1, 17, 47, 132])
def test_other_protocols_are_routed(net: Network, ttl: int, protocol: int) -> None:
    """Via a next hop that way, on a connected link this way."""
    there = udp(ttl=ttl, protocol=protocol)
    result = net.target.send(CLIENT_LINK, on_client_link(there))
    after = udp(ttl=ttl - 1, protocol=protocol)
    assert result.outputs == ((SERVER_LINK, ethernet(SERVER_MAC, SWITCH_SERVER_MAC, 0x0800) + after),)
    back = ethernet(SWITCH_SERVER_MAC, SERVER_MAC, 0x0800) + udp(SERVER, CLIENT, ttl, protocol=protocol)
    result = net.target.send(SERVER_LINK, back + b"padding")
    after = udp(SERVER, CLIENT, ttl - 1, protocol=protocol)
    assert result.outputs == (
        (CLIENT_LINK, ethernet(CLIENT_MAC, SWITCH_CLIENT_MAC, 0x0800) + after + b"padding"),
    )


def test_ip_options_are_kept(net: Network) -> None:
    options = b"\x94\x04\0\0" + NOP * 36
    ((_, frame),) = net.target.send(CLIENT_LINK, on_client_link(udp(options=options))).outputs
    assert frame[14:] == udp(ttl=63, options=options)


@pytest.mark.parametrize("ttl", [0, 1])
def test_time_to_live(net: Network, ttl: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, on_client_link(udp(ttl=ttl))), Drop.TTL)
    net.open(Session(delta=1))
    net.dropped(net.from_client(client_segment(1, 2, ttl=ttl)), Drop.TTL, 2)
    assert net.target.counter("events", Event.TO_SERVER) == 0


@pytest.mark.parametrize(
    "destination",
    ["192.0.2.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "127.0.0.1", "0.0.0.0"],
)
def test_no_route(net: Network, destination: str) -> None:
    frame = on_client_link(udp(destination=destination))
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NO_ROUTE)


def test_group_destinations_are_not_routed_by_a_default_route(net: Network) -> None:
    net.target.insert(
        "routes_v4", {"destination": "0.0.0.0/0"}, "via", port=SERVER_LINK, next_hop="198.18.2.2"
    )
    assert net.target.send(CLIENT_LINK, on_client_link(udp(destination="192.0.2.1"))).outputs
    for times, destination in enumerate(("224.0.0.5", "255.255.255.255", "127.0.0.1"), start=1):
        frame = on_client_link(udp(destination=destination))
        net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NO_ROUTE, times)


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_frames_to_everybody_are_not_routed(net: Network, mac: str) -> None:
    net.dropped(net.target.send(CLIENT_LINK, on_client_link(udp(), mac)), Drop.NO_ROUTE)
    net.dropped(net.target.send(CLIENT_LINK, on_client_link(syn(1).datagram(), mac)), Drop.NO_ROUTE, 2)


def test_no_neighbour(net: Network) -> None:
    frame = on_client_link(udp(destination="198.18.1.77"))
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NO_NEIGHBOUR)


def test_no_port(net: Network) -> None:
    net.target.delete("ports", {"port": SERVER_LINK})
    net.dropped(net.target.send(CLIENT_LINK, on_client_link(udp())), Drop.NO_PORT)


def test_longest_prefix_wins(net: Network) -> None:
    net.target.insert("routes_v4", {"destination": f"{SERVER}/32"}, "via", port=CLIENT_LINK, next_hop=CLIENT)
    net.target.insert("routes_v4", {"destination": "0.0.0.0/0"}, "direct", port=SERVER_LINK)
    ((port, _),) = net.target.send(CLIENT_LINK, on_client_link(udp())).outputs
    assert port == CLIENT_LINK
    assert net.target.direct_counter("routes_v4", {"destination": f"{SERVER}/32"}) == 1
    assert net.target.direct_counter("routes_v4", {"destination": "203.0.113.0/24"}) == 0


SYN_OPTIONS = pad(mss_option(1400) + SACK_PERMITTED + timestamps_option(1, 0) + scale_option(7))


@pytest.mark.parametrize("options", [b"", SYN_OPTIONS, b"\xfd\x03u" * 13 + NOP, NOP * 4])
def test_tcp_of_other_services_is_untouched(net: Network, options: bytes) -> None:
    """Also of another port of the same server, and of connections that the server itself opens."""
    for port in (8080, 81):
        segment = replace(syn(1, options=options, payload=b"early", reserved=7), destination_port=port)
        assert net.from_client(segment).outputs == (net.to_server(segment),)
        answer = replace(server_segment(1, 2, options=options), source_port=port)
        assert net.from_server(answer).outputs == (net.to_client(answer),)


# --- ARP


def arp(
    operation: int = 1, target: str = SWITCH_CLIENT_ADDRESS, head: bytes = b"\0\x01\x08\0\x06\x04"
) -> bytes:
    """An ARP frame from the client, padded as Ethernet wants it."""
    body = head + struct.pack(">H", operation) + mac_bytes(CLIENT_MAC) + IPv4Address(CLIENT).packed
    body += bytes(6) + IPv4Address(target).packed
    return ethernet("ff:ff:ff:ff:ff:ff", CLIENT_MAC, 0x0806) + body + bytes(18)


def arp_answer() -> bytes:
    """What the switch has to say to it."""
    body = b"\0\x01\x08\0\x06\x04\0\x02" + mac_bytes(SWITCH_CLIENT_MAC)
    body += IPv4Address(SWITCH_CLIENT_ADDRESS).packed + mac_bytes(CLIENT_MAC) + IPv4Address(CLIENT).packed
    return ethernet(CLIENT_MAC, SWITCH_CLIENT_MAC, 0x0806) + body + bytes(18)


def test_arp_for_our_address(net: Network) -> None:
    assert net.target.send(CLIENT_LINK, arp()).outputs == ((CLIENT_LINK, arp_answer()),)
    assert net.target.counter("events", Event.ARP_ANSWERED) == 1


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(arp(target="198.18.1.9"), id="for-another"),
        pytest.param(arp(operation=2), id="reply"),
        pytest.param(arp(operation=3), id="reverse"),
        pytest.param(arp(head=b"\0\x06\x08\0\x06\x04"), id="other-hardware"),
        pytest.param(arp(head=b"\0\x01\x86\xdd\x06\x10"), id="other-protocol"),
        pytest.param(arp(head=b"\0\x01\x08\0\x08\x04"), id="other-lengths"),
        pytest.param(arp()[:41], id="cut-short"),
    ],
)
def test_other_arp(net: Network, frame: bytes) -> None:
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NOT_IP)


def test_arp_on_another_port(net: Network) -> None:
    net.dropped(net.target.send(SERVER_LINK, arp()), Drop.NOT_IP)


# --- packet-out


@pytest.mark.parametrize("frame", [b"\xee" * 14, syn(1).frame(), arp(), b"\x01\x02" * 700])
def test_emit_sends_as_it_is(net: Network, frame: bytes) -> None:
    assert net.target.packet_out(EMIT, SERVER_LINK, frame).outputs == ((SERVER_LINK, frame),)


def test_arrive_is_the_whole_pipeline(net: Network) -> None:
    right = client_segment(2, proof(EVEN, 1) + 1, payload=b"GET /")
    packet_in = net.punted(net.target.packet_out(ARRIVE, CLIENT_LINK, right.frame()), PROVEN)
    assert packet_in.ingress_port == CLIENT_LINK
    assert packet_in.frame == right.frame()
    session = Session(delta=99)
    net.open(session)
    assert net.target.packet_out(ARRIVE, CLIENT_LINK, right.frame()).outputs == (
        net.to_server(right, session),
    )
    assert net.target.packet_out(ARRIVE, CLIENT_LINK, arp()).outputs == ((CLIENT_LINK, arp_answer()),)


def test_route_skips_the_proxy(net: Network) -> None:
    """SYN(x) to the server, a RST to the client: as they are, but for TTL and MACs."""
    nobody = "00:00:00:00:00:00"
    opening = replace(syn(7, options=SYN_OPTIONS), source_mac=nobody, destination_mac=nobody)
    assert net.target.packet_out(ROUTE, 0, opening.frame()).outputs == (net.to_server(opening),)
    reset = replace(server_segment(7, 8, RST | ACK), source_mac=nobody, destination_mac=nobody)
    assert net.target.packet_out(ROUTE, 0, reset.frame()).outputs == (net.to_client(reset),)
    net.open(Session(delta=5))
    acknowledgment = replace(client_segment(8, 9, ACK), source_mac=nobody, destination_mac=nobody)
    assert net.target.packet_out(ROUTE, 0, acknowledgment.frame()).outputs == (net.to_server(acknowledgment),)


def test_route_of_what_cannot_be_routed(net: Network) -> None:
    net.dropped(net.target.packet_out(ROUTE, 0, syn(1, ttl=1).frame()), Drop.TTL)
    net.dropped(net.target.packet_out(ROUTE, 0, arp()), Drop.NOT_IP)
    net.dropped(net.target.packet_out(ROUTE, 0, syn(1).frame()[:40]), Drop.MALFORMED_IP)


@pytest.mark.parametrize(
    ("mode", "port", "frame"),
    [
        (3, CLIENT_LINK, syn(1).frame()),
        (255, CLIENT_LINK, syn(1).frame()),
        (EMIT, 510, syn(1).frame()),
        (EMIT, 511, syn(1).frame()),
        (EMIT, 512 + CLIENT_LINK, syn(1).frame()),
        (ARRIVE, 510, syn(1).frame()),
        (EMIT, CLIENT_LINK, b"\xee" * 13),
        (EMIT, CLIENT_LINK, b""),
    ],
)
def test_packet_outs_that_make_no_sense(net: Network, mode: int, port: int, frame: bytes) -> None:
    net.dropped(net.target.packet_out(mode, port, frame), Drop.NOT_OURS)
