# SPDX-License-Identifier: Apache-2.0
"""Two switches, and a controller's configuration for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from controller.config import ControllerConfig

from .fake_switch import FakeSwitch, make_p4info
from .rig import fakes
from .world import SPORT


@pytest.fixture
async def switches(tmp_path: Path) -> AsyncIterator[list[FakeSwitch]]:
    async with fakes(tmp_path, "ab") as found:
        yield found


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., ControllerConfig]:
    (tmp_path / "p4info.txtpb").write_text(text_format.MessageToString(make_p4info()))
    (tmp_path / "program").write_bytes(b"program")

    def make(**parts: Any) -> ControllerConfig:
        port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
        route = {"prefix": "0.0.0.0/0", "port": 1, "via": "198.18.1.2"}
        return ControllerConfig.model_validate(
            {
                "program": {"p4info": tmp_path / "p4info.txtpb", "device_config": tmp_path / "program"},
                "switches": [
                    {
                        "name": name,
                        "address": f"unix:{tmp_path}/{name}.sock",
                        "ports": [port],
                        "routes": [route],
                        "neighbours": [{"address": "198.18.1.2", "mac": "02:00:00:00:00:02"}],
                    }
                    for name in "ab"
                ],
                "services": [{"name": "web", "address": "203.0.113.10", "port": SPORT, "syn_rate": 5000}],
                "timers": {"reconnect_min": 0.02, "reconnect_max": 0.05, "barrier": 1.0},
                **parts,
            }
        )

    return make
