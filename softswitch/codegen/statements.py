# SPDX-License-Identifier: Apache-2.0
"""Statements: IR → C statements."""

from __future__ import annotations

from collections.abc import Sequence

from softswitch.codegen import packet_statements
from softswitch.codegen.context import Context, nodes
from softswitch.codegen.errors import Unsupported
from softswitch.codegen.expressions import Expressions, address, member
from softswitch.codegen.externs import call_extern, call_method, send_digest
from softswitch.codegen.layout import header_members, is_scalar, is_wide, scalar_width
from softswitch.codegen.names import c_name, c_variable, number
from softswitch.codegen.scope import Scope, by_reference
from softswitch.codegen.writer import Writer
from softswitch.p4 import ir
from softswitch.p4 import ir_expr as e
from softswitch.p4 import ir_stmt as s
from softswitch.p4.types import HeaderType, StackType, Type, UnionType


def zero(ctype: str, t: Type) -> str:
    """The zero value of a type."""
    if is_scalar(t) and not is_wide(t):
        return "0"
    return f"({ctype}){{0}}"


class Statements:
    """Translates the statements of one scope into `out`."""

    def __init__(self, context: Context, scope: Scope, out: Writer) -> None:
        self.context = context
        self.scope = scope
        self.out = out
        self.expressions = Expressions(context.layout, context.wide, context.equality, scope)
        self._temporaries = self._loops = 0
        self._loop = 0

    def value(self, expr: e.Expr) -> str:
        """A C expression."""
        return self.expressions.value(expr)

    def l_value(self, expr: e.Expr) -> str:
        """A C l-value."""
        return self.expressions.l_value(expr)

    def temporary(self) -> str:
        """A new name for a C variable."""
        self._temporaries += 1
        return f"ss_t{self._temporaries}"

    def block(self, body: Sequence[s.Stmt]) -> None:
        """The statements, one after the other, without braces."""
        if len(body) == 1 and isinstance(body[0], s.Block):
            self.block(body[0].body)
            return
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: s.Stmt) -> None:
        """One statement."""
        method = getattr(self, f"_{type(stmt).__name__}", None)
        if method is None:
            raise Unsupported(stmt, f"{type(stmt).__name__} statements are not supported here")
        self.out.at(stmt.loc)
        try:
            if self.scope.in_parser and not isinstance(stmt, s.Extract | s.Block | s.If | s.Switch):
                self.check_stacks(stmt)
            method(stmt)
        except Unsupported as error:
            if error.loc == e.NOWHERE:
                raise Unsupported(stmt, error.message) from error
            raise

    def check_stacks(self, *where: e.Node) -> None:
        """In a parser: `last` of an empty stack and `next` of a full one are errors."""
        for use in nodes(where, (e.StackLast, e.StackNext, e.StackLastIndex)):
            if isinstance(use.base.type, StackType) and not isinstance(use, e.StackLastIndex):
                next_index = member(self.l_value(use.base), "next")
                test = (
                    f"{next_index} == 0"
                    if isinstance(use, e.StackLast)
                    else f"{next_index} >= {use.base.type.size}"
                )
                self.out.line(f"if ({test}) {self.fail('StackOutOfBounds')}")

    def fail(self, error: str) -> str:
        """C statement: leaves the parser with an error of core.p4."""
        return self.scope.fail.format(self.context.error_constant(error))

    # --- plain statements ---------------------------------------------------------------------------

    def _Block(self, stmt: s.Block) -> None:  # noqa: N802
        self.out.line("{")
        self.block(stmt.body)
        self.out.line("}")

    def _VarDecl(self, stmt: s.VarDecl) -> None:  # noqa: N802
        ctype = self.context.layout.ctype(stmt.type, stmt.loc)
        value = self.value(stmt.init) if stmt.init is not None else zero(ctype, stmt.type)
        if value == f"({ctype}){{0}}":
            value = "{0}"
        self.out.line(f"{ctype} {c_variable(stmt.name)} = {value};")

    def _Assign(self, stmt: s.Assign) -> None:  # noqa: N802
        self.assign(stmt.target, self.value(stmt.value), stmt.value)

    def assign(self, target: e.Expr, text: str, value: e.Expr | None = None) -> None:
        """`target = text`, where text is a C value of the target's type, and `value` the expression it came
        from."""
        if isinstance(target, e.Slice):
            self._assign_slice(target, text)
            return
        place = self.l_value(target)
        self.context.layout.ctype(target.type, target.loc)
        if isinstance(target.type, HeaderType):
            self._assign_header(target, place, text, value)
        else:
            self.out.line(f"{place} = {text};")

    def _assign_header(self, target: e.Expr, place: str, text: str, value: e.Expr | None) -> None:
        valid = member(place, "ss_valid")
        if isinstance(value, e.InvalidHeader):
            self.out.line(f"{valid} = false;")
        elif isinstance(value, e.FieldsExpr):
            self.out.line(f"{place} = {text};")
            self.invalidate_others(target)
        else:  # an invalid header does not overwrite fields: as BMv2
            self.out.line(f"if ({member(text, 'ss_valid')}) {{")
            self.out.line(f"{place} = {text};")
            self.invalidate_others(target)
            self.out.line("} else {")
            self.out.line(f"{valid} = false;")
            self.out.line("}")

    def invalidate_others(self, header: e.Expr) -> None:
        """In a header union at most one member is valid."""
        if isinstance(header, e.FieldRef) and isinstance(header.base.type, UnionType):
            base = self.l_value(header.base)
            for name in header_members(header.base.type):
                if name != c_name(header.name):
                    self.out.line(f"{member(member(base, name), 'ss_valid')} = false;")

    def _assign_slice(self, target: e.Slice, text: str) -> None:
        while isinstance(inner := target.base, e.Slice):
            low = inner.low
            target = e.Slice(target.type, inner.base, low + target.high, low + target.low, loc=target.loc)
        base, width, take = (
            self.l_value(target.base),
            scalar_width(target.base.type),
            target.high - target.low + 1,
        )
        if is_wide(target.base.type):
            part = self.temporary()
            self.out.line("{")
            if take > 128:
                self.out.line(f"uint64_t {part}[{(take + 63) // 64}];")
                self.out.line(f"memcpy({part}, {text}.w, sizeof {part});")
            else:
                self.out.line(f"const ss_u128 {part}_v = {text};")
                self.out.line(
                    f"const uint64_t {part}[2] = {{(uint64_t){part}_v, (uint64_t)({part}_v >> 64)}};"
                )
            self.out.line(f"ss_wide_insert({base}.w, {target.low}, {take}, {part});")
            self.out.line("}")
            return
        ctype = self.context.layout.ctype(target.base.type, target.loc)
        keep = number(~(((1 << take) - 1) << target.low), width)
        self.out.line(f"{base} = ({ctype})(({base} & {keep}) | ({ctype})(({ctype}){text} << {target.low}));")

    def _If(self, stmt: s.If) -> None:  # noqa: N802
        if self.scope.in_parser:
            self.check_stacks(stmt.condition)
        self.out.line(f"if ({self.value(stmt.condition)}) {{")
        self.block(stmt.then.body)
        if stmt.otherwise is not None:
            self.out.line("} else {")
            self.block(stmt.otherwise.body)
        self.out.line("}")

    def _Switch(self, stmt: s.Switch) -> None:  # noqa: N802
        if self.scope.in_parser:
            self.check_stacks(stmt.value)
        name = self.temporary()
        self.out.line("{")
        self.out.line(
            f"const {self.context.layout.ctype(stmt.value.type, stmt.loc)} {name} = {self.value(stmt.value)};"
        )
        first = True
        for case in stmt.cases:
            tests = " || ".join(self.equal(name, value) for value in case.values)
            self.out.line(f"if ({tests}) {{" if first else f"}} else if ({tests}) {{")
            first = False
            self.block(case.body.body)
        if stmt.default is not None:
            self.out.line("{" if first else "} else {")
            first = False
            self.block(stmt.default.body)
        if not first:
            self.out.line("}")
        self.out.line("}")

    def equal(self, name: str, value: e.Expr) -> str:
        """C test of a variable against a constant."""
        if is_wide(value.type):
            width = scalar_width(value.type)
            return f"{self.context.wide.compare(width, False)}({name}, {self.value(value)}) == 0"
        return f"{name} == {self.value(value)}"

    def _Return(self, stmt: s.Return) -> None:  # noqa: N802
        self.out.line("return;" if stmt.value is None else f"return {self.value(stmt.value)};")

    def _Exit(self, stmt: s.Exit) -> None:  # noqa: N802
        self.out.line("x->exited = true;")
        self.out.line(self.scope.leave)

    # --- calls -------------------------------------------------------------------------------------

    def arguments(
        self, params: Sequence[ir.Param], args: Sequence[s.Arg]
    ) -> tuple[str, list[tuple[e.Slice, str]]]:
        """C arguments, each with `, ` before it, and slices to be written back after the call: they have no
        address."""
        texts, back = [], []
        roots = {_root(a.value) for a in args if a.direction in (s.Direction.OUT, s.Direction.INOUT)}
        for param, arg in zip(params, args, strict=True):
            if not by_reference(param):
                texts.append(self.value(arg.value))
            elif param.direction in (s.Direction.OUT, s.Direction.INOUT):
                if isinstance(arg.value, e.Slice):
                    back.append((arg.value, self._copy(arg.value)))
                    texts.append(f"&{back[-1][1]}")
                else:
                    texts.append(address(self.l_value(arg.value)))
            elif _root(arg.value) and _root(arg.value) not in roots:
                texts.append(address(self.l_value(arg.value)))
            else:
                texts.append(f"&{self._copy(arg.value)}")
        return "".join(f", {t}" for t in texts), back

    def _copy(self, value: e.Expr) -> str:
        name = self.temporary()
        self.out.line(f"{self.context.layout.ctype(value.type, value.loc)} {name} = {self.value(value)};")
        return name

    def _call(
        self,
        params: Sequence[ir.Param],
        args: Sequence[s.Arg],
        pattern: str,
        after: Sequence[str] = (),
        copies: Sequence[s.Stmt] = (),
    ) -> None:
        """`pattern` with `{}` for the arguments, in a block of its own where it needs variables."""
        outer, self.out = self.out, self.out.fork()
        texts, back = self.arguments(params, args)
        self.out.line(pattern.format(texts))
        for target, name in back:
            self.assign(target, name)
        self.block(copies)
        for line in after:
            self.out.line(line)
        inner, self.out = self.out, outer
        braces = len(inner) > 1 + len(after) or pattern.startswith("const")
        if braces:
            self.out.line("{")
        self.out.extend(inner)
        if braces:
            self.out.line("}")

    def _exit_check(self, kind: str, name: str) -> list[str]:
        return [f"if (x->exited) {self.scope.leave}"] if self.context.may_exit(kind, name) else []

    def _CallFunction(self, stmt: s.CallFunction) -> None:  # noqa: N802
        function = self.context.functions[stmt.function]
        if stmt.result is None:
            self._call(function.params, stmt.args, f"function_{function.name}(x{{}});")
            return
        self.out.line("{")
        texts, back = self.arguments(function.params, stmt.args)
        result = self.temporary()
        ctype = self.context.layout.ctype(function.result, stmt.loc)
        self.out.line(f"const {ctype} {result} = function_{function.name}(x{texts});")
        for target, name in back:
            self.assign(target, name)
        self.assign(stmt.result, result)
        self.out.line("}")

    def _CallAction(self, stmt: s.CallAction) -> None:  # noqa: N802
        action = self.context.actions[stmt.action]
        frame = ", f" if stmt.action in self.context.owner else ""
        pattern = f"action_{action.name}(x{frame}{{}});"
        check = self._exit_check("action", action.name)
        self._call([*action.params, *action.cp_params], stmt.args, pattern, check, stmt.after)

    def _CallControl(self, stmt: s.CallControl) -> None:  # noqa: N802
        control = self.context.controls[stmt.control]
        after = self._exit_check("control", control.name)
        self._call(control.params, stmt.args, f"control_{control.name}(x{{}});", after, stmt.after)

    def _CallParser(self, stmt: s.CallParser) -> None:  # noqa: N802
        parser = self.context.parsers[stmt.parser]
        result = self.temporary()
        after = [f"if ({result} != 0) return {result};"]
        self._call(parser.params, stmt.args, f"const uint16_t {result} = parser_{parser.name}(x{{}});", after)

    def _ApplyTable(self, stmt: s.ApplyTable) -> None:  # noqa: N802
        table, after = self.context.tables[stmt.table], self._exit_check("table", stmt.table)
        plain = stmt.hit is None and not stmt.cases and stmt.default is None
        if plain:
            self.out.line(f"table_{table.name}(x, f);")
            for line in after:
                self.out.line(line)
            return
        row = self.temporary()
        self.out.line("{")
        self.out.line(f"const ss_row *const {row} = table_{table.name}(x, f);")
        for line in after:
            self.out.line(line)
        if stmt.hit is not None:
            self.assign(stmt.hit, f"{row}->hit")
        if stmt.cases or stmt.default is not None:
            self._action_run(stmt, table, row)
        self.out.line("}")

    def _action_run(self, stmt: s.ApplyTable, table: ir.Table, row: str) -> None:
        places = {action: i for i, action in enumerate(self.context.action_list(table))}
        self.out.line(f"switch ({row}->action) {{")
        for case in stmt.cases:
            for name in case.actions:
                self.out.line(f"case {places[name]}:;")
            self.out.line("{")
            self.block(case.body.body)
            self.out.line("}")
            self.out.line("break;")
        self.out.line("default:;")
        if stmt.default is not None:
            self.out.line("{")
            self.block(stmt.default.body)
            self.out.line("}")
        self.out.line("break;")
        self.out.line("}")

    # --- loops ----------------------------------------------------------------------------------------

    def _Loop(self, stmt: s.Loop) -> None:  # noqa: N802
        """With gotos: a C break inside a switch would end that instead. `ss_turn` bounds the loops."""
        self._loops += 1
        number = self._loops
        outer, self._loop = self._loop, number
        self.out.line("while (ss_turn(x)) {")
        self.block(stmt.setup)
        self.out.line(f"if (!{self.value(stmt.condition)}) goto ss_break{number};")
        self.out.line("{")
        self.block(stmt.body.body)
        self.out.line("}")
        self.out.line(f"goto ss_continue{number};")
        self.out.line(f"ss_continue{number}:;")
        self.block(stmt.update)
        self.out.line("}")
        self.out.line(f"goto ss_break{number};")
        self.out.line(f"ss_break{number}:;")
        self._loop = outer

    def _Break(self, _: s.Break) -> None:  # noqa: N802
        self.out.line(f"goto ss_break{self._loop};")

    def _Continue(self, _: s.Continue) -> None:  # noqa: N802
        self.out.line(f"goto ss_continue{self._loop};")

    # --- externs --------------------------------------------------------------------------------------

    def _CallExtern(self, stmt: s.CallExtern) -> None:  # noqa: N802
        call_extern(self, stmt)

    def _CallMethod(self, stmt: s.CallMethod) -> None:  # noqa: N802
        call_method(self, stmt)

    def _SendDigest(self, stmt: s.SendDigest) -> None:  # noqa: N802
        send_digest(self, stmt)

    # --- headers and packets --------------------------------------------------------------------------

    def _SetValid(self, stmt: s.SetValid) -> None:  # noqa: N802
        packet_statements.set_valid(self, stmt)
        if stmt.valid:
            self.invalidate_others(stmt.header)

    def _ShiftStack(self, stmt: s.ShiftStack) -> None:  # noqa: N802
        packet_statements.shift_stack(self, stmt)

    def _Extract(self, stmt: s.Extract) -> None:  # noqa: N802
        packet_statements.extract(self, stmt)

    def _Advance(self, stmt: s.Advance) -> None:  # noqa: N802
        packet_statements.advance(self, stmt)

    def _Lookahead(self, stmt: s.Lookahead) -> None:  # noqa: N802
        packet_statements.lookahead(self, stmt)

    def _Verify(self, stmt: s.Verify) -> None:  # noqa: N802
        self.out.line(f"if (!{self.value(stmt.condition)}) {self.scope.fail.format(self.value(stmt.error))}")

    def _Emit(self, stmt: s.Emit) -> None:  # noqa: N802
        packet_statements.emit(self, self.l_value(stmt.value), stmt.value.type, stmt.loc)


def _root(expr: e.Expr) -> str:
    """Name of the variable that an l-value is part of, "" if it is none."""
    while isinstance(expr, e.FieldRef | e.Index | e.StackNext | e.StackLast | e.Slice):
        expr = expr.base
    return expr.name if isinstance(expr, e.Var) else ""
