# SPDX-License-Identifier: Apache-2.0
"""Methods of headers, header stacks and packets (P4_16 sections 8.17 to 8.19, 12.8, 13.8)."""

from __future__ import annotations

from softswitch.p4 import ast
from softswitch.p4.arguments import ArgumentBinder
from softswitch.p4.convert import describe
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import Const, Expr, IsValid
from softswitch.p4.ir_stmt import Advance, Emit, Extract, Lookahead, SetValid, ShiftStack
from softswitch.p4.scopes import Val
from softswitch.p4.types import (
    BOOL,
    INF_INT,
    BitType,
    FieldsType,
    HeaderType,
    StackType,
    StructType,
    Type,
    UnionType,
    VarbitType,
    width_of,
)


class PacketTranslator(ArgumentBinder):
    """Calls on headers, stacks and packets."""

    def header_method(self, call: ast.CallExpr, member: ast.MemberExpr, base: Val) -> Val | None:
        """`isValid`, `setValid`, `setInvalid` of a header or union."""
        if call.args:
            raise Failure(call.loc, f"`{member.name}` takes no arguments")
        if member.name == "isValid":
            return Val(IsValid(BOOL, base.expr, loc=call.loc))
        if isinstance(base.type, UnionType):
            raise Failure(call.loc, f"a header union has no `{member.name}`: call it on a member")
        if not base.writable:
            raise Failure(call.loc, "this header is read-only here")
        self.out.append(SetValid(base.expr, member.name == "setValid", loc=call.loc))
        return None

    def shift_stack(self, call: ast.CallExpr, member: ast.MemberExpr, base: Val) -> None:
        """`push_front` and `pop_front` of a header stack."""
        if not base.writable:
            raise Failure(call.loc, "this header stack is read-only here")
        if len(call.args) != 1 or call.args[0].value is None:
            raise Failure(call.loc, f"`{member.name}` takes one argument")
        count = self.constant_int(call.args[0].value, f"the argument of {member.name}")
        if count < 0:
            raise Failure(call.args[0].loc, f"`{member.name}` cannot take {count}")
        assert isinstance(base.type, StackType)
        shift = min(count, base.type.size)
        self.out.append(ShiftStack(base.expr, member.name == "push_front", shift, loc=call.loc))

    def size_method(self, call: ast.CallExpr, name: str, t: Type) -> Val:
        """`minSizeInBits` and its like, of a type or value."""
        if call.args or name not in ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes"):
            raise Failure(call.loc, f"{t} has no method `{name}`")
        bits = size_in_bits(t, largest=name.startswith("max"))
        if bits is None:
            raise Failure(call.loc, f"{t} has no size")
        value = bits if name.endswith("Bits") else (bits + 7) // 8
        return Val(Const(INF_INT, value, loc=call.loc))

    # --- packets ---

    def packet_method(self, call: ast.CallExpr, name: str, kind: str) -> Val | None:
        """A method of the packet: `kind` is packet_in or packet_out."""
        methods = {
            ("packet_in", "extract"): self._extract,
            ("packet_in", "lookahead"): self._lookahead,
            ("packet_in", "advance"): self._advance,
            ("packet_out", "emit"): self._emit,
        }
        method = methods.get((kind, name))
        if method is None:
            raise Failure(call.loc, f"`{kind}.{name}` is not supported")
        return method(call)

    def _extract(self, call: ast.CallExpr) -> None:
        if not 1 <= len(call.args) <= 2:
            raise Failure(call.loc, "extract takes a header, and perhaps the size of its varbit field")
        first = call.args[0].value
        if first is None:
            if not call.types:
                raise Failure(call.loc, "extract(_) needs the header's type: extract<T>(_)")
            target = Val(self.temporary(self.resolve(call.types[0])[0], call.loc, name="skipped"))
        else:
            target = self.target(first)
        t = target.type
        if not isinstance(t, HeaderType):
            raise Failure(call.args[0].loc, f"extract needs a header, not {describe(target)}")
        varbits = sum(isinstance(f.type, VarbitType) for f in t.fields)
        if varbits > 1:
            raise Failure(call.loc, f"{t} has more than one varbit field: it cannot be extracted")
        if varbits != len(call.args) - 1:
            needs = (
                "has a varbit field: give its size" if varbits else "has no varbit field to give a size for"
            )
            raise Failure(call.loc, f"{t} {needs}")
        size: Expr | None = None
        if len(call.args) == 2:
            if call.args[1].value is None:
                raise Failure(call.args[1].loc, "`_` is no value")
            size = self.value(call.args[1].value, BitType(32))
        self.out.append(Extract(target.expr, size, loc=call.loc))

    def _lookahead(self, call: ast.CallExpr) -> Val:
        if len(call.types) != 1 or call.args:
            raise Failure(call.loc, "lookahead needs a type and no argument: lookahead<T>()")
        t, new_type = self.data_type(call.types[0])
        if width_of(t) is None or size_in_bits(t, largest=False) != size_in_bits(t, largest=True):
            raise Failure(call.loc, f"lookahead cannot read {t}: no fixed size")
        var = self.temporary(t, call.loc, name="ahead")
        self.out.append(Lookahead(var, loc=call.loc))
        return Val(var, new_type)

    def _advance(self, call: ast.CallExpr) -> None:
        if len(call.args) != 1 or call.args[0].value is None:
            raise Failure(call.loc, "advance takes one argument")
        self.out.append(Advance(self.value(call.args[0].value, BitType(32)), loc=call.loc))

    def _emit(self, call: ast.CallExpr) -> None:
        if len(call.args) != 1 or call.args[0].value is None:
            raise Failure(call.loc, "emit takes one argument")
        value = self.translate(call.args[0].value)
        if not self._emittable(value.type):
            raise Failure(
                call.loc, f"emit cannot take {describe(value)}: only headers and what is made of them"
            )
        self.out.append(Emit(value.expr, loc=call.loc))

    def _emittable(self, t: Type) -> bool:
        if isinstance(t, StructType):
            return all(self._emittable(f.type) for f in t.fields)
        return isinstance(t, HeaderType | UnionType | StackType)


def size_in_bits(t: Type, *, largest: bool) -> int | None:
    """minSizeInBits or maxSizeInBits of a type, None when it has none (P4_16 section 9)."""
    if isinstance(t, VarbitType):
        return t.width if largest else 0
    if isinstance(t, UnionType):
        sizes = [size_in_bits(f.type, largest=largest) or 0 for f in t.fields]
        return (max if largest else min)(sizes, default=0)
    if isinstance(t, StackType):
        inner = size_in_bits(t.element, largest=largest)
        return None if inner is None else inner * t.size
    if isinstance(t, FieldsType):
        total = 0
        for f in t.fields:
            size = size_in_bits(f.type, largest=largest)
            if size is None:
                return None
            total += size
        return total
    return width_of(t)
