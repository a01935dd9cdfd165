# SPDX-License-Identifier: Apache-2.0
"""Queues between data plane and control plane: bounded, counted, in order; and several switches in one
process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from softswitch.engine import EngineError
from tests.codegen.harness import Switch, compile_source
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program, word

TO_CPU = program(
    ONE_HEADER, parser=EXTRACT, ingress="apply { std.egress_spec = (bit<9>)std.ingress_port; }", deparser=EMIT
)


def test_packet_ins_come_in_order_and_the_queue_is_bounded(tmp_path: Path) -> None:
    with Switch.of(TO_CPU, tmp_path) as switch:
        for i in range(1000):
            switch.send(510, word(i))
        seen: list[int] = []
        while events := switch.events():
            seen += [int.from_bytes(e.payload[:4], "big") for e in events]
        assert seen == list(range(1000))
        for _ in range(700):
            switch.send(510, word(7) + bytes(9000))
        count = 0
        while events := switch.events():
            count += len(events)
        stats = switch.engine.stats()
        assert count + stats.packet_in_dropped == 700
        assert stats.packet_in_dropped > 100
        assert stats.processed == 1700


def test_stop_ends_a_wait(tmp_path: Path) -> None:
    with Switch.of(TO_CPU, tmp_path) as switch:
        timer = threading.Timer(0.1, switch.engine.stop)
        timer.start()
        start = time.monotonic()
        assert switch.events(5000) == []
        assert time.monotonic() - start < 3
        timer.join()


def test_a_waiting_consumer_gets_events_at_once(tmp_path: Path) -> None:
    with Switch.of(TO_CPU, tmp_path) as switch:
        timer = threading.Timer(0.1, lambda: switch.engine.process(510, word(3)))
        timer.start()
        [event] = switch.events(5000)
        assert event.payload == word(3)
        timer.join()


def test_switches_of_one_program_are_apart(tmp_path: Path) -> None:
    compiled = compile_source(TO_CPU, tmp_path)
    with Switch(compiled) as one, Switch(compiled, cpu_port=3) as other:
        one.engine.process(510, word(1))
        other.engine.process(3, word(2))
        assert other.send(510, word(5)) == [(510, word(5))]
        assert [e.payload for e in one.events()] == [word(1)]
        assert [e.payload for e in other.events()] == [word(2)]


def test_too_long_frames_are_refused(tmp_path: Path) -> None:
    with Switch.of(TO_CPU, tmp_path) as switch:
        assert switch.engine.process(1, bytes(16384)) == 0
        assert len(switch.engine.take_output()[0][1]) == 16384
        assert switch.engine.process(1, bytes(16385)) == -3
        assert switch.engine.packet_out(bytes(16385)) == -3
        assert switch.engine.process(512, bytes(60)) == -3


def test_a_closed_switch_refuses(tmp_path: Path) -> None:
    switch = Switch.of(TO_CPU, tmp_path)
    engine = switch.engine
    engine.close()
    engine.close()
    for call in (
        engine.stats,
        engine.events_fd,
        lambda: engine.process(1, bytes(60)),
        lambda: engine.write(1, 2, b""),
    ):
        with pytest.raises(EngineError, match="closed"):
            call()
