# SPDX-License-Identifier: Apache-2.0
"""docs/acceptance.md names every scenario, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "acceptance.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in TEXT.splitlines()
    if line[:1] == "|"
]
NAMED = [name for row in ROWS for cell in row for name in re.findall(r"`([\w-]+\.yaml)`", cell)]


def test_every_scenario_is_named_once_and_exists() -> None:
    assert sorted(NAMED) == sorted(path.name for path in (ROOT / "tests" / "scenarios").glob("*.yaml"))


def test_every_hard_case_has_scenarios_that_assert_something() -> None:
    cases = [row for row in ROWS if len(row) == 3 and row[1].startswith("`")]
    numbers = [int(row[0].split()[0]) for row in cases if row[0]]
    assert numbers == list(range(1, 13))
    assert all(len(row[2]) > 20 for row in cases)
