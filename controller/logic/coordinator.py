# SPDX-License-Identifier: Apache-2.0
"""The exception path as one state machine: punts, digests, confirmations and the clock in; effects out.

What they mean is decided here; the steps of a handshake are those of `openings.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from controller.config import MOST_SERVICES, ControllerConfig, bypassed
from controller.dataplane import EARLY_SPAN, End, Mode, Phase, PuntHeader
from controller.logic.doubts import Doubts
from controller.logic.flows import FlowTable
from controller.logic.handshake import State
from controller.logic.model import (
    MASK32,
    CheckIdle,
    Effects,
    Entry,
    Key,
    PacketOut,
    Put,
    Service,
    Session,
)
from controller.logic.openings import Openings
from controller.logic.replays import Replays
from controller.logic.returns import EarlyReturns
from controller.logic.sessions import SessionTable
from controller.logic.spread import Spread
from controller.packets import ACK, RST, MalformedError, Segment, acknowledgment, build, parse

_TAKE_OVER = 10.0  # seconds after which nothing of the time before this controller is under way any more


class Coordinator:
    """All flows, sessions and services, and which switches take part.

    Every event method returns the effects in the order in which they are to be carried out. `results`
    counts how handshakes and exceptional packets ended, by name.
    """

    def __init__(self, config: ControllerConfig) -> None:
        self.services = {
            (int(s.address), s.port): Service.of(s, index) for index, s in enumerate(config.services)
        }
        self.flows = FlowTable(config.limits)
        self.sessions = SessionTable(config.timers)
        self.spread = Spread()
        self.results: Counter[str] = Counter()
        self.returns = EarlyReturns(config.timers.early_return)
        self._replays = Replays(self.flows, self.sessions, self.spread, self.returns, self.results)
        self.openings = Openings(
            config,
            self.services,
            self.flows,
            self.sessions,
            self.spread,
            self.returns,
            self._replays,
            self.results,
        )
        self._doubts = Doubts()
        self.began = float("-inf")  # when this controller began to lead
        self.looks_after: Callable[[Session], bool] = lambda session: True
        """Whether it is for this controller to change a session when it is time. Of several, one does."""
        self._leaving = False  # whether some service is no longer configured

    # --- another configuration --------------------------------------------------------------------

    def configure(self, config: ControllerConfig) -> None:
        """Go on with another configuration. Handshakes under way keep the timers that they began with.

        A service that is no longer there is bypassed from now on: its sessions go on until they end.
        """
        self.openings.configure(config)
        self.flows.limits = config.limits
        self.sessions.set_timers(config.timers)
        self.returns.hold_time = config.timers.early_return
        wanted = {(int(s.address), s.port): s for s in config.services}
        for key, service in self.services.items():
            service.leaving = key not in wanted
            service.configure(bypassed(service.config) if service.leaving else wanted[key])
        self.drop_left()
        used = {service.service_id for service in self.services.values()}
        free = (number for number in range(MOST_SERVICES) if number not in used)
        for key, added in wanted.items():
            if key not in self.services:
                self.services[key] = Service.of(added, next(free))

    def drop_left(self) -> None:
        """Forget the services that are no longer configured and have no session any more."""
        left = [key for key, s in self.services.items() if s.leaving and not s.sessions and not s.pending]
        for key in left:
            del self.services[key]
        self._leaving = any(service.leaving for service in self.services.values())

    # --- switches ---------------------------------------------------------------------------------

    @property
    def live(self) -> tuple[str, ...]:
        """The switches that barriers wait for."""
        return self.spread.live

    @property
    def writable(self) -> tuple[str, ...]:
        """The switches that get every write: the live ones, and those that are being synchronised."""
        return self.spread.writable

    @property
    def answering(self) -> tuple[str, ...]:
        """The switches that make and check cookies: the live ones, and those that do nothing else yet."""
        return (*self.live, *(name for name in self.spread.filling if name not in self.live))

    def switch_joined(self, switch: str, now: float, *, filling: bool = False) -> None:
        """The switch is being synchronised: it gets every write from now on, but no barrier waits for it.

        `filling`: it came back without sessions. It answers SYNs; who proves himself there waits.
        """
        self.spread.joined(switch, now, filling=filling)

    def switch_live(self, switch: str) -> None:
        """The switch holds every session: barriers wait for it from now on."""
        self.spread.went_live(switch)

    def switch_filled(self, switch: str, now: float, wall: float) -> Effects:
        """Traffic passes through the switch: the handshakes that waited for it begin."""
        out: Effects = []
        self.spread.filled(switch, now)
        for flow in self.flows.values():
            if flow.ingress == switch and flow.state is State.CLEARING:
                self.openings.go_on(flow, now, wall, out)
        return out

    def switch_lost(self, switch: str, now: float, wall: float) -> Effects:
        """The switch is out of the live set; barriers go on without it."""
        out: Effects = []
        self.spread.lost(switch)
        for flow in self.flows.values():
            if flow.ingress == switch and not flow.in_barrier:
                self.results["ingress_lost"] += 1
                self.flows.discard(flow)  # the client will try again, wherever it enters then
            elif switch in flow.waiting:
                self.openings.confirmed(flow, switch, now, wall, out)
        return out

    def cut_off(self, wall: float) -> Effects:
        """This controller may open nothing any more: what is under way is forgotten, and nobody is told.

        The client repeats what nobody has answered, and its handshake begins anew, here or elsewhere, with
        the same SYN.
        """
        out: Effects = []
        for flow in self.flows.values():
            self.openings.leave(flow, wall, out)
        return out

    def adopt(self, switch: str, held: Iterable[tuple[Key, Entry]], now: float, wall: float) -> Effects:
        """Take over sessions that a switch holds from before this controller; the others get them."""

        def make(key: Key, entry: Entry) -> Session | None:
            service = self.services.get((key[1], key[3]))
            if service is None or entry.phase == Phase.AWAITED:  # nobody knows any more who awaited it
                return None
            service.sessions += self.sessions.get(key) is None
            return Session(key, entry, service.config.name, wall)

        others = tuple(name for name in self.writable if name != switch)
        adopted = self.sessions.adopt(held, make, now)
        for session, _ in adopted:
            self.spread.released(session.key, session.entry.version, others)
        return [Put(others, session.key, session.entry, new) for session, new in adopted] if others else []

    def comes_last(self, switch: str, key: Key) -> bool:
        """Whether the switch must not have this session yet: it is the ingress, and others lack it still."""
        flow = self.flows.get(key)
        return flow is not None and flow.state is State.SHARING and flow.ingress == switch

    # --- punts ------------------------------------------------------------------------------------

    def punt_proven(self, switch: str, header: PuntHeader, frame: bytes, now: float, wall: float) -> Effects:
        """A client's packet with a right cookie and no OPEN session."""
        out: Effects = []
        segment = self._parse(frame)
        if segment is None:
            return out
        key = (segment.source, segment.destination, segment.source_port, segment.destination_port)
        cookie = (segment.ack - 1) & MASK32
        flow, session = self.flows.get(key), self.sessions.get(key)
        if session is not None and session.awaited and session.is_proof(header.isn, cookie):
            self.results["late_after_end"] += 1
            return out
        if flow is not None and flow.isn == header.isn and flow.cookie == cookie:
            self.openings.hold(flow, switch, header, segment)
            return out
        if self.openings.given_up(key, header.isn, cookie, wall):
            self.results["late_given_up"] += 1
            return out
        if flow is not None:
            self.openings.break_off(flow, wall, out, reset=False)
            session = self.sessions.get(key)
        if session is not None and session.open and switch in self.spread.filling:
            # Its own client repeats it. And of millions of packets that meet a switch without sessions, one
            # or the other looks like a proof: that must not cost the session that it belongs to.
            self.results["late_while_filling"] += 1
            return out
        if session is not None and session.is_proof(header.isn, cookie):
            if self._replays.after_release(session, switch, header, segment, now, out):
                return out
            if session.fin_client and session.fin_server:
                self.results["late_after_end"] += 1  # a copy that was on its way when the connection ended
                return out
            # If it is CLOSING, its packets go on all the same. Whether the RST was forged shows later: a late
            # copy must not open it again, for the client may be about to use the tuple anew.
            self._replays.replay(session, switch, header.ingress_port, frame, now, out)
            return out
        doubtful = session is not None and self._may_be_younger(session, switch, now, wall)
        if doubtful and self._doubts.dispelled(key, cookie, now) is None:
            self._doubts.add(key, switch, header, segment, now)
            self.results["doubted"] += 1
            return out
        self._doubts.forget(key)
        self.openings.start(key, session, switch, header, segment, now, wall, out)
        return out

    def punt_following(
        self, switch: str, header: PuntHeader, frame: bytes, now: float, wall: float
    ) -> Effects:
        """Another segment of a flow that was proven a moment ago.

        Either its session is not open, or the switch holds it back behind what is queued here.
        """
        out: Effects = []
        segment = self._parse(frame)
        if segment is None:
            return out
        key = (segment.source, segment.destination, segment.source_port, segment.destination_port)
        cookie = (segment.ack - 1) & MASK32
        flow, session = self.flows.get(key), self.sessions.get(key)
        if flow is None and session is not None and not session.awaited and session.entry.cookie != cookie:
            proof = self._doubts.dispelled(key, cookie, now)  # of another connection than the session
            if proof is not None and not segment.flags & RST:
                self.openings.start(key, session, proof.switch, proof.header, proof.segment, now, wall, out)
            flow = self.flows.get(key)
            if flow is None and (proof is not None or not self._acknowledges(session, cookie)):
                self.results["following_unknown"] += 1
                return out
        if flow is not None and flow.follows(segment) and segment.flags & RST:
            self.openings.break_off(flow, wall, out, reset=True)
        elif flow is not None and flow.follows(segment):
            self.openings.hold(flow, switch, header, segment)
        elif flow is None and session is None and self.openings.lenient(key):
            out.append(PacketOut(switch, Mode.ROUTE, header.ingress_port, frame))
        elif flow is not None:
            flow.count(switch, header.number, segment)
            self.results["following_unknown"] += 1
        elif session is None or switch not in self.writable:
            self.results["following_unknown"] += 1
        elif self._replays.after_release(session, switch, header, segment, now, out):
            pass
        elif session.open or (not session.awaited and session.entry.cookie == cookie):
            self._replays.replay(session, switch, header.ingress_port, frame, now, out)
        else:
            self.results["following_unknown"] += 1
        return out

    def _acknowledges(self, session: Session, cookie: int) -> bool:
        """Whether a packet may acknowledge what the server has said since the release, a moment ago."""
        if self._replays.released.get(session.key) is None or self._doubts.concerns(session.key, cookie):
            return False
        return (cookie - session.entry.cookie) & MASK32 < EARLY_SPAN

    def punt_synack(self, switch: str, port: int, frame: bytes, now: float, wall: float) -> Effects:
        """A SYN/ACK of a protected service, at a switch without a session for it."""
        out: Effects = []
        segment = self._parse(frame)
        if segment is None:
            return out
        key = (segment.destination, segment.source, segment.destination_port, segment.source_port)
        flow, session = self.flows.get(key), self.sessions.get(key)
        if flow is not None:
            self.openings.on_server(flow, segment, now, wall, out)
        elif session is not None and segment.ack != (session.entry.isn + 1) & MASK32:
            # Of a SYN that met the session after its connection had ended: nobody has proven that one.
            self.results["synack_unproven"] += 1
            self._reset_answer(segment, switch, port, out)
        elif session is not None:
            self.results["synack_repeated"] += 1
            if session.open and session.is_answer(segment.seq):
                out.append(PacketOut(switch, Mode.ROUTE, port, acknowledgment(segment)))
        elif self.openings.lenient(key):
            self.results["synack_passed"] += 1  # to a SYN that passed
            out.append(PacketOut(switch, Mode.ROUTE, port, frame))
        elif now - self.began < _TAKE_OVER and segment.flags & ACK:
            # The last controller has sent the SYN, and what it held of the client is gone with it. A segment
            # with a number that cannot be right makes the client repeat its ACK (RFC 9293 section 3.10.7.4),
            # with the cookie; that begins the handshake again.
            self.results["synack_at_take_over"] += 1
            client, server, client_port, server_port = key
            ends = (server, client, server_port, client_port)
            probe = build(segment.l2, *ends, seq=segment.seq + (1 << 31), ack=segment.ack, flags=ACK)
            out.append(PacketOut(switch, Mode.ROUTE, port, probe))
        else:
            # Nobody waits for it (a shed or ended flow): free the server's half-open connection.
            self.results["synack_unknown"] += 1
            self._reset_answer(segment, switch, port, out)
        return out

    @staticmethod
    def _reset_answer(segment: Segment, switch: str, port: int, out: Effects) -> None:
        """RST to a server for its SYN/ACK."""
        if segment.flags & ACK:
            ends = (segment.destination, segment.source, segment.destination_port, segment.source_port)
            reset = build(segment.l2, *ends, seq=segment.ack, flags=RST)
            out.append(PacketOut(switch, Mode.ROUTE, port, reset))

    def punt_early_return(self, switch: str, port: int, frame: bytes, now: float, wall: float) -> Effects:
        """Another packet of a protected service, at a switch without a session for it."""
        out: Effects = []
        segment = self._parse(frame)
        if segment is None:
            return out
        key = (segment.destination, segment.source, segment.destination_port, segment.source_port)
        flow = self.flows.get(key)
        if flow is not None and flow.state is State.SYN_SENT:
            self.openings.on_server(flow, segment, now, wall, out)
            return out
        session = self.sessions.get(key)
        if flow is None and session is not None and (switch in self.live or self.spread.lacks(key, switch)):
            self._replays.replay(session, switch, port, frame, now, out)
        elif flow is None and session is None and self.openings.lenient(key):
            out.append(PacketOut(switch, Mode.ROUTE, port, frame))  # a SYN that passed was refused
        elif flow is None or flow.expects(segment):
            self.returns.hold(key, switch, port, frame, now)
        else:
            self.returns.dropped["early_return_old"] += 1
        return out

    # --- reports of the switches ------------------------------------------------------------------

    def end_seen(self, key: Key, event: End, now: float, wall: float, version: int | None = None) -> Effects:
        """A FIN or RST passed through a session, whose entry had this version; None: it is not known."""
        session = self.sessions.get(key)
        if session is None or (version is not None and self.sessions.began_after(session, version)):
            return []  # the tuple's last connection, reported late
        if not self.sessions.on_end(session, event, now, wall):
            return []
        flow = self.flows.get(key)
        if flow is not None and flow.state is State.SHARING:
            return [Put(self.openings.all_but(flow.ingress), key, session.entry, False)]
        return [Put(self.writable, key, session.entry, False)]

    def idle_seen(self, switch: str, keys: Iterable[Key]) -> Effects:
        """A switch has seen no packet of these sessions for their idle time."""
        candidates = [
            key
            for key in keys
            if (session := self.sessions.get(key)) is not None
            and self.sessions.on_idle(session, switch, self.live)
        ]
        return [CheckIdle(self.live, candidates)] if candidates and self.live else []

    def idle_checked(self, elapsed: Mapping[Key, Mapping[str, float]], now: float, wall: float) -> Effects:
        """Seconds since the last packet, per session and live switch, as read after `CheckIdle`."""
        out: Effects = []
        for key, by_switch in elapsed.items():
            session = self.sessions.get(key)
            if session is None or self.flows.get(key) is not None:
                continue
            if self.sessions.truly_idle(session, by_switch):
                self.openings.forget(session, wall, out)
                self.results["sessions_ended"] += 1
            elif not session.open and self.sessions.goes_on(self.spread.traffic(by_switch, now)):
                self.sessions.reopen(session, wall)
                self.results["sessions_reopened"] += 1
                out.append(Put(self.writable, key, session.entry, False))
        return out

    def written(self, switch: str, key: Key, version: int, removed: bool, now: float, wall: float) -> Effects:
        """A switch confirmed a `Put` or `Remove`."""
        out: Effects = []
        if self.spread.confirmed(switch, key, version, removed):
            self._replays.release_returns(key, out)
            session = self.sessions.get(key)
            if session is not None and session.timeline is not None:
                session.timeline.confirmed[switch] = wall
                self.openings.note_shared(key, session.timeline, wall)
        flow = self.flows.get(key)
        if flow is None or flow.version != version:
            return out
        if flow.in_barrier and not removed:
            flow.timeline.confirmed[switch] = wall
            self.openings.confirmed(flow, switch, now, wall, out)
        elif flow.state is State.CLEARING and removed is not flow.reuses:
            self.openings.confirmed(flow, switch, now, wall, out)
        return out

    def awaits(self, key: Key, version: int) -> bool:
        """Whether a handshake ends if a switch refuses this session. Else the switch is what is wrong."""
        flow = self.flows.get(key)
        return flow is not None and flow.in_barrier and flow.version == version

    def refused(self, switch: str, key: Key, version: int, full: bool, now: float, wall: float) -> Effects:
        """A switch refused a `Put`; `full` = its table has no room."""
        out: Effects = []
        flow = self.flows.get(key)
        if flow is not None and self.awaits(key, version):
            self.openings.abort(flow, "table_full" if full else "write_refused", wall, out)
        return out

    def tick(self, now: float, wall: float) -> Effects:
        """What is due: repeated SYNs, failed barriers, ends of linger times, expired early returns."""
        out: Effects = []
        self.openings.tick(now, wall, out)
        self._doubts.tick(now, out)
        self._replays.expire(now, out)
        if self._leaving:
            self.drop_left()
        for session in self.sessions.marks_due(now):
            if session.open and self.flows.get(session.key) is None and self.looks_after(session):
                self.sessions.unmark(session, wall)
                out.append(Put(self.writable, session.key, session.entry, False))
        due = self.sessions.closing_due(now)
        if due and self.live:
            out.append(CheckIdle(self.live, due))
        return out

    # --- late and early packets -------------------------------------------------------------------

    def _may_be_younger(self, session: Session, switch: str, now: float, wall: float) -> bool:
        """Whether a session may have come after another connection's proof that only now arrives here."""
        if not (session.open or session.opened is None) or not self.spread.tells_again(switch, now):
            return False
        # If its own proof came from the switch since it joined, all that was told again was before that.
        created = now - (wall - session.created)
        return session.ingress != switch or created < self.spread.joined_at(switch)

    def _parse(self, frame: bytes) -> Segment | None:
        try:
            segment = parse(frame)
        except MalformedError:
            self.results["malformed"] += 1
            return None
        if not segment.checksum_ok():
            self.results["bad_checksum"] += 1
            return None
        return segment
