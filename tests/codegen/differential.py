# SPDX-License-Identifier: Apache-2.0
"""Differential fuzzing: random entries and packets, through BMv2 and through us; any difference fails.

As a program of its own (PROGRAM.p4 FOLDER), since each comparison enters a network namespace.

`SYNCLINE_DIFFERENTIAL=seed,count` chooses another seed and more packets per program.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
from finsy.proto import p4i, p4r

from softswitch.compiler import compile_file
from softswitch.engine import Engine
from softswitch.p4runtime.errors import P4RuntimeError, check
from softswitch.p4runtime.pipeline import Pipeline
from softswitch.p4runtime.write import apply_update
from tests.p4src.bmv2_target import Bmv2Target
from tests.p4src.target import CPU_PORT

PORTS = 4
SEED, PACKETS = (int(x) for x in os.environ.get("SYNCLINE_DIFFERENTIAL", "1,60").split(","))
ENTRIES = 12  # tried per table
ATTEMPTS = 5  # at entries that let a packet through

MACS = (0x020000000001, 0x020000000002, 0xFFFFFFFFFFFF)
ADDRESSES = (0x0A000001, 0x0A000002, 0x0A010203, 0xC0A80001)
WORDS = (80, 443, 0x0800, 0x1234, 8080)


class Bmv2(Bmv2Target):
    """The reference, for any program and any entry."""

    def write(self, update: p4r.Update) -> None:
        """One update."""
        self._update(update.type, update.entity)


def number(rng: random.Random, bits: int) -> int:
    """A value that packets are likely to carry."""
    pool = {48: MACS, 32: ADDRESSES, 16: WORDS}.get(bits, ())
    if pool and rng.random() < 0.6:
        return rng.choice(pool)
    if rng.random() < 0.7:
        return rng.randrange(min(1 << bits, 6))
    return rng.getrandbits(bits)


def shortest(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def random_match(rng: random.Random, field: p4i.MatchField) -> p4r.FieldMatch | None:
    """What one field matches, None for "don't care"."""
    bits, kind = field.bitwidth, field.match_type
    ones = (1 << bits) - 1
    match = p4r.FieldMatch(field_id=field.id)
    value = number(rng, bits)
    if kind == p4i.MatchField.EXACT:
        match.exact.value = shortest(value)
        return match
    if rng.random() < 0.3:
        return None
    if kind == p4i.MatchField.LPM:
        length = rng.randint(1, bits)
        match.lpm.value = shortest(value >> (bits - length) << (bits - length))
        match.lpm.prefix_len = length
    elif kind == p4i.MatchField.TERNARY:
        mask = rng.choice((ones, rng.getrandbits(bits) or 1, ones ^ (ones >> bits // 2) or 1))
        match.ternary.value, match.ternary.mask = shortest(value & mask), shortest(mask)
    elif kind == p4i.MatchField.RANGE:
        low, high = sorted((value, number(rng, bits)))
        if (low, high) == (0, ones):
            return None
        match.range.low, match.range.high = shortest(low), shortest(high)
    else:
        match.optional.value = shortest(value)
    return match


def random_entry(rng: random.Random, info: p4i.P4Info, table: p4i.Table) -> p4r.Update:
    """An entry of a table, with any of its actions."""
    entry = p4r.TableEntry(table_id=table.preamble.id)
    for field in table.match_fields:
        match = random_match(rng, field)
        if match is not None:
            entry.match.append(match)
    kinds = (p4i.MatchField.TERNARY, p4i.MatchField.RANGE, p4i.MatchField.OPTIONAL)
    if any(f.match_type in kinds for f in table.match_fields):
        entry.priority = rng.randint(1, 1 << 16)
    refs = [r.id for r in table.action_refs if r.scope != p4i.ActionRef.DEFAULT_ONLY]
    chosen = rng.choice(refs)
    action = next(a for a in info.actions if a.preamble.id == chosen)
    entry.action.action.action_id = action.preamble.id
    for param in action.params:
        value = rng.randint(1, PORTS) if param.bitwidth == 9 else number(rng, param.bitwidth)
        entry.action.action.params.add(param_id=param.id, value=shortest(value))
    return p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(table_entry=entry))


def random_updates(rng: random.Random, info: p4i.P4Info) -> Iterator[p4r.Update]:
    for table in info.tables:
        if table.match_fields and not table.has_initial_entries:
            for _ in range(min(ENTRIES, table.size)):
                yield random_entry(rng, info, table)


def ipv4(rng: random.Random) -> bytes:
    """A TCP segment over IPv4 and Ethernet, now and then with something wrong."""
    words = [0x45000028, rng.getrandbits(32), rng.randrange(4) << 24 | 6 << 16]
    head = b"".join(w.to_bytes(4, "big") for w in words)
    head += b"".join(rng.choice(ADDRESSES).to_bytes(4, "big") for _ in range(2))
    segment = b"".join(rng.choice(WORDS).to_bytes(2, "big") for _ in range(2)) + rng.randbytes(9)
    segment += bytes([rng.choice((2, 16, 18))]) + rng.randbytes(6)
    return ethernet(rng, 0x0800) + head + segment


def ethernet(rng: random.Random, kind: int) -> bytes:
    return b"".join(rng.choice(MACS[:2]).to_bytes(6, "big") for _ in range(2)) + kind.to_bytes(2, "big")


def course_frame(rng: random.Random) -> bytes:
    """For the programs of courses: IPv4, hops of source routing, questions to the calculator, or noise."""
    choice = rng.randrange(5)
    if choice < 2:
        frame = ipv4(rng)
    elif choice == 2:
        hops = [rng.randint(1, PORTS) for _ in range(rng.randint(1, 5))]
        marks = [0] * (len(hops) - 1) + [0x8000]
        frame = ethernet(rng, 0x1234) + b"".join(
            (h | m).to_bytes(2, "big") for h, m in zip(hops, marks, strict=True)
        )
        frame += ipv4(rng)[14:]
    elif choice == 3:
        question = b"P4\x01" + rng.choice((b"+", b"-", b"&", b"|", b"^", b"?")) + rng.randbytes(12)
        frame = ethernet(rng, 0x1234) + question
    else:
        frame = ethernet(rng, rng.choice(WORDS)) + rng.randbytes(rng.randrange(40))
    return frame[: rng.randint(14, len(frame))] if rng.random() < 0.15 else frame


def feature_frame(rng: random.Random) -> bytes:
    """For the small programs: eight bytes of fields, often small, and a payload."""
    fields = (number(rng, 8), number(rng, 8))
    frame = bytes(fields) + number(rng, 16).to_bytes(2, "big") + number(rng, 32).to_bytes(4, "big")
    return frame + bytes(rng.choice((0, 1, 2, 0x10, 0x80, 0xFF)) for _ in range(rng.randint(6, 40)))


class Ours:
    """Our switch on the same program; what leaves by a port that BMv2 has not is lost there, and here."""

    def __init__(self, program: Path) -> None:
        compiled = compile_file(program)
        self.info = compiled.p4info
        self._pipeline = Pipeline(
            compiled, p4r.ForwardingPipelineConfig(), lambda path: Engine(path, 1, CPU_PORT), CPU_PORT
        )

    def write(self, update: p4r.Update) -> bool:
        """One update; False when it is refused (a duplicate, a full table)."""
        try:
            apply_update(self._pipeline, update)
        except P4RuntimeError:
            return False
        return True

    def send(self, frames: list[tuple[int, bytes]]) -> Counter[tuple[int, bytes]]:
        """What leaves by the ports."""
        engine = self._pipeline.engine
        assert isinstance(engine, Engine)
        found: Counter[tuple[int, bytes]] = Counter()
        for port, frame in frames:
            check(engine.process(port, frame))
            found.update(
                (p, f) for p, f in engine.take_output() if 1 <= p <= PORTS and len(f) >= Bmv2.shortest_frame
            )
        return found

    def close(self) -> None:
        self._pipeline.close()


def compare(program: Path, folder: Path) -> None:
    """One program. AssertionError says what differs."""
    for attempt in range(ATTEMPTS):
        own = folder / f"attempt-{attempt}"
        own.mkdir()
        if _compare(program, own, random.Random(f"{SEED} {program.stem}{' again' * attempt}")):
            return
    raise AssertionError("no packet came through: this compared nothing")


def _compare(program: Path, folder: Path, rng: random.Random) -> bool:
    """With one set of entries; whether any packet came through."""
    reference, ours = Bmv2(program, folder, PORTS), Ours(program)
    try:
        for update in random_updates(rng, ours.info):
            if ours.write(update):
                try:
                    reference.write(update)
                except grpc.RpcError as error:
                    raise AssertionError(f"BMv2 refuses what we take: {update}") from error
        make = course_frame if program.parent.name == "programs" else feature_frame
        frames = [(rng.randint(1, PORTS), make(rng)) for _ in range(PACKETS)]
        expected = Counter((o.port, o.frame) for o in reference.send_all(frames).outputs)
        found = ours.send(frames)
        if found != expected:
            raise AssertionError(_first_difference(reference, ours, frames))
        return bool(expected)
    finally:
        ours.close()
        reference.close()


def _first_difference(reference: Bmv2, ours: Ours, frames: list[tuple[int, bytes]]) -> str:
    for port, frame in frames:
        wanted = Counter((o.port, o.frame) for o in reference.send(port, frame).outputs)
        found = ours.send([(port, frame)])
        if wanted != found:
            shown = [[(p, f.hex()) for p, f in sorted(c.elements())] for c in (wanted, found)]
            return f"frame {frame.hex()} on port {port}:\n BMv2 {shown[0]}\n ours {shown[1]}"
    return "the outputs differ, but not frame by frame"


if __name__ == "__main__":
    compare(Path(sys.argv[1]), Path(sys.argv[2]))
