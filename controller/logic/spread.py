# SPDX-License-Identifier: Apache-2.0
"""Which switches take part, which must have a session before its client's packets are released, and which
ones still lack it.

Sync modes of services: `all` waits for every live switch, `quorum` for a majority of them, `local` for the
ingress alone. What the others lack meanwhile is known here, so that packets that come out there are held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass

from controller.config_values import SyncMode
from controller.logic.model import Key
from controller.logic.sessions import newer

_NOBODY: frozenset[str] = frozenset()
_TELLING = 3.0  # seconds after it has joined for which a switch may say what it has said before


def enough(sync: SyncMode, live: Set[str], waiting: Set[str], ingress: str) -> bool:
    """Whether the ingress may get the session, and then its client's packets.

    `live`: the switches that count, the ingress among them; `waiting`: who has not confirmed yet. The ingress
    comes last, but counts: nothing is released without it.
    """
    missing = (waiting & live) - {ingress}
    if sync == "local":
        return True
    if sync == "quorum":
        return len(live) - len(missing) > len(live) // 2
    return not missing


@dataclass(slots=True)
class _Underway:
    version: int
    switches: set[str]


class Spread:
    """The switches that take part, and the writes that go on after a session's release, or after its end.

    `live`: barriers wait for them. `writable`: they get every write; some of them are still synchronised.
    `filling`: of those, the ones that lack sessions, and only answer SYNs.
    """

    def __init__(self) -> None:
        self.live: tuple[str, ...] = ()
        self.writable: tuple[str, ...] = ()
        self.filling: set[str] = set()
        self._since: dict[str, float] = {}
        self._joined: dict[str, float] = {}
        self._new: dict[Key, _Underway] = {}
        self._gone: dict[Key, _Underway] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._gone)

    def joined(self, switch: str, now: float, *, filling: bool = False) -> None:
        if switch not in self.writable:
            self.writable = (*self.writable, switch)
            self._joined[switch] = now
        if filling:
            self.filling.add(switch)

    def tells_again(self, switch: str, now: float) -> bool:
        """Whether what comes from the switch may be of the time before it joined."""
        return now - self.joined_at(switch) < _TELLING

    def joined_at(self, switch: str) -> float:
        return self._joined.get(switch, float("-inf"))

    def filled(self, switch: str, now: float) -> None:
        self.filling.discard(switch)
        self._since[switch] = now

    def traffic(self, elapsed: Mapping[str, float], now: float) -> dict[str, float]:
        """Of the seconds since an entry's last packet, by switch, those that tell of one: an entry that was
        written a moment ago has seen none, though its time counts from there."""
        since = self._since
        return {name: age for name, age in elapsed.items() if age < now - since.get(name, float("-inf"))}

    def went_live(self, switch: str) -> None:
        if switch not in self.live:
            self.live = (*self.live, switch)

    def released(self, key: Key, version: int, lacking: Iterable[str]) -> None:
        """A session, of this version or a later one, is on its way to these switches."""
        switches = set(lacking)
        if switches:
            self._new[key] = _Underway(version, switches)

    def removed(self, key: Key, version: int, switches: Collection[str]) -> None:
        """The removal of a session, which had this version, is on its way to these switches."""
        self._new.pop(key, None)
        if switches:
            self._gone[key] = _Underway(version, set(switches))

    def lacks(self, key: Key, switch: str) -> bool:
        """Whether a released session is still on its way to this switch."""
        underway = self._new.get(key)
        return underway is not None and switch in underway.switches

    def behind(self, switch: str) -> list[Key]:
        """Released sessions that are still on their way to this switch."""
        return [key for key, underway in self._new.items() if switch in underway.switches]

    def leaving(self, key: Key) -> tuple[int, Set[str]]:
        """Who may still hold the tuple's last session, which was removed; and the version that it had."""
        underway = self._gone.get(key)
        return (0, _NOBODY) if underway is None else (underway.version, underway.switches)

    def confirmed(self, switch: str, key: Key, version: int, removed: bool) -> bool:
        """A switch has carried out a write; True when it has a session now that it lacked."""
        table = self._gone if removed else self._new
        underway = table.get(key)
        if underway is None or switch not in underway.switches or newer(underway.version, version):
            return False
        underway.switches.discard(switch)
        if not underway.switches:
            del table[key]
        return not removed

    def lost(self, switch: str) -> None:
        """The switch takes no part any more; it comes back with everything, verified."""
        self.live = tuple(name for name in self.live if name != switch)
        self.writable = tuple(name for name in self.writable if name != switch)
        self.filling.discard(switch)
        for table in (self._new, self._gone):
            for key in [key for key, underway in table.items() if switch in underway.switches]:
                underway = table[key]
                underway.switches.discard(switch)
                if not underway.switches:
                    del table[key]
