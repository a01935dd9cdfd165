# SPDX-License-Identifier: Apache-2.0
"""What the code generator cannot translate: an error with its place, never a wrong translation."""

from __future__ import annotations

from softswitch.p4.ir_expr import Loc, Node


class Unsupported(Exception):  # noqa: N818 - becomes a P4Error with a source line in generate_c
    """A construct that has no translation. `loc` is where it stands."""

    def __init__(self, where: Node | Loc, message: str) -> None:
        super().__init__(message)
        self.loc = where.loc if isinstance(where, Node) else where
        self.message = message
