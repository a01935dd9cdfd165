# SPDX-License-Identifier: Apache-2.0
"""Services that are not always proxied, and leniency towards connections that are older than the proxy."""

from __future__ import annotations

import pytest

from .network import (
    CLIENT_LINK,
    EARLY_RETURN,
    EVEN,
    PROVEN,
    SERVER_SYNACK,
    Drop,
    Event,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
    syn,
)
from .reference import ACK, FIN, PSH, RST, SYN, Session, mss_option, pad, scale_option, timestamps_option

pytestmark = on_every_wire

PASS, DRAIN = 1, 2
OPTIONS = pad(mss_option(1400) + scale_option(9) + timestamps_option(7, 0) + b"\xfd\x03u")
SESSION = Session(delta=0x89ABCDEF, tau=5)


@pytest.mark.parametrize("flags", [SYN, ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN | ACK, FIN])
def test_pass_leaves_everything_alone(net: Network, flags: int) -> None:
    net.set_service(mode=PASS)
    net.target.set_meter("syn_meter", net.service.service_id, 1, 1)
    for _ in range(3):
        out = client_segment(5, 6, flags, options=OPTIONS, payload=b"data")
        assert net.from_client(out).outputs == (net.to_server(out),)
        back = server_segment(5, 6, flags, options=OPTIONS, payload=b"data")
        assert net.from_server(back).outputs == (net.to_client(back),)


def test_pass_still_drops_what_is_broken(net: Network) -> None:
    net.set_service(mode=PASS)
    net.dropped(net.from_client(client_segment(5, 6, SYN | FIN)), Drop.MALFORMED_TCP)


@pytest.mark.parametrize("mode", [PASS, DRAIN])
def test_sessions_go_on_when_the_proxy_rests(net: Network, mode: int) -> None:
    net.open(SESSION)
    net.set_service(mode=mode)
    out, back = client_segment(5, 6), server_segment(5, 6)
    assert net.from_client(out).outputs == (net.to_server(out, SESSION),)
    assert net.from_server(back).outputs == (net.to_client(back, SESSION),)


@pytest.mark.parametrize("mode", [PASS, DRAIN])
def test_closing_session_is_still_proxied(net: Network, mode: int) -> None:
    """Its tuple's next connection would be translated by it otherwise."""
    net.open(Session(delta=1, phase=1))
    net.set_service(mode=mode)
    ((port, _),) = net.from_client(syn(9)).outputs
    assert port == CLIENT_LINK
    assert net.target.counter("events", Event.SYN_ANSWERED) == 1
    net.punted(net.from_server(server_segment(1, 2, SYN | ACK)), SERVER_SYNACK)


AWAITED = Session(delta=0x1234, phase=2)


@pytest.mark.parametrize("mode", [0, PASS, DRAIN])
def test_an_awaited_tuple_is_guarded_in_every_mode(net: Network, mode: int) -> None:
    """Whatever passes otherwise: the server's answer is for the controller, and so is the client's proof."""
    net.open(AWAITED)
    net.set_service(mode=mode, lenient=1)
    ((port, _),) = net.from_client(syn(9)).outputs
    assert port == CLIENT_LINK
    net.dropped(net.from_client(client_segment(2, 3, payload=b"of the old connection")), Drop.BAD_COOKIE)
    net.dropped(net.from_client(client_segment(2, 3, RST)), Drop.UNKNOWN_RST)
    net.punted(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1)), PROVEN)
    net.punted(net.from_server(server_segment(1, 2, SYN | ACK)), SERVER_SYNACK)
    for refusal in (RST, RST | ACK, ACK):
        net.punted(net.from_server(server_segment(1, 2, refusal)), EARLY_RETURN)


def test_an_awaited_tuple_may_be_reset(net: Network) -> None:
    net.open(AWAITED)
    net.set_service(mode=PASS, lenient=1, reset_unknown=1)
    ((port, _),) = net.from_client(client_segment(2, 3)).outputs
    assert port == CLIENT_LINK
    assert net.target.counter("events", Event.RESET_SENT) == 1


def test_drain_honours_cookies(net: Network) -> None:
    net.set_service(mode=DRAIN, lenient=1)
    opening = syn(9, options=OPTIONS)
    assert net.from_client(opening).outputs == (net.to_server(opening),)
    net.punted(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1)), PROVEN)


