# SPDX-License-Identifier: Apache-2.0
"""Frames no honest host sends, and fragments: dropped and counted if they concern a protected service."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from .network import (
    CLIENT,
    CLIENT_LINK,
    EVEN,
    SERVER,
    SERVER_LINK,
    SWITCH_CLIENT_MAC,
    Drop,
    Network,
    client_segment,
    proof,
    server_segment,
    syn,
)
from .reference import (
    ACK,
    FIN,
    NOP,
    PSH,
    RST,
    SYN,
    URG,
    Segment,
    Session,
    ethernet,
    ipv4_header,
    mss_option,
    ones_complement,
)

UNPROTECTED = 8080
CLIENT_MAC = "02:00:00:00:0c:01"


def with_data_offset(segment: Segment, offset: int) -> bytes:
    """The frame with another data offset and a TCP checksum that is right for it."""
    frame = bytearray(segment.frame())
    word = frame[46]
    frame[46] = offset << 4 | word & 0xF
    change = struct.pack(">HHH", 0xFFFF ^ int.from_bytes(frame[50:52]), 0xFFFF ^ word << 8, frame[46] << 8)
    frame[50:52] = (0xFFFF ^ ones_complement(change)).to_bytes(2)
    return bytes(frame)


def unprotected(segment: Segment) -> Segment:
    """The same towards a port that nobody protects."""
    return replace(segment, destination_port=UNPROTECTED)


# --- TCP

FLAGS = [
    SYN | FIN,
    SYN | RST,
    FIN | RST,
    SYN | FIN | ACK,
    SYN | RST | ACK,
    RST | FIN | ACK,
    0,
    PSH | URG,
    0x3F,
    0xFF,
    0xC0,
]

OPTION_AREAS = [
    pytest.param(NOP * 3 + b"\x02", id="kind-without-length"),
    pytest.param(b"\x02\x04\x05" + b"\xb4" + b"\x08\x0a\0\0", id="timestamps-run-over"),
    pytest.param(b"\x05\x12" + b"s" * 14, id="sack-runs-over"),
    pytest.param(b"\xfd\x00\x01\x01", id="length-zero"),
    pytest.param(b"\xfd\x01\x01\x01", id="length-one"),
    pytest.param(b"\x02\x00\x01\x01", id="mss-length-zero"),
    pytest.param(b"\xfd\xff" + b"u" * 38, id="length-255"),
    pytest.param(b"\xfd\x29" + b"u" * 38, id="length-41-of-40"),
    pytest.param(NOP * 38 + b"\x03\x03", id="window-scale-runs-over"),
    pytest.param(mss_option(1460) + b"\xfd\x81" + b"\x01\x01", id="length-129"),
]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("known", [False, True])
def test_impossible_flags(net: Network, flags: int, known: bool) -> None:
    if known:
        net.open(Session(delta=1))
    net.dropped(net.from_client(client_segment(1, 2, flags)), Drop.MALFORMED_TCP)
    net.dropped(net.from_server(server_segment(1, 2, flags)), Drop.MALFORMED_TCP, 2)


@pytest.mark.parametrize("area", OPTION_AREAS)
@pytest.mark.parametrize("flags", [SYN, ACK])
@pytest.mark.parametrize("payload", [b"", b"behind it"])
def test_malformed_options(net: Network, area: bytes, flags: int, payload: bytes) -> None:
    net.open(Session(delta=1))
    net.dropped(
        net.from_client(client_segment(1, 2, flags, options=area, payload=payload)), Drop.MALFORMED_TCP
    )
    net.dropped(
        net.from_server(server_segment(1, 2, flags, options=area, payload=payload)), Drop.MALFORMED_TCP, 2
    )


@pytest.mark.parametrize("offset", [0, 1, 4])
def test_data_offset_too_small(net: Network, offset: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, with_data_offset(syn(1), offset)), Drop.MALFORMED_TCP)


@pytest.mark.parametrize("offset", [6, 10, 15])
@pytest.mark.parametrize("padding", [b"", NOP * 46])
def test_data_offset_beyond_the_segment(net: Network, offset: int, padding: bytes) -> None:
    """Ethernet's padding is no option area."""
    segment = syn(1, payload=b"ab!", padding=padding)
    net.dropped(net.target.send(CLIENT_LINK, with_data_offset(segment, offset)), Drop.MALFORMED_TCP)


