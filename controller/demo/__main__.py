# SPDX-License-Identifier: Apache-2.0
"""`python -m controller.demo`. Interrupted, it ends in order: with a line, and exit code 130 or 143."""

from __future__ import annotations

import sys

from controller.lab.signals import end_in_order_on_signals


def main() -> None:
    end_in_order_on_signals()
    try:
        from controller.demo.run import app  # here: it takes a second
    except SystemExit:
        print("interrupted before the demo began", file=sys.stderr)
        raise
    app(prog_name="python -m controller.demo")


if __name__ == "__main__":
    main()