def test_lenient_still_answers_and_checks(net: Network) -> None:
    net.set_service(lenient=1)
    ((port, _),) = net.from_client(syn(9)).outputs
    assert port == CLIENT_LINK
    net.punted(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1)), PROVEN)
    net.punted(net.from_server(server_segment(1, 2, SYN | ACK)), SERVER_SYNACK)
    net.dropped(net.from_client(client_segment(2, 3, SYN | ACK)), Drop.STRAY)


@pytest.mark.parametrize("flags", [ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, FIN])
@pytest.mark.parametrize("reset", [0, 1])
@pytest.mark.parametrize("ack", [6, 0x80000006])
def test_lenient_lets_older_connections_go_on(net: Network, flags: int, reset: int, ack: int) -> None:
    net.set_service(lenient=1, reset_unknown=reset)
    net.target.delete("cookie_keys", {"parity": 1})  # a parity without a key proves nothing
    out = client_segment(5, ack, flags, options=OPTIONS, payload=b"data")
    assert net.from_client(out).outputs == (net.to_server(out),)
    back = server_segment(5, ack, flags, options=OPTIONS, payload=b"data")
    assert net.from_server(back).outputs == (net.to_client(back),)


@pytest.mark.parametrize("mode", [0, DRAIN])
def test_lenient_refusals_are_the_controllers(net: Network, mode: int) -> None:
    """It may wait for one; a reset of an older connection is none."""
    net.set_service(lenient=1, mode=mode)
    net.punted(net.from_server(server_segment(0, 10, RST | ACK)), EARLY_RETURN)
    for other in (server_segment(0, 10, RST), server_segment(1, 10, RST | ACK), server_segment(0, 10)):
        assert net.from_server(other).outputs == (net.to_client(other),)


def test_strict_again(net: Network) -> None:
    net.set_service(lenient=1, mode=PASS)
    net.set_service(lenient=0, mode=0)
    net.dropped(net.from_client(client_segment(5, 6)), Drop.BAD_COOKIE)
    net.punted(net.from_server(server_segment(5, 6)), EARLY_RETURN)


@pytest.mark.parametrize("mode", [0, PASS, DRAIN])
def test_syns_are_counted_by_service(net: Network, mode: int) -> None:
    net.set_service(mode=mode)
    for _ in range(3):
        net.from_client(syn(9))
    net.from_client(client_segment(5, 6))
    net.from_server(server_segment(5, 6, SYN))
    assert net.target.counter("service_syns", net.service.service_id) == 3


FILLING = 3


def test_filling_answers_syns_with_cookies_that_count(net: Network) -> None:
    net.set_service(mode=FILLING)
    net.open(SESSION)  # one of those that are here already
    ((port, _),) = net.from_client(syn(9)).outputs
    assert port == CLIENT_LINK
    assert net.target.counter("events", Event.SYN_ANSWERED) == 1
    net.punted(net.from_client(client_segment(2, net.proof(EVEN, 1) + 1)), PROVEN)


@pytest.mark.parametrize("held", [False, True])
def test_filling_lets_nothing_pass(net: Network, held: bool) -> None:
    """Neither what has no session here yet, nor what has."""
    net.set_service(mode=FILLING)
    if held:
        net.open(SESSION)
    for number, flags in enumerate((ACK, ACK | PSH, ACK | FIN), 1):
        net.dropped(net.from_client(client_segment(5, 6, flags, payload=b"data")), Drop.BAD_COOKIE, number)
        net.dropped(net.from_server(server_segment(5, 6, flags, payload=b"data")), Drop.FILLING, number)
    net.dropped(net.from_client(client_segment(5, 6, RST)), Drop.UNKNOWN_RST)
    assert net.target.counter("events", Event.TO_SERVER) == 0
    assert net.target.counter("events", Event.TO_CLIENT) == 0


def test_filling_punts_what_handshakes_elsewhere_wait_for(net: Network) -> None:
    net.set_service(mode=FILLING)
    net.punted(net.from_server(server_segment(1, 2, SYN | ACK)), SERVER_SYNACK)
    net.punted(net.from_server(server_segment(0, 2, RST | ACK)), EARLY_RETURN)
