# SPDX-License-Identifier: Apache-2.0
"""What other members' records make of the own table of sessions, and of the own switches.

Versions decide, whatever order records come in, and a removal that is not stored yet counts like one that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from controller.federation.messages import Record, store_key
from controller.logic.model import Key, Session
from controller.logic.sessions import newer
from controller.p4.writer import DELETE, INSERT, MODIFY

if TYPE_CHECKING:
    from controller.federation.hub import FederatedHub


class Relayed(NamedTuple):
    """Whose write it was: another member's session, of this version."""

    owner: str
    version: int
    removed: bool


class Replicas:
    """The sessions of one member, as far as others say what they are."""

    def __init__(self, hub: FederatedHub) -> None:
        self._hub = hub

    def merge(self, record: Record, *, confirm: bool = False) -> None:
        """Take in a record; `confirm`: tell its sender when the own switches have it."""
        hub, key = self._hub, record.key
        sessions, owner = hub.coordinator.sessions, record.by if confirm else ""
        entry = record.table_entry()
        hub.elsewhere.forget(key)
        if entry is None:
            if sessions.retire(key, record.version, hub.wall()) is not None:
                self._count(key, -1)
            if sessions.get(key) is not None:
                hub.routing.confirm(record, True)  # a later one has its place
            else:
                hub.relay(DELETE, key, None, Relayed(owner, record.version, True))
            return
        if (key[1], key[3]) not in hub.coordinator.services:
            hub.membership.complain(f"{record.by} has sessions of {record.service}, a service unknown here")
            return
        known = sessions.get(key)
        if known is not None and not confirm and known.entry == entry:
            return  # read from the store, and known already
        session = Session(key, entry, record.service, record.created, record.ingress)
        if not self._is_news(session) or not sessions.replicate(session, hub.clock()):
            if confirm:
                self._correct(key, known)
            return
        hub.routing.superseded(key, session)
        self._count(key, known is None)
        kind = INSERT if known is None else MODIFY
        hub.relay(kind, key, entry, Relayed(owner, entry.version, False))

    def _is_news(self, session: Session) -> bool:
        """False for what has been removed here, as the others do not know yet."""
        removal = self._hub.outbox.removal(session.key)
        return removal is None or newer(session.entry.version, removal)

    def _correct(self, key: Key, known: Session | None) -> None:
        """A record that came late has taken the place of a later one in the store: that is stored again."""
        hub = self._hub
        removed = hub.coordinator.sessions.removed(key)
        if known is not None and hub.members.owner(known) == hub.me:
            hub.publish_session(key, known.entry.version, known, False)
        elif removed is not None and hub.members.leader == hub.me:
            hub.publish_session(key, removed, None, True)

    def _count(self, key: Key, more: int) -> None:
        service = self._hub.coordinator.services.get((key[1], key[3]))
        if service is not None:
            service.sessions += more

    def settle(self, stored: set[str], continued: bool) -> None:
        """The store has been read. What it lacks has ended meanwhile, if others went on; else it is put
        there.
        """
        hub = self._hub
        for session in list(hub.coordinator.sessions.values()):
            key = session.key
            if store_key(key) in stored or hub.coordinator.flows.get(key) is not None:
                continue
            if continued and key not in hub.outbox:
                if hub.coordinator.sessions.remove(session, hub.wall()):
                    self._count(key, -1)
            else:
                hub.publish_session(key, session.entry.version, session, False)
