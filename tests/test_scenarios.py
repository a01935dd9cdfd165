# SPDX-License-Identifier: Apache-2.0
"""Every file of tests/scenarios is a test: topology, steps, expectations, on real traffic.

$SYNCLINE_TARGET chooses the switch: softswitch (default) or bmv2.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import cast

import pytest

from controller.lab.targets import TARGETS, Target
from controller.scenario.model import load_scenario
from controller.scenario.runner import run_scenario

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
TARGET = os.environ.get("SYNCLINE_TARGET", "softswitch")


def test_there_are_scenarios() -> None:
    assert len(FILES) >= 5
    assert TARGET in TARGETS, f"SYNCLINE_TARGET={TARGET}: one of {', '.join(TARGETS)} is wanted"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_right(path: Path) -> None:
    assert load_scenario(path).description


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: scenarios run in network namespaces")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    scenario = load_scenario(path)
    for command in {command for step in scenario.steps for command in step.needs}:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed on this machine")
    outcomes = run_scenario(scenario, cast(Target, TARGET), name=f"scenario-{os.getpid()}")
    story = "\n".join(str(outcome) for outcome in outcomes)
    assert outcomes[-1].ok, f"{scenario.name}\n{story}"
    assert len(outcomes) == len(scenario.steps)
