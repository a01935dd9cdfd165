# SPDX-License-Identifier: Apache-2.0
"""The controller beside two P4Runtime servers a and b: what tests of the whole have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from controller.api.server import ApiServer
from controller.config import ApiConfig, ControllerConfig
from controller.dataplane import PuntHeader
from controller.hub import ControllerHub

from .fake_switch import FakeSwitch
from .world import World, X

HEADER = PuntHeader(1, 1, 0, X, 1460, 7, 1)
ANSWER = PuntHeader(2, 2, 0, 0, 0, 0, 0)
WORLD = World()  # for its frames


@asynccontextmanager
async def running(config: ControllerConfig) -> AsyncIterator[ControllerHub]:
    hub = ControllerHub(config)
    task = asyncio.ensure_future(hub.run())
    try:
        yield hub
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def serving(config: ControllerConfig) -> AsyncIterator[ControllerHub]:
    """The same, when all switches are in service."""
    async with running(config) as hub:
        await ready(hub)
        yield hub


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for the condition."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def ready(hub: ControllerHub) -> None:
    await until(lambda: all(link.in_service for link in hub.links.values()))


async def stop(hub: ControllerHub, switch: FakeSwitch) -> None:
    """The switch is gone, and the controller knows it."""
    await switch.stop()
    [link] = [link for link in hub.own.values() if link.config.address == switch.address]
    await until(lambda: link.life.state == "down")


async def restart_empty(hub: ControllerHub, switch: FakeSwitch) -> None:
    """The switch goes, and comes back with nothing; all are in service again."""
    await stop(hub, switch)
    switch.lose_state()
    await switch.start()
    await ready(hub)


async def open_session(a: FakeSwitch, b: FakeSwitch) -> None:
    a.packets_out.clear()
    a.punt(HEADER, WORLD.client_frame())
    await until(lambda: a.packets_out)
    b.punt(ANSWER, WORLD.server_frame())
    await until(lambda: len(a.packets_out) == 2)


@asynccontextmanager
async def with_session(config: ControllerConfig, switches: list[FakeSwitch]) -> AsyncIterator[ControllerHub]:
    """All switches are in service, and hold a session that came in by the first and back by the second."""
    async with serving(config) as hub:
        await open_session(*switches)
        yield hub


@asynccontextmanager
async def fakes(folder: Path, names: str) -> AsyncIterator[list[FakeSwitch]]:
    """Switches that listen at NAME.sock in the folder."""
    switches = [FakeSwitch(str(folder / f"{name}.sock")) for name in names]
    for switch in switches:
        await switch.start()
    yield switches
    for switch in switches:
        await switch.stop()


@asynccontextmanager
async def client_of(
    hub: ControllerHub, path: Path
) -> AsyncIterator[Callable[[str], Awaitable[tuple[int, str]]]]:
    server = ApiServer(hub)
    await server.start(ApiConfig(listen=f"unix:{path}"))
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def get(url: str) -> tuple[int, str]:
            async with session.get(f"http://localhost{url}") as response:
                return response.status, await response.text()

        yield get
    await server.stop()
