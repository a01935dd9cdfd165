# SPDX-License-Identifier: Apache-2.0
"""What a topology becomes: namespaces, MACs, neighbours, the controller's view."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.lab.errors import LabError
from controller.lab.plan import make_plan, service_configs, switch_configs
from controller.lab.topology import load_topology

IPV4_ONLY = Path(__file__).parents[2] / "controller" / "bench" / "kernel.yaml"
NAMES = ["single", "two-pop", "three-pop"]


def test_namespaces_are_named_after_the_lab() -> None:
    topology = load_topology("two-pop")
    assert make_plan(topology).namespaces == [
        f"two-pop-{node}" for node in ("client", "backbone", "server", "a", "b")
    ]
    assert make_plan(topology, "mine").nodes["client"].netns == "mine-client"


@pytest.mark.parametrize("name", ["", "../x", "Mine", "a b", "x" * 33])
def test_a_name_that_cannot_begin_a_namespace(name: str) -> None:
    with pytest.raises(
        LabError, match="is not a name; use up to 32 lower-case letters, digits, '-', a letter"
    ):
        make_plan(load_topology("single"), name)


@pytest.mark.parametrize("name", NAMES)
def test_macs_differ_are_unicast_and_locally_administered(name: str) -> None:
    plan = make_plan(load_topology(name))
    macs = [interface.mac for link in plan.links for interface in link.ends]
    assert len(set(macs)) == len(macs) == 2 * len(plan.links)
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in macs)
    other = make_plan(load_topology(name), "other-name")
    assert macs == [interface.mac for link in other.links for interface in link.ends]


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_knows_the_far_end_of_each_port(name: str) -> None:
    plan = make_plan(load_topology(name))
    configs = {c.name: c for c in switch_configs(plan, {s: f"unix:/{s}" for s in plan.switches})}
    for link in plan.links:
        for near, far in (link.ends, link.ends[::-1]):
            if near.port is None:
                continue
            known = {(str(n.address), n.mac) for n in configs[near.node].neighbours}
            assert {(str(a.ip), far.mac) for a in far.addresses} <= known
            port = next(p for p in configs[near.node].ports if p.port == near.port)
            assert (port.mac, port.addresses) == (near.mac, list(near.addresses))


def test_the_routes_of_two_pop_make_the_asymmetry() -> None:
    plan = make_plan(load_topology("two-pop"))
    assert [(str(r.destination), r.interface, str(r.source)) for r in plan.nodes["client"].routes] == [
        ("0.0.0.0/0", "eth0", "198.51.100.10"),
        ("::/0", "eth0", "2001:db8:51::10"),
    ]
    assert [route.interface for route in plan.nodes["backbone"].routes] == ["eth1", "eth1"]
    ends = {frozenset((e.node, e.name) for e in link.ends) for link in plan.links}
    assert frozenset({("client", "eth0"), ("a", "a-eth1")}) in ends
    assert frozenset({("backbone", "eth1"), ("b", "b-eth2")}) in ends
    a, b = switch_configs(plan, {"a": "unix:/a", "b": "unix:/b"})
    for switch in (a, b):
        assert {str(r.prefix): r.port for r in switch.routes} == {
            "0.0.0.0/0": 1,
            "203.0.113.0/24": 2,
            "::/0": 1,
            "2001:db8:203::/64": 2,
        }
    assert (a.device_id, b.device_id) == (1, 2)


def test_addresses_begin_with_those_of_the_loopback() -> None:
    plan = make_plan(load_topology("two-pop"))
    assert plan.nodes["client"].addresses == [
        *("198.51.100.10", "2001:db8:51::10"),
        *("198.18.1.2", "2001:db8:1::2", "198.18.2.2", "2001:db8:2::2"),
    ]


def test_services_lose_what_only_the_lab_needs() -> None:
    web = service_configs(make_plan(load_topology("single")))[0]
    assert set(web.model_dump()) == {
        *("name", "address", "port", "mss", "window_scale", "sack", "timestamps", "window", "unknown"),
        *("syn_rate", "punt_rate", "mode", "attack_syn_rate", "calm_syn_rate", "calm_after", "sync"),
    }
    assert (web.name, web.port, web.window) == ("web", 80, 5840)


def test_only_routers_forward_and_switches_stay_silent() -> None:
    plan = make_plan(load_topology("two-pop"))
    forwarding = {name: node.sysctls.get("net.ipv4.ip_forward") for name, node in plan.nodes.items()}
    assert forwarding == {"client": "0", "backbone": "1", "server": "0", "a": None, "b": None}
    forwarding_v6 = {name: n.sysctls.get("net.ipv6.conf.all.forwarding") for name, n in plan.nodes.items()}
    assert forwarding_v6 == forwarding
    silent = {name: node.sysctls["net.ipv6.conf.all.disable_ipv6"] for name, node in plan.nodes.items()}
    assert silent == {"client": "0", "backbone": "0", "server": "0", "a": "1", "b": "1"}
    assert not any(node.routes or node.loopback for node in plan.switches.values())


def test_hosts_without_an_ipv6_address_stay_without_ipv6() -> None:
    plan = make_plan(load_topology(IPV4_ONLY))
    assert {node.sysctls["net.ipv6.conf.all.disable_ipv6"] for node in plan.nodes.values()} == {"1"}


def test_hosts_with_ipv6_use_their_addresses_at_once_and_learn_nothing() -> None:
    settings = make_plan(load_topology("two-pop")).nodes["client"].sysctls
    for key in ("accept_dad", "dad_transmits", "accept_ra", "autoconf", "router_solicitations"):
        assert settings[f"net.ipv6.conf.default.{key}"] == "0"


def test_neighbours_of_a_switch_have_both_addresses() -> None:
    plan = make_plan(load_topology("two-pop"))
    a = switch_configs(plan, {"a": "unix:/a", "b": "unix:/b"})[0]
    assert [(str(n.address), n.mac) for n in a.neighbours] == [
        ("198.18.1.2", "02:00:00:00:01:00"),
        ("2001:db8:1::2", "02:00:00:00:01:00"),
        ("198.18.3.2", "02:00:00:00:02:00"),
        ("2001:db8:3::2", "02:00:00:00:02:00"),
    ]
