# SPDX-License-Identifier: Apache-2.0
"""Where a host's own routing would send a packet: interface and MAC addresses, for frames that bypass its
TCP/IP stack.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

from pyroute2 import IPRoute  # type: ignore[import-untyped]  # pyroute2 has no type information

from controller.scenario.netns import call_in, family_of, mac_of

_RESOLVE_SECONDS = 3.0


@dataclass(frozen=True)
class NextHop:
    """An interface of a host, its own MAC and the MAC of the neighbour that the route leads to (6 bytes
    each).
    """

    interface: str
    source_mac: bytes
    destination_mac: bytes


class UnreachableError(RuntimeError):
    """The host has no route there, or the next hop answers nobody who asks for it."""


def next_hop(netns: str, destination: str) -> NextHop:
    """The next hop from `netns` towards `destination`; asks for the neighbour when it is not known yet."""
    interface, gateway = call_in(netns, lambda: _route(netns, destination))
    end = time.monotonic() + _RESOLVE_SECONDS
    while True:
        mac = call_in(netns, lambda: _neighbour(interface, gateway))
        if mac is not None:
            return NextHop(interface, mac_of(netns, interface), mac)
        if time.monotonic() > end:
            raise UnreachableError(f"{netns}: the next hop {gateway} on {interface} does not answer")
        call_in(netns, lambda: _provoke_question(gateway))
        time.sleep(0.05)


def _route(netns: str, destination: str) -> tuple[str, str]:
    with IPRoute() as ipr:
        try:
            (route,) = ipr.route("get", dst=destination)
        except Exception as error:
            raise UnreachableError(f"{netns}: no route to {destination}: {error}") from error
        interface = str(ipr.get_links(route.get_attr("RTA_OIF"))[0].get_attr("IFLA_IFNAME"))
        return interface, str(route.get_attr("RTA_GATEWAY") or destination)


def _neighbour(interface: str, gateway: str) -> bytes | None:
    with IPRoute() as ipr:
        index = ipr.link_lookup(ifname=interface)[0]
        for entry in ipr.get_neighbours(family=family_of(gateway), ifindex=index):
            mac = entry.get_attr("NDA_LLADDR")
            if entry.get_attr("NDA_DST") == gateway and mac and mac != "00:00:00:00:00:00":
                return bytes.fromhex(mac.replace(":", ""))
    return None


def _provoke_question(gateway: str) -> None:
    with socket.socket(family_of(gateway), socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.sendto(b"", (gateway, 9))
