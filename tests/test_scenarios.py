# SPDX-License-Identifier: Apache-2.0
"""Every file of tests/scenarios is a test: topology, steps, expectations, on real traffic.

$SYNCLINE_TARGET chooses the switch: softswitch (default) or bmv2. A file for several topologies and versions
of IP is run with each of them; with all their combinations only if $SYNCLINE_ALL_VARIANTS is 1.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from controller.lab.targets import TARGETS, Target
from controller.scenario.model import Scenario, load_scenarios
from controller.scenario.runner import run_scenario

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
TARGET = os.environ.get("SYNCLINE_TARGET", "softswitch")
ALL_VARIANTS = os.environ.get("SYNCLINE_ALL_VARIANTS") == "1"
SCENARIOS = [scenario for file in FILES for scenario in load_scenarios(file, bmv2=TARGET == "bmv2")]


def test_there_are_scenarios() -> None:
    assert len(FILES) >= 5
    assert TARGET in TARGETS, f"SYNCLINE_TARGET={TARGET}: one of {', '.join(TARGETS)} is wanted"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_say_what_they_show(path: Path) -> None:
    assert all(scenario.description for scenario in SCENARIOS if scenario.path == path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_for_a_federation_too_or_say_why_not(path: Path) -> None:
    for scenario in load_scenarios(path, federated=True):
        assert scenario.topology.controller.federation is not None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: scenarios run in network namespaces")
@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if ALL_VARIANTS or not scenario.extra],
    ids=lambda scenario: scenario.label,
)
def test_scenario(scenario: Scenario) -> None:
    if absent := scenario.missing_programs():
        pytest.skip(f"not on this machine: {', '.join(absent)} (scripts/programs gets them from Debian)")
    if TARGET == "bmv2" and scenario.not_bmv2 is not None:
        pytest.skip(scenario.not_bmv2)
    outcomes = run_scenario(scenario, cast(Target, TARGET), name=f"scenario-{os.getpid()}")
    story = "\n".join(str(outcome) for outcome in outcomes)
    assert outcomes[-1].ok, f"{scenario.name}\n{story}"
    assert len(outcomes) == len(scenario.steps)
