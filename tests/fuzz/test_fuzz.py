# SPDX-License-Identifier: Apache-2.0
"""A short run of the packet fuzzer, and that it would notice."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether

from controller.demo.pcap import read_frames
from tests.fuzz.capture import CAPTURES, MAX_BYTES
from tests.fuzz.fuzzer import build_fuzzer, run_fuzzer

PACKETS = 200_000
NETWORK = struct.calcsize("=96s6II")
"""Bytes before the first session."""


def test_captures_hold_what_matters() -> None:
    frames = [frame for path in CAPTURES.values() for _, frame in read_frames(path)]
    assert sum(path.stat().st_size for path in CAPTURES.values()) < MAX_BYTES
    packets = [Ether(frame) for frame in frames]
    segments = [packet[TCP] for packet in packets if TCP in packet]
    options = {name for segment in segments for name, _ in segment.options}
    assert {"MSS", "WScale", "SAckOK", "SAck", "Timestamp"} <= options
    assert {"S", "SA", "A", "PA", "FA", "R", "PAU"} <= {str(segment.flags) for segment in segments}
    assert {(3, 3), (3, 4), (11, 0)} <= {
        (packet[ICMP].type, packet[ICMP].code) for packet in packets if ICMP in packet
    }
    for kind in (ICMPv6PacketTooBig, ICMPv6TimeExceeded, ICMPv6DestUnreach, IPv6ExtHdrFragment):
        assert any(kind in packet for packet in packets)
    assert any(IP in packet and packet[IP].frag for packet in packets)


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The fuzzer's command."""
    return build_fuzzer(tmp_path_factory.mktemp("fuzzer"))


def test_nothing_wrong(fuzzer: list[str], tmp_path: Path) -> None:
    result = run_fuzzer(fuzzer, 20, 0, PACKETS, tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    outcomes = {line[:22].strip(): int(line[22:]) for line in lines[:-1]}
    assert lines[-1].startswith(f"{PACKETS} packets of seed 20")
    assert len(outcomes) == 16
    assert all(count > PACKETS // 1000 for count in outcomes.values()), outcomes


@pytest.mark.parametrize(
    ("offset", "complaint"),
    [
        (96, "PROVEN without|a SYN/ACK without"),  # a byte of a key
        (NETWORK + 12, "not mapped|of a quote"),  # of the first session's delta
        (NETWORK + 4, "without a session|open session|nobody asked"),  # of its client's port
    ],
)
def test_notices(fuzzer: list[str], tmp_path: Path, offset: int, complaint: str) -> None:
    driver, setup, *captures = fuzzer
    changed = bytearray(Path(setup).read_bytes())
    changed[offset] ^= 0x40
    (tmp_path / "setup").write_bytes(changed)
    command = [driver, str(tmp_path / "setup"), *captures]
    result = run_fuzzer(command, 20, 0, PACKETS, tmp_path)
    assert result.returncode == 1
    assert any(words in result.stderr for words in complaint.split("|")), result.stderr
    (report,) = tmp_path.glob("*.txt")
    assert report.with_suffix(".pcap").stat().st_size > 40
    number = int(report.stem.split("-")[2])
    again = run_fuzzer(command, 20, number, 1, tmp_path)
    assert again.stderr == result.stderr
