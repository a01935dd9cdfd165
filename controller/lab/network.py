# SPDX-License-Identifier: Apache-2.0
"""Makes and removes what a plan says: namespaces, veth pairs, addresses, routes, kernel settings."""

from __future__ import annotations

import array
import errno
import fcntl
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute, netns  # type: ignore[import-untyped]  # pyroute2 has no type information
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from controller.lab.plan import Interface, Link, Node, Plan
from controller.lab.processes import NETNS_DIR

T = TypeVar("T")

SIOCETHTOOL = 0x8946
# linux/ethtool.h. Each would let a frame on the veth carry an unfinished checksum or be larger than the MTU:
# a switch that reads raw frames, and a capture, would see packets that no real wire carries.
ETHTOOL_SRXCSUM, ETHTOOL_STXCSUM, ETHTOOL_STSO = 0x15, 0x17, 0x1F
ETHTOOL_SGSO, ETHTOOL_SGRO = 0x24, 0x2C
OFFLOADS = (ETHTOOL_SGRO, ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM)
IFF_NOARP = 0x80


class NetworkError(Exception):
    """The kernel refused a part of the network: one line that says which part, and why."""


def existing_namespaces(names: Iterable[str]) -> list[str]:
    """Which of these namespaces are there already."""
    return [name for name in names if (NETNS_DIR / name).exists()]


def build(plan: Plan) -> None:
    """Makes the whole network of a plan.

    Raises NetworkError; what was made until then stays (see `remove`).
    """
    for node in plan.nodes.values():
        _checked(f"namespace {node.netns}", netns.create, node.netns)
        _inside(node.netns, partial(_set_sysctls, node))
    with ExitStack() as stack:
        handles = {name: stack.enter_context(IPRoute(netns=node.netns)) for name, node in plan.nodes.items()}
        for link in plan.links:
            _make_link(plan, link, handles)
        for node in plan.nodes.values():
            _inside(node.netns, partial(_no_offloads, node))
            _configure(node, handles[node.name])


def remove(namespaces: Iterable[str]) -> None:
    """Removes these namespaces, and with them their interfaces. Those that are not there are passed over."""
    for name in namespaces:
        if (NETNS_DIR / name).exists():
            _checked(f"namespace {name}", netns.remove, name)


def _make_link(plan: Plan, link: Link, handles: dict[str, Any]) -> None:
    first, second = link.ends
    where = [plan.nodes[end.node].netns for end in link.ends]
    _checked(
        f"link from {first.name} in {where[0]} to {second.name} in {where[1]}",
        handles[first.node].link,
        "add",
        ifname=first.name,
        kind="veth",
        address=first.mac,
        mtu=first.mtu,
        peer={
            "ifname": second.name,
            "address": second.mac,
            "mtu": second.mtu,
            "net_ns_fd": where[1],
        },
    )


def _configure(node: Node, handle: Any) -> None:
    loopback = handle.link_lookup(ifname="lo")[0]
    handle.link("set", index=loopback, state="up")
    for address in node.loopback:
        _add_address(node, handle, loopback, "lo", address)
    for interface in node.interfaces:
        _configure_interface(node, interface, handle)
    for route in node.routes:
        request: dict[str, Any] = {"dst": str(route.destination), "gateway": str(route.via)}
        request["oif"] = handle.link_lookup(ifname=route.interface)[0]
        if route.source is not None:
            request["prefsrc"] = str(route.source)
        _checked(f"route to {route.destination} in {node.netns}", handle.route, "add", **request)


def _configure_interface(node: Node, interface: Interface, handle: Any) -> None:
    index = handle.link_lookup(ifname=interface.name)[0]
    if node.is_switch:
        # The switch process alone speaks on this wire; the kernel beneath has no address and stays silent.
        handle.link("set", index=index, flags=IFF_NOARP, change=IFF_NOARP)
    else:
        for address in interface.addresses:
            _add_address(node, handle, index, interface.name, address)
    _checked(f"interface {interface.name} in {node.netns}", handle.link, "set", index=index, state="up")


def _add_address(node: Node, handle: Any, index: int, interface: str, address: Any) -> None:
    what = f"address {address} on {interface} in {node.netns}"
    _checked(
        what, handle.addr, "add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen
    )


def _set_sysctls(node: Node) -> None:
    for key, value in node.sysctls.items():
        path = Path("/proc/sys", *key.split("."))
        try:
            path.write_text(value)
        except FileNotFoundError:
            if not key.startswith("net.ipv6."):  # a kernel without IPv6 is as quiet as it gets
                raise NetworkError(
                    f"{node.netns}: this kernel has no setting {key} for a namespace"
                ) from None
        except OSError as error:
            raise NetworkError(f"{node.netns}: {key} = {value}: {error.strerror}") from None


def _no_offloads(node: Node) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for interface, command in itertools.product((i.name for i in node.interfaces), OFFLOADS):
            value = array.array("I", [command, 0])
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError as error:
                if (
                    error.errno != errno.EOPNOTSUPP
                ):  # fixed in this kernel: then it is fixed to "off" on a veth
                    raise NetworkError(
                        f"{interface}: ethtool command {command:#x}: {error.strerror}"
                    ) from None


def _inside(namespace: str, work: Callable[[], T]) -> T:
    """Runs `work` within a namespace, in a thread of its own: the namespace is a property of the thread."""
    result: list[T] = []
    failure: list[Exception] = []

    def enter() -> None:
        try:
            netns.setns(namespace, flags=0)
            result.append(work())
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _checked(what: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        call(*args, **kwargs)
    except NetlinkError as error:
        raise NetworkError(f"{what}: {error.args[1] if len(error.args) > 1 else error}") from None
    except OSError as error:
        raise NetworkError(f"{what}: {error.strerror or error}") from None
