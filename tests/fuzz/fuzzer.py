# SPDX-License-Identifier: Apache-2.0
"""Builds the packet fuzzer with sanitizers, and runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from softswitch.compiler import compile_file
from tests.fuzz.capture import CAPTURES
from tests.fuzz.setup import setup
from tests.runtime.test_hostile import build_driver

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parents[1] / "p4src/v1model/syncline.p4"


def build_fuzzer(folder: Path) -> list[str]:
    """The command that fuzzes the program, without seed, first packet, count and the folder of failures."""
    program = compile_file(PROGRAM)
    driver = build_driver(program, folder, "address,undefined", sorted(HERE.glob("*.c")))
    (folder / "setup").write_bytes(setup(PROGRAM))
    return [str(driver), str(folder / "setup"), *map(str, CAPTURES.values())]


def run_fuzzer(
    command: list[str], seed: int, first: int, count: int, failures: Path
) -> subprocess.CompletedProcess[str]:
    """Packets `first` and following of a seed. Exit code 0: nothing wrong."""
    numbers = [str(n) for n in (seed, first, count)]
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1")
    return subprocess.run(
        [*command, *numbers, str(failures)], capture_output=True, text=True, check=False, env=environment
    )
