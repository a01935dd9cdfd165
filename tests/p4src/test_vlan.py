# SPDX-License-Identifier: Apache-2.0
"""One 802.1Q tag stays on whatever a tagged packet causes; see also the tests that run on every wire."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from .network import (
    ARRIVE,
    CLIENT_LINK,
    CLIENT_MAC,
    EVEN,
    PROVEN,
    SWITCH_CLIENT_MAC,
    TAGGED_V4,
    TAGGED_V6,
    Drop,
    Network,
    client_segment,
    server_segment,
    syn,
)
from .reference import ACK, SYN, Session, mac_bytes, pad, sack_option
from .test_forwarding import arp, arp_answer

pytestmark = pytest.mark.parametrize("wire", [TAGGED_V4, TAGGED_V6], ids=["v4", "v6"], indirect=True)

SESSION = Session(delta=0x89ABCDEF, tau=3)
TAGS = [0, 1, 0x0FFF, 0x1000, 0xE123, 0xFFFF]


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_stays(net: Network, tag: int) -> None:
    net.wire = replace(net.wire, tag=tag)
    net.open(SESSION)
    out = client_segment(1, 2, options=pad(sack_option(1, 2)), payload=b"data", padding=b"\0" * 3)
    assert net.from_client(out).outputs == (net.to_server(out, SESSION),)
    back = server_segment(1, 2, options=pad(sack_option(1, 2)), payload=b"data")
    assert net.from_server(back).outputs == (net.to_client(back, SESSION),)
    ((port, frame),) = net.from_client(replace(syn(1), source_port=9)).outputs
    assert port == CLIENT_LINK
    assert frame[12:16] == struct.pack(">HH", 0x8100, tag)
    ((_, frame),) = net.from_server(server_segment(1, 2, SYN | ACK)).outputs
    assert frame[12:16] == struct.pack(">HH", 0x8100, tag)


def test_plain_traffic_keeps_its_tag(net: Network) -> None:
    segment = replace(client_segment(1, 2, payload=b"x"), destination_port=8080)
    assert net.from_client(segment).outputs == (net.to_server(segment),)


def test_punts_keep_it_and_come_back_with_it(net: Network) -> None:
    right = client_segment(2, net.proof(EVEN, 1) + 1, payload=b"GET /")
    packet_in = net.punted(net.from_client(right), PROVEN)
    assert packet_in.frame == net.frame(right)
    net.open(SESSION)
    sent = net.target.packet_out(ARRIVE, CLIENT_LINK, packet_in.frame).outputs
    assert sent == (net.to_server(right, SESSION),)


def test_arp_behind_a_tag(net: Network) -> None:
    tag = struct.pack(">HH", 0x8100, 0x5005)
    asked, expected = (frame[:12] + tag + frame[12:] for frame in (arp(), arp_answer()))
    assert net.target.send(CLIENT_LINK, asked).outputs == ((CLIENT_LINK, expected),)


@pytest.mark.parametrize("outer", [0x8100, 0x88A8])
def test_two_tags(net: Network, outer: int) -> None:
    inner = net.frame(client_segment(1, 2, ACK))
    frame = mac_bytes(SWITCH_CLIENT_MAC) + mac_bytes(CLIENT_MAC) + struct.pack(">HH", outer, 7) + inner[12:]
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NOT_IP)


@pytest.mark.parametrize("cut", range(1, 39))
def test_cut_short(net: Network, cut: int) -> None:
    frame = net.frame(syn(1))[:-cut]
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.MALFORMED_IP)
