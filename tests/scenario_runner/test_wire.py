# SPDX-License-Identifier: Apache-2.0
"""The scenarios' own packet code, against scapy."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from controller.scenario import wire

U32 = st.integers(0, 2**32 - 1)
PAIRS = st.tuples(U32, U32)


def build(segment: wire.Segment, *, pad_to: int = 0) -> bytes:
    """Its frame, between two interfaces of a lab."""
    macs = bytes.fromhex("020000000101"), bytes.fromhex("020000000102")
    return wire.build(segment, source_mac=macs[0], destination_mac=macs[1], pad_to=pad_to)


def make_options(
    mss: int | None,
    scale: int | None,
    sack_ok: bool,
    stamps: tuple[int, int] | None,
    blocks: list[tuple[int, int]],
) -> wire.Options:
    """What 40 bytes hold: at most three SACK blocks beside timestamps (RFC 2018 section 3)."""
    return wire.Options(mss, scale, sack_ok, stamps, tuple(blocks))


OPTIONS = st.one_of(
    st.builds(
        make_options, st.none(), st.none(), st.just(False), st.none() | PAIRS, st.lists(PAIRS, max_size=3)
    ),
    st.builds(
        make_options,
        st.none() | st.integers(0, 65535),
        st.none() | st.integers(0, 14),
        st.booleans(),
        st.none() | PAIRS,
        st.just([]),
    ),
)


@settings(max_examples=200)
@given(OPTIONS, U32, U32, st.integers(0, 255), st.binary(max_size=50), st.sampled_from([0, 60, 200]))
def test_frames_read_back_and_equal_scapys(
    options: wire.Options, seq: int, ack: int, flags: int, payload: bytes, pad_to: int
) -> None:
    segment = wire.Segment("198.19.1.2", "203.0.113.10", 40000, 80, flags, seq, ack, 512, options, payload)
    frame = build(segment, pad_to=pad_to)
    assert len(frame) >= pad_to
    assert wire.parse(frame) == segment

    rebuilt = Ether(frame)
    del rebuilt[IP].chksum
    del rebuilt[TCP].chksum
    assert bytes(rebuilt) == frame
    assert (rebuilt[TCP].seq, rebuilt[TCP].ack) == (seq, ack)
    assert bytes(rebuilt[TCP].payload)[: len(payload)] == payload  # scapy counts padding in
    if options.timestamps is not None:
        assert dict(rebuilt[TCP].options)["Timestamp"] == options.timestamps


@given(OPTIONS, U32, st.binary(max_size=50), st.sampled_from([0, 60, 200]))
def test_ipv6_frames_read_back_and_equal_scapys(
    options: wire.Options, seq: int, payload: bytes, pad_to: int
) -> None:
    addresses = "2001:db8:198::7", "2001:db8:203::10"
    segment = wire.Segment(*addresses, 40000, 80, wire.SYN, seq, 0, 512, options, payload)
    frame = build(segment, pad_to=pad_to)
    assert len(frame) >= pad_to
    assert wire.parse(frame) == segment
    rebuilt = Ether(frame)
    assert (rebuilt[IPv6].src, rebuilt[IPv6].dst) == addresses
    del rebuilt[TCP].chksum
    assert bytes(rebuilt) == frame


def test_a_wrong_checksum_over_ipv6_is_found() -> None:
    frame = bytearray(build(wire.Segment("2001:db8::1", "2001:db8::2", 1, 80, wire.ACK, 1)))
    frame[58] ^= 1
    with pytest.raises(wire.MalformedError, match="TCP"):
        wire.parse(bytes(frame))
    frame[18:20] = b"\x01\x00"
    with pytest.raises(wire.MalformedError, match="IPv6"):
        wire.parse(bytes(frame))


@pytest.mark.parametrize(("offset", "complaint"), [(16 + 8, "IPv4"), (34 + 5, "TCP")])
def test_a_wrong_checksum_is_found(offset: int, complaint: str) -> None:
    segment = wire.Segment("198.19.1.2", "203.0.113.10", 40000, 80, wire.ACK, 1)
    frame = bytearray(build(segment))
    frame[offset] ^= 0x40
    with pytest.raises(wire.MalformedError, match=complaint):
        wire.parse(bytes(frame))
    assert wire.parse(bytes(frame), verify=False) is not None


@settings(max_examples=300)
@given(st.binary(max_size=80), st.integers(34, 54), st.binary(max_size=20))
def test_hostile_bytes_never_raise_anything_else(noise: bytes, at: int, patch: bytes) -> None:
    good = build(wire.Segment("198.19.1.2", "203.0.113.10", 1, 80, wire.SYN, 1))
    for frame in (noise, good[:14] + noise, good[:at], good[:at] + patch + good[at + len(patch) :]):
        with contextlib.suppress(wire.MalformedError):
            parsed = wire.parse(frame)
            assert parsed is None or len(parsed.payload) <= len(frame)


def test_what_is_not_tcp_is_none() -> None:
    udp = bytes(Ether() / IP(proto=17) / b"12345678901234567890")
    fragment = bytes(Ether() / IP(frag=5) / TCP())
    assert wire.parse(udp) is None
    assert wire.parse(fragment) is None


def test_flags_by_letter() -> None:
    assert wire.parse_flags("SA") == wire.SYN | wire.ACK
    assert wire.format_flags(wire.SYN | wire.ACK) == "SA"
    assert wire.format_flags(0) == "-"
    with pytest.raises(ValueError, match="'X'"):
        wire.parse_flags("SX")
