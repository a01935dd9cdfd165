# SPDX-License-Identifier: Apache-2.0
"""Checks of frames that a kernel leaves to its network card to cut up, as `port_checks` runs its own:
`python -m tests.runtime.large_frames CHECK LIBRARY FOLDER`. The folder says in `counter` which id the
program's counter has."""

from __future__ import annotations

import random
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from controller.lab.network import no_offloads
from controller.scenario import wire
from softswitch.engine import Engine
from tests.runtime.large_programs import (
    ANSWER,
    CLONE,
    DROP,
    FORWARD,
    PUNT,
    READ,
    RECIRCULATE,
    SHRINK,
    WRAP,
)
from tests.runtime.port_checks import ETH_P_ALL, SOL_PACKET, ip, main, make_pair

PACKET_VNET_HDR = 15
NEEDS_CSUM, TCPV4, TCPV6 = 1, 1, 4
SIZE = 1400
MOVED = 0x01020304
TAGGED = b"\x81\0\0\7"


@dataclass(frozen=True)
class Large:
    """A frame with some segments' payload in it."""

    port: int
    version: int = 4
    tag: bytes = b""
    segments: int = 5

    @property
    def payload(self) -> bytes:
        """The last segment is shorter than the others, and odd."""
        return random.Random(self.port).randbytes(SIZE * (self.segments - 1) + 77)

    @property
    def frame(self) -> bytes:
        """With a right checksum."""
        addresses = ("198.18.0.1", "198.18.0.2") if self.version == 4 else ("2001:db8::1", "2001:db8::2")
        segment = wire.Segment(
            *addresses,
            40000,
            self.port,
            wire.parse_flags("PAF"),
            0xFFFFF000,
            7,
            options=wire.Options(timestamps=(1, 2)),
            payload=self.payload,
        )
        frame = wire.build(segment, source_mac=bytes(6), destination_mac=bytes(6))
        return frame[:12] + self.tag + frame[12:]

    def send(self, sender: socket.socket) -> None:
        """As a kernel does: only the pseudo header is in the checksum."""
        frame = self.frame
        start = 14 + len(self.tag) + (20 if self.version == 4 else 40)
        kind = TCPV4 if self.version == 4 else TCPV6
        head = struct.pack("=BBHHHH", NEEDS_CSUM, kind, start + 32, SIZE, start, 16)
        sender.send(head + frame[: start + 16] + pseudo(frame, start) + frame[start + 18 :])


def pseudo(frame: bytes, start: int) -> bytes:
    """The sum of the pseudo header of TCP at `start`, which a kernel leaves in the checksum's place."""
    addresses = frame[start - 8 : start] if start < 14 + 40 else frame[start - 32 : start]
    total = 0xFFFF ^ wire.checksum(addresses + struct.pack("!HH", 6, len(frame) - start))
    return struct.pack("!H", total)


class Bench:
    """A switch between two cables, and sockets at their far ends that see what a card would be told."""

    def __init__(self, library: Path, pcap: Path | None = None) -> None:
        make_pair("s1", "h1")
        make_pair("s2", "h2")
        self.engine = Engine(library)
        self.engine.add_port(1, "s1", pcap)
        self.engine.add_port(2, "s2", pcap)
        self.engine.start(1)
        self.near, self.far = (self._socket(name) for name in ("h1", "h2"))

    @staticmethod
    def _socket(interface: str) -> socket.socket:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        s.bind((interface, ETH_P_ALL))
        s.settimeout(3)
        return s

    def received(self, at: socket.socket, n: int) -> list[tuple[bytes, bytes]]:
        """The next n frames that somebody else sent, each behind its virtio_net_hdr."""
        found: list[tuple[bytes, bytes]] = []
        while len(found) < n:
            data, address = at.recvfrom(1 << 17)
            if address[2] != socket.PACKET_OUTGOING:
                found.append((data[:10], data[10:]))
        return found

    def nothing(self, at: socket.socket) -> bool:
        """Whether nothing more arrives."""
        at.settimeout(0.2)
        try:
            return not self.received(at, 1)
        except TimeoutError:
            return True
        finally:
            at.settimeout(3)

    def punted(self, n: int) -> list[bytes]:
        """The next n packet-ins."""
        found: list[bytes] = []
        deadline = time.monotonic() + 3
        while len(found) < n and time.monotonic() < deadline:
            found += [event.payload for event in self.engine.wait_events(100)]
        return found


def check_segments(large: Large, frames: list[bytes], seq: int) -> None:
    """What the wire would carry: right checksums, the payload in order, flags where they belong."""
    at = 0
    assert len(frames) == large.segments
    for number, frame in enumerate(frames):
        assert len(frame) <= 1514 + len(large.tag)
        assert frame[12 : 12 + len(large.tag)] == large.tag
        segment = wire.parse(frame[:12] + frame[12 + len(large.tag) :])
        assert segment is not None
        assert segment.seq == (seq + at) & 0xFFFFFFFF
        last = number + 1 == large.segments
        assert segment.flags == wire.parse_flags("PAF" if last else "A")
        assert segment.payload == large.payload[at : at + SIZE]
        at += SIZE


