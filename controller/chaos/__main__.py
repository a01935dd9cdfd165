# SPDX-License-Identifier: Apache-2.0
"""`python -m controller.chaos`: prints schedule, events, verdict; exit code 1 when the promise was broken."""

from __future__ import annotations

import argparse
import secrets
import sys

from controller.chaos.run import Plan, UnmetError, run, summary
from controller.lab.errors import LabError
from controller.lab.signals import end_in_order_on_signals


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Random faults under checked traffic.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule (default: another each time)")
    parser.add_argument("--transfers", type=int, default=6, help="long transfers at a time (default 6)")
    parser.add_argument("--short", type=int, default=4, help="short connections at a time (default 4)")
    arguments = parser.parse_args()
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    end_in_order_on_signals()
    try:
        verdict = run(
            Plan(seed, arguments.seconds, arguments.transfers, arguments.short),
            lambda line: print(line, flush=True),
        )
    except (LabError, UnmetError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    print("\n".join(summary(verdict)))
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
