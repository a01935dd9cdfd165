# SPDX-License-Identifier: Apache-2.0
"""Annotations whose values go into P4Info: they must be of the right kind, and fit."""

from __future__ import annotations

import re

from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import Loc
from softswitch.p4.types import Annotation

_MOST = {"id": 0xFFFFFFFF, "max_group_size": 0x7FFFFFFF, "max_member_weight": 0x7FFFFFFF}
_MOST_BITS = 0x7FFFFFFF
_SDN_TYPE = re.compile(r"string|bit\s*<\s*(\d{1,9})\s*>")


def check_annotation(annotation: Annotation, loc: Loc) -> None:
    """Failure if an annotation that P4Info carries has a value that it cannot carry."""
    for value in (*annotation.values, *(value for _, value in annotation.pairs)):
        if annotation.structured and isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise Failure(loc, f"@{annotation.name}: {value} does not fit in 64 bits")
    if annotation.name in _MOST and annotation.values:
        _check_number(annotation, loc, _MOST[annotation.name])
    if annotation.name == "p4runtime_translation":
        _check_translation(annotation, loc)


def _check_number(annotation: Annotation, loc: Loc, most: int) -> None:
    value = annotation.values[0]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Failure(loc, f"@{annotation.name} wants a number from 0 to {most}, not {value!r:.40}")


def _check_translation(annotation: Annotation, loc: Loc) -> None:
    """A URI, and how the control plane writes the type: a number of bits, `bit<W>` or `string`."""
    uri, *others = annotation.values or (None,)
    sdn = others[0] if others else None
    by_name = _SDN_TYPE.fullmatch(annotation.text.rsplit(",", 1)[-1].strip()) is not None
    by_width = isinstance(sdn, int) and not isinstance(sdn, bool) and 0 < sdn <= _MOST_BITS
    if not isinstance(uri, str) or len(others) > 1 or not (by_name or by_width or sdn == "string"):
        raise Failure(loc, "@p4runtime_translation wants a string, and a number of bits, bit<W> or string")
