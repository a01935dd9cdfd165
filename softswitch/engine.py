# SPDX-License-Identifier: Apache-2.0
"""The compiled data plane as Python sees it: `runtime/switch.h`, typed, for one shared object.

Return codes of writes are those of the C side: 0 is success, otherwise minus a gRPC status code. Calls that
may take long (reads, ports, threads, waiting for events) release Python's lock; the short ones on the way
of a table write or a packet-out keep it: giving it up and taking it again costs more than the call itself.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator
from ctypes import c_uint32, c_uint64
from pathlib import Path
from typing import NamedTuple

from softswitch.abi import (
    Closed,
    MeterConfig,
    PortStatsStruct,
    Replica,
    StatsStruct,
    TableEntry,
    open_library,
)
from softswitch.abi import EngineError as EngineError

INSERT, MODIFY, DELETE = 1, 2, 3
FLAG_DEFAULT, FLAG_CONST = 1, 2
GROUP = 1 << 31
"""Marks the handle in an entry's `member_or_group` as a group's."""
EVENT_PACKET_IN, EVENT_DIGEST, EVENT_IDLE = 1, 2, 3

_BUFFER = 1 << 20  # bytes offered to the C side for records; a record is far smaller
_ERROR_TEXT = 512
_RECORD = struct.Struct("=IIIiIIQQQQQII")
_HEADER = struct.Struct("=II")


class TableRecord(NamedTuple):
    """One table entry as the data plane holds it. `key` and `mask` are laid out as `switch.h` says."""

    table_id: int
    action_id: int
    priority: int
    flags: int
    member_or_group: int
    idle_timeout_ns: int
    since_last_hit_ns: int
    metadata: int
    packets: int
    octets: int
    key: bytes
    mask: bytes
    params: bytes


class Event(NamedTuple):
    """Something the data plane tells the control plane: `kind` is one of the EVENT_ constants."""

    kind: int
    payload: bytes


class PortStats(NamedTuple):
    """Counters of one port since it was opened."""

    port: int
    up: bool
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    rx_dropped: int
    tx_dropped: int


class EngineStats(NamedTuple):
    """Packets processed, and what was dropped between data plane and control plane."""

    packet_in_dropped: int
    digest_dropped: int
    idle_dropped: int
    packet_out_dropped: int
    processed: int


class MeterRates(NamedTuple):
    """A meter's configuration: packets or bytes per second, and bursts in packets or bytes (RFC 2698)."""

    cir: int
    cburst: int
    pir: int
    pburst: int


def parse_records(data: bytes) -> Iterator[TableRecord]:
    """Split what `ss_table_read` or an idle event delivered into entries."""
    offset = 0
    while offset < len(data):
        fields = _RECORD.unpack_from(data, offset)
        key_len, params_len = fields[11], fields[12]
        key = offset + _RECORD.size
        mask = key + key_len
        params = mask + key_len
        end = params + params_len
        yield TableRecord._make((*fields[1:11], data[key:mask], data[mask:params], data[params:end]))
        offset += fields[0]


