# SPDX-License-Identifier: Apache-2.0
"""What the server needs of a data plane. `softswitch.engine.Engine` is one; tests may bring a smaller one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from softswitch.engine import Event, MeterRates, TableRecord


class DataPlane(Protocol):
    """The methods of `Engine` that the server calls; their documentation is there."""

    def close(self) -> None: ...
    def add_port(self, port: int, interface: str, pcap_dir: Path | None = None) -> None: ...
    def start(self, threads: int = 1) -> None: ...
    def stop(self) -> None: ...
    def packet_out(self, frame: bytes) -> int: ...

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
    ) -> int: ...

    def lookup(
        self, table_id: int, key: bytes, mask: bytes | None = None, priority: int = 0, *, flags: int = 0
    ) -> TableRecord | None: ...

    def read_table(self, table_id: int) -> list[bytes]: ...
    def counter_read(self, counter_id: int, index: int) -> tuple[int, int] | int: ...
    def counter_write(self, counter_id: int, index: int, packets: int, octets: int) -> int: ...

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
    ) -> int: ...

    def meter_read(self, meter_id: int, index: int) -> MeterRates | int | None: ...
    def meter_write(self, meter_id: int, index: int, rates: MeterRates | None) -> int: ...
    def register_read(self, register_id: int, index: int, size: int) -> bytes | int: ...
    def register_write(self, register_id: int, index: int, value: bytes) -> int: ...
    def multicast_set(self, group: int, replicas: list[tuple[int, int]]) -> int: ...
    def clone_set(self, session: int, replicas: list[tuple[int, int]], packet_length_bytes: int) -> int: ...
    def wait_events(self, timeout_ms: int) -> list[Event]: ...
    def wake(self) -> None: ...
