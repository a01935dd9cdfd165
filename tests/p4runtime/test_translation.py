# SPDX-License-Identifier: Apache-2.0
"""Numbers that the control plane sees wider than the data plane holds them (`@p4runtime_translation`), and
what is hidden from it (`@hidden`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from finsy.proto import p4r, rpc_code

from softswitch.compiler import CompiledProgram, compile_file

from .messages import INSERT, MODIFY, entity, exact, refused
from .test_data_plane import Switch

PORT = b"\x01\x2c"  # 300


@pytest.fixture(scope="module")
def program() -> CompiledProgram:
    return compile_file(Path(__file__).with_name("programs") / "translated.p4")


@pytest.fixture
def switch(program: CompiledProgram, tmp_path: Path) -> Iterator[Switch]:
    switch = Switch(program, tmp_path)
    yield switch
    switch.close()


def put_in(switch: Switch, frame: bytes, port: int = 7) -> list[tuple[int, bytes]]:
    engine = switch.engines[-1]
    assert engine.process(port, frame) == 0
    return engine.take_output()


def test_widths_that_clients_see(program: CompiledProgram) -> None:
    [table] = program.p4info.tables
    assert table.match_fields[0].bitwidth == 32
    headers = {h.preamble.name: h.metadata for h in program.p4info.controller_packet_metadata}
    assert [(f.name, f.bitwidth) for f in headers["packet_in"]] == [("ingress_port", 32), ("reason", 16)]
    assert [f.name for f in headers["packet_out"]] == ["port"]


def test_entries(switch: Switch) -> None:
    wide = b"\0\0" + PORT
    switch.client.write(switch.entry(INSERT, "ports", exact(1, wide), action={"send": (b"\0\0\x01\x03",)}))
    assert put_in(switch, PORT + b"rest") == [(0x103, PORT + b"rest")]
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["ports"]))
    [found] = switch.client.read(query)
    assert found.table_entry.match[0].exact.value == PORT
    assert found.table_entry.action.action.params[0].value == b"\x01\x03"
    too_wide = switch.entry(INSERT, "ports", exact(1, b"\x02\0"), action={"send": (b"\1",)})
    assert refused(switch.client, too_wide)[0] == rpc_code.OUT_OF_RANGE


def test_packet_in_without_its_hidden_fields(switch: Switch) -> None:
    assert put_in(switch, b"\x00\x05rest", 0x107) == []
    packet = switch.stream.take().packet
    assert packet.payload == b"\x00\x05rest"
    assert [item.value for item in packet.metadata] == [b"\x01\x07", b"\x12\x34"]


def test_packet_out_with_zeros_in_its_hidden_fields(switch: Switch) -> None:
    engine = switch.engines[-1]
    engine.stop()  # so that packet-outs are processed at once and their output stays here
    metadata_id = next(
        h.metadata[0].id
        for h in switch.program.p4info.controller_packet_metadata
        if h.preamble.name == "packet_out"
    )
    metadata = [p4r.PacketMetadata(metadata_id=metadata_id, value=b"\0\0\x01\x04")]
    switch.stream.send(p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=b"\0\5rest", metadata=metadata)))
    switch.stream.bid(1)
    assert engine.take_output() == [(0x104, b"\0\5rest")]


def test_register_and_digest(switch: Switch) -> None:
    config = p4r.DigestEntry.Config(max_list_size=1)
    switch.client.write(
        entity(INSERT, digest_entry=p4r.DigestEntry(digest_id=switch.ids["seen_t"], config=config))
    )
    put_in(switch, PORT)
    messages = [switch.stream.take(), switch.stream.take()]
    [data] = next(m.digest for m in messages if m.HasField("digest")).data
    assert data.struct.members[0].bitstring == PORT
    entry = p4r.RegisterEntry(register_id=switch.ids["last"], index=p4r.Index(index=1))
    [found] = switch.client.read(p4r.Entity(register_entry=entry))
    assert found.register_entry.data.bitstring == PORT
    entry.data.bitstring = b"\x01\xff"
    switch.client.write(entity(MODIFY, register_entry=entry))
    entry.data.bitstring = b"\x02\x00"
    assert refused(switch.client, entity(MODIFY, register_entry=entry))[0] == rpc_code.OUT_OF_RANGE


def test_a_hidden_action_is_nobodys_to_set(switch: Switch) -> None:
    info = switch.program
    [hidden] = {a.preamble.id for a in info.layout.actions} - {a.preamble.id for a in info.p4info.actions}
    update = switch.entry(INSERT, "ports", exact(1, PORT))
    update.entity.table_entry.action.action.action_id = hidden
    assert refused(switch.client, update)[0] == rpc_code.INVALID_ARGUMENT
    query = p4r.TableEntry(table_id=switch.ids["ports"], is_default_action=True)
    [found] = switch.client.read(p4r.Entity(table_entry=query))
    assert found.table_entry.is_default_action
