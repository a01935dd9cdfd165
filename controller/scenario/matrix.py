# SPDX-License-Identifier: Apache-2.0
"""Every combination of what a client and a server can do: window scale, MSS, SACK, timestamps.

Both ends are crafted. `Trial` is one connection, from the SYN to the RST, with everything on the wire
compared to what the two ends agreed on; what is not as it ought to be raises MismatchError.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from controller.scenario import tcp_options, wire
from controller.scenario.station import Line

MSS_OF_NONE = {4: 536, 6: 1220}
"""The MSS of an end that names none, by version of IP (RFC 9293 section 3.7.1)."""
MSS_STEPS = (88, 536, 1220, 1300, 1400, 1440, 1460, 8960)
"""A cookie holds one of these: the largest that the client's own MSS is not below."""
LARGEST_SCALE = 14
"""RFC 7323 section 2.3: a larger one counts as this."""

_WITHIN_S = 5.0
_WINDOWS = (0, 1, 127, 128, 2047, 16384, 65535)


class MismatchError(Exception):
    """What was on the wire is not what the ends' options call for."""


@dataclass(frozen=True)
class Abilities:
    """What an end offers or has; None = without the option."""

    window_scale: int | None
    mss: int | None
    sack: bool
    timestamps: bool

    def __str__(self) -> str:
        scale = "no scale" if self.window_scale is None else f"scale {self.window_scale}"
        mss = "no MSS" if self.mss is None else f"MSS {self.mss}"
        return (
            f"{scale}, {mss}, {'' if self.sack else 'no '}SACK, {'' if self.timestamps else 'no '}timestamps"
        )


def agreed(offered: Abilities, had: Abilities) -> Abilities:
    """What the end that has `had` answers to `offered`: of each option its own, if both have it."""
    return Abilities(
        window_scale=None if offered.window_scale is None else had.window_scale,
        mss=had.mss,
        sack=offered.sack and had.sack,
        timestamps=offered.timestamps and had.timestamps,
    )


def pairs(choices: Sequence[Sequence[object]]) -> Iterator[tuple[object, ...]]:
    """Few of the combinations of one out of each sequence, such that every pair of values of two sequences
    is in one of them.
    """
    columns = list(itertools.combinations(range(len(choices)), 2))
    missing = {
        (i, j, a, b) for i, j in columns for a in range(len(choices[i])) for b in range(len(choices[j]))
    }
    everything = list(itertools.product(*(range(len(choice)) for choice in choices)))
    while missing:
        best = max(everything, key=lambda c: sum((i, j, c[i], c[j]) in missing for i, j in columns))
        missing -= {(i, j, best[i], best[j]) for i, j in columns}
        yield tuple(choice[at] for choice, at in zip(choices, best, strict=True))


