# SPDX-License-Identifier: Apache-2.0
"""SYN → SYN/ACK with a cookie."""

from __future__ import annotations

import itertools
import struct
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .network import (
    CLIENT_LINK,
    CLIENT_MAC,
    EVEN,
    ODD,
    SERVER,
    SERVER_PORT,
    SWITCH_CLIENT_MAC,
    Drop,
    Event,
    Network,
    on_every_wire,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    CWR,
    ECE,
    END,
    NO_SCALE,
    NOP,
    SACK_PERMITTED,
    SYN,
    Segment,
    cookie,
    mss_index,
    mss_option,
    pad,
    scale_option,
    timestamps_option,
    walk,
)
from .target import Result

pytestmark = on_every_wire

ISN = 0xFFFFFFFF  # the acknowledgment number wraps


def answer(
    net: Network,
    asked: Segment,
    *,
    mss: int | None,
    scale: int | None,
    sack: bool,
    stamps: tuple[int, int] | None,
    epoch: object = EVEN,
) -> Segment:
    """The SYN/ACK that has to come; `stamps` are our TSval and the echo."""
    service = net.service
    scale_both = NO_SCALE if scale is None or service.window_scale == NO_SCALE else min(scale, 14)
    sack_both = int(sack and bool(service.sack))
    options = mss_option(service.mss)
    stamps_both = stamps is not None and bool(service.timestamps)
    if stamps_both != bool(sack_both):
        options += NOP * 2
    if sack_both:
        options += SACK_PERMITTED
    if stamps_both:
        assert stamps is not None
        options += timestamps_option(*stamps)
    if scale_both != NO_SCALE:
        options += NOP + scale_option(service.window_scale)
    index = mss_index(mss, 1220 if net.wire.ipv6 else 536)
    k = cookie(EVEN if epoch is EVEN else ODD, net.wired_flow(), asked.seq, index, scale_both, sack_both)
    return server_segment(
        k,
        asked.seq + 1,
        SYN | ACK,
        window=service.window,
        options=options,
        identification=0,
    )


def sent(result: Result) -> bytes:
    """The one frame that went to the client and nothing else."""
    assert not result.packet_ins
    assert not result.events
    ((port, frame),) = result.outputs
    assert port == CLIENT_LINK
    return frame


def our_clock(net: Network, frame: bytes) -> int:
    """The TSval in a SYN/ACK, 0 without."""
    options = frame[net.tcp_at + 20 : net.tcp_at + (frame[net.tcp_at + 12] >> 4) * 4]
    return next((struct.unpack(">I", value[:4])[0] for kind, value in walk(options) if kind == 8), 0)


def addressed(net: Network, segment: Segment) -> bytes:
    """The frame as the switch sends it on the client's link."""
    return net.frame(replace(segment, source_mac=SWITCH_CLIENT_MAC, destination_mac=CLIENT_MAC))


@pytest.mark.parametrize("mss", [None, 0, 1, 87, 88, 535, 536, 1219, 1220, 1459, 1460, 8959, 8960, 65535])
@pytest.mark.parametrize("scale", [None, 0, 7, 14, 15, 255])
def test_mss_and_window_scale(net: Network, mss: int | None, scale: int | None) -> None:
    options = b"" if mss is None else mss_option(mss)
    options += b"" if scale is None else NOP + scale_option(scale)
    asked = syn(ISN, options=options)
    frame = sent(net.from_client(asked))
    assert frame == addressed(net, answer(net, asked, mss=mss, scale=scale, sack=False, stamps=None))
    assert net.target.counter("events", Event.SYN_ANSWERED) == 1


