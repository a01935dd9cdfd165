# SPDX-License-Identifier: Apache-2.0
"""Many crafted ends on one host over a single packet socket: for runs with hundreds of connections."""

from __future__ import annotations

import ipaddress
import queue
import struct
import threading
from collections.abc import Collection

from controller.scenario import neighbours, wire
from controller.scenario.netns import PACKET_OUTGOING, packet_socket
from controller.scenario.nexthop import next_hop

_SNAP = 65535
Address = tuple[str, int]


class Line:
    """One end of one connection at a station. `local` and `remote` are (address, port)."""

    def __init__(self, station: Station, local: Address, remote: Address) -> None:
        self.local = local
        self.remote = remote
        self._station = station
        self.arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def send(
        self,
        flags: int,
        seq: int,
        ack: int = 0,
        *,
        window: int,
        options: wire.Options | None = None,
        payload: bytes = b"",
    ) -> None:
        """Sends a segment to the remote end; numbers mod 2^32, the window as it stands in the header."""
        self._station.send(
            wire.Segment(
                self.local[0],
                self.remote[0],
                self.local[1],
                self.remote[1],
                flags,
                seq & 0xFFFFFFFF,
                ack & 0xFFFFFFFF,
                window,
                options or wire.Options(),
                payload,
            )
        )

    def receive(self, within_s: float) -> wire.Segment | None:
        """The next segment from the remote end; None = none in time. MalformedError: a wrong checksum."""
        try:
            return wire.parse(self.arrived.get(timeout=within_s))
        except queue.Empty:
            return None


class Station:
    """The crafted ends of a host. It answers neighbours who ask for `addresses`, which no kernel should own;
    what it sends leaves by the host's route to `remote`, an address.
    """

    def __init__(self, netns: str, addresses: Collection[str], remote: str) -> None:
        self._addresses = addresses
        self._hop = next_hop(netns, remote)
        self._lines: dict[bytes, Line] = {}
        self._stopped = threading.Event()
        self._socket = packet_socket(netns)
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._run, name=f"station {netns}", daemon=True)
        self._thread.start()

    def line(self, local: Address, remote: Address) -> Line:
        """An end from `local` to `remote`; what arrives for it from now on is its own."""
        line = Line(self, local, remote)
        self._lines[_key(remote, local)] = line
        return line

    def left_over(self) -> list[tuple[Line, wire.Segment]]:
        """What has arrived and nobody has received."""
        found = []
        for line in list(self._lines.values()):
            while (segment := line.receive(0.001) if not line.arrived.empty() else None) is not None:
                found.append((line, segment))
        return found

    def send(self, segment: wire.Segment) -> None:
        """Sends a segment as it is."""
        frame = wire.build(
            segment, source_mac=self._hop.source_mac, destination_mac=self._hop.destination_mac
        )
        self._socket.sendto(frame, (self._hop.interface, 0))

    def close(self) -> None:
        """Ends it; nothing is sent."""
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                frame, address = self._socket.recvfrom(_SNAP)
            except TimeoutError:
                continue
            if address[2] == PACKET_OUTGOING:
                continue
            line = self._lines.get(_key_of(frame))
            if line is not None:
                line.arrived.put(frame)
            elif frame[20:21] != b"\x06" and frame[23:24] != b"\x06":
                self._answer(frame, address[0])

    def _answer(self, frame: bytes, interface: str) -> None:
        """Tells a neighbour where an address is, if it is what the frame asks for."""
        for own in self._addresses:
            if (reply := neighbours.answer(frame, own, self._hop.source_mac)) is not None:
                self._socket.sendto(reply, (interface, 0))


def _key(source: Address, destination: Address) -> bytes:
    """Addresses and ports as they lie in a frame."""
    packed = b"".join(ipaddress.ip_address(end[0]).packed for end in (source, destination))
    return packed + struct.pack("!HH", source[1], destination[1])


def _key_of(frame: bytes) -> bytes:
    """The same of a frame that arrived: IPv4 without options, or IPv6 without extension headers."""
    if frame[12:15] == b"\x08\x00\x45":
        return frame[26:38]
    return frame[22:58] if frame[12:14] == b"\x86\xdd" else b""
