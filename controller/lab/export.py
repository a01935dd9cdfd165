# SPDX-License-Identifier: Apache-2.0
"""A plan as plain data for other emulators: commands to be run in each node, links, processes. Pure.

topologies/mininet_topo.py makes a Mininet network of it, in Mininet's own Python and without Syncline's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from controller.config_values import IpInterface
from controller.lab.plan import Interface, Node, Plan
from controller.lab.targets import Target, own_command, switch_command

NO_OFFLOADS = "import sys; from controller.lab.network import no_offloads; no_offloads(sys.argv[1:])"


def export(plan: Plan, target: Target, folder: Path) -> dict[str, Any]:
    """The nodes and links of a plan; sockets and the controller's configuration are in `folder`."""
    return {
        "name": plan.name,
        "hosts": {name: {"setup": _host_setup(node)} for name, node in plan.hosts.items()},
        "switches": {
            name: {
                "setup": _switch_setup(node),
                "run": switch_command(target, node, plan.device_id(name), folder / f"{name}.sock", None),
                "log": str(folder / f"{name}.log"),
            }
            for name, node in plan.switches.items()
        },
        "links": [{"ends": [_end(interface) for interface in link.ends]} for link in plan.links],
        "controller": {
            "run": own_command("controller", "--config", str(folder / "controller.yaml")),
            "log": str(folder / "controller.log"),
            "api": f"unix:{folder / 'controller.sock'}",
        },
    }


def _end(interface: Interface) -> dict[str, Any]:
    return {
        "node": interface.node,
        "interface": interface.name,
        "port": interface.port,
        "mac": interface.mac,
        "mtu": interface.mtu,
    }


def _host_setup(node: Node) -> list[list[str]]:
    """Commands within a host, in order: settings, addresses, links up, routes."""
    commands = _settings(node)
    commands.append(["ip", "link", "set", "lo", "up"])
    commands += [_add_address(address, "lo") for address in node.loopback]
    for interface in node.interfaces:
        # Mininet gives every host an address of its own choice.
        commands.append(["ip", "address", "flush", "dev", interface.name])
        commands += [_add_address(address, interface.name) for address in interface.addresses]
        commands.append(["ip", "link", "set", interface.name, "mtu", str(interface.mtu), "up"])
    commands.append(_no_offloads(node))
    for route in node.routes:
        command = ["ip", "route", "replace", str(route.destination), "via", str(route.via)]
        commands.append(command + (["src", str(route.source)] if route.source else []))
    return commands


def _add_address(address: IpInterface, interface: str) -> list[str]:
    command = ["ip", "address", "add", str(address), "dev", interface]
    return [*command, "nodad"] if address.version == 6 else command


def _switch_setup(node: Node) -> list[list[str]]:
    commands = _settings(node)
    commands += [
        ["ip", "link", "set", i.name, "mtu", str(i.mtu), "arp", "off", "up"] for i in node.interfaces
    ]
    return [*commands, _no_offloads(node)]


def _settings(node: Node) -> list[list[str]]:
    settings = [(value, "/proc/sys/" + key.replace(".", "/")) for key, value in node.sysctls.items()]
    return [["sh", "-c", 'echo "$0" > "$1"', value, path] for value, path in settings]


def _no_offloads(node: Node) -> list[str]:
    return [sys.executable, "-P", "-c", NO_OFFLOADS, *(interface.name for interface in node.interfaces)]
