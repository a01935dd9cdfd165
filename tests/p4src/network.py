# SPDX-License-Identifier: Apache-2.0
"""A small network around the switch under test: a client on port 1, a server behind port 2, one service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from .reference import (
    ACK,
    NO_SCALE,
    SYN,
    Epoch,
    Flow,
    Segment,
    Session,
    cookie,
    mss_index,
    routed,
    translate,
    v6,
)
from .target import Match, PacketIn, Result, SessionEvent, Target

CLIENT, CLIENT_PORT = "198.18.1.2", 40000
SERVER, SERVER_PORT = "203.0.113.80", 80
FLOW = Flow(CLIENT, CLIENT_PORT, SERVER, SERVER_PORT)

CLIENT_MAC, SWITCH_CLIENT_MAC = "02:00:00:00:0c:01", "02:00:00:00:05:01"
SERVER_MAC, SWITCH_SERVER_MAC = "02:00:00:00:0d:02", "02:00:00:00:05:02"
CLIENT_LINK, SERVER_LINK = 1, 2
SWITCH_CLIENT_ADDRESS = "198.18.1.1"
NEXT_HOP = "198.18.2.2"
TAG = 0xA005
"""An 802.1Q tag: priority 5, VLAN 5."""

EVEN = Epoch(1000, 0x03020100, 0x07060504)
ODD = Epoch(1001, 0x8BADF00D, 0xDEADBEEF)


@dataclass(frozen=True)
class Service:
    """What `services_v4` says of a service."""

    service_id: int = 7
    mss: int = 1460
    window_scale: int = 7
    sack: int = 1
    timestamps: int = 1
    window: int = 5840
    reset_unknown: int = 0
    mode: int = 0
    lenient: int = 0

    def served(self) -> dict[str, int]:
        """What `service_sources_v4` says of it."""
        return {"service_id": self.service_id, "mode": self.mode, "lenient": self.lenient}


class Drop:
    """Reasons of the counter `drops`."""

    MALFORMED_IP, MALFORMED_TCP, FRAGMENT, BAD_COOKIE, NO_KEY, SYN_RATE, PUNT_RATE, UNKNOWN_RST = range(1, 9)
    NO_ROUTE, NO_NEIGHBOUR, TTL, NOT_IP, STRAY, NOT_OURS, NO_PORT, EXTENSIONS, NOT_RELEASED = range(9, 18)
    FILLING, LAST_CONNECTION = 18, 19


class Event:
    """Cells of the counter `events`."""

    SYN_ANSWERED, PROVEN, SERVER_SYNACK, EARLY_RETURN, SYNACK_ACKNOWLEDGED, RESET_SENT = range(1, 7)
    ARP_ANSWERED, TO_SERVER, TO_CLIENT, FOLLOWING, ICMP_TRANSLATED, ND_ANSWERED = range(7, 13)


PROVEN, SERVER_SYNACK, EARLY_RETURN, FOLLOWING = 1, 2, 3, 4
PUNT_REASONS = 8
"""Meter cells per service."""
EMIT, ARRIVE, ROUTE = 0, 1, 2


def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


@dataclass(frozen=True)
class Wire:
    """What carries the segments of a test, which are written down over IPv4 and without a tag."""

    ipv6: bool = False
    tag: int | None = None

    @property
    def suffix(self) -> str:
        """Of the tables concerned."""
        return "_v6" if self.ipv6 else "_v4"

    def address(self, address: str) -> str:
        """An address's counterpart."""
        return v6(address) if self.ipv6 else address

    def carry(self, segment: Segment) -> Segment:
        """A segment's counterpart."""
        source, destination = self.address(segment.source), self.address(segment.destination)
        return replace(segment, source=source, destination=destination, tag=self.tag)


V4, V6, TAGGED_V4, TAGGED_V6 = Wire(), Wire(ipv6=True), Wire(tag=TAG), Wire(ipv6=True, tag=TAG)
on_every_wire = pytest.mark.parametrize(
    "wire", [V4, V6, TAGGED_V6], ids=["v4", "v6", "v6-tagged"], indirect=True
)
"""For tests whose segments may be carried by any."""


