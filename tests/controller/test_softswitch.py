# SPDX-License-Identifier: Apache-2.0
"""The controller with two software switches that run the real program; without ports, so without root.

Frames come in as packet-outs in mode ARRIVE; what the switches did is read from their tables and counters.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from controller.config import ControllerConfig
from controller.dataplane import DROP_REASONS, EVENTS, Mode, Phase
from controller.hub import ControllerHub
from controller.logic.model import PacketOut
from controller.packets import ACK, FIN, PSH, build
from tests.p4src.reference import Epoch, Flow, cookie, mss_index

from .rig import until
from .world import CLIENT, CPORT, KEY, L2, SERVER, SPORT, TP, R, World, X

PROGRAM = Path(__file__).parents[2] / "p4src" / "v1model" / "syncline.p4"
WORLD = World()  # for its frames


def send(hub: ControllerHub, switch: str, frame: bytes) -> None:
    """Let a frame arrive at a switch."""
    hub.links[switch].send_packets([PacketOut(switch, Mode.ARRIVE, 1, frame)])


class Switch:
    """A `syncline switch` process on a unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        code = "import typer; from softswitch import cli; a = typer.Typer(); cli.register(a); a()"
        command = [sys.executable, "-c", code, "switch", "--grpc-server-addr", f"unix:{self.path}"]
        self.process = subprocess.Popen(command)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def switches(tmp_path: Path) -> Any:
    pair = [Switch(tmp_path / f"{name}.sock") for name in "ab"]
    for switch in pair:
        switch.start()
    yield pair
    for switch in pair:
        switch.kill()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., ControllerConfig]:
    def make(**timers: float) -> ControllerConfig:
        port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
        return ControllerConfig.model_validate(
            {
                "program": {"p4": PROGRAM},
                "switches": [
                    {
                        "name": name,
                        "address": f"unix:{tmp_path}/{name}.sock",
                        "ports": [port],
                        "routes": [{"prefix": "0.0.0.0/0", "port": 1, "via": "198.18.1.2"}],
                        "neighbours": [{"address": "198.18.1.2", "mac": "02:00:00:00:00:02"}],
                    }
                    for name in ("a", "b")
                ],
                "services": [{"name": "web", "address": "203.0.113.10", "port": SPORT}],
                "timers": {"reconnect_min": 0.05, "reconnect_max": 0.2, **timers},
            }
        )

    return make


@asynccontextmanager
async def running(config: ControllerConfig) -> AsyncIterator[ControllerHub]:
    hub = ControllerHub(config)
    task = asyncio.ensure_future(hub.run())
    try:
        await until(lambda: task.done() or all(link.in_service for link in hub.links.values()), 60)
        yield hub
    finally:
        failure = task.exception() if task.done() else None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert failure is None, failure


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(200):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def cookie_of(hub: ControllerHub) -> int:
    current = hub.keys.held().current
    assert current is not None
    client, server, client_port, server_port = KEY
    flow = Flow(str(IPv4Address(client)), client_port, str(IPv4Address(server)), server_port)
    epoch = Epoch(current.epoch, current.k0, current.k1)
    return cookie(epoch, flow, X, mss_index(1460), window_scale=7, sack=1)


async def open_session(hub: ControllerHub) -> int:
    """A handshake: in through a, the server's answer through b. Returns the cookie."""
    cookie = cookie_of(hub)
    frame = WORLD.client_frame(ack=cookie + 1, payload=b"GET /\r\n", flags=ACK | PSH)
    send(hub, "a", frame)
    await until(lambda: len(hub.coordinator.flows) == 1)
    send(hub, "b", WORLD.server_frame())
    await until(lambda: hub.coordinator.results["released"])
    return cookie


async def events_of(hub: ControllerHub, switch: str) -> dict[str, int]:
    _, events = await hub.links[switch].counters()
    return {EVENTS[index]: packets for index, packets in events.items() if packets}


