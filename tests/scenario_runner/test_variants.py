# SPDX-License-Identifier: Apache-2.0
"""One file, several scenarios: over IPv6 and on other topologies; and abbreviations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.config_errors import ConfigError
from controller.scenario.model import Scenario, load_scenarios
from controller.scenario.steps.crafted import MakeEndpoint, Receive, Send
from controller.scenario.steps.programs import Run
from controller.scenario.versions import over_ipv6


def load(tmp_path: Path, text: str) -> list[Scenario]:
    path = tmp_path / "case.yaml"
    path.write_text("name: test\n" + text)
    return load_scenarios(path)


@pytest.mark.parametrize(
    ("given", "twin"),
    [
        ("198.19.7.11:40000", "[2001:db8:198:7::11]:40000"),
        ("203.0.113.10/32", "2001:db8:203::10/128"),
        ("198.51.100.0/24", "2001:db8:51::/64"),
        ("198.19.0.0/16", "2001:db8:198::/48"),
        ("198.19.200.0/24", "2001:db8:198:200::/64"),
        (
            "ip route add 203.0.113.77/32 via 198.18.3.2",
            "ip route add 2001:db8:203::77/128 via 2001:db8:3::2",
        ),
        ("web", "web"),
        ("1.198.19.7.11", "1.198.19.7.11"),
        ({"a": ["198.18.1.2", 7]}, {"a": ["2001:db8:1::2", 7]}),
    ],
)
def test_twins(given: Any, twin: Any) -> None:
    assert over_ipv6(given) == twin


def test_both_versions_of_ip(tmp_path: Path) -> None:
    v4, v6 = load(
        tmp_path,
        """
topology: two-pop
versions: [4, 6]
services: [{name: crafted, host: server, address: 203.0.113.77, port: 7777}]
steps:
  - endpoint: {name: client, host: client, local: "198.19.7.9:40000", remote: crafted}
  - run: {host: client, command: ping -c 1 198.18.1.1}
""",
    )
    assert (v4.label, v6.label) == ("case", "case-v6")
    services = {service.name: service for service in v6.topology.services}
    assert {str(services[name].address) for name in ("web", "banner")} == {"2001:db8:203::10"}
    assert (str(services["crafted"].address), services["crafted"].mss) == ("2001:db8:203::77", 1440)
    assert "web-v6" not in services
    assert str({s.name: s for s in v4.topology.services}["web"].address) == "203.0.113.10"
    endpoint, run = v6.steps
    assert isinstance(endpoint, MakeEndpoint)
    assert endpoint.local == "[2001:db8:198:7::9]:40000"
    assert isinstance(run, Run)
    assert run.command == "ping -c 1 2001:db8:1::1"


def test_each_version_and_each_topology_once_the_others_are_extra(tmp_path: Path) -> None:
    scenarios = load(tmp_path, "topology: [two-pop, three-pop]\nversions: [4, 6]\nsteps: [{serve: web}]")
    assert [(s.label, s.topology.name, s.extra) for s in scenarios] == [
        ("case", "two-pop", False),
        ("case-three-pop", "three-pop", True),
        ("case-v6", "two-pop", True),
        ("case-v6-three-pop", "three-pop", False),
    ]
    one = load(tmp_path, "topology: three-pop\nversions: [4, 6]\nsteps: [{serve: web}]")
    assert [(s.label, s.extra) for s in one] == [("case", False), ("case-v6", False)]
    two = load(tmp_path, "topology: [two-pop, three-pop]\nsteps: [{serve: web}]")
    assert [(s.label, s.extra) for s in two] == [("case", False), ("case-three-pop", False)]


def test_repeat_is_its_steps_again_and_again(tmp_path: Path) -> None:
    (scenario,) = load(
        tmp_path,
        """
topology: two-pop
steps: [{repeat: {times: 2, what: [{wait: 1}, {repeat: {times: 2, what: [serve: web]}}]}}]
""",
    )
    assert [step.keyword for step in scenario.steps] == ["wait", "serve", "serve"] * 2


def test_establish_is_a_whole_handshake(tmp_path: Path) -> None:
    (scenario,) = load(
        tmp_path,
        """
topology: two-pop
steps:
  - establish:
      local: "198.19.7.9:40000"
      service: web
      suffix: "2"
      x: 7
      options: {mss: 1300, timestamps: [500, 0]}
      server_options: {mss: 1460, timestamps: [900, 0]}
""",
    )
    keywords = [step.keyword for step in scenario.steps]
    assert keywords == ["let", "endpoint", "endpoint", *["send", "receive"] * 3]
    syn, cookie, ack, to_server, answer, released = scenario.steps[3:]
    assert isinstance(syn, Send)
    assert isinstance(cookie, Receive)
    assert (syn.endpoint, syn.seq, syn.options.mss) == ("client2", "x2", 1300)
    assert cookie.remember == {"k2": "seq", "tp2": "tsval"}
    assert cookie.absent == ("sack_permitted", "window_scale")
    assert isinstance(ack, Send)
    assert ack.options.timestamps == ("500+1", "tp2")
    assert isinstance(to_server, Receive)
    assert (to_server.endpoint, to_server.flags, to_server.seq, to_server.ack) == ("server2", "S", "x2", "0")
    assert isinstance(answer, Send)
    assert (answer.options.mss, answer.options.timestamps) == (1460, ("900", "500+1"))
    assert isinstance(released, Receive)
    assert (released.flags, released.seq, released.ack) == ("A", "x2+1", "r2+1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topology: two-pop\nsteps: [{repeat: {times: 0, what: [wait: 1]}}]", "steps[0].repeat.times: "),
        (
            "topology: two-pop\nsteps: [{repeat: {times: 3, what: [wiat: 1]}}]",
            "steps[0].repeat.what[0].wiat: no such",
        ),
        ("topology: two-pop\nsteps: [{establish: {service: web}}]", "steps[0].establish.local: missing"),
        ("topology: [two-pop, four-pop]\nsteps: [serve: web]", "four-pop"),
        ("topology: two-pop\nversions: [5]\nsteps: [serve: web]", "versions[0]: "),
    ],
)
def test_mistakes_are_named_once_with_their_path(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert expected in lines[0]
