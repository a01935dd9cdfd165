# SPDX-License-Identifier: Apache-2.0
"""The values that the state machines exchange: sessions, table entries, services, effects.

Times are seconds: `now` is a monotonic clock, `wall` the Unix time. Sequence numbers are mod 2^32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from controller.config import ServiceConfig
from controller.dataplane import REUSED, Mode, Phase
from controller.packets import Options

MASK32 = 0xFFFFFFFF

DEFAULT_MSS = {4: 536, 6: 1220}
"""The MSS of a peer that names none, by version of IP (RFC 9293 section 3.7.1)."""
SMALLEST_MSS = 88
"""Linux's smallest."""

Key: TypeAlias = tuple[int, int, int, int]
"""A session's identity: client, server (addresses as integers), client port, server port. A server's address
beyond 32 bits is IPv6 (`is_v6`)."""


Origin: TypeAlias = Literal["configured", "learned", "default"]


def is_v6(key: Key) -> bool:
    """Whether a session runs over IPv6. No service has an address of ::/96, which fits into 32 bits."""
    return key[1] > MASK32


class Entry(NamedTuple):
    """A row of a session table: the action's parameters, then the idle timeout in nanoseconds.

    `isn` and `cookie` are x and k, by which late segments of the tuple's last session are told.
    """

    delta: int
    tau: int
    to_client_shift: int
    to_server_shift: int
    phase: int
    version: int
    isn: int
    cookie: int
    idle_ns: int


@dataclass(slots=True)
class Timeline:
    """When a session's steps happened (Unix time, seconds). `shared`: every live switch had confirmed it."""

    proven: float
    syn_sent: float = 0.0
    synack: float = 0.0
    confirmed: dict[str, float] = field(default_factory=dict)
    released: float = 0.0
    shared: float = 0.0


@dataclass(slots=True)
class Session:
    """A proven, shared connection."""

    key: Key
    entry: Entry
    service: str
    created: float
    ingress: str | None = None
    timeline: Timeline | None = None
    fin_client: bool = False
    fin_server: bool = False
    idle_at: set[str] | None = None  # switches that reported it idle since they last saw traffic
    opened: int | None = None  # its first version; None when it was read back from a switch
    replays: int = 0  # late duplicates sent through the pipeline again within `replay_second`
    replay_second: int = 0

    @property
    def open(self) -> bool:
        return self.entry.phase == Phase.OPEN

    def is_answer(self, isn: int) -> bool:
        """Whether a SYN/ACK with this number is the one that began it."""
        return (self.entry.cookie - isn) & MASK32 == self.entry.delta

    def is_proof(self, isn: int, cookie: int) -> bool:
        """Whether a client that has proven these numbers is the one that began it."""
        return (isn, cookie) == (self.entry.isn, self.entry.cookie)

    @property
    def marked(self) -> bool:
        """Whether late segments of the tuple's last session are looked for."""
        return bool(self.entry.to_server_shift & REUSED)

    @property
    def awaited(self) -> bool:
        """Whether it only keeps the place of the tuple's next session."""
        return self.entry.phase == Phase.AWAITED


