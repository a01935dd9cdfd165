# SPDX-License-Identifier: Apache-2.0
"""What a crafted endpoint tells its neighbours, against scapy."""

from __future__ import annotations

from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from controller.scenario import neighbours

MAC = bytes.fromhex("020000000009")
ASKER = "02:00:00:00:00:01"


def test_arp_is_answered() -> None:
    request = bytes(Ether(src=ASKER) / ARP(op=1, psrc="203.0.113.1", pdst="203.0.113.77"))
    answer = neighbours.answer(request, "203.0.113.77", MAC)
    assert answer is not None
    reply = Ether(answer)
    assert reply.dst == ASKER
    assert (reply[ARP].op, reply[ARP].psrc, reply[ARP].hwsrc) == (2, "203.0.113.77", "02:00:00:00:00:09")
    assert reply[ARP].pdst == "203.0.113.1"
    assert neighbours.answer(request, "203.0.113.78", MAC) is None
    assert neighbours.answer(answer, "203.0.113.77", MAC) is None


def solicitation(source: str) -> bytes:
    return bytes(
        Ether(src=ASKER, dst="33:33:ff:00:00:77")
        / IPv6(src=source, dst="ff02::1:ff00:77", hlim=255)
        / ICMPv6ND_NS(tgt="2001:db8:203::77")
        / ICMPv6NDOptSrcLLAddr(lladdr=ASKER)
    )


def test_neighbour_solicitation_is_answered() -> None:
    answer = neighbours.answer(solicitation("2001:db8:203::1"), "2001:db8:203::77", MAC)
    assert answer is not None
    reply = Ether(answer)
    assert (reply.dst, reply.src) == (ASKER, "02:00:00:00:00:09")
    assert (reply[IPv6].src, reply[IPv6].dst, reply[IPv6].hlim) == (
        "2001:db8:203::77",
        "2001:db8:203::1",
        255,
    )
    advertisement = reply[ICMPv6ND_NA]
    assert (advertisement.tgt, advertisement.R, advertisement.S, advertisement.O) == (
        "2001:db8:203::77",
        0,
        1,
        1,
    )
    assert reply[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:09"
    checksum = advertisement.cksum
    del advertisement.cksum
    assert Ether(bytes(reply))[ICMPv6ND_NA].cksum == checksum


def test_other_questions_are_not() -> None:
    assert neighbours.answer(solicitation("2001:db8:203::1"), "2001:db8:203::78", MAC) is None
    assert neighbours.answer(solicitation("::"), "2001:db8:203::77", MAC) is None
