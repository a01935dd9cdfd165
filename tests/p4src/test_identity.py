# SPDX-License-Identifier: Apache-2.0
"""Any legal segment, translated there and back, is the segment that it was."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .network import (
    CLIENT,
    CLIENT_LINK,
    CLIENT_MAC,
    SERVER,
    SERVER_LINK,
    SERVER_MAC,
    SWITCH_CLIENT_MAC,
    SWITCH_SERVER_MAC,
    Network,
    client_segment,
    on_every_wire,
    server_segment,
)
from .reference import (
    ACK,
    END,
    NOP,
    Extension,
    Segment,
    Session,
    ones_complement,
    pseudo_header,
    sack_option,
    timestamps_option,
    v6,
    walk,
)

pytestmark = on_every_wire

NUMBER = st.integers(0, 0xFFFFFFFF)
SHORT = st.integers(0, 0xFFFF)
EXTENSIONS = st.sampled_from((Extension(0, b"\0\1\4" + bytes(4)), Extension(60, b"\1\1\x0c" + bytes(12))))


@st.composite
def option_areas(draw: st.DrawFn) -> bytes:
    """Timestamps and SACK at most once, unknown options, padding: in any order, at most 40 bytes."""
    pieces = draw(st.lists(st.sampled_from((NOP, NOP * 2, b"\xfd\x03u", b"\xfe\x02")), max_size=4))
    if draw(st.booleans()):
        pieces.append(timestamps_option(draw(NUMBER), draw(NUMBER)))
    blocks = draw(st.integers(0, 4))
    if blocks:
        pieces.append(sack_option(*(draw(NUMBER) for _ in range(2 * blocks))))
    area = b""
    for piece in draw(st.permutations(pieces)):
        if len(area + piece) <= 40:
            area += piece
    return area + draw(st.sampled_from((NOP, END))) * (-len(area) % 4)


SEGMENTS = st.fixed_dictionaries(
    {
        "seq": NUMBER,
        "ack": NUMBER,
        "flags": st.sampled_from((ACK, ACK | 8, ACK | 0x20, ACK | 0xC0)),
        "window": SHORT,
        "options": option_areas(),
        "payload": st.binary(max_size=40),
        "ttl": st.integers(3, 255),
        "tos": st.integers(0, 255),
        "identification": SHORT,
        "reserved": st.integers(0, 15),
        "urgent": SHORT,
        "extensions": st.lists(EXTENSIONS, max_size=4).map(tuple),
    }
)
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SESSIONS = st.builds(Session, delta=NUMBER, tau=NUMBER)


def parse(frame: bytes, net: Network) -> tuple[int, int, int, int, list[tuple[int, bytes]], bytes]:
    """Numbers, flags, window, timestamps and SACK, payload; the checksums have to be right."""
    at = net.tcp_at
    if net.wire.ipv6:
        header = at - 40
        following, end = frame[header + 6], at + int.from_bytes(frame[header + 4 : header + 6])
        while following != 6:
            following, at = frame[at], at + 8 * (frame[at + 1] + 1)
        ends = (v6(CLIENT), v6(SERVER))
    else:
        header, end = at - 20, at - 20 + int.from_bytes(frame[at - 18 : at - 16])
        assert ones_complement(frame[header:at]) == 0xFFFF
        ends = (CLIENT, SERVER)
    tcp = frame[at:end]
    assert ones_complement(pseudo_header(*ends, 6, len(tcp)) + tcp) == 0xFFFF
    seq, ack, offset, flags, window = struct.unpack_from(">IIBBH", tcp, 4)
    size = (offset >> 4) * 4
    kept = sorted(option for option in walk(tcp[20:size]) if option[0] in (5, 8))
    return seq, ack, flags, window, kept, tcp[size:]


def turned(frame: bytes, net: Network) -> bytes:
    """The frame as the other side's: addresses and ports change places, which no checksum notices."""
    made = bytearray(frame)
    made[0:12] = bytes.fromhex((SWITCH_SERVER_MAC + SERVER_MAC).replace(":", ""))
    at = net.tcp_at
    size = 16 if net.wire.ipv6 else 4
    first = at - 2 * size
    made[first:at] = frame[first + size : at] + frame[first : first + size]
    if net.wire.ipv6:
        following = frame[at - 34]
        while following != 6:
            following, at = frame[at], at + 8 * (frame[at + 1] + 1)
    made[at : at + 4] = frame[at + 2 : at + 4] + frame[at : at + 2]
    return bytes(made)


@SETTINGS
@given(fields=SEGMENTS, session=SESSIONS)
def test_there_and_back(net: Network, fields: dict[str, Any], session: Session) -> None:
    """Client to server by one session, and mirrored back by the one that undoes it."""
    segment: Segment = replace(client_segment(0, 0), **fields)
    frame = net.frame(segment)
    net.open(session)
    try:
        ((port, there),) = net.target.send(CLIENT_LINK, frame).outputs
        assert port == SERVER_LINK
        assert len(there) <= len(frame)
        assert there == net.to_server(segment, session)[1]
        seq, ack, flags, window, options, payload = parse(frame, net)
        parsed = parse(there, net)
        assert parsed[0] == seq
        assert parsed[1] == (ack - session.delta) & 0xFFFFFFFF
        assert parsed[2:4] == (flags, window)
        assert parsed[5] == payload
        undone = []
        for kind, value in parsed[4]:
            words = list(struct.unpack(f">{len(value) // 4}I", value))
            if kind == 5:
                words = [word + session.delta for word in words]
            else:
                words[1] += session.tau
            undone.append((kind, b"".join(struct.pack(">I", word & 0xFFFFFFFF) for word in words)))
        assert undone == options
    finally:
        net.target.delete(net.sessions, net.session_key())


@SETTINGS
@given(fields=SEGMENTS, session=SESSIONS)
def test_twice_is_back(net: Network, fields: dict[str, Any], session: Session) -> None:
    """What left for the client, sent on by a switch whose session is the inverse, is what the server sent."""
    segment: Segment = replace(server_segment(0, 0), **fields)
    key = net.session_key()
    net.open(session)
    try:
        ((port, there),) = net.from_server(segment).outputs
        assert port == CLIENT_LINK
        assert len(there) <= len(net.frame(segment))
        parse(turned(there, net), net)
        inverse = replace(session, delta=-session.delta & 0xFFFFFFFF, tau=-session.tau & 0xFFFFFFFF)
        net.target.modify(net.sessions, key, "translate", **vars(inverse))
        made = bytearray(there)
        made[0:12] = bytes.fromhex((SWITCH_SERVER_MAC + SERVER_MAC).replace(":", ""))
        ((_, back),) = net.target.send(SERVER_LINK, bytes(made)).outputs
        same = replace(segment, ttl=segment.ttl - 2, source_mac=SWITCH_CLIENT_MAC, destination_mac=CLIENT_MAC)
        assert parse(turned(back, net), net) == parse(turned(net.frame(same), net), net)
        if not segment.options or len(there) == len(net.frame(segment)):
            assert len(back) == len(there)
    finally:
        net.target.delete(net.sessions, key)
