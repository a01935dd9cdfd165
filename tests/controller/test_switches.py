# SPDX-License-Identifier: Apache-2.0
"""Switches that come and go: barriers, take-over, comparison; liveness and arbitration."""

from __future__ import annotations

import pytest

from controller.dataplane import End, Mode, Phase
from controller.logic.arbitration import Arbitration, Standing, leading_id
from controller.logic.liveness import Liveness, SwitchState
from controller.logic.model import MASK32, CheckIdle, Entry, Put
from controller.packets import ACK, RST, SYN

from .world import CLIENT, KEY, K, World, X, make_config, of, packets, to_server

ENTRY = Entry(1, 2, 0, 0, Phase.OPEN, 5, 8, 9, 300 * 10**9)
OTHER = (KEY[0] + 1, *KEY[1:])
LEADER = leading_id(0, 7)


def test_a_pending_barrier_goes_on_without_a_dead_switch() -> None:
    world = World()
    world.proven()
    world.synack()
    [put] = world.core.switch_lost("b", world.now, world.wall)
    assert isinstance(put, Put)
    assert put.switches == ("a",)
    assert len(packets(world.confirm("a"))) == 1
    assert len(world.core.sessions) == 1


def test_a_barrier_that_still_waits_for_another_switch_is_not_released() -> None:
    world = World(live=("a", "b", "c"))
    world.proven()
    world.synack()
    assert world.core.switch_lost("c", world.now, world.wall) == []
    assert world.confirm("b")
    assert packets(world.confirm("a"))


def test_a_joining_switch_gets_writes_but_no_barrier_waits_for_it() -> None:
    world = World(live=("a",))
    world.core.switch_joined("b", world.now)
    world.proven()
    assert [put.switches for put in of(Put, world.synack())] == [("b",), ("a",)]
    assert packets(world.confirm("a"))


def test_the_ingress_must_confirm_even_while_it_joins() -> None:
    world = World(live=("b",))
    world.core.switch_joined("a", world.now)
    world.proven("a")
    world.synack()
    assert packets(world.confirm("b")) == []
    assert packets(world.confirm("a"))


def test_who_proves_himself_at_a_switch_without_sessions_waits_for_it() -> None:
    world = World(live=("b",))
    world.core.switch_joined("a", world.now, filling=True)
    assert world.proven() == []
    world.sleep(3)
    world.core.switch_live("a")
    assert world.confirm("b") == []
    [(out, segment)] = packets(world.core.switch_filled("a", world.now, world.wall))
    assert (out.switch, segment.flags, segment.seq) == ("a", SYN, X)
    world.synack()
    world.confirm("b")
    assert packets(world.confirm("a"))


def test_it_waits_no_longer_than_for_a_server() -> None:
    world = World(live=("b",))
    world.core.switch_joined("a", world.now, filling=True)
    world.proven()
    assert world.sleep(7.9) == []
    [(out, segment)] = packets(world.sleep(0.2))
    assert (out.mode, segment.flags, segment.seq, segment.ack) == (
        Mode.ROUTE,
        RST | ACK,
        K + 1,
        X + 1 & MASK32,
    )
    assert world.core.results["filling"] == 1
    assert len(world.core.flows) == 0


def test_a_tuple_used_again_waits_for_the_old_session_and_for_the_switch() -> None:
    world = World(live=("b",))
    world.core.switch_joined("a", world.now, filling=True)
    world.core.adopt("b", [(KEY, ENTRY._replace(phase=Phase.CLOSING))], world.now, world.wall)
    world.sleep(11)
    [aside] = of(Put, world.proven())
    assert set(aside.switches) == {"a", "b"}
    world.confirm("a", aside.entry.version)
    assert world.confirm("b", aside.entry.version) == []
    world.core.switch_live("a")
    assert packets(world.core.switch_filled("a", world.now, world.wall))


def test_what_looks_like_a_proof_at_a_switch_without_sessions_costs_no_session() -> None:
    world = World()
    world.open_session()
    world.core.switch_lost("a", world.now, world.wall)
    world.core.switch_joined("a", world.now, filling=True)
    assert world.proven(ack=K + 99) == []
    assert world.proven() == []
    assert world.core.results["late_while_filling"] == 2
    session = world.core.sessions.get(KEY)
    assert session is not None
    assert session.open


