# SPDX-License-Identifier: Apache-2.0
"""Late segments of a tuple's last connection never meet the numbers of its new session.

Nowhere: the switch of these tests has seen nothing of the new one's handshake, only its entry.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from .network import Drop, Network, client_segment, on_every_wire, server_segment, syn
from .reference import ACK, FIN, MASK32, PSH, REUSED, RST, SYN, Segment, Session

pytestmark = on_every_wire

X, K, R = 0xFFFFFFF0, 0x80000100, 0x7FFFFF00  # of the new connection
OLD_X, OLD_K, OLD_R = X - 5_000_000, 0x30000000, 0x50000000
SPAN = 1 << 27
_numbers = count()


class Reused:
    """A session of a tuple that is used again, and what has to become of segments.

    What a switch remembers of a session outlasts a test, so each has a Δ of its own.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.r = (R - next(_numbers)) & MASK32
        delta = (K - self.r) & MASK32
        self.session = Session(delta, to_server_shift=REUSED, version=2, isn=X, cookie=K)
        net.open(self.session)

    def passes(self, segment: Segment, to_server: bool) -> bool:
        """Whether it is translated; else it must have been dropped as an old one."""
        net, before = self.net, self.net.target.counter("drops", Drop.LAST_CONNECTION)
        result = net.from_client(segment) if to_server else net.from_server(segment)
        if result.nothing:
            assert net.target.counter("drops", Drop.LAST_CONNECTION) == before + 1
            return False
        expected = net.to_server(segment, self.session) if to_server else net.to_client(segment, self.session)
        assert result.outputs == (expected,)
        return True

    def client(self, seq: int, ack: int, flags: int = ACK) -> bool:
        return self.passes(client_segment(seq & MASK32, ack & MASK32, flags), True)

    def server(self, seq: int, ack: int, flags: int = ACK) -> bool:
        return self.passes(server_segment(seq & MASK32, ack & MASK32, flags), False)


@pytest.fixture
def reused(net: Network) -> Reused:
    return Reused(net)


@pytest.mark.parametrize("flags", [ACK, ACK | PSH, ACK | FIN, RST, RST | ACK])
def test_the_old_ones_are_dropped(reused: Reused, flags: int) -> None:
    ack = flags & ACK
    assert not reused.client(OLD_X + 9, OLD_K + 5 if ack else 0, flags)
    assert not reused.client(X - 1, K + 1 if ack else 0, flags)
    assert not reused.server(OLD_R + 5, OLD_X + 9 if ack else 0, flags)


@pytest.mark.parametrize("flags", [ACK, ACK | PSH, ACK | FIN])
def test_each_number_tells(reused: Reused, flags: int) -> None:
    """The old connection's may be near those of the new one by chance: not both of them."""
    assert not reused.client(X + 1, OLD_K + 5, flags)
    assert not reused.client(X + 1, K - 1, flags)
    assert not reused.server(OLD_R + 5, X + 1, flags)
    assert not reused.server(reused.r - 1, X + 1, flags)
    assert not reused.server(reused.r + 1, OLD_X + 5, flags)


@pytest.mark.parametrize("offset", [0, 1, 1000, SPAN // 2 - 1])
def test_its_own_are_translated(reused: Reused, offset: int) -> None:
    """A keep-alive, the first segments, and those that come after a lot of data. Numbers wrap around."""
    for flags in (ACK, ACK | PSH, ACK | FIN, RST | ACK):
        assert reused.client(X + offset, K + offset, flags)
        assert reused.server(reused.r + offset, X + offset, flags)
    assert reused.client(X + offset, 0, RST)
    assert reused.server(reused.r + offset, 0, RST)
    assert not reused.client(OLD_X, OLD_K)
    assert not reused.server(OLD_R, OLD_X)


def test_what_stacks_write_into_a_reset_differs(reused: Reused) -> None:
    assert reused.client(X + 9, 0, RST | ACK)
    assert reused.server(0, X + 9, RST | ACK)


def test_a_syn_has_nothing_that_would_be_translated(reused: Reused) -> None:
    assert reused.passes(syn(OLD_X), True)


def test_a_client_that_answers_a_syn_is_looked_at_too(reused: Reused) -> None:
    assert not reused.client(OLD_X, OLD_K + 1, SYN | ACK)


@pytest.mark.parametrize("by", ["client's sequence", "client's ack", "server's sequence", "server's ack"])
def test_a_connection_that_has_moved_on_is_left_alone(reused: Reused, by: str) -> None:
    ahead = SPAN // 2
    assert {
        "client's sequence": lambda: reused.client(X + ahead, K + 1),
        "client's ack": lambda: reused.client(X + 1, K + ahead),
        "server's sequence": lambda: reused.server(reused.r + ahead, X + 1),
        "server's ack": lambda: reused.server(reused.r + 1, X + ahead),
    }[by]()
    assert reused.client(X + 3 * SPAN, K + 5 * SPAN)


@pytest.mark.parametrize("to_server", [True, False])
def test_a_connection_that_has_moved_on_elsewhere_does_not_stall(reused: Reused, to_server: bool) -> None:
    ahead = client_segment(X + SPAN & MASK32, K + 1, ACK | PSH, payload=b"on and on")
    if not to_server:
        ahead = server_segment(reused.r + SPAN & MASK32, X + 1 & MASK32, ACK | PSH, payload=b"on and on")
    assert [reused.passes(ahead, to_server) for _ in range(17)] == [False] * 15 + [True] * 2


def test_what_is_its_own_between_old_ones(reused: Reused) -> None:
    for _ in range(3):
        assert [reused.client(OLD_X, OLD_K) for _ in range(10)] == [False] * 10
        assert reused.client(X + 1, K + 1)


def test_when_its_tuple_is_used_once_more_nothing_is_left_of_that(net: Network) -> None:
    first = Reused(net)
    assert first.client(X + SPAN // 2, K + 1)
    assert first.client(OLD_X, OLD_K)
    net.target.delete(net.sessions, net.session_key())
    assert not Reused(net).client(OLD_X, OLD_K)


def test_in_a_closing_session_too(net: Network) -> None:
    reused = Reused(net)
    reused.session = replace(reused.session, phase=1)
    net.target.modify(net.sessions, net.session_key(), "translate", **vars(reused.session))
    assert not reused.client(OLD_X + 9, OLD_K + 5)
    assert not reused.server(OLD_R + 9, OLD_X + 5)
    assert reused.client(X + 9, K + 5)
    assert reused.server(reused.r + 9, X + 5)


def test_only_where_the_controller_says_so(net: Network) -> None:
    reused = Reused(net)
    reused.session = replace(reused.session, to_server_shift=0)
    net.target.modify(net.sessions, net.session_key(), "translate", **vars(reused.session))
    assert reused.client(OLD_X, OLD_K)
    assert reused.server(OLD_R, OLD_X)
