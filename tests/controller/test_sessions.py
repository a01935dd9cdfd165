# SPDX-License-Identifier: Apache-2.0
"""Sessions after the handshake: late and early packets, ends, idle times, versions, reuse of the tuple."""

from __future__ import annotations

from typing import Any

import pytest

from controller.dataplane import REUSED, End, Mode, Phase
from controller.logic.model import CheckIdle, Entry, Put, Remove, Session
from controller.logic.sessions import TIMELINES, SessionTable, newer
from controller.packets import ACK, RST, SYN

from .world import KEY, SERVER, K, R, World, X, make_config, of, packets, to_client, to_server

ENTRY = Entry(1, 2, 0, 0, Phase.OPEN, 5, 8, 9, 300 * 10**9)


def opened(**config: Any) -> World:
    world = World(**config)
    world.open_session()
    return world


def session(world: World) -> Session:
    found = world.core.sessions.get(KEY)
    assert found is not None
    return found


def end(world: World, event: End) -> list[Put]:
    return of(Put, world.core.end_seen(KEY, event, world.now, world.wall))


# --- late and early packets


def test_a_late_copy_of_the_proven_packet_goes_through_the_pipeline_again() -> None:
    world = opened()
    assert world.proven("b") == []  # it is no loss: the packet itself was released a moment ago
    assert world.core.results["late_copies"] == 1
    world.sleep(1.2)
    [(out, _)] = packets(world.proven("b"))
    assert (out.switch, out.mode) == ("b", Mode.ARRIVE)
    assert len(world.core.flows) == 0


def test_a_switch_that_keeps_punting_is_repaired_but_no_loop() -> None:
    world = opened()
    world.sleep(1.2)
    effects = [effect for _ in range(100) for effect in world.proven()]
    assert len(packets(effects)) == 64
    [repair] = of(Put, effects)
    assert repair.switches == ("a",)
    world.sleep(1)
    assert world.proven()


def test_a_repeated_syn_ack_of_a_session_is_acknowledged_once_it_is_shared() -> None:
    world = World()
    world.proven()
    world.synack()
    assert world.synack() == []  # the barrier: the server must not speak yet
    world = opened()
    [(out, ack)] = packets(world.synack())
    assert (out.switch, out.mode) == ("b", Mode.ROUTE)
    assert (ack.destination, ack.seq, ack.ack, ack.flags) == (SERVER, X + 1, R + 1, ACK)
    assert ack.checksum_ok()
    assert world.synack(seq=R + 1) == []  # of another connection
    end(world, End.RST_FROM_CLIENT)
    assert world.synack() == []


def test_a_late_report_of_the_tuples_last_connection_counts_for_nothing() -> None:
    world = opened()
    session = world.core.sessions.get(KEY)
    assert session is not None
    first = session.entry.version
    for event in End:
        assert world.core.end_seen(KEY, event, world.now, world.wall, (first - 1) & 0xFFFFFFFF) == []
    assert (session.fin_client, session.fin_server) == (False, False)
    [put] = of(Put, world.core.end_seen(KEY, End.RST_FROM_CLIENT, world.now, world.wall, first))
    assert put.entry.phase == Phase.CLOSING
    assert not session.open


@pytest.mark.parametrize("closing", [False, True])
def test_a_syn_ack_for_another_syn_than_the_sessions_is_reset(closing: bool) -> None:
    """That SYN met the session when the server's connection had ended: it was no challenge to it."""
    world = opened()
    if closing:
        end(world, End.RST_FROM_CLIENT)
    [(out, reset)] = packets(world.synack(seq=R + 1, ack=77))
    assert (out.switch, out.mode) == ("b", Mode.ROUTE)
    assert (reset.seq, reset.flags) == (77, RST)
    assert len(world.core.sessions) == 1


def test_a_syn_ack_that_nobody_waits_for_is_reset() -> None:
    world = World()
    [(out, reset)] = packets(world.synack("b"))
    assert (out.switch, out.mode) == ("b", Mode.ROUTE)
    assert (reset.seq, reset.flags) == ((X + 1) & 0xFFFFFFFF, RST)


def test_an_early_return_waits_for_its_session() -> None:
    world = World()
    world.proven()
    world.synack()
    assert world.early("b", seq=R + 1) == []
    effects = world.confirm("b") + world.confirm("a")
    returned = [(o.switch, o.mode, o.port) for o, s in packets(effects) if s.seq == R + 1 and o.port == 2]
    assert returned == [("b", Mode.ARRIVE, 2)]
    assert world.core.returns.held_bytes == 0


