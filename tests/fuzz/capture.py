# SPDX-License-Identifier: Apache-2.0
"""python -m tests.fuzz.capture (root): makes the captures that the fuzzer mutates anew.

In a lab of its own (network.yaml) kernels talk through a switch: with and without options, with loss, through
narrow links, to closed ports, into nowhere. What came in at the two ports of the switch is thinned to a few
frames of each shape, and lies in captures/ as a pcap for each port. (802.1Q tags are added by the fuzzer: few
kernels of test machines have them.)
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.demo.pcap import read_frames
from controller.lab.lab import Lab
from controller.scenario.netns import call_in, family_of
from controller.scenario.rawport import write_pcap
from controller.scenario.servers import TcpServer
from controller.scenario.steps.kernel import loss_rules

HERE = Path(__file__).resolve().parent
CAPTURES = {1: HERE / "captures" / "client.pcap", 2: HERE / "captures" / "server.pcap"}
"""By port of the switch."""
MAX_BYTES = 180_000
"""Of both files."""
OF_EACH_SHAPE = 3

CLIENT = ("198.18.1.2", "2001:db8::c612:102")
SERVER = ("203.0.113.80", "2001:db8::cb00:7150")
STRICT, RESET, PLAIN, CLOSED = 80, 81, 22, 9
FIRST_SESSION, STRANGER = 40000, 50000
"""Client ports: 40000 to 40015 are those of sessions in the fuzzed switch (setup.py), odd ones over IPv6."""
IPPROTO_MPTCP, TCP_MD5SIG = 262, 14
PAUSE_S = 0.5
"""Until a client uses a port again: by then its session is known to have ended."""
MESSAGE = bytes(range(256)) * 2


class Traffic:
    """Connections from the client to the server over one version of IP."""

    def __init__(self, lab: Lab, version: int) -> None:
        self.lab = lab
        self.version = version
        self.source, self.target = CLIENT[version], SERVER[version]
        self.next_stranger = STRANGER + 1000 * version
        self.used: dict[int, float] = {}

    def open(self, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A socket of the client's."""
        family = family_of(self.target)
        made = call_in(self.lab.netns("client"), lambda: socket.socket(family, kind, protocol))
        made.settimeout(10)
        return made

    def stranger(self) -> int:
        """A client port that no session has."""
        self.next_stranger += 1
        return self.next_stranger

    @contextmanager
    def connected(self, source_port: int, port: int, protocol: int = 0) -> Iterator[socket.socket]:
        """A connection."""
        time.sleep(max(0.0, self.used.get(source_port, 0.0) + PAUSE_S - time.monotonic()))
        with self.open(protocol=protocol) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.source, source_port))
            made.connect((self.target, port))
            yield made
        self.used[source_port] = time.monotonic()

    def sessions(self) -> Iterator[tuple[int, int]]:
        """Client and server port of each of the fuzzed switch's sessions of this version."""
        for number in range(self.version, 16, 2):
            yield FIRST_SESSION + number, RESET if number % 3 == 0 else STRICT

    def echo(self, source_port: int, port: int, protocol: int = 0, size: int = len(MESSAGE)) -> None:
        """A connection that sends, reads all of it back, and ends in order."""
        with self.connected(source_port, port, protocol) as link:
            sent = 0
            while sent < size:
                part = MESSAGE[: size - sent]
                link.sendall(part)
                sent += len(part)
                while part and (more := len(link.recv(len(part)))):
                    part = part[more:]
            link.shutdown(socket.SHUT_WR)
            while link.recv(4096):
                pass

    # --- kinds of traffic -----------------------------------------------------------------------------------

    def plain(self) -> None:
        """Short connections: of each session, of strangers, and to a port that is not protected."""
        for client_port, port in [*self.sessions(), (self.stranger(), STRICT), (self.stranger(), PLAIN)]:
            self.echo(client_port, port)

    def kinds_of_options(self) -> None:
        """Clients whose options differ, and a server whose do."""
        for settings in (
            {"tcp_timestamps": 0},
            {"tcp_sack": 0},
            {"tcp_window_scaling": 0},
            {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0},
            {"tcp_ecn": 1},
        ):
            with self.sysctls("client", settings):
                for client_port, port in list(self.sessions())[:3]:
                    self.echo(client_port, port)
                self.echo(self.stranger(), STRICT)
        with contextlib.suppress(OSError):  # a kernel without it
            self.echo(self.stranger(), STRICT, IPPROTO_MPTCP)
        self.fast_open()
        self.signed()

    def fast_open(self) -> None:
        """A SYN with data (RFC 7413)."""
        with self.open() as link:
            link.setblocking(True)
            link.sendto(MESSAGE, socket.MSG_FASTOPEN, (self.target, STRICT))
            link.recv(10)

    def signed(self) -> None:
        """A SYN with an MD5 signature (RFC 2385), which a switch cannot splice: it is not accepted."""
        with self.open() as link:
            family = family_of(self.target)
            address = struct.pack("=H", family) + struct.pack("!H", STRICT)
            if family == socket.AF_INET6:
                address += bytes(4)
            address += socket.inet_pton(family, self.target)
            key = struct.pack("=128sBBHi80s", address, 0, 0, 6, 0, b"secret")
            link.settimeout(1)
            with contextlib.suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, key)
                link.connect((self.target, STRICT))

    def ends(self) -> None:
        """A RST, urgent data, a half-close, keep-alives, a refusal, a segment that nobody knows any more."""
        (first, port), (second, other), *_ = self.sessions()
        with self.connected(first, port) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.sendall(MESSAGE)
        with self.connected(second, other) as link:
            link.send(b"!", socket.MSG_OOB)
            link.sendall(MESSAGE)
            link.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
        with self.connected(self.stranger(), STRICT) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            time.sleep(2.5)
        with contextlib.suppress(ConnectionError), self.connected(self.stranger(), CLOSED):
            raise RuntimeError("a closed port took a connection")

    def loss(self) -> None:
        """Repairs with SACK blocks, over links that lose."""
        for percent in (4, 0):
            for host in ("client", "server"):
                self.nft(host, loss_rules(percent))
            if percent:
                for client_port, port in list(self.sessions())[:2]:
                    self.echo_fast(client_port, port, 1 << 20)

    def echo_fast(self, source_port: int, port: int, size: int) -> None:
        """A connection that is echoed while it sends."""
        with self.connected(source_port, port) as link:
            link.settimeout(20)
            data, received = memoryview(bytes(size)), 0
            link.setblocking(False)
            end = time.monotonic() + 20
            while received < size:
                if time.monotonic() > end:
                    raise RuntimeError(f"only {received} of {size} bytes came back")
                with contextlib.suppress(BlockingIOError):
                    data = data[link.send(data[: 1 << 16]) :]
                with contextlib.suppress(BlockingIOError):
                    received += len(link.recv(1 << 16))

    def narrow(self) -> None:
        """Routers whose next link takes 1280 bytes: "too big" quotes segments of sessions."""
        family = "-6" if self.version else "-4"
        for router, interface, host in (("edge", "eth0", self.source), ("rack", "eth1", self.target)):
            self.ip(router, family, "route", "add", host, "dev", interface, "mtu", "lock", "1280")
            for client_port, port in list(self.sessions())[2:4]:
                self.echo_fast(client_port, port, 200_000)
            self.ip(router, family, "route", "del", host, "dev", interface)
            for node in ("client", "server"):
                self.ip(node, family, "route", "flush", "cache")

    def errors(self) -> None:
        """Packets that run out of hops, find no port, no host; datagrams in fragments."""
        option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if self.version else (0, socket.IP_TTL)
        client_port, port = list(self.sessions())[4]
        with self.connected(client_port, port) as link:
            link.setsockopt(*option, 3)
            link.sendall(MESSAGE)
            time.sleep(0.5)
        with self.open(socket.SOCK_DGRAM) as link:
            for size in (1, 3000, 5000):
                link.sendto(bytes(size), (self.target, CLOSED))
        client_port, port = list(self.sessions())[3]
        with self.connected(client_port, port) as link:
            self.ip("server", "link", "set", "eth0", "down")
            self.ip("rack", "neigh", "flush", "dev", "eth1")
            link.sendall(MESSAGE)
            time.sleep(4)
            self.ip("server", "link", "set", "eth0", "up")
        for node in ("server",):  # what the interface forgot when it went down
            self.ip(node, "addr", "replace", f"{SERVER[1]}/120", "dev", "eth0", "nodad")
            self.ip(node, "route", "replace", "default", "via", "203.0.113.1")
            self.ip(node, "-6", "route", "replace", "default", "via", "2001:db8::cb00:7101")

    # --- the hosts ------------------------------------------------------------------------------------------

    def ip(self, node: str, *arguments: str) -> None:
        """ip(8) on a host."""
        done = self.lab.run(node, ["ip", *arguments], timeout=10)
        if done.returncode != 0:
            raise RuntimeError(f"{node}: ip {' '.join(arguments)}: {done.stderr.strip()}")

    def nft(self, host: str, rules: str) -> None:
        """Rules for a host."""
        done = self.lab.run(host, ["sh", "-c", 'echo "$0" | nft -f -', rules], timeout=10)
        if done.returncode != 0:
            raise RuntimeError(f"{host}: nft: {done.stderr.strip()}")

    @contextmanager
    def sysctls(self, host: str, settings: dict[str, int]) -> Iterator[None]:
        """Settings of a host's TCP, for a while."""

        def write(values: dict[str, int]) -> dict[str, int]:
            before = {}
            for name, value in values.items():
                path = Path("/proc/sys/net/ipv4", name)
                before[name] = int(path.read_text())
                path.write_text(str(value))
            return before

        before = call_in(self.lab.netns(host), lambda: write(settings))
        yield
        call_in(self.lab.netns(host), lambda: write(before))


