# SPDX-License-Identifier: Apache-2.0
"""What the fuzzed switch is told: the tests' small network with sessions, as a file for main.c."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path

from softswitch.engine import FLAG_DEFAULT
from tests.p4src.network import (
    CLIENT,
    EVEN,
    ODD,
    SERVER,
    SERVER_PORT,
    SWITCH_CLIENT_ADDRESS,
    V4,
    V6,
    Network,
    Service,
)
from tests.p4src.softswitch_target import SoftswitchTarget

RESET_PORT = 81
"""The service that answers unknown segments with a RST; SERVER_PORT's drops them."""
FIRST_CLIENT_PORT = 40000
SESSIONS = 16
SHIFTS = (0, 3, 0x82, 14)


class SetupFile(SoftswitchTarget):
    """Keeps the entries that it is given as bytes."""

    def __init__(self, program: Path) -> None:
        super().__init__(program)
        self.entries = b""

    def _put(
        self, op: int, table: int, key: bytes, mask: bytes | None, action: int, params: bytes, flags: int
    ) -> int:
        head = struct.pack("=6I", op, table, action, flags & FLAG_DEFAULT, len(key), len(params))
        self.entries += head + key + (mask or b"") + params
        return 0


def _session(number: int) -> tuple[int, ...]:
    """IPv6, both ports, and what the entry says; every fourth one is closing."""
    return (
        number % 2,
        FIRST_CLIENT_PORT + number,
        RESET_PORT if number % 3 == 0 else SERVER_PORT,
        0x9E3779B9 * (number + 1) & 0xFFFFFFFF,
        0x85EBCA6B * number & 0xFFFFFFFF,
        SHIFTS[number // 2 % 4],
        SHIFTS[number // 4 % 4],
        int(number % 8 >= 6),
    )


def _both(address: str) -> bytes:
    return b"".join(ip_address(wire.address(address)).packed.ljust(16, b"\0") for wire in (V4, V6))


def setup(program: Path) -> bytes:
    """The setup file for a program: what main.c's `network` holds, its sessions, and all entries."""
    target = SetupFile(program)
    Network(target).install()
    second = Service(service_id=8, reset_unknown=1, window_scale=15, timestamps=0)
    head = b"".join(_both(address) for address in (CLIENT, SERVER, SWITCH_CLIENT_ADDRESS))
    for epoch in (EVEN, ODD):
        head += struct.pack("=3I", epoch.k0, epoch.k1, epoch.number)
    for wire in (V4, V6):
        key: dict[str, int | str] = {"server": wire.address(SERVER), "server_port": RESET_PORT}
        target.insert("services" + wire.suffix, key, "protect", **vars(second))
        target.insert("service_sources" + wire.suffix, key, "served", **second.served())
    sessions = b""
    for number in range(SESSIONS):
        session = _session(number)
        sessions += struct.pack("=9I", *session, 0)
        v6, client_port, server_port, delta, tau, to_client, to_server, phase = session
        wire = V6 if v6 else V4
        target.insert(
            "sessions" + wire.suffix,
            {
                "client": wire.address(CLIENT),
                "server": wire.address(SERVER),
                "client_port": client_port,
                "server_port": server_port,
            },
            "translate",
            delta=delta,
            tau=tau,
            to_client_shift=to_client,
            to_server_shift=to_server,
            phase=phase,
            version=1,
            isn=0,
            cookie=0,
        )
    target.close()
    return head + struct.pack("=I", SESSIONS) + sessions + target.entries
