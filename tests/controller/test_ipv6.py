# SPDX-License-Identifier: Apache-2.0
"""Sessions over IPv6, with and without an 802.1Q tag: the same rules as over IPv4, in tables of their own."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4r
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from controller.config import LimitsConfig
from controller.dataplane import Mode, Phase
from controller.logic.flows import FlowTable
from controller.logic.model import Entry, Key, Put, ServiceChanged, is_v6
from controller.logic.policy import Stance
from controller.p4.schema import Schema
from controller.p4.static import proxy_rows
from controller.packets import ACK, RST, SYN, Options, parse, parse_options

from .fake_switch import make_p4info
from .world import CLIENT_V6 as CLIENT
from .world import CPORT, KEY, SPORT, TC, K, R, World, World6, X, of, packets
from .world import L2_V6 as L2
from .world import SERVER_V6 as SERVER

ETHERNET = bytes.fromhex("020000000001020000000002")
TAGGED = ETHERNET + b"\x81\x00\x60\x05\x86\xdd"


class TaggedWorld(World6):
    l2 = TAGGED


@pytest.fixture(params=[World6, TaggedWorld])
def world(request: Any) -> World:
    made: World = request.param()
    return made


def test_a_whole_handshake(world: World) -> None:
    [(out, syn)] = packets(world.proven())
    assert (out.switch, out.mode) == ("a", Mode.ROUTE)
    assert (syn.source, syn.destination, syn.seq, syn.flags) == (CLIENT, SERVER, X, SYN)
    assert syn.checksum_ok()
    assert syn.l2 == world.l2
    assert parse_options(syn.options) == Options(1460, 7, True, (TC, 0))
    [put] = of(Put, world.synack())
    assert put.key == (CLIENT, SERVER, CPORT, SPORT)
    assert put.switches == ("b",)
    [last] = of(Put, world.confirm("b"))
    assert last.switches == ("a",)
    [(released, ack)] = packets(world.confirm("a"))
    assert (released.mode, ack.frame) == (Mode.ARRIVE, world.client_frame())


def test_what_the_controller_makes_is_what_scapy_would(world: World) -> None:
    [(out, _)] = packets(world.proven())
    packet = Ether(out.frame)
    assert (Dot1Q in packet) == (world.l2 == TAGGED)
    assert (packet[IPv6].hlim, packet[IPv6].plen) == (64, len(bytes(packet[TCP])))
    given = packet[TCP].chksum
    del packet[TCP].chksum
    assert Ether(bytes(packet))[TCP].chksum == given


def test_a_refusal_reaches_the_client(world: World) -> None:
    world.proven()
    [(_, reset)] = packets(world.server_reset())
    assert (reset.source, reset.destination, reset.flags) == (SERVER, CLIENT, RST | ACK)
    assert (reset.seq, reset.ack) == (K + 1, (X + 1) & 0xFFFFFFFF)
    assert reset.l2 == world.l2
    assert reset.checksum_ok()


def test_a_synack_that_nobody_waits_for_is_reset(world: World) -> None:
    [(out, reset)] = packets(world.synack())
    assert (out.switch, out.mode) == ("b", Mode.ROUTE)
    assert (reset.source, reset.destination, reset.flags) == (CLIENT, SERVER, RST)
    assert (reset.seq, reset.l2) == ((X + 1) & 0xFFFFFFFF, world.l2)


def test_a_wrong_checksum_opens_nothing(world: World) -> None:
    frame = bytearray(world.server_frame())
    frame[-1] ^= 1
    assert not parse(bytes(frame)).checksum_ok()
    assert world.core.punt_synack("b", 2, bytes(frame), world.now, world.wall) == []
    assert world.core.results["bad_checksum"] == 1


def test_a_server_without_the_mss_option_takes_1220_bytes(world: World) -> None:
    world.proven()
    effects = world.synack(tcp_options=Options(None, 9, True, (1, TC)))
    [changed] = of(ServiceChanged, effects)
    assert changed.service.mss == 1220


def test_a_client_of_the_deprecated_embedded_kind_is_no_ipv4_client() -> None:
    world = World6()
    [(_, syn)] = packets(world.proven(client=0xC6336401))  # ::198.51.100.1
    assert syn.l2 == L2
    assert syn.checksum_ok()
    assert len(world.core.flows) == 1
    assert is_v6((0xC6336401, SERVER, CPORT, SPORT))
    assert not is_v6(KEY)


def test_one_64_bit_prefix_is_one_source() -> None:
    world = World6()
    table = FlowTable(LimitsConfig(flows_per_source=1))
    world.proven()
    [flow] = world.core.flows.values()
    table.add(flow)
    same_network: Key = (CLIENT + 5, SERVER, CPORT, SPORT)
    other_network: Key = (CLIENT + (1 << 64), SERVER, CPORT, SPORT)
    assert not table.admits(same_network, flow.service, 60)
    assert table.admits(other_network, flow.service, 60)
    table.discard(flow)
    assert table.admits(same_network, flow.service, 60)


def test_each_version_has_its_session_table() -> None:
    schema = Schema(make_p4info())
    entry = Entry(1, 2, 3, 0x81, Phase.CLOSING, 7, 8, 9, 10**9)
    ids = []
    for key in (KEY, (CLIENT, SERVER, CPORT, SPORT), (5, SERVER, CPORT, SPORT)):
        row = p4r.Entity.FromString(schema.session_bytes(key, entry)).table_entry
        assert schema.session_key(row) == key
        assert schema.session(row) == (key, entry)
        ids.append(row.table_id)
    assert ids == [schema.sessions_ids[0], schema.sessions_ids[1], schema.sessions_ids[1]]


def test_a_service_is_written_to_the_tables_of_its_version() -> None:
    rows = proxy_rows((s, Stance.PROXYING) for s in World6().core.services.values())
    assert [(row.table, row.match) for row in rows] == [
        ("services_v6", (SERVER, SPORT)),
        ("service_sources_v6", (SERVER, SPORT)),
        ("protected_v6", (SERVER,)),
        ("protected_sources_v6", (SERVER,)),
    ]
    assert rows[0].params[:2] == (0, 1440)


def test_the_server_isn_shapes_the_session(world: World) -> None:
    world.open_session()
    session = world.core.sessions.get(world.key)
    assert session is not None
    assert session.entry.delta == (K - R) & 0xFFFFFFFF
