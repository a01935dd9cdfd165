# SPDX-License-Identifier: Apache-2.0
"""What a topology becomes on a machine: namespaces, interfaces, MACs, addresses, routes. Pure computation.

A plan is made from a validated topology and a lab's name; nothing here touches the machine. Two runs of the
same topology give the same plan, MACs included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.config import (
    ApiConfig,
    ControllerConfig,
    FederationConfig,
    NeighbourConfig,
    PortConfig,
    ProgramConfig,
    RouteConfig,
    ServiceConfig,
    SwitchConfig,
    TlsConfig,
)
from controller.config_values import IpAddress, IpInterface, IpNetwork
from controller.lab.errors import LabError
from controller.lab.model import Topology
from controller.lab.names import End, check_name, switch_interface

HOST_SYSCTLS = {
    # Packets of one connection arrive by another interface than the one they would leave by.
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    # Ask for a next hop with the address of the asking interface, not with one from the loopback.
    "net.ipv4.conf.all.arp_announce": "2",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
}
NO_IPV6 = {
    # On switches, and on hosts without an IPv6 address: the wire carries what the topology says.
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
}
IPV6_SYSCTLS = {
    # No duplicate address detection, no router solicitations, nothing learned from routers.
    f"net.ipv6.conf.{which}.{key}": value
    for which in ("all", "default")
    for key, value in (
        ("disable_ipv6", "0"),
        ("accept_dad", "0"),
        ("dad_transmits", "0"),
        ("accept_ra", "0"),
        ("autoconf", "0"),
        ("router_solicitations", "0"),
        ("accept_redirects", "0"),
    )
}


@dataclass(frozen=True)
class Interface:
    """One end of a link: a veth interface inside its node's namespace."""

    node: str
    name: str
    port: int | None
    """The port number on a switch; None on a host."""
    mac: str
    addresses: tuple[IpInterface, ...]
    """On a host set on the interface; on a switch the addresses that the P4 program answers ARP or ND for."""
    mtu: int


@dataclass(frozen=True)
class Link:
    """A cable: two interfaces, in the order of the topology file."""

    ends: tuple[Interface, Interface]


@dataclass(frozen=True)
class HostRoute:
    """A route of a host's kernel. `destination` 0.0.0.0/0 or ::/0 is the default route."""

    destination: IpNetwork
    via: IpAddress
    interface: str
    source: IpAddress | None


@dataclass(frozen=True)
class Node:
    """A host or a switch: one namespace."""

    name: str
    netns: str
    is_switch: bool
    interfaces: tuple[Interface, ...]
    loopback: tuple[IpInterface, ...]
    routes: tuple[HostRoute, ...]
    """Empty on a switch: its routes are table entries, written by the controller."""
    sysctls: Mapping[str, str]

    @property
    def addresses(self) -> list[str]:
        """All addresses without prefix lengths, those of the loopback first."""
        own = [*self.loopback, *(a for i in self.interfaces for a in i.addresses)]
        return [str(address.ip) for address in own]


@dataclass(frozen=True)
class Plan:
    """Everything that `lab up` makes, in the order in which it is made."""

    name: str
    topology: Topology
    nodes: Mapping[str, Node]
    links: tuple[Link, ...]

    @property
    def hosts(self) -> dict[str, Node]:
        return {name: node for name, node in self.nodes.items() if not node.is_switch}

    @property
    def switches(self) -> dict[str, Node]:
        return {name: node for name, node in self.nodes.items() if node.is_switch}

    @property
    def namespaces(self) -> list[str]:
        return [node.netns for node in self.nodes.values()]

    def device_id(self, switch: str) -> int:
        """The P4Runtime device id: the topology's, else the switch's position in the file counted from 1."""
        given = self.topology.switches[switch].device_id
        return given if given is not None else list(self.topology.switches).index(switch) + 1


def make_plan(topology: Topology, name: str | None = None) -> Plan:
    """The plan of a topology; `name` is the prefix of its namespaces (default: the topology's name).

    Raises LabError when `name` cannot be one.
    """
    prefix = topology.name if name is None else name
    try:
        check_name(prefix)
    except ValueError as error:
        raise LabError(str(error)) from None
    links = tuple(_link(topology, index) for index in range(len(topology.links)))
    nodes = {node: _node(topology, node, prefix, links) for node in [*topology.hosts, *topology.switches]}
    return Plan(prefix, topology, nodes, links)


def controller_config(
    plan: Plan,
    program: ProgramConfig,
    api: str,
    addresses: Mapping[str, str],
    state: Path | None = None,
    tls: TlsConfig | None = None,
    federation: FederationConfig | None = None,
) -> ControllerConfig:
    """The controller's configuration.

    `addresses`: where the P4Runtime server of each switch listens; `state`: its state file; `tls`: its files
    for connections to the switches.
    """
    given: dict[str, Any] = {"state": state, "tls": tls, "federation": federation}
    return ControllerConfig(
        name=plan.name,
        api=ApiConfig(listen=api),
        program=program,
        switches=switch_configs(plan, addresses),
        services=service_configs(plan),
        timers=plan.topology.controller.timers,
        limits=plan.topology.controller.limits,
        **{key: value for key, value in given.items() if value is not None},
    )


