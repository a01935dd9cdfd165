# SPDX-License-Identifier: Apache-2.0
"""Hosts that leave checksums and segmentation to their interfaces: what arrives behind a switch, when the
kernel there has to finish it, is what a wire would carry."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.lab.lab import Lab
from controller.lab.model import Topology
from controller.lab.network import no_offloads
from controller.scenario import wire
from controller.scenario.netns import (
    PACKET_OUTGOING,
    call_in,
    packet_socket,
    packet_socket_losses,
    tcp_socket,
)

PAYLOAD = random.Random(1).randbytes(3 << 20)
DUAL = {
    "name": "dual",
    "hosts": {
        "client": {
            "routes": [{"to": "default", "via": "198.18.1.1"}, {"to": "default", "via": "2001:db8:1::1"}]
        },
        "server": {
            "routes": [{"to": "default", "via": "203.0.113.1"}, {"to": "default", "via": "2001:db8:2::1"}]
        },
    },
    "switches": {"s": {"routes": [{"to": "default", "via": "198.18.1.2"}]}},
    "links": [
        {
            "ends": {
                "client:eth0": ["198.18.1.2/24", "2001:db8:1::2/64"],
                "s:1": ["198.18.1.1/24", "2001:db8:1::1/64"],
            }
        },
        {
            "ends": {
                "s:2": ["203.0.113.1/24", "2001:db8:2::1/64"],
                "server:eth0": ["203.0.113.10/24", "2001:db8:2::10/64"],
            }
        },
    ],
    "services": [
        {"name": "v4", "host": "server", "address": "203.0.113.10", "port": 80},
        {"name": "v6", "host": "server", "address": "2001:db8:2::10", "port": 80},
    ],
}

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: labs are made of namespaces"),
]


@pytest.fixture(scope="module")
def lab(build: Path) -> Iterator[Lab]:
    """One switch between two hosts, with both versions of IP."""
    made = Lab.up(Topology.model_validate(DUAL), name=f"t{os.getpid()}o", offloads=True)
    try:
        yield made
    finally:
        made.down()


def transfer(lab: Lab, address: str, port: int) -> None:
    """Sends the payload to the server and back, as fast as it goes."""
    with (
        tcp_socket(lab.netns("server"), address) as listener,
        tcp_socket(lab.netns("client"), address) as client,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        client.settimeout(10)
        client.connect((address, port))

        def echo() -> None:
            server, _ = listener.accept()
            with server:
                server.settimeout(10)
                while data := server.recv(1 << 18):
                    server.sendall(data)

        def send() -> None:
            client.sendall(PAYLOAD)
            client.shutdown(socket.SHUT_WR)

        echoing = threading.Thread(target=echo, daemon=True)
        echoing.start()
        sending = threading.Thread(target=send)
        sending.start()
        received = bytearray()
        while data := client.recv(1 << 18):
            received += data
        sending.join()
        echoing.join()
    assert received == PAYLOAD


def captured(lab: Lab, address: str, port: int) -> list[bytes]:
    """The TCP frames that arrive at either host meanwhile."""
    frames: list[bytes] = []
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(packet_socket(lab.netns(host))) for host in ("client", "server")]
        transfer(lab, address, port)
        for sock in sockets:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, about = sock.recvfrom(1 << 17)
                    if about[2] != PACKET_OUTGOING and wire.parse(frame, verify=False) is not None:
                        frames.append(frame)
            assert packet_socket_losses(sock) == 0
    return frames


def check(lab: Lab, port: int) -> None:
    """Large frames arrive while the switch's own interfaces let them pass; else segments, every one right."""
    for address in ("203.0.113.10", "2001:db8:2::10"):
        frames = captured(lab, address, port)
        assert max(map(len, frames)) > 20000


def check_finished(lab: Lab, port: int) -> None:
    """Every segment that the kernel made of them is right."""
    for address in ("203.0.113.10", "2001:db8:2::10"):
        frames = captured(lab, address, port)
        assert max(map(len, frames)) <= 1514
        assert len(frames) > 2 * len(PAYLOAD) // 1460
        for frame in frames:
            wire.parse(frame)


def test_what_arrives(lab: Lab) -> None:
    """Protected and merely routed; then the same with the offloads of the switch's interfaces off."""
    check(lab, 80)
    check(lab, 81)
    call_in(lab.netns("s"), lambda: no_offloads(["s-eth1", "s-eth2"]))
    check_finished(lab, 80)
    check_finished(lab, 81)
