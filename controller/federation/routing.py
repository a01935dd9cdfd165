# SPDX-License-Identifier: Apache-2.0
"""Whose event is it? What concerns another member's flow or session goes to that member."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from controller.dataplane import NO_WINDOW_SCALE, Punt, PuntHeader
from controller.federation.messages import (
    Applied,
    Ended,
    Idle,
    Keyed,
    Known,
    Learned,
    Message,
    Pending,
    Punted,
    Record,
)
from controller.federation.pending import Elsewhere, Question, Questions
from controller.logic.handshake import Handshake
from controller.logic.model import MASK32, Effects, Key, Session
from controller.p4.errors import OK, Outcome
from controller.packets import MalformedError, Segment, parse

if TYPE_CHECKING:
    from controller.federation.hub import FederatedHub

_FROM_SERVER: Final = (Punt.SERVER_SYNACK, Punt.EARLY_RETURN)
_QUESTION_TIME: Final = 0.5
"""Seconds for the others to say whose flow a server's packet is of."""


class Routing:
    """The events of one member."""

    def __init__(self, hub: FederatedHub) -> None:
        self._hub = hub
        self._questions = Questions()

    # --- packets ----------------------------------------------------------------------------------

    def key_of(self, header: PuntHeader, frame: bytes) -> Key | None:
        """The session's key of a punted packet; None when it cannot be read."""
        segment = _parsed(frame)
        return None if segment is None else _key(header, segment)

    def punt(self, switch: str, header: PuntHeader, frame: bytes) -> None:
        """A packet of an own switch."""
        segment = _parsed(frame)
        if segment is None:
            self._hub.punted(switch, header, frame)  # which counts it
            return
        key = _key(header, segment)
        owner = self._whose(key, header, segment)
        if owner is not None and owner != self._hub.me:
            self._send(f"to.{owner}.punted", Punted, switch=switch, header=tuple(header), frame=frame)
        elif owner is None and header.reason in _FROM_SERVER:
            self._ask(switch, header, frame)
        else:
            self._hub.punted(switch, header, frame)

    def _whose(self, key: Key, header: PuntHeader, segment: Segment) -> str | None:
        """The member that a packet concerns; None when it is of no flow and session that are known here."""
        hub = self._hub
        if hub.coordinator.flows.get(key) is not None:
            return hub.me
        cookie = (segment.ack - 1) & MASK32
        session, flow = hub.coordinator.sessions.get(key), hub.elsewhere.get(key)
        if session is not None:
            late = session.is_proof(header.isn, cookie)
            if header.reason == Punt.PROVEN and not late:
                same = flow is not None and (flow.isn, flow.cookie) == (header.isn, cookie)
                return flow.owner if flow is not None and same else hub.me  # the tuple is used again
            return hub.members.owner(session)
        if flow is not None and (
            header.reason != Punt.PROVEN or (flow.isn, flow.cookie) == (header.isn, cookie)
        ):
            return flow.owner
        return None

    def _ask(self, switch: str, header: PuntHeader, frame: bytes) -> None:
        """A server's packet of a flow that nobody has announced: one that just begins, or none of ours."""
        hub = self._hub
        peers = {peer.name for peer in hub.members.peers.values() if peer.state == "member"}
        question = Question(switch, header, frame, peers, hub.clock() + _QUESTION_TIME)
        number = self._questions.ask(question) if peers else 0
        if not number:
            hub.punted(switch, header, frame)
            return
        self._send("all.punted", Punted, switch=switch, header=tuple(header), frame=frame, ask=number)

    def from_other(self, message: Punted) -> None:
        """A packet that another member's switch has punted."""
        hub, header = self._hub, message.punt_header()
        segment = _parsed(message.frame)
        if segment is None:
            return
        key = _key(header, segment)
        if message.returned:
            hub.elsewhere.forget(key)
            hub.punted(message.switch, header, message.frame)
            return
        if not hub.is_member:
            return  # it may not know, and to deny a flow has it ended
        mine = self._is_mine(key, header, segment)
        if message.ask:
            self._send(f"to.{message.by}.known", Known, ask=message.ask, mine=mine)
        elif not mine:
            given: dict[str, Any] = message.model_dump(exclude={"v", "by", "run", "returned"})
            self._send(f"to.{message.by}.punted", Punted, **given, returned=True)
        if mine:
            hub.punted(message.switch, header, message.frame)

    def _is_mine(self, key: Key, header: PuntHeader, segment: Segment) -> bool:
        """A handshake only ever begins at the member whose switch the client enters by."""
        hub = self._hub
        flow, session = hub.coordinator.flows.get(key), hub.coordinator.sessions.get(key)
        cookie = (segment.ack - 1) & MASK32
        if header.reason == Punt.PROVEN:
            if flow is not None:
                return (flow.isn, flow.cookie) == (header.isn, cookie)
            return session is not None and session.is_proof(header.isn, cookie)
        return flow is not None or (session is not None and hub.members.owner(session) == hub.me)

    def known(self, message: Known) -> None:
        """An answer to a question."""
        question = self._questions.answered(message.ask, message.by, message.mine)
        if question is not None:
            self._hub.punted(question.switch, question.header, question.frame)

    def member_lost(self, name: str) -> None:
        for question in self._questions.lost(name):
            self._hub.punted(question.switch, question.header, question.frame)

    def tick(self, now: float) -> None:
        """Who has not answered may be busy with that very flow: its packet is left, and the server repeats
        it.
        """
        self._hub.coordinator.results["question_unanswered"] += len(self._questions.overdue(now))

    # --- handshakes -------------------------------------------------------------------------------

    def announce(self, key: Key) -> None:
        """A handshake has begun here."""
        flow = self._hub.coordinator.flows.get(key)
        if flow is not None:
            at = flow.timeline.proven
            self._send("all.pending", Pending, key=key, isn=flow.isn, cookie=flow.cookie, at=at)

    def announced(self, message: Pending) -> None:
        """A handshake has begun at another member. If it is one that has begun here too, the earlier one
        counts.
        """
        hub, key = self._hub, message.key
        flow = hub.coordinator.flows.get(key)
        if flow is None:
            theirs = Elsewhere(message.by, message.isn, message.cookie, message.at)
            hub.elsewhere.add(key, theirs, hub.clock())
            return
        if flow.in_barrier:
            return
        same = (flow.isn, flow.cookie) == (message.isn, message.cookie)
        if same and (flow.timeline.proven, hub.me) < (message.at, message.by):
            return
        if not same and flow.timeline.proven > message.at:
            return
        theirs = Elsewhere(message.by, message.isn, message.cookie, message.at)
        hub.elsewhere.add(key, theirs, hub.clock())
        self._give_up(flow, message.by if same else None)

    def superseded(self, key: Key, session: Session) -> None:
        """Another member's record of a session has come, and a handshake of its tuple is under way here."""
        hub = self._hub
        flow = hub.coordinator.flows.get(key)
        if flow is None or flow.session is session:
            return
        same = session.is_proof(flow.isn, flow.cookie)
        other = hub.members.homes.get(session.ingress or "", "")
        if same and flow.session is not None and flow.session.entry == session.entry and hub.me < other:
            return  # both have shared the same session: the first by name goes on
        self._give_up(flow, other if same else None)

    def _give_up(self, flow: Handshake, owner: str | None) -> None:
        """Leave a flow to another member, with the packets that are held; or end it, as an older one."""
        hub = self._hub
        out: Effects = []
        held, header = list(flow.held), _proven_header(flow)
        if owner is None and not flow.in_barrier:
            flow.reset_server(out)
        hub.coordinator.flows.discard(flow)
        hub.coordinator.results["superseded" if owner is None else "left_to_other_member"] += 1
        hub.execute(out)
        for packet in held if owner else ():
            ports = header._replace(ingress_port=packet.port)
            self._send(
                f"to.{owner}.punted", Punted, switch=flow.ingress, header=tuple(ports), frame=packet.frame
            )

    # --- sessions ---------------------------------------------------------------------------------

    def ended(self, key: Key, event: int, version: int) -> None:
        """An own switch has seen a FIN or RST."""
        hub = self._hub
        session = hub.coordinator.sessions.get(key)
        if session is None:
            return
        owner = hub.members.owner(session)
        if owner == hub.me or not hub.is_member:
            hub.end_seen(key, event, version)
        else:
            self._send(f"to.{owner}.ended", Ended, key=key, event=event, version=version)

    def idle(self, switch: str, keys: list[Key]) -> None:
        """An own switch reports sessions idle."""
        hub = self._hub
        by_owner: defaultdict[str, list[Key]] = defaultdict(list)
        for key in keys:
            session = hub.coordinator.sessions.get(key)
            if session is not None:
                by_owner[hub.members.owner(session)].append(key)
        for owner, theirs in by_owner.items():
            if owner == hub.me:
                hub.idle_seen(switch, theirs)
            else:
                self._send(f"to.{owner}.idle", Idle, switch=switch, keys=theirs)

    def confirm(self, record: Record, removed: bool) -> None:
        """Nothing is left to be done for a record: say so for all own switches."""
        for switch in self._hub.own:
            self.applied(switch, record.key, record.by, record.version, removed, Outcome(OK))

    def applied(
        self, switch: str, key: Key, owner: str, version: int, removed: bool, outcome: Outcome
    ) -> None:
        """An own switch has carried out another member's record, or refused it."""
        if owner:
            self._send(
                f"to.{owner}.applied",
                Applied,
                switch=switch,
                key=key,
                version=version,
                removed=removed,
                code=outcome.code,
                text=outcome.message,
            )
        elif outcome.code != OK:
            self._hub.own[switch].fail(f"it refused a session: {outcome}")

    # --- the rest ---------------------------------------------------------------------------------

    def learned(self, state: dict[str, Any]) -> None:
        self._send("all.learned", Learned, state=state)

    def keyed(self, owner: str, revision: int) -> None:
        if owner != self._hub.me:
            self._send(f"to.{owner}.keyed", Keyed, revision=revision)

    def _send(self, topic: str, kind: type[Message], **fields: Any) -> None:
        hub = self._hub
        if hub.bus is not None:
            hub.bus.publish(topic, kind(by=hub.me, run=hub.run_id, **fields).encoded())


def _parsed(frame: bytes) -> Segment | None:
    try:
        return parse(frame)
    except MalformedError:
        return None


def _key(header: PuntHeader, segment: Segment) -> Key:
    there = (segment.source, segment.source_port)
    back = (segment.destination, segment.destination_port)
    (client, cport), (server, sport) = (back, there) if header.reason in _FROM_SERVER else (there, back)
    return client, server, cport, sport


def _proven_header(flow: Handshake) -> PuntHeader:
    """The header of a flow's first packet, as far as it matters to whom it is left."""
    scale = flow.options.window_scale
    return PuntHeader(
        flow.port,
        Punt.PROVEN,
        flow.service.service_id,
        flow.isn,
        flow.options.mss or 0,
        NO_WINDOW_SCALE if scale is None else scale,
        int(flow.options.sack),
        flow.punted,
    )
