# SPDX-License-Identifier: Apache-2.0
"""ICMP errors, tags and kernel counters of the scenarios, against scapy and against texts of a kernel."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCPerror
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Dot1Q, Ether

from controller.scenario import icmp, wire
from controller.scenario.steps.kernel import loss_rules, parse_counters
from controller.scenario.tags import tagged, untagged

MACS = {"source_mac": b"\x02\0\0\0\0\1", "destination_mac": b"\x02\0\0\0\0\2"}


def too_big(router: str, source: str, destination: str, quoted: int, seq: int = 0xFFFFFFF0) -> icmp.TooBig:
    segment = wire.Segment(source, destination, 80, 40000, wire.ACK, seq, 7, payload=bytes(range(100)))
    return icmp.TooBig(router, segment, 1280, quoted)


V4 = ("192.0.2.1", "203.0.113.10", "198.51.100.10")
V6 = ("2001:db8::1", "2001:db8:203::10", "2001:db8:51::10")


@pytest.mark.parametrize("quoted", [8, 20, 120])
def test_ipv4_error_is_as_scapy_reads_it(quoted: int) -> None:
    frame = icmp.build(too_big(*V4, quoted), **MACS)
    packet = Ether(frame)
    assert (packet[IP].src, packet[IP].dst) == V4[:2]
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu) == (3, 4, 1280)
    assert packet[TCPerror].seq == 0xFFFFFFF0
    assert len(frame) == 14 + 20 + 8 + 20 + quoted
    assert wire.checksum(frame[14:34]) == wire.checksum(frame[34:]) == 0
    assert icmp.is_too_big(frame, V4[1])
    assert not icmp.is_too_big(frame, V4[2])


def test_ipv6_error_is_as_scapy_reads_it() -> None:
    frame = icmp.build(too_big(*V6, 8), **MACS)
    packet = Ether(frame)
    checksum = packet[ICMPv6PacketTooBig].cksum
    del packet[ICMPv6PacketTooBig].cksum
    assert Ether(bytes(packet))[ICMPv6PacketTooBig].cksum == checksum
    assert (packet[IPv6].dst, packet[ICMPv6PacketTooBig].mtu) == (V6[1], 1280)
    assert icmp.is_too_big(frame, V6[1])
    assert not icmp.is_too_big(frame, V6[2])


@pytest.mark.parametrize("places", [V4, V6])
def test_differences_are_found(places: tuple[str, str, str]) -> None:
    wanted = too_big(*places, 20)
    frame = icmp.build(wanted, **MACS)
    assert icmp.difference(frame, wanted) is None
    assert icmp.difference(frame, too_big(*places, 20, seq=5)) is not None
    assert icmp.difference(frame[:-1], wanted) is not None
    assert icmp.difference(frame[:-1] + bytes([frame[-1] ^ 1]), wanted) is not None


def test_tags() -> None:
    frame = bytes(Ether() / IP() / b"data")
    with_tag = tagged(frame, 5 << 13 | 7)
    assert (Ether(with_tag)[Dot1Q].vlan, Ether(with_tag)[Dot1Q].prio) == (7, 5)
    assert untagged(with_tag, 7) == frame
    assert untagged(with_tag, 8) is untagged(with_tag, None) is untagged(frame, 7) is None
    assert untagged(frame, None) == frame


def test_counters_have_the_names_of_nstat() -> None:
    text = "Tcp: InSegs OutSegs\nTcp: 5 6\nTcpExt: PAWSActive PAWSEstab\nTcpExt: 0 -1\nIp6InReceives \t 9\n"
    counters = {"TcpInSegs": 5, "TcpOutSegs": 6, "TcpExtPAWSActive": 0, "TcpExtPAWSEstab": -1}
    assert parse_counters(text) == {**counters, "Ip6InReceives": 9}


def test_loss_in_hundredths_of_a_percent() -> None:
    assert "mod 10000 < 150 drop" in loss_rules(1.5)
    assert "numgen" not in loss_rules(0)
