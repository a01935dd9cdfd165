# SPDX-License-Identifier: Apache-2.0
"""What a relay does to Writes and Reads so that a switch seems to refuse, to be full, or to lie.

Sessions are told from all other entries by their idle timeout.
"""

from __future__ import annotations

from typing import Literal

from finsy.proto import p4r, rpc_code, rpc_status
from google.protobuf.any_pb2 import Any as AnyMessage

Fault = Literal["none", "cut", "refuse", "full", "lie"]
"""none; cut off: nothing passes in either direction; every session is refused; there is no room for another
session; sessions are read back otherwise than they were written."""


def refusal(fault: Fault, request: bytes) -> bytes | None:
    """The `grpc-status-details-bin` with which the switch refuses a Write; None when it takes it."""
    if fault not in ("refuse", "full"):
        return None
    updates = p4r.WriteRequest.FromString(request).updates
    if not any(_refused(fault, update) for update in updates):
        return None
    code = rpc_code.RESOURCE_EXHAUSTED if fault == "full" else rpc_code.INTERNAL
    status = rpc_status.Status(code=rpc_code.UNKNOWN, message="some updates failed")
    for update in updates:
        detail = AnyMessage()
        detail.Pack(
            p4r.Error(canonical_code=code if _refused(fault, update) else rpc_code.ABORTED, message=fault)
        )
        status.details.append(detail)
    return status.SerializeToString()


def _refused(fault: Fault, update: p4r.Update) -> bool:
    if not update.entity.table_entry.idle_timeout_ns:
        return False
    return update.type == p4r.Update.INSERT or (fault == "refuse" and update.type == p4r.Update.MODIFY)


def read_back(fault: Fault, response: bytes) -> bytes:
    """The answer to a Read as the controller gets it."""
    if fault != "lie":
        return response
    message = p4r.ReadResponse.FromString(response)
    for entity in message.entities:
        row = entity.table_entry
        if row.idle_timeout_ns and row.action.action.params:
            row.action.action.params[0].value = b"\x2a"
    return message.SerializeToString()
