# SPDX-License-Identifier: Apache-2.0
"""The program in our own software switch, in this process, without ports or threads."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from finsy.proto import p4i

from softswitch.compiler import compile_file
from softswitch.engine import (
    DELETE,
    EVENT_DIGEST,
    EVENT_PACKET_IN,
    FLAG_DEFAULT,
    INSERT,
    MODIFY,
    Engine,
    MeterRates,
)

from .target import CPU_PORT, Match, Output, PacketIn, Result, SessionEvent, Value, number, prefix


def _size(bits: int) -> int:
    return (bits + 7) // 8


class SoftswitchTarget:
    """A `Target`: an Engine whose entries are encoded by P4Info."""

    shortest_frame = 1

    def __init__(self, program: Path) -> None:
        compiled = compile_file(program)
        self._info = compiled.p4info
        self._library = compiled.library
        self._tables = {t.preamble.alias: t for t in self._info.tables}
        self._actions = {a.preamble.alias: a for a in self._info.actions}
        self._indirect = {c.preamble.alias: c.preamble.id for c in self._info.counters}
        self._indirect |= {m.preamble.alias: m.preamble.id for m in self._info.meters}
        self._engine = Engine(self._library, 1, CPU_PORT)

    def insert(self, table: str, match: Match, action: str, **params: Value) -> None:
        """Insert an entry."""
        self._write(INSERT, table, match, action, params)

    def modify(self, table: str, match: Match, action: str, **params: Value) -> None:
        """Change an entry."""
        self._write(MODIFY, table, match, action, params)

    def delete(self, table: str, match: Match) -> None:
        """Remove an entry."""
        self._write(DELETE, table, match, None, {})

    def set_default(self, table: str, action: str, **params: Value) -> None:
        """Set the default entry."""
        self._write(MODIFY, table, {}, action, params, FLAG_DEFAULT)

    def _write(
        self, op: int, table: str, match: Match, action: str | None, params: Match, flags: int = 0
    ) -> None:
        info = self._tables[table]
        key, mask = self._key(info, match) if not flags else (b"", None)
        action_id, data = 0, b""
        if action is not None:
            action_info = self._actions[action]
            action_id = action_info.preamble.id
            assert set(params) == {p.name for p in action_info.params}
            data = b"".join(number(params[p.name]).to_bytes(_size(p.bitwidth)) for p in action_info.params)
        code = self._put(op, info.preamble.id, key, mask, action_id, data, flags)
        assert code == 0, f"{table}: write refused with status {-code}"

    def _put(
        self, op: int, table: int, key: bytes, mask: bytes | None, action: int, params: bytes, flags: int
    ) -> int:
        return self._engine.write(op, table, key, mask, 0, action, params, flags=flags)

    def _key(self, table: p4i.Table, match: Match) -> tuple[bytes, bytes]:
        assert set(match) == {f.name for f in table.match_fields}
        key = mask = b""
        for field in table.match_fields:
            size = _size(field.bitwidth)
            if field.match_type == p4i.MatchField.LPM:
                value, length = prefix(match[field.name])
                bits = (1 << field.bitwidth) - (1 << (field.bitwidth - length))
            else:
                value, bits = number(match[field.name]), (1 << field.bitwidth) - 1
            key += value.to_bytes(size)
            mask += bits.to_bytes(size)
        return key, mask

    def set_meter(self, meter: str, index: int, rate: int | None, burst: int = 1) -> None:
        """Packets per second, the same for both rates; None: unconfigured."""
        rates = None if rate is None else MeterRates(rate, burst, rate, burst)
        assert self._engine.meter_write(self._indirect[meter], index, rates) == 0

    def counter(self, name: str, index: int) -> int:
        """Packets that an indirect counter's cell has counted."""
        cell = self._engine.counter_read(self._indirect[name], index)
        assert isinstance(cell, tuple)
        return cell[0]

    def direct_counter(self, table: str, match: Match) -> int:
        """Packets that an entry has counted."""
        info = self._tables[table]
        record = self._engine.lookup(info.preamble.id, *self._key(info, match))
        assert record is not None
        return record.packets

    def send(self, port: int, frame: bytes) -> Result:
        """Let a frame arrive on a port."""
        assert self._engine.process(port, frame) == 0
        return self._collect()

    def send_all(self, frames: Iterable[tuple[int, bytes]]) -> Result:
        """Let frames arrive one after another; give what comes of all of them."""
        for port, frame in frames:
            assert self._engine.process(port, frame) == 0
        return self._collect()

    def packet_out(self, mode: int, port: int, frame: bytes, release: int = 0) -> Result:
        """Send a frame from the controller."""
        return self.send(CPU_PORT, struct.pack(">BHH", mode, port, release) + frame)

    def _collect(self) -> Result:
        packet_ins, events = [], []
        while found := self._engine.wait_events(0):
            for event in found:
                if event.kind == EVENT_PACKET_IN:
                    packet_ins.append(PacketIn.parse(event.payload))
                elif event.kind == EVENT_DIGEST:
                    events.append(SessionEvent.parse(event.payload[4:]))
        outputs = tuple(Output(port, frame) for port, frame in self._engine.take_output())
        return Result(outputs, tuple(packet_ins), tuple(events))

    def reset(self) -> None:
        """Begin again with a fresh instance."""
        self._engine.close()
        self._engine = Engine(self._library, 1, CPU_PORT)

    def close(self) -> None:
        """Give everything back."""
        self._engine.close()