def check_whole(large: Large, head: bytes, frame: bytes, seq: int, options: int = 12) -> None:
    """One large frame, whose checksum a card would finish and which it would cut up."""
    start = 14 + len(large.tag) + (20 if large.version == 4 else 40)
    kind = TCPV4 if large.version == 4 else TCPV6
    assert struct.unpack("=BBHHHH", head)[:2] == (NEEDS_CSUM, kind)
    assert struct.unpack("=BBHHHH", head)[3:] == (SIZE, start, 16)
    assert frame[start + 16 : start + 18] == pseudo(frame, start)
    bare = frame[: start + 16] + b"\0\0" + frame[start + 18 :]
    rest = struct.pack("!H", wire.checksum(pseudo(frame, start) + bare[start:]))
    finished = frame[: start + 16] + rest + frame[start + 18 :]
    segment = wire.parse(finished[:12] + finished[12 + len(large.tag) :])
    assert segment is not None
    assert (segment.seq, segment.payload) == (seq & 0xFFFFFFFF, large.payload)
    assert frame[start + 12] >> 4 == 5 + options // 4


def whole_where_it_makes_no_difference(library: Path, _folder: Path) -> None:
    """A flow's first large frame is cut up, the next ones go whole; IPv4, IPv6, with a tag and without."""
    bench = Bench(library)
    for version in (4, 6):
        for tag in (b"", TAGGED):
            large = Large(FORWARD, version, tag)
            large.send(bench.near)
            frames = [frame for _, frame in untagged(bench.received(bench.far, large.segments), tag)]
            check_segments(large, frames, 0xFFFFF000 + MOVED)
            for _ in range(3):
                large.send(bench.near)
                [(head, frame)] = untagged(bench.received(bench.far, 1), tag)
                check_whole(large, head, frame, 0xFFFFF000 + MOVED)
    bench.engine.close()


def untagged(frames: list[tuple[bytes, bytes]], tag: bytes) -> list[tuple[bytes, bytes]]:
    """Frames as they are on the wire: the kernel may have taken the tag out of the bytes again."""
    done = []
    for head, frame in frames:
        if tag and frame[12:14] != tag[:2]:
            fields = list(struct.unpack("=BBHHHH", head))
            fields[4] += 4 if fields[0] & NEEDS_CSUM else 0
            head, frame = struct.pack("=BBHHHH", *fields), frame[:12] + tag + frame[12:]
        done.append((head, frame))
    return done


def headers_may_shrink(library: Path, _folder: Path) -> None:
    """Options that the program takes out are gone from every segment, whether it is cut up here or there."""
    bench = Bench(library)
    for version in (4, 6):
        large = Large(SHRINK, version)
        large.send(bench.near)
        check_segments(large, [frame for _, frame in bench.received(bench.far, large.segments)], 0xFFFFF000)
        large.send(bench.near)
        [(head, frame)] = bench.received(bench.far, 1)
        check_whole(large, head, frame, 0xFFFFF000, options=0)
    bench.engine.close()


def the_kernel_finishes_them(library: Path, _folder: Path) -> None:
    """The kernel cuts up what went whole where the port has no offloads: every segment is right."""
    bench = Bench(library)
    no_offloads(["s2"])
    for port, seq in ((FORWARD, 0xFFFFF000 + MOVED), (SHRINK, 0xFFFFF000)):
        for version in (4, 6):
            for tag in (b"", TAGGED):
                large = Large(port, version, tag)
                for _ in range(3):
                    large.send(bench.near)
                    frames = untagged(bench.received(bench.far, large.segments), tag)
                    check_segments(large, [frame for _, frame in frames], seq)
    bench.engine.close()


def the_control_plane_gets_segments(library: Path, _folder: Path) -> None:
    """Punted and cloned frames are what the wire would have carried, each time."""
    bench = Bench(library)
    assert bench.engine.clone_set(7, [(510, 1)], 0) == 0
    for _ in range(2):
        Large(PUNT).send(bench.near)
        check_segments(Large(PUNT), bench.punted(5), 0xFFFFF000)
        Large(CLONE).send(bench.near)
        check_segments(Large(CLONE), bench.punted(5), 0xFFFFF000)
        check_segments(Large(CLONE), [f for _, f in bench.received(bench.far, 5)], 0xFFFFF000)
    assert bench.engine.stats().packet_in_dropped == 0
    bench.engine.close()


def a_flow_that_is_cloned_from_now_on(library: Path, _folder: Path) -> None:
    """The frame is cut up and goes through again as soon as the control plane has a part in it."""
    bench = Bench(library)
    large = Large(CLONE)
    large.send(bench.near)
    bench.received(bench.far, 5)
    large.send(bench.near)
    check_whole(large, *bench.received(bench.far, 1)[0], seq=0xFFFFF000)
    assert bench.engine.clone_set(7, [(510, 1)], 0) == 0
    large.send(bench.near)
    check_segments(large, bench.punted(5), 0xFFFFF000)
    check_segments(large, [frame for _, frame in bench.received(bench.far, 5)], 0xFFFFF000)
    assert bench.nothing(bench.far)
    bench.engine.close()


