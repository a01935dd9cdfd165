# SPDX-License-Identifier: Apache-2.0
"""Client arbitration for one device (P4Runtime specification, "Client Arbitration and Controller
Replication").

Pure: bids and departures of streams go in, notifications for streams come out. Streams are named by any
hashable value. Election ids are 128-bit integers; None is an unset one, which can never be primary and
differs from 0.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from finsy.proto import p4r
from google.protobuf.any_pb2 import Any as ProtoAny

from softswitch.p4runtime.errors import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OK,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    P4RuntimeError,
)

StreamId = Hashable
Notice = tuple[StreamId, p4r.MasterArbitrationUpdate]

_WORD = (1 << 64) - 1
_MAX_ROLES = 256  # roles are remembered for ever, so their number is bounded


def election_id_of(
    message: p4r.MasterArbitrationUpdate | p4r.WriteRequest | p4r.SetForwardingPipelineConfigRequest,
) -> int | None:
    """The election id in a request as an integer, None when it is unset."""
    if not message.HasField("election_id"):
        return None
    return (message.election_id.high << 64) | message.election_id.low


@dataclass
class _Role:
    """Who takes part in one role, and who leads."""

    name: str
    highest: int | None = None  # the highest election id ever seen
    primary: StreamId | None = None
    config: ProtoAny | None = None  # the role configuration of the latest primary
    members: dict[StreamId, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Binding:
    """What a stream's first bid fixed for its life; `device_id` as written, 0 stands for this device."""

    device_id: int
    role: str
    role_given: bool


class Arbitration:
    """The state machine: one instance per device, all its roles inside."""

    def __init__(self, device_id: int) -> None:
        self._device_id = device_id
        self._roles: dict[str, _Role] = {"": _Role("")}
        self._bindings: dict[StreamId, _Binding] = {}

    # --- events -------------------------------------------------------------------------------------------

    def bid(self, stream: StreamId, update: p4r.MasterArbitrationUpdate) -> list[Notice]:
        """A stream sent an arbitration update. An error means: end the stream with it (and call `leave`)."""
        self._check_binding(stream, update)
        name = update.role.name
        election_id = election_id_of(update)
        role = self._roles.get(name) or _Role(name)
        if election_id is not None and any(
            other is not stream and used == election_id for other, used in role.members.items()
        ):
            raise P4RuntimeError(
                INVALID_ARGUMENT,
                f"Election id {election_id} is already used by another client{_in_role(name)}",
            )
        if name not in self._roles and len(self._roles) >= _MAX_ROLES:
            raise P4RuntimeError(RESOURCE_EXHAUSTED, f"at most {_MAX_ROLES} roles")
        self._roles[name] = role
        self._bindings.setdefault(stream, _Binding(update.device_id, name, update.HasField("role")))
        role.members[stream] = election_id
        if election_id is not None and (role.highest is None or election_id >= role.highest):
            role.highest = election_id
            role.primary = stream
            role.config = ProtoAny() if update.role.HasField("config") else None
            if role.config is not None:
                role.config.CopyFrom(update.role.config)
            return self._notify_all(role)
        if role.primary == stream:
            role.primary = None
            return self._notify_all(role)
        return [self._notice(role, stream)]

    def leave(self, stream: StreamId) -> list[Notice]:
        """A stream ended, whatever the reason. Harmless for one that never bid."""
        binding = self._bindings.pop(stream, None)
        if binding is None:
            return []
        role = self._roles[binding.role]
        del role.members[stream]
        if role.primary != stream:
            return []
        role.primary = None
        return self._notify_all(role)

    # --- questions ----------------------------------------------------------------------------------------

    def check_primary(self, role_name: str, election_id: int | None) -> None:
        """Raise unless a live primary of the role has this election id (it may then write)."""
        role = self._roles.get(role_name)
        if role is None:
            raise P4RuntimeError(NOT_FOUND, f"role '{role_name}' is not known to device {self._device_id}")
        if role.primary is None:
            raise P4RuntimeError(PERMISSION_DENIED, f"not primary: there is no primary{_in_role(role_name)}")
        if election_id is None or election_id != role.highest:
            shown = "unset" if election_id is None else str(election_id)
            raise P4RuntimeError(
                PERMISSION_DENIED,
                f"not primary{_in_role(role_name)}: election id {shown}, the primary's is {role.highest}",
            )

    def is_primary(self, stream: StreamId) -> bool:
        """Is this stream the primary of its role?"""
        binding = self._bindings.get(stream)
        return binding is not None and self._roles[binding.role].primary == stream

    def primaries(self) -> list[tuple[StreamId, ProtoAny | None]]:
        """The primary of every role that has one, with the role's configuration."""
        return [(role.primary, role.config) for role in self._roles.values() if role.primary is not None]

    def role_config(self, role_name: str) -> ProtoAny | None:
        """The configuration that the latest primary gave its role; None is full access."""
        role = self._roles.get(role_name)
        return role.config if role else None

    # --- inside -------------------------------------------------------------------------------------------

    def _check_binding(self, stream: StreamId, update: p4r.MasterArbitrationUpdate) -> None:
        binding = self._bindings.get(stream)
        if binding is None:
            if update.device_id not in (0, self._device_id):
                raise P4RuntimeError(
                    NOT_FOUND,
                    f"device {update.device_id} is not known here, this is device {self._device_id}",
                )
            return
        if (update.device_id or self._device_id) != (binding.device_id or self._device_id):
            raise P4RuntimeError(
                FAILED_PRECONDITION,
                f"this stream belongs to device {binding.device_id}, not {update.device_id}",
            )
        if update.role.name != binding.role:
            raise P4RuntimeError(
                FAILED_PRECONDITION,
                f"this stream belongs to role '{binding.role}', not '{update.role.name}': open a new stream",
            )

    def _notify_all(self, role: _Role) -> list[Notice]:
        """Everyone learns of it, the primary last: it may write as soon as it reads the notice."""
        others = [stream for stream in role.members if stream != role.primary]
        streams = [*others, role.primary] if role.primary is not None else others
        return [self._notice(role, stream) for stream in streams]

    def _notice(self, role: _Role, stream: StreamId) -> Notice:
        binding = self._bindings[stream]
        update = p4r.MasterArbitrationUpdate(device_id=binding.device_id)
        if binding.role_given or role.config is not None:
            update.role.name = role.name
        if role.config is not None:
            update.role.config.CopyFrom(role.config)
        if role.highest is not None:
            update.election_id.high = role.highest >> 64
            update.election_id.low = role.highest & _WORD
        if role.primary is None:
            update.status.code = NOT_FOUND
            update.status.message = "there is no primary"
        elif role.primary == stream:
            update.status.code = OK
            update.status.message = "you are the primary"
        else:
            update.status.code = ALREADY_EXISTS
            update.status.message = "another client is the primary"
        return stream, update


def _in_role(name: str) -> str:
    return f" of role '{name}'" if name else ""