def test_a_switch_that_nobody_waits_for_is_lost_before_the_server_answered() -> None:
    """c was being filled when the tuple's last session was set aside: it still was waited for, in vain."""
    world = World(live=("a", "b"))
    world.core.switch_joined("c", world.now, filling=True)
    world.core.adopt("a", [(KEY, ENTRY._replace(phase=Phase.CLOSING))], world.now, world.wall)
    world.sleep(11)
    [aside] = of(Put, world.proven())
    world.confirm("a", aside.entry.version)
    [(_, syn)] = packets(world.confirm("b", aside.entry.version))
    assert syn.flags == SYN
    assert world.core.switch_lost("c", world.now, world.wall) == []
    assert world.core.results["released"] == 0
    world.synack()
    assert len(world.core.flows) == 1


def test_flows_of_a_dead_ingress_end_before_the_server_answered() -> None:
    world = World()
    world.proven()
    world.core.switch_lost("a", world.now, world.wall)
    assert len(world.core.flows) == 0
    assert world.core.flows.held_bytes == 0


def test_a_session_of_a_dead_ingress_is_still_shared() -> None:
    world = World()
    world.proven()
    world.synack()
    world.core.switch_lost("a", world.now, world.wall)
    world.confirm("b")
    assert len(world.core.sessions) == 1
    assert len(world.core.flows) == 0


# --- take-over


def test_a_new_controller_adopts_the_union_by_the_highest_version() -> None:
    world = World(live=("a", "b"))
    newer = ENTRY._replace(version=9, delta=77)
    assert of(Put, world.core.adopt("a", [(KEY, ENTRY)], world.now, world.wall))
    effects = world.core.adopt("b", [(KEY, newer), (OTHER, ENTRY)], world.now, world.wall)
    assert {(p.switches, p.key, p.entry, p.new) for p in of(Put, effects)} == {
        (("a",), KEY, newer, False),
        (("a",), OTHER, ENTRY, True),
    }
    assert world.core.adopt("a", [(KEY, ENTRY)], world.now, world.wall) == []
    assert world.core.sessions.entries() == {KEY: newer, OTHER: ENTRY}
    assert world.core.services[KEY[1], KEY[3]].sessions == 2


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.CLOSING])
def test_a_taken_over_session_knows_its_own_proof(phase: Phase) -> None:
    """A switch repeats to a new controller what the old one was told: that begins no second session."""
    world = World()
    entry = ENTRY._replace(phase=phase, isn=X, cookie=K)
    world.core.adopt("a", [(KEY, entry)], world.now, world.wall)
    [(out, segment)] = packets(world.proven())  # it may have been among those that were held
    assert (out.switch, out.mode, segment.seq) == ("a", Mode.ARRIVE, X + 1)
    assert len(world.core.flows) == 0


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.CLOSING])
def test_a_client_that_uses_its_port_again_need_not_wait_after_a_take_over(phase: Phase) -> None:
    world = World()
    entry = ENTRY._replace(phase=phase, isn=X - 100_000, cookie=K)
    world.core.adopt("a", [(KEY, entry)], world.now, world.wall)
    [aside] = of(Put, world.proven())
    assert aside.entry.phase == Phase.AWAITED
    assert len(world.core.flows) == 1


def test_an_unproven_syn_ack_on_a_taken_over_session_is_reset() -> None:
    world = World()
    world.core.adopt("a", [(KEY, ENTRY._replace(isn=X - 100_000, cookie=K))], world.now, world.wall)
    assert [s.flags for s in to_server(world.synack())] == [RST]
    assert world.core.results["synack_unproven"] == 1


def test_a_handshake_of_the_last_controller_begins_again() -> None:
    world = World()
    world.core.began = world.now
    [(out, probe)] = packets(world.synack())
    assert (out.switch, out.mode, probe.flags, probe.destination) == ("b", Mode.ROUTE, ACK, CLIENT)
    assert (probe.ack, probe.payload_length) == ((X + 1) & 0xFFFFFFFF, 0)
    assert (probe.seq - K) & 0xFFFFFFFF > 1 << 30  # beyond every window: the client repeats its ACK
    assert to_server(world.proven())[0].seq == X
    world.sleep(11)
    other = World()
    other.core.began = other.now - 11
    [reset] = to_server(other.synack())
    assert reset.flags == RST


