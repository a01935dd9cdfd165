# SPDX-License-Identifier: Apache-2.0
"""The program's ids, by name out of its P4Info; table entries as values and as protobuf messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controller.dataplane import DIGESTS, PACKET_OUT_FIELDS, TABLES, PuntHeader
from controller.logic.model import MASK32, Entry, Key, PacketOut
from controller.p4.proto import encode_uint, p4i, p4r, packet_out
from controller.p4.session_rows import SessionRows

_MOST_HEADERS = 4096


class SchemaError(Exception):
    """A program that lacks something the controller needs: one line."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's ids. `fields`: (id, match type) by name, in the order of `dataplane.TABLES`; `actions`:
    (id, parameter ids) by name."""

    name: str
    table_id: int
    fields: dict[str, tuple[int, int]]
    actions: dict[str, tuple[int, dict[str, int]]]


@dataclass(frozen=True, slots=True)
class Row:
    """A table entry as plain values: match (LPM: (value, prefix length)), action, parameters in order."""

    table: str
    match: tuple[int | tuple[int, int], ...]
    action: str
    params: tuple[int, ...]


class Schema:
    """Names to ids of one program.

    Raises:
        SchemaError: something of `controller.dataplane` is not in the program.
    """

    def __init__(self, info: p4i.P4Info) -> None:
        self.info = info
        actions = {action.preamble.id: action for action in info.actions}
        self.tables = {name: _table(info, actions, name) for name in TABLES}
        self._by_id = {table.table_id: table for table in self.tables.values()}
        self.drops = _by_alias(info.counters, "counter", "drops").preamble.id
        self.events = _by_alias(info.counters, "counter", "events").preamble.id
        self.service_syns = _by_alias(info.counters, "counter", "service_syns").preamble.id
        self.syn_meter = _by_alias(info.meters, "meter", "syn_meter").preamble.id
        self.punt_meter = _by_alias(info.meters, "meter", "punt_meter").preamble.id
        self.digests = tuple(_by_alias(info.digests, "digest", name).preamble.id for name in DIGESTS)
        self._in_order = self._metadata("packet_in", PuntHeader._fields)
        self._out_ids = self._metadata("packet_out", PACKET_OUT_FIELDS)
        self._out_cache: dict[tuple[int, ...], bytes] = {}
        self._sessions_v4 = _session_rows(self.tables["sessions_v4"])
        self._sessions_v6 = _session_rows(self.tables["sessions_v6"])
        self.sessions_ids = (self._sessions_v4.table_id, self._sessions_v6.table_id)

    def _metadata(self, header: str, names: Sequence[str]) -> list[int]:
        for metadata in self.info.controller_packet_metadata:
            if metadata.preamble.name == header:
                ids = {item.name: item.id for item in metadata.metadata}
                missing = [name for name in names if name not in ids]
                if missing:
                    raise SchemaError(f"the program's header {header} has no field {missing[0]}")
                return [ids[name] for name in names]
        raise SchemaError(f"the program has no controller header {header}")

    # --- packets ----------------------------------------------------------------------------------

    def punt_header(self, metadata: Any) -> PuntHeader:
        """The `packet_in` header out of PacketIn.metadata."""
        values = {item.metadata_id: int.from_bytes(item.value, "big") for item in metadata}
        return PuntHeader(*(values.get(field_id, 0) for field_id in self._in_order))

    def packet_out(self, packet: PacketOut) -> bytes:
        """The serialised StreamMessageRequest that sends a packet through a switch."""
        return packet_out(self._out_metadata((packet.mode, packet.port, packet.release)), packet.frame)

    def _out_metadata(self, values: tuple[int, ...]) -> bytes:
        """The serialised metadata of a PacketOut; most are like one before."""
        found = self._out_cache.get(values)
        if found is None:
            if len(self._out_cache) >= _MOST_HEADERS:
                self._out_cache.clear()
            packet = p4r.PacketOut()
            for field_id, value in zip(self._out_ids, values, strict=True):
                packet.metadata.add(metadata_id=field_id, value=encode_uint(value))
            found = self._out_cache[values] = packet.SerializeToString()
        return found

    # --- sessions ---------------------------------------------------------------------------------

    def session_bytes(self, key: Key, entry: Entry | None = None) -> bytes:
        """A session's table entry, serialised; without `entry` only its key (to delete or to read it)."""
        table = self._sessions_v6 if key[1] > MASK32 else self._sessions_v4
        return table.encode(key, entry)

    def session_key(self, row: p4r.TableEntry) -> Key:
        return self._sessions_of(row).key(row)

    def session(self, row: p4r.TableEntry) -> tuple[Key, Entry]:
        """The session that a table entry is for."""
        table = self._sessions_of(row)
        return table.key(row), table.entry(row)

    def _sessions_of(self, row: p4r.TableEntry) -> SessionRows:
        return self._sessions_v6 if row.table_id == self._sessions_v6.table_id else self._sessions_v4

    # --- other tables -----------------------------------------------------------------------------

    def row_entity(self, row: Row) -> p4r.Entity:
        """A row as an entity; a table without key fields gets its default action set."""
        table = self.tables[row.table]
        entity = p4r.Entity()
        target = entity.table_entry
        target.table_id = table.table_id
        target.is_default_action = not table.fields
        for (field_id, kind), value in zip(table.fields.values(), row.match, strict=True):
            if isinstance(value, tuple):
                if value[1] == 0:
                    continue  # a match of everything is left out (P4Runtime specification, "Don't care")
                match = target.match.add()
                match.field_id = field_id
                match.lpm.value, match.lpm.prefix_len = encode_uint(value[0]), value[1]
            else:
                match = target.match.add()
                match.field_id = field_id
                if kind != p4i.MatchField.EXACT:
                    raise SchemaError(f"table {row.table}: match type {kind} is not expected")
                match.exact.value = encode_uint(value)
        action_id, params = table.actions[row.action]
        action = target.action.action
        action.action_id = action_id
        for param_id, value in zip(params.values(), row.params, strict=True):
            param = action.params.add()
            param.param_id = param_id
            param.value = encode_uint(value)
        return entity

    def row(self, entry: p4r.TableEntry) -> Row | None:
        """A table entry as a row; None when it is of no table or action of ours."""
        table = self._by_id.get(entry.table_id)
        if table is None:
            return None
        values = {match.field_id: match for match in entry.match}
        keys: list[int | tuple[int, int]] = []
        for field_id, kind in table.fields.values():
            match = values.get(field_id)
            if kind == p4i.MatchField.LPM:
                value = int.from_bytes(match.lpm.value, "big") if match else 0
                keys.append((value, match.lpm.prefix_len if match else 0))
            elif match is not None:
                keys.append(int.from_bytes(match.exact.value, "big"))
        action = entry.action.action
        for name, (action_id, params) in table.actions.items():
            if action_id == action.action_id:
                given = {p.param_id: int.from_bytes(p.value, "big") for p in action.params}
                return Row(table.name, tuple(keys), name, tuple(given.get(i, 0) for i in params.values()))
        return None


