# SPDX-License-Identifier: Apache-2.0
"""What the P4 program (p4src/) and the controller agree on: names, numbers and layouts."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

CPU_PORT: Final = 510


class Punt(IntEnum):
    """Why a packet-in was sent (`packet_in.reason`)."""

    PROVEN = 1  # right cookie, no OPEN session
    SERVER_SYNACK = 2  # SYN/ACK of a protected service, no session
    EARLY_RETURN = 3  # server to client, no session, not SYN/ACK
    FOLLOWING = 4  # another segment of a flow that was PROVEN a moment ago


class Mode(IntEnum):
    """What the switch does with a packet-out (`packet_out.mode`)."""

    EMIT = 0  # leave by the port unchanged
    ARRIVE = 1  # run the pipeline as if the frame had arrived on the port
    ROUTE = 2  # skip the SYN proxy: route by destination only


class End(IntEnum):
    """What a session packet carried that may end the session (digest `event`)."""

    FIN_FROM_CLIENT = 1
    FIN_FROM_SERVER = 2
    RST_FROM_CLIENT = 3
    RST_FROM_SERVER = 4


class Phase(IntEnum):
    """A session's phase in the switches' tables.

    AWAITED: the tuple is about to be used again. Its packets are the controller's, as if it had no session
    and its service were always guarded.
    """

    OPEN = 0
    CLOSING = 1
    AWAITED = 2


class PuntHeader(NamedTuple):
    """The `packet_in` controller header, in the order of its fields."""

    ingress_port: int
    reason: int
    service_id: int
    isn: int  # the client's ISN x (PROVEN only, else 0, like the rest)
    mss: int  # what the cookie encoded: never above the client's MSS
    window_scale: int  # 15 = the client offered none
    sack: int
    number: int = 0  # PROVEN and FOLLOWING: which one it is of the flow's packets that were punted


PACKET_OUT_FIELDS: Final = ("mode", "port", "release")

BATCH: Final = 1 << 14
"""In `number` and `release`: of a flow's packets, those that a switch punts while it sends the ones before
have the other value of this bit, and are counted anew. The bits below it are the number."""
EARLY_SPAN: Final = 1 << 27
"""Bytes: more than either side sends before the last packet of its flow is released."""
HOLD_PACKETS: Final = 64
"""To so many packets of a flow whose session is open a switch gives numbers; what is beyond them passes."""
LAST: Final = 1 << 15
"""In `release`: no other packet of the flow is released behind this one."""

NO_WINDOW_SCALE: Final = 15
SHIFT_RIGHT: Final = 0x80  # in to_client_shift and to_server_shift; the low 4 bits are the amount
REUSED: Final = 0x40  # in to_server_shift: late segments of the tuple's last session are dropped

DROP_REASONS: Final = (
    "",
    "MALFORMED_IP",
    "MALFORMED_TCP",
    "FRAGMENT",
    "BAD_COOKIE",
    "NO_KEY",
    "SYN_RATE",
    "PUNT_RATE",
    "UNKNOWN_RST",
    "NO_ROUTE",
    "NO_NEIGHBOUR",
    "TTL",
    "NOT_IP",
    "STRAY",
    "NOT_OURS",
    "NO_PORT",
    "EXTENSIONS",
    "NOT_RELEASED",
    "FILLING",
    "LAST_CONNECTION",
)
"""Indices of the counter `drops`; 0 is unused."""

EVENTS: Final = (
    "",
    "SYN_ANSWERED",
    "PROVEN",
    "SERVER_SYNACK_PUNTED",
    "EARLY_RETURN_PUNTED",
    "SYNACK_ACKNOWLEDGED",
    "RESET_SENT",
    "ARP_ANSWERED",
    "TO_SERVER",
    "TO_CLIENT",
    "FOLLOWING_PUNTED",
    "ICMP_TRANSLATED",
    "ND_ANSWERED",
)
"""Indices of the counter `events`; no packet is counted in the first cell."""

BEAT: Final = 0
"""The cell of `events` that the leading controller counts its heartbeats in: those who stand by read it."""

PUNT_METER_STRIDE: Final = 8
"""`punt_meter` is indexed by service_id * 8 + reason, so that one kind of punt cannot starve another."""


class TableShape(NamedTuple):
    """The names of a table's match fields, and of its actions with their parameters."""

    keys: tuple[str, ...]
    actions: dict[str, tuple[str, ...]]


_PROTECT = (
    "service_id",
    "mss",
    "window_scale",
    "sack",
    "timestamps",
    "window",
    "reset_unknown",
    "mode",
    "lenient",
)
_TRANSLATE = (
    "delta",
    "tau",
    "to_client_shift",
    "to_server_shift",
    "phase",
    "version",
    "isn",
    "cookie",
)


def _of_version(version: int, via: str, answer: str) -> dict[str, TableShape]:
    """The tables that exist once per version of IP: the same but for the width of addresses."""
    shapes = {
        "services": TableShape(("server", "server_port"), {"protect": _PROTECT}),
        "service_sources": TableShape(
            ("server", "server_port"), {"served": ("service_id", "mode", "lenient")}
        ),
        "protected": TableShape(("address",), {"protected": ()}),
        "protected_sources": TableShape(("address",), {"protected_source": ()}),
        "sessions": TableShape(("client", "server", "client_port", "server_port"), {"translate": _TRANSLATE}),
        "routes": TableShape(("destination",), {via: ("port", "next_hop"), "direct": ("port",)}),
        "neighbours": TableShape(("next_hop",), {"set_destination_mac": ("mac",)}),
        "local_addresses": TableShape(("port", "address"), {answer: ("mac",)}),
    }
    return {f"{name}_v{version}": shape for name, shape in shapes.items()}


TABLES: Final = {
    **_of_version(4, "via", "answer_arp"),
    **_of_version(6, "via_v6", "answer_nd"),
    "cookie_keys": TableShape(("parity",), {"set_key": ("k0", "k1", "epoch")}),
    "cookie_epoch": TableShape((), {"set_epoch": ("parity",), "no_epoch": ()}),
    "ports": TableShape(("port",), {"set_source_mac": ("mac",)}),
}
"""Every table that the controller writes."""

DIGESTS: Final = ("session_event_t", "session_event_v6_t")
"""Ends of connections over IPv4 and IPv6."""
