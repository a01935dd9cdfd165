# SPDX-License-Identifier: Apache-2.0
"""Write, rule by rule, as a client sees it: the request as a whole, and table entries."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from finsy.proto import p4r, rpc_code

from . import fakes
from .conftest import Client, Rig, details_of, status_of
from .messages import (
    BAD,
    DELETE,
    DENIED,
    INSERT,
    MODIFY,
    ONE_SESSION,
    TOO_WIDE,
    acl,
    action,
    default,
    exact,
    forward_route,
    refused,
    session,
    update,
)

# --- the request as a whole -------------------------------------------------------------------------------


def test_order_of_checks(client: Client) -> None:
    client.lead()
    cases: list[tuple[dict[str, Any], grpc.StatusCode]] = [
        ({"device_id": 9, "role": "nobody", "election_id": p4r.Uint128(low=5)}, grpc.StatusCode.NOT_FOUND),
        ({"role": "nobody", "election_id": p4r.Uint128(low=5)}, grpc.StatusCode.NOT_FOUND),
        ({"election_id": p4r.Uint128(low=5)}, grpc.StatusCode.PERMISSION_DENIED),
        ({}, grpc.StatusCode.FAILED_PRECONDITION),
    ]
    for changes, code in cases:
        with pytest.raises(grpc.RpcError) as error:
            client.write(session(INSERT), **changes)
        assert status_of(error.value)[0] == code
    assert "No forwarding pipeline config" in status_of(error.value)[1]


def test_device_id_zero_is_this_device(ready: Client) -> None:
    request = p4r.WriteRequest(election_id=p4r.Uint128(low=1), updates=[session(INSERT)])
    assert ready.stub.Write(request, timeout=5) == p4r.WriteResponse()


@pytest.mark.parametrize("atomicity", [p4r.WriteRequest.ROLLBACK_ON_ERROR, p4r.WriteRequest.DATAPLANE_ATOMIC])
def test_other_atomicities(ready: Client, atomicity: p4r.WriteRequest.Atomicity.ValueType) -> None:
    with pytest.raises(grpc.RpcError) as error:
        ready.write(session(INSERT), atomicity=atomicity)
    assert status_of(error.value)[0] == grpc.StatusCode.UNIMPLEMENTED


def test_batch_goes_on_after_errors_and_reports_each(ready: Client) -> None:
    with pytest.raises(grpc.RpcError) as error:
        ready.write(
            session(INSERT),
            session(INSERT),
            session(DELETE, b"\x0b"),
            p4r.Update(),
            session(INSERT, b"\x0c"),
        )
    code, message = status_of(error.value)
    assert code == grpc.StatusCode.UNKNOWN
    assert message == "write: 3 of 5 failed"
    assert details_of(error.value) == [
        (rpc_code.OK, ""),
        (rpc_code.ALREADY_EXISTS, "sessions: entry already exists"),
        (rpc_code.NOT_FOUND, "sessions: no such entry"),
        (rpc_code.INVALID_ARGUMENT, "update type is not INSERT, MODIFY or DELETE"),
        (rpc_code.OK, ""),
    ]
    assert len(ready.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.SESSIONS)))) == 2


def test_many_errors_stay_within_what_clients_allow(ready: Client) -> None:
    with pytest.raises(grpc.RpcError) as error:
        ready.write(*[session(DELETE, b"\x0b")] * 500)
    assert len(details_of(error.value)) == 500
    assert isinstance(error.value, grpc.Call)
    [size] = [len(v) for k, v in error.value.trailing_metadata() or () if k == "grpc-status-details-bin"]
    assert size <= 8192 + 100 * 500


# --- table entries ----------------------------------------------------------------------------------------


def test_layout_of_an_exact_entry(rig: Rig, ready: Client) -> None:
    ready.write(session(INSERT, idle_timeout_ns=5))
    [(where, record)] = rig.engines[0].entries[fakes.SESSIONS].items()
    assert where == (b"\x0a\x00\x00\x01\x00\x50", None, 0)
    assert (record.action_id, record.params) == (fakes.TRANSLATE, b"\x00\x00\x01\x02\x07")
    assert record.idle_timeout_ns == 5


def test_fields_and_parameters_in_any_order_and_padded(rig: Rig, ready: Client) -> None:
    one = session(INSERT, b"\x00\x00\x0a\x00\x00\x01")
    entry = one.entity.table_entry
    matches, params = list(entry.match)[::-1], list(entry.action.action.params)[::-1]
    del entry.match[:], entry.action.action.params[:]
    entry.match.extend(matches)
    entry.action.action.params.extend(params)
    ready.write(one)
    [(where, record)] = rig.engines[0].entries[fakes.SESSIONS].items()
    assert where == (b"\x0a\x00\x00\x01\x00\x50", None, 0)
    assert record.params == b"\x00\x00\x01\x02\x07"


def test_layout_of_ternary_range_and_optional(rig: Rig, ready: Client) -> None:
    ready.write(
        acl(
            INSERT,
            p4r.FieldMatch(field_id=1, ternary=p4r.FieldMatch.Ternary(value=b"\x01\x00", mask=b"\x0f\x00")),
            p4r.FieldMatch(field_id=2, range=p4r.FieldMatch.Range(low=b"\x50", high=b"\x01\xbb")),
            p4r.FieldMatch(field_id=3, optional=p4r.FieldMatch.Optional(value=b"\x07")),
        ),
        acl(INSERT, priority=11),
    )
    assert list(rig.engines[0].entries[fakes.ACL]) == [
        (b"\x01\x00\x00\x50\x00\x07", b"\x0f\x00\x01\xbb\x0f\xff", 10),
        (b"\x00\x00\x00\x00\x00\x00", b"\x00\x00\xff\xff\x00\x00", 11),
    ]


def test_layout_of_lpm(rig: Rig, ready: Client) -> None:
    ready.write(
        forward_route(INSERT, b"\x0a\x80\x00\x00", 9),
        update(INSERT, forward_route(INSERT).entity.table_entry),
    )
    assert list(rig.engines[0].entries[fakes.ROUTES]) == [
        (b"\x0a\x80\x00\x00", b"\xff\x80\x00\x00", 0),
        (b"\x0a\x00\x00\x00", b"\xff\x00\x00\x00", 0),
    ]


@pytest.mark.parametrize(
    ("one", "code", "text"),
    [
        (update(INSERT, p4r.TableEntry()), BAD, "table id 0"),
        (update(INSERT, p4r.TableEntry(table_id=0x02FFFFFF)), BAD, "table id 0x02ffffff"),
        (session(INSERT, b"\x01\x00\x00\x00\x00"), TOO_WIDE, "client: 0x0100000000 does not fit in bit<32>"),
        (session(INSERT, b""), TOO_WIDE, "empty"),
        (
            update(
                INSERT,
                p4r.TableEntry(table_id=fakes.SESSIONS, match=[exact(1, b"\x01"), exact(2, b"\x02\x00")]),
            ),
            TOO_WIDE,
            "does not fit in bit<9>",
        ),
        (
            update(INSERT, p4r.TableEntry(table_id=fakes.SESSIONS, match=[exact(1, b"\x01")])),
            BAD,
            "field port: missing",
        ),
        (
            update(
                INSERT, p4r.TableEntry(table_id=fakes.SESSIONS, match=[exact(1, b"\x01"), exact(3, b"\x01")])
            ),
            BAD,
            "id 3 does not exist",
        ),
        (
            update(
                INSERT, p4r.TableEntry(table_id=fakes.SESSIONS, match=[exact(1, b"\x01"), exact(1, b"\x01")])
            ),
            BAD,
            "twice",
        ),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.ROUTES,
                    match=[exact(1, b"\x01")],
                ),
            ),
            BAD,
            "is matched lpm, not exact",
        ),
        (forward_route(INSERT, b"\x0a\x00\x00\x01"), BAD, "must be 0"),
        (forward_route(INSERT, length=0), BAD, "leave the field out"),
        (forward_route(INSERT, length=33), BAD, "33"),
        (
            acl(INSERT, p4r.FieldMatch(field_id=1, ternary=p4r.FieldMatch.Ternary(value=b"\0", mask=b"\0"))),
            BAD,
            "mask 0",
        ),
        (
            acl(INSERT, p4r.FieldMatch(field_id=1, ternary=p4r.FieldMatch.Ternary(value=b"\3", mask=b"\1"))),
            BAD,
            "outside the mask",
        ),
        (
            acl(INSERT, p4r.FieldMatch(field_id=2, range=p4r.FieldMatch.Range(low=b"\2", high=b"\1"))),
            BAD,
            "low bound",
        ),
        (
            acl(INSERT, p4r.FieldMatch(field_id=2, range=p4r.FieldMatch.Range(low=b"\0", high=b"\xff\xff"))),
            BAD,
            "whole range",
        ),
        (acl(INSERT, priority=0), BAD, "priority above 0"),
        (acl(INSERT, priority=-4), BAD, "priority above 0"),
        (session(INSERT, priority=1), BAD, "no priority"),
        (session(INSERT, is_const=True), BAD, "is_const"),
        (forward_route(INSERT, idle_timeout_ns=1), BAD, "idle timeouts"),
        (session(INSERT, idle_timeout_ns=-1), BAD, "negative"),
        (session(INSERT, time_since_last_hit=p4r.TableEntry.IdleTimeout()), BAD, "time_since_last_hit"),
        (forward_route(INSERT, counter_data=p4r.CounterData()), BAD, "no direct counter"),
        (session(INSERT, counter_data=p4r.CounterData(packet_count=-1)), BAD, "negative"),
        (session(INSERT, meter_config=p4r.MeterConfig()), BAD, "no direct meter"),
        (update(INSERT, p4r.TableEntry(table_id=fakes.EPOCH)), BAD, "has no key"),
        (default(INSERT, fakes.EPOCH, action(fakes.FORWARD, b"\1")), BAD, "only be modified"),
        (default(DELETE, fakes.EPOCH, None), BAD, "only be modified"),
        (default(MODIFY, fakes.EPOCH, None, priority=1), BAD, "neither match nor priority"),
        (default(MODIFY, fakes.SESSIONS, None, idle_timeout_ns=1), BAD, "no idle timeout"),
        (default(MODIFY, fakes.FIXED, None), DENIED, "constant"),
        (default(MODIFY, fakes.ACL, action(fakes.FORWARD, b"\1")), DENIED, "only in entries"),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.SESSIONS, match=ONE_SESSION.match, action=action(fakes.NO_ACTION)
                ),
            ),
            DENIED,
            "only as default",
        ),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.FIXED, match=[exact(1, b"\1")], action=action(fakes.FORWARD, b"\1")
                ),
            ),
            DENIED,
            "constant",
        ),
        (update(DELETE, p4r.TableEntry(table_id=fakes.FIXED, match=[exact(1, b"\x08")])), DENIED, "constant"),
        (
            update(INSERT, p4r.TableEntry(table_id=fakes.SESSIONS, match=ONE_SESSION.match)),
            BAD,
            "action id 0x00000000 is not one of table sessions",
        ),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.SESSIONS,
                    match=ONE_SESSION.match,
                    action=p4r.TableAction(action_profile_member_id=1),
                ),
            ),
            BAD,
            "takes actions, not action_profile_member_id",
        ),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.SESSIONS, match=ONE_SESSION.match, action=action(fakes.TRANSLATE, b"\1")
                ),
            ),
            BAD,
            "parameter missing: shift",
        ),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.SESSIONS,
                    match=ONE_SESSION.match,
                    action=action(fakes.TRANSLATE, b"\1", b"\2", b"\3"),
                ),
            ),
            BAD,
            "no parameter with id 3",
        ),
        (
            update(
                INSERT,
                p4r.TableEntry(
                    table_id=fakes.SESSIONS,
                    match=ONE_SESSION.match,
                    action=action(fakes.TRANSLATE, b"\1", b"\x10"),
                ),
            ),
            TOO_WIDE,
            "shift: 0x10 does not fit in bit<4>",
        ),
        (p4r.Update(type=INSERT), BAD, "entity is not set"),
    ],
)
def test_refused_entries(ready: Client, one: p4r.Update, code: int, text: str) -> None:
    found, message = refused(ready, one)
    assert (found, text in message) == (code, True), message


def test_full_table(ready: Client) -> None:
    ready.write(*[session(INSERT, bytes([i])) for i in range(4)])
    assert refused(ready, session(INSERT, b"\x09")) == (
        rpc_code.RESOURCE_EXHAUSTED,
        "sessions: table is full",
    )


def test_modify_and_delete(rig: Rig, ready: Client) -> None:
    assert refused(ready, session(MODIFY))[0] == rpc_code.NOT_FOUND
    ready.write(session(INSERT, counter_data=p4r.CounterData(packet_count=3)))
    ready.write(session(MODIFY, metadata=b"x"))
    [record] = rig.engines[0].entries[fakes.SESSIONS].values()
    assert record.packets == 3
    nonsense = p4r.TableAction(action=p4r.Action(action_id=99))
    ready.write(session(DELETE, action=nonsense, idle_timeout_ns=-3))
    assert rig.engines[0].entries[fakes.SESSIONS] == {}


def test_modify_without_action_only_touches_the_counter(rig: Rig, ready: Client) -> None:
    key_only = p4r.TableEntry(table_id=fakes.SESSIONS, match=ONE_SESSION.match)
    assert refused(ready, update(MODIFY, key_only))[0] == rpc_code.NOT_FOUND
    ready.write(session(INSERT, metadata=b"mine"))
    ready.write(update(MODIFY, key_only))
    ready.write(update(MODIFY, key_only, counter_data=p4r.CounterData(packet_count=9, byte_count=10)))
    [record] = rig.engines[0].entries[fakes.SESSIONS].values()
    assert (record.action_id, record.packets, record.octets) == (fakes.TRANSLATE, 9, 10)
    assert ready.read(p4r.Entity(table_entry=key_only))[0].table_entry.metadata == b"mine"


def test_constant_entry_only_takes_direct_resources(ready: Client) -> None:
    fixed = p4r.TableEntry(table_id=fakes.FIXED, match=[exact(1, b"\x08")])
    ready.write(update(MODIFY, fixed))
    assert refused(ready, update(MODIFY, fixed, action=action(fakes.FORWARD, b"\1")))[0] == DENIED


def test_default_action_is_set_and_reset(rig: Rig, ready: Client) -> None:
    ready.write(default(MODIFY, fakes.EPOCH, action(fakes.FORWARD, b"\1"), metadata=b"m"))
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.EPOCH, is_default_action=True))
    [found] = ready.read(query)
    assert found.table_entry == p4r.TableEntry(
        table_id=fakes.EPOCH, is_default_action=True, action=action(fakes.FORWARD, b"\1"), metadata=b"m"
    )
    ready.write(default(MODIFY, fakes.EPOCH, None))
    [found] = ready.read(query)
    assert found.table_entry == p4r.TableEntry(
        table_id=fakes.EPOCH, is_default_action=True, action=action(fakes.NO_ACTION)
    )


@pytest.mark.parametrize(
    ("metadata", "number"),
    [
        (b"", 1),
        (b"", (1 << 62) - 1),
        (b"", (1 << 64) - 1),
        (b"\0", 0),
        (b"seven77", 0),
        (b"longer than 8", 0),
        (b"x", 5),
    ],
)
def test_metadata_comes_back_as_it_was_written(ready: Client, metadata: bytes, number: int) -> None:
    one = session(INSERT, metadata=metadata, controller_metadata=number)
    ready.write(one)
    [found] = ready.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.SESSIONS)))
    assert found == one.entity
    ready.write(session(MODIFY))
    [found] = ready.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.SESSIONS)))
    assert (found.table_entry.metadata, found.table_entry.controller_metadata) == (b"", 0)
    ready.write(session(DELETE), session(INSERT))
    [found] = ready.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.SESSIONS)))
    assert (found.table_entry.metadata, found.table_entry.controller_metadata) == (b"", 0)
