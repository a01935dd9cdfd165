# SPDX-License-Identifier: Apache-2.0
"""Sync modes: for whom a release waits, and what happens at the switches that it did not wait for."""

from __future__ import annotations

import pytest

from controller.config_values import SyncMode
from controller.dataplane import End, Mode, Phase
from controller.logic.model import Entry, Put, Remove
from controller.logic.spread import Spread, enough
from controller.packets import ACK, RST

from .world import KEY, SPORT, R, World, X, of, packets, to_client, to_server

ABC = ("a", "b", "c")


def world(sync: SyncMode, live: tuple[str, ...] = ABC) -> World:
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT, "sync": sync}
    return World(live=live, services=[service])


def released(sync: SyncMode, confirmed: tuple[str, ...]) -> World:
    """A session whose client's packet was released when these switches had confirmed."""
    found = world(sync)
    found.proven()
    effects = found.synack()
    for switch in confirmed:
        assert not packets(effects)
        effects = found.confirm(switch)
    assert [(o.switch, o.mode) for o, _ in packets(effects)] == [("a", Mode.ARRIVE)]
    return found


def joined(answered: str = "b") -> World:
    """A session that b has confirmed, while c is being synchronised; where the server's SYN/ACK came."""
    found = world("all", live=("a", "b"))
    found.core.switch_joined("c", found.now)
    found.proven()
    found.synack(answered)
    assert packets(found.confirm("b")) == []
    return found


@pytest.mark.parametrize(
    ("sync", "live", "missing", "expected"),
    [
        ("all", "abc", "b", False),
        ("all", "abc", "", True),
        ("quorum", "abc", "bc", False),
        ("quorum", "abc", "c", True),
        ("quorum", "ab", "b", False),  # a majority of two is both
        ("quorum", "abcd", "cd", False),
        ("quorum", "abcde", "de", True),
        ("quorum", "a", "", True),
        ("local", "abc", "bc", True),
    ],
)
def test_when_enough_have_confirmed(sync: SyncMode, live: str, missing: str, expected: bool) -> None:
    assert enough(sync, set(live), set(missing), "a") is expected


def test_all_waits_for_everybody() -> None:
    released("all", ("b", "c", "a"))


def test_quorum_goes_on_without_a_minority() -> None:
    slow = released("quorum", ("b", "a"))
    assert slow.core.spread.lacks(KEY, "c")
    assert packets(slow.confirm("c")) == []
    assert len(slow.core.spread) == 0


def test_a_majority_is_one_of_those_that_are_left() -> None:
    slow = world("quorum")
    slow.proven()
    slow.synack()
    assert slow.core.switch_lost("c", slow.now, slow.wall) == []  # of a and b it takes both
    assert packets(slow.confirm("b")) == []
    assert packets(slow.confirm("a"))


def test_local_waits_for_the_ingress_alone() -> None:
    slow = world("local")
    slow.proven()
    puts = of(Put, slow.synack())
    assert [put.switches for put in puts] == [("b", "c"), ("a",)]
    assert packets(slow.confirm("a"))
    assert slow.core.results["released"] == 1


@pytest.mark.parametrize(("sync", "confirmed"), [("quorum", ("b", "a")), ("local", ("a",))])
def test_a_packet_at_a_switch_without_the_session_waits_for_it(
    sync: SyncMode, confirmed: tuple[str, ...]
) -> None:
    slow = released(sync, confirmed)
    assert slow.early("c", seq=R + 1) == []
    assert slow.early("c", seq=R + 2) == []
    assert slow.sleep(0.15) == []
    sent = packets(slow.confirm("c"))
    assert [(o.switch, o.mode, o.port, s.seq) for o, s in sent] == [
        ("c", Mode.ARRIVE, 2, R + 1),
        ("c", Mode.ARRIVE, 2, R + 2),
    ]
    [(out, _)] = packets(slow.early("c", seq=R + 3))  # punted just before
    assert (out.switch, out.mode) == ("c", Mode.ARRIVE)


def test_it_waits_no_longer_than_200_ms() -> None:
    slow = released("local", ("a",))
    slow.early("c", seq=R + 1)
    slow.sleep(0.1)
    slow.early("c", seq=R + 2)
    assert slow.sleep(0.11) == []
    assert slow.core.returns.dropped == {"early_return_expired": 1}
    assert [s.seq for _, s in packets(slow.confirm("c"))] == [R + 2]


def test_what_is_held_for_one_switch_does_not_go_when_another_has_the_session() -> None:
    slow = released("local", ("a",))
    slow.early("b", seq=R + 1)
    slow.early("c", seq=R + 2)
    assert [o.switch for o, _ in packets(slow.confirm("b"))] == ["b"]
    assert [o.switch for o, _ in packets(slow.confirm("c"))] == ["c"]


def test_a_client_that_shifts_to_a_switch_without_the_session_waits_too() -> None:
    slow = released("local", ("a",))
    assert slow.proven("c", payload=b"GET", header={"number": 1}) == []
    [(out, _)] = packets(slow.confirm("c"))
    assert (out.switch, out.mode) == ("c", Mode.ARRIVE)


def test_a_repeated_syn_ack_after_the_release_is_acknowledged() -> None:
    slow = released("local", ("a",))
    assert [s.flags for s in to_server(slow.synack("c"))] == [ACK]


def test_a_switch_that_is_lost_lacks_nothing_any_more() -> None:
    slow = released("local", ("a",))
    slow.core.switch_lost("c", slow.now, slow.wall)
    assert not slow.core.spread.lacks(KEY, "c")
    assert slow.core.spread.lacks(KEY, "b")