def test_packets_of_an_older_connection_never_meet_the_new_numbers() -> None:
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    assert world.early("b", seq=R + 1) == []  # the old session is set aside there, the SYN is not sent yet
    world.confirm("a")
    world.confirm("b")
    world.synack(seq=R + 10**8, ack=1001)
    assert world.early("b", seq=R + 1) == []
    world.confirm("b")
    assert [out.mode for out, _ in packets(world.confirm("a"))] == [Mode.ARRIVE]  # the client's packet alone
    assert world.core.returns.dropped == {"early_return_old": 2}


def test_packets_held_from_before_the_handshake_are_forgotten() -> None:
    world = World()
    world.early("b", seq=R + 1)
    world.proven()
    assert world.core.returns.held_bytes == 0


def test_an_early_return_without_a_session_is_dropped_after_200_ms() -> None:
    world = World()
    world.early("b")
    assert world.core.returns.held_bytes > 0
    assert world.sleep(0.19) == []
    assert world.core.returns.held_bytes > 0
    assert world.sleep(0.02) == []
    assert world.core.returns.held_bytes == 0
    assert world.core.returns.dropped == {"early_return_expired": 1}


def test_early_returns_are_bounded() -> None:
    world = World()
    for n in range(5000):
        world.early("b", cport=n + 1)
    assert world.core.returns.dropped["early_return_full"] == 5000 - 4096


# --- ends


def test_fins_both_ways_close() -> None:
    world = opened()
    assert end(world, End.FIN_FROM_CLIENT) == []
    before = session(world).entry
    [put] = end(world, End.FIN_FROM_SERVER)
    assert put.switches == ("a", "b")
    assert not put.new
    assert put.entry == before._replace(phase=Phase.CLOSING, version=put.entry.version, idle_ns=60 * 10**9)
    assert newer(put.entry.version, before.version)
    assert world.core.sessions.closing == 1


@pytest.mark.parametrize("event", [End.RST_FROM_CLIENT, End.RST_FROM_SERVER])
def test_a_reset_closes(event: End) -> None:
    world = opened()
    [put] = end(world, event)
    assert put.entry.phase == Phase.CLOSING
    assert end(world, event) == []


def test_two_fins_of_one_side_do_not_close() -> None:
    world = opened()
    assert end(world, End.FIN_FROM_CLIENT) + end(world, End.FIN_FROM_CLIENT) == []


def test_a_closing_session_without_traffic_is_removed_everywhere() -> None:
    world = opened()
    [put] = end(world, End.RST_FROM_CLIENT)
    assert of(CheckIdle, world.sleep(59)) == []
    [check] = of(CheckIdle, world.sleep(4))
    assert (check.switches, check.keys) == (("a", "b"), [KEY])
    [remove] = of(Remove, world.core.idle_checked({KEY: {"a": 62.0, "b": 63.0}}, world.now, world.wall))
    assert (remove.switches, remove.version) == (("a", "b"), put.entry.version)
    assert len(world.core.sessions) == world.core.sessions.closing == 0


def test_a_forged_reset_never_ends_a_session_with_traffic() -> None:
    world = opened()
    [closing] = end(world, End.RST_FROM_CLIENT)
    world.sleep(63)
    [put] = of(Put, world.core.idle_checked({KEY: {"a": 0.5, "b": 63.0}}, world.now, world.wall))
    assert put.entry.phase == Phase.OPEN
    assert put.entry.idle_ns == 300 * 10**9
    assert newer(put.entry.version, closing.entry.version)
    assert world.core.sessions.closing == 0
    assert of(CheckIdle, world.sleep(100)) == []


def test_a_switch_that_was_filled_meanwhile_has_seen_no_packet() -> None:
    """Its entries count from when they were written; what it has seen since it serves tells of traffic."""
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    world.sleep(58)
    world.core.switch_lost("b", world.now, world.wall)
    world.core.switch_joined("b", world.now, filling=True)
    world.core.switch_live("b")
    world.core.switch_filled("b", world.now, world.wall)
    world.sleep(5)
    assert world.core.idle_checked({KEY: {"a": 63.0, "b": 5.1}}, world.now, world.wall) == []
    assert world.core.sessions.closing == 1
    [put] = of(Put, world.core.idle_checked({KEY: {"a": 63.0, "b": 4.9}}, world.now, world.wall))
    assert put.entry.phase == Phase.OPEN


