# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md: its configuration is right and shows every key; its names are the switches' names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from controller.config import LimitsConfig, RouteConfig, ServiceConfig, TimersConfig, load_config
from controller.dataplane import DROP_REASONS, EVENTS
from controller.lab.certificates import CLIENT, Authority

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def example() -> str:
    found = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_configuration_is_right(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    program = tmp_path / "p4src" / "v1model" / "syncline.p4"
    program.parent.mkdir(parents=True)
    program.touch()
    path = tmp_path / "docs" / "edge.yaml"
    path.write_text(example())
    (path.parent / "api.token").write_text("0123456789abcdef")
    (path.parent / "api.token").chmod(0o600)
    Authority(path.parent).issue("controller", [CLIENT])
    config = load_config(path)
    assert config.program.p4 is not None
    assert config.program.p4.samefile(program)


def test_it_shows_every_key_and_the_defaults() -> None:
    document = yaml.safe_load(example())
    sections: list[tuple[dict[str, Any], type[BaseModel]]] = [
        (document["timers"], TimersConfig),
        (document["limits"], LimitsConfig),
        (document["services"][0], ServiceConfig),
        (document["switches"][0]["routes"][0], RouteConfig),
    ]
    for shown, model in sections:
        assert set(shown) == set(model.model_fields)
    assert TimersConfig(**document["timers"]) == TimersConfig()
    assert LimitsConfig(**document["limits"]) == LimitsConfig()


def test_drop_reasons_and_events_are_explained() -> None:
    rows = set(re.findall(r"`([A-Z_]+)`", TEXT))
    assert {name for name in (*DROP_REASONS, *EVENTS) if name} == rows