def _session_rows(table: Table) -> SessionRows:
    action, params = table.actions["translate"]
    match = tuple(field_id for field_id, _ in table.fields.values())
    return SessionRows(table.table_id, match, action, tuple(params.values()))


def _by_alias(objects: Any, kind: str, name: str) -> Any:
    for item in objects:
        if name in (item.preamble.alias, item.preamble.name.rpartition(".")[2]):
            return item
    raise SchemaError(f"the program has no {kind} {name}")


def _table(info: p4i.P4Info, actions: dict[int, p4i.Action], name: str) -> Table:
    table = _by_alias(info.tables, "table", name)
    available = {
        actions[ref.id].preamble.name.rpartition(".")[2]: actions[ref.id] for ref in table.action_refs
    }
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for action_name, param_names in TABLES[name].actions.items():
        action = available.get(action_name)
        if action is None:
            raise SchemaError(f"the program's table {name} has no action {action_name}")
        params = {param.name: param.id for param in action.params}
        missing = [param for param in param_names if param not in params]
        if missing or len(params) != len(param_names):
            raise SchemaError(f"action {action_name} of table {name} has parameters {', '.join(params)}")
        found[action_name] = (action.preamble.id, {param: params[param] for param in param_names})
    given = {f.name: (f.id, f.match_type) for f in table.match_fields}
    if set(given) != set(TABLES[name].keys):
        raise SchemaError(f"the program's table {name} has keys {', '.join(given)}")
    fields = {key: given[key] for key in TABLES[name].keys}
    return Table(name, table.preamble.id, fields, found)