@pytest.mark.parametrize("length", range(20))
@pytest.mark.parametrize("padding", [b"", b"\0" * 46])
def test_tcp_header_cut_short(net: Network, length: int, padding: bytes) -> None:
    """No ports to see: what counts is the address, in either direction."""
    for times, (port, segment) in enumerate(
        [(CLIENT_LINK, client_segment(1, 2)), (SERVER_LINK, server_segment(1, 2))], start=1
    ):
        datagram = ipv4_header(segment.source, segment.destination, 6, length) + segment.tcp()[:length]
        frame = ethernet(segment.destination_mac, segment.source_mac, 0x0800) + datagram + padding
        net.dropped(net.target.send(port, frame), Drop.MALFORMED_TCP, times)


@pytest.mark.parametrize("area", OPTION_AREAS)
def test_what_is_not_protected_passes_as_it_came(net: Network, area: bytes) -> None:
    segment = unprotected(client_segment(1, 2, SYN | FIN, options=area, payload=b"not our business"))
    assert net.from_client(segment).outputs == (net.to_server(segment),)


@pytest.mark.parametrize("offset", [0, 4, 15])
def test_bad_data_offset_elsewhere_passes(net: Network, offset: int) -> None:
    segment = unprotected(client_segment(1, 2, payload=b"abc"))
    ((port, frame),) = net.target.send(CLIENT_LINK, with_data_offset(segment, offset)).outputs
    assert port == SERVER_LINK
    assert frame[34:] == with_data_offset(segment, offset)[34:]


# --- IPv4


@pytest.mark.parametrize("port", [CLIENT_LINK, UNPROTECTED])
def test_bad_header_checksum(net: Network, port: int) -> None:
    segment = replace(syn(1), destination_port=80 if port == CLIENT_LINK else port)
    frame = bytearray(segment.frame())
    frame[25] ^= 1
    net.dropped(net.target.send(CLIENT_LINK, bytes(frame)), Drop.MALFORMED_IP)


@pytest.mark.parametrize("position", range(14, 38))
def test_every_header_byte_is_checked(net: Network, position: int) -> None:
    frame = bytearray(syn(1, ip_options=NOP * 4).frame())
    frame[position] ^= 0x10
    net.dropped(net.target.send(CLIENT_LINK, bytes(frame)), Drop.MALFORMED_IP)


def fix_header(frame: bytes, **fields: int) -> bytes:
    """The frame with changed first word or total length and a right header checksum over 20 bytes."""
    made = bytearray(frame)
    made[14] = fields.get("first", made[14])
    made[16:18] = fields.get("total_length", int.from_bytes(made[16:18])).to_bytes(2)
    made[24:26] = bytes(2)
    made[24:26] = (0xFFFF ^ ones_complement(bytes(made[14:34]))).to_bytes(2)
    return bytes(made)


@pytest.mark.parametrize("first", [0x40, 0x43, 0x44, 0x55, 0x65, 0x05, 0xF5])
def test_version_and_header_length(net: Network, first: int) -> None:
    net.dropped(net.target.send(CLIENT_LINK, fix_header(syn(1).frame(), first=first)), Drop.MALFORMED_IP)


@pytest.mark.parametrize("total_length", [0, 19, 41, 42, 1500, 0x8000, 0xFFFF])
def test_total_length_beyond_the_frame_or_below_the_header(net: Network, total_length: int) -> None:
    frame = fix_header(syn(1).frame(), total_length=total_length)
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.MALFORMED_IP)


