# SPDX-License-Identifier: Apache-2.0
"""ACK with a cookie → punt, drop, or reset."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from .network import (
    CLIENT_LINK,
    CLIENT_MAC,
    EARLY_RETURN,
    EVEN,
    FOLLOWING,
    ODD,
    PROVEN,
    PUNT_REASONS,
    SWITCH_CLIENT_MAC,
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
    FIN,
    MSS_TABLE,
    NO_SCALE,
    PSH,
    RST,
    SYN,
    URG,
    Epoch,
    Segment,
    Session,
    cookie,
    mss_option,
    pad,
    sack_option,
    scale_option,
    timestamps_option,
)

pytestmark = on_every_wire

ISN = 0xFFFFFFFF


@pytest.mark.parametrize("epoch", [EVEN, ODD], ids=["even", "odd"])
@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("scale", [0, 7, 14, NO_SCALE])
@pytest.mark.parametrize("sack", [0, 1])
def test_right_cookie(net: Network, epoch: Epoch, index: int, scale: int, sack: int) -> None:
    k = cookie(epoch, net.wired_flow(), ISN, index, scale, sack)
    segment = client_segment(ISN + 1, k + 1)
    packet_in = net.punted(net.from_client(segment), PROVEN)
    assert packet_in.ingress_port == CLIENT_LINK
    assert packet_in.isn == ISN
    assert packet_in.mss == MSS_TABLE[index]
    assert packet_in.window_scale == scale
    assert packet_in.sack == sack
    assert packet_in.frame == net.frame(segment)
    assert net.target.counter("events", Event.PROVEN) == 1


def test_what_we_answer_is_what_we_accept(net: Network) -> None:
    options = pad(mss_option(1340) + scale_option(9) + timestamps_option(5, 0))
    ((_, frame),) = net.from_client(syn(77, options=options)).outputs
    k = int.from_bytes(frame[net.tcp_at + 4 : net.tcp_at + 8])
    packet_in = net.punted(net.from_client(client_segment(78, k + 1)), PROVEN)
    assert (packet_in.isn, packet_in.mss, packet_in.window_scale, packet_in.sack) == (77, 1300, 9, 0)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"payload": b"GET / HTTP/1.1\r\n\r\n" * 50, "flags": ACK | PSH}, id="data"),
        pytest.param({"flags": ACK | FIN}, id="fin"),
        pytest.param({"flags": ACK | URG, "urgent": 4, "payload": b"urgent"}, id="urgent"),
        pytest.param({"options": pad(timestamps_option(9, 8))}, id="timestamps"),
        pytest.param({"options": b"\x1e\x08mptcp!" + pad(sack_option(1, 2))}, id="unknown-option"),
        pytest.param({"options": b"\x01\x01\x00\xff" + b"\xee" * 36, "payload": b"abc"}, id="end-of-options"),
        pytest.param({"padding": b"\0" * 6}, id="ethernet-padding"),
        pytest.param({"tos": 3, "reserved": 9, "identification": 7, "fragment": 0}, id="odd-headers"),
        pytest.param({"ip_options": b"\x01" * 8}, id="ip-options"),
        pytest.param({"ttl": 1}, id="ttl-1"),
        pytest.param({"corrupt": 5}, id="corrupt"),
    ],
)
def test_the_frame_goes_up_as_it_arrived(net: Network, changes: dict[str, object]) -> None:
    segment = replace(client_segment(ISN + 1, net.proof(EVEN, ISN) + 1), **changes)  # type: ignore[arg-type]
    packet_in = net.punted(net.from_client(segment), PROVEN)
    assert packet_in.frame == net.frame(segment)
    assert packet_in.isn == ISN


@pytest.mark.parametrize(
    ("seq", "ack", "flow_change"),
    [
        pytest.param(1, 1, {}, id="mac"),
        pytest.param(2, 0, {}, id="isn"),
        pytest.param(0, 0, {"source_port": 40001}, id="client-port"),
        pytest.param(0, 0, {"source": "198.18.1.3"}, id="client"),
    ],
)
def test_wrong_cookie(net: Network, seq: int, ack: int, flow_change: dict[str, object]) -> None:
    segment = client_segment(100 + seq + 1, net.proof(EVEN, 100) + ack + 1)
    net.dropped(net.from_client(replace(segment, **flow_change)), Drop.BAD_COOKIE)  # type: ignore[arg-type]


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_of_the_cookie_counts(net: Network, bit: int) -> None:
    k = net.proof(EVEN, 1) ^ 1 << bit
    net.dropped(net.from_client(client_segment(2, k + 1)), Drop.BAD_COOKIE)


def test_expired_and_rotated(net: Network) -> None:
    """An epoch's key replaces that of two epochs before."""

    def proven_by(epoch: Epoch, client_port: int) -> Segment:
        acknowledgment = net.proof(epoch, 1, client_port=client_port) + 1
        return replace(client_segment(2, acknowledgment), source_port=client_port)

    net.punted(net.from_client(proven_by(EVEN, 1001)), PROVEN)
    net.target.set_default("cookie_epoch", "set_epoch", parity=ODD.parity)
    net.punted(net.from_client(proven_by(EVEN, 1002)), PROVEN)
    later = Epoch(EVEN.number + 2, EVEN.k0, EVEN.k1)
    net.target.modify("cookie_keys", {"parity": 0}, "set_key", k0=later.k0, k1=later.k1, epoch=later.number)
    net.dropped(net.from_client(proven_by(EVEN, 1003)), Drop.BAD_COOKIE)
    net.punted(net.from_client(proven_by(later, 1004)), PROVEN)


