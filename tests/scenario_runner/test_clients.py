# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
from itertools import pairwise

import pytest

from controller.scenario import clients


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Sink(socket.socket):
    """Notes what is sent, and when."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.sent: list[tuple[float, bytes]] = []

    def sendall(self, data: bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        self.sent.append((self.clock.now - 100.0, data))


def spread(
    monkeypatch: pytest.MonkeyPatch, total: int, over_s: float, pause_s: float = 0.0
) -> list[tuple[float, bytes]]:
    clock = Clock()
    monkeypatch.setattr(clients, "time", clock)
    with Sink(clock) as sink:
        clients.send_spread(sink, total, over_s, pause_s=pause_s)
    assert b"".join(data for _, data in sink.sent) == b"".join(clients.chunks(total))
    return sink.sent


@pytest.mark.parametrize(("total", "over_s"), [(256 << 10, 10.0), (4 << 20, 6.0), (100, 0.1), (300_001, 0.5)])
def test_what_is_spread_comes_without_burst_or_silence(
    monkeypatch: pytest.MonkeyPatch, total: int, over_s: float
) -> None:
    sent = spread(monkeypatch, total, over_s)
    assert max(len(data) for _, data in sent) <= total * 0.05 / over_s + 1
    times = [*(at for at, _ in sent), over_s]
    assert times[0] == 0
    assert max(later - earlier for earlier, later in pairwise(times)) <= 0.06


def test_a_large_amount_goes_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = spread(monkeypatch, 16 << 20, 6.0)
    assert {len(data) for _, data in sent} == {1 << 16}


def test_without_a_time_all_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [at for at, _ in spread(monkeypatch, 200_000, 0.0)] == [0.0] * 4


def test_a_pause_is_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = spread(monkeypatch, 200_000, 0.0, pause_s=30.0)
    before = sum(len(data) for at, data in sent if at == 0)
    assert {at for at, _ in sent} == {0.0, 30.0}
    assert 65_536 <= before <= 131_072


class Asked(threading.Event):
    """Set once the clock has come so far."""

    def __init__(self, clock: Clock, at: float) -> None:
        super().__init__()
        self.clock, self.at = clock, at

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.sleep(timeout or 0.0)
        return self.clock.now >= self.at


@pytest.mark.parametrize(("asked", "wanted"), [(110.0, 1_000_000), (101.0, 200_000)])
def test_what_lasts_goes_on_at_its_pace_until_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: float, wanted: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(clients, "time", clock)
    with Sink(clock) as sink:
        done = clients.send_spread(sink, 200_000, 2.0, until=Asked(clock, asked))
    data = b"".join(data for _, data in sink.sent)
    assert data == b"".join(clients.chunks(done, 200_000))
    assert wanted <= done < wanted + 10_000
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(sink.sent)) <= 0.06


def test_nothing_is_spread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spread(monkeypatch, 0, 1.0) == []
