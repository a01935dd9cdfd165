# SPDX-License-Identifier: Apache-2.0
"""Clients that break off what they have proven, or begin anew before it is open."""

from __future__ import annotations

import pytest

from controller.dataplane import End, Mode
from controller.logic.model import MASK32, Put, Remove
from controller.packets import ACK, RST, SYN

from .world import KEY, SERVER, SPORT, K, World, X, of, packets, to_client, to_server


def test_a_client_that_began_anew_replaces_its_pending_flow() -> None:
    world = World()
    world.proven()
    effects = world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    flags = [(s.seq, s.flags) for s in to_server(effects)]
    assert flags == [((X + 1) & MASK32, RST), (1000, SYN)]
    assert len(world.core.flows) == 1


def test_a_late_copy_of_the_proof_before_does_not_take_its_place_back() -> None:
    world = World()
    world.proven()
    world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    assert world.proven(seq=X, payload=b"\0") == []
    assert world.core.results["late_given_up"] == 1
    assert of(Put, world.synack(ack=1001))


def test_a_late_copy_of_a_proof_does_not_begin_again_what_was_broken_off() -> None:
    world = World()
    world.proven()
    world.following(flags=RST | ACK)
    assert world.proven(seq=X, payload=b"\0") == []
    [syn] = to_server(world.proven(header={"isn": 1000}, seq=1001, ack=2001))
    assert syn.seq == 1000
    assert world.proven() == []


def test_a_copy_that_comes_seconds_later_does_not_either() -> None:
    world = World()
    world.proven()
    world.following(flags=RST | ACK)
    world.sleep(15.0)
    assert world.proven() == []
    world.sleep(6.0)
    assert [s.seq for s in to_server(world.proven())] == [X]


def test_a_client_whose_packets_were_reordered_has_its_turn_in_the_end() -> None:
    world = World()
    world.proven()
    world.proven(header={"isn": 1000}, seq=1001, ack=2001)
    world.sleep(1.01)
    assert [s.seq for s in to_server(world.proven())] == [1001, X]


@pytest.mark.parametrize("confirmed", [None, "", "b"])
def test_a_client_that_breaks_off_within_the_handshake_ends_it(confirmed: str | None) -> None:
    """Before the server has answered; while the others are written; while the ingress is."""
    world = World()
    world.proven()
    if confirmed is not None:
        world.synack()
    if confirmed:
        world.confirm(confirmed)
    effects = world.following(flags=RST | ACK)
    [reset] = to_server(effects)
    assert (reset.seq, reset.flags) == ((X + 1) & MASK32, RST)
    assert to_client(effects) == []
    assert [remove.switches for remove in of(Remove, effects)] == ([] if confirmed is None else [("a", "b")])
    assert (len(world.core.flows), len(world.core.sessions)) == (0, 0)
    assert world.core.results["client_reset"] == 1
    assert world.core.services[SERVER, SPORT].pending == 0


def test_a_reset_of_another_connection_ends_no_handshake() -> None:
    world = World()
    world.proven()
    for seq, ack in ((X + 1, K + 2), (X - 5, K + 1), (X + 7000, K + 1)):
        assert world.following(flags=RST | ACK, seq=seq, ack=ack) == []
    assert world.core.flows.get(KEY) is not None


def test_a_reset_while_the_old_session_is_cleared_is_no_news_to_the_server() -> None:
    world = World()
    world.open_session()
    world.core.end_seen(KEY, End.RST_FROM_CLIENT, world.now, world.wall)
    world.proven(header={"isn": (X + 99) & MASK32}, seq=X + 100, ack=K + 100)
    assert packets(world.following(flags=RST | ACK, seq=X + 100, ack=K + 100)) == []
    assert len(world.core.flows) == 0
    assert [remove.key for remove in of(Remove, world.sleep(0.1))] == [KEY]  # nothing came of the new one


def test_a_reset_right_behind_the_release_is_no_copy() -> None:
    world = World()
    world.open_session()
    [(out, segment)] = packets(world.following(number=1, flags=RST | ACK))
    assert (out.mode, out.release, segment.flags) == (Mode.ARRIVE, 1, RST | ACK)
    assert world.core.results["late_copies"] == 0


@pytest.mark.parametrize("confirmed", ["", "b"])
def test_a_client_that_began_anew_within_the_barrier_replaces_the_session(confirmed: str) -> None:
    world = World()
    world.proven()
    world.synack()
    if confirmed:
        world.confirm(confirmed)
    version = world.core.sessions.get(KEY).entry.version  # type: ignore[union-attr]
    effects = world.proven(header={"isn": (X + 99) & MASK32}, seq=X + 100, ack=K + 100)
    assert [(s.seq, s.flags) for s in to_server(effects)] == [((X + 1) & MASK32, RST)]
    assert [remove.version for remove in of(Remove, effects)] == [version]
    assert world.confirm("a", version, removed=True) == []  # b may still translate by the old numbers
    [syn] = to_server(world.confirm("b", version, removed=True))
    assert (syn.seq, syn.flags) == ((X + 99) & MASK32, SYN)