def test_no_key_for_the_parity(net: Network) -> None:
    net.target.delete("cookie_keys", {"parity": 1})
    net.dropped(net.from_client(client_segment(2, net.proof(ODD, 1) + 1)), Drop.NO_KEY)
    net.punted(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1)), PROVEN)


@pytest.mark.parametrize("payload", [b"", b"\0"])
@pytest.mark.parametrize("options", [b"", pad(timestamps_option(1, 2))])
def test_keep_alive(net: Network, payload: bytes, options: bytes) -> None:
    segment = client_segment(
        ISN, net.proof(ODD, ISN) + 1, payload=payload, options=options, padding=b"\0" * 6
    )
    packet_in = net.punted(net.from_client(segment), PROVEN)
    assert packet_in.isn == ISN
    assert packet_in.frame == net.frame(segment)


def test_data_is_no_keep_alive(net: Network) -> None:
    segment = client_segment(ISN, net.proof(ODD, ISN) + 1, payload=b"ab")
    net.dropped(net.from_client(segment), Drop.BAD_COOKIE)


@pytest.mark.parametrize("flags", [RST, RST | ACK])
def test_rst_without_session(net: Network, flags: int) -> None:
    net.dropped(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1, flags)), Drop.UNKNOWN_RST)


@pytest.mark.parametrize("flags", [FIN, SYN | ACK, FIN | PSH | URG])
def test_strays(net: Network, flags: int) -> None:
    net.dropped(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1, flags)), Drop.STRAY)


@pytest.mark.parametrize("payload", [b"", b"payload that is not sent back"])
def test_reset_for_the_unknown(net: Network, payload: bytes) -> None:
    net.set_service(reset_unknown=1)
    segment = client_segment(
        5, 0xABCDEF01, ACK | PSH | FIN, payload=payload, options=pad(timestamps_option(1, 2)), ttl=1
    )
    result = net.from_client(segment)
    reset = server_segment(0xABCDEF01, 0, RST, window=0, identification=0)
    reset = replace(reset, source_mac=SWITCH_CLIENT_MAC, destination_mac=CLIENT_MAC)
    assert result.outputs == ((CLIENT_LINK, net.frame(reset)),)
    assert not result.packet_ins
    assert net.target.counter("events", Event.RESET_SENT) == 1
    assert net.target.counter("drops", Drop.BAD_COOKIE) == 0
    net.punted(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1)), PROVEN)


def test_reset_never_answers_a_reset(net: Network) -> None:
    net.set_service(reset_unknown=1)
    net.dropped(net.from_client(client_segment(5, 6, RST | ACK)), Drop.UNKNOWN_RST)


def test_punts_are_metered_by_service_and_reason(net: Network) -> None:
    right = client_segment(2, net.proof(EVEN, 1) + 1)
    early = server_segment(2, 3)
    net.target.set_meter("punt_meter", net.service.service_id * PUNT_REASONS + PROVEN, 1, 1)
    net.punted(net.from_client(right), PROVEN)
    net.metered_out(lambda: net.from_client(right), Drop.PUNT_RATE)
    for _ in range(3):
        net.punted(net.from_server(early), EARLY_RETURN)


# --- the rest of a first flight


def flight(net: Network, client_port: int = 40000) -> list[Segment]:
    """A proof with data, and three segments right behind it."""
    acknowledgment = net.proof(EVEN, ISN, client_port=client_port) + 1
    return [
        replace(
            client_segment(ISN + 1 + 100 * i, acknowledgment, ACK | PSH, payload=b"p" * 100),
            source_port=client_port,
        )
        for i in range(4)
    ]


