# SPDX-License-Identifier: Apache-2.0
"""TCP options in Linux's layout and in any other."""

from __future__ import annotations

import struct

import pytest

from controller.scenario import tcp_options
from controller.scenario.tcp_options import MalformedError, Options

STAMPS, BLOCK = (1, 2), ((3, 4),)


def test_linux_layouts() -> None:
    stamps, block = b"\x08\x0a" + struct.pack("!II", 1, 2), b"\x05\x0a" + struct.pack("!II", 3, 4)
    full = Options(mss=1460, window_scale=7, sack_permitted=True, timestamps=STAMPS)
    assert tcp_options.build(full) == b"\x02\x04\x05\xb4" + b"\x04\x02" + stamps + b"\x01\x03\x03\x07"
    assert tcp_options.build(Options(sack_permitted=True)) == b"\x01\x01\x04\x02"
    assert tcp_options.build(Options(timestamps=STAMPS, sack=BLOCK)) == (
        b"\x01\x01" + stamps + b"\x01\x01" + block
    )
    assert tcp_options.build(Options()) == b""


def test_zero_is_a_value() -> None:
    assert Options(mss=0, window_scale=0).given == ("mss", "window_scale")
    assert Options(sack_permitted=True, timestamps=STAMPS, sack=BLOCK).given == (
        "sack_permitted",
        "sack",
        "timestamps",
    )


def test_any_layout_reads_back() -> None:
    layout = ("nop", "sack", "253:5", "nop", "timestamps", "end")
    area = tcp_options.build(Options(timestamps=STAMPS, sack=BLOCK, layout=layout))
    assert len(area) == 28
    assert area[11:16] == b"\xfd\x05\xaa\xaa\xaa"
    found = tcp_options.parse(area)
    assert found == Options(timestamps=STAMPS, sack=BLOCK)
    assert found.layout == layout


def test_what_lies_behind_the_end_is_padding() -> None:
    assert tcp_options.parse(b"\x00\x08\x0a\xff").layout == ("end",)


@pytest.mark.parametrize("area", [b"\x08\x03\x00", b"\x02\x03\x05\x01", b"\x05\x02", b"\x04\x03\x00"])
def test_a_known_kind_of_a_wrong_length_counts_as_another(area: bytes) -> None:
    found = tcp_options.parse(area)
    assert found == Options()
    assert found.layout[0] == f"{area[0]}:{area[1]}"


@pytest.mark.parametrize("area", [b"\x08", b"\x08\x01\x00\x00", b"\x08\x0a\x00\x00", b"\x01\x01\x01\x02"])
def test_what_does_not_fit_is_malformed(area: bytes) -> None:
    with pytest.raises(MalformedError):
        tcp_options.parse(area)


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="names sack, which is not given"):
        tcp_options.build(Options(layout=("sack",)))
    with pytest.raises(ValueError, match="44 bytes of options"):
        tcp_options.build(Options(layout=("nop",) * 41))


@pytest.mark.parametrize("word", ["nap", "253", "253:1", "1:4", "256:4", "253:41", ":", ""])
def test_words_that_no_layout_has(word: str) -> None:
    with pytest.raises(ValueError, match="KIND:LENGTH"):
        tcp_options.check_word(word)


@pytest.mark.parametrize("word", ["nop", "end", "sack", "window_scale", "253:2", "30:40"])
def test_words_of_layouts(word: str) -> None:
    tcp_options.check_word(word)
