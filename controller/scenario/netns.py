# SPDX-License-Identifier: Apache-2.0
"""Sockets and counters inside named network namespaces, from this very process.

A socket belongs for its whole life to the namespace of the thread that made it. So a short-lived thread
enters the namespace (setns(2) acts on the calling thread alone), makes the socket and ends; the socket is
used from anywhere.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_NETNS_DIRECTORY = "/run/netns"
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4

_libc = ctypes.CDLL(None, use_errno=True)


def call_in(netns: str, function: Callable[[], T]) -> T:
    """Calls `function` in a thread that is inside namespace `netns` and returns its result or raises its
    exception.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            _enter(netns)
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body, name=f"netns {netns}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(netns: str) -> None:
    descriptor = os.open(f"{_NETNS_DIRECTORY}/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter network namespace {netns}")
    finally:
        os.close(descriptor)


def family_of(address: str) -> socket.AddressFamily:
    """AF_INET6 for an IPv6 address, else AF_INET."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp_socket(netns: str, address: str) -> socket.socket:
    """A TCP socket that lives in `netns`, of the version of IP of `address`."""
    return call_in(netns, lambda: socket.socket(family_of(address), socket.SOCK_STREAM))


def packet_socket(netns: str, *, receive_buffer: int = 64 << 20) -> socket.socket:
    """An AF_PACKET socket in `netns` that sees all interfaces of it; `receive_buffer` in bytes.

    Frames that this host itself sends are seen too: their address carries PACKET_OUTGOING (packet(7)).
    """

    def make() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        return sock

    return call_in(netns, make)


def packet_socket_losses(sock: socket.socket) -> int:
    """Frames that the kernel could not hand to this packet socket since the last call (packet(7),
    PACKET_STATISTICS).
    """
    _, dropped = struct.unpack("II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(dropped)


@dataclass(frozen=True)
class InterfaceCounters:
    """Counters of one interface since it was made, as in /proc/net/dev."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_dropped: int = 0

    def __sub__(self, earlier: InterfaceCounters) -> InterfaceCounters:
        return InterfaceCounters(
            self.rx_bytes - earlier.rx_bytes,
            self.rx_packets - earlier.rx_packets,
            self.rx_dropped - earlier.rx_dropped,
            self.tx_bytes - earlier.tx_bytes,
            self.tx_packets - earlier.tx_packets,
            self.tx_dropped - earlier.tx_dropped,
        )


def interface_counters(netns: str) -> dict[str, InterfaceCounters]:
    """Counters of every interface in `netns`, by name."""

    def read() -> str:
        with open("/proc/thread-self/net/dev", encoding="ascii") as file:
            return file.read()

    return parse_net_dev(call_in(netns, read))


def parse_net_dev(text: str) -> dict[str, InterfaceCounters]:
    """The content of /proc/net/dev: two lines of headings, then `NAME: 8 receive figures 8 transmit
    figures`.
    """
    counters = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        figures = [int(word) for word in rest.split()]
        counters[name.strip()] = InterfaceCounters(
            figures[0], figures[1], figures[3], figures[8], figures[9], figures[11]
        )
    return counters


def mac_of(netns: str, interface: str) -> bytes:
    """The six bytes of an interface's MAC address."""

    def read() -> bytes:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind((interface, 0))
            address: bytes = sock.getsockname()[4]
            return address

    return call_in(netns, read)
