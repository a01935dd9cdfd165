# SPDX-License-Identifier: Apache-2.0
"""Runs the statements of one STF file on a program: entries through the P4Runtime server's own writer,
packets through the data plane, one after the other.

The switch's ports are those that the file names; what leaves by another port is lost, as in BMv2.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from finsy.proto import p4i, p4r

from softswitch.compiler import CompiledProgram
from softswitch.engine import Engine, MeterRates
from softswitch.p4runtime.errors import P4RuntimeError, check
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.read import select
from softswitch.p4runtime.write import apply_update
from softswitch.stf import names
from softswitch.stf.script import Add, CheckCounter, Expect, Packet, SetDefault, Statement, StfError, number

_NO_CPU_PORT = 1 << 16
"""No packet can leave by this port: every port of a program is an ordinary one here."""
_SHOWN = 3
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


class Session:
    """One run of one file. `failures` says what was not as expected; `notes` what was read on request."""

    def __init__(self, program: CompiledProgram) -> None:
        self.info = program.p4info
        self.failures: list[str] = []
        self.notes: list[str] = []
        self._pipeline = Pipeline(
            program, p4r.ForwardingPipelineConfig(), lambda path: Engine(path, 1, _NO_CPU_PORT), _NO_CPU_PORT
        )
        self._engine: Engine = self._pipeline.engine  # type: ignore[assignment]  # what open_engine made
        self._entries: dict[str, p4r.TableEntry] = {}
        self._expected: dict[int, list[Expect]] = defaultdict(list)
        self._received: dict[int, list[bytes]] = defaultdict(list)
        self._groups: dict[int, list[int]] = {}
        self._nodes: list[tuple[int, list[int]]] = []
        self._mirrors: dict[int, int] = {}

    def close(self) -> None:
        """Give the data plane back."""
        self._pipeline.close()

    def run(self, statements: Sequence[Statement], file: Path | str) -> None:
        """All statements in order, then compare. StfError names the line that could not be carried out."""
        ports = {s.port for s in statements if isinstance(s, Packet | Expect)}
        for statement in statements:
            where = f"{file}:{statement.line}"
            try:
                self._run(statement, ports)
            except (StfError, P4RuntimeError) as error:
                raise StfError(f"{where}: {error}") from None
        self._compare(file)

    def _run(self, statement: Statement, ports: set[int]) -> None:
        if isinstance(statement, Packet):
            check(self._engine.process(statement.port, statement.data), "packet")
            for port, frame in self._engine.take_output():
                if port in ports:
                    self._received[port].append(frame)
        elif isinstance(statement, Expect):
            self._expected[statement.port].append(statement)
        elif isinstance(statement, Add):
            self._add(statement)
        elif isinstance(statement, SetDefault):
            self._set_default(statement)
        elif isinstance(statement, CheckCounter):
            self._check_counter(statement)
        else:
            getattr(self, f"_{statement.command}")(statement, *statement.words)

    # --- packets ------------------------------------------------------------------------------------------

    def _compare(self, file: Path | str) -> None:
        for port in sorted({*self._expected, *self._received}):
            expected, received = self._expected[port], self._received[port]
            for index, (want, got) in enumerate(zip(expected, received, strict=False)):
                if not matches(want, got):
                    self.failures.append(
                        f"{file}:{want.line}: packet {index + 1} on port {port} differs\n"
                        f"  expected {want.pattern}{'$' * want.exact}\n  received {got.hex()}"
                    )
            for want in expected[len(received) :][:_SHOWN]:
                self.failures.append(
                    f"{file}:{want.line}: port {port} has sent {len(received)} of {len(expected)} packets; "
                    f"missing {want.pattern or 'any'}"
                )
            for got in received[len(expected) :][:_SHOWN]:
                self.failures.append(f"{file}: unexpected packet on port {port}: {got.hex()}")

    def _no_packet(self, statement: Statement) -> None:
        for port, frames in self._received.items():
            surplus = len(frames) - len(self._expected[port])
            if surplus > 0:
                self.failures.append(
                    f"line {statement.line}: {surplus} packets on port {port}, none expected"
                )

    def _wait(self, _: Statement) -> None:
        """Nothing: packets are through when they have been sent."""

    # --- tables -------------------------------------------------------------------------------------------

    def _write(self, kind: int, entity: p4r.Entity) -> None:
        apply_update(self._pipeline, p4r.Update(type=kind, entity=entity))  # type: ignore[arg-type]

    def _add(self, statement: Add) -> None:
        table = names.find(self.info.tables, statement.table, "table")
        entry = names.table_entry(self.info, table, statement.match, statement.priority)
        entry.action.action.CopyFrom(names.action_call(self.info, table, statement.action))
        self._write(p4r.Update.INSERT, p4r.Entity(table_entry=entry))
        if statement.name:
            self._entries["$" + statement.name.lstrip("$")] = entry

    def _set_default(self, statement: SetDefault) -> None:
        table = names.find(self.info.tables, statement.table, "table")
        entry = p4r.TableEntry(table_id=table.preamble.id, is_default_action=True)
        entry.action.action.CopyFrom(names.action_call(self.info, table, statement.action))
        self._write(p4r.Update.MODIFY, p4r.Entity(table_entry=entry))

    def _remove(self, _: Statement, what: str) -> None:
        if what.lower() != "all":
            raise StfError("remove takes only `all`")
        query = p4r.Entity(table_entry=p4r.TableEntry())
        for entity in list(select(self._pipeline, query)):
            if not entity.table_entry.is_const:
                self._write(p4r.Update.DELETE, entity)
        self._entries.clear()

    def _value_set_add(self, _: Statement, name: str, *values: str) -> None:
        value_set = names.find(self.info.value_sets, name, "value set")
        if len(values) != len(value_set.match):
            raise StfError(f"value set {name} has {len(value_set.match)} fields, not {len(values)}")
        query = p4r.ValueSetEntry(value_set_id=value_set.preamble.id)
        for entity in select(self._pipeline, p4r.Entity(value_set_entry=query)):
            query = entity.value_set_entry
        member = query.members.add()
        for field, text in zip(value_set.match, values, strict=True):
            made = names.field_match(field, text)
            if made is not None:
                member.match.append(made)
        self._write(p4r.Update.MODIFY, p4r.Entity(value_set_entry=query))

    # --- counters, registers, meters ----------------------------------------------------------------------

    def _check_counter(self, statement: CheckCounter) -> None:
        index = statement.index
        if index.startswith("$"):
            counts = self._direct_counts(index)
        else:
            counts = self._counts(statement.name, number(index))
        value = counts[statement.unit == "bytes"]
        if not _OPERATORS[statement.operator](value, statement.value):
            self.failures.append(
                f"line {statement.line}: {statement.name}({index}) has {value} {statement.unit}, "
                f"not {statement.operator} {statement.value}"
            )

    def _direct_counts(self, name: str) -> tuple[int, int]:
        entry = self._entries.get(name)
        if entry is None:
            raise StfError(f"no entry is called {name}")
        table = self._pipeline.schema.table(entry.table_id)
        key, mask = table.key.encode(entry.match)
        record = self._engine.lookup(table.id, key, mask, entry.priority)
        if record is None:
            raise StfError(f"entry {name} is not there any more")
        return record.packets, record.octets

    def _counts(self, name: str, index: int) -> tuple[int, int]:
        counter = names.find(self.info.counters, name, "counter")
        counts = self._engine.counter_read(counter.preamble.id, index)
        if isinstance(counts, int):
            check(counts, name)
            raise AssertionError("unreachable: an error code was returned")
        return counts

    def _counter_read(self, _: Statement, name: str, index: str) -> None:
        packets, octets = self._counts(name, number(index))
        self.notes.append(f"{name}[{index}] = {packets} packets, {octets} bytes")

    def _counter_write(self, _: Statement, name: str, index: str, packets: str, octets: str) -> None:
        counter = names.find(self.info.counters, name, "counter")
        result = self._engine.counter_write(
            counter.preamble.id, number(index), number(packets), number(octets)
        )
        check(result, name)

    def _register(self, name: str) -> tuple[p4i.Register, int]:
        """A register and the bytes of one cell."""
        register = names.find(self.info.registers, name, "register")
        return register, self._pipeline.schema.register(register.preamble.id).value.size

    def _register_value(self, name: str, index: str) -> int:
        register, size = self._register(name)
        value = self._engine.register_read(register.preamble.id, number(index), size)
        if isinstance(value, int):
            check(value, name)
            raise AssertionError("unreachable: an error code was returned")
        return int.from_bytes(value, "big")

    def _register_read(self, _: Statement, name: str, index: str) -> None:
        self.notes.append(f"{name}[{index}] = {self._register_value(name, index)}")

    def _check_register(self, statement: Statement, name: str, index: str, value: str) -> None:
        found = self._register_value(name, index)
        if found != number(value):
            self.failures.append(f"line {statement.line}: {name}[{index}] is {found}, not {number(value)}")

    def _register_write(self, _: Statement, name: str, index: str, value: str) -> None:
        register, size = self._register(name)
        data = names.to_bytes(number(value), size * 8, name)
        check(self._engine.register_write(register.preamble.id, number(index), data), name)

    def _register_reset(self, _: Statement, name: str) -> None:
        register, size = self._register(name)
        for index in range(register.size):
            check(self._engine.register_write(register.preamble.id, index, bytes(size)), name)

    def _meter_get_rates(self, _: Statement, name: str, index: str) -> None:
        meter = names.find(self.info.meters, name, "meter")
        rates = self._engine.meter_read(meter.preamble.id, number(index))
        if isinstance(rates, int):
            check(rates, name)
        self.notes.append(f"{name}[{index}]: {rates}")

    def _meter_set_rates(self, _: Statement, name: str, index: str, *rates: str) -> None:
        meter = names.find(self.info.meters, name, "meter")
        check(self._engine.meter_write(meter.preamble.id, number(index), _rates(rates)), name)

    def _meter_array_set_rates(self, _: Statement, name: str, *rates: str) -> None:
        meter = names.find(self.info.meters, name, "meter")
        for index in range(meter.size):
            check(self._engine.meter_write(meter.preamble.id, index, _rates(rates)), name)

    # --- replication --------------------------------------------------------------------------------------

    def _mirroring_add(self, _: Statement, session: str, port: str) -> None:
        self._mirrors.pop(number(session), None)
        check(self._engine.clone_set(number(session), [(number(port), 0)], 0), "mirroring session")

    def _mirroring_add_mc(self, _: Statement, session: str, group: str) -> None:
        self._mirrors[number(session)] = number(group)
        self._push_groups()

    def _mirroring_delete(self, _: Statement, session: str) -> None:
        self._mirrors.pop(number(session), None)
        check(self._engine.clone_set(number(session), [], 0), "mirroring session")

    def _mirroring_get(self, _: Statement, session: str) -> None:
        self.notes.append(f"mirroring session {session}: group {self._mirrors.get(number(session), 'none')}")

    def _mc_mgrp_create(self, _: Statement, group: str) -> None:
        self._groups.setdefault(number(group), [])

    def _mc_node_create(self, _: Statement, rid: str, *ports: str) -> None:
        self._nodes.append((number(rid), [number(port) for port in ports]))

    def _mc_node_update(self, _: Statement, node: str, *ports: str) -> None:
        index = self._node(node)
        self._nodes[index] = (self._nodes[index][0], [number(port) for port in ports])
        self._push_groups()

    def _mc_node_associate(self, _: Statement, group: str, node: str) -> None:
        if number(group) not in self._groups:
            raise StfError(f"multicast group {group} has not been created")
        self._groups[number(group)].append(self._node(node))
        self._push_groups()

    def _node(self, text: str) -> int:
        if not 0 <= number(text) < len(self._nodes):
            raise StfError(f"node {text} has not been created: they count from 0")
        return number(text)

    def _push_groups(self) -> None:
        """Tells the data plane all groups, and the sessions that clone to them."""
        pairs = {
            group: [(port, self._nodes[node][0]) for node in nodes for port in self._nodes[node][1]]
            for group, nodes in self._groups.items()
        }
        for group, replicas in pairs.items():
            check(self._engine.multicast_set(group, replicas), "multicast group")
        for session, group in self._mirrors.items():
            check(self._engine.clone_set(session, pairs.get(group, []), 0), "mirroring session")


def matches(want: Expect, got: bytes) -> bool:
    """Whether a frame is what was expected."""
    found = got.hex()
    if len(found) < len(want.pattern) or (want.exact and len(found) > len(want.pattern)):
        return False
    return all(w in ("*", f) for w, f in zip(want.pattern, found, strict=False))


def _rates(texts: Sequence[str]) -> MeterRates:
    """Committed and peak rate, as BMv2's command line takes them: RATE per µs ":" BURST."""
    pairs = []
    for text in texts:
        rate, colon, burst = text.partition(":")
        try:
            pairs.append((round(float(rate) * 1_000_000), number(burst)))
        except ValueError:
            raise StfError(f"{text}: expected RATE:BURST") from None
        if not colon:
            raise StfError(f"{text}: expected RATE:BURST")
    if len(pairs) != 2:
        raise StfError("a meter has two rates, the committed and the peak rate")
    (cir, cburst), (pir, pburst) = pairs
    return MeterRates(cir, cburst, pir, pburst)
