# SPDX-License-Identifier: Apache-2.0
"""Cookie keys and their rotation in two phases: install the next key everywhere, only then use it anywhere.

Two keys are live: the current epoch's and the one before. The next epoch's key takes the place of the
oldest (the slots are the epochs' parities), so a cookie lives one to two epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from controller.logic.model import MASK32


@dataclass(frozen=True, slots=True)
class CookieKey:
    """A 64-bit HalfSipHash key as two words. Its words are in no repr, so in no log."""

    k0: int = field(repr=False)
    k1: int = field(repr=False)
    epoch: int

    @property
    def parity(self) -> int:
        return self.epoch & 1


@dataclass(frozen=True, slots=True)
class KeySet:
    """What a switch holds: keys by parity, and the parity in use (None = no epoch set)."""

    keys: dict[int, CookieKey]
    parity: int | None

    @property
    def current(self) -> CookieKey | None:
        return None if self.parity is None else self.keys.get(self.parity)


@dataclass(slots=True)
class InstallKey:
    """Write this key to these switches; each answers with `confirmed`."""

    switches: tuple[str, ...]
    key: CookieKey


@dataclass(slots=True)
class UseEpoch:
    """Make this parity the current one on these switches; each answers with `confirmed`."""

    switches: tuple[str, ...]
    parity: int


@dataclass(slots=True)
class Expel:
    """These switches did not take a key for a whole epoch: out of service until they are synchronised."""

    switches: tuple[str, ...]


KeyEffect: TypeAlias = InstallKey | UseEpoch | Expel


class _Step(Enum):
    STEADY = auto()
    INSTALLING = auto()
    SWITCHING = auto()


class KeyRing:
    """The keys, their epochs, and the rotation under way.

    `epoch_time`: seconds. `new_key` gives two random 32-bit words. `generation` grows with every change of
    what switches must hold: one that was synchronised with an older generation is not up to date.
    """

    def __init__(self, epoch_time: float, new_key: Callable[[], tuple[int, int]]) -> None:
        self.epoch_time = epoch_time
        self._new_key = new_key
        self._keys: dict[int, CookieKey] = {}
        self._step = _Step.STEADY
        self._waiting: set[str] = set()
        self._step_began = 0.0
        self.epoch: int | None = None
        self.began = 0.0
        self.generation = 0

    @property
    def ready(self) -> bool:
        return self.epoch is not None

    @property
    def rotating(self) -> bool:
        """Whether some switch may not hold the next key yet, or not use it."""
        return self._step is not _Step.STEADY

    def begin(self, now: float, found: Iterable[KeySet]) -> None:
        """Take over the newest epoch that any switch uses, or start with a fresh key when none uses one.

        Raises:
            RuntimeError: called twice.
        """
        if self.ready:
            raise RuntimeError("the key ring has begun already")
        held = list(found)
        currents = [keys.current for keys in held if keys.current is not None]
        newest = max(currents, key=lambda key: key.epoch, default=None)
        if newest is None:
            newest = self._fresh(1)
        self._keys[newest.parity] = newest
        for keys in held:
            other = keys.keys.get(newest.parity ^ 1)
            # The neighbour epochs alone: the last one, or the next one that was installed but not yet used.
            if other is not None and (other.epoch - newest.epoch) & MASK32 in (1, MASK32):
                known = self._keys.get(other.parity)
                if known is None or other.epoch > known.epoch:
                    self._keys[other.parity] = other
        if newest.parity ^ 1 not in self._keys:
            # A key that no cookie was made with: every ACK is checked, whatever its parity bit says.
            self._keys[newest.parity ^ 1] = self._fresh((newest.epoch - 1) & MASK32)
        self.epoch, self.began = newest.epoch, now
        self.generation += 1

    def follow(self, now: float, keys: Iterable[CookieKey], epoch: int, age: float) -> None:
        """Take over the ring of another controller, which rotates it; `age` of its epoch in seconds."""
        self._keys = {key.parity: key for key in keys}
        self.epoch, self.began = epoch, now - age
        self._step = _Step.STEADY
        self._waiting.clear()
        self.generation += 1

    def held(self) -> KeySet:
        """What every switch must hold now."""
        parity = None if self.epoch is None else self.epoch & 1
        return KeySet(dict(self._keys), parity)

    def tick(self, now: float, live: Iterable[str], absent: bool) -> list[KeyEffect]:
        """Begin a rotation when it is due; `absent` = a switch that was in service is unreachable now.

        Such a switch, or one that does not confirm, holds rotation back for one epoch at most.
        """
        if self.epoch is None:
            return []
        switches = tuple(live)
        if self._step is not _Step.STEADY:
            if now - self._step_began < self.epoch_time:
                return []
            late = tuple(sorted(self._waiting))
            self._waiting.clear()
            return [Expel(late), *self._advance(now, tuple(s for s in switches if s not in late))]
        age = now - self.began
        if age < self.epoch_time or (absent and age < 2 * self.epoch_time) or not switches:
            return []
        key = self._fresh((self.epoch + 1) & MASK32)
        self._keys[key.parity] = key
        self.generation += 1
        self._wait_for(_Step.INSTALLING, switches, now)
        return [InstallKey(switches, key)]

    def confirmed(self, switch: str, now: float, live: Iterable[str]) -> list[KeyEffect]:
        """A switch has carried out the last `InstallKey` or `UseEpoch`, or is out of the live set."""
        if switch not in self._waiting:
            return []
        self._waiting.discard(switch)
        return [] if self._waiting else self._advance(now, tuple(live))

    def _advance(self, now: float, live: tuple[str, ...]) -> list[KeyEffect]:
        if self._step is _Step.SWITCHING or self.epoch is None:
            # Until now the slowest switch made cookies with the last key. They live an epoch from here on.
            self._step, self.began = _Step.STEADY, now
            return []
        self.epoch = (self.epoch + 1) & MASK32
        self.began = now
        self.generation += 1
        if not live:
            self._step = _Step.STEADY
            return []
        self._wait_for(_Step.SWITCHING, live, now)
        return [UseEpoch(live, self.epoch & 1)]

    def _wait_for(self, step: _Step, switches: tuple[str, ...], now: float) -> None:
        self._step, self._waiting, self._step_began = step, set(switches), now

    def _fresh(self, epoch: int) -> CookieKey:
        k0, k1 = self._new_key()
        return CookieKey(k0, k1, epoch)