@dataclass
class Network:
    """The switch under test with its neighbours, and what is expected of it."""

    target: Target
    wire: Wire = V4
    service: Service = field(default_factory=Service)

    def install(self) -> None:
        """Ports, routes, neighbours, the service, keys of both epochs with the even one current."""
        self.install_ports()
        for wire in (V4, V6):
            self.install_addresses(wire)
        for epoch in (EVEN, ODD):
            self.install_key(epoch)
        self.target.set_default("cookie_epoch", "set_epoch", parity=EVEN.parity)

    def install_ports(self) -> None:
        """Their MAC addresses."""
        for port, mac in ((CLIENT_LINK, SWITCH_CLIENT_MAC), (SERVER_LINK, SWITCH_SERVER_MAC)):
            self.target.insert("ports", {"port": port}, "set_source_mac", mac=_mac(mac))

    def install_addresses(self, wire: Wire) -> None:
        """Routes, neighbours and the service, of one IP version."""
        target, to, suffix = self.target, wire.address, wire.suffix
        for address, mac in ((CLIENT, CLIENT_MAC), (NEXT_HOP, SERVER_MAC)):
            target.insert(
                "neighbours" + suffix, {"next_hop": to(address)}, "set_destination_mac", mac=_mac(mac)
            )
        bits, via, answer = (120, "via_v6", "answer_nd") if wire.ipv6 else (24, "via", "answer_arp")
        routes = "routes" + suffix
        target.insert(routes, {"destination": f"{to('198.18.1.0')}/{bits}"}, "direct", port=CLIENT_LINK)
        server_net = {"destination": f"{to('203.0.113.0')}/{bits}"}
        target.insert(routes, server_net, via, port=SERVER_LINK, next_hop=to(NEXT_HOP))
        own: Match = {"port": CLIENT_LINK, "address": to(SWITCH_CLIENT_ADDRESS)}
        target.insert("local_addresses" + suffix, own, answer, mac=_mac(SWITCH_CLIENT_MAC))
        server = to(SERVER)
        key: Match = {"server": server, "server_port": SERVER_PORT}
        target.insert("services" + suffix, key, "protect", **vars(self.service))
        target.insert("service_sources" + suffix, key, "served", **self.service.served())
        target.insert("protected" + suffix, {"address": server}, "protected")
        target.insert("protected_sources" + suffix, {"address": server}, "protected_source")

    def install_key(self, epoch: Epoch) -> None:
        """Let cookies of an epoch be made and checked."""
        self.target.insert(
            "cookie_keys",
            {"parity": epoch.parity},
            "set_key",
            k0=epoch.k0,
            k1=epoch.k1,
            epoch=epoch.number,
        )

    def set_service(self, **changes: int) -> None:
        """Change what the service is."""
        self.service = replace(self.service, **changes)
        for wire in (V4, V6):
            key: Match = {"server": wire.address(SERVER), "server_port": SERVER_PORT}
            self.target.modify("services" + wire.suffix, key, "protect", **vars(self.service))
            self.target.modify("service_sources" + wire.suffix, key, "served", **self.service.served())

    # --- sessions -------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> str:
        """The table of this wire's sessions."""
        return "sessions" + self.wire.suffix

    def session_key(self, flow: Flow = FLOW) -> dict[str, int | str]:
        """The match of a session's entry."""
        return vars(self.wired_flow(flow)).copy()

    def wired_flow(self, flow: Flow = FLOW) -> Flow:
        """The flow on this network's wire."""
        return replace(flow, client=self.wire.address(flow.client), server=self.wire.address(flow.server))

    def proof(self, epoch: Epoch, isn: int, **more: Any) -> int:
        """The right cookie on this wire."""
        return proof(epoch, isn, wire=self.wire, **more)

    def event(self, event: int, version: int) -> SessionEvent:
        """The report of FLOW, whose entry has this version."""
        flow = self.wired_flow()
        return SessionEvent(flow.client, flow.server, flow.client_port, flow.server_port, event, version)

    def open(self, session: Session, flow: Flow = FLOW) -> None:
        """Insert a session."""
        self.target.insert(self.sessions, self.session_key(flow), "translate", **vars(session))

    # --- segments -------------------------------------------------------------------------------------------

    def wired(self, segment: Segment) -> Segment:
        """The segment on this network's wire."""
        return self.wire.carry(segment)

    def frame(self, segment: Segment) -> bytes:
        """The segment's frame on this network's wire."""
        return self.wired(segment).frame()

    @property
    def tcp_at(self) -> int:
        """Where a frame's TCP header begins if nothing optional is before it."""
        return 14 + (4 if self.wire.tag is not None else 0) + (40 if self.wire.ipv6 else 20)

    def from_client(self, segment: Segment) -> Result:
        """Let a segment arrive on the client's link."""
        return self.target.send(CLIENT_LINK, self.frame(segment))

    def from_server(self, segment: Segment) -> Result:
        """Let a segment arrive on the server's link."""
        return self.target.send(SERVER_LINK, self.frame(segment))

    # --- expectations ---------------------------------------------------------------------------------------

    def to_server(self, segment: Segment, session: Session | None = None) -> tuple[int, bytes]:
        """What has to leave towards the server: translated if a session is given, and routed."""
        if session is not None:
            segment = translate(segment, session, True)
        return SERVER_LINK, self.frame(routed(segment, SWITCH_SERVER_MAC, SERVER_MAC))

    def to_client(self, segment: Segment, session: Session | None = None) -> tuple[int, bytes]:
        """What has to leave towards the client: translated if a session is given, and routed."""
        if session is not None:
            segment = translate(segment, session, False)
        return CLIENT_LINK, self.frame(routed(segment, SWITCH_CLIENT_MAC, CLIENT_MAC))

    def dropped(self, result: Result, reason: int, times: int = 1) -> None:
        """Nothing came out, and it was counted for this reason."""
        assert result.nothing, result
        assert self.target.counter("drops", reason) == times

    def metered_out(self, send: Callable[[], Result], reason: int) -> None:
        """Sooner or later one is dropped for this reason. (A slow machine gets a token back now and then.)"""
        for _ in range(30):
            result = send()
            if result.nothing:
                break
        self.dropped(result, reason)

    def punted(self, result: Result, reason: int) -> PacketIn:
        """Nothing but one packet-in with this reason came out."""
        assert not result.outputs
        assert not result.events
        (packet_in,) = result.packet_ins
        assert packet_in.reason == reason
        assert packet_in.service_id == self.service.service_id
        return packet_in