def test_header_longer_than_the_datagram(net: Network) -> None:
    frame = syn(1).frame()
    net.dropped(net.target.send(CLIENT_LINK, fix_header(frame, first=0x4F)), Drop.MALFORMED_IP)


@pytest.mark.parametrize("length", range(1, 54))
def test_frames_cut_short(net: Network, length: int) -> None:
    if length < net.target.shortest_frame:
        pytest.skip("such a frame cannot be sent to this switch")
    frame = syn(1).frame()[:length]
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NOT_IP if length < 14 else Drop.MALFORMED_IP)


@pytest.mark.parametrize("ethertype", [0x8100, 0x88CC, 0x0805, 0, 0xFFFF, 46])
def test_other_protocols(net: Network, ethertype: int) -> None:
    frame = ethernet(SWITCH_CLIENT_MAC, CLIENT_MAC, ethertype) + syn(1).datagram()
    net.dropped(net.target.send(CLIENT_LINK, frame), Drop.NOT_IP)


# --- fragments


@pytest.mark.parametrize("fragment", [0x2000, 0x2001, 0x0001, 0x1FFF, 0x00B9])
def test_fragments_to_and_from_a_service(net: Network, fragment: int) -> None:
    net.open(Session(delta=1))
    right = client_segment(2, proof(EVEN, 1) + 1, fragment=fragment, payload=b"part")
    net.dropped(net.from_client(right), Drop.FRAGMENT)
    net.dropped(net.from_server(server_segment(1, 2, fragment=fragment)), Drop.FRAGMENT, 2)


def test_later_fragments_have_no_ports(net: Network) -> None:
    """What stands where a first fragment has its ports says nothing; only the address counts."""
    elsewhere = replace(client_segment(1, 2, fragment=1), destination="203.0.113.81", payload=b"x")
    assert net.from_client(elsewhere).outputs == (net.to_server(elsewhere),)
    other_port = unprotected(client_segment(1, 2, fragment=1))
    net.dropped(net.from_client(other_port), Drop.FRAGMENT)


def test_first_fragment_of_an_unprotected_port_passes(net: Network) -> None:
    segment = unprotected(client_segment(1, 2, fragment=0x2000))
    assert net.from_client(segment).outputs == (net.to_server(segment),)


def test_fragments_of_other_protocols_pass(net: Network) -> None:
    datagram = ipv4_header(CLIENT, SERVER, 17, 8, fragment=5) + b"fragment"
    ((port, frame),) = net.target.send(
        CLIENT_LINK, ethernet(SWITCH_CLIENT_MAC, CLIENT_MAC, 0x0800) + datagram
    ).outputs
    assert port == SERVER_LINK
    assert frame[34:] == b"fragment"


# --- anything


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_do_no_harm(net: Network, seed: int) -> None:
    """Garbage, and good frames with flipped bytes: at most one thing comes of each, the switch lives on."""
    source = random.Random(seed)
    net.open(Session(delta=1))
    for _ in range(40):
        if source.random() < 0.3:
            frame = source.randbytes(source.randint(net.target.shortest_frame, 120))
        else:
            base = source.choice((syn(1), client_segment(1, 2, payload=b"x" * 30), server_segment(1, 2)))
            made = bytearray(replace(base, options=source.randbytes(4 * source.randint(0, 10))).frame())
            for _ in range(source.randint(0, 3)):
                made[source.randrange(len(made))] = source.getrandbits(8)
            frame = bytes(made[: source.randint(14, len(made))] if source.random() < 0.2 else made)
        result = net.target.send(source.choice((CLIENT_LINK, SERVER_LINK)), frame)
        assert len(result.outputs) + len(result.packet_ins) <= 1
    ((port, _),) = net.from_client(replace(syn(1), source_port=1)).outputs
    assert port == CLIENT_LINK
