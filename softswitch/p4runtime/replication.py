# SPDX-License-Identifier: Apache-2.0
"""Multicast groups and clone sessions: the replication engine's entries, remembered as written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from finsy.proto import p4r

from softswitch.p4runtime.bytestrings import shortest
from softswitch.p4runtime.errors import (
    ALREADY_EXISTS,
    NOT_FOUND,
    P4RuntimeError,
    check,
    invalid,
    unimplemented,
)

Pair = tuple[int, int]
_Entry = TypeVar("_Entry")
_SDN_CPU = p4r.SDN_PORT_CPU & 0xFFFFFFFF  # protobuf's enumerations are signed


class Replicator(Protocol):
    """What the data plane offers for replication; see `softswitch.engine.Engine`."""

    def multicast_set(self, group: int, replicas: list[Pair]) -> int: ...
    def clone_set(self, session: int, replicas: list[Pair], packet_length_bytes: int) -> int: ...


class Replication:
    """The entries of one running program."""

    def __init__(self, engine: Replicator, cpu_port: int) -> None:
        self._engine = engine
        self._cpu_port = cpu_port
        self._groups: dict[int, p4r.MulticastGroupEntry] = {}
        self._sessions: dict[int, p4r.CloneSessionEntry] = {}

    def write(self, op: int, entry: p4r.PacketReplicationEngineEntry) -> None:
        """Insert, modify or delete one entry."""
        kind = entry.WhichOneof("type")
        if kind == "multicast_group_entry":
            self._write_group(op, entry.multicast_group_entry)
        elif kind == "clone_session_entry":
            self._write_session(op, entry.clone_session_entry)
        else:
            raise invalid("packet replication entry: neither multicast group nor clone session")

    def read(self, entry: p4r.PacketReplicationEngineEntry) -> Iterator[p4r.PacketReplicationEngineEntry]:
        """One entry by its id, or with id 0 all of that kind."""
        kind = entry.WhichOneof("type")
        if kind == "multicast_group_entry":
            for group in _select(self._groups, entry.multicast_group_entry.multicast_group_id):
                yield p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
        elif kind == "clone_session_entry":
            for session in _select(self._sessions, entry.clone_session_entry.session_id):
                yield p4r.PacketReplicationEngineEntry(clone_session_entry=session)
        else:
            raise invalid("packet replication entry: neither multicast group nor clone session")

    def entries(self) -> Iterator[p4r.PacketReplicationEngineEntry]:
        """All entries, for carrying them over to another program."""
        for group in self._groups.values():
            yield p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
        for session in self._sessions.values():
            yield p4r.PacketReplicationEngineEntry(clone_session_entry=session)

    def _write_group(self, op: int, entry: p4r.MulticastGroupEntry) -> None:
        group = entry.multicast_group_id
        if group == 0:
            raise invalid("multicast group id 0")
        _check_presence(op, group in self._groups, f"multicast group {group}")
        if op == p4r.Update.DELETE:
            check(self._engine.multicast_set(group, []), f"multicast group {group}")
            del self._groups[group]
            return
        pairs = self._pairs(entry.replicas)
        if len(set(pairs)) != len(pairs):
            raise invalid(f"multicast group {group}: the same port and instance twice")
        check(self._engine.multicast_set(group, pairs), f"multicast group {group}")
        stored = p4r.MulticastGroupEntry()
        stored.CopyFrom(entry)
        _canonical(stored.replicas)
        self._groups[group] = stored

    def _write_session(self, op: int, entry: p4r.CloneSessionEntry) -> None:
        session = entry.session_id
        if session == 0:
            raise invalid("clone session id 0")
        _check_presence(op, session in self._sessions, f"clone session {session}")
        if op == p4r.Update.DELETE:
            check(self._engine.clone_set(session, [], 0), f"clone session {session}")
            del self._sessions[session]
            return
        if entry.packet_length_bytes < 0:
            raise invalid(f"clone session {session}: packet_length_bytes is negative")
        pairs = self._pairs(entry.replicas)
        check(self._engine.clone_set(session, pairs, entry.packet_length_bytes), f"clone session {session}")
        stored = p4r.CloneSessionEntry()
        stored.CopyFrom(entry)
        _canonical(stored.replicas)
        self._sessions[session] = stored

    def _pairs(self, replicas: Iterable[p4r.Replica]) -> list[Pair]:
        return [(self._port(replica), replica.instance) for replica in replicas]

    def _port(self, replica: p4r.Replica) -> int:
        if replica.backup_replicas:
            raise unimplemented("backup replicas are not supported")
        kind = replica.WhichOneof("port_kind")
        if kind == "port" and replica.port:
            port = int.from_bytes(replica.port, "big")
        elif kind == "egress_port":
            port = replica.egress_port
        else:
            raise invalid("replica without a port")
        if port == _SDN_CPU:
            return self._cpu_port
        if port >= 1 << 32:
            raise invalid(f"replica port 0x{port:x} is not a port number")
        return port


def _canonical(replicas: Iterable[p4r.Replica]) -> None:
    """Ports are read back in their shortest form."""
    for replica in replicas:
        if replica.WhichOneof("port_kind") == "port":
            replica.port = shortest(replica.port)


def _select(entries: Mapping[int, _Entry], wanted: int) -> list[_Entry]:
    if wanted == 0:
        return list(entries.values())
    return [entries[wanted]] if wanted in entries else []


def _check_presence(op: int, present: bool, what: str) -> None:
    if op == p4r.Update.INSERT and present:
        raise P4RuntimeError(ALREADY_EXISTS, f"{what} already exists")
    if op != p4r.Update.INSERT and not present:
        raise P4RuntimeError(NOT_FOUND, f"{what} does not exist")
