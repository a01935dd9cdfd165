# SPDX-License-Identifier: Apache-2.0
"""Protobuf messages that the tests of the server are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

import grpc
import pytest
from finsy.proto import p4r, rpc_code

from . import fakes
from .conftest import Client, details_of, status_of

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
SDN_CPU = 0xFFFFFFFD
OpType: TypeAlias = p4r.Update.Type.ValueType


def exact(field_id: int, value: bytes) -> p4r.FieldMatch:
    return p4r.FieldMatch(field_id=field_id, exact=p4r.FieldMatch.Exact(value=value))


def action(action_id: int, *values: bytes) -> p4r.TableAction:
    params = [p4r.Action.Param(param_id=i + 1, value=value) for i, value in enumerate(values)]
    return p4r.TableAction(action=p4r.Action(action_id=action_id, params=params))


def update(op: OpType, entry: p4r.TableEntry, **changes: Any) -> p4r.Update:
    changed = p4r.TableEntry()
    changed.CopyFrom(entry)
    changed.MergeFrom(p4r.TableEntry(**changes))
    return p4r.Update(type=op, entity=p4r.Entity(table_entry=changed))


def session(op: OpType, client: bytes = b"\x0a\x00\x00\x01", **changes: Any) -> p4r.Update:
    entry = p4r.TableEntry(
        table_id=fakes.SESSIONS,
        match=[exact(1, client), exact(2, b"\x50")],
        action=action(fakes.TRANSLATE, b"\x01\x02", b"\x07"),
    )
    return update(op, entry, **changes)


def forward_route(
    op: OpType, prefix: bytes = b"\x0a\x00\x00\x00", length: int = 8, **changes: Any
) -> p4r.Update:
    lpm = p4r.FieldMatch.LPM(value=prefix, prefix_len=length)
    entry = p4r.TableEntry(
        table_id=fakes.ROUTES,
        match=[p4r.FieldMatch(field_id=1, lpm=lpm)],
        action=action(fakes.FORWARD, b"\x02"),
    )
    return update(op, entry, **changes)


def acl(op: OpType, *matches: p4r.FieldMatch, priority: int = 10, **changes: Any) -> p4r.Update:
    entry = p4r.TableEntry(
        table_id=fakes.ACL, match=matches, priority=priority, action=action(fakes.FORWARD, b"\x02")
    )
    return update(op, entry, **changes)


def default(op: OpType, table_id: int, table_action: p4r.TableAction | None, **changes: Any) -> p4r.Update:
    entry = p4r.TableEntry(table_id=table_id, is_default_action=True, action=table_action)
    return update(op, entry, **changes)


def entity(op: OpType, **kinds: Any) -> p4r.Update:
    return p4r.Update(type=op, entity=p4r.Entity(**kinds))


def refused(client: Client, one: p4r.Update) -> tuple[int, str]:
    """Code and text with which a single update fails."""
    with pytest.raises(grpc.RpcError) as error:
        client.write(one)
    assert status_of(error.value)[0] == grpc.StatusCode.UNKNOWN
    [detail] = details_of(error.value)
    return detail


TOO_WIDE = rpc_code.OUT_OF_RANGE
BAD = rpc_code.INVALID_ARGUMENT
DENIED = rpc_code.PERMISSION_DENIED
ONE_SESSION = session(INSERT).entity.table_entry
