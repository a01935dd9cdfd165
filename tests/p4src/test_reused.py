# SPDX-License-Identifier: Apache-2.0
"""Late segments of a tuple's last connection never meet the numbers of its new session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .network import (
    EVEN,
    PROVEN,
    SERVER_SYNACK,
    Drop,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
    syn,
)
from .reference import ACK, FIN, PSH, RST, SYN, Segment, Session

pytestmark = on_every_wire

OLD = Session(delta=0x89ABCDEF, phase=1)
REUSED = 0x40
NEW = Session(delta=0x12345678, to_server_shift=REUSED, version=2)
ISN = 0xFFFFFFF0  # of the new connection
OLD_ISN = ISN - 5_000_000
SPAN = 1 << 27


@pytest.fixture
def reused(net: Network) -> Network:
    """A tuple that is used again: its client has proven itself here, its server has answered here."""
    net.open(OLD)
    net.punted(net.from_client(client_segment(ISN + 1, net.proof(EVEN, ISN) + 1)), PROVEN)
    change(net, replace(OLD, phase=2))
    net.punted(net.from_server(server_segment(77, ISN + 1, SYN | ACK)), SERVER_SYNACK)
    change(net, NEW)
    return net


def change(net: Network, session: Session) -> None:
    """Write a session in the place of the one that is there."""
    net.target.modify(net.sessions, net.session_key(), "translate", **vars(session))


def passes(net: Network, segment: Segment, to_server: bool) -> bool:
    """Whether a segment is translated; else it must have been dropped as an old one."""
    before = net.target.counter("drops", Drop.LAST_CONNECTION)
    result = net.from_client(segment) if to_server else net.from_server(segment)
    if result.nothing:
        assert net.target.counter("drops", Drop.LAST_CONNECTION) == before + 1
        return False
    expected = net.to_server(segment, NEW) if to_server else net.to_client(segment, NEW)
    assert result.outputs == (expected,)
    return True


@pytest.mark.parametrize("flags", [ACK, ACK | PSH, ACK | FIN, RST, RST | ACK])
def test_the_old_ones_are_dropped(reused: Network, flags: int) -> None:
    assert not passes(reused, client_segment(OLD_ISN + 9, 5, flags), True)
    assert not passes(reused, client_segment(ISN - 1, 5, flags), True)
    if flags & ACK:  # else nothing in it is the client's
        assert not passes(reused, server_segment(5, OLD_ISN + 9, flags), False)
        assert not passes(reused, server_segment(5, ISN - 1, flags), False)


@pytest.mark.parametrize("offset", [0, 1, 1000, SPAN // 2 - 1])
def test_its_own_are_translated(reused: Network, offset: int) -> None:
    """A keep-alive, the first segments, and those that come after a lot of data. Numbers wrap around."""
    assert passes(reused, client_segment(ISN + offset, 5), True)
    assert passes(reused, server_segment(5, ISN + offset), False)
    assert not passes(reused, client_segment(OLD_ISN, 5), True)


def test_a_syn_and_a_reset_without_acknowledgment_say_nothing_of_it(reused: Network) -> None:
    assert passes(reused, syn(OLD_ISN), True)
    assert passes(reused, server_segment(5, 0, RST), False)


@pytest.mark.parametrize("to_server", [True, False])
def test_a_connection_that_has_moved_on_is_left_alone(reused: Network, to_server: bool) -> None:
    ahead = ISN + SPAN // 2
    assert passes(reused, client_segment(ahead, 5) if to_server else server_segment(5, ahead), to_server)
    assert passes(reused, client_segment(ISN + 3 * SPAN, 5), True)


def test_a_connection_that_has_moved_on_elsewhere_does_not_stall(reused: Network) -> None:
    ahead = client_segment(ISN + SPAN, 5, ACK | PSH, payload=b"on and on")
    assert [passes(reused, ahead, True) for _ in range(17)] == [False] * 15 + [True] * 2


def test_what_is_its_own_between_old_ones(reused: Network) -> None:
    for _ in range(3):
        assert [passes(reused, client_segment(OLD_ISN, 5), True) for _ in range(10)] == [False] * 10
        assert passes(reused, client_segment(ISN + 1, 5), True)


def test_only_where_the_controller_says_so(reused: Network) -> None:
    change(reused, replace(NEW, to_server_shift=0))
    old = client_segment(OLD_ISN, 5)
    assert reused.from_client(old).outputs == (reused.to_server(old, replace(NEW, to_server_shift=0)),)


def test_a_switch_that_has_heard_of_nothing_translates(net: Network) -> None:
    net.open(NEW)
    assert passes(net, client_segment(OLD_ISN, 5), True)
    assert passes(net, server_segment(5, OLD_ISN), False)