@pytest.mark.parametrize(("quiet", "reopens"), [(31.5, True), (32.5, False)])
def test_a_packet_in_the_second_half_of_the_linger_time_reopens(quiet: float, reopens: bool) -> None:
    """The session is looked at two seconds after that time is over."""
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    assert of(CheckIdle, world.sleep(61.9)) == []
    assert of(CheckIdle, world.sleep(0.2))
    effects = world.core.idle_checked({KEY: {"a": quiet, "b": 62.0}}, world.now, world.wall)
    assert bool(of(Put, effects)) is reopens
    assert world.core.sessions.closing == (0 if reopens else 1)


def test_late_packets_of_a_proper_end_do_not_reopen() -> None:
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    world.sleep(63)
    assert world.core.idle_checked({KEY: {"a": 45.0, "b": 63.0}}, world.now, world.wall) == []
    [check] = of(CheckIdle, world.sleep(15.1))  # looked at again
    assert check.keys == [KEY]
    assert of(Remove, world.core.idle_checked({KEY: {"a": 60.0, "b": 78.0}}, world.now, world.wall))


def test_the_first_packet_repeated_after_a_reset_goes_on_but_does_not_reopen() -> None:
    """A late copy looks the same, and its client may be about to use the tuple again."""
    world = opened()
    end(world, End.RST_FROM_SERVER)
    effects = world.proven()
    assert of(Put, effects) == []
    assert packets(effects)[0][0].mode == Mode.ARRIVE
    assert session(world).entry.phase == Phase.CLOSING


def test_the_first_packet_delayed_beyond_both_fins_does_not_reopen() -> None:
    world = opened()
    end(world, End.FIN_FROM_CLIENT)
    end(world, End.FIN_FROM_SERVER)
    assert world.proven() == []
    assert world.core.results["late_after_end"] == 1
    assert world.core.sessions.closing == 1


# --- idle


def test_idle_at_one_switch_is_not_idle() -> None:
    world = opened()
    assert world.core.idle_seen("a", [KEY]) == []
    assert world.core.idle_seen("a", [KEY]) == []


def test_idle_at_every_switch_is_verified_before_it_is_removed() -> None:
    world = opened()
    world.core.idle_seen("a", [KEY])
    [check] = world.core.idle_seen("b", [KEY])
    assert isinstance(check, CheckIdle)
    # Meanwhile there was traffic at a: its report counts no more.
    assert world.core.idle_checked({KEY: {"a": 3.0, "b": 301.0}}, world.now, world.wall) == []
    assert world.core.idle_seen("b", [KEY]) == []
    [check] = world.core.idle_seen("a", [KEY])
    [remove] = of(Remove, world.core.idle_checked({KEY: {"a": 300.0, "b": 600.0}}, world.now, world.wall))
    assert remove.key == KEY


def test_a_dead_switch_has_no_say() -> None:
    world = opened()
    world.core.switch_lost("b", world.now, world.wall)
    [check] = world.core.idle_seen("a", [KEY])
    assert isinstance(check, CheckIdle)
    assert check.switches == ("a",)


def test_no_answer_is_no_idleness() -> None:
    world = opened()
    assert world.core.idle_checked({KEY: {}}, world.now, world.wall) == []


# --- the tuple again


def reused() -> World:
    """A closing session whose client begins anew with x = 1000, k = 2000."""
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    assert world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    return world


def test_reuse_of_a_closing_tuple_sets_it_aside_on_every_switch_before_the_syn() -> None:
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    old = session(world).entry.version
    [put] = world.proven(header={"isn": 1000}, seq=1001, ack=2001)  # no packet meets the old numbers
    assert isinstance(put, Put)
    assert (put.switches, put.entry.phase, put.new) == (("a", "b"), Phase.AWAITED, False)
    assert newer(put.entry.version, old)
    assert world.confirm("a", old) == []
    assert world.confirm("a") == []
    [syn] = to_server(world.confirm("b"))
    assert (syn.seq, syn.flags) == (1000, SYN)
    [new] = of(Put, world.synack(ack=1001))
    assert newer(new.entry.version, put.entry.version)
    assert (new.entry.phase, new.new) == (Phase.OPEN, False)
    world.confirm("b")
    assert [s.flags for s in to_server(world.confirm("a"))] == [ACK]
    assert len(world.core.sessions) == world.core.services[KEY[1], KEY[3]].sessions == 1
    assert world.core.sessions.closing == 0
    assert of(Remove, world.sleep(0.1)) == []