def other_ways_are_gone_by_segment(library: Path, _folder: Path) -> None:
    """Recirculated, encapsulated, summed to the last byte, captured: never whole."""
    bench = Bench(library)
    for _ in range(2):
        for port in (RECIRCULATE, READ):
            Large(port).send(bench.near)
            check_segments(Large(port), [f for _, f in bench.received(bench.far, 5)], 0xFFFFF000)
        Large(WRAP).send(bench.near)
        check_segments(Large(WRAP), [f[14:] for _, f in bench.received(bench.far, 5)], 0xFFFFF000)
        Large(DROP).send(bench.near)
    assert bench.nothing(bench.far)
    bench.engine.close()


def captures_show_the_wire(library: Path, folder: Path) -> None:
    """Neither capture has a frame that a wire would not carry."""
    bench = Bench(library, folder)
    for _ in range(2):
        Large(FORWARD).send(bench.near)
        check_segments(Large(FORWARD), [f for _, f in bench.received(bench.far, 5)], 0xFFFFF000 + MOVED)
    bench.engine.close()
    for name, seq in (("s1_in", 0xFFFFF000), ("s2_out", 0xFFFFF000 + MOVED)):
        data, frames = (folder / f"{name}.pcap").read_bytes()[24:], []
        while data:
            length = struct.unpack_from("=I", data, 8)[0]
            frames.append(data[16 : 16 + length])
            data = data[16 + length :]
        check_segments(Large(FORWARD), frames[:5], seq)
        check_segments(Large(FORWARD), frames[5:], seq)


def answers_are_small_and_finished(library: Path, _folder: Path) -> None:
    """What a program makes of a large frame, and cuts, leaves with the checksum that the program gave it."""
    bench = Bench(library)
    Large(ANSWER).send(bench.near)
    for head, frame in bench.received(bench.near, 5):
        assert (head[0] & NEEDS_CSUM, head[1], len(frame), frame[50:52]) == (0, 0, 66, b"\x12\x34")
    Large(ANSWER).send(bench.near)
    [(head, frame)] = bench.received(bench.near, 1)
    assert (head[0] & NEEDS_CSUM, head[1], len(frame), frame[50:52]) == (0, 0, 66, b"\x12\x34")
    bench.engine.close()


def counters_count_segments(library: Path, folder: Path) -> None:
    """Whole or cut up, the counters say what the wire would have carried."""
    bench = Bench(library)
    large = Large(FORWARD)
    seen = int((folder / "counter").read_text())
    for times in (1, 2, 3):
        large.send(bench.near)
        bench.received(bench.far, large.segments if times == 1 else 1)
        counted = bench.engine.counter_read(seen, 0)
        assert counted == (times * 5, times * (len(large.payload) + 5 * 66)), counted
    bench.engine.close()


def segments_must_fit_the_port(library: Path, _folder: Path) -> None:
    """A port with a smaller MTU takes neither the frame nor its segments, and counts them."""
    bench = Bench(library)
    Large(FORWARD).send(bench.near)
    bench.received(bench.far, 5)
    ip("link", "set", "s2", "mtu", "1400")
    Large(FORWARD).send(bench.near)
    assert bench.nothing(bench.far)
    stats = bench.engine.port_stats(2)
    assert stats is not None
    assert (stats.tx_packets, stats.tx_dropped) == (5, 1)
    bench.engine.close()


def datagrams_are_cut_up(library: Path, _folder: Path) -> None:
    """UDP_SEGMENT of a sending program: separate datagrams with right checksums."""
    bench = Bench(library)
    ip("addr", "add", "198.18.0.1/24", "dev", "h1")
    ip("neigh", "add", "198.18.0.2", "lladdr", "02:00:00:00:00:09", "dev", "h1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_UDP, 103, 1000)
        sender.sendto(bytes(range(250)) * 10, ("198.18.0.2", FORWARD))
    sizes: list[int] = []
    while len(sizes) < 3:
        [(_, frame)] = bench.received(bench.far, 1)
        if frame[12:14] != b"\x08\0" or frame[23] != 17:
            continue
        datagram = frame[34 : 34 + int.from_bytes(frame[38:40], "big")]
        assert wire.checksum(frame[14:34]) == 0
        assert wire.checksum(frame[26:34] + struct.pack("!HH", 17, len(datagram)) + datagram) == 0
        sizes.append(len(datagram) - 8)
    assert sizes == [1000, 1000, 500]
    bench.engine.close()


CHECKS = [
    whole_where_it_makes_no_difference,
    headers_may_shrink,
    the_kernel_finishes_them,
    the_control_plane_gets_segments,
    a_flow_that_is_cloned_from_now_on,
    other_ways_are_gone_by_segment,
    captures_show_the_wire,
    answers_are_small_and_finished,
    counters_count_segments,
    segments_must_fit_the_port,
    datagrams_are_cut_up,
]


if __name__ == "__main__":
    main(CHECKS)
