# SPDX-License-Identifier: Apache-2.0
"""Makes and removes what a plan says: namespaces, veth pairs, addresses, routes, kernel settings."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, netns  # type: ignore[import-untyped]  # pyroute2 has no type information
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from controller.lab.errors import LabError
from controller.lab.order import keep_order
from controller.lab.plan import Interface, Link, Node, Plan
from controller.lab.processes import NETNS_DIR

_LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000

SIOCETHTOOL = 0x8946
# linux/ethtool.h. Each would let a frame on the veth carry an unfinished checksum or be larger than the MTU:
# a switch that reads raw frames, and a capture, would see packets that no real wire carries.
ETHTOOL_SRXCSUM, ETHTOOL_STXCSUM, ETHTOOL_STSO = 0x15, 0x17, 0x1F
ETHTOOL_SGSO, ETHTOOL_SGRO = 0x24, 0x2C
OFFLOADS = (ETHTOOL_SGRO, ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM)
IFF_NOARP = 0x80
IFA_F_NODAD, IFA_F_TENTATIVE = 0x02, 0x40
ADDRESSES_TIMEOUT = 5.0


class NetworkError(LabError):
    """The kernel refused a part of the network: one line that says which part, and why."""


def existing_namespaces(names: Iterable[str]) -> list[str]:
    """Which of these namespaces are there already."""
    return [name for name in names if (NETNS_DIR / name).exists()]


def build(plan: Plan, *, offloads: bool = False, in_order: bool = False) -> None:
    """Makes the whole network of a plan, with checksum and segmentation offloads left on or switched off, and
    with interfaces that keep the order of packets (`keep_order`) or as veth pairs are.

    Raises NetworkError; what was made until then stays (see `remove`).
    """
    for node in plan.nodes.values():
        _checked(f"namespace {node.netns}", _create_namespace, node.netns)
        _inside(node.netns, partial(_set_sysctls, node))
    for link in plan.links:
        _inside(plan.nodes[link.ends[0].node].netns, partial(_make_link, plan, link))
    for node in plan.nodes.values():
        interfaces = [interface.name for interface in node.interfaces]
        if not offloads:
            _inside(node.netns, partial(no_offloads, interfaces))
        if in_order:
            _inside(node.netns, partial(keep_order, interfaces))
        _inside(node.netns, partial(_configure, node))
    for node in plan.nodes.values():
        if any(":" in address for address in node.addresses) and not node.is_switch:
            _inside(node.netns, partial(_await_addresses, node))


def remove(namespaces: Iterable[str]) -> None:
    """Removes these namespaces, and with them their interfaces. Those that are not there are passed over."""
    for name in namespaces:
        if (NETNS_DIR / name).exists():
            _checked(f"namespace {name}", netns.remove, name)


def _create_namespace(name: str) -> None:
    def create() -> None:
        if _LIBC.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        netns.attach(name, "thread-self")

    _in_thread(create)


def _make_link(plan: Plan, link: Link) -> None:
    first, second = link.ends
    where = [plan.nodes[end.node].netns for end in link.ends]
    peer = {"ifname": second.name, "address": second.mac, "mtu": second.mtu, "net_ns_fd": where[1]}
    with IPRoute() as handle:
        _checked(
            f"link from {first.name} in {where[0]} to {second.name} in {where[1]}",
            handle.link,
            "add",
            ifname=first.name,
            kind="veth",
            address=first.mac,
            mtu=first.mtu,
            peer=peer,
        )


def _configure(node: Node) -> None:
    with IPRoute() as handle:
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
    request: dict[str, Any] = {"address": str(address.ip), "prefixlen": address.network.prefixlen}
    if address.version == 6:
        request["flags"] = IFA_F_NODAD  # usable at once
    _checked(what, handle.addr, "add", index=index, **request)


def _await_addresses(node: Node) -> None:
    """The kernel makes IPv6 addresses usable in a work queue of its own, soon after the link is up."""
    end = time.monotonic() + ADDRESSES_TIMEOUT
    with IPRoute() as handle:
        while any(entry["flags"] & IFA_F_TENTATIVE for entry in handle.get_addr(family=socket.AF_INET6)):
            if time.monotonic() > end:
                raise NetworkError(
                    f"{node.netns}: its IPv6 addresses are not usable after {ADDRESSES_TIMEOUT:g} s"
                )
            time.sleep(0.01)


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


def no_offloads(interfaces: Iterable[str]) -> None:
    """Switches the offloads of these interfaces of the current namespace off. Raises NetworkError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for interface, command in itertools.product(interfaces, OFFLOADS):
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


def _inside(namespace: str, work: Callable[[], None]) -> None:
    """Runs `work` within a namespace."""

    def enter() -> None:
        netns.setns(namespace, flags=0)
        work()

    _in_thread(enter)


def _in_thread(work: Callable[[], None]) -> None:
    """Runs `work` in a thread of its own, which may change its namespace: that is a property of the thread.

    Never in a forked child, as pyroute2 would by itself: a child inherits the signal handlers and `except`
    clauses of a caller that takes its lab down when it is interrupted, and would do so.
    """
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _checked(what: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        call(*args, **kwargs)
    except NetlinkError as error:
        raise NetworkError(f"{what}: {error.args[1] if len(error.args) > 1 else error}") from None
    except OSError as error:
        raise NetworkError(f"{what}: {error.strerror or error}") from None
