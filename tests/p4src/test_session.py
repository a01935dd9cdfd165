# SPDX-License-Identifier: Apache-2.0
"""Packets of a session, from one sequence space into the other."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from .network import (
    CLIENT,
    CLIENT_PORT,
    EARLY_RETURN,
    PUNT_REASONS,
    SERVER,
    SERVER_LINK,
    SERVER_MAC,
    SERVER_PORT,
    SERVER_SYNACK,
    SWITCH_SERVER_MAC,
    Drop,
    Event,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    CWR,
    ECE,
    END,
    FIN,
    NOP,
    PSH,
    RIGHT,
    RST,
    SACK_PERMITTED,
    SYN,
    URG,
    Segment,
    Session,
    mss_option,
    pad,
    sack_option,
    scale_option,
    timestamps_option,
)

pytestmark = on_every_wire

SESSION = Session(delta=0x89ABCDEF, tau=0x76543210)
MIRRORED = [
    *("flags", "window", "options", "payload", "ttl", "tos", "identification", "fragment"),
    *("ip_options", "reserved", "urgent", "padding", "corrupt"),
]
DELTAS = [0, 1, 0xFFFFFFFF, 0x80000000, 0x12345678]


def both_ways(net: Network, segment: Segment, session: Session = SESSION) -> tuple[Segment, Segment]:
    """Send a segment and its mirror image through; check what leaves. Gives what was expected."""
    net.open(session)
    out = replace(
        segment, source=CLIENT, destination=SERVER, source_port=CLIENT_PORT, destination_port=SERVER_PORT
    )
    back = replace(
        server_segment(segment.seq, segment.ack),
        **{name: getattr(segment, name) for name in MIRRORED},
    )
    assert net.from_client(out).outputs == (net.to_server(out, session),)
    assert net.from_server(back).outputs == (net.to_client(back, session),)
    assert net.target.counter("events", Event.TO_SERVER) == 1
    assert net.target.counter("events", Event.TO_CLIENT) == 1
    return out, back


def rebuilt(frame: bytes) -> bytes:
    """The frame with its lengths and checksums computed anew by scapy."""
    packet = Ether(frame)
    del packet[TCP].chksum
    if IPv6 in packet:
        del packet[IPv6].plen
    else:
        del packet[IP].chksum, packet[IP].len, packet[IP].ihl
    return bytes(packet)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("number", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_sequence_numbers_wrap(net: Network, delta: int, number: int) -> None:
    session = Session(delta=delta, tau=(delta * 3) & 0xFFFFFFFF)
    options = pad(NOP * 2 + timestamps_option(number, number ^ 5))
    both_ways(net, client_segment(number, number ^ 0x5A5A, options=options, payload=b"wrap"), session)


@pytest.mark.parametrize("flags", [ACK | PSH, ACK | URG, ACK | ECE | CWR, ACK | 0xC8])
@pytest.mark.parametrize("payload", [b"", b"x", b"xy" * 700, b"\xff" * 1459])
def test_flags_and_payload_stay(net: Network, flags: int, payload: bytes) -> None:
    segment = client_segment(1, 2, flags, payload=payload, reserved=5, urgent=77, tos=0xB9, identification=0)
    both_ways(net, segment)


def test_scapy_agrees(net: Network) -> None:
    """The same, with every length and checksum computed by somebody else."""
    net.open(SESSION)
    options = NOP * 4 + timestamps_option(1, 2) + sack_option(5, 6, 7, 8)
    segment = client_segment(100, 200, ACK | PSH, options=options, payload=b"odd" * 5)
    ((_, frame),) = net.from_client(segment).outputs
    assert frame == rebuilt(frame)
    got = Ether(frame)
    assert got[TCP].seq == 100
    assert got[TCP].ack == (200 - SESSION.delta) & 0xFFFFFFFF
    edges = tuple((edge - SESSION.delta) & 0xFFFFFFFF for edge in (5, 6, 7, 8))
    stamps = (1, (2 - SESSION.tau) & 0xFFFFFFFF)
    assert got[TCP].options == [("NOP", None)] * 2 + [("Timestamp", stamps)] + [("NOP", None)] * 2 + [
        ("SAck", edges)
    ]
    assert bytes(got[TCP].payload) == b"odd" * 5
    assert (got[IPv6].hlim if net.wire.ipv6 else got[IP].ttl) == 63


# --- options

BLOCKS = (0xFFFFFFF0, 0x10, 0x1000, 0x2000, 0x7FFFFFFF, 0x80000001, 0xFFFFFFFF, 0)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
@pytest.mark.parametrize("lead", [0, 1, 2, 3])
@pytest.mark.parametrize("filler", [NOP, END])
def test_sack_at_every_alignment(net: Network, blocks: int, lead: int, filler: bytes) -> None:
    options = NOP * lead + sack_option(*BLOCKS[: 2 * blocks])
    options += filler * (-len(options) % 4)
    both_ways(net, client_segment(1, 2, options=options, payload=b"abc"))


ARRANGEMENTS = [
    (blocks, lead, between)
    for blocks in (1, 2, 3)
    for lead in range(5)
    for between in range(4)
    if lead + 10 + between + 2 + 8 * blocks <= 40
]


@pytest.mark.parametrize(("blocks", "lead", "between"), ARRANGEMENTS)
@pytest.mark.parametrize("stamps_first", [True, False])
def test_timestamps_and_sack(net: Network, blocks: int, lead: int, between: int, stamps_first: bool) -> None:
    pieces = [timestamps_option(0xFFFFFFFE, 0x10), sack_option(*BLOCKS[: 2 * blocks])]
    if not stamps_first:
        pieces.reverse()
    options = pad(NOP * lead + pieces[0] + NOP * between + pieces[1])
    out, _ = both_ways(net, client_segment(1, 2, options=options))
    _, frame = net.to_server(out, SESSION)
    assert len(frame) <= len(net.frame(out))


TIGHT = timestamps_option(1, 2) + sack_option(*BLOCKS[:6])
PADDED = NOP * 2 + timestamps_option(1, 2) + NOP * 2 + sack_option(*BLOCKS[:6])


@pytest.mark.parametrize("options", [TIGHT, PADDED])
def test_usual_forms_keep_their_size(net: Network, options: bytes) -> None:
    net.open(SESSION)
    segment = client_segment(1, 2, options=options)
    ((_, frame),) = net.from_client(segment).outputs
    assert len(frame) == len(net.frame(segment))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(NOP * 4, id="only-nops"),
        pytest.param(END + b"\xaa" * 7, id="only-the-end"),
        pytest.param(b"\xfd\x06abcd" + NOP * 2, id="only-unknown"),
        pytest.param(b"\xfd\x05abc" + timestamps_option(1, 2) + NOP, id="unknown-odd-length-before"),
        pytest.param(b"\xfd\x03a" + timestamps_option(1, 2) + b"\xfe\x03b", id="unknown-around"),
        pytest.param(NOP + b"\x1e\x0d" + b"m" * 11 + timestamps_option(7, 8) + END + b"\x99" * 3, id="mptcp"),
        pytest.param(timestamps_option(1, 2) + timestamps_option(3, 4), id="timestamps-twice"),
        pytest.param(pad(sack_option(1, 2, 3, 4) + sack_option(5, 6)), id="sack-twice"),
        pytest.param(pad(b"\x05\x02" + timestamps_option(1, 2)), id="sack-without-blocks"),
        pytest.param(pad(b"\x05\x0b" + b"s" * 9), id="sack-of-a-wrong-length"),
        pytest.param(pad(b"\x08\x0b" + b"t" * 9), id="timestamps-of-a-wrong-length"),
        pytest.param(pad(b"\x08\x02" + sack_option(1, 2)), id="timestamps-without-values"),
        pytest.param(mss_option(1) + scale_option(9) + SACK_PERMITTED + NOP * 3, id="options-of-a-syn"),
        pytest.param(b"\xfd\x28" + b"z" * 38, id="forty-bytes-unknown"),
        pytest.param(NOP * 40, id="forty-nops"),
    ],
)
@pytest.mark.parametrize("payload", [b"", b"p", b"payload!"])
def test_odd_option_areas(net: Network, options: bytes, payload: bytes) -> None:
    both_ways(net, client_segment(1, 2, options=options, payload=payload))


def test_random_segments(net: Network) -> None:
    """Whatever the numbers and the options are, the reference and the switch agree."""
    source = random.Random(4)
    net.open(SESSION)
    for _ in range(100):
        pieces = [NOP, NOP * 2, NOP * 3]
        pieces += [timestamps_option(source.getrandbits(32), source.getrandbits(32))]
        pieces += [sack_option(*(source.getrandbits(32) for _ in range(2 * source.randint(1, 4))))]
        pieces += [
            bytes((source.choice((9, 30, 253)), length)) + source.randbytes(length - 2)
            for length in (2, 3, 5)
        ]
        source.shuffle(pieces)
        options = b""
        for piece in pieces[: source.randint(0, 5)]:
            if len(pad(options + piece)) <= 40:
                options += piece
        segment = client_segment(
            source.getrandbits(32),
            source.getrandbits(32),
            ACK | source.choice((0, PSH)),
            window=source.getrandbits(16),
            options=pad(options),
            payload=source.randbytes(source.randint(0, 50)),
            ttl=source.randint(2, 255),
            corrupt=source.choice((0, 0, source.randint(1, 0xFFFE))),
        )
        assert net.from_client(segment).outputs == (net.to_server(segment, SESSION),)


# --- checksums


@pytest.mark.parametrize("corrupt", [1, 0x100, 0x7FFF, 0xFFFE])
def test_corrupt_stays_corrupt(net: Network, corrupt: int) -> None:
    out, back = both_ways(
        net, client_segment(1, 2, options=pad(sack_option(1, 2)), payload=b"bad", corrupt=corrupt)
    )
    for _, frame in (net.to_server(out, SESSION), net.to_client(back, SESSION)):
        assert frame != rebuilt(frame)


@pytest.mark.parametrize("wanted", [0x0000, 0xFFFE, 0xFFFF, 0x0001])
@pytest.mark.parametrize("after", [False, True])
def test_checksums_around_zero(net: Network, wanted: int, after: bool) -> None:
    """A payload is found for which the checksum before, or after, is the wanted one."""
    net.open(SESSION)
    for filler in range(0x10000):
        segment = client_segment(1, 2, payload=struct.pack(">H", filler))
        checked = segment if not after else replace(segment, ack=(2 - SESSION.delta) & 0xFFFFFFFF)
        if int.from_bytes(net.wired(checked).tcp()[16:18]) == wanted % 0xFFFF:
            break
    frame = bytearray(net.frame(segment))
    if not after:
        frame[net.tcp_at + 16 : net.tcp_at + 18] = wanted.to_bytes(
            2
        )  # 0xffff for 0: the other zero of ones' complement
    ((_, got),) = net.target.send(1, bytes(frame)).outputs
    assert got == net.to_server(segment, SESSION)[1]


# --- windows


@pytest.mark.parametrize(
    ("window", "shift", "expected"),
    [
        (100, 0, 100),
        (100, 3, 800),
        (0, 14, 0),
        (1, 14, 16384),
        (4, 14, 0xFFFF),
        (0x7FFF, 1, 0xFFFE),
        (0x8000, 1, 0xFFFF),
        (0xFFFF, 15, 0xFFFF),
        (0xFFFF, RIGHT | 7, 511),
        (127, RIGHT | 7, 0),
        (0xFFFF, RIGHT | 0, 0xFFFF),
        (0xFFFF, RIGHT | 15, 1),
    ],
)
def test_window_shift(net: Network, window: int, shift: int, expected: int) -> None:
    session = Session(delta=1, to_server_shift=shift, to_client_shift=2)
    net.open(session)
    segment = client_segment(1, 2, window=window)
    ((_, frame),) = net.from_client(segment).outputs
    assert int.from_bytes(frame[net.tcp_at + 14 : net.tcp_at + 16]) == expected
    assert frame == net.to_server(segment, session)[1]
    answer = server_segment(1, 2, window=window)
    assert net.from_server(answer).outputs == (net.to_client(answer, session),)


# --- segments that say more


def test_rst_without_ack_keeps_its_fields(net: Network) -> None:
    """Without the ACK flag the acknowledgment number means nothing, and must not tell the server Δ."""
    net.open(SESSION)
    segment = client_segment(7, 0, RST, options=pad(timestamps_option(1, 2)))
    result = net.from_client(segment)
    assert result.outputs == (net.to_server(segment, SESSION),)
    assert result.outputs[0].frame[net.tcp_at + 8 : net.tcp_at + 12] == bytes(4)


@pytest.mark.parametrize(
    ("flags", "from_client", "event"),
    [
        (FIN | ACK, True, 1),
        (FIN | ACK, False, 2),
        (RST, True, 3),
        (RST | ACK, True, 3),
        (RST | ACK, False, 4),
    ],
)
@pytest.mark.parametrize("phase", [0, 1])
def test_ends_are_reported_and_forwarded(
    net: Network, flags: int, from_client: bool, event: int, phase: int
) -> None:
    session = replace(SESSION, phase=phase, version=0xFFFFFFF0 + event)
    net.open(session)
    if from_client:
        segment = client_segment(1, 2, flags, payload=b"bye")
        result, expected = net.from_client(segment), net.to_server(segment, session)
    else:
        segment = server_segment(1, 2, flags, payload=b"bye")
        result, expected = net.from_server(segment), net.to_client(segment, session)
    assert result.outputs == (expected,)
    assert result.events == (net.event(event, session.version),)


def test_bare_rst_of_the_server(net: Network) -> None:
    """On a closing session it may answer a segment of the next connection, and must not reset that."""
    segment = server_segment(1, 0, RST)
    net.open(replace(SESSION, phase=1))
    net.dropped(net.from_server(segment), Drop.UNKNOWN_RST)
    net.target.modify(net.sessions, net.session_key(), "translate", **vars(SESSION))
    result = net.from_server(segment)
    assert result.outputs == (net.to_client(segment, SESSION),)
    assert result.events == (net.event(4, SESSION.version),)


def test_nothing_is_reported_otherwise(net: Network) -> None:
    net.open(SESSION)
    assert not net.from_client(client_segment(1, 2, ACK | PSH, payload=b"x")).events


def test_syn_on_an_open_session_is_forwarded_and_metered(net: Network) -> None:
    options = pad(mss_option(1400) + scale_option(3) + SACK_PERMITTED + timestamps_option(9, 0))
    session = Session(delta=5, tau=6, to_server_shift=3)
    net.open(session)
    # a number of each wire's own: BMv2's registers remember the last test's SYN, as unanswered (ended.p4)
    number = 99 + net.wire.ipv6 + 2 * (net.wire.tag is not None)
    again = syn(number, options=options, window=100, padding=b"\0\0")
    net.target.set_meter("syn_meter", net.service.service_id, 1, 1)
    assert net.from_client(again).outputs == (net.to_server(again, session),)
    net.metered_out(lambda: net.from_client(again), Drop.SYN_RATE)


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("seq", [0xFFFFFFFF, 5])
def test_server_syn_ack_on_an_open_session(net: Network, stamped: bool, seq: int) -> None:
    net.open(SESSION)
    options = mss_option(1460) + SACK_PERMITTED + NOP + scale_option(7)
    options += timestamps_option(11, 22) if stamped else b""
    syn_ack = server_segment(seq, 501, SYN | ACK | ECE, options=pad(options), padding=b"\0" * 4, ttl=1)
    expected = client_segment(
        501,
        seq + 1,
        window=512,
        identification=0,
        options=NOP * 2 + timestamps_option(22, 11) if stamped else b"",
        source_mac=SWITCH_SERVER_MAC,
        destination_mac=SERVER_MAC,
    )
    result = net.from_server(syn_ack)
    assert result.outputs == ((SERVER_LINK, net.frame(expected)),)
    assert not result.packet_ins
    assert net.target.counter("events", Event.SYNACK_ACKNOWLEDGED) == 1


@pytest.mark.parametrize("closing", [False, True])
def test_server_syn_ack_without_open_session(net: Network, closing: bool) -> None:
    if closing:
        net.open(replace(SESSION, phase=1))
    options = pad(mss_option(1460) + SACK_PERMITTED + timestamps_option(5, 6) + NOP + scale_option(7))
    segment = server_segment(9, 10, SYN | ACK, options=options, padding=b"\0" * 2)
    packet_in = net.punted(net.from_server(segment), SERVER_SYNACK)
    assert packet_in.frame == net.frame(segment)
    assert packet_in.ingress_port == SERVER_LINK
    assert (packet_in.isn, packet_in.mss, packet_in.window_scale, packet_in.sack) == (0, 0, 0, 0)
    assert net.target.counter("events", Event.SERVER_SYNACK) == 1


def test_server_syn_ack_repeated_while_the_session_is_shared(net: Network) -> None:
    """Only the controller knows whether the other switches have it."""
    syn_ack = server_segment(9, 501, SYN | ACK)
    net.punted(net.from_server(syn_ack), SERVER_SYNACK)
    net.open(SESSION)
    net.punted(net.from_server(syn_ack), SERVER_SYNACK)
    assert net.target.counter("events", Event.SYNACK_ACKNOWLEDGED) == 0
    assert net.from_server(server_segment(10, 501)).outputs  # all else is translated


@pytest.mark.parametrize("flags", [ACK, ACK | PSH, ACK | FIN, RST | ACK, RST, SYN])
def test_early_return(net: Network, flags: int) -> None:
    segment = server_segment(9, 10, flags, options=pad(timestamps_option(5, 6)), payload=b"banner")
    packet_in = net.punted(net.from_server(segment), EARLY_RETURN)
    assert packet_in.frame == net.frame(segment)
    assert net.target.counter("events", Event.EARLY_RETURN) == 1


def test_early_returns_are_metered(net: Network) -> None:
    net.target.set_meter("punt_meter", net.service.service_id * PUNT_REASONS + EARLY_RETURN, 1, 1)
    net.punted(net.from_server(server_segment(9, 10)), EARLY_RETURN)
    net.metered_out(lambda: net.from_server(server_segment(9, 10)), Drop.PUNT_RATE)
    net.punted(net.from_server(server_segment(9, 10, SYN | ACK)), SERVER_SYNACK)


def test_other_tuples_are_other_sessions(net: Network) -> None:
    net.open(SESSION)
    segment = replace(client_segment(1, 2), source_port=CLIENT_PORT + 1)
    net.dropped(net.from_client(segment), Drop.BAD_COOKIE)


def test_session_entry_counts_both_directions(net: Network) -> None:
    both_ways(net, client_segment(1, 2))
    assert net.target.direct_counter(net.sessions, net.session_key()) == 2


def test_ip_options_stay(net: Network) -> None:
    both_ways(net, client_segment(1, 2, options=pad(sack_option(1, 2)) + NOP * 4, ip_options=b"\x94\x04\0\0"))
