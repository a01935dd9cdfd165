# SPDX-License-Identifier: Apache-2.0
"""A data plane in a dictionary, and a program for it, so that the server's own rules can be tested without
a compiler."""

from __future__ import annotations

import contextlib
import os
import queue
import struct
from dataclasses import dataclass, field
from pathlib import Path

from finsy.proto import p4i
from google.protobuf import text_format

from softswitch.engine import DELETE, FLAG_DEFAULT, INSERT, EngineError, Event, MeterRates, TableRecord

P4INFO = """
pkg_info { name: "fake" arch: "v1model" }
tables {
  preamble { id: 0x02000001 name: "I.sessions" alias: "sessions" }
  match_fields { id: 1 name: "client" bitwidth: 32 match_type: EXACT }
  match_fields { id: 2 name: "port" bitwidth: 9 match_type: EXACT }
  action_refs { id: 0x01000001 } action_refs { id: 0x01000002 }
  action_refs { id: 21257015 scope: DEFAULT_ONLY }
  direct_resource_ids: 0x13000001 size: 4 idle_timeout_behavior: NOTIFY_CONTROL
}
tables {
  preamble { id: 0x02000002 name: "I.routes" alias: "routes" }
  match_fields { id: 1 name: "destination" bitwidth: 32 match_type: LPM }
  action_refs { id: 0x01000002 } size: 1024
}
tables {
  preamble { id: 0x02000003 name: "I.acl" alias: "acl" }
  match_fields { id: 1 name: "source" bitwidth: 12 match_type: TERNARY }
  match_fields { id: 2 name: "ports" bitwidth: 16 match_type: RANGE }
  match_fields { id: 3 name: "vlan" bitwidth: 12 match_type: OPTIONAL }
  action_refs { id: 0x01000002 scope: TABLE_ONLY } action_refs { id: 21257015 } size: 1024
}
tables {
  preamble { id: 0x02000004 name: "I.fixed" alias: "fixed" }
  match_fields { id: 1 name: "kind" bitwidth: 8 match_type: EXACT }
  action_refs { id: 0x01000002 } action_refs { id: 21257015 }
  const_default_action_id: 21257015 size: 16 is_const_table: true has_initial_entries: true
}
tables {
  preamble { id: 0x02000005 name: "I.epoch" alias: "epoch" }
  action_refs { id: 0x01000002 } action_refs { id: 21257015 } size: 1
}
actions {
  preamble { id: 0x01000001 name: "I.translate" alias: "translate" }
  params { id: 1 name: "delta" bitwidth: 32 } params { id: 2 name: "shift" bitwidth: 4 }
}
actions {
  preamble { id: 0x01000002 name: "I.forward" alias: "forward" }
  params { id: 1 name: "port" bitwidth: 9 }
}
actions { preamble { id: 21257015 name: "NoAction" alias: "NoAction" } }
counters { preamble { id: 0x12000001 name: "I.drops" alias: "drops" } spec { unit: BOTH } size: 3 }
direct_counters {
  preamble { id: 0x13000001 name: "I.hits" alias: "hits" } spec { unit: BOTH } direct_table_id: 0x02000001
}
meters { preamble { id: 0x14000001 name: "I.syn" alias: "syn" } spec { unit: PACKETS } size: 2 }
registers {
  preamble { id: 0x16000001 name: "I.state" alias: "state" }
  type_spec { bitstring { bit { bitwidth: 12 } } } size: 4
}
digests {
  preamble { id: 0x17000001 name: "learn_t" alias: "learn_t" } type_spec { struct { name: "learn_t" } }
}
controller_packet_metadata {
  preamble { id: 0x04000001 name: "packet_in" alias: "packet_in" }
  metadata { id: 1 name: "ingress_port" bitwidth: 9 } metadata { id: 2 name: "reason" bitwidth: 7 }
}
controller_packet_metadata {
  preamble { id: 0x04000002 name: "packet_out" alias: "packet_out" }
  metadata { id: 1 name: "mode" bitwidth: 8 } metadata { id: 2 name: "port" bitwidth: 16 }
}
type_info {
  structs {
    key: "learn_t"
    value {
      members { name: "mac" type_spec { bitstring { bit { bitwidth: 48 } } } }
      members { name: "port" type_spec { bitstring { bit { bitwidth: 9 } } } }
    }
  }
}
"""

