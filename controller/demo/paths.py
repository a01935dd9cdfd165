# SPDX-License-Identifier: Apache-2.0
"""Section 2: which way the packets went, by port counters and captures; and that no server is heard too
early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.demo.context import TO_BACKBONE, TO_CLIENT, A, B, Demo
from controller.demo.pcap import TcpPacket, read_tcp
from controller.demo.web import CLIENT
from controller.scenario.netns import InterfaceCounters, interface_counters
from controller.scenario.wire import ACK, SYN

Counters = Mapping[tuple[str, int], InterfaceCounters]


def port_counters(demo: Demo) -> Counters:
    """The counters of the switches' interfaces, by (switch, port)."""
    found = {}
    for switch in (A, B):
        counters = interface_counters(demo.lab.netns(switch))
        for port in (TO_CLIENT, TO_BACKBONE):
            found[switch, port] = counters[demo.interface(switch, port)]
    return found


def run(demo: Demo, before: Counters) -> None:
    """Looks at the traffic of section 1; `before`: the counters when it began."""
    demo.report.section("2. Each direction crosses one PoP, and the server never speaks too early")
    counters = {key: value - before[key] for key, value in port_counters(demo).items()}
    captures = {
        (switch, port, direction): read_tcp(demo.capture(switch, port, direction))
        for switch in (A, B)
        for port in (TO_CLIENT, TO_BACKBONE)
        for direction in ("in", "out")
    }
    _asymmetry(demo, counters, captures)
    _barrier(demo, captures[A, TO_BACKBONE, "out"], captures[B, TO_BACKBONE, "in"])


def _asymmetry(
    demo: Demo, counters: Counters, captures: Mapping[tuple[str, int, str], list[TcpPacket]]
) -> None:
    at_a = len(captures[A, TO_CLIENT, "in"]), len(captures[A, TO_BACKBONE, "out"])
    at_b = len(captures[B, TO_CLIENT, "in"]), len(captures[B, TO_BACKBONE, "out"])
    demo.report.check(
        "client → server: only through a",
        min(at_a) > 0
        and at_b == (0, 0)
        and counters[A, TO_CLIENT].rx_bytes > 100 * counters[B, TO_CLIENT].rx_bytes,
        tcp_packets_into_a=at_a[0],
        tcp_packets_a_to_server=at_a[1],
        tcp_packets_into_b=at_b[0],
        tcp_packets_b_to_server=at_b[1],
        port_bytes_into_a=counters[A, TO_CLIENT].rx_bytes,
        port_bytes_into_b=counters[B, TO_CLIENT].rx_bytes,
    )
    own = captures[A, TO_CLIENT, "out"]
    foreign = [packet for packet in own if packet.flags != SYN | ACK or packet.length]
    from_server = len(captures[A, TO_BACKBONE, "in"]), len(captures[B, TO_BACKBONE, "in"])
    back = counters[A, TO_BACKBONE].rx_bytes, counters[B, TO_BACKBONE].rx_bytes
    demo.report.check(
        "server → client: only through b; a sends the client nothing but its own SYN/ACKs",
        from_server[0] == 0 and from_server[1] > 0 and not foreign and back[1] > 100 * back[0],
        tcp_packets_from_server_into_a=from_server[0],
        tcp_packets_from_server_into_b=from_server[1],
        payload_bytes_b_to_client=sum(packet.length for packet in captures[B, TO_CLIENT, "out"]),
        syn_acks_a_to_client=len(own) - len(foreign),
        other_packets_a_to_client=len(foreign),
        port_bytes_from_server_into_a=back[0],
        port_bytes_from_server_into_b=back[1],
    )


@dataclass(frozen=True)
class Barrier:
    """The order of one connection's handshake, in Unix time: when b had its session, when a released the
    ACK.
    """

    client_port: int
    confirmed: float
    released: float
    right_numbers: bool
    """Whether what a released is ACK(x+1, r+1) to the server's SYN/ACK(r, x+1)."""

    @property
    def margin_ms(self) -> float:
        """Milliseconds from the confirmation to the release; negative: too early."""
        return (self.released - self.confirmed) * 1000


class Opening(NamedTuple):
    """The beginning of a connection as a sent it to the server: SYN(x), then the packet released first."""

    syn: TcpPacket
    released: TcpPacket | None


def openings(a_out: Iterable[TcpPacket]) -> dict[tuple[str, int], Opening]:
    """The latest connection of each client (address, port): clients use a port again soon, as kernels do."""
    found: dict[tuple[str, int], Opening] = {}
    for packet in a_out:
        key = packet.source, packet.source_port
        known = found.get(key)
        if packet.flags & SYN:
            if known is None or known.syn.seq != packet.seq:
                found[key] = Opening(packet, None)
        elif known is not None and known.released is None:
            found[key] = Opening(known.syn, packet)
    return found


def barriers(
    sessions: Iterable[Mapping[str, Any]], a_out: Iterable[TcpPacket], b_in: Iterable[TcpPacket]
) -> tuple[list[Barrier], int]:
    """Sets each session's timeline beside the captures: what a sent to the server, what came from it to b.

    Returns the connections found in both, and how many sessions lack something: a timeline, SYN and
    release in a's capture, or the server's SYN/ACK in b's.
    """
    begun = openings(a_out)
    answers = {(p.destination, p.destination_port, p.ack): p for p in b_in if p.flags == SYN | ACK}
    found, missing = [], 0
    for session in sessions:
        key = session["client"], session["client_port"]
        confirmed = (session["timeline"] or {}).get("confirmed", {}).get(B)
        opening = begun.get(key)
        answer = answers.get((*key, (opening.syn.seq + 1) % 2**32)) if opening is not None else None
        if confirmed is None or opening is None or opening.released is None or answer is None:
            missing += 1
            continue
        first = opening.released
        right = first.seq == answer.ack and first.ack == (answer.seq + 1) % 2**32
        found.append(Barrier(key[1], confirmed, first.time, right))
    return found, missing


def _barrier(demo: Demo, a_out: list[TcpPacket], b_in: list[TcpPacket]) -> None:
    sessions = demo.lab.api("/api/sessions?limit=10000")["sessions"]
    clients = set(demo.lab.plan.nodes[CLIENT].addresses)
    found, missing = barriers((s for s in sessions if s["client"] in clients), a_out, b_in)
    margins = sorted(barrier.margin_ms for barrier in found)
    demo.report.check(
        "the barrier: the stored ACK leaves a only after b has confirmed the session",
        bool(found) and missing == 0 and margins[0] > 0 and all(barrier.right_numbers for barrier in found),
        connections=len(found),
        without_evidence=missing,
        released_too_early=sum(margin <= 0 for margin in margins),
        shortest_margin_ms=round(margins[0], 3) if margins else None,
        median_margin_ms=round(margins[len(margins) // 2], 3) if margins else None,
    )
