# SPDX-License-Identifier: Apache-2.0
"""python -m tests.fuzz [--seed N] [--first N] [--count N]"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.fuzzer import build_fuzzer, run_fuzzer


def main() -> int:
    """Exit code 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the switch with packets.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first packet of the seed")
    parser.add_argument("--count", type=int, default=5_000_000, help="of packets")
    parser.add_argument("--failures", type=Path, default=Path("build/fuzz"), help="folder of failing packets")
    arguments = parser.parse_args()
    arguments.failures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = build_fuzzer(Path(folder))
        result = run_fuzzer(
            command, arguments.seed, arguments.first, arguments.count, arguments.failures.resolve()
        )
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr)
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
