# SPDX-License-Identifier: Apache-2.0
"""A client that connects again from the same port while the session of its last connection is open.

The controller does not know yet that it ended, or never will.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from .network import (
    ARRIVE,
    CLIENT_LINK,
    CLIENT_PORT,
    EVEN,
    FLOW,
    FOLLOWING,
    PROVEN,
    Event,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
    syn,
)
from .reference import ACK, FIN, PSH, RST, SYN, Session

pytestmark = on_every_wire

SESSION = Session(delta=0x89ABCDEF, tau=0x76543210)
LAST = 0  # the ISN of the tuple's last connection
NEXT = 0  # the next one's


@pytest.fixture(autouse=True)
def another_number(net: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """BMv2 keeps its registers from test to test: nothing must look like the repetition of another test's."""
    for name in ("LAST", "NEXT"):
        monkeypatch.setitem(globals(), name, secrets.randbits(31))
    yield
    port = CLIENT_PORT ^ 1 << 12  # has the same cell
    net.open(SESSION, replace(FLOW, client_port=port))
    assert net.from_client(replace(client_segment(1, 2, RST), source_port=port)).outputs


def end(net: Network, flags: int = FIN | ACK, from_client: bool = True) -> None:
    """One side ends the connection, or breaks it off."""
    net.open(SESSION)
    if from_client:
        assert net.from_client(client_segment(1, 2, flags)).outputs
    else:
        assert net.from_server(server_segment(1, 2, flags)).outputs


def answered(net: Network, isn: int | None = None) -> bool:
    """Whether a SYN gets a cookie; else it must have been forwarded, translated."""
    isn = NEXT if isn is None else isn
    result = net.from_client(syn(isn))
    (output,) = result.outputs
    if output.port == CLIENT_LINK:
        return True
    assert output == net.to_server(syn(isn), SESSION)
    return False


@pytest.mark.parametrize(
    ("flags", "from_client"), [(FIN | ACK, True), (RST, True), (RST | ACK, True), (RST | ACK, False)]
)
def test_the_next_connection_is_proven_while_the_last_one_is_open(
    net: Network, flags: int, from_client: bool
) -> None:
    end(net, flags, from_client)
    assert answered(net)
    assert answered(net)  # repeated
    assert net.target.counter("events", Event.SYN_ANSWERED) == 2
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    packet_in = net.punted(net.from_client(proof), PROVEN)
    assert (packet_in.isn, packet_in.number) == (NEXT, 1)
    more = replace(proof, seq=proof.seq + 5, flags=ACK | PSH, payload=b"second")
    assert net.punted(net.from_client(more), FOLLOWING).number == 2


@pytest.mark.parametrize("flags", [ACK, ACK | FIN])
def test_the_next_connection_is_proven_that_began_before_the_last_one_was_open(
    net: Network, flags: int
) -> None:
    net.punted(net.from_client(client_segment(LAST + 1, net.proof(EVEN, LAST) + 1)), PROVEN)
    assert answered(net)
    net.open(SESSION)
    other = client_segment(LAST + 1, 99, ACK | PSH, payload=b"of the last one")
    assert net.from_client(other).outputs == (net.to_server(other, SESSION),)
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1, flags)
    assert net.punted(net.from_client(proof), PROVEN).isn == NEXT


def test_a_client_that_broke_off_before_its_session_was_open_is_proven_again(net: Network) -> None:
    first = client_segment(LAST + 1, net.proof(EVEN, LAST) + 1)
    net.punted(net.from_client(first), PROVEN)
    net.punted(net.from_client(replace(first, flags=RST | ACK)), FOLLOWING)
    net.open(SESSION)
    assert answered(net)
    assert answered(net)  # repeated
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    assert net.punted(net.from_client(proof), PROVEN).isn == NEXT


def test_what_follows_its_proof_is_not_translated_however_long_the_controller_takes(net: Network) -> None:
    net.punted(net.from_client(client_segment(LAST + 1, net.proof(EVEN, LAST) + 1)), PROVEN)
    assert answered(net)
    net.open(SESSION)
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    net.punted(net.from_client(proof), PROVEN)
    more = replace(proof, seq=proof.seq + 5, flags=ACK | PSH, payload=b"second")
    net.punted(net.from_client(more), FOLLOWING)
    time.sleep(1.2)
    net.punted(net.from_client(more), FOLLOWING)


