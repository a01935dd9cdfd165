# SPDX-License-Identifier: Apache-2.0
"""Ending in order: signals become exceptions, so that labs are taken down on the way out."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn


def end_in_order_on_signals() -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: by an exception, so that everything is taken down."""

    def interrupted(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)


def ignore_signals() -> None:
    """A second Ctrl-C must not stop the taking down, which takes a second."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
