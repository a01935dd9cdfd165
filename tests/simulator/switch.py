# SPDX-License-Identifier: Apache-2.0
"""A switch as p4src/v1model has it: what its stages session, ended, cookie, pending, awaited, reused and
translate decide.

Numbers instead of frames, a hash instead of HalfSipHash, one cell of the registers per tuple. No connection
moves on far enough for reused.p4 to stop looking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from controller.dataplane import BATCH, EARLY_SPAN, HOLD_PACKETS, LAST, REUSED, End, Phase, Punt, PuntHeader
from controller.logic.keys import CookieKey
from controller.logic.model import MASK32, Entry, Key
from controller.packets import ACK, FIN, RST, SYN

from .packets import Made, Packet

PENDING_TIME, HOLD_TIME, ENDED_TIME = 8.0, 1.05, 1.05
REUSED_SPAN = 1 << 27
CLIENT_PORT, SERVER_PORT = 1, 2
_NANOSECONDS = 1e9


Told = Callable[[Any], None]
"""Something that a switch says, to this controller."""


class Observer(Protocol):
    """Is told what invariants are about."""

    def translated(self, switch: Switch, packet: Packet, entry: Entry) -> None: ...
    def held_back(self, switch: Switch, packet: Packet) -> None: ...
    def cookie_refused(self, switch: Switch, packet: Packet) -> None: ...


@dataclass(slots=True)
class _Pending:
    since: float
    opened: bool
    number: int
    cookie: int
    edge: int
    batch: int


@dataclass(slots=True)
class _Ended:
    """`delta`: of the session that has just ended; None: a SYN or RST came while a handshake was pending."""

    delta: int | None
    since: float
    answered: bool


@dataclass(slots=True)
class Row:
    """A session entry, when a packet last met it, and when it was last reported idle."""

    entry: Entry
    hit: float
    reported: float


@dataclass
class Switch:
    """`emit` hands on what leaves it, `punt` a packet-in, `digest` an end with its entry's version."""

    name: str
    observer: Observer
    emit: Callable[[str, Packet], None]
    punt: Callable[[str, PuntHeader, Packet], None]
    digest: Callable[[str, Key, End, int], None]
    table: dict[Key, Row] = field(default_factory=dict)
    keys: dict[int, CookieKey] = field(default_factory=dict)
    parity: int | None = None
    forwards: bool = False
    filling: bool = False
    guards: bool = False
    in_service: bool = False
    incarnation: int = 0
    told: deque[tuple[float, Told]] = field(default_factory=deque)  # until when it is told to who connects
    _pending: dict[Key, _Pending] = field(default_factory=dict)
    _awaited: dict[Key, float] = field(default_factory=dict)
    _ends: dict[Key, _Ended] = field(default_factory=dict)

    def restart(self) -> None:
        """Everything that it held is gone."""
        self.table, self.keys, self._pending, self._awaited, self._ends = {}, {}, {}, {}, {}
        self.parity, self.forwards, self.guards, self.in_service = None, False, False, False
        self.filling = False
        self.told.clear()
        self.incarnation += 1

    # --- packets ----------------------------------------------------------------------------------

    def route(self, packet: Packet) -> None:
        if self.forwards:
            self.emit(self.name, packet)

    def arrive(self, packet: Packet, now: float, *, injected: bool = False, release: int = 0) -> None:
        """Process a packet."""
        if not self.guards:
            return  # without a program, or without services: it forwards nothing of theirs yet
        if packet.to_server:
            self._from_client(packet, now, injected, release)
        else:
            self._from_server(packet, now)

    def _look_up(self, packet: Packet, now: float) -> Entry | None:
        row = self.table.get(packet.key)
        if row is None:
            return None
        row.hit = row.reported = now
        if self.filling:
            return None
        return None if row.entry.phase == Phase.AWAITED else row.entry

    def _from_client(self, packet: Packet, now: float, injected: bool, release: int) -> None:
        entry, flags = self._look_up(packet, now), packet.flags
        if flags & SYN and not flags & ACK:
            if entry is None or entry.phase != Phase.OPEN:
                self._answer(packet, now)
                cell = self._pending.get(packet.key)
                if cell is not None and now - cell.since < PENDING_TIME:
                    self._ends[packet.key] = _Ended(None, now, True)
            elif (mark := self._mark(packet.key, entry, now)) is not None:
                self._answer(packet, now)
                mark.answered = True
            else:
                self._translate(packet, entry)
            return
        if entry is None and not flags & ACK:
            return
        check = entry is None or (not injected and self._may_be_anew(packet.key, entry, now))
        if entry is not None and (flags & RST or (flags & FIN and not check)):
            self._note_end(packet.key, entry, now)
        doubtful = check and entry is not None and not flags & RST
        isn = self._check(packet) if check and flags & ACK and not flags & RST else None
        if entry is not None and (isn, (packet.ack - 1) & MASK32) == (entry.isn, entry.cookie):
            isn = None  # a copy of what proved this session
        if isn is None and entry is None and not self._is_pending(packet, now):
            if not flags & RST:
                self.observer.cookie_refused(self, packet)
            return
        if flags & ACK and self._hold_back(packet, now, entry, isn, doubtful, injected, release):
            return
        if entry is not None:
            self._translate(packet, entry)

    def _mark(self, key: Key, entry: Entry, now: float) -> _Ended | None:
        """ended.p4: whether the connection of an open session has just ended, or was never wanted."""
        mark = self._ends.get(key)
        if mark is None or mark.delta not in (None, entry.delta):
            return None
        return mark if now - mark.since < (PENDING_TIME if mark.delta is None else ENDED_TIME) else None

    def _may_be_anew(self, key: Key, entry: Entry, now: float) -> bool:
        """Whether a packet of a session may be the proof of the tuple's next one."""
        if entry.phase != Phase.OPEN:
            return True
        mark = self._mark(key, entry, now)
        return mark is not None and mark.answered

    def _note_end(self, key: Key, entry: Entry, now: float) -> None:
        """ended.p4: an end of an open session."""
        if entry.phase != Phase.OPEN:
            return
        mark = self._mark(key, entry, now)
        if mark is None or mark.delta is not None:
            self._ends[key] = _Ended(entry.delta, now, mark is not None and mark.answered)

    def _is_pending(self, packet: Packet, now: float) -> bool:
        cell = self._pending.get(packet.key)
        return (
            cell is not None and cell.cookie == (packet.ack - 1) & MASK32 and now - cell.since < PENDING_TIME
        )

    def _hold_back(
        self,
        packet: Packet,
        now: float,
        entry: Entry | None,
        isn: int | None,
        doubtful: bool,
        injected: bool,
        release: int,
    ) -> bool:
        """pending.p4: whether the packet does not go on."""
        cookie = (packet.ack - 1) & MASK32
        cell = self._pending.get(packet.key)
        opened = entry is not None and entry.phase == Phase.OPEN
        known = leaving = False
        ours = cell is not None and self._is_of(cell, packet, None if isn is not None else entry)
        if cell is not None and ours and now - cell.since < PENDING_TIME:
            over = cell.opened and now - cell.since >= HOLD_TIME and not doubtful
            known = cell.number != 0 and not (opened and (over or cell.number >= HOLD_PACKETS))
            leaving = cell.number == 0 and opened and now - cell.since < HOLD_TIME
        if isn is not None:
            if cell is None or not known:
                cell = _Pending(now, False, 0, cookie, 0, cell.batch if cell is not None else 0)
            cell.since, cell.opened, leaving = now, False, False
        elif known and injected and entry is not None and cell is not None:
            return self._is_too_early(packet.key, cell, now, release)
        elif leaving and injected:
            if release & LAST:
                del self._pending[packet.key]
            return False
        elif (known or leaving) and cell is not None:
            if opened and not cell.opened:
                cell.opened, cell.since = True, now
            if known and packet.flags & RST:
                self._ends[packet.key] = _Ended(None, now, True)
        else:
            return False
        self._pending[packet.key] = cell
        if (cell.number == 0 and not leaving) or 0 < (packet.end - cell.edge) & MASK32 < 0x80000000:
            cell.number, cell.edge = cell.number + 1, packet.end
        reason = Punt.FOLLOWING if isn is None else Punt.PROVEN
        number = cell.batch | cell.number
        self.observer.held_back(self, packet)
        self.punt(self.name, PuntHeader(CLIENT_PORT, reason, 0, isn or 0, 1460, 7, 0, number), packet)
        return True

    @staticmethod
    def _is_of(cell: _Pending, packet: Packet, entry: Entry | None) -> bool:
        spoken = (packet.ack - 1 - cell.cookie) & MASK32
        opened = entry is not None and entry.phase == Phase.OPEN and entry.cookie == cell.cookie
        return spoken == 0 or (opened and spoken < EARLY_SPAN and not packet.is_ack)

    def _is_too_early(self, key: Key, cell: _Pending, now: float, release: int) -> bool:
        """pending.p4: whether a packet is of a release that another packet was punted after."""
        number = release & ~LAST
        if number != cell.batch | cell.number:
            return number != 0 and number & BATCH == cell.batch
        if release & LAST:
            del self._pending[key]
            return False
        if not cell.opened:
            cell.opened, cell.since = True, now
        cell.batch, cell.number = cell.batch ^ BATCH, 0
        return False

    def _from_server(self, packet: Packet, now: float) -> None:
        entry, flags = self._look_up(packet, now), packet.flags
        if flags & SYN and flags & ACK:
            fresh = now - self._awaited.get(packet.key, -PENDING_TIME) < PENDING_TIME
            if entry is not None and entry.phase == Phase.OPEN and not fresh:
                self.route(Packet(packet.key, True, ACK, packet.ack, (packet.seq + 1) & MASK32))
                return
            if entry is None or entry.phase != Phase.OPEN:
                self._awaited[packet.key] = now
            self.punt(self.name, PuntHeader(SERVER_PORT, Punt.SERVER_SYNACK, 0, 0, 0, 0, 0), packet)
        elif self.filling and not flags & RST:
            return  # PROXY_FILLING
        elif entry is None:
            self.punt(self.name, PuntHeader(SERVER_PORT, Punt.EARLY_RETURN, 0, 0, 0, 0, 0), packet)
        elif not (entry.phase == Phase.CLOSING and flags & RST and not flags & ACK):
            if flags & RST:
                self._note_end(packet.key, entry, now)
            self._translate(packet, entry)

    def _is_old(self, packet: Packet, entry: Entry) -> bool:
        """reused.p4: whether it is a late segment of the tuple's last connection."""
        flags, client, server = packet.flags, 0, 0
        if not entry.to_server_shift & REUSED or (flags & SYN and not flags & ACK):
            return False
        if packet.to_server:
            client = (packet.seq - entry.isn) & MASK32
            if flags & ACK and not flags & RST:
                server = (packet.ack - entry.cookie) & MASK32
        else:
            if flags & ACK:
                client = (packet.ack - entry.isn) & MASK32
            if not flags & ACK or not flags & RST:
                server = (packet.seq + entry.delta - entry.cookie) & MASK32
        return client >= REUSED_SPAN or server >= REUSED_SPAN

    def _translate(self, packet: Packet, entry: Entry) -> None:
        if self._is_old(packet, entry):
            return
        self.observer.translated(self, packet, entry)
        if packet.to_server:
            changed = packet._replace(ack=(packet.ack - entry.delta) & MASK32 if packet.flags & ACK else 0)
            events = (End.RST_FROM_CLIENT, End.FIN_FROM_CLIENT)
        else:
            changed = packet._replace(seq=(packet.seq + entry.delta) & MASK32)
            events = (End.RST_FROM_SERVER, End.FIN_FROM_SERVER)
        if packet.flags & (RST | FIN):
            self.digest(self.name, packet.key, events[not packet.flags & RST], entry.version)
        self.route(changed)

    # --- cookies ----------------------------------------------------------------------------------

    def _answer(self, packet: Packet, now: float) -> None:
        key = None if self.parity is None else self.keys.get(self.parity)
        if key is not None:
            made = Made(self.name, now, self.in_service, key.epoch)
            k, ack = cookie(key, packet.key, packet.seq), (packet.seq + 1) & MASK32
            self.route(Packet(packet.key, False, SYN | ACK, k, ack, 0, made))

    def _check(self, packet: Packet) -> int | None:
        """The ISN for which the packet brings back the right cookie: seq - 1, of a probe seq itself."""
        returned = (packet.ack - 1) & MASK32
        key = self.keys.get(returned >> 31)
        if key is None:
            return None
        for isn in ((packet.seq - 1) & MASK32, packet.seq):
            if cookie(key, packet.key, isn) == returned:
                return isn
            if packet.length > 1:
                break
        return None

    # --- the control plane ------------------------------------------------------------------------

    def idle_rows(self, now: float) -> list[Key]:
        """Entries to report as idle; the timer of each starts again."""
        found = []
        for key, row in self.table.items():
            if now - row.reported >= row.entry.idle_ns / _NANOSECONDS:
                row.reported = now
                found.append(key)
        return found

    def elapsed(self, key: Key, now: float) -> float:
        """Seconds since the last packet of a session."""
        row = self.table.get(key)
        return float("inf") if row is None else now - row.hit

    def put(self, key: Key, entry: Entry, now: float) -> None:
        row = self.table.get(key)
        if row is None:
            self.table[key] = Row(entry, now, now)
        else:  # a MODIFY keeps the time of the last packet (softswitch/runtime)
            row.entry, row.reported = entry, now


def cookie(key: CookieKey, tuple_: Key, isn: int) -> int:
    """31 bits of a keyed hash behind the epoch's parity."""
    text = f"{key.k0},{key.k1},{key.epoch},{tuple_},{isn & MASK32}"
    digest = int.from_bytes(blake2b(text.encode(), digest_size=4).digest())
    return key.parity << 31 | digest >> 1