def test_sessions_of_unknown_services_are_not_adopted() -> None:
    world = World()
    foreign = (KEY[0], 5, 6, 7)
    assert world.core.adopt("a", [(foreign, ENTRY)], world.now, world.wall) == []
    assert len(world.core.sessions) == 0


def test_an_adopted_closing_session_is_looked_after() -> None:
    world = World()
    world.core.adopt("a", [(KEY, ENTRY._replace(phase=Phase.CLOSING))], world.now, world.wall)
    assert world.core.sessions.closing == 1
    [check] = of(CheckIdle, world.sleep(62.1))
    assert check.keys == [KEY]


def test_an_adopted_session_ends_like_any_other() -> None:
    world = World()
    world.core.adopt("a", [(KEY, ENTRY)], world.now, world.wall)
    [put] = of(Put, world.core.end_seen(KEY, End.RST_FROM_SERVER, world.now, world.wall))
    assert put.entry.version > ENTRY.version


# --- liveness


def test_the_wait_doubles_up_to_the_maximum() -> None:
    life = Liveness(make_config(timers={"reconnect_min": 1, "reconnect_max": 5}).timers)
    assert [life.lost("no connection")[0] for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_reason_is_news_once() -> None:
    life = Liveness(make_config().timers)
    assert life.lost("refused") == (0.25, True)
    assert life.lost("refused") == (0.5, False)
    assert life.lost("wrong device id") == (0.25, True)
    assert life.state is SwitchState.DOWN
    assert life.reason == "wrong device id"


def test_a_switch_that_was_in_service_is_tried_again_at_once() -> None:
    life = Liveness(make_config().timers)
    for _ in range(5):
        life.lost("refused")
    life.connected()
    assert life.state is SwitchState.SYNCING
    life.in_service()
    assert life.reason == ""
    assert life.lost("stream ended") == (0.25, True)


# --- arbitration


def test_a_later_leader_has_a_higher_id() -> None:
    first = leading_id(0, 0xFFFF)
    second = leading_id(first + 3, 0)
    assert first == 1 << 32 | 0xFFFF << 16
    assert second == 2 << 32
    with pytest.raises(ValueError, match="no election id is left"):
        leading_id((1 << 128) - 1, 0)


def test_the_first_bid_wins() -> None:
    bids = Arbitration(LEADER)
    assert bids.on_update(0, LEADER) is Standing.PRIMARY


def test_a_leader_takes_a_switch_from_whoever_has_a_lower_id() -> None:
    bids = Arbitration(LEADER)
    assert bids.on_update(6, 10) is Standing.BID  # BMv2 promoted somebody
    assert bids.on_update(5, 10) is Standing.BID
    assert bids.election_id == LEADER


def test_a_higher_id_ends_the_leadership_even_of_one_that_is_gone() -> None:
    for status in (5, 6):
        bids = Arbitration(LEADER)
        assert bids.on_update(status, leading_id(LEADER, 0)) is Standing.BACKUP
        assert bids.election_id == LEADER


def test_a_dead_stream_of_our_own_is_outbid() -> None:
    bids = Arbitration(LEADER)
    bids.on_stream_end(id_in_use=True)
    assert bids.election_id == LEADER + 1
    assert bids.on_update(6, LEADER + 1) is Standing.BID
    assert bids.election_id == LEADER + 2
    assert bids.on_update(5, LEADER + 2) is Standing.BID
    assert bids.election_id == LEADER + 2
    bids.on_stream_end(id_in_use=False)
    assert bids.election_id == LEADER + 2


def test_who_stands_by_never_bids() -> None:
    bids = Arbitration()
    assert bids.on_update(6, LEADER) is Standing.BACKUP
    assert bids.primary_id == LEADER
    assert bids.on_update(5, LEADER) is Standing.FREE
    assert bids.primary_id is None
    assert bids.on_update(0, 0) is Standing.FREE  # BMv2 makes anybody primary
    bids.on_stream_end(id_in_use=True)
    assert bids.election_id is None


def test_another_status_is_an_error() -> None:
    with pytest.raises(ValueError, match="status 13"):
        Arbitration(LEADER).on_update(13, 0)
