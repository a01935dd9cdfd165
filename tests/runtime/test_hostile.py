# SPDX-License-Identifier: Apache-2.0
"""Hostile packets and writes against programs built with sanitizers: no read or write out of bounds, no
undefined
behaviour, no data race."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from finsy.proto import p4i

from softswitch import build, cache
from softswitch.compiler import CompiledProgram, compile_file
from tests.codegen.harness import compile_source, num_bytes
from tests.runtime.programs import EVERYTHING

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("driver.c")
PACKET, WRITE, READ, REPLICATE, CELLS, MEMBER, GROUP = range(7)
NAMES_GROUP = 1 << 31
HANDLES = 6  # of members and groups, so few that they are often in use


def command(kind: int, a: int, b: int, c: int, data: bytes) -> bytes:
    """One command of driver.c."""
    return struct.pack("=IIIII", kind, a, b, c, len(data)) + data


def random_packets(rng: random.Random, n: int, seeds: list[bytes]) -> bytes:
    """Random bytes, and seeds with some bytes changed, cut or doubled."""
    out = b""
    for _ in range(n):
        frame = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((0, 1, 2, 8))):
            frame[rng.randrange(len(frame))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        choice = rng.randrange(8)
        if choice == 0:
            frame = bytearray(rng.randbytes(rng.randrange(120)))
        elif choice == 1:
            frame = frame[: rng.randrange(len(frame) + 1)]
        elif choice == 2:
            frame += rng.randbytes(rng.choice((1, 100, 9000)))
        out += command(PACKET, rng.choice((0, 1, 2, 510, rng.randrange(512))), 0, 0, bytes(frame))
    return out


def table_entry(rng: random.Random, table: p4i.Table, info: p4i.P4Info) -> bytes:
    """A write to a table that is often, but not always, right."""
    key, mask, priority = b"", b"", 0
    for field in table.match_fields:
        width, ones = field.bitwidth, (1 << field.bitwidth) - 1
        value = rng.choice((0, 1, ones, rng.getrandbits(width), rng.randrange(min(ones, 7) + 1)))
        other = ones
        if field.match_type == p4i.MatchField.LPM:
            other = ones ^ (ones >> rng.randrange(width + 1))
        elif field.match_type == p4i.MatchField.TERNARY:
            other = rng.choice((0, ones, rng.getrandbits(width)))
        elif field.match_type == p4i.MatchField.OPTIONAL:
            other = rng.choice((0, ones))
        if field.match_type == p4i.MatchField.RANGE:
            value, other = sorted((value, rng.getrandbits(width)))
        else:
            value &= other
        if field.match_type in (p4i.MatchField.TERNARY, p4i.MatchField.RANGE, p4i.MatchField.OPTIONAL):
            priority = rng.randrange(1, 5)
        key += value.to_bytes(num_bytes(width), "big")
        mask += other.to_bytes(num_bytes(width), "big")
    action_id = rng.choice(table.action_refs).id
    action = next(a for a in info.actions if a.preamble.id == action_id)
    params = b"".join(
        rng.getrandbits(p.bitwidth).to_bytes(num_bytes(p.bitwidth), "big") for p in action.params
    )
    if rng.randrange(10) == 0:
        params = rng.randbytes(rng.randrange(40))
    is_default = rng.randrange(8) == 0
    op = 2 if is_default else rng.choice((1, 1, 2, 3))
    named = rng.randrange(1, HANDLES) | rng.choice((0, NAMES_GROUP)) if table.implementation_id else 0
    data = struct.pack("=iIIII", 0 if is_default else priority, int(is_default), named, len(key), len(params))
    return command(WRITE, op, table.preamble.id, action.preamble.id, data + key + mask + params)


def profile_writes(rng: random.Random, info: p4i.P4Info) -> bytes:
    """A member and a group of each action profile, inserted, modified or deleted."""
    out = b""
    actions = {a.preamble.id: a for a in info.actions}
    for profile in info.action_profiles:
        table = next(t for t in info.tables if t.preamble.id in profile.table_ids)
        action = actions[rng.choice(table.action_refs).id]
        params = b"".join(rng.randbytes(num_bytes(p.bitwidth)) for p in action.params)
        handle = struct.pack("=I", rng.randrange(1, HANDLES))
        where = profile.preamble.id
        out += command(MEMBER, rng.choice((1, 1, 2, 3)), where, action.preamble.id, handle + params)
        members = struct.pack("=3I", *(rng.randrange(1, HANDLES) for _ in range(3)))[: 4 * rng.randrange(4)]
        out += command(GROUP, rng.choice((1, 1, 2, 3)), where, rng.randrange(1, HANDLES), members)
    return out


def cell_ids(info: p4i.P4Info) -> tuple[int, int, int]:
    """A counter, a meter and a register, 0 where the program has none."""
    kinds = (info.counters, info.meters, info.registers)
    first, second, third = (next((x.preamble.id for x in kind), 0) for kind in kinds)
    return first, second, third


def commands(program: CompiledProgram, seeds: list[bytes], n: int) -> bytes:
    """Packets and writes in turn."""
    rng = random.Random(7)
    info = program.p4info
    out = b""
    for i in range(n):
        out += random_packets(rng, 8, seeds)
        for table in info.tables:
            out += table_entry(rng, table, info)
            if i % 50 == 0:
                out += command(READ, 0, table.preamble.id, 0, b"")
        out += profile_writes(rng, info)
        out += command(CELLS, *cell_ids(info), rng.randbytes(1))
        if i % 20 == 0:
            out += command(
                REPLICATE, rng.randrange(9), rng.randrange(9), rng.choice((0, 30)), rng.randbytes(3)
            )
    return out


def build_driver(
    program: CompiledProgram, folder: Path, sanitizer: str, driver: Sequence[Path] = (DRIVER,)
) -> Path:
    """An executable of driver, runtime and program. What was compiled before comes from the cache."""
    source = folder / "program.c"
    source.write_text(program.c_source)
    output = folder / "driver"
    flags = [
        f"-fsanitize={sanitizer}",
        "-fno-sanitize-recover=all",
        "-O1",
        "-pthread",
        f"-I{build.RUNTIME_DIR}",
    ]
    command = [build.compiler(), *build.COMMON_FLAGS, *build.WARNINGS, *build.GENERATED_FLAGS, *flags]
    sources = [source, *driver, *sorted(build.RUNTIME_DIR.glob("*.c"))]  # the largest first
    headers = sorted({header for file in sources for header in file.parent.glob("*.h")})
    common: tuple[str | bytes, ...] = (
        build.compiler_version(),
        *command,
        *(header.read_bytes() for header in headers),
    )

    def compiled(source: Path) -> Path:
        entry = build.cache_dir() / f"object-{build.digest(*common, source.read_bytes())}.o"
        if not cache.use(entry):
            with cache.aside(entry.parent) as made:
                subprocess.run([*command, "-c", source, "-o", made / "o"], check=True, timeout=240)
                cache.publish(made / "o", entry)
        return entry

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    subprocess.run([*command, *objects, "-o", output], check=True, timeout=120)
    return output


SEEDS = [
    bytes.fromhex("0000000000010200000000008847") + bytes.fromhex("0001000a" * 3 + "0001010a") + bytes(20),
    bytes.fromhex("00000000000202000000001f0001")
    + bytes([1, 5])
    + bytes(5)
    + b"\x09"
    + bytes([0, 2])
    + bytes(30),
    bytes.fromhex("0000000000030200000000ff0002") + bytes(range(40)),
    bytes.fromhex("00000000000402000000003c0003") + bytes(range(64)) + b"\0" + bytes(30),
    bytes.fromhex("0000000000050200000000000101") + b"\x08\x10\x18\x20\0" * 20,
]


def run(call: Sequence[str | Path]) -> int:
    """Runs the driver; returns how many packets it processed."""
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", TSAN_OPTIONS="halt_on_error=1")
    result = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-6000:]
    return int(result.stdout)


SELECTORS = ROOT / "tests/p4runtime/programs/selectors.p4"
SELECTED = [bytes.fromhex("000000000001020000000001") + kind + bytes(46) for kind in (b"\x08\0", b"\x08\6")]


def test_address_and_undefined(tmp_path: Path) -> None:
    program = compile_source(EVERYTHING, tmp_path)
    driver = build_driver(program, tmp_path, "address,undefined")
    (tmp_path / "commands").write_bytes(commands(program, SEEDS, 600))
    assert run([driver, tmp_path / "commands"]) == 4800


def test_races(tmp_path: Path) -> None:
    program = compile_source(EVERYTHING, tmp_path)
    driver = build_driver(program, tmp_path, "thread")
    (tmp_path / "commands").write_bytes(commands(program, SEEDS, 100))
    assert run([driver, tmp_path / "commands", "2"]) > 500


@pytest.mark.root
@pytest.mark.parametrize(
    ("name", "sanitizer"),
    [("everything", "thread"), ("selectors", "thread"), ("everything", "address,undefined")],
)
def test_races_of_data_plane_threads(name: str, sanitizer: str, tmp_path: Path) -> None:
    """Two threads on veth pairs, beside writes, reads and events."""
    if name == "everything":
        program, seeds = compile_source(EVERYTHING, tmp_path), SEEDS
    else:
        program, seeds = compile_file(SELECTORS), SELECTED
    driver = build_driver(program, tmp_path, sanitizer)
    (tmp_path / "commands").write_bytes(commands(program, seeds, 100))
    links = "".join(f"ip link add s{n} up type veth peer h{n} && ip link set h{n} up && " for n in (1, 2))
    call = ["sh", "-c", f'{links} exec "$@"', "sh", str(driver), str(tmp_path / "commands"), "3"]
    assert run(["unshare", "--net", *call, "s1", "h1", "s2", "h2"]) > 500


def test_our_program_survives(tmp_path: Path) -> None:
    folder = ROOT / "p4src"
    program = compile_file(folder / "v1model/syncline.p4", [folder / "v1model", folder])
    driver = build_driver(program, tmp_path, "address,undefined")
    syn = bytes.fromhex(
        "0200000000990200000000010800450000400001000040060000c6120001c6120002"
        "04d20050000003e800000000b0022000000000000204 05b40402080a000000010000000001030307"
    )
    ack = bytes.fromhex(
        "02000000009902000000000108004500004c0001000040060000c6120001c6120002"
        "04d20050000003e9000000019010200000000000 0101080a0000000100000002"
        "0101051200000010000000200000003000000040"
    )
    arp = bytes.fromhex(
        "ffffffffffff02000000000108060001080006040001020000000001c6120001000000000000c6120063"
    )
    (tmp_path / "commands").write_bytes(commands(program, [syn, ack, arp, b"\1\0\1" + syn], 500))
    assert run([driver, tmp_path / "commands"]) == 4000