def test_an_end_on_the_way_changes_nothing_about_who_lacks_it() -> None:
    slow = released("local", ("a",))
    found = slow.core.sessions.get(KEY)
    assert found is not None
    first = found.entry.version
    [closing] = of(Put, slow.core.end_seen(KEY, End.RST_FROM_CLIENT, slow.now, slow.wall))
    assert closing.entry.version != first
    slow.early("c", seq=R + 1)
    assert packets(slow.confirm("c", first))


def test_a_switch_that_is_being_synchronised_may_lack_it_too() -> None:
    joining = joined()
    assert packets(joining.confirm("a"))  # nobody waits for c
    joining.core.switch_live("c")
    assert joining.early("c", seq=R + 1) == []
    assert packets(joining.confirm("c"))


def test_what_waits_at_a_joining_switch_goes_on_when_that_has_the_session() -> None:
    joining = joined("c")
    joining.confirm("a")
    assert joining.early("c", seq=R + 1) == []
    [(out, segment)] = packets(joining.confirm("c"))
    assert (out.switch, out.mode, segment.seq) == ("c", Mode.ARRIVE, R + 1)


def test_clients_packets_follow_through_a_joining_switch() -> None:
    joining = world("all", live=("b", "c"))
    joining.core.switch_joined("a", joining.now)
    joining.proven()
    joining.synack()
    joining.confirm("b")
    joining.confirm("c")
    assert [s.seq for _, s in packets(joining.confirm("a"))] == [X + 1]
    sent = packets(joining.following(seq=X + 1, payload=b"GET"))
    assert {(out.switch, out.mode) for out, _ in sent} == {("a", Mode.ARRIVE)}
    assert b"GET" in sent[-1][0].frame


def test_a_switch_that_comes_into_service_while_the_ingress_is_written_is_waited_for() -> None:
    joining = joined()
    joining.core.switch_live("c")
    assert joining.confirm("a") == []
    assert joining.core.spread.behind("c") == []
    assert packets(joining.confirm("c"))


def test_what_a_switch_lacks_when_it_comes_into_service() -> None:
    slow = released("local", ("a",))
    assert slow.core.spread.behind("c") == [KEY]
    slow.confirm("c")
    assert slow.core.spread.behind("c") == []


def test_sessions_that_were_taken_over_are_on_their_way_to_those_that_lack_them() -> None:
    fresh = world("all")
    entry = Entry(1, 2, 0, 0, Phase.OPEN, 5, 8, 9, 300 * 10**9)
    [put] = of(Put, fresh.core.adopt("b", [(KEY, entry)], fresh.now, fresh.wall))
    assert put.switches == ("a", "c")
    assert fresh.early("c", seq=R + 1) == []
    assert packets(fresh.confirm("c"))


def test_in_every_mode_a_tuple_used_again_waits_for_every_switch() -> None:
    slow = released("local", ("a",))
    slow.confirm("b")
    slow.confirm("c")
    slow.core.end_seen(KEY, End.RST_FROM_CLIENT, slow.now, slow.wall)
    [put] = of(Put, slow.proven(header={"isn": 1000}, seq=1001, ack=2001))
    assert slow.confirm("a", put.entry.version) == slow.confirm("b", put.entry.version) == []
    assert [s.seq for s in to_server(slow.confirm("c", put.entry.version))] == [1000]


# --- a tuple whose session is gone here, but not yet everywhere


def removed() -> tuple[World, Remove]:
    gone = World()
    gone.open_session()
    session = gone.core.sessions.get(KEY)
    assert session is not None
    gone.core.idle_seen("a", [KEY])
    gone.core.idle_seen("b", [KEY])
    elapsed = {KEY: {"a": 400.0, "b": 400.0}}
    [remove] = of(Remove, gone.core.idle_checked(elapsed, gone.now, gone.wall))
    return gone, remove


def test_a_new_connection_waits_until_the_old_entry_is_gone_everywhere() -> None:
    """An OPEN entry would acknowledge the new SYN/ACK, and translate by the old numbers."""
    gone, remove = removed()
    gone.confirm("a", remove.version, removed=True)
    assert gone.proven(header={"isn": 1000}, seq=1001, ack=2001) == []
    assert gone.confirm("b", remove.version) == []  # the last change before the removal
    [syn] = to_server(gone.confirm("b", remove.version, removed=True))
    assert syn.seq == 1000
    assert [put.new for put in of(Put, gone.synack(ack=1001))] == [True]


def test_a_lost_switch_keeps_nobody_waiting() -> None:
    gone, remove = removed()
    gone.confirm("a", remove.version, removed=True)
    gone.proven()
    assert [s.seq for s in to_server(gone.core.switch_lost("b", gone.now, gone.wall))] == [X]


def test_a_new_connection_that_waits_too_long_is_refused() -> None:
    gone, _ = removed()
    gone.proven()
    [reset] = to_client(gone.sleep(5.1))
    assert reset.flags == RST | ACK
    assert gone.core.results["barrier_timeout"] == 1
    assert len(gone.core.flows) == 0


def test_confirmations_of_older_versions_count_for_nothing() -> None:
    spread = Spread()
    spread.released(KEY, 7, {"b", "c"})
    assert not spread.confirmed("b", KEY, 6, removed=False)
    assert not spread.confirmed("b", KEY, 9, removed=True)
    assert spread.confirmed("b", KEY, 7, removed=False)
    assert spread.confirmed("c", KEY, 8, removed=False)
    assert len(spread) == 0
