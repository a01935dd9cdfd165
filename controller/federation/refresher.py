# SPDX-License-Identifier: Apache-2.0
"""When the record of a session is due to be published again: well within the life that the store gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from controller.logic.model import Key

_ROUNDS: Final = 3  # within a record's life


class Refresher:
    """Goes through all sessions in rounds, evenly over time. `ttl`: the life of a record in seconds."""

    def __init__(self, ttl: float) -> None:
        self._round = ttl / _ROUNDS
        self._began: float | None = None
        self._done = 0
        self._keys: list[Key] = []

    def due(self, now: float, keys: Callable[[], Iterable[Key]]) -> list[Key]:
        """The sessions whose turn it is; `keys` gives all of them, and is asked once a round."""
        if self._began is None:
            self._began = now  # what there is now has been published just before
        elapsed = now - self._began
        turn = min(len(self._keys), int(len(self._keys) * elapsed / self._round))
        found = list(islice(self._keys, self._done, turn))
        self._done = max(self._done, turn)
        if elapsed >= self._round:
            self._began, self._done, self._keys = now, 0, list(keys())
        return found
