# SPDX-License-Identifier: Apache-2.0
"""What can be read, and what is said of what cannot."""

from __future__ import annotations

import json

import pytest
from cryptography.fernet import Fernet

from controller.dataplane import Mode
from controller.federation.keys import KeyBox, KeysUnreadableError, follow, record_of
from controller.federation.messages import (
    PROTOCOL,
    CorruptMessageError,
    KeyRecord,
    OtherProtocolError,
    Outs,
    Record,
    decode,
    store_key,
)
from controller.logic.keys import KeyRing
from controller.logic.model import PacketOut

KEY = (0x20010DB8_00510000_00000000_00000010, 0x20010DB8_02030000_00000000_00000010, 40000, 80)
RECORD = Record(
    by="a", run="1", n=3, key=KEY, version=7, entry=(1, 2, 3, 4, 0, 7, 8, 9, 10**11), service="web"
)


def test_a_record_comes_back_as_it_was() -> None:
    back = decode(Record, RECORD.encoded())
    assert back == RECORD
    entry = back.table_entry()
    assert entry is not None
    assert entry.version == 7
    assert entry.idle_ns == 10**11


def test_frames_come_back_byte_by_byte() -> None:
    frame = bytes(range(256))
    outs = Outs.of("a", "1", "b", [PacketOut("b", Mode.ARRIVE, 2, frame, 5)])
    assert decode(Outs, outs.encoded()).packets == [(Mode.ARRIVE, 2, 5, frame)]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no Record"),
        (RECORD.encoded()[:-1], "not JSON"),
        (RECORD.encoded().replace(b'"version":7', b'"version":4294967296'), "version: "),
        (RECORD.encoded().replace(b'"n":3', b'"n":3,"more":1'), "more: "),
        (RECORD.encoded().replace(b",40000,80]", b",40000]"), "key.3: "),
    ],
)
def test_what_is_corrupt_is_told_in_one_line(data: bytes, text: str) -> None:
    with pytest.raises(CorruptMessageError, match=text) as error:
        decode(Record, data)
    assert "\n" not in str(error.value)


def test_another_protocol_is_told_as_such() -> None:
    data = json.dumps({**json.loads(RECORD.encoded()), "v": PROTOCOL + 1, "what": "is new"}).encode()
    with pytest.raises(OtherProtocolError, match=r"'a' speaks protocol version 3, this controller 2"):
        decode(Record, data)


def test_keys_of_the_store_differ_and_can_be_subjects() -> None:
    keys = {store_key((1, 2, 34, 5)), store_key((1, 2, 3, 45)), store_key((1, 23, 4, 5)), store_key(KEY)}
    assert len(keys) == 4
    assert all(set(key) <= set("0123456789abcdefs.") for key in keys)


def test_keys_travel_encrypted() -> None:
    numbers = iter([(0x11111111, 0x22222222), (0x33333333, 0x44444444)])
    ring = KeyRing(60.0, lambda: next(numbers))
    ring.begin(100.0, [])
    box = KeyBox(Fernet.generate_key())
    record = record_of(ring, "a", "1", 110.0, 1_000_110.0)
    locked = box.lock(record)
    assert str(0x11111111).encode() not in locked
    other = KeyRing(60.0, lambda: (0, 0))
    opened = box.open(locked)
    assert follow(other, opened, 5.0, 1_000_115.0)
    assert other.held() == ring.held()
    assert other.began == 5.0 - 15.0
    assert not follow(other, opened, 6.0, 1_000_116.0)
    with pytest.raises(KeysUnreadableError, match=r"federation\.secret"):
        KeyBox(Fernet.generate_key()).open(locked)
    with pytest.raises(KeysUnreadableError):
        box.open(b"garbage")


def test_keys_are_in_no_repr() -> None:
    assert "1234567" not in repr(KeyRecord(by="a", run="1", epoch=1, keys=[(1234567, 1234567, 1)], began=0.0))
