# SPDX-License-Identifier: Apache-2.0
"""Parsers: one C function each, states as labels. The result is 0, an error, or SS_REJECT."""

from __future__ import annotations

from softswitch.codegen.context import Context
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.layout import is_signed, is_wide, scalar_width
from softswitch.codegen.names import c_comment, c_variable, number
from softswitch.codegen.packing import Piece, declare_key
from softswitch.codegen.scope import Scope, by_reference
from softswitch.codegen.statements import Statements
from softswitch.codegen.writer import Writer
from softswitch.p4 import ir
from softswitch.p4 import ir_expr as e
from softswitch.p4.ir_stmt import Direction
from softswitch.p4.types import BoolType, Type


def params_text(context: Context, params: tuple[ir.Param, ...]) -> str:
    """C parameters, each with `, ` before it."""
    texts = []
    for p in params:
        star = "*" if by_reference(p) else ""
        texts.append(f", {context.layout.ctype(p.type, p.loc)} {star}{c_variable(p.name)}")
    return "".join(texts)


def reset_outs(context: Context, params: tuple[ir.Param, ...], out: Writer, prefix: str = "") -> None:
    """The callee zeroes its out parameters."""
    for p in params:
        if p.direction is Direction.OUT:
            name = prefix + c_variable(p.name)
            out.line(f"memset({name}, 0, sizeof *{name});")


def references(params: tuple[ir.Param, ...]) -> frozenset[str]:
    """Names of the parameters that are pointers."""
    return frozenset(p.name for p in params if by_reference(p))


def emit_parser(context: Context, parser: ir.Parser, out: Writer) -> None:
    """The function of one parser instance."""
    body = Writer()
    scope = Scope("", references(parser.params), in_parser=True, fail="return {};", leave="return 0;")
    to = Statements(context, scope, body)
    loops = _has_loop(parser)
    out.at(None)
    out.line(c_comment(f"Parser {parser.cp_name or parser.name}."))
    out.line(f"static uint16_t parser_{parser.name}(ss_exec *x{params_text(context, parser.params)}) {{")
    reset_outs(context, parser.params, out)
    for v in parser.variables:
        to.statement(v)
    if loops:
        body.at(None)
        body.line("uint32_t ss_steps = 0, ss_seen = x->cursor;")
    to.block(parser.setup)
    body.line("goto state_start;")
    for state in parser.states:
        body.at(state.loc)
        body.line(f"state_{state.name}:;")
        body.line("{")
        if loops:
            body.line(f"if (ss_stuck(x, &ss_seen, &ss_steps)) {to.fail('ParserTimeout')}")
        to.block(state.body)
        _transition(to, state)
        body.line("}")
    out.extend(body)
    out.at(None)
    out.line("}")
    out.line()


def _has_loop(parser: ir.Parser) -> bool:
    targets = {state.name: _targets(state.transition) for state in parser.states}
    done: set[str] = set()
    return any(_reaches_itself(name, targets, done) for name in targets)


def _targets(transition: ir.Select | ir.Goto) -> list[str]:
    return (
        [transition.target] if isinstance(transition, ir.Goto) else [case.target for case in transition.cases]
    )


def _reaches_itself(start: str, targets: dict[str, list[str]], done: set[str]) -> bool:
    seen: set[str] = set()
    waiting = list(targets[start])
    while waiting:
        name = waiting.pop()
        if name == start:
            return True
        if name not in seen and name not in done:
            seen.add(name)
            waiting += targets.get(name, [])
    done.add(start)
    return False


def _go(target: str) -> str:
    return {"accept": "return 0;", "reject": "return SS_REJECT;"}.get(target, f"goto state_{target};")


def _transition(to: Statements, state: ir.State) -> None:
    transition = state.transition
    to.out.at(transition.loc)
    if isinstance(transition, ir.Goto):
        to.out.line(_go(transition.target))
        return
    to.check_stacks(transition)
    names: list[tuple[str, Type]] = []
    for value in transition.values:
        names.append((to.temporary(), value.type))
        ctype = to.context.layout.ctype(value.type, transition.loc)
        to.out.line(f"const {ctype} {names[-1][0]} = {to.value(value)};")
    for case in transition.cases:
        to.out.at(case.loc)
        if case.keys and isinstance(case.keys[0], e.KeyValueSet):
            to.out.line(f"if ({_in_value_set(to, case.keys[0], names)}) {_go(case.target)}")
            continue
        tests = [t for key, name in zip(case.keys, names, strict=True) if (t := _test(to, key, *name, case))]
        to.out.line(f"if ({' && '.join(tests)}) {_go(case.target)}" if tests else _go(case.target))
        if not tests:
            return
    # P4_16 asks for error.NoMatch; p4c for BMv2 ends the parser as a plain reject does, without an error.
    to.out.line("return SS_REJECT;")


def _test(to: Statements, key: e.KeySet, name: str, t: Type, where: ir.SelectCase) -> str:
    """C test of a select value; "" when it always matches."""
    width = scalar_width(t)
    if isinstance(key, e.KeyAny):
        return ""
    if isinstance(key, e.KeyValue):
        return to.equal(name, key.value)
    if isinstance(key, e.KeyMask):
        return _masked(to, name, key, t)
    if isinstance(key, e.KeyRange):
        if is_wide(t) or is_signed(t):
            raise Unsupported(where, f"a range of {t} is not supported")
        return f"{name} >= {number(key.low, width)} && {name} <= {number(key.high, width)}"
    raise Unsupported(where, "a value set beside other key sets is not supported")


def _masked(to: Statements, name: str, key: e.KeyMask, t: Type) -> str:
    width = scalar_width(t)
    if not is_wide(t):
        return f"({name} & {number(key.mask, width)}) == {number(key.value & key.mask, width)}"
    wide = to.context.wide
    masked = f"{wide.binary('and', width)}({name}, {wide.constant(key.mask, width)})"
    return f"{wide.compare(width, False)}({masked}, {wide.constant(key.value & key.mask, width)}) == 0"


def _in_value_set(to: Statements, key: e.KeyValueSet, names: list[tuple[str, Type]]) -> str:
    """A C variable that says whether the selected values are in a value set, a table to the runtime."""
    found = [Piece(name, scalar_width(t), "", False, isinstance(t, BoolType)) for name, t in names]
    result = to.temporary()
    to.out.line(f"bool {result};")
    to.out.line("{")
    declare_key(to.out, found)
    to.out.line(f"{result} = ss_apply_ternary(x, {to.context.table_index[key.value_set]}, key)->hit;")
    to.out.line("}")
    return result
