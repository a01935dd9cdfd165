# SPDX-License-Identifier: Apache-2.0
"""Another configuration for a running controller: what differs is applied, and no session is hurt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import text_format

from controller.config import ControllerConfig, load_config
from controller.hub import ControllerHub
from controller.reload import merged
from tests.controller.fake_switch import FakeSwitch, make_p4info
from tests.controller.rig import fakes, open_session, ready, running, until
from tests.controller.world import KEY, SPORT

WEB = {"name": "web", "address": "203.0.113.10", "port": SPORT, "syn_rate": 5000}
MAIL = {"name": "mail", "address": "203.0.113.20", "port": 25}
FAR = {"prefix": "192.0.2.0/24", "port": 1, "via": "198.18.1.2"}


class File:
    """A configuration file, and its parts by key."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "controller.yaml"
        (folder / "p4info.txtpb").write_text(text_format.MessageToString(make_p4info()))
        (folder / "program").write_bytes(b"program")
        self.parts: dict[str, Any] = {
            "program": {"p4info": "p4info.txtpb", "device_config": "program"},
            "switches": [_switch(name) for name in "ab"],
            "services": [WEB],
            "timers": {"reconnect_min": 0.02, "reconnect_max": 0.05, "barrier": 1.0},
        }

    def write(self, **parts: Any) -> ControllerConfig:
        self.parts |= parts
        self.path.write_text(yaml.safe_dump(self.parts))
        return load_config(self.path)


def _switch(name: str, *routes: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "address": f"unix:{name}.sock",
        "ports": [{"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}],
        "routes": [{"prefix": "0.0.0.0/0", "port": 1, "via": "198.18.1.2"}, *routes],
        "neighbours": [{"address": "198.18.1.2", "mac": "02:00:00:00:00:02"}],
    }


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


@pytest.fixture
async def switches(tmp_path: Path) -> Any:
    async with fakes(tmp_path, "abc") as found:
        yield found


def follow(hub: ControllerHub, config: ControllerConfig) -> str:
    config, found = merged(hub.config, config)
    hub.configure(config)
    return str(found)


def sessions_in(*switches: FakeSwitch) -> list[int]:
    return [len(switch.table("sessions_v4")) for switch in switches]


async def test_a_service_is_added_and_removed_and_its_sessions_stay(
    switches: list[FakeSwitch], file: File
) -> None:
    a, b, _ = switches
    async with running(file.write()) as hub:
        await ready(hub)
        await open_session(a, b)
        await until(lambda: sessions_in(a, b) == [1, 1])
        assert follow(hub, file.write(services=[WEB, MAIL])) == "service mail added"
        await until(lambda: [len(s.table("services_v4")) for s in (a, b)] == [2, 2])
        assert sorted(params[0] for params in a.params("services_v4")) == [0, 1]
        # Web goes: nothing is guarded any more, the session is translated until it ends.
        assert follow(hub, file.write(services=[MAIL])) == "service web removed"
        await until(lambda: {params[-2] for params in a.params("service_sources_v4")} == {0, 1})
        assert sessions_in(a, b) == [1, 1]
        [web] = [service for service in hub.services() if service.config.name == "web"]
        assert web.leaving
        assert [cell.meter_entry.HasField("config") for cell in a.meters.values()] == [False]
        # It comes back before that, with the same id.
        follow(hub, file.write(services=[MAIL, WEB]))
        assert not web.leaving
        assert hub.coordinator.services[KEY[1], SPORT] is web
        await until(lambda: {params[-2] for params in b.params("service_sources_v4")} == {0})
        assert all(link.in_service for link in hub.links.values())
        assert sessions_in(a, b) == [1, 1]


async def test_a_removed_service_is_forgotten_with_its_last_session(
    switches: list[FakeSwitch], file: File
) -> None:
    a, b, _ = switches
    async with running(file.write()) as hub:
        await ready(hub)
        await open_session(a, b)
        follow(hub, file.write(services=[MAIL]))
        session = hub.coordinator.sessions.get(KEY)
        assert session is not None
        out: list[Any] = []
        hub.coordinator.openings.forget(session, hub.wall(), out)
        hub._execute(out)
        await until(lambda: [service.config.name for service in hub.services()] == ["mail"])
        await until(lambda: [len(s.table("services_v4")) for s in (a, b)] == [1, 1])


async def test_switches_come_and_go(switches: list[FakeSwitch], file: File) -> None:
    a, b, c = switches
    async with running(file.write()) as hub:
        await ready(hub)
        await open_session(a, b)
        added = file.write(switches=[_switch(name) for name in "abc"])
        assert follow(hub, added) == "switch c added"
        await ready(hub)
        assert sessions_in(a, b, c) == [1, 1, 1]
        assert follow(hub, file.write(switches=[_switch("a"), _switch("c")])) == "switch b removed"
        assert set(hub.links) == {"a", "c"}
        await until(lambda: set(hub.coordinator.live) == {"a", "c"})
        assert sessions_in(a, b, c) == [1, 1, 1]
        assert all(link.in_service for link in hub.links.values())


async def test_routes_follow_without_a_break(switches: list[FakeSwitch], file: File) -> None:
    a, b, _ = switches
    async with running(file.write()) as hub:
        await ready(hub)
        text = follow(hub, file.write(switches=[_switch("a", FAR), _switch("b")]))
        assert text == "switch a changed (routes)"
        await until(lambda: len(a.table("routes_v4")) == 3)
        assert len(b.table("routes_v4")) == 2
        follow(hub, file.write(switches=[_switch("a"), _switch("b")]))
        await until(lambda: len(a.table("routes_v4")) == 2)
        assert (a.pushes, b.pushes) == (1, 1)
        assert [kind for kind, _ in a.log if kind == "stream"] == [
            kind for kind, _ in b.log if kind == "stream"
        ]
        assert all(link.in_service for link in hub.links.values())


async def test_timers_limits_and_policies(switches: list[FakeSwitch], file: File) -> None:
    a, _, _ = switches
    async with running(file.write()) as hub:
        await ready(hub)
        timers = {**file.parts["timers"], "epoch": 30, "idle": 100, "early_return": 0.5}
        attack = {**WEB, "mode": "on-attack", "attack_syn_rate": 1000}
        text = follow(hub, file.write(timers=timers, limits={"flows": 7}, services=[attack], log="debug"))
        for part in (
            "service web changed (mode, attack_syn_rate)",
            "timers.idle 300 -> 100",
            "limits.flows 20000 -> 7",
            "log info -> debug",
        ):
            assert part in text
        assert hub.keys.epoch_time == 30
        assert hub.coordinator.flows.limits.flows == 7
        assert hub.coordinator.returns.hold_time == 0.5
        # What was guarded stays guarded until it is calm; connections without the proxy are let go on.
        await until(lambda: a.params("service_sources_v4") == [(0, 0, 1)])


def test_what_takes_a_restart_is_told_and_stays(file: File) -> None:
    old = file.write()
    new = file.write(name="other", api={"listen": "127.0.0.1:9"}, timers={"idle": 10})
    config, found = merged(old, new)
    assert found.restart == ["name", "api"]
    assert (config.name, config.api, config.timers.idle) == (old.name, old.api, 10)
    assert str(found).endswith("changed, but in effect only after a restart: name, api")


def test_nothing_has_changed(file: File) -> None:
    assert str(merged(file.write(), file.write())[1]) == "nothing has changed"