SESSIONS, ROUTES, ACL, FIXED, EPOCH = (0x02000001 + i for i in range(5))
TRANSLATE, FORWARD, NO_ACTION = 0x01000001, 0x01000002, 21257015
DROPS, SYN_METER, STATE, LEARN = 0x12000001, 0x14000001, 0x16000001, 0x17000001

_NOT_FOUND, _EXISTS, _DENIED, _FULL, _RANGE = -5, -6, -7, -8, -11
_RECORD = struct.Struct("=IIIiIIQQQQQII")


def p4info() -> p4i.P4Info:
    """The program's P4Info."""
    return text_format.Parse(P4INFO, p4i.P4Info())


@dataclass(frozen=True)
class FakeProgram:
    """What a compiler would return."""

    text: str
    p4info: p4i.P4Info = field(default_factory=p4info)
    library: Path = Path("fake.so")

    @property
    def layout(self) -> p4i.P4Info:
        """Nothing is hidden or translated."""
        return self.p4info


def compile_fake(text: str, _name: str) -> FakeProgram:
    """Every text is the same program."""
    return FakeProgram(text)


class FakeEngine:
    """Behaves like `Engine` towards the server. `log` has what happened to ports and threads."""

    broken_interfaces: frozenset[str] = frozenset()

    def __init__(self, *_arguments: object) -> None:
        self.entries: dict[int, dict[tuple[bytes, bytes | None, int], TableRecord]] = {}
        self.defaults: dict[int, TableRecord] = {}
        self.counters: dict[tuple[int, int], tuple[int, int]] = {}
        self.meters: dict[tuple[int, int], MeterRates | None] = {}
        self.registers: dict[tuple[int, int], bytes] = {}
        self.groups: dict[int, list[tuple[int, int]]] = {}
        self.sessions: dict[int, tuple[list[tuple[int, int]], int]] = {}
        self.sent: list[bytes] = []
        self.waiting: list[bytes] = []
        self.lag = self.asked = 0  # so often is the data plane behind; how often it was asked
        self.events = EventQueue()
        self.log: list[str] = []
        self.closed = False
        self.sizes = {table.preamble.id: table.size for table in p4info().tables}
        fixed = TableRecord(FIXED, FORWARD, 0, 2, 0, 0, 0, 0, 0, 0, b"\x08", b"\xff", b"\0\1")
        self.entries[FIXED] = {(b"\x08", None, 0): fixed}

    def close(self) -> None:
        if not self.closed:
            self.events.close()
        self.closed = True
        self.log.append("close")

    def add_port(self, port: int, interface: str, pcap_dir: Path | None = None) -> None:
        if interface in self.broken_interfaces:
            raise EngineError(f"interface {interface} does not exist")
        self.log.append(f"port {port}@{interface}")

    def start(self, threads: int = 1, *, realtime: bool = False) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def packet_out(self, frame: bytes) -> int:
        self.waiting.append(frame)
        return 0

    def behind(self) -> bool:
        self.asked += 1
        return self.asked <= self.lag

    def packet_outs_go(self) -> None:
        self.sent += self.waiting
        self.waiting.clear()

    def write(
        self,
        op: int,
        table_id: int,
        key: bytes,
        mask: bytes | None = None,
        priority: int = 0,
        action_id: int = 0,
        params: bytes = b"",
        *,
        flags: int = 0,
        idle_timeout_ns: int = 0,
        metadata: int = 0,
        packets: int = -1,
        octets: int = -1,
        member_or_group: int = 0,
    ) -> int:
        table = self.entries.setdefault(table_id, {})
        shown = mask if mask is not None else b"\xff" * len(key)
        counts = (max(packets, 0), max(octets, 0))
        record = TableRecord(
            table_id,
            action_id,
            priority,
            flags,
            member_or_group,
            idle_timeout_ns,
            7,
            metadata,
            *counts,
            key,
            shown,
            params,
        )
        where = (key, mask, priority)
        if flags & FLAG_DEFAULT:
            self.defaults[table_id] = record._replace(action_id=action_id or NO_ACTION)
            return 0
        if op == INSERT:
            if where in table:
                return _EXISTS
            if len(table) >= self.sizes[table_id]:
                return _FULL
        elif where not in table:
            return _NOT_FOUND
        elif op == DELETE:
            del table[where]
            return 0
        elif packets < 0:
            record = record._replace(packets=table[where].packets, octets=table[where].octets)
        table[where] = record
        return 0

    def lookup(
        self, table_id: int, key: bytes, mask: bytes | None = None, priority: int = 0, *, flags: int = 0
    ) -> TableRecord | None:
        if flags & FLAG_DEFAULT:
            empty = TableRecord(table_id, NO_ACTION, 0, FLAG_DEFAULT, 0, 0, 0, 0, 0, 0, key, key, b"")
            return self.defaults.get(table_id, empty)
        return self.entries.get(table_id, {}).get((key, mask, priority))

    def read_table(self, table_id: int) -> list[bytes]:
        return [pack_record(record) for record in self.entries.get(table_id, {}).values()]

    def counter_read(self, counter_id: int, index: int) -> tuple[int, int] | int:
        return self.counters.get((counter_id, index), (0, 0))

    def counter_write(self, counter_id: int, index: int, packets: int, octets: int) -> int:
        self.counters[counter_id, index] = (packets, octets)
        return 0

    def direct_counter_write(
        self,
        table_id: int,
        key: bytes,
        mask: bytes | None,
        priority: int,
        packets: int,
        octets: int,
        *,
        flags: int = 0,
    ) -> int:
        table = self.entries.get(table_id, {})
        if (key, mask, priority) not in table:
            return _NOT_FOUND
        table[key, mask, priority] = table[key, mask, priority]._replace(packets=packets, octets=octets)
        return 0

    def meter_read(self, meter_id: int, index: int) -> MeterRates | int | None:
        return self.meters.get((meter_id, index))

    def meter_write(self, meter_id: int, index: int, rates: MeterRates | None) -> int:
        self.meters[meter_id, index] = rates
        return 0

    def direct_meter_read(
        self, table_id: int, key: bytes, mask: bytes | None, priority: int
    ) -> MeterRates | int | None:
        return _NOT_FOUND  # the program has no direct meter

    def direct_meter_write(
        self, table_id: int, key: bytes, mask: bytes | None, priority: int, rates: MeterRates | None
    ) -> int:
        return _NOT_FOUND

    def member_write(
        self, op: int, profile_id: int, handle: int, action_id: int = 0, params: bytes = b""
    ) -> int:
        return _NOT_FOUND  # nor an action profile

    def group_write(self, op: int, profile_id: int, handle: int, members: list[int]) -> int:
        return _NOT_FOUND

    def register_read(self, register_id: int, index: int, size: int) -> bytes | int:
        return self.registers.get((register_id, index), bytes(size))

    def register_write(self, register_id: int, index: int, value: bytes) -> int:
        self.registers[register_id, index] = value
        return 0

    def multicast_set(self, group: int, replicas: list[tuple[int, int]]) -> int:
        self.groups[group] = replicas
        return 0

    def clone_set(self, session: int, replicas: list[tuple[int, int]], packet_length_bytes: int) -> int:
        self.sessions[session] = (replicas, packet_length_bytes)
        return 0

    def wait_events(self, timeout_ms: int) -> list[Event]:
        return self.events.take()

    def events_fd(self) -> int:
        return self.events.descriptor


class EventQueue:
    """Events with a descriptor that is readable while some wait."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> None:
        self._events.put(event)
        os.eventfd_write(self.descriptor, 1)

    def take(self) -> list[Event]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        events = []
        with contextlib.suppress(queue.Empty):
            while True:
                events.append(self._events.get_nowait())
        return events

    def close(self) -> None:
        os.close(self.descriptor)


def pack_record(record: TableRecord) -> bytes:
    """A record as the C side writes it."""
    size = _RECORD.size + 2 * len(record.key) + len(record.params)
    head = _RECORD.pack(size, *record[:10], len(record.key), len(record.params))
    return head + record.key + record.mask + record.params