async def test_a_connection_from_cookie_to_removal(switches: list[Switch], config: Any) -> None:
    async with running(config(linger=1.0)) as hub:
        cookie = await open_session(hub)
        [session] = hub.coordinator.sessions.values()
        assert session.entry.delta == (cookie - R) & 0xFFFFFFFF

        async def released() -> bool:
            return (await events_of(hub, "a")).get("TO_SERVER") == 1

        await eventually(released)
        assert (await events_of(hub, "a"))["PROVEN"] == 1
        assert (await events_of(hub, "b"))["SERVER_SYNACK_PUNTED"] == 1
        # Both ends close; each FIN goes through another switch.
        fin = WORLD.client_frame(ack=cookie + 1, seq=X + 8, flags=FIN | ACK)
        send(hub, "a", fin)
        server_fin = build(L2, SERVER, CLIENT, SPORT, CPORT, seq=R + 1, ack=X + 8, flags=FIN | ACK)
        send(hub, "b", server_fin)
        await until(lambda: session.entry.phase == Phase.CLOSING)
        await until(lambda: len(hub.coordinator.sessions) == 0)
        await until(lambda: [link.sessions for link in hub.links.values()] == [0, 0])


async def test_a_first_flight_of_several_segments_is_released_whole(
    switches: list[Switch], config: Any
) -> None:
    async with running(config()) as hub:
        ack = cookie_of(hub) + 1
        flight = [
            WORLD.client_frame(ack=ack),
            WORLD.client_frame(ack=ack, payload=bytes(1448)),
            WORLD.client_frame(ack=ack, seq=X + 1 + 1448, payload=bytes(1448)),
            WORLD.client_frame(ack=ack, seq=X + 1 + 2896, flags=FIN | ACK),
        ]
        for frame in flight:
            send(hub, "a", frame)
        await until(lambda: [len(flow.held) for flow in hub.coordinator.flows.values()] == [4])
        assert (await events_of(hub, "a"))["FOLLOWING_PUNTED"] == 2
        send(hub, "b", WORLD.server_frame())

        async def released() -> bool:
            return (await events_of(hub, "a")).get("TO_SERVER") == 4

        await eventually(released)


async def test_a_wrong_cookie_never_reaches_the_controller(switches: list[Switch], config: Any) -> None:
    async with running(config()) as hub:
        frame = WORLD.client_frame(ack=cookie_of(hub) + 2)
        send(hub, "a", frame)

        async def dropped() -> bool:
            drops, _ = await hub.links["a"].counters()
            return drops[DROP_REASONS.index("BAD_COOKIE")] == 1

        await eventually(dropped)
        assert len(hub.coordinator.flows) == 0


async def test_an_idle_session_is_removed_everywhere(switches: list[Switch], config: Any) -> None:
    async with running(config(idle=1.0)) as hub:
        await open_session(hub)
        await until(lambda: len(hub.coordinator.sessions) == 0)
        assert hub.coordinator.results["sessions_ended"] == 1


async def test_a_killed_switch_is_filled_again(switches: list[Switch], config: Any) -> None:
    async with running(config()) as hub:
        await open_session(hub)
        switches[1].kill()
        await until(lambda: hub.links["b"].life.state == "down")
        switches[1].start()
        await until(lambda: hub.links["b"].in_service)
        assert hub.links["b"].sessions == 1
        [found] = (await hub.links["b"].elapsed([KEY])).items()
        assert found[0] == KEY


async def test_a_new_controller_takes_over(switches: list[Switch], config: Any) -> None:
    async with running(config()) as hub:
        cookie = await open_session(hub)
        entries = hub.coordinator.sessions.entries()
    async with running(config()) as hub:
        assert hub.coordinator.sessions.entries() == entries
        assert cookie_of(hub) == cookie  # the keys are the same
        assert (await events_of(hub, "a"))["PROVEN"] == 1  # the program was not loaded again
        answer = build(L2, SERVER, CLIENT, SPORT, CPORT, seq=R + 1, ack=X + 8, flags=ACK)
        send(hub, "b", answer)

        async def translated() -> bool:
            return (await events_of(hub, "b")).get("TO_CLIENT") == 1

        await eventually(translated)


async def test_keys_rotate_and_the_last_epochs_cookie_still_counts(
    switches: list[Switch], config: Any
) -> None:
    async with running(config(epoch=3.0)) as hub:
        cookie = cookie_of(hub)
        await until(lambda: hub.keys.epoch == 2)
        frame = WORLD.client_frame(ack=cookie + 1)
        send(hub, "b", frame)
        await until(lambda: len(hub.coordinator.flows) == 1)
        [flow] = hub.coordinator.flows.values()
        assert (flow.ingress, flow.isn, flow.cookie) == ("b", X, cookie)
        assert flow.options.timestamps is not None
        assert flow.options.timestamps[1] == TP
