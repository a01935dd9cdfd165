# SPDX-License-Identifier: Apache-2.0
"""Expressions and statements of the IR as text, for tests and debugging. Not P4, but close to it."""

from __future__ import annotations

from collections.abc import Iterable

from softswitch.p4 import ir_expr as e
from softswitch.p4 import ir_stmt as s


def expr_text(x: e.Expr) -> str:
    """An expression; constants carry their type, binary operators are in parentheses."""
    if isinstance(x, e.Const):
        return f"{x.type}({x.value})"
    if isinstance(x, e.BoolConst):
        return "true" if x.value else "false"
    if isinstance(x, e.StringConst):
        return f'"{x.value}"'
    if isinstance(x, e.EnumConst | e.ErrorConst):
        return f"{x.type}.{x.member}"
    if isinstance(x, e.Var):
        return x.name
    if isinstance(x, e.InvalidHeader):
        return f"invalid {x.type}"
    if isinstance(x, e.FieldsExpr | e.TupleExpr):
        return f"{x.type}{{{', '.join(map(expr_text, x.values))}}}"
    return _access_text(x) or _operator_text(x)


def _access_text(x: e.Expr) -> str:
    if isinstance(x, e.FieldRef):
        return f"{expr_text(x.base)}.{x.name}"
    if isinstance(x, e.Index):
        return f"{expr_text(x.base)}[{expr_text(x.index)}]"
    if isinstance(x, e.StackNext):
        return f"{expr_text(x.base)}.next"
    if isinstance(x, e.StackLast):
        return f"{expr_text(x.base)}.last"
    if isinstance(x, e.StackLastIndex):
        return f"{expr_text(x.base)}.lastIndex"
    if isinstance(x, e.Slice):
        return f"{expr_text(x.base)}[{x.high}:{x.low}]"
    if isinstance(x, e.IsValid):
        return f"{expr_text(x.header)}.isValid()"
    return ""


def _operator_text(x: e.Expr) -> str:
    if isinstance(x, e.Cast):
        return f"({x.type})({expr_text(x.operand)})"
    if isinstance(x, e.Concat):
        return f"({expr_text(x.left)} ++ {expr_text(x.right)})"
    if isinstance(x, e.Unary):
        return f"{x.op.value}{expr_text(x.operand)}"
    if isinstance(x, e.Binary):
        return f"({expr_text(x.left)} {x.op.value} {expr_text(x.right)})"
    if isinstance(x, e.Mux):
        return f"({expr_text(x.condition)} ? {expr_text(x.then)} : {expr_text(x.otherwise)})"
    raise TypeError(f"no text for {type(x).__name__}")


def key_text(key: e.KeySet) -> str:
    """A key set."""
    if isinstance(key, e.KeyValue):
        return expr_text(key.value)
    if isinstance(key, e.KeyMask):
        return f"0x{key.value:x} &&& 0x{key.mask:x}"
    if isinstance(key, e.KeyRange):
        return f"{key.low} .. {key.high}"
    return "_" if isinstance(key, e.KeyAny) else key.value_set


def keys_text(keys: Iterable[e.KeySet]) -> str:
    """Key sets of one case or entry."""
    return f"({', '.join(map(key_text, keys))})"


