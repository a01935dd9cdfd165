# SPDX-License-Identifier: Apache-2.0
"""Controls, actions, tables and functions as C functions.

A control's parameters and variables lie in a struct, its frame, which its actions and tables see through `f`.
"""

from __future__ import annotations

from softswitch.codegen.context import Context
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.externs import hash_call
from softswitch.codegen.layout import is_scalar, is_wide, limbs, num_bytes, scalar_width
from softswitch.codegen.names import c_comment, c_variable
from softswitch.codegen.packing import Piece, declare_key, pack, valid_guard
from softswitch.codegen.parsers import params_text, references, reset_outs
from softswitch.codegen.scope import Scope, by_reference
from softswitch.codegen.statements import Statements
from softswitch.codegen.tables import param_layout, table_kind
from softswitch.codegen.writer import Writer
from softswitch.p4 import ir
from softswitch.p4.ir_expr import TupleExpr
from softswitch.p4.types import BoolType, TupleType


def emit_function(context: Context, function: ir.Function, out: Writer) -> None:
    """A P4 function."""
    scope = Scope("", references(function.params))
    result = "void" if str(function.result) == "void" else context.layout.ctype(function.result, function.loc)
    out.at(None)
    out.line(
        f"static {result} function_{function.name}(ss_exec *x{params_text(context, function.params)}) {{"
    )
    out.line("(void)x;")
    reset_outs(context, function.params, out)
    Statements(context, scope, out).block(function.body.body)
    out.at(None)
    out.line("}")
    out.line()


def emit_action(context: Context, action: ir.Action, control: ir.Control | None, out: Writer) -> None:
    """An action: of a control, or a top-level one (control None)."""
    params = (*action.params, *action.cp_params)
    scope = Scope(
        "f->",
        references(control.params) if control else frozenset(),
        frozenset(p.name for p in params if by_reference(p)),
    )
    frame = f", struct ss_frame_{control.name} *f" if control else ""
    out.at(None)
    out.line(c_comment(f"Action {action.cp_name or action.name}."))
    out.line(f"static void action_{action.name}(ss_exec *x{frame}{params_text(context, params)}) {{")
    out.line("(void)x;")
    if control:
        out.line("(void)f;")
    reset_outs(context, params, out)
    Statements(context, scope, out).block(action.body.body)
    out.at(None)
    out.line("}")
    out.line()


def emit_control(context: Context, control: ir.Control, out: Writer) -> None:
    """Frame, actions, tables and body of one control instance."""
    _frame(context, control, out)
    for action in control.actions:
        emit_action(context, action, control, out)
    for table in control.tables:
        if table.name in context.tables:
            emit_table(context, table, control, out)
    out.at(None)
    out.line(c_comment(f"Control {control.cp_name or control.name}."))
    out.line(f"static void control_{control.name}(ss_exec *x{params_text(context, control.params)}) {{")
    out.line(f"struct ss_frame_{control.name} ss_frame, *const f = &ss_frame;")
    out.line("(void)x;")
    out.line("(void)f;")
    for p in control.params:
        out.line(f"f->{c_variable(p.name)} = {c_variable(p.name)};")
    reset_outs(context, control.params, out)
    to = Statements(context, Scope("f->", references(control.params)), out)
    for v in control.variables:
        zero = f"f->{c_variable(v.name)} = 0;" if is_scalar(v.type) and not is_wide(v.type) else ""
        out.line(zero or f"memset(&f->{c_variable(v.name)}, 0, sizeof f->{c_variable(v.name)});")
        if v.init is not None:
            raise Unsupported(v, "an initialiser here is not supported")
    to.block(control.setup)
    to.block(control.body.body)
    out.at(None)
    out.line("}")
    out.line()


def _frame(context: Context, control: ir.Control, out: Writer) -> None:
    members = []
    for p in control.params:
        members.append(
            f"{context.layout.ctype(p.type, p.loc)} {'*' if by_reference(p) else ''}{c_variable(p.name)};"
        )
    for v in control.variables:
        members.append(f"{context.layout.ctype(v.type, v.loc)} {c_variable(v.name)};")
    out.at(None)
    out.line(f"struct ss_frame_{control.name} {{")
    for member in members or ["char ss_empty;"]:
        out.line(member)
    out.line("};")
    out.line()


