# SPDX-License-Identifier: Apache-2.0
"""Programs of the kind that P4 courses begin with: compiled, loaded, packets in and packets out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.codegen.harness import Switch
from tests.p4.snippets import PROGRAMS

MACS = bytes.fromhex("020000000001 020000000002")


@pytest.fixture
def switch(request: pytest.FixtureRequest) -> Iterator[Switch]:
    with Switch.of_file(PROGRAMS / f"{request.param}.p4") as loaded:
        yield loaded


def ipv4(src: str = "0a000001", dst: str = "0a000002", ttl: int = 64, protocol: int = 6) -> bytes:
    return bytes.fromhex(f"45000028 00000000 {ttl:02x}{protocol:02x}0000 {src} {dst}")


def tcp(src_port: int, dst_port: int, flags: int) -> bytes:
    return src_port.to_bytes(2, "big") + dst_port.to_bytes(2, "big") + bytes(9) + bytes([flags]) + bytes(6)


def frame(kind: int, payload: bytes) -> bytes:
    return MACS + kind.to_bytes(2, "big") + payload


@pytest.mark.parametrize("switch", ["source_routing"], indirect=True)
def test_source_routing_takes_one_hop_per_switch(switch: Switch) -> None:
    hops = bytes.fromhex("0003 0002 8001")
    for port, rest in ((3, hops[2:]), (2, hops[4:])):
        ((out, sent),) = switch.send(1, frame(0x1234, hops + ipv4(ttl=9)))
        assert (out, sent) == (port, frame(0x1234, rest + ipv4(ttl=8)))
        hops = rest
    assert switch.send(1, frame(0x1234, hops + ipv4())) == [(1, frame(0x800, ipv4(ttl=63)))]
    assert switch.send(1, frame(0x800, ipv4())) == []


@pytest.mark.parametrize("switch", ["source_routing"], indirect=True)
def test_source_routing_with_more_hops_than_the_stack_holds(switch: Switch) -> None:
    hops = bytes.fromhex("0004" * 12 + "8001")
    ((out, sent),) = switch.send(1, frame(0x1234, hops))
    assert (out, sent) == (4, frame(0x1234, hops[2:]))


@pytest.mark.parametrize("switch", ["firewall"], indirect=True)
def test_firewall_lets_answers_in_and_nothing_else(switch: Switch) -> None:
    inner, outer = "0a000001", "c0000201"
    answer = frame(0x800, ipv4(outer, inner) + tcp(80, 4000, 0x12))
    assert switch.send(2, answer) == []
    opening = frame(0x800, ipv4(inner, outer) + tcp(4000, 80, 0x02))
    assert switch.send(1, opening) == [(2, opening)]
    assert switch.send(2, answer) == [(1, answer)]
    assert switch.send(2, frame(0x800, ipv4(outer, inner) + tcp(81, 4000, 0x12))) == []


@pytest.mark.parametrize("switch", ["calculator"], indirect=True)
@pytest.mark.parametrize(
    ("operation", "result"),
    [("+", 0x1_0000_0005 & 0xFFFFFFFF), ("-", 0xFFFFFFF3), ("&", 0x8), ("|", 0xFFFFFFFD), ("^", 0xFFFFFFF5)],
)
def test_calculator(switch: Switch, operation: str, result: int) -> None:
    a, b = 0xFFFFFFFC, 0x9
    head = b"P4\x01" + operation.encode() + a.to_bytes(4, "big") + b.to_bytes(4, "big")
    ((port, sent),) = switch.send(7, frame(0x1234, head + bytes(4)))
    assert port == 7
    assert sent == MACS[6:] + MACS[:6] + b"\x12\x34" + head + result.to_bytes(4, "big")


@pytest.mark.parametrize("switch", ["calculator"], indirect=True)
def test_calculator_drops_what_it_does_not_know(switch: Switch) -> None:
    assert switch.send(7, frame(0x1234, b"P4\x01*" + bytes(12))) == []
    assert switch.send(7, frame(0x1234, b"P4\x02+" + bytes(12))) == []
    assert switch.send(7, frame(0x1234, b"P4")) == []


@pytest.mark.parametrize("switch", ["load_balance"], indirect=True)
def test_load_balance_keeps_a_connection_on_its_way(switch: Switch) -> None:
    switch.insert("groups", [(0x0A000000, 8)], "choose", 0, 2)
    for choice, port in ((0, 2), (1, 3)):
        switch.insert("next_hops", [choice], "next_hop", port, 0x0A000100 + port, port)
        switch.insert("frames", [port], "rewrite", 0x020000000100 + port)
    ways = {}
    for source in range(4000, 4040):
        packets = [switch.send(1, frame(0x800, ipv4() + tcp(source, 80, 0x10))) for _ in range(2)]
        assert packets[0] == packets[1]
        ((ways[source], sent),) = packets[0]
        assert sent[:6] == ways[source].to_bytes(6, "big")
        assert sent[6:12] == (0x020000000100 + ways[source]).to_bytes(6, "big")
    assert set(ways.values()) == {2, 3}