def test_a_set_aside_session_goes_when_nothing_comes_of_the_new_one() -> None:
    world = reused()
    world.confirm("a")
    world.confirm("b")
    effects = [*world.server_reset(ack=1001), *world.sleep(0.1)]
    assert [s.seq for s in to_client(effects)] == [2001]
    [remove] = of(Remove, effects)
    assert remove.switches == ("a", "b")
    assert len(world.core.sessions) == world.core.services[KEY[1], KEY[3]].sessions == 0
    assert world.core.sessions.closing == 0


def test_a_servers_ack_may_be_of_a_syn_that_met_the_old_session() -> None:
    world = reused()
    world.confirm("a")
    world.confirm("b")
    [reset, syn] = to_server(world.early(seq=5, ack=1001))
    assert (reset.seq, reset.flags, syn.seq) == (1001, RST, 1000)


def test_a_copy_of_the_old_connections_first_segment_changes_nothing() -> None:
    world = reused()
    assert world.proven() == []
    world.confirm("a")
    assert [s.seq for s in to_server(world.confirm("b"))] == [1000]
    assert world.proven() == []
    assert of(Put, world.synack(ack=1001))


def test_a_new_controller_does_not_take_over_what_is_set_aside() -> None:
    entry = session(reused()).entry
    successor = World()
    assert successor.core.adopt("a", [(KEY, entry)], successor.now, successor.wall) == []
    assert len(successor.core.sessions) == 0


def test_switches_that_never_confirm_end_the_reuse() -> None:
    world = reused()
    [reset] = to_client(world.sleep(5.1))
    assert (reset.seq, reset.flags) == (2001, RST | ACK)


# --- late segments of the tuple's last connection


def marked() -> World:
    """A session of a tuple that was used before, past its barrier."""
    world = reused()
    world.confirm("a")
    world.confirm("b")
    world.synack(ack=1001)
    world.confirm("b")
    world.confirm("a")
    return world


def test_the_switches_know_every_sessions_numbers_and_of_which_to_look_for_late_segments() -> None:
    entry = session(opened()).entry
    assert (entry.isn, entry.cookie, entry.to_server_shift & REUSED) == (X, K, 0)
    entry = session(marked()).entry
    assert (entry.isn, entry.cookie, entry.to_server_shift & REUSED) == (1000, 2000, REUSED)


def test_a_minute_later_they_need_not_look_any_more() -> None:
    world = marked()
    before = session(world).entry
    assert of(Put, world.sleep(59)) == []
    [put] = of(Put, world.sleep(2))
    shift = before.to_server_shift & ~REUSED
    assert (put.switches, put.key, put.new) == (("a", "b"), KEY, False)
    assert put.entry == before._replace(to_server_shift=shift, version=put.entry.version)
    assert newer(put.entry.version, before.version)
    assert session(world).entry == put.entry
    assert of(Put, world.sleep(200)) == []


def test_what_is_closing_then_is_looked_at_again_when_it_goes_on() -> None:
    world = marked()
    world.sleep(30)
    end(world, End.RST_FROM_SERVER)
    assert of(Put, world.sleep(31)) == []
    elapsed = {KEY: {"a": 1.0, "b": 100.0}}
    [reopened] = of(Put, world.core.idle_checked(elapsed, world.now, world.wall))
    assert reopened.entry.to_server_shift & REUSED
    [put] = of(Put, world.sleep(60))
    assert not put.entry.to_server_shift & REUSED
    assert put.entry.phase == Phase.OPEN


def test_a_session_that_took_the_place_of_a_marked_one_has_its_own_minute() -> None:
    world = marked()
    world.sleep(50)
    end(world, End.RST_FROM_CLIENT)
    world.proven(header={"isn": 3000}, seq=3001, ack=4001)
    world.confirm("a")
    world.confirm("b")
    world.synack(ack=3001)
    world.confirm("b")
    world.confirm("a")
    assert session(world).entry.isn == 3000
    assert of(Put, world.sleep(20)) == []
    [put] = of(Put, world.sleep(45))
    assert put.entry.isn == 3000


