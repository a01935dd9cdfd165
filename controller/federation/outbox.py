# SPDX-License-Identifier: Apache-2.0
"""Records that this member has published and the store has not acknowledged yet.

What waits for an acknowledgment, the entry at the ingress above all, is done when it comes: a session that a
client may use is kept. Records that were not acknowledged when a membership ended are published again in the
next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from controller.logic.model import Key

Then = Callable[[], None]


@dataclass(slots=True, eq=False)
class Publication:
    """One record on its way to the store. `then`: what is to be done when it is there."""

    key: Key
    version: int
    removed: bool
    then: list[Then] = field(default_factory=list)


class Outbox:
    """The latest unacknowledged publication of each key."""

    def __init__(self) -> None:
        self._open: dict[Key, Publication] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._open))

    def __contains__(self, key: Key) -> bool:
        return key in self._open

    def open(self, key: Key, version: int, removed: bool) -> Publication:
        """A record is published; it takes the place of an earlier one of the key, and of what waited for
        that.
        """
        before = self._open.get(key)
        publication = self._open[key] = Publication(key, version, removed)
        if before is not None and (before.version, before.removed) == (version, removed):
            publication.then = before.then
        return publication

    def stored(self, publication: Publication) -> list[Then]:
        """The store has it: what waited for that."""
        if self._open.get(publication.key) is publication:
            del self._open[publication.key]
            return publication.then
        return []

    def wait(self, key: Key, version: int, then: Then) -> bool:
        """Do `then` when the record is stored; False when it is not on its way, and can be done now."""
        publication = self._open.get(key)
        if publication is None or publication.removed or publication.version != version:
            return False
        publication.then.append(then)
        return True

    def removal(self, key: Key) -> int | None:
        """The version of a removal that is on its way."""
        publication = self._open.get(key)
        return publication.version if publication is not None and publication.removed else None