def controller_config_text(config: ControllerConfig) -> str:
    """A configuration as YAML that `controller.config.load_config` takes; only what was given is in it."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True), sort_keys=False)


def switch_configs(plan: Plan, addresses: Mapping[str, str]) -> list[SwitchConfig]:
    """The switches as the controller knows them; `addresses`: the P4Runtime address of each."""
    return [
        _switch_config(plan, switch, addresses[switch]) for switch in plan.switches if switch in addresses
    ]


def service_configs(plan: Plan) -> list[ServiceConfig]:
    """The services as the controller knows them: without the lab's own keys."""
    fields = ServiceConfig.model_fields
    return [
        ServiceConfig.model_validate(
            {k: v for k, v in service.model_dump(exclude_unset=True).items() if k in fields}
        )
        for service in plan.topology.services
    ]


def _link(topology: Topology, index: int) -> Link:
    link = topology.links[index]
    first, second = (_interface(topology, end, addresses, link.mtu) for end, addresses in link.parsed_ends())
    return Link((first, second))


def _interface(topology: Topology, end: End, addresses: list[IpInterface], mtu: int) -> Interface:
    switch = end.node in topology.switches
    return Interface(
        node=end.node,
        name=switch_interface(end.node, end.label) if switch else end.label,
        port=int(end.label) if switch else None,
        mac=_mac(topology, end),
        addresses=tuple(addresses),
        mtu=mtu,
    )


def _mac(topology: Topology, end: End) -> str:
    """Locally administered and readable in a capture.

    02:00:00:00:HOST:INTERFACE and 02:00:01:SWITCH:PORT:PORT; hosts and switches are counted from 1 in the
    order of the file, a host's interfaces from 0 in the order of the links.
    """
    if end.node in topology.switches:
        number = list(topology.switches).index(end.node) + 1
        port = int(end.label)
        return f"02:00:01:{number:02x}:{port >> 8:02x}:{port & 0xFF:02x}"
    number = list(topology.hosts).index(end.node) + 1
    own = [other for link in topology.links for other, _ in link.parsed_ends() if other.node == end.node]
    return f"02:00:00:00:{number:02x}:{own.index(end):02x}"


def _node(topology: Topology, name: str, prefix: str, links: tuple[Link, ...]) -> Node:
    interfaces = tuple(i for link in links for i in link.ends if i.node == name)
    if name in topology.switches:
        return Node(name, f"{prefix}-{name}", True, interfaces, (), (), NO_IPV6)
    host = topology.hosts[name]
    router = "1" if host.router else "0"
    settings = HOST_SYSCTLS | {"net.ipv4.ip_forward": router}
    linked = (address for interface in interfaces for address in interface.addresses)
    if any(address.version == 6 for address in (*host.addresses, *linked)):
        settings |= IPV6_SYSCTLS | {"net.ipv6.conf.all.forwarding": router}
    else:
        settings |= NO_IPV6
    given = {key: str(value) for key, value in host.sysctls.items()}
    routes = tuple(
        HostRoute(route.to, route.via, _way_to(interfaces, route.via), route.source) for route in host.routes
    )
    return Node(
        name,
        f"{prefix}-{name}",
        False,
        interfaces,
        tuple(host.addresses),
        routes,
        settings | given,
    )


def _way_to(interfaces: tuple[Interface, ...], via: IpAddress) -> str:
    return next(i.name for i in interfaces if any(via in a.network for a in i.addresses))


def _switch_config(plan: Plan, switch: str, address: str) -> SwitchConfig:
    interfaces = plan.nodes[switch].interfaces
    ports = {i.name: i.port for i in interfaces if i.port is not None}
    routes = [
        RouteConfig(prefix=route.to, port=ports[_way_to(interfaces, route.via)], via=route.via)
        for route in plan.topology.switches[switch].routes
    ]
    far = [_far_end(plan, interface) for interface in interfaces]
    return SwitchConfig(
        name=switch,
        address=address,
        device_id=plan.device_id(switch),
        ports=[PortConfig(port=ports[i.name], mac=i.mac, addresses=list(i.addresses)) for i in interfaces],
        routes=routes,
        neighbours=[NeighbourConfig(address=a.ip, mac=i.mac) for i in far for a in i.addresses],
    )


def _far_end(plan: Plan, interface: Interface) -> Interface:
    link = next(link for link in plan.links if interface in link.ends)
    return link.ends[1] if link.ends[0] == interface else link.ends[0]
