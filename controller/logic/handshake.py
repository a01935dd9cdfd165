# SPDX-License-Identifier: Apache-2.0
"""One handshake: from the first proven packet of a client to the release of its packets, or to its refusal.

    CLEARING   an older session of the same tuple is being set aside on the switches, or the ingress lets
               nothing pass yet
    SYN_SENT   SYN(x) is on its way to the server (retries with identical SYNs)
    SHARING    the server answered; the session is being written to all switches but the ingress (the barrier)
    OPENING    enough of them have it; it is being written to the ingress, which lets the client through
    DONE       released, or refused

x is the client's ISN, k the cookie, r the server's ISN; all sequence numbers are mod 2^32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from controller.config import TimersConfig
from controller.dataplane import (
    BATCH,
    EARLY_SPAN,
    LAST,
    NO_WINDOW_SCALE,
    REUSED,
    SHIFT_RIGHT,
    Mode,
    Phase,
    PuntHeader,
)
from controller.logic.model import MASK32, Effects, Entry, Key, PacketOut, Service, Session, Timeline
from controller.packets import (
    ACK,
    FIN,
    RST,
    SYN,
    Options,
    Segment,
    build,
    build_options,
    parse_options,
    timestamps_option,
)

_NANOSECONDS: Final = 1_000_000_000
_OUTDATED_RESETS: Final = (
    4  # for one SYN on the timers: a server that does not forget its old connection is no loop
)


class State(Enum):
    CLEARING = auto()
    SYN_SENT = auto()
    SHARING = auto()
    OPENING = auto()
    DONE = auto()


class Answer(Enum):
    """What a server's packet means for a handshake."""

    IGNORED = auto()
    ACCEPTED = auto()  # SYN/ACK as asked: the session can be shared
    REFUSED = auto()  # RST: the server has no listener
    MISMATCH = auto()  # SYN/ACK without something that the client was told
    OUTDATED = auto()  # of an older connection: that was reset, and the SYN must be repeated


class Turn(Enum):
    """What the number of a client's packet means for those that were released."""

    NONE = auto()  # it has none of its own
    AGAIN = auto()  # the switch has sent none of them: this one was before the release
    NEXT = auto()  # the switch has sent them, and waits for a release of what came meanwhile


@dataclass(slots=True)
class Held:
    """A client's packet that waits for the session. `offset` is its sequence number relative to x + 1."""

    offset: int
    length: int
    flags: int
    port: int
    frame: bytes


