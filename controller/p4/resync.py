# SPDX-License-Identifier: Apache-2.0
"""Bringing the sessions of one switch to what they must be, a million of them while everything else goes on.

A round reads what the switch holds, portion by portion, compares each row with the table of sessions as it
is then, and writes what differs; at last it writes what the switch did not show. A round without a
difference is the proof. There is no copy of the sessions, and no step keeps the event loop for long. From
before the reading begins the switch gets every change of a session as it happens, so whatever is written
meanwhile is left to that write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence, Set
from typing import Final, Protocol

from controller.logic.model import Entry, Key, Session
from controller.p4.connection import Connection
from controller.p4.errors import SwitchError
from controller.p4.proto import p4r
from controller.p4.schema import Schema
from controller.p4.writer import DELETE, INSERT, MODIFY, Job, Writer

_ROUNDS: Final = 5
_WAITING: Final = 512  # jobs that may wait for a switch: what is written meanwhile comes behind them
_PORTION: Final = 64  # sessions that are looked at before others get their turn


class Sessions(Protocol):
    """What a round needs of the controller."""

    def session(self, key: Key) -> Session | None: ...
    def session_keys(self) -> list[Key]:
        """Of all sessions, at this moment."""
        ...

    def comes_last(self, switch: str, key: Key) -> bool:
        """Whether the switch must not have this session before the others have it."""
        ...


async def read_sessions(connection: Connection, schema: Schema) -> AsyncIterator[Sequence[tuple[Key, Entry]]]:
    """The sessions that a switch holds, portion by portion."""
    request: list[p4r.Entity] = []
    for table_id in schema.sessions_ids:
        wanted = p4r.Entity()
        wanted.table_entry.table_id = table_id
        request.append(wanted)
    async for entities in connection.read_batches(request):
        for start in range(0, len(entities), _PORTION):
            rows = [entity.table_entry for entity in entities[start : start + _PORTION]]
            yield [schema.session(row) for row in rows if not row.is_default_action]
            await asyncio.sleep(0)


class Resync:
    """`held`: how many sessions the switch held when it was last read, and has got since; `inserted` says how
    many it has ever got.
    """

    def __init__(
        self,
        switch: str,
        sessions: Sessions,
        connection: Connection,
        writer: Writer,
        schema: Schema,
        inserted: Callable[[], int],
    ) -> None:
        self._switch = switch
        self._sessions = sessions
        self._connection = connection
        self._writer = writer
        self._schema = schema
        self._inserted = inserted
        self._inserted_before = 0
        self.held = 0

    async def run(self) -> None:
        """Make the switch hold exactly the sessions that there are, verified.

        Raises:
            SwitchError: it holds something else, whatever is written; or the connection broke.
        """
        try:
            for _ in range(_ROUNDS):
                differences = await self._round()
                if not differences:
                    self.held += self._inserted() - self._inserted_before
                    return
        finally:
            self._writer.unwatch()
        raise SwitchError(
            f"it holds {self.held} sessions, and {differences} still differ from what was written"
        )

    async def _round(self) -> int:
        """How many sessions differed; they have been written."""
        recent = self._writer.watch()
        await self._writer.flush()
        self._inserted_before = self._inserted()
        seen: set[Key] = set()
        differences = self.held = 0
        async for portion in read_sessions(self._connection, self._schema):
            self.held += len(portion)
            for key, entry in portion:
                differences += self._compare(key, entry, recent, seen)
            await self._writer.room(_WAITING)
        return differences + await self._complete(recent, seen)

    def _compare(self, key: Key, held: Entry, recent: Set[object], seen: set[Key]) -> bool:
        session = self._sessions.session(key)
        if session is None:
            if key in recent:
                return False
            self._write(DELETE, key, None)
            return True
        seen.add(session.key)
        if session.entry == held or key in recent or self._sessions.comes_last(self._switch, key):
            return False
        self._write(MODIFY, key, session.entry)
        return True

    async def _complete(self, recent: Set[object], seen: set[Key]) -> int:
        """Write the sessions that the switch lacks."""
        lacking = 0
        for number, key in enumerate(self._sessions.session_keys()):
            if number % _PORTION == 0:
                await asyncio.sleep(0)
                await self._writer.room(_WAITING)
            if key in seen or key in recent:
                continue
            session = self._sessions.session(key)
            if session is not None and not self._sessions.comes_last(self._switch, key):
                self._write(INSERT, key, session.entry)
                lacking += 1
        return lacking

    def _write(self, kind: int, key: Key, entry: Entry | None) -> None:
        self._writer.put(Job(kind, self._schema.session_bytes(key, entry), key))
