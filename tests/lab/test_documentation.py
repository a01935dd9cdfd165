# SPDX-License-Identifier: Apache-2.0
"""docs/topologies.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.config_errors import ConfigError
from controller.lab.model import Topology
from controller.lab.topology import load_topology

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "topologies.md").read_text()
EXAMPLE = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]


def complaint(tmp_path: Path, text: str) -> str:
    path = tmp_path / "pair.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_topology(path)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_the_example_is_a_topology(tmp_path: Path) -> None:
    path = tmp_path / "pair.yaml"
    path.write_text(EXAMPLE)
    topology = load_topology(path)
    assert topology.name == "pair"
    assert set(topology.model_dump()) == set(Topology.model_fields)


def test_the_example_shows_every_key_of_a_topology() -> None:
    shown = set(re.findall(r"(\w+):", EXAMPLE))
    assert set(Topology.model_fields) <= shown


@pytest.mark.parametrize(
    ("place", "with_"),
    [
        ("    address: 203", "    adress: 203"),
        ("\nservices:", "  - ends: {s:3: 192.0.2.1/24, sever:eth0: 192.0.2.2/24}\n\nservices:"),
        ("\nhosts:", "name: pair\nhosts:"),
    ],
)
def test_the_mistakes_are_reported_as_shown(tmp_path: Path, place: str, with_: str) -> None:
    said = complaint(tmp_path, EXAMPLE.replace(place, with_, 1)).splitlines()[-1]
    assert f"    {said}\n" in TEXT, said
