# SPDX-License-Identifier: Apache-2.0
"""A short run of the packet fuzzer, and that it would notice."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.fuzz.fuzzer import build_fuzzer, run_fuzzer

PACKETS = 200_000
NETWORK = struct.calcsize("=96s6II")
"""Bytes before the first session."""


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
    driver, setup = fuzzer
    changed = bytearray(Path(setup).read_bytes())
    changed[offset] ^= 0x40
    (tmp_path / "setup").write_bytes(changed)
    command = [driver, str(tmp_path / "setup")]
    result = run_fuzzer(command, 20, 0, PACKETS, tmp_path)
    assert result.returncode == 1
    assert any(words in result.stderr for words in complaint.split("|")), result.stderr
    (report,) = tmp_path.glob("*.txt")
    assert report.with_suffix(".pcap").stat().st_size > 40
    number = int(report.stem.split("-")[2])
    again = run_fuzzer(command, 20, number, 1, tmp_path)
    assert again.stderr == result.stderr
