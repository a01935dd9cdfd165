# SPDX-License-Identifier: Apache-2.0
"""The hub of one member: its own switches by P4Runtime, those of all others by their members.

The state machines are those of a single controller. Each handshake runs at the member whose switch its client
entered by; each session is known to all, and looked after by one of them (`Members.owner`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

from controller.config import ControllerConfig, FederationConfig
from controller.dataplane import PuntHeader
from controller.federation.bus import Bus, Handler, NatsBus
from controller.federation.keys import SharedKeys
from controller.federation.members import LEASE_PATIENCE, Members, Peer
from controller.federation.membership import Membership
from controller.federation.messages import Record, store_key
from controller.federation.outbox import Outbox, Publication
from controller.federation.pending import PendingElsewhere
from controller.federation.receiver import Receiver
from controller.federation.refresher import Refresher
from controller.federation.remote import RemoteSwitch
from controller.federation.replicas import Relayed, Replicas
from controller.federation.routing import Routing
from controller.hub import ControllerHub, KeyWrite, SessionWrite
from controller.learned import services_state
from controller.logic.keys import Expel, KeyEffect, KeySet
from controller.logic.model import CheckIdle, Effect, Effects, Entry, Key, Service, Session
from controller.p4.errors import OK, Outcome
from controller.p4.schema import Schema
from controller.p4.static import epoch_row, key_row, row_job
from controller.p4.sync import Held
from controller.p4.writer import Job

log = logging.getLogger(__name__)

_TOMBSTONE_TIME: Final = 120.0
"""Seconds for which the store remembers that a session was removed."""


class FederatedHub(ControllerHub):
    """A ControllerHub that shares what it does with the other members of its federation."""

    def __init__(
        self, config: ControllerConfig, settings: FederationConfig, secret: bytes, **parts: Any
    ) -> None:
        super().__init__(config, **parts)
        self.settings = settings
        self.members = Members(settings.member, settings.lease)
        for name in self.own:
            self.members.standing(name, "down")
        self.coordinator.sessions.remember = int(_TOMBSTONE_TIME)
        self.outbox = Outbox()
        self.elsewhere = PendingElsewhere(config.timers)
        self.routing = Routing(self)
        self.replicas = Replicas(self)
        self.receiver = Receiver(self)
        self.membership = Membership(self.members, self, self._open_bus, self.receiver.on_message)
        self.shared_keys = SharedKeys(self, secret)
        self._cold = False  # nothing was in the store, and nobody there, when this became a member
        self._refresher = Refresher(settings.ttl)
        self.coordinator.looks_after = self._looks_after
        self._member: asyncio.Task[None] | None = None
        self._sent: dict[Key, int] = {}

    async def run(self) -> None:
        patience = LEASE_PATIENCE * self.settings.lease
        if self.config.timers.barrier <= patience:
            log.warning(
                "federation: a member that dies ends handshakes; give timers.barrier more than %g, for "
                "federation.lease",
                patience,
            )
        try:
            await super().run()
        finally:
            if self._member is not None:
                self._member.cancel()
                await asyncio.gather(self._member, return_exceptions=True)

    async def _stand_by(self, schema: Schema) -> None:
        """Of several controllers of one PoP the one that leads is the member."""
        await super()._stand_by(schema)
        self._member = asyncio.get_running_loop().create_task(self.membership.run(), name="federation")

    async def _open_bus(self, handler: Handler) -> Bus:
        bus = NatsBus(self.settings, handler)
        await bus.open()
        return bus

    @property
    def bus(self) -> Bus | None:
        return self.membership.bus

    @property
    def me(self) -> str:
        return self.members.me

    @property
    def run_id(self) -> str:
        return self.members.run

    @property
    def is_member(self) -> bool:
        return self.members.is_member(self.clock())

    @property
    def federation(self) -> dict[str, Any]:
        """`members`: those that are known now; `unsaved`: records that the store has not acknowledged yet."""
        return {
            "cluster": self.settings.cluster,
            "member": self.me,
            "is_member": self.is_member,
            "reason": self.membership.reason,
            "members": self.members.in_order(),
            "unsaved": len(self.outbox),
        }

    def execute(self, effects: Effects) -> None:
        self._execute(effects)

    def punted(self, switch: str, header: PuntHeader, frame: bytes) -> None:
        """A packet of this member's own flows and sessions, whatever switch it comes from."""
        before = len(self.coordinator.flows)
        key = self.routing.key_of(header, frame)
        known = key is not None and self.coordinator.flows.get(key) is not None
        effects = self._punted(switch, header, frame)
        if key is not None and not known and len(self.coordinator.flows) > before:
            self.routing.announce(key)
        self._execute(effects)

    # --- the membership's events ------------------------------------------------------------------

    def configure(self, config: ControllerConfig) -> None:
        super().configure(config)
        self.settings = config.federation or self.settings  # for the next connection to NATS
        for name in [name for name in self.members.switches if name not in self.own]:
            del self.members.switches[name]
        self.membership.tell()

    def switches_held(self) -> tuple[dict[str, int], dict[str, str]]:
        return (
            {name: link.sessions for name, link in self.own.items()},
            {name: link.life.reason for name, link in self.own.items() if link.life.reason},
        )

    def became_member(self) -> None:
        """What happened meanwhile is in the table; the own switches are brought to it, and it is verified."""
        for name, link in self.own.items():
            if self.members.switches[name] == "down" and name in self.coordinator.writable:
                link.fail("this member is back in the federation")

    def left(self, reason: str) -> None:
        """What it has under way comes to no good end, and an answer that comes late must release nothing."""
        self._execute(self.coordinator.cut_off(self.wall()))
        for link in self.remotes():
            if link.in_service:
                link.life.waiting(f"this member is cut off: {reason}")

    def remotes(self) -> Iterable[RemoteSwitch]:
        return [link for link in self.links.values() if isinstance(link, RemoteSwitch)]

    def peer_changed(self, peer: Peer) -> None:
        """A member has said how its switches are."""
        for name, standing in peer.switches.items():
            if name in self.own:
                self.membership.complain(f"{peer.name} has a switch {name} too; give each its own name")
                continue
            link = self.links.get(name)
            if link is None:
                link = RemoteSwitch(name, self.config.timers, self, self.members.homes.get)
                self.links[name] = link
            if isinstance(link, RemoteSwitch):
                link.is_now(standing, peer.reasons.get(name, ""), peer.held.get(name, 0))
            self._remote_stands(name, standing if peer.state == "member" else "down")

    def _remote_stands(self, switch: str, standing: str) -> None:
        if standing == "down":
            if switch in self.coordinator.writable:
                self.lost(switch)
            return
        if standing == "joined" and switch in self.coordinator.live:
            self.lost(switch)  # it came back so soon that nobody saw it away
        self.coordinator.switch_joined(switch, self.clock())
        if standing == "live":
            self.coordinator.switch_live(switch)

    def peer_lost(self, peer: Peer) -> None:
        self.elsewhere.forget_member(peer.name)
        self.routing.member_lost(peer.name)
        for name in peer.switches:
            link = self.links.get(name)
            if isinstance(link, RemoteSwitch):
                link.is_now("down", f"its member {peer.name} is away", 0)
                self._remote_stands(name, "down")

    # --- own switches come and go -----------------------------------------------------------------

    async def first_seen(self, switch: str, held: Held) -> None:
        """Nothing is changed on a switch before this is a member, for what it should hold is not known."""
        self._adopting.add(switch)
        await self.membership.joined.wait()
        await self.shared_keys.begin(held.keys)
        self.policies.adopt(held.rows)

    def adopt(self, switch: str, sessions: Sequence[tuple[Key, Entry]]) -> None:
        """The store knows best: what a switch holds counts if it is later, or if the store was empty."""
        table = self.coordinator.sessions
        before = {key: table.get(key) for key, _ in sessions}
        super().adopt(switch, [held for held in sessions if self._cold or before[held[0]] is not None])
        for key, known in before.items():
            session = table.get(key)
            if session is not None and session is not known and key not in self.outbox:
                self.publish_session(key, session.entry.version, session, False)

    def joined(self, switch: str) -> None:
        super().joined(switch)
        self.members.standing(switch, "joined")
        self.membership.tell()

    async def went_live(self, switch: str) -> None:
        """All members must know that barriers wait for the switch, before traffic can flow through it."""
        await super().went_live(switch)
        self.members.standing(switch, "live")
        self.membership.tell()
        await self.membership.acknowledged()

    def lost(self, switch: str) -> None:
        super().lost(switch)
        if switch in self.own:
            self.shared_keys.switch_lost(switch)
            self.members.standing(switch, "down")
            self.membership.tell()

    # --- events of own switches -------------------------------------------------------------------

    def on_punt(self, switch: str, header: PuntHeader, frame: bytes) -> None:
        if not self.is_member:
            self.coordinator.results["not_a_member"] += 1
            return
        self.routing.punt(switch, header, frame)

    def on_end(self, key: Key, event: int, version: int) -> None:
        self.routing.ended(key, event, version)

    def end_seen(self, key: Key, event: int, version: int) -> None:
        """A FIN or RST in a session that is this member's."""
        super().on_end(key, event, version)

    def on_idle(self, switch: str, keys: list[Key]) -> None:
        self.routing.idle(switch, keys)

    def idle_seen(self, switch: str, keys: list[Key]) -> None:
        self._execute(self.coordinator.idle_seen(switch, keys))

    def on_written(self, switch: str, job: Job, outcome: Outcome) -> None:
        token = job.token
        if isinstance(token, Relayed) and isinstance(job.key, tuple):
            self.routing.applied(switch, job.key, token.owner, token.version, token.removed, outcome)
            return
        self.written(switch, job, outcome)
        if isinstance(token, KeyWrite) and outcome.code == OK:
            self.shared_keys.written(switch, token.generation)

    def written(self, switch: str, job: Job, outcome: Outcome) -> None:
        """A switch, whoever's, has carried out what this member wanted, or refused it.

        Once the lease is over no handshake is released by that: others may count without this member.
        """
        token = job.token
        if (
            isinstance(token, SessionWrite)
            and isinstance(job.key, tuple)
            and not (token.removed or self.is_member)
            and self.coordinator.awaits(job.key, token.version)
        ):
            return
        super().on_written(switch, job, outcome)

    # --- effects ----------------------------------------------------------------------------------

    def _execute_others(self, effects: Iterable[Effect]) -> None:
        super()._execute_others(kept for effect in effects if (kept := self._mine(effect)) is not None)

    def _looks_after(self, session: Session) -> bool:
        return self.is_member and self.members.owner(session) == self.me

    def _mine(self, effect: Effect) -> Effect | None:
        """Only a session's owner asks whether it is idle."""
        if not isinstance(effect, CheckIdle):
            return effect
        sessions = ((key, self.coordinator.sessions.get(key)) for key in effect.keys)
        keys = [key for key, session in sessions if session is not None and self._looks_after(session)]
        return CheckIdle(effect.switches, keys) if keys else None

    def _put_session(
        self, switches: tuple[str, ...], kind: int, key: Key, entry: Entry | None, token: SessionWrite
    ) -> None:
        """Publish the record for all members; write to own switches. The ingress waits until it is kept."""
        flow = self.coordinator.flows.get(key)
        remote = any(name not in self.own for name in switches)
        if remote or self._sent.get(key) != token.version or token.removed:
            self.publish_session(key, token.version, self.coordinator.sessions.get(key), token.removed)
        if flow is None or token.removed:
            self._sent.pop(key, None)
        else:
            self._sent[key] = token.version
        own = tuple(name for name in switches if name in self.own)
        if not own:
            return

        def write() -> None:
            super(FederatedHub, self)._put_session(own, kind, key, entry, token)

        waits = (
            flow is not None
            and flow.in_barrier
            and flow.ingress in own
            and flow.service.config.sync != "local"
            and self.outbox.wait(key, token.version, write)
        )
        if not waits:
            write()

    def publish_session(self, key: Key, version: int, session: Session | None, removed: bool) -> None:
        publication = self.outbox.open(key, version, removed)
        if self.bus is None:
            return
        self.members.published += 1
        record = self._record(key, version, None if removed else session)
        ttl = _TOMBSTONE_TIME if removed else None
        stored = self.bus.store(store_key(key), record.encoded(), ttl)
        stored.add_done_callback(lambda done: self._stored(publication, done))

    def _record(self, key: Key, version: int, session: Session | None) -> Record:
        given: dict[str, Any] = {}
        if session is not None:
            given = {
                "entry": tuple(session.entry),
                "service": session.service,
                "ingress": session.ingress,
                "created": session.created,
            }
        return Record(
            by=self.me, run=self.run_id, n=self.members.published, key=key, version=version, **given
        )

    def _stored(self, publication: Publication, done: asyncio.Future[None]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            for then in self.outbox.stored(publication):
                then()
            return
        if not publication.removed and self.bus is not None and not self.bus.closed.is_set():
            now, wall = self.clock(), self.wall()
            key, version = publication.key, publication.version
            flow = self.coordinator.flows.get(key)
            if flow is not None and self.coordinator.awaits(key, version):
                self._execute(self.coordinator.refused(flow.ingress, key, version, False, now, wall))

    def repeat_unsaved(self) -> None:
        """Somebody has joined, who may have missed what the store does not have yet."""
        for key in self.outbox:
            session, removal = self.coordinator.sessions.get(key), self.outbox.removal(key)
            if removal is not None:
                self.publish_session(key, removal, None, True)
            elif session is not None:
                self.publish_session(key, session.entry.version, session, False)

    def _service_changed(self, service: Service) -> None:
        super()._service_changed(service)
        self.routing.learned(services_state([service]))

    def service_learned(self, service: Service) -> None:
        """Another member has learned it."""
        super()._service_changed(service)

    # --- sessions of other members ----------------------------------------------------------------

    def merge(self, record: Record, *, confirm: bool = False) -> None:
        self.replicas.merge(record, confirm=confirm)

    def settle(self, stored: set[str], continued: bool) -> None:
        self._cold = not stored and self.members.in_order() == []
        self.replicas.settle(stored, continued)
        self.repeat_unsaved()

    def relay(self, kind: int, key: Key, entry: Entry | None, token: Relayed) -> None:
        """Write another member's session to the own switches."""
        if not self._loaded.done():
            return
        entity = self._loaded.result().schema.session_bytes(key, entry)
        for name, link in self.own.items():
            if name in self.coordinator.writable:
                link.put(Job(kind, entity, key, token))

    def _tick(self) -> None:
        super()._tick()
        now = self.clock()
        self.elsewhere.expire(now)
        self.routing.tick(now)
        if self.is_member:
            self._refresh(now)
        flows = self.coordinator.flows
        if len(self._sent) > 2 * len(flows) + 1024:
            self._sent = {key: version for key, version in self._sent.items() if flows.get(key) is not None}

    def _refresh(self, now: float) -> None:
        """Renew the records of the sessions that this member looks after, before the store forgets them."""
        sessions = self.coordinator.sessions
        for key in self._refresher.due(now, sessions.keys):
            session = sessions.get(key)
            if session is not None and self.members.owner(session) == self.me and key not in self.outbox:
                self.publish_session(key, session.entry.version, session, False)

    # --- keys -------------------------------------------------------------------------------------

    async def join_keys(self) -> None:
        await self.shared_keys.join()

    def _rotate_keys(self, now: float) -> None:
        """One member rotates."""
        if self.is_member and self.members.leader == self.me and self.shared_keys.settled:
            super()._rotate_keys(now)

    def _execute_keys(self, effects: Iterable[KeyEffect]) -> None:
        """What changes is stored before any switch is told."""
        effects = list(effects)
        super()._execute_keys(effect for effect in effects if isinstance(effect, Expel))
        changes = [effect for effect in effects if not isinstance(effect, Expel)]
        if changes:
            self.spawn(self.shared_keys.store(changes))

    def carry_out_keys(self, effects: Iterable[KeyEffect]) -> None:
        """The change is stored: tell the own switches; the others' members have heard."""
        super()._execute_keys(effects)

    def keys_followed(self, held: KeySet) -> dict[str, int]:
        """Another member's keys are to be used now, and not those of before (`held`): how many writes that
        is, by
        own switch."""
        if not self._loaded.done():
            return {}
        schema, wanted = self._loaded.result().schema, self.keys.held()
        rows = [key_row(key) for parity, key in wanted.keys.items() if held.keys.get(parity) != key]
        if wanted.parity is not None and wanted.parity != held.parity:
            rows.append(epoch_row(wanted.parity))
        switches = [name for name in self.coordinator.writable if name in self.own]
        for name in switches:
            for row in rows:
                self.own[name].put(row_job(schema, row, KeyWrite(self.keys.generation)))
        return dict.fromkeys(switches, len(rows))

    def peer_keyed(self, name: str, revision: int) -> None:
        """All switches of a member have the keys of this revision."""
        if revision >= self.shared_keys.revision:
            for switch, home in self.members.homes.items():
                if home == name:
                    self._execute_keys(self.keys.confirmed(switch, self.clock(), self.coordinator.answering))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._spawn(coroutine)
