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
    Network,
    client_segment,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    END,
    NOP,
    SACK_PERMITTED,
    Segment,
    Session,
    cookie,
    ethernet,
    ipv4_header,
    mss_option,
    ones_complement,
    sack_option,
    scale_option,
    timestamps_option,
)
from .softswitch_target import SoftswitchTarget
from .target import Result

pytestmark = [pytest.mark.bmv2, pytest.mark.p4c, pytest.mark.root]

FRAMES = 300
OPEN = Session(delta=0x89ABCDEF, tau=0x1234567, to_client_shift=3, to_server_shift=0x83)
CLOSING = Session(delta=77, tau=0xFFFFFFF0, phase=1)
CLOSING_PORT = 40001


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SoftswitchTarget, Bmv2Target]]:
    """Both switches."""
    ours = SoftswitchTarget(PROGRAM)
    theirs = Bmv2Target(PROGRAM, tmp_path_factory.mktemp("bmv2-pair"), ports=2)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture(params=[0, 1], ids=["drop", "reset"])
def pair(
    request: pytest.FixtureRequest, switches: tuple[SoftswitchTarget, Bmv2Target]
) -> Iterator[tuple[SoftswitchTarget, Bmv2Target]]:
    """Both switches, set up alike. No timestamps in SYN/ACKs: the clocks differ."""
    for target in switches:
        net = Network(target)
        net.install()
        net.set_service(timestamps=0, reset_unknown=request.param)
        net.open(OPEN)
        flow = {**net.session_key(), "client_port": CLOSING_PORT}
        target.insert("sessions_v4", flow, "translate", **vars(CLOSING))
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


def segment(source: random.Random) -> Segment:
    """A segment of an open, closing or unknown session, in either direction, with or without a cookie."""
    port = source.choice((40000, CLOSING_PORT, 40002))
    flags = source.choice((ACK, ACK, ACK, ACK | 8, 2, 2, 18, 17, 4, 20, source.getrandbits(8)))
    seq, ack = source.getrandbits(32), source.getrandbits(32)
    if source.random() < 0.3:
        isn = seq - source.randint(0, 1)
        flow = replace(FLOW, client_port=port)
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
    }
    if source.random() < 0.6:
        return replace(client_segment(seq, ack, flags, **common), source_port=port)
    return replace(server_segment(seq, ack, flags, **common), destination_port=port)


def frame(source: random.Random) -> bytes:
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
    made = bytearray(segment(source).frame())
    if choice < 0.3:
        for _ in range(source.randint(1, 3)):
            made[source.randrange(12, len(made))] = source.getrandbits(8)
        words = max(5, made[14] & 15) * 4
        if source.random() < 0.8 and len(made) >= 14 + words:
            made[24:26] = bytes(2)
            made[24:26] = (0xFFFF ^ ones_complement(bytes(made[14 : 14 + words]))).to_bytes(2)
    if choice > 0.97:
        del made[source.randint(14, len(made)) :]
    return bytes(made)


def by_port(result: Result) -> dict[int, list[str]]:
    """What left, in order, by port."""
    return {
        port: [out.frame.hex() for out in result.outputs if out.port == port]
        for port in (CLIENT_LINK, SERVER_LINK)
    }


@pytest.mark.parametrize("seed", range(4))
def test_random_frames(pair: tuple[SoftswitchTarget, Bmv2Target], seed: int) -> None:
    source = random.Random(1000 + seed)
    port = (CLIENT_LINK, SERVER_LINK)[seed % 2]  # one port: BMv2 keeps no order between ports
    frames = [(port, frame(source)) for _ in range(FRAMES)]
    ours, theirs = (target.send_all(frames) for target in pair)
    assert by_port(ours) == by_port(theirs)
    assert [p._asdict() for p in ours.packet_ins] == [p._asdict() for p in theirs.packet_ins]
    assert sorted(ours.events) == sorted(theirs.events)
    assert len(ours.outputs) > FRAMES // 8
    for counter in ("drops", "events"):
        counts = [[target.counter(counter, i) for i in range(32)] for target in pair]
        assert counts[0] == counts[1]


def test_syn_and_arrive(pair: tuple[SoftswitchTarget, Bmv2Target]) -> None:
    """Packet-outs too: every mode, also senseless ones."""
    source = random.Random(7)
    for mode in (0, 1, 2, 3):
        for port in (CLIENT_LINK, SERVER_LINK, 510):
            sent = source.choice((syn(5), segment(source))).frame()
            ours, theirs = (target.packet_out(mode, port, sent) for target in pair)
            assert by_port(ours) == by_port(theirs)
            assert ours.packet_ins == theirs.packet_ins
