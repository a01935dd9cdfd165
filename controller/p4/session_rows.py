# SPDX-License-Identifier: Apache-2.0
"""A session as a table entry: the only entries that are written and read by the million.

Encoding joins bytes that were made beforehand, once per field and length of value; that it is what protobuf
itself would give is tested. Numbers of fields come from protobuf's own descriptors.
"""

from __future__ import annotations

from typing import Any

from controller.logic.model import Entry, Key
from controller.p4.proto import field, p4r

_LONGEST = 16  # bytes: an IPv6 address
_MOST_SHARED = 4096
_ENTITY_ROW = int(p4r.Entity.DESCRIPTOR.fields_by_name["table_entry"].number)
_ROW_ACTION = int(p4r.TableEntry.DESCRIPTOR.fields_by_name["action"].number)
_ACTION = int(p4r.TableAction.DESCRIPTOR.fields_by_name["action"].number)

_Prefixes = tuple[bytes, ...]  # what stands before a value, by the number of its bytes


class SessionRows:
    """One session table: key fields in the order of `Key`, parameters in the order of `Entry`."""

    def __init__(self, table_id: int, match: tuple[int, ...], action: int, params: tuple[int, ...]) -> None:
        self.table_id = table_id
        self._match = match
        self._params = params
        self._head = p4r.TableEntry(table_id=table_id).SerializeToString()
        self._action_head = p4r.Action(action_id=action).SerializeToString()
        self._match_prefixes = tuple(_prefixes(_match_piece, field_id) for field_id in match)
        self._param_prefixes = tuple(_prefixes(_param_piece, param_id) for param_id in params)
        self._idle: dict[int, bytes] = {}
        self._shared: dict[int, int] = {}
        self._recent: dict[Key, tuple[bytes, Entry, bytes]] = {}  # the key's part, and a whole entity

    def encode(self, key: Key, entry: Entry | None) -> bytes:
        """The serialised Entity; without `entry` only its key (to delete or to read it).

        A session is written some times in a row: to the other switches, to the ingress, soon with another
        phase. So the latest are remembered.
        """
        recent = self._recent.get(key)
        match = self._head + _values(self._match_prefixes, key) if recent is None else recent[0]
        if entry is None:
            return field(_ENTITY_ROW, match)
        if recent is not None and recent[1] == entry:
            return recent[2]
        idle = self._idle.get(entry.idle_ns) or self._add_idle(entry.idle_ns)
        action = field(_ACTION, self._action_head + _values(self._param_prefixes, entry))
        entity = field(_ENTITY_ROW, b"".join((match, field(_ROW_ACTION, action), idle)))
        if len(self._recent) >= _MOST_SHARED:
            self._recent.clear()
        self._recent[key] = match, entry, entity
        return entity

    def _add_idle(self, idle_ns: int) -> bytes:
        if len(self._idle) >= _MOST_SHARED:
            self._idle.clear()
        found = self._idle[idle_ns] = p4r.TableEntry(idle_timeout_ns=idle_ns).SerializeToString()
        return found

    def key(self, row: p4r.TableEntry) -> Key:
        values = {match.field_id: int.from_bytes(match.exact.value, "big") for match in row.match}
        client, server, client_port, server_port = (values[i] for i in self._match)
        return client, self._same(server), client_port, self._same(server_port)

    def entry(self, row: p4r.TableEntry) -> Entry:
        values = {p.param_id: int.from_bytes(p.value, "big") for p in row.action.action.params}
        delta, tau, to_client, to_server, phase, version, isn, cookie = (values[i] for i in self._params)
        version, idle_ns = self._same(version), self._same(row.idle_timeout_ns)
        return Entry(delta, tau, to_client, to_server, phase, version, isn, cookie, idle_ns)

    def _same(self, value: int) -> int:
        """The same number as one object: many sessions have the same server and the same idle time."""
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault(value, value)


def _values(prefixes: tuple[_Prefixes, ...], values: tuple[int, ...]) -> bytes:
    """Values as their shortest bytes (P4Runtime specification, "Bytestrings"); zero is one byte."""
    pieces: list[bytes] = []
    for by_length, value in zip(prefixes, values, strict=False):  # an Entry has the idle time behind them
        length = (value.bit_length() + 7) >> 3 or 1
        pieces += by_length[length], value.to_bytes(length, "big")
    return b"".join(pieces)


def _prefixes(piece: Any, number: int) -> _Prefixes:
    return b"", *(piece(number, bytes(length))[:-length] for length in range(1, _LONGEST + 1))


def _match_piece(field_id: int, value: bytes) -> bytes:
    exact = p4r.FieldMatch.Exact(value=value)
    data: bytes = p4r.TableEntry(match=[p4r.FieldMatch(field_id=field_id, exact=exact)]).SerializeToString()
    return data


def _param_piece(param_id: int, value: bytes) -> bytes:
    data: bytes = p4r.Action(params=[p4r.Action.Param(param_id=param_id, value=value)]).SerializeToString()
    return data
