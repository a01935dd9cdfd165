# SPDX-License-Identifier: Apache-2.0
"""Members of a federation in this process, each with a switch of its own; NATS in memory, or a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.fernet import Fernet
from google.protobuf import text_format

from controller.config import ControllerConfig, FederationConfig
from controller.dataplane import PuntHeader
from controller.federation.bus import Bus, Handler
from controller.federation.hub import FederatedHub
from tests.controller.fake_switch import FakeSwitch, make_p4info
from tests.controller.rig import until
from tests.controller.world import CPORT, KEY, SPORT, World, X
from tests.federation.broker import Broker

LEASE = 2.0  # a machine may stand still for a part of it, and nobody is lost
PROVEN = PuntHeader(1, 1, 0, X, 1460, 7, 1, 1)
SYNACK = PuntHeader(2, 2, 0, 0, 0, 0, 0)
EARLY = PuntHeader(2, 3, 0, 0, 0, 0, 0)
WORLD = World()  # for its frames
SECRET = Fernet.generate_key()


class Member(FederatedHub):
    """A hub whose NATS is in memory."""

    broker: Broker | None = None
    """None: its settings lead to a real NATS."""

    async def _open_bus(self, handler: Handler) -> Bus:
        return await super()._open_bus(handler) if self.broker is None else self.broker.open(self.me, handler)


@dataclass
class Federation:
    """Members by name, each with its switch. `settings`: of a member, for a real NATS instead of the broker.

    As a context it ends with all of them, none of which may have ended by itself.
    """

    folder: Path
    settings: Callable[[str], FederationConfig] | None = None
    lease: float = LEASE
    broker: Broker = field(default_factory=Broker)
    switches: dict[str, FakeSwitch] = field(default_factory=dict)
    hubs: dict[str, Member] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def __aenter__(self) -> Federation:
        (self.folder / "p4info.txtpb").write_text(text_format.MessageToString(make_p4info()))
        (self.folder / "program").write_bytes(b"program")
        return self

    async def __aexit__(self, *_: object) -> None:
        ended = [task.exception() for task in self.tasks.values() if task.done()]
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        for switch in self.switches.values():
            await switch.stop()
        assert not ended

    async def start(self, *names: str, secret: bytes = SECRET) -> None:
        for name in names:
            if name not in self.switches:
                self.switches[name] = FakeSwitch(str(self.folder / f"{name}.sock"))
                await self.switches[name].start()
            self.hubs[name] = Member(self.config(name), self.member_settings(name), secret)
            if self.settings is None:
                self.hubs[name].broker = self.broker
            self.tasks[name] = asyncio.ensure_future(self.hubs[name].run())

    def member_settings(self, name: str) -> FederationConfig:
        if self.settings is not None:
            return self.settings(name)
        return FederationConfig(
            member=name, urls=["nats://nowhere:4222"], secret=self.folder / "secret", lease=self.lease
        )

    def config(self, name: str, barrier: float = 10.0) -> ControllerConfig:
        port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
        files = {"p4info": self.folder / "p4info.txtpb", "device_config": self.folder / "program"}
        return ControllerConfig.model_validate(
            {
                "name": name,
                "program": files,
                "switches": [{"name": name, "address": f"unix:{self.folder}/{name}.sock", "ports": [port]}],
                "services": [{"name": "web", "address": "203.0.113.10", "port": SPORT}],
                "timers": {
                    "reconnect_min": 0.02,
                    "reconnect_max": 0.05,
                    "barrier": barrier,
                    "epoch": 60,
                    "syn_retry": [10],
                },
            }
        )

    async def stop(self, name: str) -> None:
        """As if it were killed: it says nothing any more."""
        self.broker.cut.add(name)
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks.pop(name), return_exceptions=True)
        self.broker.cut.discard(name)
        self.broker.buses[name].break_off()
        del self.hubs[name]

    async def ready(self) -> None:
        await until(lambda: all(self._sees_all(hub) for hub in self.hubs.values()))

    def _sees_all(self, hub: Member) -> bool:
        return hub.is_member and all(
            (link := hub.links.get(name)) is not None and link.in_service for name in self.hubs
        )

    async def open_session(self, ingress: str = "a", egress: str = "b", cport: int = CPORT) -> None:
        """A client's handshake, from its proof to the release of what it has sent."""
        await self.begin(ingress, egress, cport)
        await until(lambda: len(self.switches[ingress].packets_out) == 2)

    async def begin(self, ingress: str = "a", egress: str = "b", cport: int = CPORT) -> None:
        """The same, to the server's SYN/ACK."""
        a, b = self.switches[ingress], self.switches[egress]
        a.packets_out.clear()
        a.punt(PROVEN, WORLD.client_frame(cport=cport))
        await until(lambda: a.packets_out)
        b.punt(SYNACK, WORLD.server_frame(cport=cport))

    async def cut_off(self, name: str) -> None:
        """Nothing goes between a member and NATS any more; returns when all know it."""
        self.broker.cut.add(name)
        others = [hub for other, hub in self.hubs.items() if other != name]
        await until(
            lambda: not self.hubs[name].is_member and not any(name in hub.members.peers for hub in others)
        )

    async def rejoin(self, name: str) -> None:
        """The way to NATS is whole again."""
        self.broker.cut.discard(name)
        self.broker.buses[name].break_off()
        await self.ready()

    def version(self, name: str = "a") -> int:
        session = self.hubs[name].coordinator.sessions.get(KEY)
        assert session is not None
        return session.entry.version

    def held(self, name: str) -> int:
        return len(self.switches[name].table("sessions_v4"))
