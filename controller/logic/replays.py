# SPDX-License-Identifier: Apache-2.0
"""Packets of sessions that came to the controller all the same: too early, too late, or on their way.

What reached a switch before its session did waits for it; what was punted while the flow was released goes
with the rest; anything else goes back into the pipeline that punted it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from controller.dataplane import HOLD_PACKETS, Mode, PuntHeader
from controller.logic.flows import FlowTable
from controller.logic.handshake import Handshake, Turn
from controller.logic.model import Effects, Key, PacketOut, Put, Session
from controller.logic.released import ReleasedFlows
from controller.logic.returns import EarlyReturn, EarlyReturns
from controller.logic.sessions import SessionTable
from controller.logic.spread import Spread
from controller.packets import Segment

_REPLAYS_PER_SECOND = 64  # of one session: a switch that keeps punting what it should translate is no loop
_REPLAYS_BEFORE_REPAIR = 32


class Replays:
    def __init__(
        self,
        flows: FlowTable,
        sessions: SessionTable,
        spread: Spread,
        returns: EarlyReturns,
        results: Counter[str],
    ) -> None:
        self._flows = flows
        self._sessions = sessions
        self._spread = spread
        self._returns = returns
        self._results = results
        self.released = ReleasedFlows()

    def after_release(
        self,
        session: Session,
        switch: str,
        header: PuntHeader,
        segment: Segment,
        now: float,
        out: Effects,
    ) -> bool:
        """A packet that was punted before its flow was released; False when there was no release lately."""
        flow = self.released.get(session.key)
        if flow is None or flow.session is not session or session.awaited:
            return False
        turn = flow.count(switch, header.number, segment)
        if turn is Turn.NEXT:
            flow.next_batch()
        follows = flow.follows(segment)
        if turn is not Turn.NONE:
            self._results["released_again" if turn is Turn.AGAIN else "released_more"] += 1
            if follows:
                flow.hold(header.ingress_port, segment)
            flow.release(out)
            return follows
        if not follows or not session.open:
            return False
        if flow.covers(segment):
            self._results["late_copies"] += 1
        else:
            number = self._hold_as_well(flow, switch, header.ingress_port, segment)
            self.replay(session, switch, header.ingress_port, segment.frame, now, out, number)
        return True

    def _hold_as_well(self, flow: Handshake, switch: str, port: int, segment: Segment) -> int:
        """New data without a number of its own: what was sent behind it came first to the switch.

        With the number of the release it goes through only if that did; else it is held, and goes with the
        next one.
        """
        has_room = len(flow.held) < HOLD_PACKETS
        return flow.punted if switch == flow.ingress and has_room and flow.hold(port, segment) else 0

    def replay(
        self,
        session: Session,
        switch: str,
        port: int,
        frame: bytes,
        now: float,
        out: Effects,
        release: int = 0,
    ) -> None:
        """The packet was punted before the switch had the session: back into its pipeline, once it has."""
        if self._spread.lacks(session.key, switch):
            self._returns.hold(session.key, switch, port, frame, now)
            return
        if session.replay_second != int(now):
            session.replay_second, session.replays = int(now), 0
        session.replays += 1
        if session.replays > _REPLAYS_PER_SECOND:
            self._results["replays_limited"] += 1
            return
        if session.replays == _REPLAYS_BEFORE_REPAIR and switch in self._spread.writable:
            out.append(Put((switch,), session.key, session.entry, True))
        out.append(PacketOut(switch, Mode.ARRIVE, port, frame, release))

    def release_returns(self, key: Key, out: Effects) -> None:
        """Send what is held for a session at switches that have it now, be they synchronised still."""
        for packet in self._returns.take(key, lambda switch: not self._spread.lacks(key, switch)):
            self._send_return(packet, self._spread.writable, out)

    def expire(self, now: float, out: Effects) -> None:
        """Forget what was released long enough ago, and end the wait of early returns."""
        self.released.expire(now)
        for packet in self._returns.expire(now):
            self._send_return(packet, self._spread.live, out)

    def _send_return(self, packet: EarlyReturn, holding: Collection[str], out: Effects) -> None:
        """`holding`: the switches that have the session if they do not lack it as far as is known here."""
        key, switch = packet.key, packet.switch
        known = self._sessions.get(key) is not None and self._flows.get(key) is None
        if known and switch in holding and not self._spread.lacks(key, switch):
            out.append(PacketOut(switch, Mode.ARRIVE, packet.port, packet.frame))
        else:
            self._returns.dropped["early_return_expired"] += 1
