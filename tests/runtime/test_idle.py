# SPDX-License-Identifier: Apache-2.0
"""Idle timeouts: told once per period, not while packets hit, and the entry stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from softswitch.engine import DELETE, EVENT_IDLE, INSERT, MODIFY, parse_records
from tests.codegen.harness import OK, Switch
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program, word

INGRESS = """action tag(bit<8> t) { h.word.tag = t; }
  table t { key = { h.word.value: exact; } actions = { tag; NoAction; } support_timeout = true; size =
  100000; }
  apply { std.egress_spec = 1; t.apply(); }"""


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=INGRESS, deparser=EMIT), tmp_path) as made:
        yield made


def idle_keys(switch: Switch, seconds: float) -> list[int]:
    """Keys of the entries reported as idle within a time."""
    found: list[int] = []
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for event in switch.events(max(1, int(left * 1000))):
            assert event.kind == EVENT_IDLE
            [record] = parse_records(event.payload)
            assert record.since_last_hit_ns >= record.idle_timeout_ns
            found.append(int.from_bytes(record.key, "big"))
    return found


def test_idle_entries_are_told_again_and_again_and_stay(switch: Switch) -> None:
    assert switch.write(INSERT, "t", [1], "tag", 9, idle_ms=400) == OK
    assert switch.write(INSERT, "t", [2], "tag", 9) == OK
    found = idle_keys(switch, 1.9)
    assert set(found) == {1}
    assert 2 <= len(found) <= 4
    assert switch.one(0, word(1))[1] == word(1, 9)


def test_hits_keep_an_entry_awake(switch: Switch) -> None:
    for key in (1, 2):
        assert switch.write(INSERT, "t", [key], "tag", 9, idle_ms=500) == OK
    found: list[int] = []
    for _ in range(10):
        switch.send(0, word(1))
        found += idle_keys(switch, 0.1)
    assert set(found) == {2}
    assert 1 in idle_keys(switch, 1.0)


def test_modify_restarts_the_timer_and_delete_ends_it(switch: Switch) -> None:
    assert switch.write(INSERT, "t", [1], "tag", 9, idle_ms=600) == OK
    assert idle_keys(switch, 0.4) == []
    assert switch.write(MODIFY, "t", [1], "tag", 8, idle_ms=600) == OK
    assert idle_keys(switch, 0.4) == []
    assert switch.write(DELETE, "t", [1], None) == OK
    assert idle_keys(switch, 0.8) == []


def test_more_idle_entries_than_the_queue_holds(switch: Switch) -> None:
    """Nobody is forgotten: what does not fit is told in a later sweep."""
    for key in range(20000):
        assert switch.write(INSERT, "t", [key], "tag", 9, idle_ms=60_000) == OK
    for key in range(20000):
        assert switch.write(MODIFY, "t", [key], "tag", 9, idle_ms=1) == OK
    found: set[int] = set()
    deadline = time.monotonic() + 10
    while len(found) < 20000 and time.monotonic() < deadline:
        found.update(idle_keys(switch, 0.3))
    assert len(found) == 20000
    assert switch.engine.stats().idle_dropped == 0
