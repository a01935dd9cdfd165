# SPDX-License-Identifier: Apache-2.0
"""The API of a controller that runs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from controller.api.server import ApiError, ApiServer
from controller.config import ApiConfig
from controller.hub import ControllerHub

from .fake_switch import FakeSwitch
from .rig import client_of, open_session, ready, running
from .world import CPORT


async def test_the_api_tells_everything_but_keys(
    switches: list[FakeSwitch], config: Any, tmp_path: Path
) -> None:
    a, b = switches
    path = tmp_path / "api.sock"
    async with running(config()) as hub, client_of(hub, path) as get:
        await ready(hub)
        await open_session(a, b)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        code, text = await get("/api/status")
        status = json.loads(text)
        assert code == 200
        assert status["ready"] is True
        assert status["sessions"] == {"open": 1, "closing": 0}
        assert status["switches"][0] == {
            "name": "a",
            "address": a.address,
            "device_id": 1,
            "state": "in-service",
            "reason": "",
            "sessions": 1,
        }
        assert status["services"][0]["sessions"] == 1
        assert status["drops"]["a"] == {"MALFORMED_IP": 10, "MALFORMED_TCP": 20, "FRAGMENT": 30}
        _, sessions = await get("/api/sessions?limit=5")
        [session] = json.loads(sessions)["sessions"]
        assert (session["client"], session["client_port"], session["phase"]) == (
            "198.51.100.1",
            CPORT,
            "OPEN",
        )
        timeline = session["timeline"]
        assert max(timeline["confirmed"].values()) <= timeline["released"]
        assert set(timeline["confirmed"]) == {"a", "b"}
        _, metrics = await get("/metrics")
        assert 'syncline_sessions{phase="open"} 1.0' in metrics
        assert "syncline_share_seconds_count 1.0" in metrics
        assert 'syncline_setup_seconds_bucket{le="+Inf"} 1.0' in metrics
        assert 'syncline_packet_outs_dropped_total{switch="a"} 0.0' in metrics
        assert 'syncline_switch_drops_total{reason="FRAGMENT",switch="b"} 30.0' in metrics
        for key in hub.keys.held().keys.values():
            for word in (key.k0, key.k1):
                for shown in (str(word), f"{word:x}", f"{float(word)}"):
                    assert shown not in text + sessions + metrics


async def test_unknown_paths_and_bad_limits(config: Any, tmp_path: Path) -> None:
    hub = ControllerHub(config())
    async with client_of(hub, tmp_path / "api.sock") as get:
        assert await get("/api/keys") == (404, '{"error": "no such path: /api/keys"}')
        code, text = await get("/api/sessions?limit=x")
        assert code == 400
        assert "limit: 'x'" in json.loads(text)["error"]


async def test_a_socket_in_use_and_one_left_behind(config: Any, tmp_path: Path) -> None:
    hub = ControllerHub(config())
    path = tmp_path / "api.sock"
    async with client_of(hub, path):
        with pytest.raises(ApiError, match=f"api.listen: unix:{path}: already in use"):
            await ApiServer(hub).start(ApiConfig(listen=f"unix:{path}"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with client_of(hub, path) as get:
        assert (await get("/api/status"))[0] == 200


async def test_a_port_in_use(config: Any) -> None:
    hub = ControllerHub(config())
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ApiError, match="already in use"):
        await ApiServer(hub).start(ApiConfig(listen=f"127.0.0.1:{port}"))
    server.close()
