# SPDX-License-Identifier: Apache-2.0
"""The pipeline alone: frames from memory through our whole program, with a million sessions in its tables.

Rates are per core: packets by the CPU time that the thread took for them, so that a busy machine does not
count. Nothing is received or sent; a port's work is measured on veth (`absorb.py`, `bulk.py`).
"""

from __future__ import annotations

import ctypes
import random
import resource
import statistics
import struct
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.bench.native import built
from controller.bench.program import (
    CLIENT_PORT,
    CLIENTS,
    SERVER,
    SERVER_PORT,
    Program,
    ProgramError,
    one_service,
)
from controller.scenario import wire
from softswitch.abi import TableEntry

SESSIONS = 1 << 20
_FRAMES = 1 << 18  # other packets than the last time in every one: nothing is in the caches by accident
_STRIDE = 128  # bytes from frame to frame; payload is never read, so it may overlap what follows
_SERVER_TEXT = "203.0.113.10"
_DATA = 1448
_MOST_SAMPLES = 1 << 16
_PACKETS = 1 << 20
_ELSEWHERE = (1 << 64) - 1


class _Frame(ctypes.Structure):
    _fields_ = (("port", ctypes.c_uint32), ("len", ctypes.c_uint32), ("bytes", ctypes.c_void_p))


class _Result(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("packets", "outputs", "cpu_ns", "wall_ns"))


class _Samples(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_uint32),
        ("most", ctypes.c_uint32),
        ("at", ctypes.POINTER(ctypes.c_uint64)),
    )


@dataclass(frozen=True)
class Frames:
    """Frames in memory, in the order in which they are processed."""

    array: Any
    memory: Any

    @classmethod
    def of(cls, templates: Iterable[tuple[int, bytes, int, int]]) -> Frames:
        """From (port, frame, place of its 32-bit address, that address); header checksums are made anew."""
        items = list(templates)
        memory = ctypes.create_string_buffer(_STRIDE * len(items) + (1 << 16))
        base = ctypes.addressof(memory)
        array = (_Frame * len(items))()
        for number, (port, frame, place, address) in enumerate(items):
            head = bytearray(frame[:_STRIDE])
            struct.pack_into("!I", head, place, address)
            head[24:26] = b"\0\0"
            struct.pack_into("!H", head, 24, wire.checksum(bytes(head[14:34])))
            at = number * _STRIDE
            ctypes.memmove(base + at, bytes(head), len(head))
            array[number] = _Frame(port, len(frame), base + at)
        return cls(array, memory)


def _frame(source: str, destination: str, ports: tuple[int, int], flags: str, **parts: Any) -> bytes:
    segment = wire.Segment(source, destination, *ports, wire.parse_flags(flags), 1000, 2000, **parts)
    return wire.build(segment, source_mac=bytes(6), destination_mac=b"\2" + bytes(5))


def syn_frames(seed: int) -> Frames:
    """SYNs with the options of Linux, each from another random address."""
    rng = random.Random(seed)
    options = wire.Options(mss=1460, window_scale=7, sack_permitted=True, timestamps=(1, 0))
    frame = _frame("198.19.0.1", _SERVER_TEXT, (40000, SERVER_PORT), "S", options=options)
    return Frames.of((1, frame, 26, 0xC6130000 + rng.getrandbits(16)) for _ in range(_FRAMES))


def session_frames(seed: int, count: int = SESSIONS) -> Frames:
    """Of random ones of so many sessions: full segments and acknowledgments, one for one."""
    rng = random.Random(seed)
    stamps = wire.Options(timestamps=(5, 6))
    data = _frame(
        _SERVER_TEXT, "10.0.0.1", (SERVER_PORT, CLIENT_PORT), "A", options=stamps, payload=bytes(_DATA)
    )
    ack = _frame("10.0.0.1", _SERVER_TEXT, (CLIENT_PORT, SERVER_PORT), "A", options=stamps)
    kinds = ((2, data, 30), (1, ack, 26))
    return Frames.of((*kinds[i % 2], CLIENTS + rng.randrange(count)) for i in range(_FRAMES))


def measure_pipeline(rounds: int) -> dict[str, Any]:
    """Per kind of packet: millions a second and core (median and best of the rounds), nanoseconds by stage,
    by how much two threads do more than one; and bytes per session in the switch's tables.
    """
    before = _resident()
    pipeline = Pipeline()
    grown = _resident() - before
    kinds = {"syn": syn_frames(1), "session": session_frames(2)}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    scaling: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, frames in kinds.items():
            alone = sum(_rate(result) for result in pipeline.run(frames, _PACKETS))
            both = sum(_rate(result) for result in pipeline.run(frames, _PACKETS, 2))
            rates[kind].append(alone)
            scaling[kind].append(both / alone)
    return {
        "sessions": pipeline.count,
        "bytes_per_session": round(grown / pipeline.count),
        "kinds": {
            kind: {
                "million_per_s": round(statistics.median(rates[kind]), 2),
                "best_million_per_s": round(max(rates[kind]), 2),
                "two_threads": round(statistics.median(scaling[kind]), 2),
                "stages_ns": pipeline.stages(frames, 2 * _PACKETS),
            }
            for kind, frames in kinds.items()
        },
    }


