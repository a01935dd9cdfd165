# SPDX-License-Identifier: Apache-2.0
"""Frames are read and built as RFC 791 and RFC 9293 say; scapy is the judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import Dot1Q, Ether

from controller.packets import (
    ACK,
    SYN,
    MalformedError,
    Options,
    build,
    build_options,
    parse,
    parse_options,
)

L2 = bytes.fromhex("020000000001020000000002") + b"\x08\x00"

L2_V6 = L2[:12] + b"\x86\xdd"


def scapy_frame(payload: bytes = b"", **fields: Any) -> bytes:
    values: dict[str, Any] = {
        "sport": 1,
        "dport": 80,
        "seq": 5,
        "ack": 6,
        "flags": "A",
        "window": 7,
        **fields,
    }
    return bytes(Ether() / IP(src="198.51.100.1", dst="203.0.113.10") / TCP(**values) / payload)


@pytest.mark.parametrize("payload", [b"", b"x", b"hello", bytes(1001)])
def test_reads_what_scapy_builds(payload: bytes) -> None:
    segment = parse(scapy_frame(payload, options=[("Timestamp", (1, 2))]))
    assert (segment.seq, segment.ack, segment.flags, segment.window) == (5, 6, ACK, 7)
    assert segment.payload_length == len(payload)
    assert segment.checksum_ok()
    assert parse_options(segment.options).timestamps == (1, 2)


def test_a_flipped_bit_fails_the_checksum() -> None:
    frame = bytearray(scapy_frame(b"hello"))
    frame[-1] ^= 4
    assert not parse(bytes(frame)).checksum_ok()


def test_ethernet_padding_is_no_payload() -> None:
    segment = parse(scapy_frame() + bytes(6))
    assert segment.payload_length == 0
    assert segment.checksum_ok()


def test_vlan_tags_stay_in_l2() -> None:
    frame = bytes(Ether() / Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP() / TCP(sport=9))
    segment = parse(frame)
    assert segment.source_port == 9
    assert len(segment.l2) == 22


@given(
    seq=st.integers(0, 2**32 - 1),
    ack=st.integers(0, 2**32 - 1),
    window=st.integers(0, 65535),
    mss=st.one_of(st.none(), st.integers(0, 65535)),
    scale=st.one_of(st.none(), st.integers(0, 14)),
    sack=st.booleans(),
    timestamps=st.one_of(st.none(), st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))),
)
def test_builds_what_scapy_accepts(
    seq: int,
    ack: int,
    window: int,
    mss: int | None,
    scale: int | None,
    sack: bool,
    timestamps: tuple[int, int] | None,
) -> None:
    options = Options(mss, scale, sack, timestamps)
    data = build_options(options)
    frame = build(L2, 1, 2, 3, 4, seq=seq, ack=ack, flags=SYN, window=window, options=data)
    packet = Ether(frame)
    tcp_check, ip_check = packet[TCP].chksum, packet[IP].chksum
    del packet[TCP].chksum, packet[IP].chksum
    again = Ether(bytes(packet))
    assert (again[TCP].chksum, again[IP].chksum) == (tcp_check, ip_check)
    assert (packet[TCP].seq, packet[TCP].ack, packet[TCP].window) == (seq, ack, window)
    assert parse_options(parse(frame).options) == options


def test_sums_that_are_a_multiple_of_65535_give_checksum_zero() -> None:
    frames = [build(L2, 1, 2, 3, 4, seq=seq, flags=ACK) for seq in range(0x10000)]
    sums = {parse(frame).tcp[16:18] for frame in frames}
    assert b"\0\0" in sums
    assert all(parse(frame).checksum_ok() for frame in frames[::97])


@given(st.binary(max_size=120), st.sampled_from([0, 6, 43, 44, 60, 255]))
def test_no_bytes_break_the_reader(data: bytes, following: int) -> None:
    six = (
        L2_V6 + b"\x60" + bytes(3) + len(data).to_bytes(2, "big") + bytes((following, 64)) + bytes(32) + data
    )
    for frame in (data, L2 + data, L2 + b"\x45" + data, L2_V6 + data, six):
        try:
            segment = parse(frame)
        except MalformedError:
            continue
        parse_options(segment.options)


@given(st.binary(max_size=40))
def test_no_bytes_break_the_option_reader(data: bytes) -> None:
    parse_options(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f[:40],
        lambda f: f[:14] + b"\x65" + f[15:],  # version 6
        lambda f: f[:14] + b"\x44" + f[15:],  # header too short
        lambda f: f[:23] + b"\x11" + f[24:],  # UDP
        lambda f: f[:20] + b"\x00\x05" + f[22:],  # a later fragment
        lambda f: f[:20] + b"\x20\x00" + f[22:],  # more fragments
        lambda f: f[:16] + b"\xff\xff" + f[18:],  # total length beyond the frame
        lambda f: f[:46] + b"\x40" + f[47:],  # data offset below 5
        lambda f: f[:46] + b"\xf0" + f[47:],  # data offset beyond the packet
    ],
)
def test_contradictions_are_malformed(change: Any) -> None:
    with pytest.raises(MalformedError):
        parse(change(scapy_frame()))


def test_a_window_scale_above_14_counts_as_14() -> None:
    assert parse_options(b"\x03\x03\x0f\x00").window_scale == 14


def scapy_frame_v6(*headers: Any, payload: bytes = b"") -> bytes:
    packet = Ether() / IPv6(src="2001:db8::1", dst="2001:db8:203::10")
    for header in headers:
        packet /= header
    return bytes(packet / TCP(sport=1, dport=80, seq=5, ack=6, flags="A", window=7) / payload)


LONGEST = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(60))])  # 64 bytes
TOO_LONG = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(68))])
ATOMIC = IPv6ExtHdrFragment(offset=0, m=0, id=7)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (IPv6ExtHdrHopByHop(),),
        (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(), IPv6ExtHdrDestOpt()),
        (ATOMIC,),
        (LONGEST,),
    ],
    ids=lambda headers: "+".join(type(header).__name__ for header in headers) or "none",
)
@pytest.mark.parametrize("payload", [b"", b"hello"])
def test_tcp_is_found_behind_ipv6_extension_headers(headers: tuple[Any, ...], payload: bytes) -> None:
    frame = scapy_frame_v6(*headers, payload=payload)
    segment = parse(frame + bytes(3))  # Ethernet padding
    assert (segment.source, segment.destination) == (0x20010DB8 << 96 | 1, 0x20010DB8_0203 << 80 | 0x10)
    assert (segment.source_port, segment.seq, segment.ack, segment.flags) == (1, 5, 6, ACK)
    assert segment.payload_length == len(payload)
    assert segment.l2 == frame[:14]
    assert segment.checksum_ok()


@pytest.mark.parametrize(
    "frame",
    [
        scapy_frame_v6(IPv6ExtHdrFragment(offset=0, m=1)),
        scapy_frame_v6(IPv6ExtHdrFragment(offset=3, m=0)),
        scapy_frame_v6(*[IPv6ExtHdrDestOpt()] * 5),
        scapy_frame_v6(TOO_LONG),
        scapy_frame_v6()[:73],  # TCP cut short
        scapy_frame_v6(IPv6ExtHdrHopByHop())[:58],  # within the extension header
        scapy_frame_v6()[:20] + b"\x11" + scapy_frame_v6()[21:],  # UDP
        scapy_frame_v6()[:14] + b"\x40" + scapy_frame_v6()[15:],  # version 4
        scapy_frame_v6()[:18] + b"\x00\x15" + scapy_frame_v6()[20:],  # length beyond the frame
        scapy_frame_v6()[:18] + b"\x00\x13" + scapy_frame_v6()[20:],  # length below a TCP header
    ],
)
def test_contradictions_over_ipv6_are_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(frame)


@given(st.integers(2**32, 2**128 - 1), st.integers(0, 2**128 - 1), st.integers(0, 2**32 - 1))
def test_builds_ipv6_that_scapy_accepts(source: int, destination: int, seq: int) -> None:
    frame = build(L2_V6, source, destination, 3, 4, seq=seq, flags=SYN, options=build_options(Options(1440)))
    packet = Ether(frame)
    given = packet[TCP].chksum
    assert packet[IPv6].plen == 24
    del packet[TCP].chksum
    assert Ether(bytes(packet))[TCP].chksum == given
    segment = parse(frame)
    assert (segment.source, segment.destination, segment.seq) == (source, destination, seq)
    assert segment.checksum_ok()
