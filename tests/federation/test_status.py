# SPDX-License-Identifier: Apache-2.0
"""What a member tells of itself and the others: the API, its metrics, `syncline status`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from controller import commands
from tests.controller.rig import client_of, until
from tests.federation.federation import Federation


def _status(path: Path) -> str:
    app = typer.Typer()
    commands.register(app)
    result = CliRunner().invoke(app, ["status", "--api", f"unix:{path}"])
    assert result.exit_code == 0
    return result.output


async def test_a_member_and_one_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async with Federation(tmp_path) as federation:
        await federation.start("a", "b")
        await federation.ready()
        await federation.open_session()
        hub = federation.hubs["a"]
        await until(lambda: hub.links["b"].sessions == 1)  # as b's lease says
        async with client_of(hub, path) as get:
            document = json.loads((await get("/api/status"))[1])
            assert document["ready"]
            assert document["federation"]["members"] == ["a", "b"]
            assert [(s["name"], s["state"], s["sessions"]) for s in document["switches"]] == [
                ("a", "in-service", 1),
                ("b", "in-service", 1),
            ]
            assert "federation syncline: member a of a, b" in await asyncio.to_thread(_status, path)
            assert "syncline_federation_member 1.0" in (await get("/metrics"))[1]
            await federation.cut_off("a")
            await until(lambda: hub.membership.reason)
            document = json.loads((await get("/api/status"))[1])
            assert not document["ready"]
            assert document["federation"]["is_member"] is False
            assert [s["state"] for s in document["switches"]] == ["in-service", "down"]
            assert "federation syncline: a is not a member: " in await asyncio.to_thread(_status, path)
            assert "syncline_federation_member 0.0" in (await get("/metrics"))[1]
