# SPDX-License-Identifier: Apache-2.0
"""The session entries that a switch really holds, read from it by P4Runtime, past the controller."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from finsy.proto import p4r, p4r_grpc

from controller.config import SwitchTls

_TABLES = ("sessions_v4", "sessions_v6")
_TIME = 5.0  # seconds for each RPC
_UNLIMITED = (("grpc.max_receive_message_length", -1),)


@dataclass(frozen=True)
class SessionEntry:
    """One entry: its Δ (mod 2^32), its phase (0 open, 1 closing) and its version."""

    delta: int
    phase: int
    version: int


class TableError(RuntimeError):
    """The switch cannot be read; the text says why."""


def session_entries(address: str, device_id: int, tls: SwitchTls | None = None) -> list[SessionEntry]:
    """All session entries of both versions of IP in the switch at a gRPC address. TableError."""
    with open_channel(address, tls) as channel:
        try:
            return _read(p4r_grpc.P4RuntimeStub(channel), device_id)
        except grpc.RpcError as error:
            raise TableError(f"{address}: {error.code().name} {error.details() or ''}".rstrip()) from None


def open_channel(address: str, tls: SwitchTls | None) -> grpc.Channel:
    """A channel for messages of any size."""
    if tls is None:
        return grpc.insecure_channel(address, options=_UNLIMITED)
    own = tls.files.load()
    credentials = grpc.ssl_channel_credentials(own.ca, own.key, own.certificate)
    options = (*_UNLIMITED, ("grpc.ssl_target_name_override", tls.server_name))
    return grpc.secure_channel(address, credentials, options=options)


def _read(stub: p4r_grpc.P4RuntimeStub, device_id: int) -> list[SessionEntry]:
    config = stub.GetForwardingPipelineConfig(
        p4r.GetForwardingPipelineConfigRequest(device_id=device_id), timeout=_TIME
    ).config.p4info
    names = {
        action.preamble.id: {param.id: param.name for param in action.params} for action in config.actions
    }
    found = []
    for table in config.tables:
        if table.preamble.alias not in _TABLES:
            continue
        request = p4r.ReadRequest(device_id=device_id)
        request.entities.add().table_entry.table_id = table.preamble.id
        for response in stub.Read(request, timeout=_TIME):
            for entity in response.entities:
                action = entity.table_entry.action.action
                if entity.table_entry.is_default_action or not action.params:
                    continue
                values = {
                    names[action.action_id][param.param_id]: int.from_bytes(param.value, "big")
                    for param in action.params
                }
                found.append(SessionEntry(values["delta"], values["phase"], values["version"]))
    return found
