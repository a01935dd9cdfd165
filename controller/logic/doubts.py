# SPDX-License-Identifier: Apache-2.0
"""Proofs that may be older than the session of their tuple.

A switch may tell a controller that connects its last packet-ins again, for the one before may have died with
them unread. One of them can be the proof of a connection that was over before the tuple's present one began:
the session must not suffer for that. So what a switch says when it has just connected counts against a
session only when the client shows that this is the connection which it has: it is sent a segment with a
number that cannot be right, and answers with its own numbers (RFC 9293 section 3.10.7.4).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from controller.dataplane import Mode, PuntHeader
from controller.logic.model import MASK32, Effects, Key, PacketOut
from controller.packets import ACK, Segment, build

_BURST: Final = 0.1  # seconds within which all is there that is told again
_PATIENCE: Final = 10.0  # seconds that a client has to answer, or to repeat itself


class Proof(NamedTuple):
    """What came, and `at` which time."""

    switch: str
    header: PuntHeader
    segment: Segment
    at: float


class Doubts:
    """The proofs that are doubted, by tuple. The latest counts."""

    def __init__(self) -> None:
        self._proofs: dict[Key, Proof] = {}
        self._fresh: dict[Key, None] = {}  # those whose clients have not been asked

    def add(self, key: Key, switch: str, header: PuntHeader, segment: Segment, now: float) -> None:
        self.forget(key)
        self._proofs[key] = Proof(switch, header, segment, now)
        self._fresh[key] = None

    def dispelled(self, key: Key, cookie: int, now: float) -> Proof | None:
        """The tuple's proof, if a packet with this cookie shows that its connection is there. Once."""
        proof = self._proofs.get(key)
        if proof is None or not self.concerns(key, cookie) or now - proof.at < _BURST:
            return None
        self.forget(key)
        return proof

    def concerns(self, key: Key, cookie: int) -> bool:
        """Whether a packet with this cookie is of the connection whose proof is doubted."""
        proof = self._proofs.get(key)
        return proof is not None and (proof.segment.ack - 1) & MASK32 == cookie

    def forget(self, key: Key) -> None:
        self._proofs.pop(key, None)
        self._fresh.pop(key, None)

    def tick(self, now: float, out: Effects) -> None:
        """Ask the clients whose proofs came a moment ago, and forget those that have not answered."""
        for key in [key for key in self._fresh if now - self._proofs[key].at >= _BURST]:
            del self._fresh[key]
            out.append(_challenge(key, self._proofs[key]))
        while self._proofs and now - next(iter(self._proofs.values())).at >= _PATIENCE:
            self.forget(next(iter(self._proofs)))


def _challenge(key: Key, proof: Proof) -> PacketOut:
    """A segment to the client that is outside of any window that it can have in this connection."""
    client, server, client_port, server_port = key
    frame = build(
        proof.segment.l2,
        server,
        client,
        server_port,
        client_port,
        seq=proof.segment.ack + (1 << 31),
        ack=proof.header.isn + 1,
        flags=ACK,
    )
    return PacketOut(proof.switch, Mode.ROUTE, proof.header.ingress_port, frame)
