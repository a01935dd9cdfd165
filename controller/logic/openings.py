# SPDX-License-Identifier: Apache-2.0
"""The way of each handshake: begun by a proof, opened to the server, shared, released; or ended before.

Store the client's ACK, open to the server, share the session with every live switch, and only then send
the stored ACK: so no packet of the server can reach a switch that does not know the session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from controller.config import ControllerConfig
from controller.dataplane import PuntHeader
from controller.logic.flows import FlowTable
from controller.logic.handshake import Answer, Handshake, State
from controller.logic.model import Effects, Key, Put, Remove, Service, ServiceChanged, Session, Timeline
from controller.logic.replays import Replays
from controller.logic.returns import EarlyReturns
from controller.logic.sessions import SEGMENT_LIFETIME, SessionTable
from controller.logic.spread import Spread, enough
from controller.logic.times import Times
from controller.packets import Segment

_LATE_COPY = 1.0  # seconds for which the proof of a handshake that another one followed is a late copy,
_LATE_AFTER_RESET = 20.0  # and that of one that its client has reset; then it may begin it again
_GIVEN_UP = 4096  # how many of those are remembered at most, the last ones


class _GivenUp(NamedTuple):
    """A handshake that was broken off: x and k, when, and whether its client said so."""

    isn: int
    cookie: int
    at: float
    reset: bool


class Openings:
    """The steps of all pending handshakes. `services` by address and port; `results` counts how they ended.

    `setup_times`: from a client's proof to the release of its packets; `share_times`: from the server's
    SYN/ACK to the session in all live switches.
    """

    def __init__(
        self,
        config: ControllerConfig,
        services: Mapping[tuple[int, int], Service],
        flows: FlowTable,
        sessions: SessionTable,
        spread: Spread,
        returns: EarlyReturns,
        replays: Replays,
        results: Counter[str],
    ) -> None:
        self._services = services
        self._flows = flows
        self._sessions = sessions
        self._spread = spread
        self._returns = returns
        self._replays = replays
        self._results = results
        self.setup_times = Times()
        self.share_times = Times()
        self._given_up: dict[Key, _GivenUp] = {}  # the latest comes last
        self._set_aside: set[Key] = set()  # tuples whose old session waits for a new one to replace it
        self.configure(config)

    def configure(self, config: ControllerConfig) -> None:
        """Go on with another configuration. Handshakes under way keep the timers that they began with."""
        self._timers = config.timers
        self._max_sessions = config.limits.sessions

    def start(
        self,
        key: Key,
        old: Session | None,
        switch: str,
        header: PuntHeader,
        segment: Segment,
        now: float,
        wall: float,
        out: Effects,
    ) -> None:
        """A client has proven itself: open to the server, when no switch goes by an `old` session now."""
        service = self._services.get((key[1], key[3]))
        if service is None or switch not in self._spread.writable:
            self._results["no_service" if service is None else "no_switch"] += 1
            return
        if not self._flows.admits(key, service, len(segment.frame)):
            return
        flow = Handshake.start(key, service, switch, header, segment, self._timers, wall)
        if len(self._sessions) + len(self._flows) >= self._max_sessions:
            self._flows.shed["sessions"] += 1
            flow.refuse_client(out)
            return
        self._returns.take(key)  # an older connection's
        ended = key in self._given_up or self._sessions.removed(key) is not None
        flow.follows_another = old is not None or ended
        self._flows.add(flow)
        self.hold(flow, switch, header, segment)
        if old is not None:
            # The tuple is used again. Late segments of the old session must never meet the new one's
            # numbers, and the server's answer must not meet the old session: no switch may translate by
            # it any more. Nor may that answer pass to the client where all else does (modes of services).
            self._sessions.set_aside(old, wall)
            self._set_aside.add(key)
            out.append(Put(self._spread.writable, key, old.entry, False))
            flow.reuses, flow.version = True, old.entry.version
            flow.await_switches(State.CLEARING, set(self._spread.writable), now)
        elif (leaving := self._spread.leaving(key))[1]:
            # Nor may the server's answer meet a session that is gone here, but not yet in a slow switch.
            flow.version = leaving[0]
            flow.await_switches(State.CLEARING, set(leaving[1]), now)
        elif switch in self._spread.filling:
            flow.await_service(now)
        else:
            flow.send_syn(now, wall, out)
        self._flows.schedule(flow)

    def hold(self, flow: Handshake, switch: str, header: PuntHeader, segment: Segment) -> None:
        """Another packet of the flow's client."""
        flow.count(switch, header.number, segment)
        self._flows.hold(flow, header.ingress_port, segment)

    def on_server(self, flow: Handshake, segment: Segment, now: float, wall: float, out: Effects) -> None:
        """A packet of the flow's server that no session translates yet."""
        answer = flow.on_server(segment, out)
        if answer is Answer.ACCEPTED:
            flow.timeline.synack = wall
            self._learn(flow, out)
            self._share(flow, now, wall, out)
        elif answer is Answer.REFUSED:
            flow.refuse_client(out)
            self._end(flow, "server_refused")
        elif answer is Answer.MISMATCH:
            self._learn(flow, out)
            flow.refuse_client(out, acknowledge=False)
            flow.reset_server(out)
            self._end(flow, "options_mismatch")
        elif answer is Answer.OUTDATED:
            self._results["server_outdated"] += 1
            flow.send_syn(now, wall, out)  # at once: nothing is there any more that would not answer it
            self._flows.schedule(flow)

    def _share(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        version = self._sessions.next_version(flow.key, wall)
        session = Session(
            flow.key,
            flow.make_entry(version),
            flow.service.config.name,
            wall,
            flow.ingress,
            flow.timeline,
            opened=version,
        )
        flow.session, flow.version = session, version
        flow.service.sessions += not flow.reuses
        self._sessions.add(session)
        self._sessions.watch(session, now)
        # The ingress comes last: with the session, it would let the client's next packets through to the
        # server, which could then speak before every switch knows the session.
        others = self.all_but(flow.ingress)
        flow.await_switches(State.SHARING, set(others), now)
        self._flows.schedule(flow)
        if others:
            out.append(Put(others, flow.key, session.entry, not flow.reuses))
        self.go_on(flow, now, wall, out)

    def all_but(self, ingress: str) -> tuple[str, ...]:
        """Who gets a session before its ingress does."""
        return tuple(name for name in self._spread.writable if name != ingress)

    def confirmed(self, flow: Handshake, switch: str, now: float, wall: float, out: Effects) -> None:
        """The switch has what the flow waits for, or is gone."""
        flow.waiting.discard(switch)
        self.go_on(flow, now, wall, out)

    def go_on(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        """Take the next step if nothing that it must wait for is missing any more."""
        counting = set(self._spread.live)
        if flow.ingress in self._spread.writable:
            counting.add(flow.ingress)
        if flow.state is State.CLEARING:  # in every sync mode: no packet may meet the tuple's old session
            if not flow.waiting & counting and flow.ingress not in self._spread.filling:
                flow.send_syn(now, wall, out)
                self._flows.schedule(flow)
        elif not flow.in_barrier:
            return  # a switch that it did not have to wait for is gone
        elif not enough(flow.service.config.sync, counting, flow.waiting, flow.ingress):
            return  # also if a switch came into the live set while the ingress was being written
        elif flow.state is State.SHARING:
            self._open_ingress(flow, now, wall, out)
        elif flow.ingress not in flow.waiting:
            self._release(flow, now, wall, out)

    def _open_ingress(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        """Enough of the other switches have the session: the ingress gets it too."""
        if flow.session is not None and flow.ingress in self._spread.writable:
            entry = flow.session.entry
            flow.await_ingress(entry.version)
            out.append(Put((flow.ingress,), flow.key, entry, not flow.reuses))
        else:
            self._release(flow, now, wall, out)  # it is gone: the client goes on by another switch

    def _release(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        flow.timeline.released = wall
        flow.release(out)
        held = flow.held
        self._spread.released(flow.key, flow.version, flow.waiting)
        self.setup_times.add(wall - flow.timeline.proven)
        self.note_shared(flow.key, flow.timeline, wall)
        self._end(flow, "released")
        self._replays.released.add(flow, held, now)
        self._replays.release_returns(flow.key, out)

    def note_shared(self, key: Key, timeline: Timeline, wall: float) -> None:
        """Take the time when the last live switch has a released session."""
        if not timeline.shared and not any(self._spread.lacks(key, name) for name in self._spread.live):
            timeline.shared = wall
            self.share_times.add(wall - timeline.synack)

    def abort(self, flow: Handshake, reason: str, wall: float, out: Effects) -> None:
        """The session cannot be shared: both sides are reset and no entry is left anywhere."""
        if flow.session is not None:
            self.forget(flow.session, wall, out)
        flow.refuse_client(out, acknowledge=False)
        flow.reset_server(out)
        self._end(flow, reason)
        self._returns.take(flow.key)

    def leave(self, flow: Handshake, wall: float, out: Effects) -> None:
        """Forget the handshake; neither side is told, so that the client's repetition can begin it anew."""
        if flow.session is not None:
            self.forget(flow.session, wall, out)
        self._end(flow, "cut_off")
        self._returns.take(flow.key)

    def break_off(self, flow: Handshake, wall: float, out: Effects, *, reset: bool) -> None:
        """The client does not want it any more, by what it says (`reset`) or by a proof of another one: the
        server is told, if it was asked, and no entry is left.
        """
        if flow.session is not None:
            self.forget(flow.session, wall, out)
        if flow.state is not State.CLEARING:
            flow.reset_server(out)
        self._end(flow, "client_reset" if reset else "superseded")
        self._returns.take(flow.key)
        self._given_up.pop(flow.key, None)
        self._given_up[flow.key] = _GivenUp(flow.isn, flow.cookie, wall, reset)
        if len(self._given_up) > _GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]

    def given_up(self, key: Key, isn: int, cookie: int, wall: float) -> bool:
        """Whether a proof is a late copy, of a handshake that its client broke off a moment ago."""
        last = self._given_up.get(key)
        if last is None or (last.isn, last.cookie) != (isn, cookie):
            return False
        return wall - last.at < (_LATE_AFTER_RESET if last.reset else _LATE_COPY)

    def tick(self, now: float, wall: float, out: Effects) -> None:
        """What is due: repeated SYNs, failed barriers, and what handshakes left that came to nothing."""
        for flow in self._flows.due(now):
            if flow.in_barrier:
                self.abort(flow, "barrier_timeout", wall, out)
            elif flow.state is State.CLEARING:
                flow.refuse_client(out)
                self._end(flow, "filling" if flow.ingress in self._spread.filling else "barrier_timeout")
            elif flow.state is State.SYN_SENT and flow.retry_syn(now, wall, out):
                self._flows.schedule(flow)
            else:
                # Of a connection without the proxy, one segment in 8 million looks like a cookie; its
                # server does not answer our SYN. A server that has no such connection resets it.
                if self.lenient(flow.key):
                    flow.pass_on(out)
                else:
                    flow.refuse_client(out)
                self._end(flow, "server_silent")
        while self._given_up and wall - next(iter(self._given_up.values())).at >= SEGMENT_LIFETIME:
            del self._given_up[next(iter(self._given_up))]
        for key in [key for key in self._set_aside if self._flows.get(key) is None]:
            self._set_aside.discard(key)
            session = self._sessions.get(key)
            if session is not None and session.awaited:  # nothing came of the new one
                self.forget(session, wall, out)

    def _end(self, flow: Handshake, result: str) -> None:
        self._flows.discard(flow)
        self._results[result] += 1

    def forget(self, session: Session, wall: float, out: Effects) -> None:
        """The session has ended: remove it from every switch."""
        if self._sessions.remove(session, wall):
            service = self._services.get((session.key[1], session.key[3]))
            if service is not None:
                service.sessions -= 1
            out.append(Remove(self._spread.writable, session.key, session.entry.version))
            self._spread.removed(session.key, session.entry.version, self._spread.writable)

    def lenient(self, key: Key) -> bool:
        """Whether the server may have connections that began without the proxy."""
        service = self._services.get((key[1], key[3]))
        return service is not None and service.config.mode != "always"

    def _learn(self, flow: Handshake, out: Effects) -> None:
        """Correct what is known of the service: the next client is offered only what its server has."""
        if flow.server_options is not None and flow.service.learn(flow.options, flow.server_options):
            self._results["services_learned"] += 1
            out.append(ServiceChanged(flow.service))