# --- tables: key building and action dispatch ------------------------------------------------------------


def emit_table(context: Context, table: ir.Table, control: ir.Control, out: Writer) -> None:
    """`table_T(x, f)`: looks up, runs the action, returns the row."""
    place = context.table_index[table.name]
    leave = f"return ss_apply_keyless(x, {place});"  # an exit while the keys are computed
    to = Statements(context, Scope("f->", references(control.params), leave=leave), out)
    out.at(None)
    out.line(c_comment(f"Table {table.cp_name}."))
    out.line(f"static const ss_row *table_{table.name}(ss_exec *x, struct ss_frame_{control.name} *f) {{")
    out.at(table.loc)
    to.block(table.setup)
    if table.keys:
        _key(to, table)
        if table.implementation is None:
            out.line(f"const ss_row *const row = ss_apply_{table_kind(table).lower()}(x, {place}, key);")
        else:
            _choose(to, table, place)
    else:
        out.line(f"const ss_row *const row = ss_apply_keyless(x, {place});")
    out.line("const uint8_t *const p = ss_params(row);")
    out.line("(void)p;")
    out.line("(void)f;")
    out.line("switch (row->action) {")
    places = {action: i for i, action in enumerate(context.action_list(table))}
    for ref in table.actions:
        out.line(f"case {places[ref.action]}:;")
        out.line("{")
        _run_action(to, ref)
        out.line("}")
        out.line("break;")
    out.line("default:;")
    out.line("break;")
    out.line("}")
    out.line("return row;")
    out.at(None)
    out.line("}")
    out.line()


def _choose(to: Statements, table: ir.Table, place: int) -> None:
    """`row`: that of the member which the entry, or the group that it names, leads to."""
    out = to.out
    out.line(f"const ss_row *row = ss_apply_{table_kind(table).lower()}(x, {place}, key);")
    out.line("uint64_t ss_hash = 0;")
    selector = to.context.externs[table.implementation or ""]
    if isinstance(selector, ir.ActionSelector) and table.selector:
        out.line("if (ss_names_group(row)) {")
        data = TupleExpr(TupleType(tuple(x.type for x in table.selector)), table.selector, loc=table.loc)
        pack(out, data, to.expressions, guarded=False)
        out.line(f"ss_hash = {hash_call(selector.algorithm, selector)};")
        out.line("}")
    out.line(f"row = ss_choose(x, {place}, row, ss_hash);")


def _key(to: Statements, table: ir.Table) -> None:
    """`key`: every field in whole bytes, big-endian; a field of an invalid header counts as 0, as in BMv2."""
    found = []
    for key in table.keys:
        width, text = key.width, to.value(key.expr)
        guard = valid_guard(key.expr, to.expressions)
        if guard and not is_wide(key.expr.type):
            text = f"({guard} ? {text} : 0)"
        elif guard:
            text = f"({guard} ? {text} : {to.context.wide.constant(0, width)})"
        found.append(Piece(text, width, "", False, isinstance(key.expr.type, BoolType)))
    declare_key(to.out, found)


def _run_action(to: Statements, ref: ir.ActionRef) -> None:
    action = to.context.actions[ref.action]
    to.block(ref.before)
    texts, back = to.arguments(action.params, ref.args)
    args = texts
    for param, at in param_layout(action):
        width = scalar_width(param.type)
        source = f"p + {at}" if at else "p"
        if width > 128:
            name = to.temporary()
            to.out.line(f"{to.context.layout.ctype(param.type, param.loc)} {name};")
            padded = num_bytes(width) * 8
            to.out.line(f"ss_wide_load({name}.w, {limbs(width)}, {source}, {padded - width}, {width});")
            args += f", {name}"
        elif isinstance(param.type, BoolType):
            args += f", {source.replace('p', '*p', 1) if not at else f'p[{at}]'} != 0"
        else:
            load = "ss_load128" if width > 64 else "ss_load"
            args += (
                f", ({to.context.layout.ctype(param.type, param.loc)}){load}({source}, {num_bytes(width)})"
            )
    frame = ", f" if ref.action in to.context.owner else ""
    to.out.line(f"action_{action.name}(x{frame}{args});")
    for target, name in back:
        to.assign(target, name)
    to.block(ref.after)
