# SPDX-License-Identifier: Apache-2.0
"""Annotations and documentation as P4Info carries them."""

from __future__ import annotations

from typing import Any

from softswitch.p4.types import Annotation, find_annotation


def annotation_text(annotation: Annotation) -> str:
    """An annotation as p4c prints it: tokens with a space between."""
    return f"@{annotation.name}({annotation.text})" if annotation.text else f"@{annotation.name}"


def annotate(message: Any, annotations: tuple[Annotation, ...], skip: tuple[str, ...] = ()) -> None:
    """Adds the annotations that P4Info keeps: not @name, @id, documentation or those in `skip`."""
    for a in annotations:
        if a.structured:
            made = message.structured_annotations.add()
            made.name = a.name
            for key, value in a.pairs:
                pair = made.kv_pair_list.kv_pairs.add()
                pair.key = key
                _literal(pair.value, value)
            for value in a.values:
                _literal(made.expression_list.expressions.add(), value)
        elif a.name not in ("name", "id", "brief", "description", *skip):
            message.annotations.append(annotation_text(a))


def _literal(message: Any, value: int | str | bool) -> None:
    if isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int):
        message.int64_value = value
    else:
        message.string_value = value


def document(message: Any, annotations: tuple[Annotation, ...]) -> None:
    """Adds `@brief` and `@description`."""
    for name in ("brief", "description"):
        found = find_annotation(annotations, name)
        if found is not None and found.values:
            setattr(message.doc, name, str(found.values[0]))
