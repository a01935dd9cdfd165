# SPDX-License-Identifier: Apache-2.0
"""Grammar of declarations and of whole programs."""

from __future__ import annotations

from softswitch.p4 import ast
from softswitch.p4.errors import Diagnostics, Failure
from softswitch.p4.grammar_stmt import StatementGrammar
from softswitch.p4.grammar_table import TableGrammar
from softswitch.p4.lexer import Kind, Token


class ProgramGrammar(TableGrammar, StatementGrammar):
    """Recursive descent for declarations; recovers at the next declaration after an error."""

    def program(self) -> list[ast.Declaration]:
        """All top-level declarations."""
        found: list[ast.Declaration] = []
        while self.token.kind is not Kind.END:
            if self.accept(";"):
                continue
            before = self.mark()
            names = set(self.type_names)
            try:
                found.append(self._declaration())
            except Failure as failure:
                self.diagnostics.failed(failure)
                self.type_names |= names
                self._next_declaration(before)
        return found

    def _next_declaration(self, before: int) -> None:
        """Skips to where a top-level declaration may begin: a declaring keyword in column 1."""
        if self.mark() == before:
            self.next()
        starts = ("header", "struct", "control", "parser", "extern", "enum", "const", "typedef", "action")
        while self.token.kind is not Kind.END:
            if self.loc.column == 1 and (
                self.at(*starts) or self.at("@", "header_union", "error", "package")
            ):
                return
            self.next()

    def _declaration(self) -> ast.Declaration:
        annotations = self.annotations()
        loc = self.loc
        if self.at("header", "struct", "header_union"):
            return self._fields(annotations)
        if self.at("enum"):
            return self._enum(annotations)
        if self.at("error", "match_kind") and self.peek().text == "{":
            return self._error(annotations)
        if self.at("typedef") or (self.at("type") and self.peek().kind is not Kind.PUNCT):
            return self._typedef(annotations)
        if self.at("extern"):
            return self._extern(annotations)
        if self.at("action"):
            return self.action(annotations)
        if self.at("parser"):
            return self._parser(annotations)
        if self.at("control"):
            return self._control(annotations)
        if self.at("package"):
            return self._package(annotations)
        if self.at("const"):
            return self.local_declaration(annotations)
        if self.at_type() or self._at_generic_function():
            return self._function_or_instance(annotations)
        raise Failure(loc, f"expected a declaration, found {self.token}")

    # --- types ---

    def _fields(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        kind = self.next().text
        name = self.name()
        type_params = self._type_params()
        self.type_names.add(name.text)
        outer = set(self.type_names)
        self.type_names |= set(type_params)
        self.expect("{")
        fields = []
        while not self.at("}"):
            field_annotations = self.annotations()
            type_ref = self.type_ref()
            field = self.name("a field's name")
            self.expect(";")
            fields.append(ast.FieldSyntax(field.loc, field.text, field_annotations, type_ref))
        self.expect("}")
        self.type_names = outer
        return ast.FieldsDecl(name.loc, name.text, annotations, kind, type_params, fields)

    def _enum(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        self.next()
        type_ref = None if self.at_name() and self.peek().text == "{" else self.type_ref()
        name = self.name()
        self.type_names.add(name.text)
        self.expect("{")
        members = []
        while not self.at("}"):
            member_annotations = self.annotations()
            member = self.name("a member's name")
            value = self.expression() if self.accept("=") else None
            members.append(ast.EnumMember(member.loc, member.text, member_annotations, value))
            if not self.accept(","):
                break
        self.expect("}")
        return ast.EnumDecl(name.loc, name.text, annotations, type_ref, members)

    def _error(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        keyword = self.next()
        self.expect("{")
        members = []
        while not self.at("}"):
            member_annotations = self.annotations()
            member = self.name("a member's name")
            members.append(ast.Declaration(member.loc, member.text, member_annotations))
            if not self.accept(","):
                break
        self.expect("}")
        return ast.ErrorDecl(keyword.loc, keyword.text, annotations, members)

    def _typedef(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        new = self.next().text == "type"
        type_ref = self.type_ref()
        name = self.name()
        self.expect(";")
        self.type_names.add(name.text)
        return ast.TypedefDecl(name.loc, name.text, annotations, type_ref, new)

    # --- callables ---

    def _type_params(self) -> list[str]:
        found: list[str] = []
        if self.accept("<"):
            while not self.at(">"):
                found.append(self.name("a type parameter").text)
                if not self.accept(","):
                    break
            self.close_angle()
        return found

    def parameters(self) -> list[ast.Parameter]:
        """`(direction type name = default, …)`."""
        self.expect("(")
        found = []
        while not self.at(")"):
            annotations = self.annotations()
            token = self.accept("in", "out", "inout")
            type_ref = self.type_ref()
            name = self.name("a parameter's name")
            default = self.expression() if self.accept("=") else None
            direction = token.text if token else ""
            found.append(ast.Parameter(name.loc, name.text, annotations, direction, type_ref, default))
            if not self.accept(","):
                break
        self.expect(")")
        return found

    def action(self, annotations: list[ast.AnnotationSyntax]) -> ast.ActionDecl:
        """`action name(parameters) { … }`."""
        self.expect("action")
        name = self.name("the action's name")
        params = self.parameters()
        body = self.block()
        return ast.ActionDecl(name.loc, name.text, annotations, [], params, body)

    def _at_generic_function(self) -> bool:
        """Whether `T name<…` begins here, T a type parameter not yet known."""
        return self.token.kind is Kind.NAME and self.peek().kind is Kind.NAME and self.peek(2).text == "<"

    def _result_type(self) -> ast.TypeRef:
        if self.token.kind is Kind.NAME and self.token.text not in self.type_names:
            token = self.next()
            return ast.NamedTypeRef(token.loc, token.text)
        return self.type_ref()

    def _function_or_instance(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        mark = self.mark()
        result = self._result_type()
        if self.at("("):
            self.reset(mark)
            return self.local_declaration(annotations)
        name = self.name("a name")
        if not self.at("(", "<"):
            raise Failure(name.loc, "variables cannot be declared at top level")
        outer = set(self.type_names)
        type_params = self._type_params()
        self.type_names |= set(type_params)
        params = self.parameters()
        body = self.block()
        self.type_names = outer
        return ast.FunctionDecl(name.loc, name.text, annotations, type_params, params, result, body)

    def _extern(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        self.next()
        if not self._at_extern_type():
            return self._method(annotations, None)
        name = self.name("the extern's name")
        self.type_names.add(name.text)
        outer = set(self.type_names)
        type_params = self._type_params()
        self.type_names |= set(type_params)
        methods = []
        self.expect("{")
        while not self.at("}"):
            methods.append(self._method(self.annotations(), name.text))
        self.expect("}")
        self.type_names = outer
        return ast.ExternDecl(name.loc, name.text, annotations, type_params, methods)

    def _at_extern_type(self) -> bool:
        if not self.at_name():
            return False
        ahead = 1
        if self.peek(ahead).text == "<":
            while self.peek(ahead).text not in (">", "{", ";", ""):
                ahead += 1
            ahead += 1
        return self.peek(ahead).text == "{"

    def _method(self, annotations: list[ast.AnnotationSyntax], owner: str | None) -> ast.MethodDecl:
        abstract = self.at("abstract") and self.accept("abstract") is not None
        result: ast.TypeRef | None = None
        if self.token.text != owner or self.peek().text != "(":
            result = self._result_type()
        name = self.name("a method's name")
        outer = set(self.type_names)
        type_params = self._type_params()
        self.type_names |= set(type_params)
        params = self.parameters()
        self.type_names = outer
        self.expect(";")
        return ast.MethodDecl(name.loc, name.text, annotations, type_params, params, result, abstract)

    # --- parsers, controls, packages ---

    def _head(self) -> tuple[Token, list[str], list[ast.Parameter]]:
        self.next()
        name = self.name()
        self.type_names.add(name.text)
        type_params = self._type_params()
        self.type_names |= set(type_params)
        return name, type_params, self.parameters()

    def _parser(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        outer = set(self.type_names)
        name, type_params, params = self._head()
        result = ast.ParserDecl(name.loc, name.text, annotations, type_params, params, [], [], None)
        if not self.accept(";"):
            result.constructor_params = self.parameters() if self.at("(") else []
            self.expect("{")
            result.states = []
            while not self.at("}"):
                before = self.mark()
                try:
                    self._parser_element(result, result.states)
                except Failure as failure:
                    self.diagnostics.failed(failure)
                    self._recover_local(before)
            self.expect("}")
        self.type_names = outer | {name.text}
        return result

    def _parser_element(self, result: ast.ParserDecl, states: list[ast.StateDecl]) -> None:
        mark = self.mark()
        annotations = self.annotations()
        if self.at("state"):
            self.reset(mark)
            states.append(self.state())
        elif self.token.text == "value_set":
            result.locals.append(self._value_set(annotations))
        else:
            result.locals.append(self.local_declaration(annotations))

    def _value_set(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        self.next()
        self.expect("<")
        type_ref = self.type_ref()
        self.close_angle()
        self.expect("(")
        size = self.expression()
        self.expect(")")
        name = self.name("the value set's name")
        self.expect(";")
        return ast.ValueSetDecl(name.loc, name.text, annotations, type_ref, size)

    def _control(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        outer = set(self.type_names)
        name, type_params, params = self._head()
        result = ast.ControlDecl(name.loc, name.text, annotations, type_params, params, [], [], None)
        if not self.accept(";"):
            result.constructor_params = self.parameters() if self.at("(") else []
            self.expect("{")
            while not self.at("}"):
                if result.body is not None:
                    raise self.unexpected("`}` after apply")
                before = self.mark()
                try:
                    self._control_element(result)
                except Failure as failure:
                    self.diagnostics.failed(failure)
                    self._recover_local(before)
            self.expect("}")
            if result.body is None:
                raise Failure(name.loc, f"control {name.text} has no apply block")
        self.type_names = outer | {name.text}
        return result

    def _control_element(self, result: ast.ControlDecl) -> None:
        annotations = self.annotations()
        if self.at("action"):
            result.locals.append(self.action(annotations))
        elif self.at("table"):
            result.locals.append(self.table(annotations))
        elif self.at("apply") and self.peek().text in ("{", "@"):
            self.next()
            result.body = self.block()
        else:
            result.locals.append(self.local_declaration(annotations))

    def _recover_local(self, before: int) -> None:
        self.recover(before)
        while self.token.kind is not Kind.END and not self.at(
            "action", "table", "apply", "state", "const", "@", "}"
        ):
            if self.at_type():
                return
            self.next()
        if self.token.kind is Kind.END:
            raise Failure(self.loc, "unexpected end of file")

    def _package(self, annotations: list[ast.AnnotationSyntax]) -> ast.Declaration:
        outer = set(self.type_names)
        name, type_params, params = self._head()
        self.expect(";")
        self.type_names = outer | {name.text}
        return ast.PackageDecl(name.loc, name.text, annotations, type_params, params)


def parse(tokens: list[Token], diagnostics: Diagnostics) -> list[ast.Declaration]:
    """The program's declarations; syntax errors go to `diagnostics`."""
    return ProgramGrammar(tokens, diagnostics).program()