@pytest.mark.parametrize(("flags", "from_client"), [(RST, True), (RST | ACK, True), (RST, False)])
@pytest.mark.parametrize("pending", [False, True])
def test_a_late_end_does_not_take_back_what_was_answered(
    net: Network, flags: int, from_client: bool, pending: bool
) -> None:
    if pending:
        net.punted(net.from_client(client_segment(LAST + 1, net.proof(EVEN, LAST) + 1)), PROVEN)
        assert answered(net)
        net.open(SESSION)
    else:
        end(net)
        assert answered(net)
    if from_client:
        assert net.from_client(client_segment(1, 2, flags)).outputs
    else:
        assert net.from_server(server_segment(1, 2, flags)).outputs
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    assert net.punted(net.from_client(proof), PROVEN).isn == NEXT


def test_a_syn_without_a_handshake_under_way_is_forgotten(net: Network) -> None:
    assert answered(net)
    net.open(SESSION)
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    assert net.from_client(proof).outputs == (net.to_server(proof, SESSION),)


@pytest.mark.parametrize("flags", [FIN | ACK, ACK])
def test_an_end_of_the_servers_half_changes_nothing(net: Network, flags: int) -> None:
    end(net, flags, from_client=False)
    assert not answered(net)


def test_what_is_no_proof_is_translated(net: Network) -> None:
    """The end, or the SYN, was forged: the connection goes on, and its first segment is no new one's."""
    end(net)
    first = client_segment(LAST + 1, net.proof(EVEN, LAST) + 1, ACK | PSH, payload=b"retransmitted")
    assert net.from_client(first).outputs == (net.to_server(first, SESSION),)
    assert answered(net)
    for segment in [client_segment(5, 6), client_segment(5, 6, ACK | FIN), client_segment(5, 6, RST)]:
        assert net.from_client(segment).outputs == (net.to_server(segment, SESSION),)
    back = server_segment(9, 10, payload=b"data")
    assert net.from_server(back).outputs == (net.to_client(back, SESSION),)


def test_a_copy_of_its_own_proof_is_no_new_one(net: Network) -> None:
    """Nor does it disturb the next one's handshake, whose further segments wait."""
    cookie = net.proof(EVEN, LAST)
    session = replace(SESSION, isn=LAST, cookie=cookie)
    net.open(session)
    assert net.from_client(client_segment(LAST + 9, cookie + 9, FIN | ACK)).outputs
    assert net.from_client(syn(NEXT)).outputs[0].port == CLIENT_LINK
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    net.punted(net.from_client(proof), PROVEN)
    copy = client_segment(LAST + 1, cookie + 1, ACK | PSH, payload=b"once more")
    assert net.from_client(copy).outputs == (net.to_server(copy, session),)
    more = replace(proof, seq=proof.seq + 5, flags=ACK | PSH, payload=b"second")
    net.punted(net.from_client(more), FOLLOWING)


def test_only_that_session_has_ended(net: Network) -> None:
    end(net)
    other = replace(FLOW, client_port=CLIENT_PORT + 1)
    net.open(SESSION, other)
    elsewhere = replace(syn(NEXT), source_port=CLIENT_PORT + 1)
    assert net.from_client(elsewhere).outputs == (net.to_server(elsewhere, SESSION),)
    following = replace(SESSION, delta=SESSION.delta + 1)  # the tuple's next one
    net.target.modify(net.sessions, net.session_key(), "translate", **vars(following))
    assert net.from_client(syn(NEXT)).outputs == (net.to_server(syn(NEXT), following),)


def test_what_the_controller_sends_is_translated(net: Network) -> None:
    end(net)
    assert answered(net)
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    result = net.target.packet_out(ARRIVE, CLIENT_LINK, net.frame(proof))
    assert result.outputs == (net.to_server(proof, SESSION),)


def test_it_is_forgotten_after_a_second(net: Network) -> None:
    end(net)
    time.sleep(1.2)
    assert not answered(net)
    again = client_segment(1, 2, SYN | ACK)
    assert net.from_client(again).outputs == (net.to_server(again, SESSION),)


def test_a_syn_that_goes_unanswered_gets_a_cookie_when_it_is_repeated(net: Network) -> None:
    """Nobody has seen the end: the first one meets the server, which answers, but not the client."""
    net.open(SESSION)
    assert not answered(net)
    assert not answered(net)  # at once: a copy
    time.sleep(0.8)
    assert answered(net)
    assert answered(net)
    proof = client_segment(NEXT + 1, net.proof(EVEN, NEXT) + 1)
    assert net.punted(net.from_client(proof), PROVEN).isn == NEXT
    going_on = client_segment(5, 6)
    assert net.from_client(going_on).outputs == (net.to_server(going_on, SESSION),)


def test_only_the_same_syn_is_a_repetition(net: Network) -> None:
    net.open(SESSION)
    assert not answered(net)
    time.sleep(0.8)
    assert not answered(net, NEXT + 1)
