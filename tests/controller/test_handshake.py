# SPDX-License-Identifier: Apache-2.0
"""One connection, step by step: each rule of the handshake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.dataplane import EARLY_SPAN, SHIFT_RIGHT, End, Mode, PuntHeader
from controller.logic.handshake import shift
from controller.logic.model import MASK32, Put, Remove, ServiceChanged
from controller.packets import ACK, FIN, PSH, RST, SYN, Options, parse_options, timestamps_option

from .world import (
    CLIENT,
    CPORT,
    KEY,
    L2,
    PORT,
    SERVER,
    SPORT,
    TC,
    TP,
    TS,
    K,
    R,
    World,
    X,
    of,
    packets,
    to_client,
    to_server,
)


def test_a_proven_packet_opens_to_the_server_through_its_ingress() -> None:
    world = World()
    [(out, syn)] = packets(world.proven())
    assert (out.switch, out.mode, out.port) == ("a", Mode.ROUTE, PORT)
    assert (syn.source, syn.destination, syn.source_port, syn.destination_port) == (
        CLIENT,
        SERVER,
        CPORT,
        SPORT,
    )
    assert (syn.seq, syn.ack, syn.flags) == (X, 0, SYN)
    assert parse_options(syn.options) == Options(1460, 7, True, (TC, 0))
    assert syn.window == 502 << 7  # scaled: the window of a SYN is not
    assert syn.l2 == L2
    assert syn.checksum_ok()


def test_the_syn_offers_no_more_than_the_client_did() -> None:
    world = World()
    header = {"mss": 536, "window_scale": 15, "sack": 0}
    [syn] = to_server(world.proven(header=header, options=b"", window=4000))
    assert parse_options(syn.options) == Options(536, None, False, None)
    assert syn.window == 4000


def test_the_syn_window_saturates() -> None:
    [syn] = to_server(World().proven(window=60000))
    assert syn.window == 65535


def test_three_copies_of_the_ack_are_one_flow_and_one_syn() -> None:
    world = World()
    assert len(world.proven()) == 1
    assert world.proven() == []
    assert world.proven() == []
    flow = world.core.flows.get(KEY)
    assert flow is not None
    assert len(flow.held) == 1


def test_a_keep_alive_opens_with_isn_x() -> None:
    world = World()
    [syn] = to_server(world.proven(seq=X, payload=b"\0"))
    assert syn.seq == X
    world.synack()
    world.confirm("b")
    # A keep-alive alone completes no handshake: the lost ACK is sent in the client's place, before it.
    (first, ack), (second, probe) = packets(world.confirm("a"))
    assert ack.frame == world.client_frame()
    assert probe.frame == world.client_frame(seq=X, payload=b"\0")
    assert first.mode == second.mode == Mode.ARRIVE


def test_a_corrupt_punt_is_dropped_and_counted() -> None:
    world = World()
    frame = bytearray(world.client_frame(payload=b"GET"))
    frame[-1] ^= 1
    header = PuntHeader(PORT, 1, 0, X, 1460, 7, 1)
    assert world.core.punt_proven("a", header, bytes(frame), 0.0, 0.0) == []
    assert world.core.results["bad_checksum"] == 1


def test_the_syn_ack_makes_the_session_everywhere() -> None:
    world = World()
    world.proven()
    [put] = world.synack("b")
    assert isinstance(put, Put)
    assert put.switches == ("b",)
    [last] = world.confirm("b")
    assert last == replace(put, switches=("a",))
    assert put.key == KEY
    assert put.new
    assert put.entry.delta == (K - R) & MASK32
    assert put.entry.tau == (TP - TS) & MASK32
    assert put.entry.to_client_shift == 2  # the server scales by 9, the client by the 7 it was told
    assert put.entry.to_server_shift == 0
    assert put.entry.phase == 0
    assert put.entry.idle_ns == 300 * 10**9


@pytest.mark.parametrize("switch", ["a", "b"])
def test_the_syn_ack_may_come_out_anywhere(switch: str) -> None:
    world = World()
    world.proven()
    assert of(Put, world.synack(switch))


def test_nothing_is_released_before_every_switch_confirmed() -> None:
    world = World()
    world.proven()
    world.synack()
    assert packets(world.sleep(0.5)) == []
    assert packets(world.confirm("b")) == []
    assert world.sleep(0.5) == []
    released = world.confirm("a")
    [(out, segment)] = packets(released)
    assert (out.switch, out.mode, out.port) == ("a", Mode.ARRIVE, PORT)
    assert segment.frame == world.client_frame()
    assert len(world.core.flows) == 0
    assert len(world.core.sessions) == 1


def test_the_ingress_gets_the_session_after_all_others_have_confirmed_it() -> None:
    """With the session it would translate the client's next packets, and the server could speak to a switch
    that does not know the session."""
    world = World(live=("a", "b", "c"))
    world.proven()
    assert [put.switches for put in of(Put, world.synack())] == [("b", "c")]
    assert world.confirm("c") == []
    assert world.proven(payload=b"GET") == []  # the ingress still punts what comes: it is held
    [put] = of(Put, world.confirm("b"))
    assert put.switches == ("a",)
    assert [s.payload_length for _, s in packets(world.confirm("a"))] == [0, 3]


def test_an_end_seen_within_the_barrier_does_not_reach_the_ingress_early() -> None:
    world = World()
    world.proven()
    [first] = of(Put, world.synack())
    [closing] = of(Put, world.core.end_seen(KEY, End.RST_FROM_SERVER, world.now, world.wall))
    assert closing.switches == ("b",)
    [put] = of(Put, world.confirm("b", first.entry.version))
    assert (put.switches, put.entry) == (("a",), closing.entry)
    assert world.confirm("b", closing.entry.version) == []
    assert packets(world.confirm("a", closing.entry.version))


def test_a_single_switch_is_its_own_barrier() -> None:
    world = World(live=("a",))
    world.proven()
    assert [put.switches for put in of(Put, world.synack("a"))] == [("a",)]
    assert packets(world.confirm("a"))


def test_the_time_of_the_barrier_is_for_all_switches_together() -> None:
    world = World()
    world.proven()
    world.synack()
    world.sleep(4.0)
    world.confirm("b")
    assert world.sleep(0.9) == []
    assert of(Remove, world.sleep(0.2))


def test_a_repeated_syn_ack_before_the_barrier_is_ignored() -> None:
    world = World()
    world.proven()
    world.synack()
    assert world.synack() == []
    assert world.synack("a") == []


def test_held_packets_leave_in_sequence_order() -> None:
    world = World()
    world.proven(seq=X + 1 + 10, payload=b"second", flags=ACK | PSH)
    world.proven(seq=X + 1 + 20, flags=ACK | FIN)
    world.proven()
    world.proven(seq=X + 1, payload=b"0123456789")
    world.synack()
    world.confirm("b")
    sent = [((s.seq - X - 1) & MASK32, s.payload_length) for _, s in packets(world.confirm("a"))]
    assert sent == [(0, 0), (0, 10), (10, 6), (20, 0)]


def test_the_rest_of_the_first_flight_joins_the_queue() -> None:
    world = World()
    world.proven()
    world.proven(payload=bytes(1448))
    assert world.following(seq=X + 1 + 2896, flags=ACK | FIN) == []
    assert world.following(seq=X + 1 + 1448, payload=bytes(1448)) == []
    assert world.following(seq=X + 1 + 1448, payload=bytes(1448)) == []
    world.synack()
    world.confirm("b")
    sent = [((s.seq - X - 1) & MASK32, s.payload_length) for _, s in packets(world.confirm("a"))]
    assert sent == [(0, 0), (0, 1448), (1448, 1448), (2896, 0)]


def test_what_cannot_be_of_the_first_flight_does_not_join() -> None:
    world = World()
    assert world.following() == []  # no flow
    world.proven()
    world.following(ack=K + 2, seq=X + 5)  # an older connection's acknowledgment
    world.following(seq=X + 5 + 6000)  # beyond our window
    world.following(seq=X - 5)
    flow = world.core.flows.get(KEY)
    assert flow is not None
    assert len(flow.held) == 1
    assert world.core.results["following_unknown"] == 4


def test_a_following_segment_of_a_closing_session_is_sent_through_it() -> None:
    world = World()
    world.open_session()
    world.core.end_seen(KEY, End.RST_FROM_CLIENT, world.now, world.wall)
    [(out, segment)] = packets(world.following(number=1, seq=X + 5))
    assert (out.switch, out.mode, out.release) == ("a", Mode.ARRIVE, 0)
    assert segment.seq == (X + 5) & MASK32
    assert world.following(seq=X + 5, ack=K + EARLY_SPAN + 1) == []  # another connection's
    assert world.core.results["following_unknown"] == 1


def test_the_same_data_held_once() -> None:
    world = World()
    world.proven(payload=b"hello")
    world.proven(payload=b"hello")
    world.proven(payload=b"hello", flags=ACK | PSH)
    flow = world.core.flows.get(KEY)
    assert flow is not None
    world.following(seq=X + 6, payload=b" and more", flags=ACK | FIN)
    world.following(payload=b"hello and more")
    world.following(payload=b"hello and more", flags=ACK | FIN)
    assert [(p.length, p.flags) for p in flow.held] == [(5, ACK), (9, ACK | FIN)]


def test_syns_are_repeated_identically_after_1_2_and_4_seconds_then_the_client_is_reset() -> None:
    world = World()
    [first] = to_server(world.proven())
    times, last = [], 1000.0
    client: list[object] = []
    while not client and world.now < 1030:
        effects = world.sleep(0.25)
        for segment in to_server(effects):
            assert segment.frame == first.frame
            times.append(world.now - last)
            last = world.now
        client = list(to_client(effects))
    assert times == [1, 2, 4]
    [reset] = to_client(effects)
    assert (reset.seq, reset.ack, reset.flags) == (K + 1, (X + 1) & MASK32, RST | ACK)
    assert (reset.source, reset.destination) == (SERVER, CLIENT)
    assert reset.checksum_ok()
    assert len(world.core.flows) == 0
    assert world.core.flows.held_bytes == 0


def test_a_refusal_of_the_server_resets_the_client_and_leaves_nothing() -> None:
    world = World()
    world.proven()
    [reset] = to_client(world.server_reset())
    assert (reset.seq, reset.ack, reset.flags) == (K + 1, (X + 1) & MASK32, RST | ACK)
    assert len(world.core.flows) == len(world.core.sessions) == 0
    assert world.core.results["server_refused"] == 1


def test_a_forged_reset_with_a_wrong_ack_is_ignored() -> None:
    world = World()
    world.proven()
    assert world.server_reset(ack=X + 2) == []
    assert of(Put, world.synack())


@pytest.mark.parametrize(
    ("flags", "ack"),
    [
        (SYN | ACK, 0x1234),  # half open, for another SYN
        (ACK, 0x777),
        (ACK | FIN, 0x777),
        (ACK | PSH, X + 1),  # open, for a SYN with the same number that met the tuple's last session
        (ACK | FIN, X + 1),
    ],
)
def test_an_old_connection_at_the_server_is_cleared(flags: int, ack: int) -> None:
    """It is reset at what it acknowledges (RFC 9293 section 3.5.1), and the SYN comes again at once."""
    world = World()
    [first] = to_server(world.proven())
    [reset, syn] = to_server(world.early(flags=flags, seq=5, ack=ack))
    assert (reset.seq, reset.flags) == (ack & MASK32, RST)
    assert syn.frame == first.frame
    assert world.core.results["server_outdated"] == 1
    assert of(Put, world.synack())


def test_a_challenge_for_a_late_syn_is_no_old_connection() -> None:
    """The server has our SYN, and then got one of a handshake that was broken off: it has no other one."""
    world = World()
    [syn] = to_server(world.proven())
    assert world.early(seq=R + 1) == []
    [repeated] = to_server(world.sleep(1.01))
    assert repeated.frame == syn.frame
    [reset, again] = to_server(world.early(seq=R + 1))  # that should have called forth its SYN/ACK
    assert (reset.seq, reset.flags) == (X + 1, RST)
    assert again.frame == syn.frame
    assert of(Put, world.synack())


def test_an_old_connection_that_stays_is_no_loop() -> None:
    world = World()
    world.proven()
    sent = [len(world.early(seq=n, ack=0x777)) for n in range(8)]
    assert sent == [2] * 4 + [0] * 4
    [repeated] = to_server(world.sleep(1.01))
    assert repeated.flags == SYN
    assert len(world.early(ack=0x777)) == 2
    assert world.sleep(0.9) == []  # what is repeated at once begins the time to the next one anew
    assert len(world.core.flows) == 1


@pytest.mark.parametrize(
    ("told", "given", "learned"),
    [
        (Options(1460, 7, True, (TC, TP)), Options(1460, 7, False, (TS, TC)), ("sack", False)),
        (Options(1460, 7, True, (TC, TP)), Options(1460, 7, True, None), ("timestamps", False)),
    ],
)
def test_what_the_server_lacks_ends_the_connection_and_is_learned(
    told: Options, given: Options, learned: tuple[str, bool]
) -> None:
    world = World()
    world.proven()
    effects = world.synack(tcp_options=given)
    [client], [server] = to_client(effects), to_server(effects)
    assert (client.seq, client.flags) == (K + 1, RST)
    assert (server.seq, server.flags) == ((X + 1) & MASK32, RST)
    assert not of(Put, effects)
    [changed] = of(ServiceChanged, effects)
    assert getattr(changed.service, learned[0]) is learned[1]
    assert len(world.core.flows) == len(world.core.sessions) == 0


def test_a_server_without_what_the_client_was_never_told_is_no_mismatch() -> None:
    world = World()
    world.proven(header={"sack": 0}, options=b"")
    [put] = of(Put, world.synack(tcp_options=Options(1460, 7)))
    assert put.entry.tau == 0


def test_a_server_without_window_scale_is_repaired_and_learned() -> None:
    world = World()
    world.proven(header={"window_scale": 5})
    effects = world.synack(tcp_options=Options(1460, None, True, (TS, TC)))
    [put] = of(Put, effects)
    assert put.entry.to_client_shift == SHIFT_RIGHT | 7  # told 7, the server does not scale
    assert put.entry.to_server_shift == 5  # nor does it know that the client does
    [changed] = of(ServiceChanged, effects)
    assert changed.service.window_scale is None


def test_a_client_without_window_scale_needs_no_shift() -> None:
    world = World()
    world.proven(header={"window_scale": 15})
    [put] = of(Put, world.synack(tcp_options=Options(1460, None, True, (TS, TC))))
    assert (put.entry.to_client_shift, put.entry.to_server_shift) == (0, 0)


def test_a_smaller_mss_of_the_server_is_learned() -> None:
    world = World()
    world.proven()
    [changed] = of(ServiceChanged, world.synack(tcp_options=Options(1200, 9, True, (TS, TC))))
    assert changed.service.mss == 1200


def test_the_first_mss_of_the_server_counts_and_later_ones_only_lower_it() -> None:
    world = World()
    [service] = world.core.services.values()
    told = []
    for mss in (8960, 1400, 1460, None):
        service.learn(Options(1460), Options(mss))
        told.append((service.mss, service.learned["mss"]))
    assert told == [(8960, 8960), (1400, 1400), (1400, 1460), (536, 536)]


def test_only_what_was_offered_can_be_learned() -> None:
    [service] = World().core.services.values()
    assert not service.learn(Options(1460), Options(1460))
    assert service.learned == {"mss": 1460}
    assert not service.learn(Options(1460, 2, True, (1, 2)), Options(1460, 3, True, (3, 1)))
    assert service.learned == {"mss": 1460, "window_scale": 3, "sack": True, "timestamps": True}
    assert (service.window_scale, service.sack, service.timestamps) == (7, True, True)
    assert service.learn(Options(1460, 2, True, (1, 2)), Options(1460))
    assert service.learned == {"mss": 1460, "window_scale": None, "sack": False, "timestamps": False}
    assert (service.window_scale, service.sack, service.timestamps) == (None, False, False)


OPTIONS = ("mss", "window_scale", "sack", "timestamps")


def test_where_what_clients_are_told_comes_from() -> None:
    [service] = World().core.services.values()
    assert {service.origin(option) for option in OPTIONS} == {"default"}
    service.learn(Options(1460, 2, True), Options(1460, 3, True))
    assert [service.origin(option) for option in OPTIONS] == ["learned", "default", "learned", "default"]
    service.learn(Options(1460, 2, True, (1, 2)), Options(1460, None, True, (3, 1)))
    assert [service.origin(option) for option in OPTIONS] == ["learned"] * 4


def test_configured_values_win_over_learned_ones() -> None:
    given = {"mss": 1460, "window_scale": 7, "sack": True, "timestamps": True}
    world = World(services=[{"name": "web", "address": "203.0.113.10", "port": SPORT, **given}])
    [service] = world.core.services.values()
    assert not service.learn(Options(1460, 2, True, (1, 2)), Options(1200))
    assert service.learned == {"mss": 1200, "window_scale": None, "sack": False, "timestamps": False}
    assert {key: getattr(service, key) for key in given} == given
    assert {service.origin(option) for option in given} == {"configured"}


@pytest.mark.parametrize(("actual", "told", "expected"), [(9, 7, 2), (7, 7, 0), (3, 7, SHIFT_RIGHT | 4)])
def test_shift(actual: int, told: int, expected: int) -> None:
    assert shift(actual, told) == expected


def test_a_barrier_that_fails_resets_both_sides_and_leaves_no_entry() -> None:
    world = World()
    world.proven()
    world.synack()
    world.confirm("a")
    assert world.sleep(4.9) == []
    effects = world.sleep(0.2)
    [client], [server] = to_client(effects), to_server(effects)
    assert (client.seq, client.flags) == (K + 1, RST)
    assert (server.seq, server.flags) == ((X + 1) & MASK32, RST)
    [remove] = of(Remove, effects)
    assert remove.switches == ("a", "b")
    assert len(world.core.flows) == len(world.core.sessions) == 0
    assert world.core.results["barrier_timeout"] == 1


def test_a_full_table_refuses_the_new_session() -> None:
    world = World()
    world.proven()
    [put] = of(Put, world.synack())
    effects = world.core.refused("b", KEY, put.entry.version, True, world.now, world.wall)
    assert [s.flags for s in to_client(effects)] == [RST]
    assert [s.flags for s in to_server(effects)] == [RST]
    assert of(Remove, effects)
    assert world.core.results["table_full"] == 1


def test_a_confirmation_of_an_older_version_counts_for_nothing() -> None:
    world = World()
    world.proven()
    [put] = of(Put, world.synack())
    assert world.confirm("b", put.entry.version - 1) == []
    assert world.confirm("b", put.entry.version)
    assert world.confirm("a", put.entry.version - 1) == []
    assert packets(world.confirm("a", put.entry.version))


def test_a_service_with_window_0_gets_a_window_update_after_the_release() -> None:
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "window": 0}
    world = World(services=[service])
    world.proven()
    world.synack()
    world.confirm("b")
    effects = world.confirm("a")
    [update] = to_client(effects)
    assert (update.seq, update.ack, update.flags) == (K + 1, (X + 1) & MASK32, ACK)
    assert update.window == 65160 >> 7  # a SYN's window is unscaled, this one is read with the scale told
    assert update.options == timestamps_option(TP, TC)
    assert [s.flags for s in to_server(effects)] == [ACK]  # the held packet, before it
    assert packets(effects)[-1][1].destination == CLIENT


def test_no_flow_begins_at_a_switch_that_is_away_or_for_an_unknown_service() -> None:
    world = World(live=("a",))
    assert world.proven("b") == []
    assert world.core.results["no_switch"] == 1
    world = World(services=[{"name": "other", "address": "203.0.113.99", "port": 1}])
    assert world.proven() == []
    assert world.core.results["no_service"] == 1
