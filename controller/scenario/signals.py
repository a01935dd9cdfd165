# SPDX-License-Identifier: Apache-2.0
"""Ending in order: signals become exceptions, so that processes and labs are ended on the way out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Interruption:
    """Raises SystemExit(128 + signal), at once or at the end of the outermost `uninterrupted`."""

    def __init__(self) -> None:
        self.depth = 0
        self.pending: int | None = None

    def __call__(self, number: int, _: FrameType | None = None) -> None:
        if self.depth:
            self.pending = number
        else:
            raise SystemExit(128 + number)

    def leave(self) -> None:
        self.depth -= 1
        if self.depth == 0 and self.pending is not None:
            number, self.pending = self.pending, None
            raise SystemExit(128 + number)


_interruption = _Interruption()


def end_in_order_on_signals() -> None:
    """SIGINT, SIGTERM and SIGHUP end the process by an exception, with exit code 128 + their number."""
    for number in _ENDING:
        signal.signal(number, _interruption)


def ignore_signals() -> None:
    """A second Ctrl-C must not stop the taking down, which takes a second."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts such an end off for a short block of the main thread.

    For starting processes: interrupted within subprocess.Popen, a child would run that nobody knows of.
    """
    _interruption.depth += 1
    try:
        yield
    finally:
        _interruption.leave()
