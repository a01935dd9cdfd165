# SPDX-License-Identifier: Apache-2.0
"""TCP at both ends, as far as it matters here: RFC 9293 with in-order receivers and go-back-n."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from controller.logic.model import MASK32, Key
from controller.packets import ACK, FIN, PSH, RST, SYN

from .packets import SPACE, Made, Packet, beyond

SEGMENT = 10  # bytes of payload


class Tcp(Enum):
    SYN_SENT = auto()
    SYN_RCVD = auto()
    ESTABLISHED = auto()
    CLOSED = auto()


@dataclass(eq=False)
class Connection:
    """One end. `isn`, `peer_isn`: as this end sees them (the client's peer is the cookie)."""

    key: Key
    at_client: bool
    isn: int
    send: Callable[[Packet], None]
    state: Tcp
    peer_isn: int = 0
    una: int = 0
    nxt: int = 0
    rcv: int = 0
    fin: int | None = None  # behind our FIN
    peer_done: bool = False
    was_reset: bool = False
    aborted: bool = False
    made: Made | None = None
    sent: list[tuple[int, int, int]] = field(default_factory=list)  # seq, length, flags

    def packet(self, flags: int, seq: int, ack: int = 0, length: int = 0) -> Packet:
        return Packet(self.key, self.at_client, flags, seq & MASK32, ack & MASK32, length, self.made)

    def acknowledge(self) -> None:
        self.send(self.packet(ACK, self.nxt, self.rcv))

    @property
    def writable(self) -> bool:
        return self.state is Tcp.ESTABLISHED and self.fin is None

    @property
    def complete(self) -> bool:
        """Nothing of ours is under way, and we have nothing more to say."""
        return self.una == self.nxt

    def write(self) -> None:
        """Send a segment of data."""
        self._put(ACK | PSH, SEGMENT)

    def close(self) -> None:
        """Send a FIN."""
        self._put(ACK | FIN, 0)
        self.fin = self.nxt

    def abort(self) -> None:
        """Send a RST and forget everything."""
        if self.state is Tcp.ESTABLISHED:
            self.send(self.packet(RST | ACK, self.nxt, self.rcv))
        self.state, self.was_reset, self.aborted = Tcp.CLOSED, True, True

    def _put(self, flags: int, length: int) -> None:
        self.sent.append((self.nxt, length, flags))
        self.send(self.packet(flags, self.nxt, self.rcv, length))
        self.nxt = (self.nxt + length + bool(flags & FIN)) & MASK32

    def repeat(self) -> None:
        """The retransmission timer."""
        if self.state is Tcp.SYN_SENT:
            self.send(self.packet(SYN, self.isn))
        elif self.state is Tcp.SYN_RCVD:
            self.send(self.packet(SYN | ACK, self.isn, self.rcv))
        elif self.state is Tcp.ESTABLISHED:
            for seq, length, flags in self.sent:
                self.send(self.packet(flags, seq, self.rcv, length))
            if not self.sent:  # a keep-alive (RFC 9293 section 3.8.4)
                self.send(self.packet(ACK, self.nxt - 1, self.rcv))

    def take(self, packet: Packet) -> bool:
        """A segment in ESTABLISHED, in this end's own numbers; True when it brought new data or a FIN."""
        if packet.flags & RST:
            if packet.seq == self.rcv:
                self.state, self.was_reset = Tcp.CLOSED, True
            return False
        if not packet.flags & ACK:
            return False
        acked = (packet.ack - self.una) & MASK32
        if 0 < acked <= (self.nxt - self.una) & MASK32:
            self.una = packet.ack
            self.sent = [s for s in self.sent if beyond(s[0], self.una) is not None]
        new = bool(packet.length or packet.flags & FIN)
        if new and packet.seq == self.rcv:
            self.rcv = packet.end
            self.peer_done = self.peer_done or bool(packet.flags & FIN)
        asks = new or (self.rcv - packet.seq) & MASK32 in range(1, SPACE)  # an ACK alone does as a keep-alive
        if self.fin is not None and self.una == self.fin and self.peer_done:
            self.state = Tcp.CLOSED
            new = False
        if asks:
            self.acknowledge()
        return new


def client(key: Key, isn: int, send: Callable[[Packet], None]) -> Connection:
    """A client that has sent its SYN."""
    end = Connection(key, True, isn, send, Tcp.SYN_SENT, una=isn + 1 & MASK32, nxt=isn + 1 & MASK32)
    send(end.packet(SYN, isn))
    return end


def client_takes(end: Connection, packet: Packet) -> None:
    if end.state is Tcp.CLOSED:
        if packet.flags & FIN and not end.was_reset and packet.end == end.rcv:
            end.acknowledge()  # TIME-WAIT
        elif packet.flags & ACK and not packet.flags & RST and (end.was_reset or packet.flags & SYN):
            end.send(end.packet(RST, packet.ack))
    elif packet.flags & SYN:
        if end.state is Tcp.SYN_SENT and packet.ack == (end.isn + 1) & MASK32:
            end.peer_isn, end.rcv, end.made = packet.seq, (packet.seq + 1) & MASK32, packet.made
            end.state = Tcp.ESTABLISHED
        if end.state is Tcp.ESTABLISHED:
            end.acknowledge()
    elif end.state is Tcp.ESTABLISHED:
        end.take(packet)
    elif packet.flags & ACK and packet.ack != (end.isn + 1) & MASK32:
        if not packet.flags & RST:  # RFC 9293 section 3.10.7.3: of an old connection at the server
            end.send(end.packet(RST, packet.ack))
    elif packet.flags & RST and packet.flags & ACK:
        end.state, end.was_reset = Tcp.CLOSED, True


def server(syn: Packet, isn: int, send: Callable[[Packet], None]) -> Connection:
    """A server's end that answers a SYN."""
    after = (syn.seq + 1) & MASK32
    nxt = (isn + 1) & MASK32
    end = Connection(syn.key, False, isn, send, Tcp.SYN_RCVD, peer_isn=syn.seq, una=nxt, nxt=nxt, rcv=after)
    send(end.packet(SYN | ACK, isn, after))
    return end


def server_takes(end: Connection | None, packet: Packet, send: Callable[[Packet], None]) -> bool:
    """A segment without SYN; True when it brought new data or a FIN."""
    if end is None or end.state is Tcp.CLOSED:
        if end is not None and not end.was_reset and packet.end == end.rcv:  # TIME-WAIT
            if packet.flags & FIN:
                end.acknowledge()
        elif packet.flags & ACK and not packet.flags & RST:
            send(Packet(packet.key, False, RST, packet.ack))
        return False
    if end.state is Tcp.SYN_RCVD and not packet.flags & RST:
        if packet.ack != end.nxt or beyond(packet.seq, end.peer_isn) is None:
            send(Packet(packet.key, False, RST, packet.ack))
            return False
        end.state = Tcp.ESTABLISHED
    return end.take(packet)
