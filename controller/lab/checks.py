# SPDX-License-Identifier: Apache-2.0
"""What no single key of a topology can see: names that must exist, addresses that must fit together."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from controller.config import socket_text
from controller.config_errors import Problem
from controller.config_values import IpAddress, IpInterface, IpNetwork
from controller.lab.model import Host, Switch, Topology
from controller.lab.names import LAST_PORT, LONGEST_INTERFACE, End, switch_interface

CONTROLLER = "controller"
"""The process that every lab has besides its switches; others are controller-2 and so on."""

NATS = "nats"
"""The NATS server of a lab with a federation; others are nats-2 and so on."""

_SMALLEST_MTU_V6 = 1280  # RFC 8200 section 5


def check(topology: Topology) -> list[Problem]:
    """All contradictions of a topology whose keys are right one by one."""
    return [
        *_names(topology),
        *_ends(topology),
        *_networks(topology),
        *_addresses(topology),
        *_routes(topology),
        *_services(topology),
        *_sysctls(topology),
    ]


def _names(topology: Topology) -> Iterator[Problem]:
    for name in topology.switches:
        if name in topology.hosts:
            yield Problem(f"switches.{name}", f"a host is also named {name}; each name may be used once")
    for kind, names in (("hosts", topology.hosts), ("switches", topology.switches)):
        for name in names:
            if name in (CONTROLLER, NATS) or name.startswith((f"{CONTROLLER}-", f"{NATS}-")):
                yield Problem(f"{kind}.{name}", f"{name} is a reserved name; use another")
    seen: set[int] = set()
    for name, switch in topology.switches.items():
        if switch.device_id is not None and switch.device_id in seen:
            yield Problem(
                f"switches.{name}.device_id", f"{switch.device_id} is used twice; each must be different"
            )
        if switch.device_id is not None:
            seen.add(switch.device_id)


def _ends(topology: Topology) -> Iterator[Problem]:
    first: dict[End, int] = {}
    for index, link in enumerate(topology.links):
        ends = [end for end, _ in link.parsed_ends()]
        for end in ends:
            where = f"links[{index}].ends.{end}"
            if end in first:
                yield Problem(
                    where, f"{end} is an end of links[{first[end]}] already; a cable has two ends of its own"
                )
            first.setdefault(end, index)
            if text := _wrong_end(topology, end):
                yield Problem(where, text)
        if ends[0].node == ends[1].node:
            yield Problem(
                f"links[{index}].ends", f"both ends are at {ends[0].node}; link two different nodes"
            )


def _wrong_end(topology: Topology, end: End) -> str | None:
    if end.node in topology.hosts:
        return "lo is the loopback interface; use another name such as eth0" if end.label == "lo" else None
    if end.node not in topology.switches:
        known = f"hosts: {', '.join(topology.hosts)}; switches: {', '.join(topology.switches)}"
        return f"there is no host or switch {end.node}; {known}"
    # No leading zeros: a:1 and a:01 would be two ends of one port.
    if not end.label.isdecimal() or str(int(end.label)) != end.label or not 1 <= int(end.label) <= LAST_PORT:
        return f"{end.label} is not a port number; give 1 to {LAST_PORT}, such as {end.node}:1"
    name = switch_interface(end.node, end.label)
    if len(name) > LONGEST_INTERFACE:
        return (
            f"interface {name} has more than {LONGEST_INTERFACE} characters; give the switch a shorter name"
        )
    return None


def _networks(topology: Topology) -> Iterator[Problem]:
    """Both ends of a link are in one network, and no node has the same network at two links."""
    at_node: dict[str, list[tuple[IpNetwork, int]]] = {}
    for index, link in enumerate(topology.links):
        (first, left), (second, right) = link.parsed_ends()
        for version in (4, 6):
            ours, theirs = ([a for a in end if a.version == version] for end in (left, right))
            far = {address.network for address in theirs}
            if ours and theirs and not far.intersection(address.network for address in ours):
                text = (
                    f"{first} {ours[0]} and {second} {theirs[0]} are not in one network; "
                    "give both the same prefix"
                )
                yield Problem(f"links[{index}].ends", text)
        if link.mtu < _SMALLEST_MTU_V6 and any(a.version == 6 for a in (*left, *right)):
            text = f"{link.mtu} is too small for IPv6; give at least {_SMALLEST_MTU_V6}, or no IPv6 address"
            yield Problem(f"links[{index}].mtu", text)
        if first.node == second.node:
            continue
        for end, addresses in link.parsed_ends():
            for network in dict.fromkeys(address.network for address in addresses):
                for other, at in at_node.get(end.node, []):
                    if network.overlaps(other):
                        text = (
                            f"{network} overlaps {other} of links[{at}]; give each link of {end.node} its own"
                        )
                        yield Problem(f"links[{index}].ends.{end}", text)
            at_node.setdefault(end.node, []).extend((address.network, index) for address in addresses)


def _addresses(topology: Topology) -> Iterator[Problem]:
    """Each address is used once."""
    first: dict[IpAddress, str] = {}
    for where, address in _all_addresses(topology):
        if address.ip in first:
            yield Problem(
                where, f"{address.ip} is used at {first[address.ip]} already; each address may be used once"
            )
        first.setdefault(address.ip, where)


def _all_addresses(topology: Topology) -> Iterator[tuple[str, IpInterface]]:
    for name, host in topology.hosts.items():
        for index, address in enumerate(host.addresses):
            yield f"hosts.{name}.addresses[{index}]", address
    for index, link in enumerate(topology.links):
        for end, addresses in link.parsed_ends():
            for address in addresses:
                yield f"links[{index}].ends.{end}", address


def _routes(topology: Topology) -> Iterator[Problem]:
    nodes: list[tuple[str, str, Host | Switch]] = [
        *((f"hosts.{name}", name, host) for name, host in topology.hosts.items()),
        *((f"switches.{name}", name, switch) for name, switch in topology.switches.items()),
    ]
    for where, name, node in nodes:
        networks = [
            a.network
            for link in topology.links
            for e, own in link.parsed_ends()
            if e.node == name
            for a in own
        ]
        seen: set[IpNetwork] = set()
        for index, route in enumerate(node.routes):
            if not any(route.via in network for network in networks):
                links = ", ".join(map(str, networks)) or "none"
                text = (
                    f"no link of {name} reaches {route.via}; give an address in one of its networks: {links}"
                )
                yield Problem(f"{where}.routes[{index}].via", text)
            if route.to in seen:
                yield Problem(
                    f"{where}.routes[{index}].to", f"{name} has a route to {route.to} already; give one"
                )
            seen.add(route.to)
    yield from _sources(topology)


def _sources(topology: Topology) -> Iterator[Problem]:
    for name, host in topology.hosts.items():
        own = addresses_of(topology, name)
        known = ", ".join(map(str, own)) or "none"
        for index, route in enumerate(host.routes):
            if route.source is not None and route.source not in own:
                text = f"{route.source} is no address of {name}; its addresses: {known}"
                yield Problem(f"hosts.{name}.routes[{index}].source", text)


def _services(topology: Topology) -> Iterator[Problem]:
    names: dict[str, int] = {}
    places: dict[tuple[IpAddress, int], int] = {}
    for index, service in enumerate(topology.services):
        where = f"services[{index}]"
        if service.name in names:
            yield Problem(
                f"{where}.name", f"the same as services[{names[service.name]}]; each must be different"
            )
        place = (service.address, service.port)
        if place in places:
            text = f"{socket_text(*place)} is services[{places[place]}] already; each must be different"
            yield Problem(f"{where}.port", text)
        if service.run is not None and (complaint := _wrong_command(service.run)):
            yield Problem(f"{where}.run", complaint)
        names.setdefault(service.name, index)
        places.setdefault(place, index)
        if service.host not in topology.hosts:
            text = f"there is no host {service.host}; hosts: {', '.join(topology.hosts)}"
            yield Problem(f"{where}.host", text)
        elif service.address not in (own := addresses_of(topology, service.host)):
            known = ", ".join(map(str, own)) or "none"
            text = f"{service.address} is no address of {service.host}; its addresses: {known}"
            yield Problem(f"{where}.address", text)


def _wrong_command(command: str) -> str | None:
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"{command!r}: {str(error).lower()}; give a command and its arguments as in a shell"
    return None if words else "empty; give a command and its arguments, or leave the key out"


def _sysctls(topology: Topology) -> Iterator[Problem]:
    for name, host in topology.hosts.items():
        for key in host.sysctls:
            if not key.startswith("net.") or "/" in key:
                text = "not a setting of a network namespace; give one whose name begins with net."
                yield Problem(f"hosts.{name}.sysctls.{key}", text)


def addresses_of(topology: Topology, host: str) -> list[IpAddress]:
    """A host's own addresses, those of the loopback first."""
    linked = [
        a for link in topology.links for end, own in link.parsed_ends() if end.node == host for a in own
    ]
    return [address.ip for address in [*topology.hosts[host].addresses, *linked]]
