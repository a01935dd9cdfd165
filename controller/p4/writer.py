# SPDX-License-Identifier: Apache-2.0
"""Session writes to one switch: in order, as few RPCs as the switch's own speed asks for.

While one Write is under way the next updates gather; they leave together when it returns, though not sooner
than `GAP` after the one before: a Write costs as much as the twenty updates that it may carry. Who comes
alone does not wait. Updates of one batch may be carried out in any order, so a batch never has two of the
same session.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Set
from dataclasses import dataclass
from typing import Final

from controller.p4.connection import Connection
from controller.p4.errors import ALREADY_EXISTS, NOT_FOUND, OK, Outcome
from controller.p4.proto import p4r, update

INSERT: Final = int(p4r.Update.INSERT)
MODIFY: Final = int(p4r.Update.MODIFY)
DELETE: Final = int(p4r.Update.DELETE)
_BATCH: Final = 256
GAP: Final = 0.005  # seconds


@dataclass(slots=True)
class Job:
    """One update; `key` orders it (None: no other one concerns the same entry). `token` is the caller's."""

    kind: int
    entity: bytes
    key: Hashable | None
    token: object = None
    retried: bool = False


class Writer:
    """`on_done(job, outcome)` is called for every job, in order per key, once the switch has answered.

    An INSERT of what is there becomes a MODIFY, a MODIFY of what is not there an INSERT, a DELETE of
    nothing is fine: what counts is the state that was asked for.
    """

    def __init__(
        self, connection: Connection, on_done: Callable[[Job, Outcome], None], gap: float = GAP
    ) -> None:
        self._connection = connection
        self._gap = gap
        self._on_done = on_done
        self._jobs: deque[Job] = deque()
        self._wakeup = asyncio.Event()
        self._answered = asyncio.Event()
        self._writing = 0  # jobs of the Write under way
        self._count = 0  # jobs that were ever put
        self._recent: set[Hashable] = set()
        self._watched = False

    def put(self, job: Job) -> None:
        self._jobs.append(job)
        self._count += 1
        if self._watched:
            self._recent.add(job.key)
        self._wakeup.set()

    def watch(self) -> Set[Hashable]:
        """The keys of all jobs that are put from now on, until `unwatch`: it grows with them."""
        self._watched, self._recent = True, set()
        return self._recent

    def unwatch(self) -> None:
        self._watched, self._recent = False, set()

    def __len__(self) -> int:
        return len(self._jobs)

    async def flush(self) -> None:
        """Wait until the switch has answered everything that was put so far, whatever is put meanwhile."""
        so_far = self._count
        while len(self._jobs) + self._writing > self._count - so_far:
            await self._answered.wait()

    async def room(self, jobs: int) -> None:
        """Wait until fewer jobs than that wait for their turn."""
        while len(self._jobs) >= jobs:
            await self._answered.wait()

    async def run(self) -> None:
        """Write until cancelled.

        Raises:
            SwitchError: the connection is of no use any more.
        """
        began = float("-inf")
        while True:
            if not self._jobs:
                self._wakeup.clear()
                await self._wakeup.wait()
            early = began + self._gap - time.monotonic()
            if early > 0 and len(self._jobs) < _BATCH:
                await asyncio.sleep(early)
            began = time.monotonic()
            batch = self._take()
            self._writing = len(batch)
            outcomes = await self._connection.write([update(job.kind, job.entity) for job in batch])
            again = self._done(batch, outcomes)
            self._jobs.extendleft(reversed(again))
            self._writing = 0
            self._answered.set()
            self._answered = asyncio.Event()

    def _done(self, batch: list[Job], outcomes: list[Outcome] | None) -> list[Job]:
        """Tell the outcomes; what is to be tried another way is returned."""
        if outcomes is None:
            for job in batch:
                self._on_done(job, _DONE)
            return []
        again: list[Job] = []
        for job, outcome in zip(batch, outcomes, strict=True):
            other = _alternative(job, outcome.code)
            if other is not None:
                again.append(other)
            elif job.kind == DELETE and outcome.code == NOT_FOUND:
                self._on_done(job, NOTHING_THERE)
            else:
                self._on_done(job, outcome)
        return again

    def _take(self) -> list[Job]:
        batch: list[Job] = []
        keys: set[Hashable] = set()
        while self._jobs and len(batch) < _BATCH:
            key = self._jobs[0].key
            if key is not None:
                if key in keys:
                    break
                keys.add(key)
            batch.append(self._jobs.popleft())
        return batch


_DONE: Final = Outcome(OK)
NOTHING_THERE: Final = Outcome(OK, "nothing was there")
"""How a DELETE ends that had nothing to delete."""


def _alternative(job: Job, code: int) -> Job | None:
    if job.retried:
        return None
    if job.kind == INSERT and code == ALREADY_EXISTS:
        return Job(MODIFY, job.entity, job.key, job.token, True)
    if job.kind == MODIFY and code == NOT_FOUND:
        return Job(INSERT, job.entity, job.key, job.token, True)
    return None
