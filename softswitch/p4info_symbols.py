# SPDX-License-Identifier: Apache-2.0
"""P4Info ids and aliases, equal to those that p4c assigns."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Prefix(IntEnum):
    """First byte of an id, by kind of object (P4Runtime specification, section 6.3)."""

    ACTION = 0x01
    TABLE = 0x02
    VALUE_SET = 0x03
    CONTROLLER_HEADER = 0x04
    ACTION_PROFILE = 0x11
    COUNTER = 0x12
    DIRECT_COUNTER = 0x13
    METER = 0x14
    DIRECT_METER = 0x15
    REGISTER = 0x16
    DIGEST = 0x17


def jenkins_one_at_a_time(name: str) -> int:
    """Bob Jenkins' one-at-a-time hash of the UTF-8 name, 32 bits."""
    value = 0
    for byte in name.encode():
        value = (value + byte) & 0xFFFFFFFF
        value = (value + (value << 10)) & 0xFFFFFFFF
        value ^= value >> 6
    value = (value + (value << 3)) & 0xFFFFFFFF
    value ^= value >> 11
    return (value + (value << 15)) & 0xFFFFFFFF


def assign_ids(names: Mapping[Prefix, Mapping[str, int | None]]) -> dict[Prefix, dict[str, int]]:
    """Ids by kind and name. `names` gives each object's `@id` (with or without prefix byte) or None.

    Given ids are reserved first; the others are hashes of their names, one further on collision, kinds in
    ascending order and names sorted. ValueError when an `@id` is taken twice or has another kind's prefix.
    """
    result: dict[Prefix, dict[str, int]] = {kind: {} for kind in names}
    taken: set[int] = set()
    for kind, objects in names.items():
        for name, given in objects.items():
            if given is None:
                continue
            if given >> 24 not in (0, kind):
                raise ValueError(f"@id of {name} has the prefix 0x{given >> 24:02x}, it must be 0x{kind:02x}")
            number = given | kind << 24
            if number in taken:
                raise ValueError(f"@id of {name} is taken by another object")
            taken.add(number)
            result[kind][name] = number
    for kind in sorted(names):
        for name in sorted(n for n, given in names[kind].items() if given is None):
            hashed = jenkins_one_at_a_time(name)
            while (number := kind << 24 | hashed & 0xFFFFFF) in taken:
                hashed += 1
            taken.add(number)
            result[kind][name] = number
    return result


class Aliases:
    """The shortest dotted suffix of each name that no other name has."""

    def __init__(self, names: set[str]) -> None:
        self._count: dict[str, int] = {}
        for name in names:
            for suffix in self._suffixes(name):
                self._count[suffix] = self._count.get(suffix, 0) + 1

    @staticmethod
    def _suffixes(name: str) -> list[str]:
        parts = name.split(".")
        return [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]

    def of(self, name: str) -> str:
        """Alias of one of the names."""
        return next((s for s in self._suffixes(name) if self._count[s] < 2), name)
