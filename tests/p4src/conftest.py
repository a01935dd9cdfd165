# SPDX-License-Identifier: Apache-2.0
"""Switches under test. Every test runs against our software switch, and against BMv2 where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bmv2_target import Bmv2Target
from .network import V4, Network, Wire
from .softswitch_target import SoftswitchTarget
from .target import Target

PROGRAM = Path(__file__).parents[2] / "p4src" / "v1model" / "syncline.p4"

TARGETS = [
    pytest.param("softswitch"),
    pytest.param("bmv2", marks=[pytest.mark.bmv2, pytest.mark.p4c, pytest.mark.root]),
]


@pytest.fixture(scope="session", params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A switch that runs the program, shared by the tests that come one after another."""
    made: Target
    if request.param == "bmv2":
        made = Bmv2Target(PROGRAM, tmp_path_factory.mktemp("bmv2"), ports=2)
    else:
        made = SoftswitchTarget(PROGRAM)
    yield made
    made.close()


@pytest.fixture
def wire(request: pytest.FixtureRequest) -> Wire:
    """What carries the segments: plain IPv4 if the test does not say otherwise."""
    return getattr(request, "param", V4)


@pytest.fixture
def net(target: Target, wire: Wire) -> Iterator[Network]:
    """The small network, freshly set up."""
    network = Network(target, wire)
    network.install()
    yield network
    target.reset()
