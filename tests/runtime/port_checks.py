# SPDX-License-Identifier: Apache-2.0
"""Checks of ports on real interfaces. Each runs as a process of its own in a network namespace of its own,
which
vanishes with it: `python -m tests.runtime.port_checks CHECK LIBRARY FOLDER`."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from softswitch.engine import Engine, EngineError

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8


def ip(*arguments: str) -> None:
    """Runs `ip`."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def make_pair(a: str, b: str, mtu: int = 1500) -> None:
    """Two interfaces, up, as the ends of a cable."""
    ip("link", "add", a, "type", "veth", "peer", "name", b)
    for name in (a, b):
        ip("link", "set", name, "mtu", str(mtu), "up")
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")


def tap(interface: str) -> socket.socket:
    """A raw socket on an interface."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((interface, 0))
    s.settimeout(3)
    return s


def receive(s: socket.socket) -> bytes:
    """The next frame that somebody else sent."""
    while True:
        frame, address = s.recvfrom(1 << 16)
        if address[2] != socket.PACKET_OUTGOING:
            return frame


def frame(payload: bytes, ethertype: int = 0x88B5) -> bytes:
    """An Ethernet frame of at least 60 bytes."""
    return (bytes(6) + b"\x02\0\0\0\0\1" + ethertype.to_bytes(2, "big") + payload).ljust(60, b"\0")


def started(
    library: Path, pcap: Path | None = None, mtu: int = 1500
) -> tuple[Engine, socket.socket, socket.socket]:
    """A switch with two ports, and what hangs on them."""
    make_pair("s1", "h1", mtu)
    make_pair("s2", "h2", mtu)
    engine = Engine(library)
    engine.add_port(1, "s1", pcap)
    engine.add_port(2, "s2", pcap)
    engine.start(1)
    return engine, tap("h1"), tap("h2")


def forwards(library: Path, folder: Path) -> None:
    """Frames go through both ways; ports count; captures are there at once."""
    engine, h1, h2 = started(library, folder)
    h1.send(frame(b"one"))
    assert receive(h2)[14:17] == b"one"
    h2.send(frame(b"two"))
    assert receive(h1)[14:17] == b"two"
    stats = engine.port_stats(1)
    assert stats is not None
    assert (stats.up, stats.rx_packets, stats.tx_packets, stats.rx_bytes) == (True, 1, 1, 60)
    data = (folder / "s1_in.pcap").read_bytes()
    assert struct.unpack("=IHH", data[:8]) == (0xA1B23C4D, 2, 4)
    assert data[24 + 16 :] == frame(b"one")
    deadline = time.monotonic() + 3
    while len((folder / "s1_out.pcap").read_bytes()) < 24 + 16 + 60 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (folder / "s1_out.pcap").read_bytes()[24 + 16 :] == frame(b"two")
    engine.close()


def keeps_tags(library: Path, _folder: Path) -> None:
    """An 802.1Q tag, which the kernel takes out of the frame's bytes, is put back."""
    engine, h1, h2 = started(library)
    h2.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    h1.send(frame(b"\0\7\x88\xb5tagged", 0x8100))
    while True:
        data, control, _, address = h2.recvmsg(2048, 256)
        if address[2] != socket.PACKET_OUTGOING and b"tagged" in data:
            break
    if data[12:14] == b"\x81\0":
        assert data[14:16] == b"\0\7"
    else:  # taken out again on the receiving side, and told apart from the frame
        [aux] = [value for level, kind, value in control if (level, kind) == (SOL_PACKET, PACKET_AUXDATA)]
        assert struct.unpack_from("=IIIHHHH", aux)[5] == 7
    engine.close()


def jumbo(library: Path, _folder: Path) -> None:
    """Frames of 9216 bytes."""
    engine, h1, h2 = started(library, mtu=9216 - 14)
    big = frame(os.urandom(9216 - 14))
    assert len(big) == 9216
    h1.send(big)
    assert receive(h2) == big
    engine.close()


def finishes_checksums(library: Path, _folder: Path) -> None:
    """A kernel that leaves UDP checksums to its card gets them computed."""
    engine, _h1, h2 = started(library)
    ip("addr", "add", "198.18.0.1/24", "dev", "h1")
    ip("neigh", "add", "198.18.0.2", "lladdr", "02:00:00:00:00:09", "dev", "h1")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"odd", ("198.18.0.2", 9))
    while (data := receive(h2))[12:14] != b"\x08\x00":
        pass
    segment = data[34 : 14 + int.from_bytes(data[16:18], "big")]
    pseudo = data[26:34] + b"\0\x11" + len(segment).to_bytes(2, "big") + segment + b"\0" * (len(segment) % 2)
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
    engine.close()


def survives_a_vanishing_interface(library: Path, _folder: Path) -> None:
    """The other ports go on, and the switch does not spin."""
    engine, h1, _h2 = started(library)
    make_pair("s3", "h3")
    engine.stop()
    engine.add_port(3, "s3")
    engine.start(1)
    ip("link", "del", "s2")
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.25
    stats = engine.port_stats(2)
    assert stats is not None
    assert not stats.up
    h1.send(frame(b"x"))  # towards the port that is gone
    deadline = time.monotonic() + 3
    while engine.stats().processed < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.stats().processed >= 1
    h3 = tap("h3")
    h3.send(frame(b"to one"))
    assert receive(h1)[14:20] == b"to one"
    engine.close()


def says_what_is_wrong(library: Path, _folder: Path) -> None:
    """One line per reason."""
    make_pair("s1", "h1")
    engine = Engine(library)
    engine.add_port(1, "s1")
    for port, name, expected in (
        (2, "nothing", "does not exist"),
        (511, "lo", "must be below"),
        (1, "s1", "twice"),
    ):
        assert expected in refusal(engine, port, name)
    engine.close()


def refusal(engine: Engine, port: int, interface: str) -> str:
    """Why a port is not taken; "" if it is."""
    try:
        engine.add_port(port, interface)
    except EngineError as error:
        return str(error)
    return ""


def two_threads(library: Path, _folder: Path) -> None:
    """Two data-plane threads share the ports; nothing is lost or doubled."""
    make_pair("s1", "h1")
    make_pair("s2", "h2")
    engine = Engine(library)
    engine.add_port(1, "s1")
    engine.add_port(2, "s2")
    engine.start(2)
    h1, h2 = tap("h1"), tap("h2")
    for i in range(200):
        h1.send(frame(i.to_bytes(2, "big"), 0x8000 + i))
    seen = sorted(int.from_bytes(receive(h2)[14:16], "big") for _ in range(200))
    assert seen == list(range(200))
    engine.close()


def says_when_it_is_behind(library: Path, _folder: Path) -> None:
    """Frames that come faster than they are taken make a thread say so, until there are none any more."""
    engine, h1, _ = started(library)
    assert not engine.behind()
    deadline = time.monotonic() + 20
    while not engine.behind():
        assert time.monotonic() < deadline
        for _ in range(200):
            h1.send(frame(b"more"))
    while engine.behind():
        assert time.monotonic() < deadline
    engine.close()


CHECKS = [
    forwards,
    keeps_tags,
    jumbo,
    finishes_checksums,
    survives_a_vanishing_interface,
    says_what_is_wrong,
    two_threads,
    says_when_it_is_behind,
]


def main(checks: Sequence[Callable[[Path, Path], None]]) -> None:
    """Runs one check in a new network namespace."""
    name, library, folder = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")
    next(check for check in checks if check.__name__ == name)(Path(library), Path(folder))


if __name__ == "__main__":
    main(CHECKS)
