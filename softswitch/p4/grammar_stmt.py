# SPDX-License-Identifier: Apache-2.0
"""Grammar of statements and parser states."""

from __future__ import annotations

from softswitch.p4 import ast
from softswitch.p4.errors import Failure
from softswitch.p4.grammar_expr import MAX_CHAIN, ExpressionGrammar
from softswitch.p4.ir_expr import Loc
from softswitch.p4.lexer import Kind

_ASSIGN = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", "|+|=", "|-|=")


class StatementGrammar(ExpressionGrammar):
    """Recursive descent for statements."""

    def block(self) -> ast.BlockStatement:
        """`{ … }`, recovering at the next statement after an error."""
        annotations = self.annotations()
        loc = self.expect("{").loc
        result = ast.BlockStatement(loc, annotations, [])
        with self.nested():
            while not self.at("}"):
                if self.token.kind is Kind.END:
                    raise Failure(loc, "block without closing `}`")
                before = self.mark()
                try:
                    result.body.append(self.statement())
                except Failure as failure:
                    self.diagnostics.failed(failure)
                    self.recover(before)
        self.expect("}")
        return result

    def recover(self, before: int) -> None:
        """Skips the rest of a broken statement that began at `before`."""
        self.skip_to(";", "}")
        if not self.accept(";") and self.mark() == before and not self.at("}"):
            self.next()

    def statement(self) -> ast.Statement:
        """One statement or local declaration."""
        loc = self.loc
        if self.at("{", "@"):
            return self._annotated(loc)
        if self.accept(";"):
            return ast.EmptyStatement(loc)
        if self.at("if"):
            return self._if()
        if self.at("switch"):
            return self._switch()
        if self.accept("return"):
            value = None if self.at(";") else self.expression()
            self.expect(";")
            return ast.ReturnStatement(loc, value)
        if self.accept("exit"):
            self.expect(";")
            return ast.ExitStatement(loc)
        if self.at("for") and self.peek().text == "(":
            return self._for()
        if self.at("break", "continue") and self.peek().text == ";":
            kind = ast.BreakStatement if self.next().text == "break" else ast.ContinueStatement
            self.expect(";")
            return kind(loc)
        if self.at("const") or self._at_declaration():
            return ast.DeclarationStatement(loc, self.local_declaration([]))
        return self._assignment_or_call()

    def _annotated(self, loc: Loc) -> ast.Statement:
        mark = self.mark()
        annotations = self.annotations()
        if self.at("{"):
            self.reset(mark)
            return self.block()
        if self.at("for") and self.peek().text == "(":
            return self._for()
        return ast.DeclarationStatement(loc, self.local_declaration(annotations))

    def _at_declaration(self) -> bool:
        """Whether a type and a name (or a constructor call and a name) begin here."""
        if not self.at_type():
            return False
        mark = self.mark()
        try:
            self.type_ref()
            if self.at("("):
                self.skip_arguments()
            return self.at_name()
        except Failure:
            return True  # reported when parsed for good
        finally:
            self.reset(mark)

    def skip_arguments(self) -> None:
        """Skips a parenthesised list."""
        self.expect("(")
        self.skip_to(")")
        self.expect(")")

    def local_declaration(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        """A constant, variable or instance."""
        loc = self.loc
        if self.accept("const"):
            type_ref = self.type_ref()
            name = self.name()
            self.expect("=")
            value = self.expression()
            self.expect(";")
            return ast.ConstDecl(name.loc, name.text, annotations, type_ref, value)
        type_ref = self.type_ref()
        if self.at("("):
            args = self.arguments()
            name = self.name("the instance's name")
            has_body = False
            if self.accept("="):
                has_body = True
                self.expect("{")
                self.skip_to("}")
                self.expect("}")
            self.expect(";")
            return ast.InstanceDecl(name.loc, name.text, annotations, type_ref, args, has_body)
        name = self.name()
        init = self.expression() if self.accept("=") else None
        self.expect(";")
        return ast.VarDeclSyntax(name.loc if name else loc, name.text, annotations, type_ref, init)

    # --- loops ---

    def _for(self) -> ast.Statement:
        loc = self.next().loc
        outer = set(self.type_names)
        self.expect("(")
        mark = self.mark()
        annotations = self.annotations()
        if self._at_declaration():
            type_ref = self.type_ref()
            name = self.name()
            if self.accept("in"):
                return self._for_in(loc, ast.VarDeclSyntax(name.loc, name.text, annotations, type_ref, None))
        self.reset(mark)
        init = self._comma_separated(";")
        self.expect(";")
        condition = self.expression()
        self.expect(";")
        update = self._comma_separated(")")
        self.expect(")")
        with self.nested():
            body = self.statement()
        self.type_names = outer
        return ast.ForStatement(loc, init, condition, update, body)

    def _for_in(self, loc: Loc, variable: ast.VarDeclSyntax) -> ast.Statement:
        collection = self.expression()
        if self.accept(".."):
            collection = ast.RangeExpr(collection.loc, collection, self.expression())
        self.expect(")")
        with self.nested():
            return ast.ForInStatement(loc, variable, collection, self.statement())

    def _comma_separated(self, end: str) -> list[ast.Statement]:
        """Declarations, assignments and calls before `end`."""
        found: list[ast.Statement] = []
        while not self.at(end):
            annotations = self.annotations()
            if self._at_declaration():
                type_ref = self.type_ref()
                name = self.name()
                init = self.expression() if self.accept("=") else None
                made = ast.VarDeclSyntax(name.loc, name.text, annotations, type_ref, init)
                found.append(ast.DeclarationStatement(name.loc, made))
            else:
                found.append(self._simple_statement())
            if not self.accept(","):
                break
        return found

    def _assignment_or_call(self) -> ast.Statement:
        made = self._simple_statement()
        self.expect(";")
        return made

    def _simple_statement(self) -> ast.Statement:
        """An assignment or call, what ends it not taken."""
        loc = self.loc
        target = self._postfix(self._primary())
        if isinstance(target, ast.CallExpr) and self.at(";", ",", ")"):
            return ast.CallStatement(loc, target)
        if self.at(">") and self.peek().text == ">=" and self.peek().glued:
            self.next()
            self.next()
            operator = ">>="
        elif token := self.accept(*_ASSIGN):
            operator = token.text
        else:
            raise self.unexpected("`=` or `;`")
        return ast.AssignStatement(loc, target, operator, self.expression())

    def _if(self) -> ast.Statement:
        first: ast.IfStatement | None = None
        last: ast.IfStatement | None = None
        for _ in range(MAX_CHAIN):
            loc = self.next().loc
            self.expect("(", "after if")
            condition = self.expression()
            self.expect(")")
            with self.nested():
                link = ast.IfStatement(loc, condition, self.statement(), None)
            if last is None:
                first = link
            else:
                last.otherwise = link
            last = link
            if not self.accept("else"):
                return first if first is not None else link
            if not self.at("if"):
                with self.nested():
                    link.otherwise = self.statement()
                return first if first is not None else link
        raise Failure(self.loc, f"more than {MAX_CHAIN} else-ifs in a row: not supported")

    def _switch(self) -> ast.Statement:
        loc = self.next().loc
        self.expect("(", "after switch")
        value = self.expression()
        self.expect(")")
        self.expect("{")
        cases: list[ast.SwitchCaseSyntax] = []
        while not self.at("}"):
            label_loc = self.loc
            if self.accept("default"):
                label: ast.Expression = ast.DefaultExpr(label_loc)
            else:
                label = self.expression()
            self.expect(":")
            body = self.block() if self.at("{", "@") else None
            cases.append(ast.SwitchCaseSyntax(label_loc, label, body))
        self.expect("}")
        return ast.SwitchStatement(loc, value, cases)

    # --- parser states ---

    def state(self) -> ast.StateDecl:
        """`state name { statements transition … }`."""
        annotations = self.annotations()
        self.expect("state")
        name = self.name("the state's name")
        result = ast.StateDecl(name.loc, name.text, annotations, [], None)
        self.expect("{")
        with self.nested():
            while not self.at("}", "transition"):
                if self.token.kind is Kind.END:
                    raise Failure(name.loc, "state without closing `}`")
                before = self.mark()
                try:
                    result.body.append(self.statement())
                except Failure as failure:
                    self.diagnostics.failed(failure)
                    self.recover(before)
            if self.accept("transition"):
                result.transition = self._transition()
        self.expect("}")
        return result

    def _transition(self) -> str | ast.SelectSyntax:
        if self.at("select"):
            return self._select()
        name = self.name("a state's name").text
        self.expect(";")
        return name

    def _select(self) -> ast.SelectSyntax:
        loc = self.next().loc
        self.expect("(", "after select")
        values: list[ast.Expression] = []
        while not self.at(")"):
            values.append(self.expression())
            if not self.accept(","):
                break
        self.expect(")")
        self.expect("{")
        result = ast.SelectSyntax(loc, values, [])
        while not self.at("}"):
            case_loc = self.loc
            keys = self.key_sets()
            self.expect(":")
            target = self.name("a state's name").text
            self.expect(";")
            result.cases.append(ast.SelectCaseSyntax(case_loc, keys, target))
        self.expect("}")
        return result