@pytest.mark.parametrize("sack", [False, True])
@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("has_sack", [0, 1])
@pytest.mark.parametrize("has_stamps", [0, 1])
@pytest.mark.parametrize("has_scale", [0, 14, NO_SCALE])
def test_only_what_both_have(
    net: Network, sack: bool, stamped: bool, has_sack: int, has_stamps: int, has_scale: int
) -> None:
    net.set_service(sack=has_sack, timestamps=has_stamps, window_scale=has_scale, mss=1220, window=1)
    options = mss_option(1400) + scale_option(9)
    options += SACK_PERMITTED if sack else b""
    options += timestamps_option(0xFFFFFFF0, 0) if stamped else b""
    asked = syn(1, options=pad(options))
    frame = sent(net.from_client(asked))
    stamps = (our_clock(net, frame), 0xFFFFFFF0) if stamped else None
    assert frame == addressed(net, answer(net, asked, mss=1400, scale=9, sack=sack, stamps=stamps))


PIECES = (mss_option(1300), scale_option(5), SACK_PERMITTED, timestamps_option(77, 0))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_options_in_any_order(net: Network, order: tuple[int, ...]) -> None:
    asked = syn(5, options=pad(b"".join(PIECES[i] for i in order)))
    frame = sent(net.from_client(asked))
    expected = answer(net, asked, mss=1300, scale=5, sack=True, stamps=(our_clock(net, frame), 77))
    assert frame == addressed(net, expected)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(NOP * 5 + b"".join(PIECES), id="leading-nops"),
        pytest.param(PIECES[0] + b"\x1e\x0c" + b"m" * 10 + b"".join(PIECES[1:]), id="mptcp"),
        pytest.param(b"\xfe\x02\xfd\x03\x99" + b"".join(PIECES), id="unknown-short"),
        pytest.param(b"\x22\x06fast" + b"".join(PIECES), id="fast-open-cookie"),
        pytest.param(PIECES[0] + b"\x05\x0a" + b"\xff" * 8 + b"".join(PIECES[1:]), id="sack-in-a-syn"),
        pytest.param(b"\x02\x03\x00" + b"\x03\x04\x09\x09" + b"".join(PIECES), id="known-kind-odd-length"),
        pytest.param(b"".join(PIECES) + END * 3 + b"\x02\x00\x08", id="garbage-behind-the-end"),
        pytest.param(
            mss_option(9000) + b"".join(PIECES) + b"\xfd\x11" + b"?" * 15, id="forty-bytes-last-mss-counts"
        ),
    ],
)
def test_unknown_options_are_skipped(net: Network, options: bytes) -> None:
    asked = syn(5, options=pad(options))
    assert len(asked.options) <= 40
    frame = sent(net.from_client(asked))
    expected = answer(net, asked, mss=1300, scale=5, sack=True, stamps=(our_clock(net, frame), 77))
    assert frame == addressed(net, expected)


@st.composite
def syn_options(draw: st.DrawFn) -> tuple[bytes, tuple[int | None, int | None, bool, int | None]]:
    """At most 40 bytes of options in any order, unknown ones between them, and what they say: MSS, window
    scale, SACK-permitted, TSval.
    """
    mss = draw(st.none() | st.integers(1, 0xFFFF))
    scale = draw(st.none() | st.integers(0, 255))
    sack = draw(st.booleans())
    stamp = draw(st.none() | st.integers(0, 0xFFFFFFFF))
    pieces = [] if mss is None else [mss_option(mss)]
    pieces += [] if scale is None else [scale_option(scale)]
    pieces += [SACK_PERMITTED] if sack else []
    pieces += [] if stamp is None else [timestamps_option(stamp, 0)]
    others = st.builds(
        lambda kind, body: bytes((kind, 2 + len(body))) + body,
        st.sampled_from((6, 9, 19, 30, 34, 253, 255)),
        st.binary(max_size=12),
    )
    for other in draw(st.lists(st.one_of(st.just(NOP), others), max_size=6)):
        if sum(map(len, pieces)) + len(other) <= 40:
            pieces.append(other)
    area = b"".join(draw(st.permutations(pieces)))
    area += draw(st.sampled_from((NOP, END))) * (-len(area) % 4)
    return area, (mss, scale, sack, stamp)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(syn_options(), st.integers(0, 0xFFFFFFFF))
