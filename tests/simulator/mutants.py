# SPDX-License-Identifier: Apache-2.0
"""State machines that are wrong, each in one way, and the invariant that must notice it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from controller.config import ControllerConfig
from controller.dataplane import LAST
from controller.logic.coordinator import Coordinator
from controller.logic.flows import FlowTable
from controller.logic.handshake import Handshake, State
from controller.logic.keys import KeyEffect, KeyRing, UseEpoch
from controller.logic.model import Effects, Key, PacketOut, Put, Remove, Session
from controller.logic.openings import Openings
from controller.logic.sessions import SessionTable

from .world import Parts


class ReleasesAtOnce(Openings):
    """The ingress gets the session without waiting for anybody."""

    def go_on(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        if flow.state is State.SHARING:
            flow.waiting.clear()
        super().go_on(flow, now, wall, out)


class IngressFirst(Openings):
    """The ingress gets the session together with the others, not after them."""

    def _share(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        super()._share(flow, now, wall, out)
        session = self._sessions.get(flow.key)
        if session is not None and flow.state is State.SHARING:
            out.append(Put((flow.ingress,), flow.key, session.entry, True))


class _Backwards(SessionTable):
    def next_version(self, key: Key, wall: float) -> int:
        session = self.get(key)
        return super().next_version(key, wall) if session is None else session.entry.version - 1


class GoesBack(Coordinator):
    """A change of a session has an older version than the session."""

    def __init__(self, config: ControllerConfig) -> None:
        super().__init__(config)
        self.sessions.__class__ = _Backwards


class ForgetsASwitch(Openings):
    """A removal is not sent to c."""

    def forget(self, session: Session, wall: float, out: Effects) -> None:
        super().forget(session, wall, out)
        for effect in out:
            if isinstance(effect, Remove):
                effect.switches = tuple(name for name in effect.switches if name != "c")


class SkipsASwitch(Openings):
    """A session is not written to c, and nobody waits for it there."""

    def all_but(self, ingress: str) -> tuple[str, ...]:
        return tuple(name for name in super().all_but(ingress) if name != "c")


class WrongDelta(Openings):
    """Δ has the wrong sign."""

    def _share(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        flow.cookie, flow.server_isn = flow.server_isn, flow.cookie
        super()._share(flow, now, wall, out)
        flow.cookie, flow.server_isn = flow.server_isn, flow.cookie


class LeavesTheOldSession(Openings):
    """A tuple is used again without setting its old session aside first."""

    def start(self, key: Key, old: Session | None, *rest: Any) -> None:
        super().start(key, None, *rest)


class ForgetsWhoWasThere(Openings):
    """No switch is told that late segments of the tuple's last connection may come."""

    def start(self, key: Key, *rest: Any) -> None:
        super().start(key, *rest)
        flow = self._flows.get(key)
        if flow is not None:
            flow.follows_another = False


class _Boundless(FlowTable):
    def hold(self, flow: Handshake, port: int, segment: Any) -> None:
        if flow.hold(port, segment):
            self.held_bytes += len(segment.frame)


class HoldsEverything(Coordinator):
    """No limit on what a flow holds."""

    def __init__(self, config: ControllerConfig) -> None:
        super().__init__(config)
        self.flows.__class__ = _Boundless


class ForgetsToCount(Openings):
    """A handshake that ends without a session stays counted."""

    def _end(self, flow: Handshake, result: str) -> None:
        super()._end(flow, result)
        if result == "server_silent":
            flow.service.pending += 1


class LetsOvertake(Openings):
    """The first packet that is released is taken for the last one: what comes now does not wait."""

    def _release(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        super()._release(flow, now, wall, out)
        for effect in out:
            if isinstance(effect, PacketOut) and effect.release:
                effect.release |= LAST


class ResetsClients(Openings):
    """A client is reset when its session is open."""

    def _release(self, flow: Handshake, now: float, wall: float, out: Effects) -> None:
        super()._release(flow, now, wall, out)
        flow.refuse_client(out)


class UsesKeysAtOnce(KeyRing):
    """An epoch begins while switches have not got its key."""

    def tick(self, now: float, live: Any, absent: bool) -> list[KeyEffect]:
        effects = super().tick(now, live, absent)
        if effects and self.epoch is not None:
            switches = tuple(live)
            return [UseEpoch(switches, self.epoch + 1 & 1), *effects]
        return effects


class RotatesTooSoon(KeyRing):
    """The next rotation is reckoned from when an epoch is announced, not from when all use it."""

    def _advance(self, now: float, live: tuple[str, ...]) -> list[KeyEffect]:
        began = self.began
        effects = super()._advance(now, live)
        self.began = now if effects else began
        return effects


def _with(openings: type[Openings]) -> Callable[[ControllerConfig], Coordinator]:
    """Makes a coordinator whose handshakes take these steps."""

    def make(config: ControllerConfig) -> Coordinator:
        core = Coordinator(config)
        core.openings.__class__ = openings
        return core

    return make


class Mutant(NamedTuple):
    parts: Parts
    invariants: tuple[int, ...]
    """Any of these may be the one that notices it first."""
    seeds: range = range(600)
    """Schedules of which at least one must find it out."""


MUTANTS: dict[str, Mutant] = {
    "releases at once": Mutant(Parts(_with(ReleasesAtOnce)), (1, 5)),
    "ingress first": Mutant(Parts(_with(IngressFirst)), (1,)),
    "goes back": Mutant(Parts(GoesBack), (2,)),
    "forgets a switch": Mutant(Parts(_with(ForgetsASwitch)), (2, 3, 4)),
    "skips a switch": Mutant(Parts(_with(SkipsASwitch)), (1, 5)),
    "wrong delta": Mutant(Parts(_with(WrongDelta)), (4,)),
    "leaves the old session": Mutant(Parts(_with(LeavesTheOldSession)), (3, 4)),
    "forgets who was there": Mutant(Parts(_with(ForgetsWhoWasThere)), (4,), range(15900, 16000)),
    "holds everything": Mutant(Parts(HoldsEverything), (6,)),
    "forgets to count": Mutant(Parts(_with(ForgetsToCount)), (3,)),
    "lets overtake": Mutant(Parts(_with(LetsOvertake)), (10,), range(2500, 2600)),
    "resets clients": Mutant(Parts(_with(ResetsClients)), (8,)),
    "uses keys at once": Mutant(Parts(ring=UsesKeysAtOnce), (7,)),
    "rotates too soon": Mutant(Parts(ring=RotatesTooSoon), (7,), range(600, 1200)),
}
