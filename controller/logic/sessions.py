# SPDX-License-Identifier: Apache-2.0
"""The table of sessions: versions, phases, ends, idle times, take-over of what switches hold.

A version is 32 bits: the Unix time in seconds of the change, or one more than the version before on the
same tuple, whichever is later. So versions of a tuple only grow, over restarts of the controller too; a
tuple that was just removed is remembered until the clock has passed its version, and where other controllers
share sessions some time longer, for what they say may come late.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TypeAlias

from controller.config import TimersConfig
from controller.dataplane import REUSED, End, Phase
from controller.logic.model import MASK32, Entry, Key, Session

SEGMENT_LIFETIME = 60.0
"""Seconds after which nothing of a connection is under way any more."""
TIMELINES = 16_384
"""How many sessions, the latest ones, keep their timeline."""
_NANOSECONDS = 1_000_000_000
_SWEEP = 2.0  # seconds by which a switch may report an idle entry late
_TOLERANCE = 0.95  # of the idle time: clocks of a switch are coarse

SessionMaker: TypeAlias = Callable[[Key, Entry], Session | None]
"""Makes a session out of an entry that a switch holds; None when it belongs to no configured service."""


def newer(version: int, than: int) -> bool:
    """Serial comparison of two versions (RFC 1982): true when `version` is later."""
    return version != than and (version - than) & MASK32 < 0x80000000


class SessionTable:
    def __init__(self, timers: TimersConfig) -> None:
        self.set_timers(timers)
        self.remember = 0
        """Seconds for which a removal is remembered after its version's."""
        self._sessions: dict[Key, Session] = {}
        self._removed: dict[Key, int] = {}
        self._closing: list[tuple[float, Key, int]] = []
        self._marked: dict[Key, tuple[float, int]] = {}  # when its mark is to go, and its k; in this order
        self._with_timeline: deque[Session] = deque()
        self.closing = 0

    def set_timers(self, timers: TimersConfig) -> None:
        """Idle times from now on; a session keeps what it was written with until its phase changes."""
        self._idle_ns = int(timers.idle * _NANOSECONDS)
        self._linger = timers.linger
        self._linger_ns = int(timers.linger * _NANOSECONDS)
        self._late = min(_SWEEP, timers.linger / 4)  # how much later than that a closing session is looked at

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, key: Key) -> Session | None:
        return self._sessions.get(key)

    def values(self) -> Iterable[Session]:
        return self._sessions.values()

    def youngest(self, limit: int) -> list[Session]:
        """Up to `limit` sessions, the latest first."""
        return list(islice(reversed(self._sessions.values()), limit))

    def keys(self) -> list[Key]:
        """The keys of all sessions as they are now."""
        return list(self._sessions)

    def entries(self) -> dict[Key, Entry]:
        """A copy of all entries as they should be in every switch."""
        return {key: session.entry for key, session in self._sessions.items()}

    # --- life -------------------------------------------------------------------------------------

    def next_version(self, key: Key, wall: float) -> int:
        """A version for the next change of a tuple: later than every one before."""
        session = self._sessions.get(key)
        last = session.entry.version if session else self._removed.get(key)
        version = int(wall) & MASK32
        if last is not None and not newer(version, last):
            version = (last + 1) & MASK32
        return version

    def add(self, session: Session) -> None:
        """Take in a session, in the place of the tuple's last one if that is still there."""
        replaced = self._sessions.get(session.key)
        if replaced is not None and not replaced.open:
            self.closing -= 1
        self._sessions[session.key] = session
        if not session.open:
            self.closing += 1
        if session.timeline is not None:
            self._with_timeline.append(session)
            if len(self._with_timeline) > TIMELINES:
                self._with_timeline.popleft().timeline = None

    def remove(self, session: Session, wall: float) -> bool:
        """Forget a session; False if it is not the one that is there: a late delete removes no newer one."""
        if self._sessions.get(session.key) is not session:
            return False
        del self._sessions[session.key]
        if not session.open:
            self.closing -= 1
        self._removed[session.key] = session.entry.version
        self._prune_removed(wall)
        return True

    def _prune_removed(self, wall: float) -> None:
        while self._removed:
            key = next(iter(self._removed))
            if not newer((int(wall) - self.remember) & MASK32, self._removed[key]):
                break
            del self._removed[key]

    # --- what other controllers say ---------------------------------------------------------------

    def replicate(self, session: Session, now: float) -> bool:
        """Take in another controller's state of a session; False when what is known here is later.

        Of two states with one version the greater entry counts, the same one everywhere.
        """
        mine, removed = self._sessions.get(session.key), self._removed.get(session.key)
        if mine is not None:
            if newer(mine.entry.version, session.entry.version):
                return False
            if mine.entry.version == session.entry.version and mine.entry > session.entry:
                return False
        elif removed is not None and not newer(session.entry.version, removed):
            return False
        self.add(session)
        self.watch(session, now)
        return True

    def retire(self, key: Key, version: int, wall: float) -> Session | None:
        """Another controller has removed the session of this version: the one that is forgotten here."""
        mine = self._sessions.get(key)
        if mine is None:
            removed = self._removed.get(key)
            if removed is None or newer(version, removed):
                self._removed[key] = version
                self._prune_removed(wall)
            return None
        if newer(mine.entry.version, version):
            return None
        self.remove(mine, wall)
        self._removed[key] = version
        return mine

    def removed(self, key: Key) -> int | None:
        """The version of a session that was removed lately, and that no later one has replaced."""
        return None if key in self._sessions else self._removed.get(key)

    # --- ends of connections ----------------------------------------------------------------------

    @staticmethod
    def began_after(session: Session, version: int) -> bool:
        """Whether an entry of this version was that of an older session of the tuple, as far as is known."""
        return session.opened is not None and newer(session.opened, version)

    def on_end(self, session: Session, event: End, now: float, wall: float) -> bool:
        """A FIN or RST was seen; True when the session changes to CLOSING (its new entry must be written)."""
        if event is End.FIN_FROM_CLIENT:
            session.fin_client = True
        elif event is End.FIN_FROM_SERVER:
            session.fin_server = True
        reset = event in (End.RST_FROM_CLIENT, End.RST_FROM_SERVER)
        if not session.open or not (reset or (session.fin_client and session.fin_server)):
            return False
        self._change(session, Phase.CLOSING, self._linger_ns, wall)
        self.closing += 1
        self.watch(session, now)
        return True

    def watch(self, session: Session, now: float) -> None:
        """Have a session looked at in time: a CLOSING one when its linger time is over, also if no switch
        reports it, a marked one when nothing can come any more of the tuple's last session.
        """
        if not session.open:
            due = now + self._linger + self._late
            heapq.heappush(self._closing, (due, session.key, session.entry.version))
        if session.marked and self._marked.get(session.key, (0.0, None))[1] != session.entry.cookie:
            self._marked.pop(session.key, None)
            self._marked[session.key] = now + SEGMENT_LIFETIME, session.entry.cookie

    def closing_due(self, now: float) -> list[Key]:
        """CLOSING sessions whose linger time is over; what stays comes again a quarter of it later."""
        keys: list[Key] = []
        while self._closing and self._closing[0][0] <= now:
            _, key, version = heapq.heappop(self._closing)
            session = self._sessions.get(key)
            if session is not None and session.entry.version == version:
                keys.append(key)
                heapq.heappush(self._closing, (now + self._linger / 4, key, version))
        return keys

    def marks_due(self, now: float) -> list[Session]:
        """Sessions whose mark is to go; what is not unmarked comes again as long later."""
        found: list[Session] = []
        while self._marked:
            key, (due, cookie) = next(iter(self._marked.items()))
            if due > now:
                break
            del self._marked[key]
            session = self._sessions.get(key)
            if session is not None and session.marked and session.entry.cookie == cookie:
                found.append(session)
                self._marked[key] = now + SEGMENT_LIFETIME, cookie
        return found

    def unmark(self, session: Session, wall: float) -> None:
        """No late segments of the tuple's last session are looked for any more."""
        self._marked.pop(session.key, None)
        to_server = session.entry.to_server_shift & ~REUSED
        session.entry = session.entry._replace(to_server_shift=to_server)
        self._change(session, Phase(session.entry.phase), session.entry.idle_ns, wall)

    def reopen(self, session: Session, wall: float) -> None:
        """Traffic goes on in a CLOSING session (the RST was forged): it is OPEN again."""
        self._change(session, Phase.OPEN, self._idle_ns, wall)
        session.fin_client = session.fin_server = False
        self.closing -= 1

    def set_aside(self, session: Session, wall: float) -> None:
        """Nothing is translated by it any more: its tuple is about to be used again."""
        self.closing += session.open
        self._change(session, Phase.AWAITED, self._linger_ns, wall)

    def _change(self, session: Session, phase: Phase, idle_ns: int, wall: float) -> None:
        version = self.next_version(session.key, wall)
        session.entry = session.entry._replace(phase=phase, version=version, idle_ns=idle_ns)
        session.idle_at = None

    # --- idle -------------------------------------------------------------------------------------

    @staticmethod
    def on_idle(session: Session, switch: str, live: Iterable[str]) -> bool:
        """A switch reports a session idle; True when every live switch has, so that it is worth a check."""
        if session.idle_at is None:
            session.idle_at = set()
        session.idle_at.add(switch)
        return session.idle_at.issuperset(live)

    @staticmethod
    def truly_idle(session: Session, elapsed: Mapping[str, float]) -> bool:
        """Whether every switch saw no packet for the session's idle time; those that did are no longer idle.

        `elapsed` is seconds since the last packet, by switch.
        """
        limit = session.entry.idle_ns / _NANOSECONDS * _TOLERANCE
        busy = {switch for switch, seconds in elapsed.items() if seconds < limit}
        if busy and session.idle_at is not None:
            session.idle_at -= busy
        return bool(elapsed) and not busy

    def goes_on(self, elapsed: Mapping[str, float]) -> bool:
        """Whether a CLOSING session still has traffic at the end of its linger time.

        What ends a connection properly is over soon after the FINs or the RST; a packet in the second
        half of the linger time means that the connection lives.
        """
        return bool(elapsed) and min(elapsed.values()) < self._linger / 2 + self._late

    # --- take-over --------------------------------------------------------------------------------

    def adopt(
        self, held: Iterable[tuple[Key, Entry]], make: SessionMaker, now: float
    ) -> list[tuple[Session, bool]]:
        """Take over what a switch holds and this table lacks, or has in an older version (after a take-over).

        Returns the sessions that are new here (True), or changed.
        """
        adopted: list[tuple[Session, bool]] = []
        for key, entry in held:
            mine = self._sessions.get(key)
            if mine is not None and not newer(entry.version, mine.entry.version):
                continue
            session = make(key, entry)
            if session is None:
                continue
            self.add(session)
            self.watch(session, now)
            adopted.append((session, mine is None))
        return adopted
