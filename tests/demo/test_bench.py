# SPDX-License-Identifier: Apache-2.0
"""What the bench makes of its samples."""

from __future__ import annotations

from controller.bench.measure import Sample, summary
from controller.bench.pipeline import Pipeline, session_frames, syn_frames
from softswitch.engine import parse_records


def test_medians_and_ratios() -> None:
    figures = summary(
        {
            "switch": [Sample(1000, 400, 2.0), Sample(1000, 1000, 2.0), Sample(1000, 600, 2.0)],
            "kernel": [Sample(1200, 1200, 2.0)],
        }
    )
    assert figures["switch"] == {
        "offered_per_s": 500,
        "absorbed_per_s": 300,
        "lowest_per_s": 200,
        "highest_per_s": 500,
        "ratio_to": {"kernel": 0.5},
    }
    assert figures["kernel"]["ratio_to"] == {"switch": 2.0}


def test_a_way_that_absorbs_nothing_is_no_measure_for_others() -> None:
    figures = summary({"switch": [Sample(10, 10, 1.0)], "broken": [Sample(10, 0, 1.0)]})
    assert figures["switch"]["ratio_to"] == {}
    assert figures["broken"]["ratio_to"] == {"switch": 0.0}


def test_the_pipeline_from_memory() -> None:
    """Every SYN is answered and every session packet translated, by one thread and by two, and counted; and
    the time is found in files of the program."""
    few = Pipeline(20000)
    for frames in (syn_frames(1), session_frames(2, few.count)):
        for threads in (1, 2):
            results = few.run(frames, 1 << 16, threads)
            assert [(r.packets, r.outputs) for r in results] == [(1 << 16, 1 << 16)] * threads
        stages = few.stages(frames, 1 << 17)
        assert "parser.p4" in stages or "tcp_options.p4" in stages
        assert stages["runtime/table_exact.c"] > 0
    sessions = few.program.engine.read_table(few.program.table("sessions_v4").preamble.id)
    hits = sum(record.packets for block in sessions for record in parse_records(block))
    assert hits == 3 * (1 << 16) + (1 << 17)
