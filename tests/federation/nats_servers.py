# SPDX-License-Identifier: Apache-2.0
"""Real NATS servers for tests: one, or a cluster; each test has its own, with a folder of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from controller.config import FederationConfig
from controller.federation.bus import BusError, NatsBus, Reply
from controller.lab.errors import LabError
from controller.lab.model import Federated
from controller.lab.nats import NatsServers, nats_server
from controller.lab.state import LabFiles
from softswitch.tlsfiles import TlsFiles


def _missing() -> str | None:
    try:
        nats_server()
    except LabError as error:
        return str(error)
    return None


needs_nats = pytest.mark.skipif(_missing() is not None, reason=str(_missing()))


class Children:
    """Processes of this Python, by name (`controller.lab.nats.Processes`)."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str], namespace: str | None) -> None:
        with self._log.open("ab") as log:
            self._children[name] = subprocess.Popen(argv, stdout=log, stderr=log)

    def running(self, name: str) -> bool:
        return name in self._children and self._children[name].poll() is None

    def stop(self, name: str, number: int) -> None:
        self._children[name].send_signal(number)
        self._children.pop(name).wait()

    def signal(self, name: str, number: int) -> None:
        self._children[name].send_signal(number)


class Nats:
    """Servers, one or three. `urls`: of each; `changes`: what a server's configuration has beside, or instead
    of (None: nothing), what a lab's has.
    """

    def __init__(self, folder: Path, count: int = 1, *, tls: TlsFiles | None = None, **changes: Any) -> None:
        self.files = LabFiles(folder / "nats-lab")
        self.files.run.mkdir(parents=True)
        self.children = Children(self.files.run / "log")
        self.servers = NatsServers(self.files, self.children, Federated.model_validate({"servers": count}))
        self.urls = self.servers.prepare(tls)
        self.configure(**changes)
        self.start()

    def configure(self, **changes: Any) -> None:
        """Change what stands in the servers' configurations."""
        for name in self.servers.names:
            file = self.files.run / f"{name}.conf"
            document = json.loads(file.read_text()) | changes
            file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))

    def start(self) -> None:
        self.servers.start()

    def reload(self) -> None:
        """Have the servers read their configurations and certificates again."""
        for name in self.servers.names:
            self.children.signal(name, signal.SIGHUP)

    def kill(self, name: str | None = None) -> None:
        self.servers.stop(signal.SIGKILL, name)

    def settings(self, member: str = "a", **given: Any) -> FederationConfig:
        """A member's settings, with the lab's token unless another way in is given."""
        if not given.keys() & {"token_file", "user", "credentials"}:
            given["token_file"] = self.files.run / "nats.token"
        fields = {
            "member": member,
            "urls": self.urls,
            "secret": self.files.run / "federation.secret",
            "lease": 1,
            "replicas": len(self.urls),
            **given,
        }
        return FederationConfig(**fields)


class Peer:
    """One member's bus, and what it has heard."""

    def __init__(self, config: FederationConfig) -> None:
        self.config = config
        self.bus = NatsBus(config, self.on_message)
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    def on_message(self, topic: str, data: bytes, reply: Reply | None) -> None:
        if reply is not None:
            reply(b"answer to " + data)
        else:
            self.heard.put_nowait((topic, data))

    async def open(self, seconds: float = 20.0) -> Peer:
        """Connect, as soon as the server that was just started answers."""
        give_up = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                await self.bus.open()
            except BusError as error:
                if asyncio.get_running_loop().time() > give_up:
                    raise AssertionError(f"no way in: {error}") from None
                await asyncio.sleep(0.1)
                self.bus = NatsBus(self.config, self.on_message)
            else:
                return self

    async def next(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.heard.get(), 15)


async def refused(config: FederationConfig) -> str:
    """Why a member does not get in: one line."""
    for _ in range(50):  # a server that was just started may not listen yet
        with pytest.raises(BusError) as error:
            await NatsBus(config, lambda *_: None).open()
        assert "\n" not in str(error.value)
        if "no server answers" not in str(error.value):
            break
        await asyncio.sleep(0.1)
    return str(error.value)
