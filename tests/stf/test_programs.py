# SPDX-License-Identifier: Apache-2.0
"""The STF tests of this folder: small programs, each about one feature of the language or of v1model."""

from __future__ import annotations

from pathlib import Path

import pytest

from softswitch.stf.suite import Case, Verdict, collect, run_case

FOLDER = Path(__file__).parent
CASES = collect([FOLDER])[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.script.stem)
def test_program(case: Case) -> None:
    """What leaves the switch is what the test expects."""
    result = run_case(case)
    assert result.verdict is Verdict.PASSED, "\n".join(result.details)


def test_enough_features() -> None:
    """A folder read wrongly would pass without running anything."""
    assert len(CASES) >= 25