def args_text(args: Iterable[s.Arg]) -> str:
    """Arguments in parentheses, with their directions."""
    parts = (f"{a.direction.value} {expr_text(a.value)}".strip() for a in args)
    return f"({', '.join(parts)})"


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level deeper."""
    return [f"  {line}" for line in lines]


def block_lines(statements: Iterable[s.Stmt]) -> list[str]:
    """Statements, a line each, nested ones indented."""
    return [line for statement in statements for line in stmt_lines(statement)]


def stmt_lines(x: s.Stmt) -> list[str]:
    """The lines of one statement."""
    if isinstance(x, s.Block):
        return ["{", *indented(block_lines(x.body)), "}"]
    if isinstance(x, s.If):
        return _if_lines(x)
    if isinstance(x, s.Switch):
        lines = [f"switch {expr_text(x.value)} {{"]
        for case in x.cases:
            labels = ", ".join(map(expr_text, case.values))
            lines += [f"case {labels}:", *indented(block_lines(case.body.body))]
        return [*lines, *_default_lines(x.default), "}"]
    if isinstance(x, s.ApplyTable):
        return _apply_lines(x)
    if isinstance(x, s.Loop):
        return _loop_lines(x)
    after = block_lines(x.after) if isinstance(x, s.CallAction | s.CallControl) else []
    return [_simple_text(x), *after]


def _loop_lines(x: s.Loop) -> list[str]:
    inner = [*block_lines(x.setup), f"while {expr_text(x.condition)}", *block_lines(x.body.body)]
    return ["loop {", *indented(inner), "update:", *indented(block_lines(x.update)), "}"]


def _if_lines(x: s.If) -> list[str]:
    lines = [f"if {expr_text(x.condition)} {{", *indented(block_lines(x.then.body))]
    if x.otherwise is not None:
        lines += ["} else {", *indented(block_lines(x.otherwise.body))]
    return [*lines, "}"]


def _apply_lines(x: s.ApplyTable) -> list[str]:
    call = f"apply {x.table}" + (f" -> {expr_text(x.hit)}" if x.hit is not None else "")
    if not x.cases and x.default is None:
        return [call]
    lines = [f"{call} {{"]
    for case in x.cases:
        lines += [f"case {', '.join(case.actions)}:", *indented(block_lines(case.body.body))]
    return [*lines, *_default_lines(x.default), "}"]


def _default_lines(body: s.Block | None) -> list[str]:
    return [] if body is None else ["default:", *indented(block_lines(body.body))]


def _call(name: str, args: Iterable[s.Arg], result: e.Expr | None) -> str:
    target = "" if result is None else f"{expr_text(result)} = "
    return f"{target}{name}{args_text(args)}"


def _simple_text(x: s.Stmt) -> str:
    if isinstance(x, s.VarDecl):
        return f"var {x.type} {x.name}" + ("" if x.init is None else f" = {expr_text(x.init)}")
    if isinstance(x, s.Assign):
        return f"{expr_text(x.target)} = {expr_text(x.value)}"
    if isinstance(x, s.CallFunction):
        return _call(x.function, x.args, x.result)
    if isinstance(x, s.CallAction):
        return _call(f"action {x.action}", x.args, None)
    if isinstance(x, s.CallControl):
        return _call(f"control {x.control}", x.args, None)
    if isinstance(x, s.CallParser):
        return _call(f"parser {x.parser}", x.args, None)
    if isinstance(x, s.CallExtern):
        return _call(f"extern {x.function}", x.args, x.result)
    if isinstance(x, s.CallMethod):
        return _call(f"{x.instance}.{x.method}", x.args, x.result)
    if isinstance(x, s.SendDigest):
        return f"digest {x.digest}({expr_text(x.value)})"
    if isinstance(x, s.Return):
        return "return" if x.value is None else f"return {expr_text(x.value)}"
    if isinstance(x, s.Exit | s.Break | s.Continue):
        return type(x).__name__.lower()
    if isinstance(x, s.SetValid):
        return f"{expr_text(x.header)}.{'setValid' if x.valid else 'setInvalid'}()"
    if isinstance(x, s.ShiftStack):
        return f"{expr_text(x.stack)}.{'push_front' if x.push else 'pop_front'}({x.count})"
    return _packet_text(x)


def _packet_text(x: s.Stmt) -> str:
    if isinstance(x, s.Extract):
        size = "" if x.varbit_bits is None else f", {expr_text(x.varbit_bits)}"
        return f"extract({expr_text(x.header)}{size})"
    if isinstance(x, s.Advance):
        return f"advance({expr_text(x.bits)})"
    if isinstance(x, s.Lookahead):
        return f"{expr_text(x.target)} = lookahead()"
    if isinstance(x, s.Verify):
        return f"verify({expr_text(x.condition)}, {expr_text(x.error)})"
    if isinstance(x, s.Emit):
        return f"emit({expr_text(x.value)})"
    raise TypeError(f"no text for {type(x).__name__}")
