# SPDX-License-Identifier: Apache-2.0
"""Who belongs to the federation now, by leases. Pure: messages and a clock go in.

A member renews its lease in the key-value store, which only the majority side of a broken network can write
to. It counts its lease from the moment it sent the renewal; the others count theirs from when they heard it,
and wait a quarter longer. So it knows that it is no member before any other goes on without it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from controller.federation.messages import Lease
from controller.logic.model import Key, Session

State = Literal["joining", "member", "left"]
SwitchStanding = Literal["down", "joined", "live"]

LEASE_PATIENCE: Final = 1.25
"""Leases until the others give a silent member up: later than it does itself."""


@dataclass(slots=True)
class Peer:
    """Another member. `heard`: when, on this side's clock; `records`: how many of its were taken in."""

    name: str
    run: str
    state: State
    stamp: int
    heard: float
    switches: dict[str, SwitchStanding] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seen: dict[str, tuple[str, int]] = field(default_factory=dict)
    records: int = 0


class Members:
    """This member (`me`) and its peers. `lease` is in seconds."""

    def __init__(self, me: str, lease: float) -> None:
        self.me = me
        self.lease = lease
        self.run = ""
        self.state: State = "left"
        self.stamp = 0
        self.published = 0
        self.switches: dict[str, SwitchStanding] = {}
        self.peers: dict[str, Peer] = {}
        self.homes: dict[str, str] = {}
        """The member of each switch, also of those that are away."""
        self._renewed = float("-inf")

    # --- this member ------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """A new membership begins, as `joining`; peers have the time of a lease to be heard of again."""
        self.run = secrets.token_hex(6)
        self.state, self.stamp, self.published = "joining", 1, 0
        self.switches = dict.fromkeys(self.switches, "down")
        self._renewed = float("-inf")
        for peer in self.peers.values():
            peer.heard = now

    def become(self, state: State) -> None:
        self.state = state
        self.stamp += 1

    def standing(self, switch: str, standing: SwitchStanding) -> None:
        """A switch of this member's is being synchronised, live or away."""
        self.switches[switch] = standing
        self.homes[switch] = self.me
        self.stamp += 1

    def renewed(self, sent: float) -> None:
        """The store has taken the renewal that was sent then."""
        self._renewed = max(self._renewed, sent)

    def valid(self, now: float) -> bool:
        """Whether the lease still holds."""
        return self._renewed + self.lease > now

    def is_member(self, now: float) -> bool:
        return self.state == "member" and self.valid(now)

    def message(self, held: dict[str, int], reasons: dict[str, str]) -> Lease:
        return Lease(
            by=self.me,
            run=self.run,
            state=self.state,
            stamp=self.stamp,
            switches=self.switches,
            held=held,
            reasons=reasons,
            seen={peer.name: (peer.run, peer.stamp) for peer in self.peers.values()},
            n=self.published,
        )

    # --- the others -------------------------------------------------------------------------------

    def heard(self, lease: Lease, now: float) -> bool:
        """Take in a peer's lease; True when it says something new, which must be acknowledged."""
        if lease.by == self.me:
            return False
        peer = self.peers.get(lease.by)
        if lease.state == "left":
            if peer is not None and peer.run == lease.run:
                del self.peers[lease.by]
            return peer is not None
        news = peer is None or (peer.run, peer.stamp) != (lease.run, lease.stamp)
        if peer is None or peer.run != lease.run:
            peer = self.peers[lease.by] = Peer(lease.by, lease.run, lease.state, 0, now, records=lease.n)
        peer.state, peer.stamp, peer.heard = lease.state, lease.stamp, now
        peer.switches, peer.held, peer.reasons = dict(lease.switches), lease.held, lease.reasons
        peer.seen = lease.seen
        for switch in lease.switches:
            self.homes[switch] = lease.by
        return news

    def missed(self, by: str, run: str, n: int, *, record: bool) -> bool:
        """Count a peer's records; True when one before this (`record`), or up to this number, is missing."""
        peer = self.peers.get(by)
        if peer is None or peer.run != run:
            return False
        gap = n > peer.records + record
        peer.records = max(peer.records, n)
        return gap

    def expired(self, now: float) -> list[Peer]:
        """Peers whose lease is over; they are forgotten. None as long as the own one does not hold."""
        if not self.valid(now):
            return []
        gone = [peer for peer in self.peers.values() if peer.heard + self.lease * LEASE_PATIENCE <= now]
        for peer in gone:
            del self.peers[peer.name]
        return gone

    def knows(self, by: str, run: str) -> bool:
        """Whether a message comes from a peer's present membership."""
        peer = self.peers.get(by)
        return peer is not None and peer.run == run

    def unaware(self) -> list[str]:
        """Peers that have not acknowledged the present state of this member yet."""
        mine = (self.run, self.stamp)
        return [
            peer.name
            for peer in self.peers.values()
            if (seen := peer.seen.get(self.me)) is None or seen[0] != mine[0] or seen[1] < mine[1]
        ]

    # --- who does what ----------------------------------------------------------------------------

    def in_order(self) -> list[str]:
        """All members by name, this one included if it is one."""
        names = [peer.name for peer in self.peers.values() if peer.state == "member"]
        return sorted([*names, self.me] if self.state == "member" else names)

    @property
    def leader(self) -> str | None:
        """Who rotates the keys: the first by name."""
        return next(iter(self.in_order()), None)

    def owner(self, session: Session) -> str:
        """Who looks after a session: the PoP that opened it, or else a member that its numbers decide."""
        home = self.homes.get(session.ingress or "")
        members = self.in_order()
        if home is not None and home in members:
            return home
        return members[_number(session.key) % len(members)] if members else self.me


def _number(key: Key) -> int:
    return sum(key)