def test_any_legal_options_are_understood(
    net: Network, given_options: tuple[bytes, tuple[int | None, int | None, bool, int | None]], isn: int
) -> None:
    area, (mss, scale, sack, stamp) = given_options
    asked = syn(isn, options=area)
    frame = sent(net.from_client(asked))
    stamps = None if stamp is None else (our_clock(net, frame), stamp)
    assert frame == addressed(net, answer(net, asked, mss=mss, scale=scale, sack=sack, stamps=stamps))


@pytest.mark.parametrize("payload", [b"", b"x", b"GET / HTTP/1.0\r\n" * 80])
@pytest.mark.parametrize("padding", [b"", b"\0" * 6, b"\xff" * 20])
@pytest.mark.parametrize("flags", [SYN, SYN | ECE | CWR])
def test_data_padding_and_ecn_are_ignored(net: Network, payload: bytes, padding: bytes, flags: int) -> None:
    asked = syn(0x7FFFFFFF, payload=payload, padding=padding, options=mss_option(536), reserved=0xF, urgent=9)
    frame = sent(net.from_client(replace(asked, flags=flags, tos=0xFF, ttl=1)))
    assert frame == addressed(net, answer(net, asked, mss=536, scale=None, sack=False, stamps=None))


def test_ip_options_are_not_sent_back(net: Network) -> None:
    asked = syn(9, ip_options=b"\x94\x04\0\0" + b"\x01" * 36, options=mss_option(536))
    frame = sent(net.from_client(asked))
    assert frame == addressed(net, answer(net, asked, mss=536, scale=None, sack=False, stamps=None))


def test_current_epoch_makes_the_cookie(net: Network) -> None:
    asked = syn(1)
    net.target.set_default("cookie_epoch", "set_epoch", parity=ODD.parity)
    frame = sent(net.from_client(asked))
    assert frame == addressed(
        net, answer(net, asked, mss=None, scale=None, sack=False, stamps=None, epoch=ODD)
    )


def test_our_clock_ticks_every_512_microseconds(net: Network) -> None:
    asked = syn(1, options=pad(timestamps_option(1, 0)))
    began = time.monotonic()
    first = our_clock(net, sent(net.from_client(asked)))
    time.sleep(0.2)
    second = our_clock(net, sent(net.from_client(asked)))
    passed = (time.monotonic() - began) * 1e6 / 512
    assert 0.19e6 / 512 <= (second - first) & 0xFFFFFFFF <= passed + 1


def test_no_epoch(net: Network) -> None:
    net.target.set_default("cookie_epoch", "no_epoch")
    net.dropped(net.from_client(syn(1)), Drop.NO_KEY)


def test_no_key_for_the_epoch(net: Network) -> None:
    net.target.delete("cookie_keys", {"parity": EVEN.parity})
    net.dropped(net.from_client(syn(1)), Drop.NO_KEY)


def test_client_without_route(net: Network) -> None:
    net.dropped(net.from_client(replace(syn(1), source="192.0.2.1")), Drop.NO_ROUTE)
    net.dropped(net.from_client(replace(syn(1), source="255.255.255.255")), Drop.NO_ROUTE, 2)
    assert net.target.counter("events", Event.SYN_ANSWERED) == 0


def test_meter(net: Network) -> None:
    net.target.set_meter("syn_meter", net.service.service_id, 1, 2)
    for _ in range(2):
        sent(net.from_client(syn(1)))
    net.metered_out(lambda: net.from_client(syn(1)), Drop.SYN_RATE)
    net.target.set_meter("syn_meter", net.service.service_id, None)
    sent(net.from_client(syn(1)))


def test_service_counts(net: Network) -> None:
    sent(net.from_client(syn(1)))
    assert (
        net.target.direct_counter(
            "services" + net.wire.suffix, {"server": net.wire.address(SERVER), "server_port": SERVER_PORT}
        )
        == 1
    )
