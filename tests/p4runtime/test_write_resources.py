# SPDX-License-Identifier: Apache-2.0
"""Write of everything that is not a table entry: counters, meters, registers, replication."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4r, rpc_code

from . import fakes
from .conftest import Client, Rig
from .messages import (
    BAD,
    DELETE,
    INSERT,
    MODIFY,
    ONE_SESSION,
    SDN_CPU,
    TOO_WIDE,
    OpType,
    entity,
    forward_route,
    refused,
    session,
)

# --- counters, meters, registers --------------------------------------------------------------------------


def test_counter_cells(rig: Rig, ready: Client) -> None:
    data = p4r.CounterData(packet_count=2, byte_count=9)
    ready.write(entity(MODIFY, counter_entry=p4r.CounterEntry(counter_id=fakes.DROPS, data=data)))
    one = p4r.CounterEntry(counter_id=fakes.DROPS, index=p4r.Index(index=1), data=p4r.CounterData())
    ready.write(entity(MODIFY, counter_entry=one))
    assert rig.engines[0].counters == {
        (fakes.DROPS, 0): (2, 9),
        (fakes.DROPS, 1): (0, 0),
        (fakes.DROPS, 2): (2, 9),
    }


@pytest.mark.parametrize("op", [INSERT, DELETE])
@pytest.mark.parametrize(
    "kinds",
    [
        {"counter_entry": p4r.CounterEntry(counter_id=fakes.DROPS)},
        {"meter_entry": p4r.MeterEntry(meter_id=fakes.SYN_METER)},
        {"register_entry": p4r.RegisterEntry(register_id=fakes.STATE)},
        {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=ONE_SESSION)},
    ],
)
def test_only_modify(ready: Client, op: OpType, kinds: dict[str, Any]) -> None:
    assert refused(ready, entity(op, **kinds))[0] == BAD


@pytest.mark.parametrize(("index", "code"), [(-1, BAD), (3, TOO_WIDE), (1 << 40, TOO_WIDE)])
def test_cell_indices(ready: Client, index: int, code: int) -> None:
    where = p4r.Index(index=index)
    assert (
        refused(ready, entity(MODIFY, counter_entry=p4r.CounterEntry(counter_id=fakes.DROPS, index=where)))[0]
        == code
    )


def test_direct_counter(rig: Rig, ready: Client) -> None:
    target = p4r.TableEntry(table_id=fakes.SESSIONS, match=ONE_SESSION.match)
    one = p4r.DirectCounterEntry(table_entry=target, data=p4r.CounterData(packet_count=4, byte_count=5))
    assert refused(ready, entity(MODIFY, direct_counter_entry=one))[0] == rpc_code.NOT_FOUND
    ready.write(session(INSERT))
    ready.write(entity(MODIFY, direct_counter_entry=one))
    assert ready.read(p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=target))) == [
        p4r.Entity(direct_counter_entry=one)
    ]
    routes = p4r.DirectCounterEntry(table_entry=forward_route(INSERT).entity.table_entry)
    assert refused(ready, entity(MODIFY, direct_counter_entry=routes))[0] == BAD


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (p4r.MeterConfig(cir=-1), BAD),
        (p4r.MeterConfig(cir=5, cburst=1, pir=4, pburst=1), BAD),
        (p4r.MeterConfig(cir=1, cburst=1, pir=1, pburst=1, eburst=1), BAD),
    ],
)
def test_meter_configs_that_are_none(ready: Client, config: p4r.MeterConfig, code: int) -> None:
    entry = p4r.MeterEntry(meter_id=fakes.SYN_METER, config=config)
    assert refused(ready, entity(MODIFY, meter_entry=entry))[0] == code


def test_meter_is_set_and_reset(rig: Rig, ready: Client) -> None:
    index = p4r.Index(index=1)
    entry = p4r.MeterEntry(
        meter_id=fakes.SYN_METER, index=index, config=p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
    )
    ready.write(entity(MODIFY, meter_entry=entry))
    query = p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=fakes.SYN_METER, index=index))
    assert ready.read(query) == [p4r.Entity(meter_entry=entry)]
    ready.write(p4r.Update(type=MODIFY, entity=query))
    assert ready.read(query) == [query]


def test_register_cells(rig: Rig, ready: Client) -> None:
    one = p4r.RegisterEntry(register_id=fakes.STATE, index=p4r.Index(index=3))
    one.data.bitstring = b"\x00\x0f\xff"
    ready.write(entity(MODIFY, register_entry=one))
    assert rig.engines[0].registers == {(fakes.STATE, 3): b"\x0f\xff"}
    one.data.bitstring = b"\x10\x00"
    assert refused(ready, entity(MODIFY, register_entry=one))[0] == TOO_WIDE
    one.data.bool = True
    assert refused(ready, entity(MODIFY, register_entry=one))[0] == BAD


# --- replication ------------------------------------------------------------------------------------------


def multicast(op: OpType, *ports: bytes, group: int = 7) -> p4r.Update:
    replicas = [p4r.Replica(port=port, instance=i) for i, port in enumerate(ports)]
    entry = p4r.MulticastGroupEntry(multicast_group_id=group, replicas=replicas)
    return entity(
        op, packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(multicast_group_entry=entry)
    )


def clone(op: OpType, *replicas: p4r.Replica, session_id: int = 5, length: int = 0) -> p4r.Update:
    entry = p4r.CloneSessionEntry(session_id=session_id, replicas=replicas, packet_length_bytes=length)
    return entity(
        op, packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(clone_session_entry=entry)
    )


def test_multicast_group(rig: Rig, ready: Client) -> None:
    assert refused(ready, multicast(MODIFY, b"\1"))[0] == rpc_code.NOT_FOUND
    assert refused(ready, multicast(DELETE))[0] == rpc_code.NOT_FOUND
    ready.write(multicast(INSERT, b"\1", b"\0\2"))
    assert rig.engines[0].groups == {7: [(1, 0), (2, 1)]}
    assert refused(ready, multicast(INSERT, b"\1"))[0] == rpc_code.ALREADY_EXISTS
    query = p4r.PacketReplicationEngineEntry(multicast_group_entry=p4r.MulticastGroupEntry())
    assert ready.read(p4r.Entity(packet_replication_engine_entry=query)) == [
        multicast(INSERT, b"\1", b"\2").entity
    ]
    ready.write(multicast(MODIFY, b"\3"))
    ready.write(multicast(DELETE))
    assert rig.engines[0].groups == {7: []}
    assert ready.read(p4r.Entity(packet_replication_engine_entry=query)) == []


def test_clone_session_to_the_cpu(rig: Rig, ready: Client) -> None:
    ready.write(clone(INSERT, p4r.Replica(egress_port=SDN_CPU, instance=1), length=64))
    assert rig.engines[0].sessions == {5: ([(510, 1)], 64)}
    query = p4r.PacketReplicationEngineEntry(clone_session_entry=p4r.CloneSessionEntry(session_id=5))
    [found] = ready.read(p4r.Entity(packet_replication_engine_entry=query))
    assert found.packet_replication_engine_entry.clone_session_entry.replicas[0].egress_port == SDN_CPU


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (multicast(INSERT, b"\1", group=0), BAD),
        (clone(INSERT, session_id=0), BAD),
        (clone(INSERT, length=-1), BAD),
        (clone(INSERT, p4r.Replica(instance=1)), BAD),
        (clone(INSERT, p4r.Replica(port=b"\1\0\0\0\0")), BAD),
        (
            clone(INSERT, p4r.Replica(port=b"\1", backup_replicas=[p4r.BackupReplica(port=b"\2")])),
            rpc_code.UNIMPLEMENTED,
        ),
        (entity(INSERT, packet_replication_engine_entry=p4r.PacketReplicationEngineEntry()), BAD),
    ],
)
def test_refused_replication(ready: Client, one: p4r.Update, code: int) -> None:
    assert refused(ready, one)[0] == code


def test_same_replica_twice(ready: Client) -> None:
    one = multicast(INSERT, b"\1", b"\1")
    one.entity.packet_replication_engine_entry.multicast_group_entry.replicas[1].instance = 0
    assert refused(ready, one)[0] == BAD


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ({"action_profile_member": p4r.ActionProfileMember(member_id=1)}, BAD),
        ({"action_profile_group": p4r.ActionProfileGroup(group_id=1)}, BAD),
        ({"value_set_entry": p4r.ValueSetEntry()}, BAD),
        ({"direct_meter_entry": p4r.DirectMeterEntry()}, BAD),
        ({"extern_entry": p4r.ExternEntry()}, rpc_code.UNIMPLEMENTED),
    ],
)
def test_entities_that_the_program_lacks(ready: Client, kinds: dict[str, Any], code: int) -> None:
    assert refused(ready, entity(MODIFY, **kinds))[0] == code