def capture() -> None:
    """The whole of it, into `CAPTURES`."""
    lab = Lab.up(HERE / "network.yaml", pcap=True)
    try:
        with contextlib.ExitStack() as stack:
            for address in SERVER:
                for port in (STRICT, RESET, PLAIN):
                    stack.enter_context(contextlib.closing(TcpServer(lab.netns("server"), address, port)))
            for version in (0, 1):
                traffic = Traffic(lab, version)
                kinds: list[Callable[[], None]] = [traffic.plain, traffic.kinds_of_options, traffic.ends]
                kinds += [traffic.loss, traffic.narrow, traffic.errors]
                for kind in kinds:
                    print(f"{CLIENT[version]}: {kind.__name__}")
                    kind()
    finally:
        lab.down()
    for port, path in CAPTURES.items():
        frames = thinned(read_frames(lab.pcap_dir / f"s-eth{port}_in.pcap"))
        write_pcap(path, frames)
        print(f"{path.name}: {len(frames)} frames, {path.stat().st_size} bytes")
    if sum(path.stat().st_size for path in CAPTURES.values()) > MAX_BYTES:
        raise SystemExit(f"more than {MAX_BYTES} bytes: too many shapes")


def thinned(frames: Iterator[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """The first frames of each shape, at most one of full size of each."""
    seen: Counter[object] = Counter()
    chosen = []
    for moment, frame in frames:
        what = shape(frame)
        if seen[what] < (1 if len(frame) > 300 else OF_EACH_SHAPE):
            seen[what] += 1
            chosen.append((moment, frame))
    return chosen


def shape(frame: bytes) -> tuple[object, ...]:
    """What makes a frame another one than others: protocols, flags, kinds of options, a session's or not."""
    ethertype, ip = frame[12:14], frame[14:]
    if ethertype == b"\x08\x00":
        protocol, payload, where = ip[9], ip[(ip[0] & 15) * 4 :], ip[6] & 0x3F
    elif ethertype == b"\x86\xdd":
        protocol, payload, where = ip[6], ip[40:], 0
    else:
        return (ethertype,)
    large = len(frame) > 300
    head: tuple[object, ...] = ethertype, protocol, where, large
    if protocol == 6 and where & 0x1F == 0:
        ports = () if large else map(role, struct.unpack_from("!HH", payload))
        return *head, payload[13], tuple(kinds(payload[20 : (payload[12] >> 4) * 4])), *ports
    return *head, payload[:2] if protocol in (1, 58) else b""


def role(port: int) -> int:
    """A port, but all of strangers are one."""
    return min(port, STRANGER)


def kinds(options: bytes) -> Iterator[tuple[int, int]]:
    """Kind and length of each TCP option."""
    at = 0
    while at < len(options) and options[at] != 0:
        size = 1 if options[at] == 1 else max(2, options[at + 1])
        yield options[at], size
        at += size


if __name__ == "__main__":
    capture()
