# SPDX-License-Identifier: Apache-2.0
"""docs/scenarios.md says every step, abbreviation and field, with the defaults that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from controller.scenario.abbreviations import ABBREVIATIONS, Abbreviation
from controller.scenario.model import load_scenario
from controller.scenario.steps import STEPS, Step

TEXT = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
ROWS = {row[1]: row[0] for row in re.finditer(r"^\| `(\w+)` \|([^|]*)\|.*$", TEXT, re.MULTILINE)}
ITEMS: dict[str, type[Step] | type[Abbreviation]] = {**STEPS, **ABBREVIATIONS}


def test_all_steps_and_no_others() -> None:
    assert set(ROWS) == set(ITEMS)


@pytest.mark.parametrize("keyword", sorted(set(ITEMS) - {"let"}))
def test_fields(keyword: str) -> None:
    cell = ROWS[keyword].split("|")[2]
    step = ITEMS[keyword]
    assert set(re.findall(r"`(\w+)`", cell)) == set(step.model_fields)
    marked = re.findall(r"`(\w+)` ★", cell)
    shorthand = getattr(step, "shorthand", None)
    assert marked == ([shorthand] if shorthand else [])
    defaults = dict(re.findall(r"`(\w+)` (?:★ )?\(([\w./]+)", cell))
    assert {name: str(step.model_fields[name].default).removesuffix(".0") for name in defaults} == defaults


def test_the_example_is_right(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    path = tmp_path / "example.yaml"
    path.write_text(example[1])
    assert len(load_scenario(path).steps) == len(yaml.safe_load(example[1])["steps"])
