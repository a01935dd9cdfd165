# SPDX-License-Identifier: Apache-2.0
"""Extension headers and fragments of the scenarios, against scapy."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, defragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    defragment6,
)
from scapy.layers.l2 import Ether

from controller.scenario import wire
from controller.scenario.fragments import fragments

SOURCE_MAC, DESTINATION_MAC = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"
PAYLOAD = bytes(range(100))


def segment(source: str, destination: str, extensions: tuple[str, ...] = ()) -> wire.Segment:
    options = wire.Options(timestamps=(1, 2))
    return wire.Segment(
        source, destination, 40000, 80, wire.ACK, 7, 9, 512, options, PAYLOAD, extensions=extensions
    )


def build(sent: wire.Segment) -> bytes:
    return wire.build(sent, source_mac=SOURCE_MAC, destination_mac=DESTINATION_MAC)


def test_extension_headers_are_as_scapy_reads_them() -> None:
    sent = segment("2001:db8:1::1", "2001:db8:2::2", ("hop_by_hop", "routing", "destination"))
    frame = build(sent)
    packet = Ether(frame)
    for header in (IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, IPv6ExtHdrDestOpt):
        assert header in packet
    assert packet[IPv6ExtHdrRouting].segleft == 0
    checksum = packet[TCP].chksum
    del packet[TCP].chksum
    assert Ether(bytes(packet))[TCP].chksum == checksum
    assert wire.parse(frame) == sent


@pytest.mark.parametrize("cut_short", [1, 100])
def test_a_header_chain_that_ends_too_early(cut_short: int) -> None:
    frame = build(segment("2001:db8:1::1", "2001:db8:2::2", ("destination",)))
    with pytest.raises(wire.MalformedError):
        wire.parse(frame[:-cut_short])


@pytest.mark.parametrize("size", [8, 24, 64])
def test_ipv4_fragments_are_whole_again_in_scapy(size: int) -> None:
    frame = build(segment("198.51.100.1", "203.0.113.1"))
    cut = fragments(frame, size)
    assert len(cut) == -(-(len(frame) - 34) // size)
    assert all(wire.checksum(piece[14:34]) == 0 for piece in cut)
    assert all(wire.parse(piece) is None for piece in cut)
    (whole,) = defragment([Ether(piece)[IP] for piece in cut])  # type: ignore[no-untyped-call]
    assert bytes(whole)[20:] == frame[34:]


def test_ipv6_fragments_are_whole_again_in_scapy() -> None:
    frame = build(segment("2001:db8:1::1", "2001:db8:2::2"))
    cut = fragments(frame, 40)
    assert [Ether(piece)[IPv6ExtHdrFragment].offset for piece in cut] == [0, 5, 10, 15]
    assert [Ether(piece)[IPv6ExtHdrFragment].m for piece in cut] == [1, 1, 1, 0]
    whole = defragment6([Ether(piece)[IPv6] for piece in cut])  # type: ignore[no-untyped-call]
    assert bytes(whole)[40:] == frame[54:]
