# SPDX-License-Identifier: Apache-2.0
"""How the code of one parser, control, function or action reaches its variables."""

from __future__ import annotations

from dataclasses import dataclass, field

from softswitch.codegen.layout import is_scalar
from softswitch.codegen.names import c_variable
from softswitch.p4.ir import Param
from softswitch.p4.ir_expr import Storage, Var
from softswitch.p4.ir_stmt import Direction


def by_reference(param: Param) -> bool:
    """Whether a parameter is passed as a pointer: out, inout, and `in` of more than one number."""
    return param.direction in (Direction.OUT, Direction.INOUT) or not is_scalar(param.type)


@dataclass(frozen=True)
class Scope:
    """`unit_prefix` stands before parameters and variables of the unit (`f->` in a control's frame, else
    nothing)."""

    unit_prefix: str
    references: frozenset[str] = frozenset()
    """Parameters of the unit that are pointers."""
    action_references: frozenset[str] = frozenset()
    """Parameters of the current action that are pointers."""
    in_parser: bool = False
    leave: str = "return;"
    """Leaves the C function when the packet's block is over (exit)."""
    fail: str = field(default="")
    """In a parser: what to do with an error; `{}` is its C constant."""

    def variable(self, var: Var) -> str:
        """The C l-value of a variable."""
        name = c_variable(var.name)
        if var.storage is Storage.LOCAL:
            return name
        if var.storage is Storage.ACTION_PARAM:
            return f"(*{name})" if var.name in self.action_references else name
        full = self.unit_prefix + name
        return f"(*{full})" if var.storage is Storage.PARAM and var.name in self.references else full
