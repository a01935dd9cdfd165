# SPDX-License-Identifier: Apache-2.0
"""A client's opaque data on table entries, kept in the 64 bits that the data plane stores per entry.

Short values live in those bits themselves, so they cost nothing and go when the entry goes: a
`controller_metadata` below 2^62, or `metadata` of up to 7 bytes. Anything else is kept here beside the data
plane, under the entry's key.
"""

from __future__ import annotations

from finsy.proto import p4r

_INLINE = 1 << 62  # then: length in bits 56..58, the bytes below
_ELSEWHERE = 3 << 62
_MAX_INLINE = 7

EntryKey = tuple[int, bytes, bytes | None, int, bool]  # table id, key, mask, priority, is default entry


class EntryMetadata:
    """The metadata of all entries of one running program."""

    def __init__(self) -> None:
        self._long: dict[EntryKey, tuple[bytes, int]] = {}

    @staticmethod
    def pack(entry: p4r.TableEntry) -> int:
        """The 64 bits for the data plane."""
        number = entry.controller_metadata
        data = entry.metadata
        if not data and number < _INLINE:
            return number
        if not number and len(data) <= _MAX_INLINE:
            return _INLINE | len(data) << 56 | int.from_bytes(data, "big")
        return _ELSEWHERE

    def wrote(self, where: EntryKey, packed: int, entry: p4r.TableEntry) -> None:
        """An entry was inserted or modified with `packed`."""
        if packed == _ELSEWHERE:
            self._long[where] = (entry.metadata, entry.controller_metadata)
        elif self._long:
            self._long.pop(where, None)

    def removed(self, where: EntryKey) -> None:
        """An entry was deleted."""
        if self._long:
            self._long.pop(where, None)

    def unpack(self, packed: int, where: EntryKey, entry: p4r.TableEntry) -> None:
        """Give an entry that is read back its metadata."""
        if packed < _INLINE:
            if packed:
                entry.controller_metadata = packed
        elif packed == _ELSEWHERE:
            entry.metadata, entry.controller_metadata = self._long.get(where, (b"", 0))
        else:
            entry.metadata = (packed & (1 << 56) - 1).to_bytes(packed >> 56 & 7, "big")
