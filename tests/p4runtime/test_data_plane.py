# SPDX-License-Identifier: Apache-2.0
"""The server in front of a compiled program: what is written over P4Runtime is what frames then meet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4i, p4r, rpc_code

from softswitch.compiler import CompiledProgram, compile_file, compile_text
from softswitch.engine import Engine
from softswitch.p4runtime.device import Device, DeviceOptions
from softswitch.p4runtime.server import Server

from .conftest import Client, Stream, details_of
from .messages import INSERT, MODIFY, OpType, entity, exact, refused

DELETE = p4r.Update.DELETE
SOURCE = b"\x02\x00\x00\x00\x00\x01"
DESTINATION = b"\x02\x00\x00\x00\x00\x02"


@pytest.fixture(scope="module")
def program() -> CompiledProgram:
    return compile_file(Path(__file__).with_name("programs") / "entities.p4")


class Switch:
    """A served device that runs the program, without ports: frames are put in and taken out by hand."""

    def __init__(self, program: CompiledProgram, folder: Path) -> None:
        self.engines: list[Engine] = []
        self.program = program
        self.ids = _ids(program.p4info)
        self.device = Device(DeviceOptions(), lambda text, name: compile_text(text, name=name), self._open)
        self.server = Server(self.device, f"unix:{folder}/s.sock")
        self.server.start()
        self.client = Client(self.server.address)
        self.stream = self.client.lead()
        self.push()

    def _open(self, library: Path, device_id: int, cpu_port: int) -> Engine:
        self.engines.append(Engine(library, device_id, cpu_port))
        return self.engines[-1]

    def push(self, action: int = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT) -> None:
        config = p4r.ForwardingPipelineConfig(
            p4info=self.program.p4info, p4_device_config=self.program.text.encode()
        )
        self.client.push(action, text=None, config=config)

    def send(self, ethertype: int, port: int = 1, source: bytes = SOURCE) -> list[tuple[int, int]]:
        """Run a frame through: (port, EtherType) of each frame that comes out."""
        frame = DESTINATION + source + ethertype.to_bytes(2, "big") + bytes(46)
        assert self.engines[-1].process(port, frame) == 0
        return [(port, int.from_bytes(out[12:14], "big")) for port, out in self.engines[-1].take_output()]

    def entry(self, op: OpType, table: str, *matches: p4r.FieldMatch, **changes: Any) -> p4r.Update:
        action: dict[str, tuple[bytes, ...]] = changes.pop("action", {})
        one = p4r.TableEntry(table_id=self.ids[table], match=matches, **changes)
        for name, values in action.items():
            one.action.action.action_id = self.ids[name]
            for number, value in enumerate(values, 1):
                one.action.action.params.add(param_id=number, value=value)
        return p4r.Update(type=op, entity=p4r.Entity(table_entry=one))

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.device.close()


def _ids(info: p4i.P4Info) -> dict[str, int]:
    preambles: list[p4i.Preamble] = [
        *(table.preamble for table in info.tables),
        *(action.preamble for action in info.actions),
        *(counter.preamble for counter in info.counters),
        *(meter.preamble for meter in info.meters),
        *(register.preamble for register in info.registers),
        *(digest.preamble for digest in info.digests),
        *(profile.preamble for profile in info.action_profiles),
        *(value_set.preamble for value_set in info.value_sets),
    ]
    return {preamble.alias: preamble.id for preamble in preambles}


@pytest.fixture
def switch(program: CompiledProgram, tmp_path: Path) -> Iterator[Switch]:
    switch = Switch(program, tmp_path)
    yield switch
    switch.close()


def ternary(source: bytes, mask: bytes) -> p4r.FieldMatch:
    return p4r.FieldMatch(field_id=1, ternary=p4r.FieldMatch.Ternary(value=source, mask=mask))


def type_range(low: bytes, high: bytes) -> p4r.FieldMatch:
    return p4r.FieldMatch(field_id=2, range=p4r.FieldMatch.Range(low=low, high=high))


def lpm(value: bytes, length: int) -> p4r.FieldMatch:
    return p4r.FieldMatch(field_id=1, lpm=p4r.FieldMatch.LPM(value=value, prefix_len=length))


def test_exact_entry_with_its_direct_counter(switch: Switch) -> None:
    one = switch.entry(INSERT, "exact_t", exact(1, DESTINATION), action={"counted": (b"\x03",)})
    assert switch.send(0x0800) == []
    switch.client.write(one)
    assert switch.send(0x0800) == [(3, 0x0800)]
    query = p4r.Entity(
        table_entry=p4r.TableEntry(table_id=switch.ids["exact_t"], counter_data=p4r.CounterData())
    )
    [found] = switch.client.read(query)
    assert found.table_entry.counter_data == p4r.CounterData(packet_count=1, byte_count=60)
    one.type = MODIFY
    one.entity.table_entry.action.action.params[0].value = b"\x04"
    switch.client.write(one)
    assert switch.send(0x0800) == [(4, 0x0800)]
    [found] = switch.client.read(query)
    assert found.table_entry.counter_data.packet_count == 2
    one.type = DELETE
    switch.client.write(one)
    assert switch.send(0x0800) == []
    assert refused(switch.client, one) == (rpc_code.NOT_FOUND, "exact_t: no such entry")


def test_full_table(switch: Switch) -> None:
    def one(number: int) -> p4r.Update:
        return switch.entry(INSERT, "exact_t", exact(1, bytes([number])), action={"drop": ()})

    switch.client.write(*[one(i) for i in range(1, 9)])
    assert refused(switch.client, one(9))[0] == rpc_code.RESOURCE_EXHAUSTED
    assert refused(switch.client, one(1))[0] == rpc_code.ALREADY_EXISTS


def test_longest_prefix_wins(switch: Switch) -> None:
    switch.client.write(
        switch.entry(INSERT, "lpm_t", lpm(b"\x02\x00\x00\x00\x00\x00", 8), action={"forward": (b"\x05",)}),
        switch.entry(INSERT, "lpm_t", lpm(SOURCE, 48), action={"forward": (b"\x06",)}),
        switch.entry(INSERT, "lpm_t", action={"forward": (b"\x07",)}),
    )
    assert switch.send(0x0800) == [(6, 0x0800)]
    assert switch.send(0x0800, source=b"\x02\xff\0\0\0\0") == [(5, 0x0800)]
    assert switch.send(0x0800, source=b"\x04\xff\0\0\0\0") == [(7, 0x0800)]
    entries = switch.client.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["lpm_t"])))
    assert sorted(len(e.table_entry.match) and e.table_entry.match[0].lpm.prefix_len for e in entries) == [
        0,
        8,
        48,
    ]


def test_highest_priority_wins(switch: Switch) -> None:
    source = ternary(b"\x02\x00\x00\x00\x00\x00", b"\xff\x00\x00\x00\x00\x00")
    port = p4r.FieldMatch(field_id=3, optional=p4r.FieldMatch.Optional(value=b"\x01"))
    switch.client.write(
        switch.entry(INSERT, "ternary_t", source, priority=1, action={"forward": (b"\x05",)}),
        switch.entry(
            INSERT,
            "ternary_t",
            type_range(b"\x08\x00", b"\x08\xff"),
            port,
            priority=2,
            action={"forward": (b"\x06",)},
        ),
    )
    assert switch.send(0x0800) == [(6, 0x0800)]
    assert switch.send(0x0800, port=9) == [(5, 0x0800)]
    assert switch.send(0x0900) == [(5, 0x0900)]
    found = switch.client.read(
        p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["ternary_t"], priority=2))
    )
    assert [e.table_entry.match for e in found] == [[type_range(b"\x08\x00", b"\x08\xff"), port]]


def test_constant_entries(switch: Switch) -> None:
    found = switch.client.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["const_t"])))
    assert {(e.table_entry.match[0].exact.value, e.table_entry.is_const) for e in found} == {
        (b"\x10\x01", True),
        (b"\x10\x02", True),
    }
    one = switch.entry(DELETE, "const_t", exact(1, b"\x10\x01"))
    assert refused(switch.client, one)[0] == rpc_code.PERMISSION_DENIED


def test_default_action_of_a_keyless_table(switch: Switch) -> None:
    assert switch.send(0x1006) == [(0, 0x1006)]
    switch.client.write(
        switch.entry(
            MODIFY, "keyless_t", is_default_action=True, action={"forward": (b"\x08",)}, metadata=b"abc"
        )
    )
    assert switch.send(0x1006) == [(8, 0x1006)]
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["keyless_t"], is_default_action=True))
    [found] = switch.client.read(query)
    assert (found.table_entry.metadata, found.table_entry.action.action.params[0].value) == (b"abc", b"\x08")
    switch.client.write(switch.entry(MODIFY, "keyless_t", is_default_action=True))
    assert switch.send(0x1006) == [(0, 0x1006)]


def test_packet_in(switch: Switch) -> None:
    assert switch.send(0x1001, port=7) == []
    packet = switch.stream.take().packet
    assert packet.payload[12:14] == b"\x10\x01"
    assert {item.metadata_id: item.value for item in packet.metadata} == {1: b"\x07", 2: b"\x01"}


def test_packet_out(switch: Switch) -> None:
    engine = switch.engines[-1]
    engine.stop()  # so that packet-outs are processed at once and their output stays here
    metadata = [p4r.PacketMetadata(metadata_id=1, value=b"\x09")]
    payload = DESTINATION + SOURCE + b"\x08\x00" + bytes(46)
    switch.stream.send(p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=payload, metadata=metadata)))
    switch.stream.bid(1)
    assert engine.take_output() == [(9, payload)]


def test_digest(switch: Switch) -> None:
    config = p4r.DigestEntry.Config(max_list_size=1, ack_timeout_ns=10**10)
    switch.client.write(
        entity(INSERT, digest_entry=p4r.DigestEntry(digest_id=switch.ids["learn_t"], config=config))
    )
    switch.send(0x1003)
    switch.send(0x1003)
    digest = switch.stream.take().digest
    [data] = digest.data
    assert [member.bitstring for member in data.struct.members] == [SOURCE, b"\x01"]
    assert switch.stream.quiet()
    ack = p4r.DigestListAck(digest_id=digest.digest_id, list_id=digest.list_id)
    switch.stream.send(p4r.StreamMessageRequest(digest_ack=ack))
    switch.stream.bid(1)
    switch.send(0x1003)
    assert switch.stream.take().digest.data == digest.data


def test_clone_and_multicast(switch: Switch) -> None:
    assert switch.send(0x1004) == [(2, 0x1004)]
    assert switch.send(0x1002) == []
    clone = p4r.CloneSessionEntry(session_id=5, replicas=[p4r.Replica(port=b"\x0b", instance=1)])
    group = p4r.MulticastGroupEntry(
        multicast_group_id=7, replicas=[p4r.Replica(port=port, instance=1) for port in (b"\x03", b"\x04")]
    )
    for one in ({"clone_session_entry": clone}, {"multicast_group_entry": group}):
        switch.client.write(
            entity(INSERT, packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(**one))
        )
    assert sorted(switch.send(0x1004)) == [(2, 0x1004), (11, 0x1004)]
    assert sorted(switch.send(0x1002)) == [(3, 0x1002), (4, 0x1002)]


def test_indirect_counter(switch: Switch) -> None:
    switch.send(0x0801)
    switch.send(0x0801)
    query = p4r.CounterEntry(counter_id=switch.ids["frames"], index=p4r.Index(index=1))
    [found] = switch.client.read(p4r.Entity(counter_entry=query))
    assert found.counter_entry.data == p4r.CounterData(packet_count=2, byte_count=120)
    switch.client.write(
        entity(MODIFY, counter_entry=p4r.CounterEntry(counter_id=query.counter_id, data=p4r.CounterData()))
    )
    assert all(
        found.counter_entry.data == p4r.CounterData()
        for found in switch.client.read(p4r.Entity(counter_entry=p4r.CounterEntry()))
    )


def test_meter(switch: Switch) -> None:
    assert [switch.send(0x1005) for _ in range(5)] == [[(2, 0x1005)]] * 5
    config = p4r.MeterConfig(cir=1, cburst=1, pir=1, pburst=2)
    entry = p4r.MeterEntry(meter_id=switch.ids["limit"], index=p4r.Index(index=1), config=config)
    switch.client.write(entity(MODIFY, meter_entry=entry))
    assert switch.client.read(
        p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=entry.meter_id, index=entry.index))
    ) == [p4r.Entity(meter_entry=entry)]
    assert [len(switch.send(0x1005)) for _ in range(5)] == [1, 1, 0, 0, 0]


def test_register(switch: Switch) -> None:
    entry = p4r.RegisterEntry(register_id=switch.ids["seen"], index=p4r.Index(index=0))
    entry.data.bitstring = b"\x0f\xfe"
    switch.client.write(entity(MODIFY, register_entry=entry))
    values = []
    for _ in range(3):
        switch.send(0x0800)
        [found] = switch.client.read(
            p4r.Entity(register_entry=p4r.RegisterEntry(register_id=entry.register_id, index=entry.index))
        )
        values.append(found.register_entry.data.bitstring)
    assert values == [b"\x0f\xff", b"\x00", b"\x01"]


def test_idle_timeout(switch: Switch) -> None:
    one = switch.entry(
        INSERT,
        "exact_t",
        exact(1, DESTINATION),
        action={"counted": (b"\x03",)},
        idle_timeout_ns=200_000_000,
        metadata=b"v1",
    )
    started = time.monotonic()
    switch.client.write(one)
    told = switch.stream.take().idle_timeout_notification
    assert time.monotonic() - started >= 0.2
    expected = p4r.TableEntry()
    expected.CopyFrom(one.entity.table_entry)
    expected.ClearField("action")
    assert list(told.table_entry) == [expected]
    again: Stream = switch.stream
    assert list(again.take().idle_timeout_notification.table_entry) == [expected]
    query = p4r.TableEntry(table_id=switch.ids["exact_t"], time_since_last_hit=p4r.TableEntry.IdleTimeout())
    [found] = switch.client.read(p4r.Entity(table_entry=query))
    assert found.table_entry.time_since_last_hit.elapsed_ns >= 400_000_000
    switch.send(0x0800)
    [found] = switch.client.read(p4r.Entity(table_entry=query))
    assert found.table_entry.time_since_last_hit.elapsed_ns < 400_000_000


def test_new_commit_begins_anew_and_saved_config_waits(switch: Switch) -> None:
    one = switch.entry(INSERT, "exact_t", exact(1, DESTINATION), action={"counted": (b"\x03",)})
    switch.client.write(one)
    switch.push(p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_SAVE)
    switch.client.write(one)
    saved = switch.engines.pop()
    assert switch.send(0x0800) == [(3, 0x0800)]
    switch.client.push(p4r.SetForwardingPipelineConfigRequest.COMMIT, text=None)
    switch.engines.append(saved)
    assert switch.send(0x0800) == [(3, 0x0800)]
    switch.push()
    assert switch.send(0x0800) == []


def test_reconciling_a_changed_program_keeps_what_fits(switch: Switch) -> None:
    one = switch.entry(
        INSERT, "exact_t", exact(1, DESTINATION), action={"counted": (b"\x03",)}, metadata=b"v1"
    )
    switch.client.write(one)
    switch.send(0x0800)
    text = switch.program.text.replace("hits.count();", "hits.count(); hits.count();", 1)
    config = p4r.ForwardingPipelineConfig(p4info=switch.program.p4info, p4_device_config=text.encode())
    switch.client.push(p4r.SetForwardingPipelineConfigRequest.RECONCILE_AND_COMMIT, text=None, config=config)
    assert len(switch.engines) == 2
    query = p4r.TableEntry(table_id=switch.ids["exact_t"], counter_data=p4r.CounterData())
    [found] = switch.client.read(p4r.Entity(table_entry=query))
    assert found.table_entry.counter_data.packet_count == 1
    assert found.table_entry.metadata == b"v1"
    assert switch.send(0x0800) == [(3, 0x0800)]


def test_program_that_does_not_compile(switch: Switch) -> None:
    text = switch.program.text.replace("standard.egress_spec = port;", "standard.no_such_field = port;", 1)
    config = p4r.ForwardingPipelineConfig(p4info=switch.program.p4info, p4_device_config=text.encode())
    with pytest.raises(Exception, match=r"entities\.p4:\d+:\d+: error: .*no_such_field"):
        switch.client.push(text=None, config=config)
    assert switch.send(0x1006) == [(0, 0x1006)]


def test_arrays_too_large_for_one_request(tmp_path: Path) -> None:
    """No request can keep the others waiting for a thousand million cells."""
    source = (Path(__file__).with_name("programs") / "entities.p4").read_text()
    large = source.replace("register<bit<12>>(4) seen", "register<bit<12>>(0x1000000) seen")
    assert large != source
    (tmp_path / "large.p4").write_text(large)
    switch = Switch(compile_file(tmp_path / "large.p4"), tmp_path)
    try:
        one = p4r.RegisterEntry(register_id=switch.ids["seen"], index=p4r.Index(index=0xFFFFFF))
        assert len(switch.client.read(p4r.Entity(register_entry=one))) == 1
        one.ClearField("index")
        one.data.bitstring = b"\1"
        assert refused(switch.client, entity(MODIFY, register_entry=one))[0] == rpc_code.RESOURCE_EXHAUSTED
        for query in (one, p4r.RegisterEntry()):
            with pytest.raises(grpc.RpcError) as error:
                switch.client.read(p4r.Entity(register_entry=query))
            assert [code for code, _ in details_of(error.value)] == [rpc_code.RESOURCE_EXHAUSTED]
    finally:
        switch.close()
