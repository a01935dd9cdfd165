# SPDX-License-Identifier: Apache-2.0
"""Ending in order: signals become exceptions, so that processes and labs are ended on the way out."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_in_order_on_signals(*numbers: signal.Signals) -> None:
    """These signals (default: SIGINT, SIGTERM and SIGHUP) end the process by SystemExit(128 + number).

    Only the first one does. Whatever follows is ignored: the way out takes a second, and ends what would
    stay otherwise. (make, for one, sends on a SIGTERM that its whole process group has got.)

    A forked child that has not begun another program just ends: the way out is its parent's. (pyroute2 makes
    such children, and sends them SIGTERM.)
    """
    owner = os.getpid()

    def end(number: int, _: FrameType | None) -> NoReturn:
        if os.getpid() != owner:
            os._exit(128 + number)
        for each in ENDING:
            signal.signal(each, _ignore)
        raise SystemExit(128 + number)

    for number in numbers or ENDING:
        signal.signal(number, end)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN it is not handed down to new processes."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts SIGINT, SIGTERM and SIGHUP off until the end of a short block; then they do what they always do.

    For starting processes (interrupted within subprocess.Popen, a child would run that nobody knows of) and
    for taking labs down. Outside the main thread, which never sees a signal, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = {number: signal.signal(number, lambda n, _: pending.append(n)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if pending:
            signal.raise_signal(pending[0])