@dataclass(slots=True)
class Service:
    """A configured service: what its clients are told, and what was learned from its server's SYN/ACKs.

    `learned` has `mss`, `window_scale` (None: the server does not scale), `sack` and `timestamps`; what no
    SYN/ACK could show yet is absent. What the configuration gives is told whatever is learned; for the rest
    it only has the values to begin with.
    """

    config: ServiceConfig
    service_id: int
    mss: int
    window_scale: int | None
    sack: bool
    timestamps: bool
    learned: dict[str, int | None] = field(default_factory=dict)
    sessions: int = 0
    pending: int = 0
    leaving: bool = False
    """No longer configured: it is forgotten when its last session has ended."""

    @classmethod
    def of(cls, config: ServiceConfig, service_id: int) -> Service:
        return cls(config, service_id, config.mss, config.window_scale, config.sack, config.timestamps)

    def learn(self, offered: Options, answered: Options) -> bool:
        """Take in the server's SYN/ACK to a SYN with `offered`; True when clients are told otherwise now.

        The window scale told stays: a cookie shows whether a client was told one, not which. The switches
        repair it. The first MSS seen counts; later ones only lower it, so that servers that differ behind
        one address come to rest.
        """
        learned: dict[str, int | None] = {
            **self.learned,
            "mss": answered.mss or DEFAULT_MSS[self.config.address.version],
        }
        if offered.window_scale is not None:
            learned["window_scale"] = answered.window_scale
        if offered.sack:
            learned["sack"] = answered.sack
        if offered.timestamps is not None:
            learned["timestamps"] = answered.timestamps is not None
        if learned == self.learned:
            return False
        before, first = (self.mss, self.window_scale, self.sack, self.timestamps), not self.learned
        self.learned = learned
        self._tell(first)
        return before != (self.mss, self.window_scale, self.sack, self.timestamps)

    def configure(self, config: ServiceConfig) -> None:
        """Go on with another configuration: what it gives is told, for the rest what was learned."""
        told = (self.mss, self.window_scale, self.sack, self.timestamps)
        self.config = config
        self.mss, self.window_scale = config.mss, config.window_scale
        self.sack, self.timestamps = config.sack, config.timestamps
        if self.learned:
            mss, window_scale, sack, timestamps = told
            self.recall(self.learned, mss=mss, window_scale=window_scale, sack=sack, timestamps=timestamps)
            self._tell(first=True)

    def _tell(self, first: bool) -> None:
        """Have clients told what was learned. `first`: the MSS, too, if it is larger than what is told."""
        learned, given = self.learned, self.config.model_fields_set
        mss = max(learned.get("mss") or 0, SMALLEST_MSS)
        if "mss" not in given and (first or mss < self.mss):
            self.mss = mss
        if "window_scale" not in given and learned.get("window_scale", 0) is None:
            self.window_scale = None
        if "sack" not in given:
            self.sack = self.sack and bool(learned.get("sack", True))
        if "timestamps" not in given:
            self.timestamps = self.timestamps and bool(learned.get("timestamps", True))

    def origin(self, option: str) -> Origin:
        """Where what clients are told of `mss`, `window_scale`, `sack` or `timestamps` comes from."""
        if option in self.config.model_fields_set:
            return "configured"
        if option == "window_scale":  # the server's own is never told: only whether it has one is learned
            return "default" if self.window_scale is not None else "learned"
        return "learned" if option in self.learned else "default"

    def recall(
        self,
        learned: dict[str, int | None],
        *,
        mss: int,
        window_scale: int | None,
        sack: bool,
        timestamps: bool,
    ) -> None:
        """Go on with what an earlier controller has learned and told. What the configuration gives stays."""
        self.learned = learned
        given = self.config.model_fields_set
        if "mss" not in given:
            self.mss = max(mss, SMALLEST_MSS)
        if "window_scale" not in given:
            self.window_scale = window_scale
        if "sack" not in given:
            self.sack = sack
        if "timestamps" not in given:
            self.timestamps = timestamps


# --- effects --------------------------------------------------------------------------------------


@dataclass(slots=True)
class PacketOut:
    """Send a frame through a switch.

    `release`, with `Mode.ARRIVE`: the number of the flow's packet that was punted last, as far as is known
    here. If the switch has punted another one since, it drops this packet. All packets of a release have the
    same number, and its last one `LAST`: behind that, the switch no longer holds the flow's packets back.
    """

    switch: str
    mode: Mode
    port: int
    frame: bytes
    release: int = 0


@dataclass(slots=True)
class Put:
    """Write a session's entry to these switches; each answers with `written(removed=False)` or `refused`."""

    switches: tuple[str, ...]
    key: Key
    entry: Entry
    new: bool  # True: likely an INSERT; False: likely a MODIFY


@dataclass(slots=True)
class Remove:
    """Delete a session's entry from these switches; each answers with `written(removed=True)`."""

    switches: tuple[str, ...]
    key: Key
    version: int


@dataclass(slots=True)
class CheckIdle:
    """Read the time since the last hit of these sessions on these switches; answer with `idle_checked`."""

    switches: tuple[str, ...]
    keys: list[Key]


@dataclass(slots=True)
class ServiceChanged:
    """What a service supports was learned: write its entry to every switch again."""

    service: Service


Effect: TypeAlias = PacketOut | Put | Remove | CheckIdle | ServiceChanged
Effects: TypeAlias = list[Effect]
