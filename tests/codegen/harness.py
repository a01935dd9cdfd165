# SPDX-License-Identifier: Apache-2.0
"""A compiled program with its tables and actions by name: packets in, packets out, without ports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from finsy.proto import p4i

from softswitch.compiler import CompiledProgram, compile_file, compile_text, preprocess_file
from softswitch.engine import FLAG_DEFAULT, INSERT, MODIFY, Engine, Event, TableRecord

V1MODEL = "#include <core.p4>\n#include <v1model.p4>\n"
OK, INVALID, NOT_FOUND, EXISTS, DENIED, FULL, OUT_OF_RANGE = 0, -3, -5, -6, -7, -8, -11

Match = int | tuple[int, int]
"""A value, or value and mask (LPM: value and prefix length; range: low and high)."""


def num_bytes(width: int) -> int:
    """How many bytes hold `width` bits."""
    return (width + 7) // 8


def compile_source(source: str, tmp_path: Path, name: str = "program") -> CompiledProgram:
    """Compiles P4 text that may contain #include."""
    path = tmp_path / f"{name}.p4"
    path.write_text(source)
    return compile_text(preprocess_file(path), name=name)


class Switch:
    """A loaded program. Names are P4Info aliases or full names."""

    def __init__(self, program: CompiledProgram, cpu_port: int = 510) -> None:
        self.program = program
        self.info = program.p4info
        self.engine = Engine(program.library, 1, cpu_port)

    @classmethod
    def of(cls, source: str, tmp_path: Path) -> Switch:
        """A switch that runs a P4 text."""
        return cls(compile_source(source, tmp_path))

    @classmethod
    def of_file(cls, path: Path, include_dirs: Sequence[Path] = ()) -> Switch:
        """A switch that runs a P4 file."""
        return cls(compile_file(path, include_dirs))

    def __enter__(self) -> Switch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()

    # --- packets ------------------------------------------------------------------------------------

    def send(self, port: int, frame: bytes) -> list[tuple[int, bytes]]:
        """Frames that come out, with their ports, when one goes in."""
        assert self.engine.process(port, frame) == 0
        return self.engine.take_output()

    def one(self, port: int, frame: bytes) -> tuple[int, bytes]:
        """The only frame that comes out."""
        frames = self.send(port, frame)
        assert len(frames) == 1
        return frames[0]

    def events(self, timeout_ms: int = 0) -> list[Event]:
        """What is waiting for the control plane."""
        return self.engine.wait_events(timeout_ms)

    # --- tables --------------------------------------------------------------------------------------

    def table(self, name: str) -> p4i.Table:
        """A table's description."""
        return next(t for t in self.info.tables if name in (t.preamble.alias, t.preamble.name))

    def action(self, name: str) -> p4i.Action:
        """An action's description."""
        return next(a for a in self.info.actions if name in (a.preamble.alias, a.preamble.name))

    def id_of(self, kind: str, name: str) -> int:
        """Id of a counter, meter, register or digest: `kind` is P4Info's list."""
        found: Iterable[p4i.Counter] = getattr(self.info, kind)
        return next(x.preamble.id for x in found if name in (x.preamble.alias, x.preamble.name))

    def params(self, action: str, *values: int) -> bytes:
        """Action parameters as bytes."""
        fields = self.action(action).params
        return b"".join(v.to_bytes(num_bytes(f.bitwidth), "big") for f, v in zip(fields, values, strict=True))

    def key_and_mask(self, table: str, matches: Sequence[Match | None]) -> tuple[bytes, bytes]:
        """Key and mask as bytes; None matches everything."""
        key, mask = b"", b""
        for field, match in zip(self.table(table).match_fields, matches, strict=True):
            value, other = self._field(field, match)
            size = num_bytes(field.bitwidth)
            key += value.to_bytes(size, "big")
            mask += other.to_bytes(size, "big")
        return key, mask

    @staticmethod
    def _field(field: p4i.MatchField, match: Match | None) -> tuple[int, int]:
        ones = (1 << field.bitwidth) - 1
        if match is None:
            return (0, ones) if field.match_type == p4i.MatchField.RANGE else (0, 0)
        if isinstance(match, tuple):
            value, other = match
            if field.match_type == p4i.MatchField.LPM:
                return value, ones ^ (ones >> other)
            return value, other
        return (match, match) if field.match_type == p4i.MatchField.RANGE else (match, ones)

    def write(
        self,
        op: int,
        table: str,
        matches: Sequence[Match | None],
        action: str | None,
        *values: int,
        priority: int = 0,
        idle_ms: int = 0,
    ) -> int:
        """Writes an entry; returns the code."""
        key, mask = self.key_and_mask(table, matches)
        return self.engine.write(
            op,
            self.table(table).preamble.id,
            key,
            mask,
            priority,
            self.action(action).preamble.id if action else 0,
            self.params(action, *values) if action else b"",
            idle_timeout_ns=idle_ms * 1_000_000,
        )

    def insert(
        self, table: str, matches: Sequence[Match | None], action: str, *values: int, priority: int = 0
    ) -> None:
        """Inserts an entry that must be taken."""
        assert self.write(INSERT, table, matches, action, *values, priority=priority) == OK

    def set_default(self, table: str, action: str, *values: int) -> int:
        """Changes the default action; returns the code."""
        return self.engine.write(
            MODIFY,
            self.table(table).preamble.id,
            b"",
            action_id=self.action(action).preamble.id,
            params=self.params(action, *values),
            flags=FLAG_DEFAULT,
        )

    def entry(self, table: str, matches: Sequence[Match | None], priority: int = 0) -> TableRecord | None:
        """One entry as the switch holds it."""
        key, mask = self.key_and_mask(table, matches)
        return self.engine.lookup(self.table(table).preamble.id, key, mask, priority)
