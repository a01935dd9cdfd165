# SPDX-License-Identifier: Apache-2.0
"""Annotations whose values go into P4Info: they must be of the right kind, and fit."""

from __future__ import annotations

import re

from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import Loc
from softswitch.p4.types import Annotation

_MOST_32 = 0x7FFFFFFF  # of P4Info's int32
_MOST = {"id": 0xFFFFFFFF, "max_group_size": _MOST_32, "max_member_weight": _MOST_32}
_SDN_TYPE = re.compile(r"string|bit\s*<\s*(\d{1,9})\s*>")


def check_annotation(annotation: Annotation, loc: Loc) -> None:
    """Failure if an annotation that P4Info carries has a value that it cannot carry."""
    for value in (*annotation.values, *(value for _, value in annotation.pairs)):
        if annotation.structured and isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise Failure(loc, f"@{annotation.name}: {value} does not fit in 64 bits")
    if annotation.name in _MOST and annotation.values:
        _check_number(f"@{annotation.name}", annotation.values[0], loc, _MOST[annotation.name])
    if annotation.name == "platform_property":
        for key, value in annotation.pairs:
            _check_number(f"@platform_property: {key}", value, loc, _MOST_32)
    if annotation.name == "p4runtime_translation":
        _check_translation(annotation, loc)


def _check_number(what: str, value: int | str | bool, loc: Loc, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Failure(loc, f"{what} wants a number from 0 to {most}, not {value!r:.40}")


def _check_translation(annotation: Annotation, loc: Loc) -> None:
    """A URI, and how the control plane writes the type: a number of bits, `bit<W>` or `string`."""
    uri, *others = annotation.values or (None,)
    sdn = others[0] if others else None
    by_name = _SDN_TYPE.fullmatch(annotation.text.rsplit(",", 1)[-1].strip()) is not None
    by_width = isinstance(sdn, int) and not isinstance(sdn, bool) and 0 < sdn <= _MOST_32
    if not isinstance(uri, str) or len(others) > 1 or not (by_name or by_width or sdn == "string"):
        raise Failure(loc, "@p4runtime_translation wants a string, and a number of bits, bit<W> or string")