@dataclass
class Trial:
    """One connection of a client with `offered` to a server that has `had`; `told` is what the service's
    clients are told. `seed` decides numbers, windows and the options' order and padding.
    """

    client: Line
    server: Line
    offered: Abilities
    told: Abilities
    had: Abilities
    version: int
    seed: int

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._x, self._r, self._client_clock, self._server_clock = (
            self._dice.getrandbits(32) for _ in range(4)
        )
        self._k = self._tp = 0
        self._with_client = agreed(self.offered, self.told)  # what the client believes
        wanted = replace(self._with_client, mss=self._mss_of_syn, window_scale=self._client_scale)
        self._syn = wanted
        self._with_server = agreed(wanted, self.had)  # what the server believes

    @property
    def _client_scale(self) -> int | None:
        """The client's own scale if it may use it."""
        if self.offered.window_scale is None or self.told.window_scale is None:
            return None
        return min(self.offered.window_scale, LARGEST_SCALE)

    @property
    def _mss_of_syn(self) -> int:
        """What the server is told: never more than the client said; 536 only to one that can take no more."""
        own = self.offered.mss or MSS_OF_NONE[self.version]
        return max(step for step in MSS_STEPS if step <= own)

    @property
    def is_repairable(self) -> bool:
        """Whether the server has all that the client was told, but for its window scale."""
        given, wanted = self._with_server, self._syn
        return given.sack == wanted.sack and given.timestamps == wanted.timestamps

    def run(self) -> None:
        """The whole connection, then its end by the client's RST; or the RST to both sides."""
        self.prove()
        self.answer()
        if not self.is_repairable:
            self._both_are_reset()
            return
        self._server_hears_the_ack()
        self._windows()
        self.client.send(wire.RST, self._x + 1, window=0)
        self._expect(self.server, wire.RST, self._x + 1, 0, "the client's RST")

    # --- the handshake ------------------------------------------------------------------------------

    def prove(self) -> None:
        """SYN, the SYN/ACK with the cookie, ACK."""
        self.client.send(
            wire.SYN,
            self._x,
            window=self._dice.getrandbits(16),
            options=self._shuffled(self._options(self.offered, (self._client_clock, 0))),
        )
        answer = self._expect(self.client, wire.SYN | wire.ACK, None, self._x + 1, "the cookie")
        self._k = answer.seq
        if answer.options.timestamps is not None:
            self._tp = answer.options.timestamps[0]
        self._compare(
            answer.options, self._options(self._with_client, (self._tp, self._client_clock)), "the SYN/ACK"
        )
        self._first_window = self._dice.choice((1, 229, 1000, 64240, 65535))
        self.client.send(
            wire.ACK,
            self._x + 1,
            self._k + 1,
            window=self._first_window,
            options=self._shuffled(self._stamps(self._client_clock + 1, self._tp)),
        )

    def answer(self) -> None:
        """The SYN to the server, and its SYN/ACK."""
        syn = self._expect(self.server, wire.SYN, self._x, 0, "the SYN to the server")
        self._compare(
            syn.options, self._options(self._syn, (self._client_clock + 1, 0)), "the SYN to the server"
        )
        # RFC 7323 section 2.2: the window of a SYN is in bytes, whatever its window scale.
        self._same(
            syn.window, min(self._first_window << (self._client_scale or 0), 0xFFFF), "the SYN's window"
        )
        self.server.send(
            wire.SYN | wire.ACK,
            self._r,
            self._x + 1,
            window=self._dice.choice((4096, 64240, 65535)),
            options=self._shuffled(
                self._options(self._with_server, (self._server_clock, self._client_clock + 1))
            ),
        )

    def _both_are_reset(self) -> None:
        self._expect(self.client, wire.RST, self._k + 1, 0, "the RST to the client")
        self._expect(self.server, wire.RST, self._x + 1, 0, "the RST to the server")

    def _server_hears_the_ack(self) -> None:
        ack = self._expect(self.server, wire.ACK, self._x + 1, self._r + 1, "the ACK to the server")
        self._server_reads(ack.window, self._first_window)
        self._compare(ack.options, self._stamps(self._client_clock + 1, self._server_clock), "the ACK")

    # --- what follows -------------------------------------------------------------------------------

    def _windows(self) -> None:
        """ACKs both ways with all sorts of windows, SACK blocks and timestamps."""
        for turn, window in enumerate((*_WINDOWS, self._dice.getrandbits(16)), 2):
            ticks = self._client_clock + turn, self._server_clock + turn
            blocks = self._blocks() if self._with_client.sack else ()
            self.server.send(
                wire.ACK,
                self._r + 1,
                self._x + 1,
                window=window,
                options=self._shuffled(
                    replace(self._stamps(ticks[1], self._client_clock + turn - 1), sack=blocks)
                ),
            )
            heard = self._expect(self.client, wire.ACK, self._k + 1, self._x + 1, "the server's ACK")
            self._client_reads(heard.window, window)
            self._compare(
                heard.options,
                replace(self._stamps(self._tp + turn, self._client_clock + turn - 1), sack=blocks),
                "the server's ACK",
            )
            self.client.send(
                wire.ACK,
                self._x + 1,
                self._k + 1,
                window=window,
                options=self._shuffled(
                    replace(self._stamps(ticks[0], self._tp + turn), sack=_moved(blocks, self._k - self._r))
                ),
            )
            heard = self._expect(self.server, wire.ACK, self._x + 1, self._r + 1, "the client's ACK")
            self._server_reads(heard.window, window)
            self._compare(heard.options, replace(self._stamps(*ticks), sack=blocks), "the client's ACK")

    def _client_reads(self, field: int, sent: int) -> None:
        """The server's window as the client understands it: what the server meant, rounded down to what the
        client's unit can say, and no more than it can say at most.
        """
        meant = sent << (self._with_server.window_scale or 0)
        unit = (self._with_client.window_scale or 0) if self._client_scale is not None else 0
        self._same(
            field << unit, min(meant >> unit << unit, 0xFFFF << unit), "the window that the client sees"
        )

    def _server_reads(self, field: int, sent: int) -> None:
        """The same for the client's window: the server scales it by what its SYN said, or not."""
        meant = sent << (self._client_scale or 0)
        unit = 0 if self._with_server.window_scale is None else (self._client_scale or 0)
        self._same(
            field << unit, min(meant >> unit << unit, 0xFFFF << unit), "the window that the server sees"
        )

    # --- pieces -------------------------------------------------------------------------------------

    def _options(self, abilities: Abilities, stamps: tuple[int, int]) -> wire.Options:
        return wire.Options(
            abilities.mss,
            abilities.window_scale,
            abilities.sack,
            (stamps[0] & 0xFFFFFFFF, stamps[1] & 0xFFFFFFFF) if abilities.timestamps else None,
        )

    def _stamps(self, value: int, echo: int) -> wire.Options:
        """Of a segment behind the handshake: timestamps, if they were agreed on."""
        stamps = value & 0xFFFFFFFF, echo & 0xFFFFFFFF
        return wire.Options(timestamps=stamps if self._with_client.timestamps else None)

    def _blocks(self) -> tuple[tuple[int, int], ...]:
        """SACK blocks; the same numbers serve for either side's bytes."""
        count = self._dice.randint(0, 3 if self._with_client.timestamps else 4)
        return tuple((self._dice.getrandbits(32), self._dice.getrandbits(32)) for _ in range(count))

    def _shuffled(self, options: wire.Options) -> wire.Options:
        """In any order, with NOPs or an option of an unknown kind in between, as far as there is room."""
        words = list(options.given)
        room = tcp_options.LONGEST - len(tcp_options.build(replace(options, layout=tuple(words))))
        if room < 4:
            return replace(options, layout=tuple(words))
        if self._dice.random() < 0.5:
            words.append(f"{self._dice.choice((9, 30, 253))}:{self._dice.randint(2, min(room, 8) - 1)}")
        else:
            words += ["nop"] * self._dice.randint(0, room - 1)
        self._dice.shuffle(words)
        return replace(options, layout=(*words, "end") if self._dice.random() < 0.5 else tuple(words))

    def _expect(self, line: Line, flags: int, seq: int | None, ack: int, what: str) -> wire.Segment:
        segment = line.receive(_WITHIN_S)
        if segment is None:
            raise MismatchError(f"{what} did not come")
        self._same(wire.format_flags(segment.flags), wire.format_flags(flags), f"the flags of {what}")
        if seq is not None:
            self._same(segment.seq, seq & 0xFFFFFFFF, f"the sequence number of {what}")
        self._same(segment.ack, ack & 0xFFFFFFFF, f"the acknowledgment of {what}")
        return segment

    def _compare(self, found: wire.Options, wanted: wire.Options, what: str) -> None:
        self._same(found, replace(wanted, layout=found.layout), f"the options of {what}")

    def _same(self, found: object, wanted: object, what: str) -> None:
        if found != wanted:
            raise MismatchError(f"{what}: {found} instead of {wanted}")


def _moved(blocks: tuple[tuple[int, int], ...], by: int) -> tuple[tuple[int, int], ...]:
    return tuple(((left + by) & 0xFFFFFFFF, (right + by) & 0xFFFFFFFF) for left, right in blocks)
