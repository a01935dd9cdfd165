# SPDX-License-Identifier: Apache-2.0
"""Control-plane names of table keys without @name, spelled as p4c spells them."""

from __future__ import annotations

from collections.abc import Callable

from softswitch.p4 import ast


def key_name(expression: ast.Expression, field_name: Callable[[ast.MemberExpr], str]) -> str | None:
    """`hdr.ipv4.dst`, `hdr.ipv4.$valid$`, `hdr.x[7:0]`, `h[0].a`, `a & 0xF`; None: too complex, needs @name.

    `field_name` gives a member's own name; one that begins with a dot replaces the whole path.
    """
    if isinstance(expression, ast.NameExpr):
        return ("." if expression.absolute else "") + expression.name
    if isinstance(expression, ast.IntLiteral):
        return _number(expression)
    if isinstance(expression, ast.MemberExpr):
        name = field_name(expression)
        if name.startswith("."):
            return name[1:]
        return _joined(field_name, expression.base, lambda base: f"{base}.{name}")
    if isinstance(expression, ast.IndexExpr):
        return _joined(field_name, expression.base, expression.index, lambda a, b: f"{a}[{b}]")
    if isinstance(expression, ast.SliceExpr):
        parts = (expression.base, expression.high, expression.low)
        return _joined(field_name, *parts, lambda a, b, c: f"{a}[{b}:{c}]")
    if isinstance(expression, ast.BinaryExpr) and expression.op == "&":
        return _joined(field_name, expression.left, expression.right, lambda a, b: f"{a} & {b}")
    if isinstance(expression, ast.CallExpr) and isinstance(expression.function, ast.MemberExpr):
        member = expression.function
        if member.name == "isValid" and not expression.args:
            return _joined(field_name, member.base, lambda base: f"{base}.$valid$")
    return None


def _joined(
    field_name: Callable[[ast.MemberExpr], str], *parts: ast.Expression | Callable[..., str]
) -> str | None:
    names = [key_name(p, field_name) for p in parts if isinstance(p, ast.Expression)]
    form = parts[-1]
    if any(n is None for n in names) or isinstance(form, ast.Expression):
        return None
    return form(*names)


def _number(literal: ast.IntLiteral) -> str:
    digits = literal.text.split("w")[-1].split("s")[-1].lower()
    if digits.startswith("0x"):
        return f"0x{literal.value:X}"
    if digits.startswith("0b"):
        return f"0b{literal.value:b}"
    if digits.startswith("0o"):
        return f"0o{literal.value:o}"
    return str(literal.value)