def test_a_mark_outlives_its_controller() -> None:
    entry = session(marked()).entry
    successor = World()
    successor.core.adopt("a", [(KEY, entry)], successor.now, successor.wall)
    assert of(Put, successor.sleep(59)) == []
    [put] = of(Put, successor.sleep(2))
    assert not put.entry.to_server_shift & REUSED


def test_of_several_controllers_one_takes_the_mark_away() -> None:
    world = marked()
    world.core.looks_after = lambda session: False
    assert of(Put, world.sleep(61)) == []
    world.core.looks_after = lambda session: True
    assert of(Put, world.sleep(61))


def test_segments_of_a_handshake_that_was_broken_off_may_come_late_too() -> None:
    world = World()
    world.proven()
    world.following(flags=RST | ACK)
    assert world.core.results["client_reset"] == 1
    world.sleep(50)
    world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    [put] = of(Put, world.synack(ack=1001))
    assert put.entry.to_server_shift & REUSED


def test_and_those_of_a_session_that_has_just_been_removed() -> None:
    world = opened()
    end(world, End.RST_FROM_CLIENT)
    assert of(Remove, world.core.idle_checked({KEY: {"a": 99.0, "b": 99.0}}, world.now, world.wall))
    world.confirm("a", session_version(world), removed=True)
    world.confirm("b", session_version(world), removed=True)
    world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    [put] = of(Put, world.synack(ack=1001))
    assert put.entry.to_server_shift & REUSED


def session_version(world: World) -> int:
    """Of the session that was removed."""
    version = world.core.sessions.removed(KEY)
    assert version is not None
    return version


def test_a_late_delete_never_removes_a_newer_session() -> None:
    table = SessionTable(make_config().timers)
    first = Session(KEY, ENTRY, "web", 0.0)
    table.add(first)
    assert table.remove(first, 4.0)
    second = Session(KEY, ENTRY._replace(version=6), "web", 0.0)
    table.add(second)
    assert not table.remove(first, 4.0)
    assert table.get(KEY) is second


# --- versions


def test_versions_are_the_clock_or_one_more_than_before() -> None:
    table = SessionTable(make_config().timers)
    assert table.next_version(KEY, 1000.9) == 1000
    first = Session(KEY, ENTRY._replace(version=1000), "web", 0.0)
    table.add(first)
    assert table.next_version(KEY, 1000.9) == 1001
    assert table.next_version(KEY, 900.0) == 1001  # a clock that went back
    table.remove(first, 1000.9)
    assert table.next_version(KEY, 1000.9) == 1001  # also within the second of its removal
    assert table.next_version(KEY, 1007.0) == 1007


def test_removed_tuples_are_not_remembered_for_ever() -> None:
    table = SessionTable(make_config().timers)
    for n in range(100):
        gone = Session((n, 1, 1, 1), ENTRY._replace(version=1000 + n), "web", 0.0)
        table.add(gone)
        table.remove(gone, 1000.0 + n + 5)
    assert len(table._removed) <= 6


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [(2, 1, True), (1, 2, False), (1, 1, False), (0, 0xFFFFFFFF, True), (0xFFFFFFFF, 0, False)],
)
def test_serial_comparison(version: int, than: int, expected: bool) -> None:
    assert newer(version, than) is expected


def test_only_the_latest_sessions_keep_their_timeline() -> None:
    from controller.logic.model import Timeline

    table = SessionTable(make_config().timers)
    sessions = [
        Session((n, 1, 1, 1), ENTRY, "web", 0.0, timeline=Timeline(1.0)) for n in range(TIMELINES + 3)
    ]
    for item in sessions:
        table.add(item)
    assert [s.timeline is None for s in sessions[:4]] == [True, True, True, False]


def test_the_timeline_tells_the_order() -> None:
    world = World()
    world.proven()
    world.sleep(0.1)
    world.synack()
    world.sleep(0.1)
    world.confirm("b")
    world.sleep(0.1)
    world.confirm("a")
    times = session(world).timeline
    assert times is not None
    assert times.proven == times.syn_sent
    assert times.syn_sent < times.synack < times.confirmed["b"] < times.confirmed["a"] <= times.released


def test_numbers_of_the_session() -> None:
    world = opened()
    assert (session(world).entry.isn, session(world).entry.cookie, session(world).ingress) == (X, K, "a")
    assert world.core.services[KEY[1], KEY[3]].sessions == 1
