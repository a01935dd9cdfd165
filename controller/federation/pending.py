# SPDX-License-Identifier: Apache-2.0
"""Handshakes under way at other members, and questions whose flow a packet is. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final

from controller.config import TimersConfig
from controller.dataplane import PuntHeader
from controller.logic.model import Key

_MOST: Final = 200_000
_MOST_QUESTIONS: Final = 4096


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A flow of another member's: x and k as in `Handshake`; `at`: when it began (Unix time)."""

    owner: str
    isn: int
    cookie: int
    at: float


class PendingElsewhere:
    """What other members have announced, until their handshakes must be over."""

    def __init__(self, timers: TimersConfig) -> None:
        self._life = sum(timers.syn_retry) + timers.syn_retry[0] + 2 * timers.barrier
        self._flows: dict[Key, Elsewhere] = {}
        self._in_order: deque[tuple[float, Key, Elsewhere]] = deque()

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, key: Key) -> Elsewhere | None:
        return self._flows.get(key)

    def add(self, key: Key, flow: Elsewhere, now: float) -> None:
        self._flows[key] = flow
        self._in_order.append((now + self._life, key, flow))
        if len(self._in_order) > _MOST:
            self._drop_oldest()

    def forget(self, key: Key) -> None:
        self._flows.pop(key, None)

    def forget_member(self, owner: str) -> None:
        self._flows = {key: flow for key, flow in self._flows.items() if flow.owner != owner}

    def expire(self, now: float) -> None:
        while self._in_order and self._in_order[0][0] <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, key, flow = self._in_order.popleft()
        if self._flows.get(key) is flow:
            del self._flows[key]


@dataclass(slots=True)
class Question:
    """A packet whose flow nobody here knows. `waiting`: members that have not answered yet."""

    switch: str
    header: PuntHeader
    frame: bytes
    waiting: set[str]
    deadline: float


class Questions:
    """Open questions by number. The packet of one that all have denied is for this member to deal with."""

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}
        self._numbers = count(1)

    def ask(self, question: Question) -> int:
        """The question's number; 0 when there are too many already."""
        if len(self._open) >= _MOST_QUESTIONS:
            return 0
        number = next(self._numbers)
        self._open[number] = question
        return number

    def answered(self, number: int, by: str, mine: bool) -> Question | None:
        """The question if now nobody is left whose flow it could be."""
        question = self._open.get(number)
        if question is None:
            return None
        question.waiting.discard(by)
        if mine:
            del self._open[number]
            return None
        if question.waiting:
            return None
        del self._open[number]
        return question

    def lost(self, name: str) -> list[Question]:
        """Questions that only waited for this member, which is no member any more."""
        for question in self._open.values():
            question.waiting.discard(name)
        return self._take(number for number, question in self._open.items() if not question.waiting)

    def overdue(self, now: float) -> list[Question]:
        """Questions that were not answered in time."""
        return self._take(number for number, question in self._open.items() if question.deadline <= now)

    def _take(self, numbers: Iterable[int]) -> list[Question]:
        return [self._open.pop(number) for number in list(numbers)]