def _rate(result: _Result) -> float:
    """Million packets a second of CPU time."""
    return float(result.packets) / float(result.cpu_ns) * 1e3


def _resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def lines(figures: dict[str, Any]) -> Iterator[str]:
    """The figures for people."""
    for kind, own in figures["kinds"].items():
        rate, best = own["million_per_s"], own["best_million_per_s"]
        threads = f"two threads {own['two_threads']:.2f} times one"
        yield f"pipeline, {kind}: {rate:.2f} million/s and core (best {best:.2f}), {threads}"
        stages = ", ".join(f"{stage} {ns:.0f}" for stage, ns in own["stages_ns"].items() if ns >= 2)
        yield f"  ns per packet: {stages}"
    yield f"pipeline: {figures['bytes_per_session']} bytes per session at {figures['sessions']:,}"


class Pipeline:
    """The program with a service and a million sessions, and the C that feeds it."""

    def __init__(self, count: int = SESSIONS) -> None:
        """With that many sessions."""
        self.program = Program()
        self.count = count
        one_service(self.program)
        self._library = self.program.compiled.library
        ctypes.CDLL(str(self._library), mode=ctypes.RTLD_GLOBAL)
        native = ctypes.CDLL(str(built("pipeline.c")))
        self._fill(native)
        self._run = native.bench_run
        self._run.restype = None
        self._run.argtypes = (
            ctypes.c_void_p,
            ctypes.POINTER(_Frame),
            ctypes.c_uint32,
            ctypes.c_uint64,
            ctypes.c_uint32,
            ctypes.POINTER(_Result),
            ctypes.POINTER(_Samples),
        )

    def _fill(self, native: ctypes.CDLL) -> None:
        """The first million clients have a session."""
        program = self.program
        key = ctypes.create_string_buffer(
            program.key(
                "sessions_v4", client=0, server=SERVER, client_port=CLIENT_PORT, server_port=SERVER_PORT
            )
        )
        params = program.params("translate", delta=0x12345678, tau=0x01020304, version=1, isn=2, cookie=3)
        entry = TableEntry(
            table_id=program.table("sessions_v4").preamble.id,
            action_id=program.action("translate").preamble.id,
            params=params,
            params_len=len(params),
            initial_packets=-1,
            initial_bytes=-1,
        )
        insert = native.bench_insert
        insert.argtypes = (
            ctypes.c_void_p,
            ctypes.POINTER(TableEntry),
            ctypes.c_char_p,
            ctypes.c_uint32,
            ctypes.c_uint32,
        )
        code = insert(program.engine.handle, ctypes.byref(entry), key, CLIENTS, self.count)
        if code != 0:
            raise ProgramError(f"table sessions_v4 does not take {self.count} sessions: {code}")

    def run(self, frames: Frames, packets: int, threads: int = 1) -> list[_Result]:
        """Every thread processes so many packets."""
        return self._checked(frames, packets, threads, None)

    def _checked(self, frames: Frames, packets: int, threads: int, samples: Any) -> list[_Result]:
        results = (_Result * threads)()
        n = len(frames.array)
        self._run(self.program.engine.handle, frames.array, n, packets, threads, results, samples)
        for result in results:
            if result.outputs != result.packets:
                raise RuntimeError(f"{result.outputs} packets came out of {result.packets}")
        return list(results)

    def stages(self, frames: Frames, packets: int) -> dict[str, float]:
        """Nanoseconds per packet, by P4 file, and by file of the runtime beneath; the dearest first."""
        places = (ctypes.c_uint64 * _MOST_SAMPLES)()
        samples = _Samples(0, _MOST_SAMPLES, places)
        [result] = self._checked(frames, packets, 1, ctypes.byref(samples))
        files = self._files(places[: samples.n])
        share = result.cpu_ns / result.packets / max(samples.n, 1)
        return {stage: round(count * share, 1) for stage, count in files.most_common()}

    def _files(self, places: list[int]) -> Counter[str]:
        """How many of these offsets in the program's library belong to each source file."""
        counts = Counter(places)
        elsewhere = counts.pop(_ELSEWHERE, 0)
        lines = subprocess.run(
            ["addr2line", "-e", str(self._library)],
            input="".join(f"{place:#x}\n" for place in counts),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        files: Counter[str] = Counter({"libraries, kernel": elsewhere})
        for (_, count), line in zip(counts.items(), lines, strict=True):
            path = Path(line.partition(":")[0])
            files[path.name if path.suffix == ".p4" else f"runtime/{path.name}"] += count
        return files
