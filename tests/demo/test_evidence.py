# SPDX-License-Identifier: Apache-2.0
"""What the demo concludes from captures: reading them, and the order of session and released ACK."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from controller.demo.paths import barriers
from controller.demo.pcap import PcapError, TcpPacket, parse_tcp, read_frames, read_tcp
from controller.scenario import wire
from controller.scenario.rawport import write_pcap

MACS = {"source_mac": b"\2\0\0\0\0\1", "destination_mac": b"\2\0\0\0\0\2"}
CLIENT, SERVER = "198.51.100.10", "203.0.113.10"


def frame(payload: bytes = b"", *, pad_to: int = 0) -> bytes:
    options = wire.Options(timestamps=(5, 6))
    segment = wire.Segment(CLIENT, SERVER, 40000, 80, wire.ACK, 7, 8, options=options, payload=payload)
    return wire.build(segment, pad_to=pad_to, **MACS)


def test_captures_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "port_in.pcap"
    write_pcap(
        path, [(1700000000.25, frame(b"abc")), (1700000001.5, frame(pad_to=100)), (1700000002.0, b"\0" * 60)]
    )
    packets = read_tcp(path)
    assert [round(packet.time, 3) for packet in packets] == [1700000000.25, 1700000001.5]
    assert packets[0][1:] == (CLIENT, 40000, SERVER, 80, 7, 8, wire.ACK, 3)
    assert packets[1].length == 0  # padding is not payload


@pytest.mark.parametrize("missing", [1, 20, 80])
def test_a_packet_not_yet_whole_is_left_out(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "port_in.pcap"
    write_pcap(path, [(1.0, frame()), (2.0, frame())])
    path.write_bytes(path.read_bytes()[:-missing])
    assert [moment for moment, _ in read_frames(path)] == [1.0]


def test_big_endian_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "port_in.pcap"
    head = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    path.write_bytes(head + struct.pack(">IIII", 3, 500000, 4, 4) + b"abcd")
    assert list(read_frames(path)) == [(3.5, b"abcd")]


@pytest.mark.parametrize("content", [b"", b"too short", b"x" * 40])
def test_no_pcap(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "port_in.pcap"
    path.write_bytes(content)
    with pytest.raises(PcapError, match=r"port_in\.pcap: not a pcap"):
        list(read_frames(path))


def test_what_is_not_tcp() -> None:
    good = frame()
    assert parse_tcp(0.0, good) is not None
    assert parse_tcp(0.0, good[:50]) is None
    assert parse_tcp(0.0, good[:23] + b"\x11" + good[24:]) is None
    assert parse_tcp(0.0, good[:20] + b"\x00\x10" + good[22:]) is None  # not the first fragment


def packet(time: float, flags: int, seq: int, ack: int, *, reply: bool = False) -> TcpPacket:
    ends = (SERVER, 80, CLIENT, 40000) if reply else (CLIENT, 40000, SERVER, 80)
    return TcpPacket(time, *ends, seq, ack, flags, 0)


def session(confirmed: float | None) -> dict[str, Any]:
    timeline = None if confirmed is None else {"confirmed": {"a": 10.0, "b": confirmed}}
    return {"client": CLIENT, "client_port": 40000, "timeline": timeline}


A_OUT = [packet(9.0, wire.SYN, 99, 0), packet(10.5, wire.ACK, 100, 501), packet(10.6, wire.ACK, 100, 501)]
B_IN = [packet(9.5, wire.SYN | wire.ACK, 500, 100, reply=True), packet(11.0, wire.ACK, 501, 100, reply=True)]


def test_released_after_the_confirmation() -> None:
    found, missing = barriers([session(10.4)], A_OUT, B_IN)
    assert missing == 0
    (barrier,) = found
    assert barrier.right_numbers
    assert barrier.margin_ms == pytest.approx(100)


def test_released_too_early() -> None:
    (barrier,), _ = barriers([session(10.7)], A_OUT, B_IN)
    assert barrier.margin_ms < 0


def test_released_with_wrong_numbers() -> None:
    wrong = [A_OUT[0], packet(10.5, wire.ACK, 100, 777)]
    (barrier,), _ = barriers([session(10.4)], wrong, B_IN)
    assert not barrier.right_numbers


def test_a_port_used_twice() -> None:
    """Only the later connection is the session that is there; its release is judged, not the first one's."""
    again = [packet(20.0, wire.SYN, 700, 0), packet(20.1, wire.SYN, 700, 0), packet(20.5, wire.ACK, 701, 901)]
    answer = packet(20.2, wire.SYN | wire.ACK, 900, 701, reply=True)
    (barrier,), missing = barriers([session(20.3)], A_OUT + again, [*B_IN, answer])
    assert missing == 0
    assert barrier.right_numbers
    assert barrier.margin_ms == pytest.approx(200)


@pytest.mark.parametrize(
    ("confirmed", "a_out", "b_in"), [(None, A_OUT, B_IN), (10.4, A_OUT[:1], B_IN), (10.4, A_OUT, B_IN[1:])]
)
def test_a_session_without_evidence_is_missing(
    confirmed: float | None, a_out: list[TcpPacket], b_in: list[TcpPacket]
) -> None:
    assert barriers([session(confirmed)], a_out, b_in) == ([], 1)
