# SPDX-License-Identifier: Apache-2.0
"""The bus on a real NATS server: the store, subjects, requests, compare-and-set, ends of connections."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.config import FederationConfig
from controller.federation.bus import BusError, ConflictError, NatsBus, Reply
from controller.lab.errors import LabError
from controller.lab.federation import nats_command, nats_server, prepare_nats
from controller.lab.state import LabFiles


def _missing() -> str | None:
    try:
        nats_server()
    except LabError as error:
        return str(error)
    return None


pytestmark = pytest.mark.skipif(_missing() is not None, reason=str(_missing()))


class Server:
    """A NATS server with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.files = LabFiles(folder / "nats-lab")
        self.files.run.mkdir(parents=True)
        self.url = prepare_nats(self.files)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.files.run / "log").open("ab") as log:
            self.process = subprocess.Popen(nats_command(self.files), stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


class Client:
    """One member's bus, and what it has heard."""

    def __init__(self, server: Server, member: str, **settings: Any) -> None:
        files = server.files
        given = {
            "secret": files.run / "federation.secret",
            "token_file": files.run / "nats.token",
            **settings,
        }
        config = FederationConfig(member=member, urls=[server.url], lease=1, **given)
        self.bus = NatsBus(config, self.on_message)
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def on_message(self, topic: str, data: bytes, reply: Reply | None) -> None:
        if reply is not None:
            reply(b"answer to " + data)
        else:
            self.heard.put_nowait((topic, data))

    async def open(self) -> Client:
        for _ in range(50):
            try:
                await self.bus.open()
            except BusError:
                await asyncio.sleep(0.1)
                self.bus = NatsBus(self.bus._config, self.on_message)
            else:
                return self
        raise AssertionError("the server does not answer")

    async def next(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.heard.get(), 5)


async def test_members_hear_what_is_stored_and_said(server: Server) -> None:
    a, b = await Client(server, "a").open(), await Client(server, "b").open()
    await asyncio.wait_for(a.bus.store("s.1.2.3.4", b"record"), 5)
    assert await b.next() == ("s.1.2.3.4", b"record")
    a.bus.publish("to.b.out", b"for b")
    a.bus.publish("to.c.out", b"for c")
    a.bus.publish("all.pending", b"for all")
    assert {await b.next(), await b.next()} == {("to.out", b"for b"), ("all.pending", b"for all")}
    assert a.heard.empty()
    assert await a.bus.request("to.b.ask", b"this", 5) == b"answer to this"
    with pytest.raises(BusError):
        await a.bus.request("to.c.ask", b"this", 0.3)
    await a.bus.close()
    await b.bus.close()


async def test_the_store_has_the_last_record_of_each_key(server: Server) -> None:
    a = await Client(server, "a").open()
    for number in range(300):
        stored = a.bus.store(f"s.{number % 100}.2.3.4", b"%d" % number)
    await a.bus.store("m.a", b"lease")
    await asyncio.wait_for(stored, 5)
    assert [entry async for entry in a.bus.snapshot("x.")] == []
    found = dict([entry async for entry in a.bus.snapshot("s.")])
    assert len(found) == 100
    assert found["s.7.2.3.4"] == b"207"
    await a.bus.close()


async def test_keys_are_replaced_by_compare_and_set(server: Server) -> None:
    a, b = await Client(server, "a").open(), await Client(server, "b").open()
    assert await a.bus.read_keys() is None
    first = await a.bus.write_keys(b"one", 0)
    assert await b.next() == ("keys", b"one")
    with pytest.raises(ConflictError):
        await b.bus.write_keys(b"other", 0)
    assert await b.bus.read_keys() == (b"one", first)
    second = await b.bus.write_keys(b"two", first)
    with pytest.raises(ConflictError):
        await a.bus.write_keys(b"three", first)
    assert await a.bus.read_keys() == (b"two", second)
    await a.bus.close()
    await b.bus.close()


async def test_a_killed_server_ends_the_connection_and_keeps_what_it_had(server: Server) -> None:
    a = await Client(server, "a").open()
    await a.bus.store("s.1.2.3.4", b"kept")
    server.kill()
    await asyncio.wait_for(a.bus.closed.wait(), 5)
    with pytest.raises(BusError):
        await a.bus.store("s.1.2.3.4", b"lost")
    server.start()
    b = await Client(server, "a").open()
    assert [entry async for entry in b.bus.snapshot("s.")] == [("s.1.2.3.4", b"kept")]
    await b.bus.close()


async def test_nobody_there_and_no_way_in_are_one_line_each(server: Server, tmp_path: Path) -> None:
    await (await Client(server, "a").open()).bus.close()
    wrong = tmp_path / "token"
    wrong.touch(mode=0o600)
    wrong.write_text("wrong")
    with pytest.raises(BusError, match=r"127\.0\.0\.1.*[Aa]uthorization"):
        await Client(server, "a", token_file=wrong).bus.open()
    wrong.chmod(0o644)
    with pytest.raises(BusError, match=r"federation\.token_file: .*chmod 600"):
        await Client(server, "a", token_file=wrong).bus.open()
    server.kill()
    with pytest.raises(BusError, match="no server answers") as error:
        await Client(server, "a").bus.open()
    assert "\n" not in str(error.value)
