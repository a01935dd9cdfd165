# SPDX-License-Identifier: Apache-2.0
"""The answers of crafted ends to ARP and ND, against scapy."""

from __future__ import annotations

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether

from controller.scenario import neighbours

OWN_MAC = bytes.fromhex("020000000009")


def test_arp_is_answered() -> None:
    request = bytes(Ether(src="02:00:00:00:00:01") / ARP(op=1, psrc="203.0.113.1", pdst="203.0.113.77"))
    assert neighbours.answer(request, "203.0.113.78", OWN_MAC) is None
    found = neighbours.answer(request, "203.0.113.77", OWN_MAC)
    assert found is not None
    reply = Ether(found)
    assert (reply.dst, reply[ARP].op, reply[ARP].psrc, reply[ARP].hwsrc, reply[ARP].pdst) == (
        "02:00:00:00:00:01",
        2,
        "203.0.113.77",
        "02:00:00:00:00:09",
        "203.0.113.1",
    )
    assert neighbours.answer(found, "203.0.113.77", OWN_MAC) is None


def solicitation(source: str = "2001:db8:203::1", limit: int = 255) -> bytes:
    """As a neighbour asks for 2001:db8:203::77."""
    return bytes(
        Ether(src="02:00:00:00:00:01", dst="33:33:ff:00:00:77")
        / IPv6(src=source, dst="ff02::1:ff00:77", hlim=limit)
        / ICMPv6ND_NS(tgt="2001:db8:203::77")
        / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")
    )


def test_neighbour_discovery_is_answered() -> None:
    found = neighbours.answer(solicitation(), "2001:db8:203::77", OWN_MAC)
    assert found is not None
    reply = Ether(found)
    assert (reply.dst, reply.src, reply[IPv6].src, reply[IPv6].dst, reply[IPv6].hlim) == (
        "02:00:00:00:00:01",
        "02:00:00:00:00:09",
        "2001:db8:203::77",
        "2001:db8:203::1",
        255,
    )
    told = reply[ICMPv6ND_NA]
    assert (told.tgt, told.R, told.S, told.O) == ("2001:db8:203::77", 0, 1, 1)
    assert reply[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:09"
    rebuilt = Ether(found)
    del rebuilt[ICMPv6ND_NA].cksum
    assert bytes(rebuilt) == found


@pytest.mark.parametrize("frame", [solicitation("::"), solicitation(limit=64), solicitation()[:60], b""])
def test_other_solicitations_are_not_answered(frame: bytes) -> None:
    assert neighbours.answer(frame, "2001:db8:203::77", OWN_MAC) is None
    assert neighbours.answer(solicitation(), "2001:db8:203::78", OWN_MAC) is None
