# SPDX-License-Identifier: Apache-2.0
"""HalfSipHash-2-4 against published values, in the reference and through the switch.

The values are `vectors_hsip32` of the reference implementation (github.com/veorq/SipHash, vectors.h):
key 00 01 … 07, message 00 01 … of the given length, 4 bytes of output.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bmv2_target import Bmv2Target
from .conftest import TARGETS
from .reference import halfsiphash
from .softswitch_target import SoftswitchTarget
from .target import Target

PROGRAM = Path(__file__).parent / "programs" / "halfsiphash.p4"
KEY = bytes(range(8))
WORD_VECTORS = {
    0: "a9359f5b",
    4: "2a6e4689",
    8: "d0b8848f",
    12: "57f0872f",
    16: "d9b5ac84",
    20: "e34d1045",
    24: "27400c63",
    28: "b0644000",
    32: "fee72112",
}
OTHER_VECTORS = {1: "27475ab8", 2: "fa62a603", 3: "8afee704", 5: "c5fab669", 36: "e75cc6ec", 63: "59ea4a74"}


@pytest.fixture(scope="module", params=TARGETS)
def hasher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A switch that runs the hash alone."""
    made: Target
    if request.param == "bmv2":
        made = Bmv2Target(PROGRAM, tmp_path_factory.mktemp("bmv2-hash"), ports=1)
    else:
        made = SoftswitchTarget(PROGRAM)
    yield made
    made.close()


def ask(switch: Target, key: bytes, message: bytes) -> bytes:
    """The hash of a message of whole words, as the switch computes it."""
    words = struct.unpack(f"<{len(message) // 4}I", message)
    padded = words + (0xA5A5A5A5,) * (8 - len(words))
    question = struct.pack(">IIB8II", *struct.unpack("<II", key), len(words), *padded, 0) + b"payload"
    ((port, frame),) = switch.send(1, question).outputs
    assert port == 1
    assert frame[:41] == question[:41]
    assert frame[45:] == b"payload"
    return frame[41:45][::-1]


@pytest.mark.parametrize(("length", "expected"), [*WORD_VECTORS.items(), *OTHER_VECTORS.items()])
def test_reference(length: int, expected: str) -> None:
    assert halfsiphash(KEY, bytes(range(length))).hex() == expected


@pytest.mark.parametrize(("length", "expected"), WORD_VECTORS.items())
def test_published_vectors_through_the_switch(hasher: Target, length: int, expected: str) -> None:
    assert ask(hasher, KEY, bytes(range(length))).hex() == expected


def test_random_keys_and_messages(hasher: Target) -> None:
    source = random.Random(20)
    for _ in range(30):
        key, message = source.randbytes(8), source.randbytes(4 * source.randrange(9))
        assert ask(hasher, key, message) == halfsiphash(key, message)