def proof(
    epoch: Epoch,
    isn: int,
    mss: int | None = 1460,
    window_scale: int | None = 7,
    sack: int = 1,
    client_port: int = CLIENT_PORT,
    wire: Wire = V4,
) -> int:
    """The right cookie for an ISN and what the client offered."""
    scale = NO_SCALE if window_scale is None else window_scale
    none = 1220 if wire.ipv6 else 536
    flow = Flow(wire.address(CLIENT), client_port, wire.address(SERVER), SERVER_PORT)
    return cookie(epoch, flow, isn, mss_index(mss, none), scale, sack)


def client_segment(seq: int, ack: int, flags: int = ACK, **more: object) -> Segment:
    """A segment of the client's."""
    return Segment(CLIENT, SERVER, CLIENT_PORT, SERVER_PORT, seq, ack, flags, **more)  # type: ignore[arg-type]


def server_segment(seq: int, ack: int, flags: int = ACK, **more: object) -> Segment:
    """A segment of the server's."""
    return Segment(
        SERVER,
        CLIENT,
        SERVER_PORT,
        CLIENT_PORT,
        seq,
        ack,
        flags,
        source_mac=SERVER_MAC,
        destination_mac=SWITCH_SERVER_MAC,
        **more,  # type: ignore[arg-type]
    )


def syn(isn: int, **more: object) -> Segment:
    """A client's SYN."""
    return client_segment(isn, 0, SYN, **more)
