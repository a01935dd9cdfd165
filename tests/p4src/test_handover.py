# SPDX-License-Identifier: Apache-2.0
"""From the controller's queue to the session: what a client sends meanwhile does not overtake the queue."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from .network import (
    ARRIVE,
    CLIENT_LINK,
    CLIENT_PORT,
    EMIT,
    EVEN,
    FLOW,
    FOLLOWING,
    PROVEN,
    PUNT_REASONS,
    ROUTE,
    SERVER_LINK,
    Drop,
    Event,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
    syn,
)
from .reference import ACK, FIN, PSH, RST, Segment, Session, pad, sack_option, timestamps_option

pytestmark = on_every_wire

ISN = 0xFFFFFF00
AWAITED = 2
BATCH, LAST = 1 << 14, 1 << 15
LENGTH = 100
SESSION = Session(delta=0x89ABCDEF, tau=0x1234567)


def segments(net: Network, count: int = 5) -> list[Segment]:
    """An ACK, and segments with data behind it, whose sequence numbers wrap around."""
    acknowledgment = net.proof(EVEN, ISN) + 1
    data = [
        client_segment(ISN + 1 + LENGTH * i, acknowledgment, ACK | PSH, payload=bytes((i,)) * LENGTH)
        for i in range(count - 1)
    ]
    return [client_segment(ISN + 1, acknowledgment), *data]


def punt(net: Network, flight: list[Segment]) -> list[int]:
    """Let segments arrive that all go to the controller; their numbers."""
    packet_ins = [packet_in for s in flight for packet_in in net.from_client(s).packet_ins]
    assert [p.frame for p in packet_ins] == [net.frame(s) for s in flight]
    return [p.number for p in packet_ins]


def release(
    net: Network, flight: list[Segment], number: int, last: int = LAST
) -> tuple[tuple[int, bytes], ...]:
    """Release segments, or, without a number, only send them; what leaves."""
    outputs: tuple[tuple[int, bytes], ...] = ()
    for segment in flight:
        end = last if number and segment is flight[-1] else 0
        result = net.target.packet_out(ARRIVE, CLIENT_LINK, net.frame(segment), number | end)
        assert not result.packet_ins
        outputs += result.outputs
    return outputs


def begin_to_release(net: Network, flight: list[Segment], number: int) -> None:
    """Send segments, but not the last one of their release."""
    assert release(net, flight, number, 0) == to_server(net, flight)


def end_release(net: Network, last: Segment, number: int) -> None:
    assert release(net, [last], number) == to_server(net, [last])


def to_server(net: Network, flight: list[Segment]) -> tuple[tuple[int, bytes], ...]:
    """What has to leave."""
    return tuple(net.to_server(s, SESSION) for s in flight)


def test_numbers_grow_with_what_is_new(net: Network) -> None:
    """The ACK is the first; the first data is a proof as well. Copies, and what is out of turn, have none."""
    ack, one, two, three, four = segments(net)
    assert punt(net, [ack, ack, one, two, one, four, three, four]) == [1, 1, 2, 3, 3, 4, 4, 4]
    fin = client_segment(four.seq + LENGTH, four.ack, ACK | FIN)
    assert punt(net, [fin, fin]) == [5, 5]


def test_a_reset_of_a_pending_flow_goes_to_the_controller(net: Network) -> None:
    ack, one, *_ = segments(net)
    assert punt(net, [ack, one]) == [1, 2]
    reset = replace(one, seq=one.seq + LENGTH, flags=RST | ACK, payload=b"")
    assert net.punted(net.from_client(reset), FOLLOWING).number == 2  # there is nothing new in it
    net.open(replace(SESSION, phase=AWAITED))
    net.punted(net.from_client(reset), FOLLOWING)


def test_a_reset_of_nobody_is_dropped(net: Network) -> None:
    ack, one, *_ = segments(net)
    without_ack = replace(one, flags=RST, ack=0)
    foreign = replace(one, flags=RST | ACK, ack=one.ack + 1)
    assert net.from_client(replace(one, flags=RST | ACK)).nothing  # it proves nothing itself
    punt(net, [ack])
    for reset in (without_ack, foreign):
        assert net.from_client(reset).nothing
    assert net.target.counter("drops", Drop.UNKNOWN_RST) == 3


@pytest.mark.parametrize("released", [False, True])
def test_what_follows_waits_until_the_queue_is_sent(net: Network, released: bool) -> None:
    *queue, late = segments(net)
    assert punt(net, queue) == [1, 2, 3, 4]
    net.open(SESSION)
    if not released:
        packet_in = net.punted(net.from_client(late), FOLLOWING)
        assert packet_in.number == 5
        assert net.target.counter("events", Event.FOLLOWING) == 3
    else:
        assert release(net, queue, 4) == to_server(net, queue)
        assert net.from_client(late).outputs == to_server(net, [late])
        assert net.target.counter("events", Event.TO_SERVER) == 5


def test_nothing_overtakes_what_is_being_released(net: Network) -> None:
    *queue, late = segments(net)
    punt(net, queue)
    net.open(SESSION)
    begin_to_release(net, queue[:-1], 4)
    assert punt(net, [late]) == [BATCH + 1]
    end_release(net, queue[-1], 4)
    assert release(net, [late], BATCH + 1) == to_server(net, [late])
    assert net.from_client(late).outputs == to_server(net, [late])


def test_batch_after_batch(net: Network) -> None:
    first, second, third, fourth, fifth, sixth, last = segments(net, 7)
    punt(net, [first, second])
    net.open(SESSION)
    begin_to_release(net, [first], 2)
    assert punt(net, [second, third, second, fourth]) == [BATCH, BATCH + 1, BATCH + 1, BATCH + 2]
    end_release(net, second, 2)
    assert release(net, [third, fourth], BATCH + 1) == ()
    begin_to_release(net, [third], BATCH + 2)
    assert punt(net, [fifth]) == [1]
    assert release(net, [sixth], 2) == ()
    end_release(net, fourth, BATCH + 2)
    assert release(net, [fifth], 1) == to_server(net, [fifth])
    assert net.from_client(sixth).outputs == to_server(net, [sixth])
    assert release(net, [last], 0) == to_server(net, [last])


def test_what_acknowledges_what_the_server_has_said_overtakes_nothing_either(net: Network) -> None:
    first, second, third, fourth, fifth = segments(net)
    punt(net, [first, second])
    speaking = replace(SESSION, isn=ISN, cookie=first.ack - 1)
    net.open(speaking)
    begin = release(net, [first], 2, 0)
    assert begin == (net.to_server(first, speaking),)
    punt(net, [third])
    heard = replace(fourth, ack=fourth.ack + 100)
    assert punt(net, [heard]) == [BATCH + 2]
    release(net, [second], 2)
    sent = release(net, [third, heard], BATCH + 2)
    assert sent == tuple(net.to_server(s, speaking) for s in (third, heard))
    assert net.from_client(fifth).outputs == (net.to_server(fifth, speaking),)


def test_what_only_acknowledges_the_server_has_no_turn_to_keep(net: Network) -> None:
    """By the controller it would come late, with a timestamp older than that of what passes meanwhile."""
    first, second, third, *_ = segments(net)
    punt(net, [first, second])
    speaking = replace(SESSION, isn=ISN, cookie=first.ack - 1)
    net.open(speaking)
    heard = replace(first, seq=third.seq, ack=first.ack + 100)
    assert net.from_client(heard).outputs == (net.to_server(heard, speaking),)
    release(net, [first], 2, 0)
    assert net.from_client(heard).outputs == (net.to_server(heard, speaking),)
    punt(net, [replace(heard, flags=RST | ACK)])


def test_a_release_that_nothing_new_meets_is_the_end_of_it(net: Network) -> None:
    *queue, late = segments(net)
    punt(net, queue)
    net.open(SESSION)
    begin_to_release(net, queue[:-1], 4)
    assert punt(net, queue[1:]) == [BATCH] * 3  # copies wait for nothing
    end_release(net, queue[-1], 4)
    assert net.from_client(late).outputs == to_server(net, [late])


def test_release_after_release_is_over_after_a_second(net: Network) -> None:
    first, second, third, fourth, last = segments(net)
    punt(net, [first, second])
    net.open(SESSION)
    begin_to_release(net, [first], 2)
    time.sleep(0.6)
    punt(net, [third])
    end_release(net, second, 2)
    begin_to_release(net, [third], BATCH + 1)
    assert punt(net, [fourth]) == [1]
    time.sleep(0.6)
    assert net.from_client(last).outputs == to_server(net, [last])


def test_nothing_is_sent_while_a_packet_is_on_its_way(net: Network) -> None:
    *queue, late = segments(net, 3)
    punt(net, queue)
    net.open(SESSION)
    punt(net, [late])
    assert release(net, queue, 2) == ()
    assert net.target.counter("drops", Drop.NOT_RELEASED) == len(queue)
    punt(net, [late])
    assert release(net, [*queue, late], 3) == to_server(net, [*queue, late])
    assert net.from_client(late).outputs == to_server(net, [late])


def test_a_copy_on_its_way_holds_nothing_up(net: Network) -> None:
    queue = segments(net)
    punt(net, queue)
    net.open(SESSION)
    punt(net, queue[1:])
    assert release(net, queue, 5) == to_server(net, queue)


def test_packets_of_the_controller_without_a_number_pass(net: Network) -> None:
    queue = segments(net)
    punt(net, queue)
    net.open(SESSION)
    assert release(net, queue[2:], 0) == to_server(net, queue[2:])
    punt(net, [replace(queue[-1], seq=queue[-1].seq + LENGTH)])


def test_what_belongs_to_no_pending_flow_passes(net: Network) -> None:
    """Another acknowledgment, another port, a session that was opened without a proof."""
    ack, one, *_ = segments(net)
    punt(net, [ack])
    net.open(SESSION)
    other = replace(one, ack=one.ack + 1)
    assert net.from_client(other).outputs == to_server(net, [other])
    assert release(net, [other], 7) == to_server(net, [other])
    elsewhere = replace(one, source_port=CLIENT_PORT + 1)
    net.open(SESSION, replace(FLOW, client_port=CLIENT_PORT + 1))
    assert net.from_client(elsewhere).outputs == to_server(net, [elsewhere])


def test_an_rst_keeps_its_turn(net: Network) -> None:
    ack, one, *_ = segments(net)
    punt(net, [ack])
    net.open(SESSION)
    punt(net, [replace(one, flags=RST | ACK, payload=b"")])


def test_the_server_is_not_held(net: Network) -> None:
    punt(net, segments(net))
    net.open(SESSION)
    answer = server_segment(5, ISN + 1, payload=b"banner")
    assert net.from_server(answer).outputs == (net.to_client(answer, SESSION),)


@pytest.mark.parametrize("closing", [False, True])
def test_segments_of_the_last_connection_are_its_own(net: Network, closing: bool) -> None:
    """What acknowledges other numbers than those of the connection that is being opened is not of it."""
    old = client_segment(77, 88, ACK | FIN)
    net.open(replace(SESSION, phase=1) if closing else SESSION)
    if closing:
        punt(net, segments(net)[:2])
    assert net.from_client(old).outputs == to_server(net, [old])


def test_the_last_ack_of_a_short_connection(net: Network) -> None:
    """The session is closing within seconds of its proof."""
    ack, one, *_ = segments(net)
    punt(net, [ack, one])
    net.open(SESSION)
    assert len(release(net, [ack, one], 2)) == 2
    net.target.modify(net.sessions, net.session_key(), "translate", **vars(replace(SESSION, phase=1)))
    last = client_segment(one.seq + LENGTH + 1, one.ack + 51)
    assert net.from_client(last).outputs == to_server(net, [last])


def test_the_controller_can_send_through_a_closing_session(net: Network) -> None:
    ack, one, two, *_ = segments(net)
    punt(net, [ack, one, two])
    net.open(replace(SESSION, phase=1))
    assert release(net, [one], 0) == to_server(net, [one])
    assert release(net, [two], 0) == to_server(net, [two])


def test_a_controller_that_is_gone_stalls_nothing_for_long(net: Network) -> None:
    queue = segments(net)
    punt(net, queue)
    net.open(SESSION)
    punt(net, queue[-1:])
    time.sleep(1.2)
    assert net.from_client(queue[-1]).outputs == to_server(net, queue[-1:])
    assert release(net, queue, 3) == to_server(net, queue)


def test_only_so_many_wait(net: Network) -> None:
    flight = segments(net, 65)
    assert punt(net, flight[:64])[-1] == 64
    net.open(SESSION)
    assert net.from_client(flight[64]).outputs == to_server(net, flight[64:])


def test_more_than_is_metered_does_not_wait(net: Network) -> None:
    ack, one, *_ = segments(net)
    punt(net, [ack])
    net.open(SESSION)
    net.target.set_meter("punt_meter", net.service.service_id * PUNT_REASONS + FOLLOWING, 1, 1)
    passed = [net.from_client(one).outputs for _ in range(30)]
    assert to_server(net, [one]) in passed
    assert net.target.counter("drops", Drop.PUNT_RATE) == 0


def test_a_new_proof_begins_anew(net: Network) -> None:
    punt(net, segments(net))
    again = client_segment(6, net.proof(EVEN, 5) + 1)
    packet_in = net.punted(net.from_client(again), PROVEN)
    assert packet_in.number == 1


def test_a_proof_of_the_next_connection_is_none_of_this_one_s(net: Network) -> None:
    """Its cookie is as near as if it acknowledged what the server of the open session has said."""
    ack, one, *_ = segments(net)
    punt(net, [ack, one])
    net.open(replace(SESSION, isn=ISN, cookie=ack.ack - 1))
    punt(net, [replace(one, flags=RST | ACK)])
    near = next(isn for isn in range(5, 5000) if 0 < net.proof(EVEN, isn) - ack.ack + 1 < 1 << 27)
    again = client_segment(near + 1, net.proof(EVEN, near) + 1, payload=b"its first words")
    packet_in = net.punted(net.from_client(again), PROVEN)
    assert packet_in.number == 1


# --- packet-outs of all modes


def test_packet_outs_one_by_one(net: Network) -> None:
    """Each with its own mode and port."""
    net.open(SESSION)
    options = pad(timestamps_option(1, 2) + b"\xfd\x06abcd") + pad(sack_option(1, 2))
    rewritten = client_segment(1, 2, ACK | PSH, options=options, payload=b"shorter behind its options")
    opening = syn(7, source_mac="00:00:00:00:00:00", destination_mac="00:00:00:00:00:00")
    strange = bytes(range(14, 90))
    question = replace(client_segment(9, 10), source_port=7)
    proof = replace(question, source_port=8, ack=net.proof(EVEN, 8, client_port=8) + 1)
    padded = client_segment(3, 4, padding=b"\0" * 6)
    results = [
        net.target.packet_out(mode, port, frame)
        for mode, port, frame in (
            (ARRIVE, CLIENT_LINK, net.frame(rewritten)),
            (ROUTE, 0, net.frame(opening)),
            (EMIT, SERVER_LINK, strange),
            (ARRIVE, CLIENT_LINK, net.frame(question)),
            (ARRIVE, CLIENT_LINK, net.frame(proof)),
            (EMIT, 510, strange),
            (ARRIVE, CLIENT_LINK, net.frame(padded)),
            (ARRIVE, CLIENT_LINK, net.frame(client_segment(5, 6, payload=b"last"))),
        )
    ]
    assert [output for result in results for output in result.outputs] == [
        net.to_server(rewritten, SESSION),
        net.to_server(opening),
        (SERVER_LINK, strange),
        net.to_server(padded, SESSION),
        net.to_server(client_segment(5, 6, payload=b"last"), SESSION),
    ]
    (packet_in,) = (packet_in for result in results for packet_in in result.packet_ins)
    assert (packet_in.reason, packet_in.frame) == (PROVEN, net.frame(proof))
    assert net.target.counter("drops", Drop.BAD_COOKIE) == 1
    assert net.target.counter("drops", Drop.NOT_OURS) == 1


def test_a_syn_that_is_said_to_have_arrived_is_answered(net: Network) -> None:
    opening = syn(5, payload=b"data that nobody takes")
    (alone,) = net.from_client(opening).outputs
    assert net.target.packet_out(ARRIVE, CLIENT_LINK, net.frame(opening)).outputs == (alone,)
