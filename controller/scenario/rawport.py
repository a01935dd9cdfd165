# SPDX-License-Identifier: Apache-2.0
"""Crafted traffic and captures on a host of the lab, by packet sockets, beside its own TCP/IP stack."""

from __future__ import annotations

import contextlib
import queue
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.scenario import icmp, neighbours, wire
from controller.scenario.fragments import fragments
from controller.scenario.netns import PACKET_OUTGOING, packet_socket, packet_socket_losses
from controller.scenario.nexthop import next_hop
from controller.scenario.tags import receive_tagged, show_tags, tagged, untagged

_SNAP = 65535


class Endpoint:
    """One end of a crafted TCP connection: a local and a remote (address, port) on a host.

    The local address should be one that the host's kernel does not own, or the kernel answers too. The
    endpoint answers neighbours that ask for it. With `vlan`, what it sends has an
    802.1Q tag with this VLAN identifier, and only what has it too belongs to it; without, only what has none.
    """

    def __init__(
        self, netns: str, local: tuple[str, int], remote: tuple[str, int], *, vlan: int | None = None
    ) -> None:
        self.local = local
        self.remote = remote
        self._vlan = vlan
        self._hop = next_hop(netns, remote[0])
        self._arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._errors: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._socket = packet_socket(netns, receive_buffer=4 << 20)
        self._socket.settimeout(0.1)
        show_tags(self._socket)
        self._thread = threading.Thread(target=self._run, name=f"endpoint {local}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it; nothing is sent."""
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def send(self, segment: wire.Segment, *, pad_to: int = 0, fragment: int = 0) -> None:
        """Sends the segment as it is, out of the interface that the host's route to the remote end names;
        with `fragment` in fragments of at most so many bytes.
        """
        frame = wire.build(
            segment, source_mac=self._hop.source_mac, destination_mac=self._hop.destination_mac, pad_to=pad_to
        )
        for piece in fragments(frame, fragment) if fragment else [frame]:
            self._put(piece, self._hop.interface)

    def send_too_big(self, error: icmp.TooBig) -> None:
        """Sends an ICMP error the same way."""
        hop = self._hop
        self._put(
            icmp.build(error, source_mac=hop.source_mac, destination_mac=hop.destination_mac), hop.interface
        )

    def receive_error(self, within_s: float) -> bytes | None:
        """The next ICMP error to the local address, without a tag; None = none in time."""
        try:
            return self._errors.get(timeout=within_s)
        except queue.Empty:
            return None

    def receive(self, within_s: float) -> wire.Segment | None:
        """The next segment of this connection to arrive; None = none in time. MalformedError: a wrong
        checksum.
        """
        try:
            return wire.parse(self._arrived.get(timeout=within_s))
        except queue.Empty:
            return None

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                whole, address = receive_tagged(self._socket, _SNAP)
            except TimeoutError:
                continue
            frame = untagged(whole, self._vlan)
            if address[2] == PACKET_OUTGOING or frame is None:
                continue
            if (reply := neighbours.answer(frame, self.local[0], self._hop.source_mac)) is not None:
                self._put(reply, address[0])
            elif icmp.is_too_big(frame, self.local[0]):
                self._errors.put(frame)
            elif self._is_ours(frame):
                self._arrived.put(frame)

    def _put(self, frame: bytes, interface: str) -> None:
        self._socket.sendto(frame if self._vlan is None else tagged(frame, self._vlan), (interface, 0))

    def _is_ours(self, frame: bytes) -> bool:
        try:
            segment = wire.parse(frame, verify=False)
        except wire.MalformedError:
            return False
        return segment is not None and segment.flow == (*self.remote, *self.local)


@dataclass(frozen=True)
class Captured:
    """One TCP segment that arrived, with its arrival in Unix time."""

    time: float
    segment: wire.Segment


class Capture:
    """Everything that arrives at a host from its start on, kept in memory; loss of the capture itself is
    known.

    `pcap` writes the same frames to a file (nanosecond pcap).
    """

    def __init__(self, netns: str, *, pcap: Path | None = None) -> None:
        self._socket = packet_socket(netns)
        self._socket.settimeout(0.1)
        self._frames: list[tuple[float, bytes]] = []
        self._stopped = threading.Event()
        self._pcap = pcap
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name=f"capture {netns}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Takes what has arrived until now, then ends the capture and writes the file. Safe to repeat."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join()
        self.lost = packet_socket_losses(self._socket)
        self._socket.close()
        if self._pcap is not None:
            write_pcap(self._pcap, self._frames)

    def count(self, wanted: Callable[[wire.Segment], bool]) -> int:
        """How many TCP segments so far satisfy `wanted`."""
        return sum(1 for captured in self.segments() if wanted(captured.segment))

    def segments(self) -> list[Captured]:
        """All TCP segments so far, in order of arrival; checksums are not looked at."""
        found = []
        for moment, frame in list(self._frames):
            with contextlib.suppress(wire.MalformedError):
                segment = wire.parse(frame, verify=False)
                if segment is not None:
                    found.append(Captured(moment, segment))
        return found

    def _run(self) -> None:
        idle = False
        while not (idle and self._stopped.is_set()):
            try:
                frame, address = self._socket.recvfrom(_SNAP)
            except TimeoutError:
                idle = True
                continue
            idle = False
            if address[2] != PACKET_OUTGOING:
                self._frames.append((time.time(), frame))


def write_pcap(path: Path, frames: list[tuple[float, bytes]]) -> None:
    """A nanosecond pcap (magic a1b23c4d) of Ethernet frames with Unix times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _SNAP, 1))
        for moment, frame in frames:
            seconds = int(moment)
            file.write(
                struct.pack("=IIII", seconds, int((moment - seconds) * 1e9), len(frame), len(frame)) + frame
            )