def _split_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split {u32 first; u32 len; bytes} records."""
    offset = 0
    while offset < len(data):
        first, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        yield first, data[offset : offset + length]
        offset += length


class Engine:
    """One switch instance of one compiled program.

    Control calls must come from one thread at a time (the P4Runtime device serialises them); `wait_events`
    may run beside them. What is called after `close` raises EngineError.
    """

    def __init__(self, library: Path, device_id: int = 1, cpu_port: int = 510) -> None:
        """Load `library` and make an instance in it, with no port open and no thread running."""
        self._c, self._short = open_library(library)
        self._switch: int | None = self._c.ss_new(device_id, cpu_port)
        if not self._switch:
            raise EngineError("out of memory: the program's tables cannot be set up")
        self._table_write: Callable[..., int] = self._short.ss_table_write
        self._entry = TableEntry()
        self._entry_ref = ctypes.byref(self._entry)
        self._lookup_buffer = ctypes.create_string_buffer(1 << 16)
        self._read_buffer = ctypes.create_string_buffer(_BUFFER)
        self._event_buffer = ctypes.create_string_buffer(_BUFFER)

    # --- life and ports -----------------------------------------------------------------------------------

    @property
    def handle(self) -> int:
        """The switch in C, for code of one's own that is linked with the runtime."""
        if not self._switch:
            raise EngineError("the engine is closed")
        return self._switch

    def close(self) -> None:
        """Stop the threads, close the ports and give all memory back. Safe to repeat."""
        if self._switch:
            self._c.ss_free(self._switch)
            self._switch = None
            self._c, self._short, self._table_write = Closed(), Closed(), Closed.refuse

    def add_port(self, port: int, interface: str, pcap_dir: Path | None = None) -> None:
        """Attach a network interface as port number `port`; EngineError says why not."""
        error = ctypes.create_string_buffer(_ERROR_TEXT)
        folder = str(pcap_dir).encode() if pcap_dir else None
        if self._c.ss_port_add(self._switch, port, interface.encode(), folder, error, _ERROR_TEXT) != 0:
            raise EngineError(error.value.decode(errors="replace") or f"cannot open interface {interface}")

    def start(self, threads: int = 1, *, realtime: bool = False) -> None:
        """Start the data-plane threads; raise EngineError with the reason when that fails.

        `realtime`: they run before all else (SCHED_RR), if the process may ask for that.
        """
        error = ctypes.create_string_buffer(_ERROR_TEXT)
        if self._c.ss_start(self._switch, threads, realtime, error, _ERROR_TEXT) != 0:
            raise EngineError(error.value.decode(errors="replace") or "cannot start the data plane")

    def stop(self) -> None:
        """Stop the data-plane threads; ports stay open."""
        self._c.ss_stop(self._switch)

    def port_stats(self, port: int) -> PortStats | None:
        """Counters of one port; None when there is no such port."""
        stats = PortStatsStruct()
        if self._c.ss_port_stats(self._switch, port, ctypes.byref(stats)) != 0:
            return None
        return PortStats(
            stats.port,
            bool(stats.up),
            stats.rx_packets,
            stats.rx_bytes,
            stats.tx_packets,
            stats.tx_bytes,
            stats.rx_dropped,
            stats.tx_dropped,
        )

    def stats(self) -> EngineStats:
        """What was dropped between data plane and control plane so far."""
        stats = StatsStruct()
        self._c.ss_stats(self._switch, ctypes.byref(stats))
        return EngineStats(
            stats.packet_in_dropped,
            stats.digest_dropped,
            stats.idle_dropped,
            stats.packet_out_dropped,
            stats.processed,
        )

    # --- packets ------------------------------------------------------------------------------------------

    def packet_out(self, frame: bytes) -> int:
        """Send a frame, its packet_out header first, into the pipeline from the CPU port.

        Data-plane threads take it when `packet_outs_go` tells them, or before.
        """
        result: int = self._short.ss_packet_out(self._switch, frame, len(frame))
        return result

    def packet_outs_go(self) -> None:
        """Tell the data plane of the packet-outs that it was given."""
        self._short.ss_packet_outs_go(self._switch)

    def behind(self) -> bool:
        """Whether frames wait for a data-plane thread."""
        result: bool = self._short.ss_behind(self._switch)
        return result

    def process(self, port: int, frame: bytes) -> int:
        """Run one frame through the pipeline at once, as if it had arrived on `port` (no threads needed)."""
        result: int = self._c.ss_process(self._switch, port, frame, len(frame))
        return result

    def take_output(self) -> list[tuple[int, bytes]]:
        """Take the frames that `process` sent out: (port, frame) in order."""
        frames: list[tuple[int, bytes]] = []
        while size := self._c.ss_take_output(self._switch, self._read_buffer, _BUFFER):
            frames.extend(_split_records(ctypes.string_at(self._read_buffer, size)))
        return frames

    # --- tables -------------------------------------------------------------------------------------------

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
        """Insert, modify or delete one entry; return 0 or minus a gRPC status code.

        `member_or_group`: instead of an action, a handle of `member_write`, or GROUP | one of `group_write`.

        `packets` and `octets` are the direct counter's new values, -1 to leave them (MODIFY) or begin at 0
        (INSERT).
        """
        entry = self._entry
        entry.table_id = table_id
        entry.action_id = action_id
        entry.priority = priority
        entry.idle_timeout_ns = idle_timeout_ns
        entry.metadata = metadata
        entry.flags = flags
        entry.member_or_group = member_or_group
        entry.key = key
        entry.mask = mask
        entry.params = params
        entry.params_len = len(params)
        entry.initial_packets = packets
        entry.initial_bytes = octets
        result: int = self._table_write(self._switch, op, self._entry_ref)
        return result

    def lookup(
        self, table_id: int, key: bytes, mask: bytes | None = None, priority: int = 0, *, flags: int = 0
    ) -> TableRecord | None:
        """Read one entry by its key, or the default entry with FLAG_DEFAULT; None when there is none."""
        self._probe(table_id, key, mask, priority, flags)
        size: int = self._short.ss_table_lookup(
            self._switch, self._entry_ref, self._lookup_buffer, len(self._lookup_buffer)
        )
        if size == 0:
            return None
        return next(parse_records(ctypes.string_at(self._lookup_buffer, size)))

    def read_table(self, table_id: int) -> list[bytes]:
        """Read all entries of a table, as blocks of raw records for `parse_records`."""
        cursor = c_uint64(0)
        blocks: list[bytes] = []
        while size := self._c.ss_table_read(
            self._switch, table_id, ctypes.byref(cursor), self._read_buffer, _BUFFER
        ):
            blocks.append(ctypes.string_at(self._read_buffer, size))
        return blocks

    def table_count(self, table_id: int) -> int:
        """Number of entries in a table, the default entry not counted."""
        count: int = self._short.ss_table_count(self._switch, table_id)
        return count

    def _probe(self, table_id: int, key: bytes, mask: bytes | None, priority: int, flags: int) -> None:
        entry = self._entry
        entry.table_id = table_id
        entry.action_id = 0
        entry.priority = priority
        entry.flags = flags
        entry.member_or_group = 0
        entry.key = key
        entry.mask = mask
        entry.params = None
        entry.params_len = 0

    # --- counters, meters, registers ----------------------------------------------------------------------

    def counter_read(self, counter_id: int, index: int) -> tuple[int, int] | int:
        """(packets, bytes) of one cell of an indirect counter, or minus a gRPC status code."""
        packets, octets = c_uint64(), c_uint64()
        result: int = self._short.ss_counter_read(
            self._switch, counter_id, index, ctypes.byref(packets), ctypes.byref(octets)
        )
        return result if result else (packets.value, octets.value)

    def counter_write(self, counter_id: int, index: int, packets: int, octets: int) -> int:
        """Set one cell of an indirect counter."""
        result: int = self._short.ss_counter_write(self._switch, counter_id, index, packets, octets)
        return result

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
        """Set the direct counter of one entry."""
        self._probe(table_id, key, mask, priority, flags)
        result: int = self._short.ss_direct_counter_write(self._switch, self._entry_ref, packets, octets)
        return result

    def meter_read(self, meter_id: int, index: int) -> MeterRates | int | None:
        """One meter's configuration, None when it has none, or minus a gRPC status code."""
        config = MeterConfig()
        result: int = self._short.ss_meter_read(self._switch, meter_id, index, ctypes.byref(config))
        if result:
            return result
        if not config.configured:
            return None
        return MeterRates(config.cir, config.cburst, config.pir, config.pburst)

    def meter_write(self, meter_id: int, index: int, rates: MeterRates | None) -> int:
        """Configure one meter; None makes it mark every packet green again."""
        config = MeterConfig(*rates, 1) if rates else MeterConfig()
        result: int = self._short.ss_meter_write(self._switch, meter_id, index, ctypes.byref(config))
        return result

    def direct_meter_read(
        self, table_id: int, key: bytes, mask: bytes | None, priority: int
    ) -> MeterRates | int | None:
        """The direct meter of one entry: None when it is not configured, or minus a gRPC status code."""
        self._probe(table_id, key, mask, priority, 0)
        config = MeterConfig()
        result: int = self._short.ss_direct_meter_read(self._switch, self._entry_ref, ctypes.byref(config))
        if result:
            return result
        if not config.configured:
            return None
        return MeterRates(config.cir, config.cburst, config.pir, config.pburst)

    def direct_meter_write(
        self, table_id: int, key: bytes, mask: bytes | None, priority: int, rates: MeterRates | None
    ) -> int:
        """Configure the direct meter of one entry; None makes it mark every packet green again."""
        self._probe(table_id, key, mask, priority, 0)
        config = MeterConfig(*rates, 1) if rates else MeterConfig()
        result: int = self._short.ss_direct_meter_write(self._switch, self._entry_ref, ctypes.byref(config))
        return result

    # --- action profiles ----------------------------------------------------------------------------------

    def member_write(
        self, op: int, profile_id: int, handle: int, action_id: int = 0, params: bytes = b""
    ) -> int:
        """Insert, modify or delete a member of an action profile, by a handle of the caller's choice."""
        result: int = self._short.ss_member_write(
            self._switch, op, profile_id, handle, action_id, params, len(params)
        )
        return result

    def group_write(self, op: int, profile_id: int, handle: int, members: list[int]) -> int:
        """Insert, modify or delete a group; a member that stands there more than once has a larger share."""
        handles = (c_uint32 * len(members))(*members)
        result: int = self._short.ss_group_write(self._switch, op, profile_id, handle, handles, len(members))
        return result

    # --- registers ----------------------------------------------------------------------------------------

    def register_read(self, register_id: int, index: int, size: int) -> bytes | int:
        """One cell of a register, `size` bytes big-endian, or minus a gRPC status code."""
        value = ctypes.create_string_buffer(size)
        result: int = self._short.ss_register_read(self._switch, register_id, index, value)
        return result if result else value.raw

    def register_write(self, register_id: int, index: int, value: bytes) -> int:
        """Set one cell of a register; `value` has the register's full width in bytes."""
        result: int = self._short.ss_register_write(self._switch, register_id, index, value)
        return result

    # --- replication and events ---------------------------------------------------------------------------

    def multicast_set(self, group: int, replicas: list[tuple[int, int]]) -> int:
        """Set a multicast group's (port, instance) pairs; an empty list removes the group."""
        result: int = self._c.ss_multicast_set(self._switch, group, _replicas(replicas), len(replicas))
        return result

    def clone_set(self, session: int, replicas: list[tuple[int, int]], packet_length_bytes: int) -> int:
        """Set a clone session's (port, instance) pairs, none to remove it; length 0: whole packets."""
        result: int = self._c.ss_clone_set(
            self._switch, session, _replicas(replicas), len(replicas), packet_length_bytes
        )
        return result

    def wait_events(self, timeout_ms: int) -> list[Event]:
        """Wait up to `timeout_ms` for events; an empty list after the time, or `stop`."""
        size: int = self._c.ss_wait_events(self._switch, timeout_ms, self._event_buffer, _BUFFER)
        return [Event(*record) for record in _split_records(ctypes.string_at(self._event_buffer, size))]

    def events_fd(self) -> int:
        """A descriptor that is readable when `wait_events(0)` may have something; the engine's own."""
        descriptor: int = self._c.ss_events_fd(self._switch)
        return descriptor


def _replicas(pairs: list[tuple[int, int]]) -> ctypes.Array[Replica]:
    return (Replica * len(pairs))(*(Replica(port, instance) for port, instance in pairs))