@dataclass(slots=True)
class Handshake:
    """The state of one pending flow. `deadline` is when `on_deadline` is due (monotonic seconds)."""

    key: Key
    service: Service
    ingress: str
    port: int
    l2: bytes
    isn: int
    cookie: int
    options: Options  # what the client offered and the service has; timestamps = (TSval, TSecr) of its ACK
    client_window: int  # as in the client's packet, unscaled
    syn: bytes
    timers: TimersConfig
    timeline: Timeline
    state: State = State.CLEARING
    deadline: float = 0.0
    scheduled: float = -1.0  # the deadline that the table of flows knows
    retries: int = 0
    resets: int = 0  # of an older connection at the server, since the last SYN on the timers
    held: list[Held] = field(default_factory=list)
    held_bytes: int = 0
    punted: int = 0  # the number that the ingress gave to the last of its packets that came here
    reached: int = -1  # the offset behind all that the switch has sent; -1: nothing yet
    waiting: set[str] = field(default_factory=set)
    session: Session | None = None
    reuses: bool = False  # the tuple has an older session, which was set aside
    follows_another: bool = False  # it had another connection a moment ago, of which segments may come late
    version: int = 0
    server_isn: int = 0
    server_window: int = 0
    server_options: Options | None = None

    @classmethod
    def start(
        cls,
        key: Key,
        service: Service,
        ingress: str,
        header: PuntHeader,
        segment: Segment,
        timers: TimersConfig,
        wall: float,
    ) -> Handshake:
        """The handshake that a PROVEN punt begins; its SYN(x) carries only what the client itself offered."""
        tsopt = parse_options(segment.options).timestamps
        scale = header.window_scale if header.window_scale != NO_WINDOW_SCALE else None
        options = Options(header.mss, scale, bool(header.sack), tsopt)
        syn = build(
            segment.l2,
            key[0],
            key[1],
            key[2],
            key[3],
            seq=header.isn,
            flags=SYN,
            window=min(segment.window << (scale or 0), 0xFFFF),
            options=build_options(
                Options(header.mss, scale, bool(header.sack), (tsopt[0], 0) if tsopt else None)
            ),
        )
        return cls(
            key,
            service,
            ingress,
            header.ingress_port,
            segment.l2,
            header.isn,
            (segment.ack - 1) & MASK32,
            options,
            segment.window,
            syn,
            timers,
            Timeline(wall),
        )

    @property
    def told_scale(self) -> int:
        """The window scale in the SYN/ACK that the client saw. Only a service's configured value is ever told
        (or none, which the cookie shows), so that it is known here although the switch kept nothing."""
        return self.service.config.window_scale or 0

    # --- the client's packets ---------------------------------------------------------------------

    def hold(self, port: int, segment: Segment) -> bool:
        """Queue a client's packet; False for a copy of what is already there.

        A copy has a newer timestamp than what was sent between the two: it must not come before that.
        """
        offset = (segment.seq - self.isn - 1) & MASK32
        if offset & 0x80000000:
            offset -= 1 << 32  # a keep-alive's x itself
        if self.covers(segment) or (offset < 0 and (self.held or self.reached >= 0)):
            return False
        self.held.append(Held(offset, segment.payload_length, segment.flags, port, segment.frame))
        self.held_bytes += len(segment.frame)
        return True

    def count(self, switch: str, number: int, segment: Segment) -> Turn:
        """Note the number of a packet that came here."""
        if switch != self.ingress or not self._acknowledges(segment) or not number % BATCH:
            return Turn.NONE  # it is another flow's, or nobody's
        before, self.punted = self.punted, number
        if (before ^ number) & BATCH:
            return Turn.NEXT
        return Turn.AGAIN if number > before else Turn.NONE

    def follows(self, segment: Segment) -> bool:
        """Whether a segment is of this flow's first flight, not an older one's.

        Our window bounds it until something was sent to the server.
        """
        offset = (segment.seq - self.isn - 1) & MASK32
        window = self.service.config.window + 1 if self.reached < 0 else EARLY_SPAN
        return self._acknowledges(segment) and offset <= window

    def _acknowledges(self, segment: Segment) -> bool:
        """Whether it acknowledges our SYN/ACK, and, since the release, perhaps what the server has said."""
        beyond = (segment.ack - self.cookie - 1) & MASK32
        return beyond < EARLY_SPAN if self.state is State.DONE else beyond == 0

    def covers(self, segment: Segment) -> bool:
        """Whether all of a segment is among the packets held, or sent. What a RST says never is."""
        if segment.flags & RST:
            return False
        offset = (segment.seq - self.isn - 1) & MASK32
        return offset + segment.payload_length + (segment.flags & FIN) <= self._reach()

    def _reach(self) -> int:
        reach = self.reached
        for packet in sorted(self.held, key=_order):
            if 0 <= packet.offset <= max(reach, 0):
                reach = max(reach, packet.offset + packet.length + (packet.flags & FIN))
        return reach

    # --- towards the server -----------------------------------------------------------------------

    def send_syn(self, now: float, wall: float, out: Effects) -> None:
        """Send SYN(x), or repeat it byte for byte, and set the deadline for the next repetition."""
        if self.state is State.CLEARING:
            self.state = State.SYN_SENT
            self.timeline.syn_sent = wall
        out.append(PacketOut(self.ingress, Mode.ROUTE, self.port, self.syn))
        waits = self.timers.syn_retry
        # After the last repetition the server has one first wait more to answer.
        self.deadline = now + (waits[self.retries] if self.retries < len(waits) else waits[0])

    def retry_syn(self, now: float, wall: float, out: Effects) -> bool:
        """Repeat the SYN; False when the retries are used up (the caller refuses the client)."""
        if self.retries >= len(self.timers.syn_retry):
            return False
        self.retries += 1
        self.resets = 0
        self.send_syn(now, wall, out)
        return True

    def on_server(self, segment: Segment, out: Effects) -> Answer:
        """A packet from the server for this flow (SYN/ACK, RST or something of an old connection)."""
        if self.state is not State.SYN_SENT:
            return Answer.IGNORED  # e.g. a SYN/ACK repeated before the barrier is through
        acceptable = bool(segment.flags & ACK) and segment.ack == (self.isn + 1) & MASK32
        if segment.flags & RST:
            return Answer.REFUSED if acceptable else Answer.IGNORED
        if not segment.flags & ACK:
            return Answer.IGNORED
        if not acceptable or not segment.flags & SYN:
            # It has an older connection on this tuple, perhaps of a SYN with the same number that met the
            # open session of the one before. Its ACK is right for a RST (RFC 9293 sections 3.5.1, 3.10.7.3).
            if self.resets == _OUTDATED_RESETS or (acceptable and self._is_challenge(segment)):
                return Answer.IGNORED
            self.resets += 1
            out.append(self._to_server(RST, seq=segment.ack))
            return Answer.OUTDATED
        given = self.server_options = parse_options(segment.options)
        self.server_isn, self.server_window = segment.seq, segment.window
        lacks_timestamps = self.options.timestamps is not None and given.timestamps is None
        if lacks_timestamps or (self.options.sack and not given.sack):
            return Answer.MISMATCH
        return Answer.ACCEPTED

    def _is_challenge(self, segment: Segment) -> bool:
        """Whether the server has our SYN, and this is for a late one of a handshake that was broken off.

        It is half open, and its SYN/ACK on its way. No SYN with our number can have met an older session.
        """
        alone = segment.flags == ACK and not segment.payload_length
        return alone and not self.reuses and not self.retries

    def expects(self, segment: Segment) -> bool:
        """Whether a packet of the server can be this connection's.

        A late one of an older connection must never meet the new numbers.
        """
        window = self.client_window << (self.options.window_scale or 0)
        offset = (segment.seq - self.server_isn - 1) & MASK32
        return self.in_barrier and offset <= window

    def make_entry(self, version: int) -> Entry:
        """Delta, tau and shifts once the server's SYN/ACK is known."""
        given = self.server_options or Options()
        tau = 0
        if self.options.timestamps is not None and given.timestamps is not None:
            tau = (self.options.timestamps[1] - given.timestamps[0]) & MASK32
        to_client = to_server = 0
        if self.options.window_scale is not None:
            # The client scales the server's windows by what we told it, and its own by what it offered. A
            # server that answers without the option scales neither (RFC 7323 section 2.2).
            to_client = shift(given.window_scale or 0, self.told_scale)
            to_server = shift(self.options.window_scale, 0) if given.window_scale is None else 0
        idle_ns = int(self.timers.idle * _NANOSECONDS)
        if self.follows_another:
            to_server |= REUSED
        delta = (self.cookie - self.server_isn) & MASK32
        numbers = self.isn, self.cookie
        return Entry(delta, tau, to_client, to_server, Phase.OPEN, version, *numbers, idle_ns)

    # --- the barrier ------------------------------------------------------------------------------

    @property
    def in_barrier(self) -> bool:
        """Whether the session is being written to switches."""
        return self.state in (State.SHARING, State.OPENING)

    def await_switches(self, state: State, switches: set[str], now: float) -> None:
        """Wait until enough of these switches have confirmed a write (CLEARING or SHARING)."""
        self.state = state
        self.waiting = switches
        self.deadline = now + self.timers.barrier

    def await_service(self, now: float) -> None:
        """Wait until the ingress lets traffic pass, as long as for a server that does not answer."""
        self.deadline = now + sum(self.timers.syn_retry) + self.timers.syn_retry[0]

    def await_ingress(self, version: int) -> None:
        """Wait for the ingress switch, in what is left of the barrier's time."""
        self.state = State.OPENING
        self.version = version
        self.waiting.add(self.ingress)

    # --- the end ----------------------------------------------------------------------------------

    def release(self, out: Effects) -> None:
        """The barrier is through: send the held packets through the ingress switch's pipeline, in order.

        If another one is on its way to the controller, the switch sends none of them: then again, with that.
        What it punts while it sends them is the `next_batch`.
        """
        self.state = State.DONE
        packets = sorted(self.held, key=_order)
        release = []
        if self.reached < 0 and all(packet.offset < 0 for packet in packets):
            # Only a keep-alive came: its sequence number completes no handshake (RFC 9293 section 3.10.7.4).
            release.append(self._first_ack())
        release += [PacketOut(self.ingress, Mode.ARRIVE, packet.port, packet.frame) for packet in packets]
        for each in release:
            each.release = self.punted
        if release:
            release[-1].release |= LAST
        out += release
        if self.service.config.window == 0 and self.reached < 0:
            out.append(self._window_update())

    def next_batch(self) -> None:
        """The switch has sent what was released."""
        self.reached = max(self._reach(), 0)
        self.held = []

    def pass_on(self, out: Effects) -> None:
        """The server knows nothing of a new connection: the held packets go to it as they are."""
        self.state = State.DONE
        for packet in sorted(self.held, key=_order):
            out.append(PacketOut(self.ingress, Mode.ROUTE, packet.port, packet.frame))

    def refuse_client(self, out: Effects, *, acknowledge: bool = True) -> None:
        """RST to the client at what it expects next (k + 1); with ACK(x + 1) unless told otherwise."""
        self.state = State.DONE
        flags, ack = (RST | ACK, self.isn + 1) if acknowledge else (RST, 0)
        out.append(self._to_client(flags, ack=ack))

    def reset_server(self, out: Effects) -> None:
        """RST(x + 1) to the server."""
        self.state = State.DONE
        out.append(self._to_server(RST, seq=self.isn + 1))

    def _first_ack(self) -> PacketOut:
        """The client's ACK of our SYN/ACK, which got lost, as the client itself would repeat it."""
        options = b"" if self.options.timestamps is None else timestamps_option(*self.options.timestamps)
        frame = build(
            self.l2,
            *self.key,
            seq=self.isn + 1,
            ack=self.cookie + 1,
            flags=ACK,
            window=self.client_window,
            options=options,
        )
        return PacketOut(self.ingress, Mode.ARRIVE, self.port, frame)

    def _window_update(self) -> PacketOut:
        """For a client that was told window 0: an ACK that opens the server's real window."""
        scale = self.told_scale if self.options.window_scale is not None else 0
        options = b""
        if self.options.timestamps is not None:
            tsval, tsecr = self.options.timestamps
            options = timestamps_option(tsecr, tsval)
        window = min(self.server_window >> scale, 0xFFFF)
        return self._to_client(ACK, ack=self.isn + 1, window=window, options=options)

    def _to_client(self, flags: int, *, ack: int, window: int = 0, options: bytes = b"") -> PacketOut:
        client, server, client_port, server_port = self.key
        frame = build(
            self.l2,
            server,
            client,
            server_port,
            client_port,
            seq=self.cookie + 1,
            ack=ack,
            flags=flags,
            window=window,
            options=options,
        )
        return PacketOut(self.ingress, Mode.ROUTE, self.port, frame)

    def _to_server(self, flags: int, *, seq: int) -> PacketOut:
        frame = build(self.l2, *self.key, seq=seq, flags=flags)
        return PacketOut(self.ingress, Mode.ROUTE, self.port, frame)


def _order(packet: Held) -> tuple[int, int]:
    return packet.offset, packet.length


def shift(actual: int, told: int) -> int:
    """The translation of a window field scaled by `actual` for a reader that scales by `told`."""
    if actual >= told:
        return actual - told
    return (told - actual) | SHIFT_RIGHT
