# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.simulator`: the state machines under many schedules (docs/invariants.md)."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .explore import Found, search, story

_CHUNK = 500


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (default 100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--story", type=int, metavar="SEED", help="only tell what happens with this seed")
    given = parser.parse_args()
    if given.story is not None:
        print("\n".join(story(given.story)))
        return 0
    start, found, end = time.monotonic(), Found(), given.seed + given.schedules
    chunks = [range(first, min(first + _CHUNK, end)) for first in range(given.seed, end, _CHUNK)]
    with ProcessPoolExecutor(given.jobs) as pool:
        for part in pool.map(search, chunks):
            found.add(part)
            if sys.stderr.isatty():
                print(f"\r{found.schedules:,} schedules", end="", file=sys.stderr)
    print(f"{found.schedules:,} schedules in {time.monotonic() - start:.0f} s: {len(found.failures)} failed")
    print(", ".join(f"{name} {number:,}" for name, number in found.results.most_common()))
    for seed, what in sorted(found.failures.items())[:20]:
        print(f"--story {seed}: {what}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
