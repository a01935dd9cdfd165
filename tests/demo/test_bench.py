# SPDX-License-Identifier: Apache-2.0
"""What the bench makes of its samples."""

from __future__ import annotations

from controller.bench.measure import Sample, summary


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
