# SPDX-License-Identifier: Apache-2.0
"""P4Info ids of match fields, action parameters and metadata fields."""

from __future__ import annotations

from collections.abc import Iterable

from softswitch.p4.types import Annotation, find_annotation


def explicit_id(annotations: tuple[Annotation, ...]) -> int | None:
    """The number of an `@id`, None without."""
    given = find_annotation(annotations, "id")
    return int(given.values[0]) if given is not None and given.values else None


def field_ids(marks: Iterable[tuple[Annotation, ...]]) -> list[int]:
    """Ids by the fields' annotations: their @id, else counted from 1, past those given (as p4c counts)."""
    given = [explicit_id(m) for m in marks]
    taken = {g for g in given if g is not None}
    ids: list[int] = []
    number = 1
    for g in given:
        if g is not None:
            ids.append(g)
            number += 1
            continue
        while number in taken:
            number += 1
        taken.add(number)
        ids.append(number)
    return ids
