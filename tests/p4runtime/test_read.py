# SPDX-License-Identifier: Apache-2.0
"""Read: wildcards, filters, what is only sent on request, errors beside good answers."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from finsy.proto import p4r, rpc_code

from . import fakes
from .conftest import Client, Rig, details_of, status_of
from .messages import INSERT, MODIFY, acl, action, default, entity, forward_route, session

OPTIONAL_ACL = [
    p4r.FieldMatch(field_id=1, ternary=p4r.FieldMatch.Ternary(value=b"\x00", mask=b"\x0f")),
    p4r.FieldMatch(field_id=2, range=p4r.FieldMatch.Range(low=b"\x00", high=b"\x05")),
    p4r.FieldMatch(field_id=3, optional=p4r.FieldMatch.Optional(value=b"\x00")),
]
WRITTEN = [
    session(INSERT, b"\x01", metadata=b"one"),
    session(INSERT, b"\x02", idle_timeout_ns=99),
    forward_route(INSERT),
    acl(INSERT, *OPTIONAL_ACL, priority=5),
    acl(INSERT, priority=6),
]


def table(table_id: int = 0, **changes: Any) -> p4r.Entity:
    return p4r.Entity(table_entry=p4r.TableEntry(table_id=table_id, **changes))


@pytest.fixture
def filled(ready: Client) -> Client:
    ready.write(*WRITTEN)
    return ready


def test_reads_mirror_writes(filled: Client) -> None:
    found = filled.read(table())
    assert [one for one in found if not one.table_entry.is_const] == [one.entity for one in WRITTEN]


def test_constant_entries_say_so(filled: Client) -> None:
    [found] = filled.read(table(fakes.FIXED))
    assert found.table_entry == p4r.TableEntry(
        table_id=fakes.FIXED,
        match=[p4r.FieldMatch(field_id=1, exact=p4r.FieldMatch.Exact(value=b"\x08"))],
        action=action(fakes.FORWARD, b"\1"),
        is_const=True,
    )


def test_defaults_only_when_asked(filled: Client) -> None:
    found = filled.read(table(is_default_action=True))
    assert [one.table_entry.table_id for one in found] == [
        fakes.SESSIONS,
        fakes.ROUTES,
        fakes.ACL,
        fakes.FIXED,
        fakes.EPOCH,
    ]
    assert all(one.table_entry.is_default_action for one in found)
    assert [one.table_entry.is_const for one in found] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (table(fakes.SESSIONS, match=session(INSERT, b"\x02").entity.table_entry.match), [1]),
        (table(fakes.SESSIONS, match=session(INSERT, b"\x03").entity.table_entry.match), []),
        (table(fakes.SESSIONS, metadata=b"one"), [0]),
        (table(fakes.SESSIONS, metadata=b"two"), []),
        (table(fakes.SESSIONS, controller_metadata=4), []),
        (table(fakes.SESSIONS, action=action(fakes.TRANSLATE)), [0, 1]),
        (table(fakes.SESSIONS, action=action(fakes.FORWARD)), []),
        (table(fakes.ACL, priority=6), [4]),
        (table(fakes.ACL, match=OPTIONAL_ACL, priority=5), [3]),
        (table(fakes.ACL, match=OPTIONAL_ACL, priority=6), []),
        (table(fakes.ACL, match=OPTIONAL_ACL), [3]),
        (table(fakes.ROUTES, match=forward_route(INSERT).entity.table_entry.match), [2]),
    ],
)
def test_filters(filled: Client, query: p4r.Entity, expected: list[int]) -> None:
    assert filled.read(query) == [WRITTEN[i].entity for i in expected]


def test_counters_and_times_only_when_asked(filled: Client) -> None:
    [plain] = filled.read(table(fakes.SESSIONS, metadata=b"one"))
    assert not plain.table_entry.HasField("counter_data")
    asked = table(
        fakes.SESSIONS,
        metadata=b"one",
        counter_data=p4r.CounterData(),
        time_since_last_hit=p4r.TableEntry.IdleTimeout(),
    )
    [full] = filled.read(asked)
    assert full.table_entry.HasField("counter_data")
    assert full.table_entry.time_since_last_hit.elapsed_ns == 7
    everywhere = filled.read(table(counter_data=p4r.CounterData()))
    assert {one.table_entry.table_id for one in everywhere if one.table_entry.HasField("counter_data")} == {
        fakes.SESSIONS
    }


def test_whole_state_can_be_read_with_one_request(filled: Client) -> None:
    queries = [
        p4r.Entity(extern_entry=p4r.ExternEntry()),
        table(),
        p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
        p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
        p4r.Entity(meter_entry=p4r.MeterEntry()),
        p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=p4r.TableEntry())),
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=p4r.TableEntry())),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
        p4r.Entity(digest_entry=p4r.DigestEntry()),
    ]
    kinds = [one.WhichOneof("entity") for one in filled.read(*queries)]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "table_entry": 6,
        "meter_entry": 2,
        "counter_entry": 3,
        "direct_counter_entry": 2,
        "register_entry": 4,
    }


def test_counter_cells(ready: Client) -> None:
    data = p4r.CounterData(packet_count=2, byte_count=9)
    index = p4r.Index(index=1)
    written = p4r.CounterEntry(counter_id=fakes.DROPS, index=index, data=data)
    ready.write(entity(MODIFY, counter_entry=written))
    query = p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=fakes.DROPS, index=index))
    assert ready.read(query) == [p4r.Entity(counter_entry=written)]


def test_register_cells(ready: Client) -> None:
    written = p4r.RegisterEntry(register_id=fakes.STATE, index=p4r.Index(index=0))
    written.data.bitstring = b"\x05"
    ready.write(entity(MODIFY, register_entry=written))
    found = ready.read(p4r.Entity(register_entry=p4r.RegisterEntry(register_id=fakes.STATE)))
    assert found[0].register_entry == written
    assert [one.register_entry.data.bitstring for one in found] == [b"\x05", b"\0", b"\0", b"\0"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (p4r.Entity(), rpc_code.INVALID_ARGUMENT),
        (table(0x02FFFFFF), rpc_code.INVALID_ARGUMENT),
        (table(match=OPTIONAL_ACL), rpc_code.INVALID_ARGUMENT),
        (table(action=action(fakes.FORWARD)), rpc_code.INVALID_ARGUMENT),
        (table(fakes.ROUTES, time_since_last_hit=p4r.TableEntry.IdleTimeout()), rpc_code.INVALID_ARGUMENT),
        (table(fakes.SESSIONS, is_default_action=True, priority=1), rpc_code.INVALID_ARGUMENT),
        (p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=7)), rpc_code.INVALID_ARGUMENT),
        (
            p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=fakes.DROPS, index=p4r.Index(index=3))),
            rpc_code.OUT_OF_RANGE,
        ),
        (
            p4r.Entity(
                direct_counter_entry=p4r.DirectCounterEntry(
                    table_entry=p4r.TableEntry(
                        table_id=fakes.SESSIONS, match=session(INSERT, b"\x03").entity.table_entry.match
                    )
                )
            ),
            rpc_code.NOT_FOUND,
        ),
        (p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=4)), rpc_code.INVALID_ARGUMENT),
        (
            p4r.Entity(meter_entry=p4r.MeterEntry(counter_data=p4r.MeterCounterData())),
            rpc_code.UNIMPLEMENTED,
        ),
    ],
)
def test_wrong_request_beside_a_right_one(filled: Client, query: p4r.Entity, code: int) -> None:
    request = p4r.ReadRequest(device_id=1, entities=[table(fakes.ROUTES), query])
    answers = iter(filled.stub.Read(request, timeout=5))
    assert list(next(answers).entities) == [WRITTEN[2].entity]
    with pytest.raises(grpc.RpcError) as error:
        next(answers)
    assert status_of(error.value)[0] == grpc.StatusCode.UNKNOWN
    assert [item[0] for item in details_of(error.value)] == [rpc_code.OK, code]


def test_needs_a_known_device_and_a_pipeline_but_no_stream(rig: Rig, client: Client) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.read(table())
    assert status_of(error.value)[0] == grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError) as error:
        client.read(table(), device_id=3)
    assert status_of(error.value)[0] == grpc.StatusCode.NOT_FOUND


def test_large_answers_come_in_parts(rig: Rig, ready: Client) -> None:
    rig.engines[0].sizes[fakes.ROUTES] = 10_000
    ready.write(*[forward_route(INSERT, i.to_bytes(4, "big"), 32) for i in range(2500)])
    request = p4r.ReadRequest(device_id=1, entities=[table(fakes.ROUTES)])
    sizes = [len(part.entities) for part in ready.stub.Read(request, timeout=10)]
    assert sizes == [1000, 1000, 500]


@pytest.mark.parametrize(("lag", "asked"), [(0, 2), (3, 5), (1000, 40)])
def test_packets_go_first(rig: Rig, ready: Client, lag: int, asked: int) -> None:
    """Each part of an answer waits while frames wait for the data plane, but not for ever."""
    ready.write(session(INSERT, b"\x01"))
    rig.engines[0].lag = lag
    assert len(ready.read(table(fakes.SESSIONS))) == 1
    assert rig.engines[0].asked == asked


def test_reset_default_is_read_as_the_programs_own(ready: Client) -> None:
    ready.write(default(MODIFY, fakes.SESSIONS, None))
    [found] = ready.read(table(fakes.SESSIONS, is_default_action=True))
    assert found.table_entry.action == action(fakes.NO_ACTION)
