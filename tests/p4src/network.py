# SPDX-License-Identifier: Apache-2.0
"""A small network around the switch under test: a client on port 1, a server behind port 2, one service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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
)
from .target import PacketIn, Result, Target

CLIENT, CLIENT_PORT = "198.18.1.2", 40000
SERVER, SERVER_PORT = "203.0.113.80", 80
FLOW = Flow(CLIENT, CLIENT_PORT, SERVER, SERVER_PORT)

CLIENT_MAC, SWITCH_CLIENT_MAC = "02:00:00:00:0c:01", "02:00:00:00:05:01"
SERVER_MAC, SWITCH_SERVER_MAC = "02:00:00:00:0d:02", "02:00:00:00:05:02"
CLIENT_LINK, SERVER_LINK = 1, 2
SWITCH_CLIENT_ADDRESS = "198.18.1.1"
NEXT_HOP = "198.18.2.2"

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
    NO_ROUTE, NO_NEIGHBOUR, TTL, NOT_IP, STRAY, NOT_OURS, NO_PORT = range(9, 16)


class Event:
    """Cells of the counter `events`."""

    SYN_ANSWERED, PROVEN, SERVER_SYNACK, EARLY_RETURN, SYNACK_ACKNOWLEDGED, RESET_SENT = range(1, 7)
    ARP_ANSWERED, TO_SERVER, TO_CLIENT, FOLLOWING = range(7, 11)


PROVEN, SERVER_SYNACK, EARLY_RETURN, FOLLOWING = 1, 2, 3, 4
PUNT_REASONS = 8
"""Meter cells per service."""
EMIT, ARRIVE, ROUTE = 0, 1, 2


def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


@dataclass
class Network:
    """The switch under test with its neighbours, and what is expected of it."""

    target: Target
    service: Service = field(default_factory=Service)

    def install(self) -> None:
        """Ports, routes, neighbours, the service, keys of both epochs with the even one current."""
        target = self.target
        for port, mac in ((CLIENT_LINK, SWITCH_CLIENT_MAC), (SERVER_LINK, SWITCH_SERVER_MAC)):
            target.insert("ports", {"port": port}, "set_source_mac", mac=_mac(mac))
        for address, mac in ((CLIENT, CLIENT_MAC), (NEXT_HOP, SERVER_MAC)):
            target.insert("neighbours_v4", {"next_hop": address}, "set_destination_mac", mac=_mac(mac))
        target.insert("routes_v4", {"destination": "198.18.1.0/24"}, "direct", port=CLIENT_LINK)
        target.insert(
            "routes_v4", {"destination": "203.0.113.0/24"}, "via", port=SERVER_LINK, next_hop=NEXT_HOP
        )
        target.insert(
            "local_addresses_v4",
            {"port": CLIENT_LINK, "address": SWITCH_CLIENT_ADDRESS},
            "answer_arp",
            mac=_mac(SWITCH_CLIENT_MAC),
        )
        key = {"server": SERVER, "server_port": SERVER_PORT}
        target.insert("services_v4", key, "protect", **vars(self.service))
        target.insert("service_sources_v4", key, "served", **self.service.served())
        target.insert("protected_v4", {"address": SERVER}, "protected")
        target.insert("protected_sources_v4", {"address": SERVER}, "protected_source")
        for epoch in (EVEN, ODD):
            self.install_key(epoch)
        target.set_default("cookie_epoch", "set_epoch", parity=EVEN.parity)

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
        self.target.modify(
            "services_v4",
            {"server": SERVER, "server_port": SERVER_PORT},
            "protect",
            **vars(self.service),
        )

    # --- sessions -------------------------------------------------------------------------------------------

    def session_key(self, flow: Flow = FLOW) -> dict[str, int | str]:
        """The match of a session's entry."""
        return {
            "client": flow.client,
            "server": flow.server,
            "client_port": flow.client_port,
            "server_port": flow.server_port,
        }

    def open(self, session: Session, flow: Flow = FLOW) -> None:
        """Insert a session."""
        self.target.insert("sessions_v4", self.session_key(flow), "translate", **vars(session))

    # --- segments -------------------------------------------------------------------------------------------

    def from_client(self, segment: Segment) -> Result:
        """Let a segment arrive on the client's link."""
        return self.target.send(CLIENT_LINK, segment.frame())

    def from_server(self, segment: Segment) -> Result:
        """Let a segment arrive on the server's link."""
        return self.target.send(SERVER_LINK, segment.frame())

    # --- expectations ---------------------------------------------------------------------------------------

    def to_server(self, segment: Segment, session: Session | None = None) -> tuple[int, bytes]:
        """What has to leave towards the server: translated if a session is given, and routed."""
        if session is not None:
            segment = translate(segment, session, True)
        return SERVER_LINK, routed(segment, SWITCH_SERVER_MAC, SERVER_MAC).frame()

    def to_client(self, segment: Segment, session: Session | None = None) -> tuple[int, bytes]:
        """What has to leave towards the client: translated if a session is given, and routed."""
        if session is not None:
            segment = translate(segment, session, False)
        return CLIENT_LINK, routed(segment, SWITCH_CLIENT_MAC, CLIENT_MAC).frame()

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
) -> int:
    """The right cookie for an ISN and what the client offered."""
    scale = NO_SCALE if window_scale is None else window_scale
    return cookie(epoch, replace(FLOW, client_port=client_port), isn, mss_index(mss), scale, sack)


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