@pytest.mark.parametrize("reset", [0, 1])
@pytest.mark.parametrize("closing", [False, True])
def test_the_flight_behind_a_proof_waits(net: Network, reset: int, closing: bool) -> None:
    """No RST to a client that is being connected; nothing by the session that the tuple had before."""
    net.set_service(reset_unknown=reset)
    if closing:
        net.open(Session(delta=99, phase=1))
    first, *others = flight(net)
    net.punted(net.from_client(first), PROVEN)
    for segment in others:
        packet_in = net.punted(net.from_client(segment), FOLLOWING)
        assert packet_in.frame == net.frame(segment)
        assert packet_in.ingress_port == CLIENT_LINK
        assert (packet_in.isn, packet_in.mss, packet_in.window_scale, packet_in.sack) == (0, 0, 0, 0)
    assert net.target.counter("events", Event.FOLLOWING) == len(others)
    net.punted(net.from_client(first), PROVEN)


def test_the_rest_of_flights_is_metered_apart(net: Network) -> None:
    net.target.set_meter("punt_meter", net.service.service_id * PUNT_REASONS + FOLLOWING, 1, 1)
    first, second, *_ = flight(net)
    net.punted(net.from_client(first), PROVEN)
    net.punted(net.from_client(second), FOLLOWING)
    net.metered_out(lambda: net.from_client(second), Drop.PUNT_RATE)
    net.punted(net.from_client(first), PROVEN)


def test_a_flow_is_pending_alone(net: Network) -> None:
    """A wrong cookie makes nothing pending, and another port's proof is another flow's."""
    net.set_service(reset_unknown=1)
    net.punted(net.from_client(flight(net, 40000)[0]), PROVEN)
    for _ in range(2):
        assert net.from_client(flight(net, 40001)[1]).outputs
    assert net.target.counter("events", Event.FOLLOWING) == 0


def test_pending_ends(net: Network) -> None:
    net.set_service(reset_unknown=1)
    first, second, *_ = flight(net)
    net.punted(net.from_client(first), PROVEN)
    net.punted(net.from_client(second), FOLLOWING)
    time.sleep(8.5)
    assert net.from_client(second).outputs


# --- tuples that are used again -------------------------------------------------------------------------

CLOSING = Session(delta=0x1000, phase=1)


def test_closing_session_answers_a_syn_with_a_cookie(net: Network) -> None:
    net.open(CLOSING)
    ((port, frame),) = net.from_client(syn(500)).outputs
    assert port == CLIENT_LINK
    assert int.from_bytes(frame[net.tcp_at + 4 : net.tcp_at + 8]) == net.proof(
        EVEN, 500, mss=None, window_scale=None, sack=0
    )


def test_closing_session_and_a_new_proof(net: Network) -> None:
    net.open(CLOSING)
    packet_in = net.punted(net.from_client(client_segment(501, net.proof(EVEN, 500) + 1)), PROVEN)
    assert packet_in.isn == 500


@pytest.mark.parametrize("seq", [ISN, ISN + 1])
def test_a_copy_of_a_closing_sessions_own_proof_is_no_new_one(net: Network, seq: int) -> None:
    """Nor does it disturb the handshake of the next one, which what follows belongs to."""
    cookie = net.proof(EVEN, ISN)
    session = replace(CLOSING, isn=ISN, cookie=cookie)
    net.open(session)
    again = net.proof(EVEN, ISN + 5000)
    net.punted(net.from_client(client_segment(ISN + 5001, again + 1)), PROVEN)
    copy = client_segment(seq, cookie + 1)
    assert net.from_client(copy).outputs == (net.to_server(copy, session),)
    net.punted(net.from_client(client_segment(ISN + 5002, again + 1)), FOLLOWING)


@pytest.mark.parametrize("parity", [0, 1])
def test_closing_session_still_translates(net: Network, parity: int) -> None:
    net.open(CLOSING)
    net.target.delete("cookie_keys", {"parity": 1})  # its ACKs need no key
    segment = client_segment(501, parity << 31 | 12345, ACK | FIN)
    result = net.from_client(segment)
    assert result.outputs == (net.to_server(segment, CLOSING),)
    assert len(result.events) == 1
    assert net.target.counter("drops", Drop.NO_KEY) == 0


def test_open_session_is_not_checked(net: Network) -> None:
    session = Session(delta=7)
    net.open(session)
    segment = client_segment(501, net.proof(EVEN, 500) + 1)
    assert net.from_client(segment).outputs == (net.to_server(segment, session),)
