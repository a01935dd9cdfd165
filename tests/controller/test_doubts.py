# SPDX-License-Identifier: Apache-2.0
"""What a switch says again when it has just connected: proofs that may be older than the session."""

from __future__ import annotations

from typing import Any

import pytest

from controller.dataplane import Mode, Phase
from controller.logic.model import MASK32, Entry, PacketOut, Put
from controller.packets import ACK, RST, parse

from .world import CLIENT, CPORT, KEY, SERVER, SPORT, K, World, X, of

OLD_X, OLD_K = X + 5000 & MASK32, K + 7000 & MASK32
OLD: dict[str, Any] = {"seq": OLD_X + 1, "ack": OLD_K + 1}


def told_again() -> World:
    """The session is open; the switch it came by has lost its connection, and has just got it again."""
    world = World()
    world.open_session()
    world.core.switch_lost("a", world.now, world.wall)
    world.sleep(1.0)
    world.core.switch_joined("a", world.now)
    world.core.switch_live("a")
    return world


def is_open(world: World) -> bool:
    session = world.core.sessions.get(KEY)
    return session is not None and session.entry.isn == X and session.open


def test_a_proof_that_is_told_again_does_not_end_the_session_that_came_after_it() -> None:
    world = told_again()
    assert world.proven(header={"isn": OLD_X}, **OLD) == []
    assert world.following(**OLD, payload=b"more") == []
    assert world.following(seq=OLD_X + 5, ack=OLD_K + 1, flags=RST | ACK) == []
    assert is_open(world)
    assert world.core.results["doubted"] == 1
    world.sleep(60.0)
    assert is_open(world)


def test_a_client_is_asked_once_with_a_number_that_cannot_be_right() -> None:
    world = told_again()
    world.proven(header={"isn": OLD_X}, **OLD)
    assert world.sleep(0.05) == []
    [out] = of(PacketOut, world.sleep(0.1))
    segment = parse(out.frame)
    assert (out.switch, out.mode) == ("a", Mode.ROUTE)
    assert (segment.source, segment.destination) == (SERVER, CLIENT)
    assert (segment.source_port, segment.destination_port) == (SPORT, CPORT)
    assert (segment.seq, segment.ack) == ((OLD_K + 1 + (1 << 31)) & MASK32, OLD_X + 1)
    assert segment.flags == ACK
    assert world.sleep(0.1) == []


def test_a_client_that_answers_gets_its_connection() -> None:
    world = told_again()
    world.proven(header={"isn": OLD_X}, **OLD)
    world.sleep(0.2)
    [put] = of(Put, world.following(**OLD))
    assert put.entry.phase == Phase.AWAITED
    flow = world.core.flows.get(KEY)
    assert flow is not None
    assert (flow.isn, flow.cookie) == (OLD_X, OLD_K)


def test_a_client_that_proves_itself_again_gets_its_connection() -> None:
    world = told_again()
    world.proven(header={"isn": OLD_X}, **OLD)
    world.sleep(0.2)
    assert of(Put, world.proven(header={"isn": OLD_X}, **OLD))
    assert not is_open(world)


def test_a_client_that_answers_with_the_sessions_numbers_keeps_the_session() -> None:
    world = told_again()
    world.proven(header={"isn": OLD_X}, **OLD)
    world.sleep(0.2)
    assert not of(Put, world.following(payload=b"more"))
    assert is_open(world)


def test_a_reset_of_the_connection_that_is_doubted_begins_nothing() -> None:
    world = told_again()
    world.proven(header={"isn": OLD_X}, **OLD)
    world.sleep(0.2)
    assert world.following(seq=OLD_X + 1, ack=OLD_K + 1, flags=RST | ACK) == []
    assert is_open(world)


def test_nothing_is_doubted_of_a_switch_that_has_been_there_for_a_while() -> None:
    world = told_again()
    world.sleep(4.0)
    assert of(Put, world.proven(header={"isn": OLD_X}, **OLD))
    assert not is_open(world)


@pytest.mark.parametrize("answers", [True, False])
def test_a_closing_session_that_was_taken_over_is_not_replaced_by_what_is_told_again(answers: bool) -> None:
    world = World()
    closing = Entry(1, 2, 0, 0, Phase.CLOSING, 5, X, K, 60 * 10**9)
    world.sleep(100)
    world.core.switch_lost("a", world.now, world.wall)
    world.core.switch_joined("a", world.now)
    world.core.adopt("a", [(KEY, closing)], world.now, world.wall)
    assert world.proven(header={"isn": OLD_X}, **OLD) == []
    world.sleep(0.2)
    session = world.core.sessions.get(KEY)
    assert session is not None
    assert session.entry == closing
    if answers:  # its client has that connection: it uses the port again
        [aside] = of(Put, world.proven(header={"isn": OLD_X}, **OLD))
        assert aside.entry.phase == Phase.AWAITED


def test_what_comes_from_a_switch_behind_a_sessions_own_proof_is_not_told_again() -> None:
    """A client that closes and uses its port again at once, when its switch has just joined."""
    world = World()
    world.core.switch_lost("a", world.now, world.wall)
    world.sleep(1.0)
    world.core.switch_joined("a", world.now)
    world.core.switch_live("a")
    world.sleep(0.5)
    world.open_session()
    world.sleep(0.5)
    [aside] = of(Put, world.proven(header={"isn": OLD_X}, **OLD))
    assert aside.entry.phase == Phase.AWAITED


def test_what_nobody_answers_is_forgotten() -> None:
    world = told_again()
    world.proven(header={"isn": OLD_X}, **OLD)
    world.sleep(11.0)
    assert world.following(**OLD) == []
    assert is_open(world)
