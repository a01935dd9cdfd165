# SPDX-License-Identifier: Apache-2.0
"""The same frames through our switch and through BMv2: the same frames, punts, reports and counts come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from .bmv2_target import Bmv2Target
from .conftest import PROGRAM
from .network import (
    CLIENT,
    CLIENT_LINK,
    CLIENT_MAC,
    EVEN,
    FLOW,
    ODD,
    SERVER,
    SERVER_LINK,
    SWITCH_CLIENT_MAC,
    TAGGED_V4,
    TAGGED_V6,
    V4,
    V6,
    Network,
    Wire,
    client_segment,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    END,
    NOP,
    SACK_PERMITTED,
    Extension,
    Flow,
    Segment,
    Session,
    cookie,
    ethernet,
    icmp_error,
    ipv4_header,
    mss_option,
    ones_complement,
    sack_option,
    scale_option,
    timestamps_option,
)
from .softswitch_target import SoftswitchTarget
from .target import Result
from .test_neighbours import solicitation

pytestmark = [pytest.mark.bmv2, pytest.mark.p4c, pytest.mark.root]

FRAMES = 300
OPEN = Session(delta=0x89ABCDEF, tau=0x1234567, to_client_shift=3, to_server_shift=0x83)
CLOSING = Session(delta=77, tau=0xFFFFFFF0, phase=1)
CLOSING_PORT = 40001


SERVICES = [{}, {"reset_unknown": 1}, {"lenient": 1}, {"mode": 1}]
EXTENSIONS = (
    Extension(0, b"\0\1\4" + bytes(4)),
    Extension(60, b"\1\1\x0c" + bytes(12)),
    Extension(43, b"\2\4\0\0" + bytes(19)),
    Extension(44, bytes(7)),
    Extension(44, b"\0\0\1" + bytes(4)),
    Extension(44, b"\0\1\0" + bytes(4)),
    Extension(60, b"\7\1" + bytes(61)),
    Extension(60, b"\x08\1" + bytes(69)),
    Extension(51, bytes(15)),
)


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SoftswitchTarget, Bmv2Target]]:
    """Both switches."""
    ours = SoftswitchTarget(PROGRAM)
    theirs = Bmv2Target(PROGRAM, tmp_path_factory.mktemp("bmv2-pair"), ports=2)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture(params=SERVICES, ids=["drop", "reset", "lenient", "pass"])
def pair(
    request: pytest.FixtureRequest, switches: tuple[SoftswitchTarget, Bmv2Target]
) -> Iterator[tuple[SoftswitchTarget, Bmv2Target]]:
    """Both switches, set up alike. No timestamps in SYN/ACKs: the clocks differ."""
    for target in switches:
        Network(target).install()
        for wire in (V4, V6):
            net = Network(target, wire)
            net.set_service(timestamps=0, **request.param)
            net.open(OPEN)
            net.open(CLOSING, replace(FLOW, client_port=CLOSING_PORT))
    yield switches
    for target in switches:
        target.reset()


def option_area(source: random.Random) -> bytes:
    """Mostly well-formed options in any order; now and then anything."""
    if source.random() < 0.1:
        return source.randbytes(4 * source.randint(0, 10))
    area = b""
    for _ in range(source.randint(0, 6)):
        area += source.choice(
            (
                NOP,
                END if source.random() < 0.1 else NOP,
                mss_option(source.getrandbits(16)),
                scale_option(source.randrange(20)),
                SACK_PERMITTED,
                timestamps_option(source.getrandbits(32), source.getrandbits(32)),
                sack_option(*(source.getrandbits(32) for _ in range(2 * source.randint(1, 4)))),
                bytes((source.choice((0xFD, 30, 5, 8)), 5)) + source.randbytes(3),
            )
        )
    area += NOP * (-len(area) % 4)
    return area[:40]


def segment(source: random.Random, wire: Wire) -> Segment:
    """A segment of an open, closing or unknown session, in either direction, with or without a cookie."""
    port = source.choice((40000, CLOSING_PORT, 40002))
    flags = source.choice((ACK, ACK, ACK, ACK | 8, 2, 2, 18, 17, 4, 20, source.getrandbits(8)))
    seq, ack = source.getrandbits(32), source.getrandbits(32)
    if source.random() < 0.3:
        isn = seq - source.randint(0, 1)
        flow = Flow(wire.address(CLIENT), port, wire.address(SERVER), FLOW.server_port)
        ack = cookie(source.choice((EVEN, ODD)), flow, isn, source.randrange(8), source.randrange(16), 1) + 1
    common = {
        "options": option_area(source),
        "payload": source.randbytes(source.choice((0, 0, 1, 2, 3, 100))),
        "window": source.getrandbits(16),
        "ttl": source.choice((0, 1, 2, 64, 255)),
        "fragment": source.choice((0, 0x4000, 0x4000, 0x4000, 0x4000, source.getrandbits(16))),
        "reserved": source.getrandbits(4),
        "urgent": source.getrandbits(16),
        "corrupt": source.choice((0, 0, 1, 999)),
        "padding": b"\xa5" * source.choice((0, 0, 6, 18)),
        "ip_options": NOP * source.choice((0, 0, 0, 0, 4, 40)),
        "extensions": tuple(source.choices(EXTENSIONS, k=source.choice((0, 0, 0, 0, 1, 2, 5)))),
    }
    if source.random() < 0.6:
        made = replace(client_segment(seq, ack, flags, **common), source_port=port)
    else:
        made = replace(server_segment(seq, ack, flags, **common), destination_port=port)
    return wire.carry(made)


def error(source: random.Random, wire: Wire) -> bytes:
    """An ICMP message, mostly an error, about a segment."""
    kinds = (1, 2, 3, 4, 135) if wire.ipv6 else (3, 4, 11, 12, 8)
    return icmp_error(
        segment(source, wire),
        wire.address("198.18.9.9"),
        (source.choice(kinds), source.randrange(3)),
        source.choice((4, 8, 12, 14, 16, 18, 20, 60, 80)),
        ttl=64,
        source_mac=CLIENT_MAC,
        destination_mac=SWITCH_CLIENT_MAC,
        tail=source.randbytes(source.choice((0, 0, 1))),
    )


def repair(made: bytearray, wire: Wire) -> None:
    """Give an IPv4 header the right checksum again, if it is there at all."""
    at = 14 if wire.tag is None else 18
    end = at + max(5, made[at] & 15) * 4
    if not wire.ipv6 and len(made) >= end:
        made[at + 10 : at + 12] = bytes(2)
        made[at + 10 : at + 12] = (0xFFFF ^ ones_complement(bytes(made[at:end]))).to_bytes(2)


def frame(source: random.Random, wire: Wire) -> bytes:
    """A frame to be sent: some are whole, some have bytes changed, with and without a matching checksum."""
    choice = source.random()
    if choice < 0.03:
        return source.randbytes(source.randint(14, 90))
    if choice < 0.06:
        protocol = source.choice((1, 6, 17))
        datagram = ipv4_header(
            CLIENT, SERVER, protocol, 30, fragment=source.choice((0, 7))
        ) + source.randbytes(30)
        return ethernet(SWITCH_CLIENT_MAC, CLIENT_MAC, 0x0800) + datagram
    if choice < 0.1:
        made = bytearray(solicitation(tag=wire.tag))
    elif source.random() < 0.2:
        made = bytearray(error(source, wire))
    else:
        made = bytearray(segment(source, wire).frame())
    if choice < 0.3:
        for _ in range(source.randint(1, 3)):
            made[source.randrange(12, len(made))] = source.getrandbits(8)
        if source.random() < 0.8:
            repair(made, wire)
    if choice > 0.97:
        shortest = (
            14 if wire.tag is None else 20
        )  # with less behind a tag, Linux drops it before BMv2 sees it
        del made[source.randint(shortest, len(made)) :]
    return bytes(made)


def by_port(result: Result) -> dict[int, list[str]]:
    """What left, in order, by port."""
    return {
        port: [out.frame.hex() for out in result.outputs if out.port == port]
        for port in (CLIENT_LINK, SERVER_LINK)
    }


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("wire", [V4, V6, TAGGED_V4, TAGGED_V6], ids=["v4", "v6", "v4-tagged", "v6-tagged"])
def test_random_frames(pair: tuple[SoftswitchTarget, Bmv2Target], wire: Wire, seed: int) -> None:
    source = random.Random(1000 + seed)
    port = (CLIENT_LINK, SERVER_LINK)[seed % 2]  # one port: BMv2 keeps no order between ports
    frames = [(port, frame(source, wire)) for _ in range(FRAMES)]
    ours, theirs = (target.send_all(frames) for target in pair)
    assert by_port(ours) == by_port(theirs)
    assert [p._asdict() for p in ours.packet_ins] == [p._asdict() for p in theirs.packet_ins]
    assert set(ours.events) == set(
        theirs.events
    )  # BMv2 holds a repeated digest back until it is acknowledged
    assert len(ours.outputs) > FRAMES // 8
    for counter in ("drops", "events"):
        counts = [[target.counter(counter, i) for i in range(32)] for target in pair]
        assert counts[0] == counts[1]


def test_syn_and_arrive(pair: tuple[SoftswitchTarget, Bmv2Target]) -> None:
    """Packet-outs too: every mode, also senseless ones."""
    source = random.Random(7)
    for mode in (0, 1, 2, 3):
        for port in (CLIENT_LINK, SERVER_LINK, 510):
            sent = source.choice((V6.carry(syn(5)), segment(source, V4), segment(source, V6))).frame()
            ours, theirs = (target.packet_out(mode, port, sent) for target in pair)
            assert by_port(ours) == by_port(theirs)
            assert ours.packet_ins == theirs.packet_ins
