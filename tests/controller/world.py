# SPDX-License-Identifier: Apache-2.0
"""A client, a server and switches a, b around a Coordinator, in numbers and frames."""

from __future__ import annotations

from typing import Any, TypeVar

from controller.config import ControllerConfig
from controller.dataplane import PuntHeader
from controller.logic.coordinator import Coordinator
from controller.logic.model import Effects, Key, PacketOut
from controller.packets import (
    ACK,
    RST,
    SYN,
    Options,
    Segment,
    build,
    build_options,
    parse,
    timestamps_option,
)

CLIENT, SERVER = 0xC6336401, 0xCB00710A  # 198.51.100.1, 203.0.113.10
CLIENT_V6 = 0x20010DB8_00510000_00000000_00000010  # 2001:db8:51::10
SERVER_V6 = 0x20010DB8_02030000_00000000_00000010
CPORT, SPORT = 40000, 80
KEY = (CLIENT, SERVER, CPORT, SPORT)
X, K, R = 0xFFFFFFF0, 0x91234567, 0x10
TP, TS, TC = 5000, 0x90000000, 777  # our TSval, the server's, the client's
L2 = bytes.fromhex("020000000001020000000002") + b"\x08\x00"
L2_V6 = L2[:12] + b"\x86\xdd"
WALL = 1_800_000_000.0
PORT = 1

T = TypeVar("T")


def make_config(services: list[dict[str, Any]] | None = None, **parts: Any) -> ControllerConfig:
    service = {"name": "web", "address": "203.0.113.10", "port": SPORT}
    port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
    return ControllerConfig.model_validate(
        {
            "program": {"p4": "program.p4"},
            "switches": [{"name": n, "address": f"unix:/{n}", "ports": [port]} for n in ("a", "b")],
            "services": services or [service],
            **parts,
        }
    )


class World:
    """The coordinator with switches a and b live. Every method returns the effects of its event."""

    client, server, l2 = CLIENT, SERVER, L2

    def __init__(self, live: tuple[str, ...] = ("a", "b"), **config: Any) -> None:
        self.core = Coordinator(make_config(**config))
        self.now = 1000.0
        for name in live:
            self.core.switch_joined(name, 0.0)
            self.core.switch_live(name)

    @property
    def wall(self) -> float:
        return WALL + self.now - 1000.0

    @property
    def key(self) -> Key:
        return self.client, self.server, CPORT, SPORT

    def sleep(self, seconds: float) -> Effects:
        self.now += seconds
        return self.core.tick(self.now, self.wall)

    def client_frame(self, **fields: Any) -> bytes:
        """The client's ACK of our SYN/ACK, or with other fields, and `payload`."""
        payload = fields.pop("payload", b"")
        values: dict[str, Any] = {
            "seq": X + 1,
            "ack": K + 1,
            "flags": ACK,
            "window": 502,
            "options": timestamps_option(TC, TP),
            **fields,
        }
        client, cport = values.pop("client", self.client), values.pop("cport", CPORT)
        return with_payload(build(self.l2, client, self.server, cport, SPORT, **values), payload)

    def proven(self, switch: str = "a", header: dict[str, int] | None = None, **fields: Any) -> Effects:
        values = {
            "ingress_port": PORT,
            "reason": 1,
            "service_id": 0,
            "isn": X,
            "mss": 1460,
            "window_scale": 7,
            "sack": 1,
            "number": 1,
        }
        punt = PuntHeader(**{**values, **(header or {})})
        return self.core.punt_proven(switch, punt, self.client_frame(**fields), self.now, self.wall)

    def following(self, switch: str = "a", number: int = 2, **fields: Any) -> Effects:
        header = PuntHeader(PORT, 4, 0, 0, 0, 0, 0, number)
        return self.core.punt_following(switch, header, self.client_frame(**fields), self.now, self.wall)

    def server_frame(self, **fields: Any) -> bytes:
        options = fields.pop("tcp_options", Options(1460, 9, True, (TS, TC)))
        values: dict[str, Any] = {
            "seq": R,
            "ack": X + 1,
            "flags": SYN | ACK,
            "window": 65160,
            "options": build_options(options),
            **fields,
        }
        client, cport = values.pop("client", self.client), values.pop("cport", CPORT)
        return build(self.l2, self.server, client, SPORT, cport, **values)

    def synack(self, switch: str = "b", **fields: Any) -> Effects:
        return self.core.punt_synack(switch, 2, self.server_frame(**fields), self.now, self.wall)

    def early(self, switch: str = "b", **fields: Any) -> Effects:
        frame = self.server_frame(**{"flags": ACK, "tcp_options": Options(), **fields})
        return self.core.punt_early_return(switch, 2, frame, self.now, self.wall)

    def server_reset(self, switch: str = "b", **fields: Any) -> Effects:
        return self.early(switch, **{"flags": RST | ACK, "seq": 0, **fields})

    def confirm(self, switch: str, version: int | None = None, removed: bool = False) -> Effects:
        if version is None:
            session = self.core.sessions.get(self.key)
            version = session.entry.version if session else 0
        return self.core.written(switch, self.key, version, removed, self.now, self.wall)

    def open_session(self) -> None:
        """A whole handshake."""
        self.proven()
        self.synack()
        self.confirm("b")
        assert self.confirm("a")


class World6(World):
    """The same over IPv6."""

    client, server, l2 = CLIENT_V6, SERVER_V6, L2_V6

    def __init__(self, **config: Any) -> None:
        service = {"name": "web", "address": "2001:db8:203::10", "port": SPORT}
        super().__init__(services=[service], **config)


def with_payload(frame: bytes, payload: bytes) -> bytes:
    """`frame` with a payload; lengths and checksums right."""
    if not payload:
        return frame
    start = len(parse(frame).l2)
    whole = bytearray(frame + payload)
    total = len(whole) - start
    whole[start + 2 : start + 4] = total.to_bytes(2, "big")
    whole[start + 10 : start + 12] = bytes(2)
    whole[start + 10 : start + 12] = checksum(bytes(whole[start : start + 20]))
    tcp = start + 20
    whole[tcp + 16 : tcp + 18] = bytes(2)
    pseudo = whole[start + 12 : start + 20] + b"\0\x06" + (total - 20).to_bytes(2, "big")
    whole[tcp + 16 : tcp + 18] = checksum(bytes(pseudo + whole[tcp:]))
    return bytes(whole)


def checksum(data: bytes) -> bytes:
    """RFC 1071, word by word."""
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def of(kind: type[T], effects: Effects) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def packets(effects: Effects) -> list[tuple[PacketOut, Segment]]:
    return [(out, parse(out.frame)) for out in of(PacketOut, effects)]


def to_client(effects: Effects) -> list[Segment]:
    return [segment for _, segment in packets(effects) if segment.destination == CLIENT]


def to_server(effects: Effects) -> list[Segment]:
    return [segment for _, segment in packets(effects) if segment.destination == SERVER]
