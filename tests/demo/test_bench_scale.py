# SPDX-License-Identifier: Apache-2.0
"""The bench of many sessions and many PoPs: its networks, its table, its plots, memory by handshake, and a
small run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from controller.bench import scale
from controller.bench.plots import can_draw, draw, merged
from controller.bench.session_memory import bytes_per_session
from controller.bench.star import star
from controller.lab.plan import make_plan, switch_configs


def row(sessions: int, switches: int) -> dict[str, Any]:
    set_up = {
        "failed": 0,
        "per_s": 500.0,
        "share_ms": {"50": 10.0, "99": 40.0, "100": 50.0},
        "cpu_us": {"controller": 800},
    }
    resync = {"s": 20.0, "controller_cpu_s": 5.0, "switch_cpu_s": 9.0, "slowest_answer_s": 0.1}
    return {
        "sessions": sessions,
        "switches": switches,
        "bytes_per_session": 550,
        "peak_bytes_per_session": 700,
        "take_over": {"s": 30.0},
        "set_up": set_up,
        "paced": {**set_up, "share_ms": {}},
        "resync": resync,
    }


@pytest.mark.parametrize("pops", [1, 2, 8])
def test_a_star_has_a_way_in_and_a_way_back(pops: int) -> None:
    plan = make_plan(star(pops), "bench-scale")
    assert len(plan.switches) == pops
    configs = switch_configs(plan, dict.fromkeys(plan.switches, "unix:/x"))
    assert all({str(r.prefix) for r in c.routes} >= {"0.0.0.0/0", "203.0.113.0/24"} for c in configs)


def test_a_column_for_each_network() -> None:
    shown = scale.table("title", {"rows": [row(1000, 3), row(2000, 3)]})
    assert [str(column.header) for column in shown.columns][1:] == [
        "1,000 sessions\n3 switches",
        "2,000 sessions\n3 switches",
    ]
    values = list(shown.columns[1].cells)
    assert "10 / 40" in values
    assert "-" in values  # no connections meanwhile


def test_runs_are_merged_the_last_one_counts() -> None:
    newer = {**row(1000, 3), "bytes_per_session": 1}
    found = merged([{"scale": {"rows": [row(1000, 3), row(2000, 3)]}}, {"scale": {"rows": [newer]}}])
    assert [r["bytes_per_session"] for r in found["scale"]["rows"]] == [1, 550]
    assert "pops" not in found


@pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed")
def test_plots_are_the_same_every_time_and_have_their_words_as_text(tmp_path: Path) -> None:
    document = {
        "scale": {"rows": [row(1000, 3), row(100_000, 3)]},
        "pops": {"rows": [row(1000, 2), row(1000, 8)]},
    }
    first = draw(document, tmp_path / "1")
    again = draw(document, tmp_path / "2")
    assert [path.name for path in first] == ["scale.svg", "pops.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    words = "".join(ElementTree.fromstring(first[0].read_text()).itertext())
    assert "Controller: bytes a session" in words
    assert "100,000" in words


def test_a_session_takes_less_than_a_kibibyte() -> None:
    assert 200 < bytes_per_session(20_000) < 1024


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root (network namespaces)")
def test_a_small_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNCLINE_BUILD", str(tmp_path))
    monkeypatch.setattr(scale, "_NAME", "bench-small")
    monkeypatch.setattr(scale, "_CONNECTIONS", 50)
    monkeypatch.setattr(scale, "_PACED", 20)
    figures = scale.measure(3000, 3, lambda _: None)
    assert figures["set_up"]["failed"] == figures["paced"]["failed"] == 0
    assert figures["set_up"]["connections"] == 50
    assert 0 < figures["set_up"]["share_ms"]["50"] < 5000
    assert 0 < figures["resync"]["s"] < 60
    assert figures["resync"]["meanwhile"]["connections"] > 0
