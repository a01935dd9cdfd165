# SPDX-License-Identifier: Apache-2.0
"""Grammar of names, annotations, types, expressions and key sets (P4_16 appendix H)."""

from __future__ import annotations

from softswitch.p4 import ast
from softswitch.p4.errors import Failure
from softswitch.p4.grammar_base import TokenStream
from softswitch.p4.ir_expr import Loc
from softswitch.p4.lexer import Kind

MAX_CHAIN = 250
"""Most operators in a row, members of a path, and links of an else-if chain."""

BASE_TYPES = frozenset(("bool", "error", "string", "void", "match_kind"))
_PAIR_ANNOTATIONS = ("pkginfo", "platform_property")
"""Annotations in parentheses whose body is a list of key = value."""
_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "|": 5,
    "^": 6,
    "&": 7,
    "<<": 8,
    ">>": 8,
    "++": 9,
    "+": 9,
    "-": 9,
    "|+|": 9,
    "|-|": 9,
    "*": 10,
    "/": 10,
    "%": 10,
}


class ExpressionGrammar(TokenStream):
    """Recursive descent for types and expressions; binary operators by precedence climbing."""

    # --- annotations ---

    def annotations(self) -> list[ast.AnnotationSyntax]:
        """Any number of annotations."""
        found = []
        while self.at("@"):
            loc = self.next().loc
            if self.token.kind not in (Kind.NAME, Kind.KEYWORD):
                raise self.unexpected("the name of an annotation")
            annotation = ast.AnnotationSyntax(loc, self.next().text, [])
            if self.at("("):
                self._annotation_body(annotation)
            elif self.accept("["):
                annotation.structured = True
                self._structured_body(annotation, "]")
                self.expect("]")
            found.append(annotation)
        return found

    def _annotation_body(self, annotation: ast.AnnotationSyntax) -> None:
        """Raw tokens up to the closing parenthesis; literals among them become expressions where all are."""
        self.expect("(")
        start, depth = self.mark(), 1
        while depth:
            token = self.token
            if token.kind is Kind.END:
                raise Failure(annotation.loc, f"annotation @{annotation.name}: closing parenthesis missing")
            depth += self.at("(") - self.at(")")
            if depth:
                annotation.tokens.append(token.text)
                self.next()
        end = self.mark()
        self.reset(start)
        try:
            while self.mark() < end:
                annotation.expressions.append(self.expression())
                if self.mark() < end:
                    self.expect(",")
        except Failure:
            annotation.expressions.clear()
        if annotation.name in _PAIR_ANNOTATIONS:
            self.reset(start)
            annotation.expressions.clear()
            self._structured_body(annotation, ")")
        self.reset(end)
        self.expect(")")

    def _structured_body(self, annotation: ast.AnnotationSyntax, closing: str) -> None:
        while not self.at(closing):
            if self.at_name() and self.peek().text == "=" and self.peek().kind is Kind.PUNCT:
                key = self.next().text
                self.next()
                annotation.pairs.append((key, self.expression()))
            else:
                annotation.expressions.append(self.expression())
            if not self.accept(","):
                break

    # --- types ---

    def at_type(self) -> bool:
        """Whether a type begins here."""
        token = self.token
        if token.kind is Kind.NAME:
            return token.text in self.type_names
        if token.kind is Kind.KEYWORD:
            return token.text in BASE_TYPES or token.text in ("bit", "int", "varbit", "tuple", "list")
        return self.at(".") and self.peek().text in self.type_names

    def type_ref(self) -> ast.TypeRef:
        """A type, with any stack sizes after it."""
        with self.nested():
            result = self._simple_type()
            while self.at("["):
                loc = self.next().loc
                result = ast.StackTypeRef(loc, result, self.expression())
                self.expect("]")
                if isinstance(result.element, ast.StackTypeRef):
                    raise Failure(loc, "stacks of stacks do not exist")
            return result

    def _simple_type(self) -> ast.TypeRef:
        token = self.token
        loc = token.loc
        if token.kind is Kind.KEYWORD and token.text in ("bit", "int", "varbit"):
            return self._sized_type()
        if self.at("tuple", "list"):
            base = self.next().text
            self.expect("<")
            return ast.TupleTypeRef(loc, base, self._type_list())
        if token.kind is Kind.KEYWORD and token.text in BASE_TYPES:
            return ast.NamedTypeRef(loc, self.next().text)
        absolute = self.accept(".") is not None
        if self.token.kind is not Kind.NAME and not self.at_name():
            raise self.unexpected("a type")
        if self.token.text not in self.type_names:
            raise Failure(self.loc, f"`{self.token.text}` is no type")
        result = ast.NamedTypeRef(loc, self.next().text, [], absolute)
        if self.accept("<"):
            result.args = self._type_list()
        return result

    def _sized_type(self) -> ast.TypeRef:
        token = self.next()
        if not self.accept("<"):
            if token.text == "int":
                return ast.NamedTypeRef(token.loc, "int")
            if token.text == "varbit":
                raise Failure(token.loc, "varbit needs a maximum width: varbit<W>")
            return ast.SizedTypeRef(token.loc, token.text, None)
        if self.token.kind is Kind.INT:
            literal = self.next()
            size: ast.Expression = ast.IntLiteral(
                literal.loc, int(literal.value), literal.width, literal.signed
            )
        elif self.accept("("):
            size = self.expression()
            self.expect(")")
        elif self.at_name():
            name = self.next()
            size = ast.NameExpr(name.loc, name.text)
        else:
            raise self.unexpected("a width")
        self.close_angle()
        return ast.SizedTypeRef(token.loc, token.text, size)

    def _type_list(self) -> list[ast.TypeRef]:
        """Type arguments after `<`, with the closing `>`; `_` stands for "infer"."""
        found: list[ast.TypeRef] = []
        while not self.at(">"):
            if self.token.text == "_" and self.token.kind is Kind.NAME:
                found.append(ast.NamedTypeRef(self.next().loc, "_"))
            else:
                found.append(self.type_ref())
            if not self.accept(","):
                break
        self.close_angle()
        return found

    # --- expressions ---

    def expression(self) -> ast.Expression:
        """Any expression."""
        with self.nested():
            return self._mux()

    def _mux(self) -> ast.Expression:
        condition = self._binary(1)
        if not self.at("?"):
            return condition
        self.next()
        then = self.expression()
        self.expect(":", "of the conditional expression")
        otherwise = self.expression()
        return ast.MuxExpr(condition.loc, condition, then, otherwise)

    def _at_plus_colon(self) -> bool:
        """Whether `+:` of a slice `[low +: width]` stands here."""
        return self.at("+") and self.peek().text == ":" and self.peek().glued

    def _operator(self) -> str:
        """The binary operator here, with `>` `>` joined; "" if there is none."""
        token = self.token
        if token.kind is not Kind.PUNCT:
            return ""
        if self._at_plus_colon():
            return ""
        if token.text == ">" and self.peek().text == ">" and self.peek().glued:
            return ">>"
        return token.text if token.text in _PRECEDENCE else ""

    def _binary(self, least: int) -> ast.Expression:
        left = self._unary()
        chain = 0
        while (operator := self._operator()) and _PRECEDENCE[operator] >= least:
            loc = self.next().loc
            if operator == ">>":
                self.next()
            right = self._binary(_PRECEDENCE[operator] + 1)
            left = ast.BinaryExpr(left.loc, operator, left, right, loc)
            chain += 1
            if chain > MAX_CHAIN:
                raise Failure(loc, f"more than {MAX_CHAIN} operators in a row: not supported")
        return left

    def _unary(self) -> ast.Expression:
        if token := self.accept("-", "+", "~", "!"):
            with self.nested():
                return ast.UnaryExpr(token.loc, token.text, self._unary())
        if self.at("("):
            cast = self._cast()
            if cast is not None:
                return cast
        return self._postfix(self._primary())

    def _cast(self) -> ast.Expression | None:
        mark = self.mark()
        loc = self.next().loc
        if self.at_type():
            try:
                target = self.type_ref()
            except Failure:
                self.reset(mark)
                return None
            if self.accept(")"):
                with self.nested():
                    return ast.CastExpr(loc, target, self._unary())
        self.reset(mark)
        return None

    def _primary(self) -> ast.Expression:
        token = self.token
        if token.kind is Kind.INT:
            self.next()
            return ast.IntLiteral(token.loc, int(token.value), token.width, token.signed, token.text)
        if token.kind is Kind.STRING:
            self.next()
            return ast.StringLiteral(token.loc, str(token.value))
        if self.accept("true", "false"):
            return ast.BoolLiteral(token.loc, token.text == "true")
        if self.accept("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if self.at("{"):
            return self._braces()
        if self.accept("..."):
            return ast.DotsExpr(token.loc)
        if self.at_type():
            return ast.TypeExpr(token.loc, self._simple_type())
        if self.accept("."):
            return ast.NameExpr(token.loc, self.name().text, True)
        if self.at_name():
            return ast.NameExpr(token.loc, self.next().text)
        raise self.unexpected("an expression")

    def _braces(self) -> ast.Expression:
        loc = self.next().loc
        if self.accept("#"):
            self.expect("}")
            return ast.InvalidExpr(loc)
        if self.at_name() and self.peek().text == "=" and self.peek().kind is Kind.PUNCT:
            return self._record(loc)
        result = ast.ListExpr(loc, [])
        while not self.at("}"):
            if self.accept("..."):
                result.dots = True
                break
            result.items.append(self.expression())
            if not self.accept(","):
                break
        self.expect("}")
        return result

    def _record(self, loc: Loc) -> ast.Expression:
        result = ast.RecordExpr(loc, [])
        while not self.at("}"):
            if self.accept("..."):
                result.dots = True
                break
            name = self.name("a field's name").text
            self.expect("=")
            result.items.append((name, self.expression()))
            if not self.accept(","):
                break
        self.expect("}")
        return result

    def _postfix(self, base: ast.Expression) -> ast.Expression:
        for _ in range(MAX_CHAIN):
            if self.accept("."):
                if self.token.kind is Kind.KEYWORD and not self.at_name():
                    raise self.unexpected("a member's name")
                name = self.name("a member's name")
                base = ast.MemberExpr(base.loc, base, name.text, name.loc)
            elif self.accept("["):
                base = self._subscript(base)
            elif self.at("("):
                base = ast.CallExpr(base.loc, base, [], self.arguments())
            elif self.at("<") and (types := self._call_types()) is not None:
                base = ast.CallExpr(base.loc, base, types, self.arguments())
            else:
                return base
        raise Failure(self.loc, f"more than {MAX_CHAIN} members in a row: not supported")

    def _subscript(self, base: ast.Expression) -> ast.Expression:
        index = self.expression()
        if self.accept(":"):
            low = self.expression()
            self.expect("]")
            return ast.SliceExpr(base.loc, base, index, low)
        if self._at_plus_colon():
            self.next()
            one = ast.IntLiteral(self.next().loc, 1, None, False)
            above = ast.BinaryExpr(index.loc, "+", index, self.expression(), index.loc)
            self.expect("]")
            return ast.SliceExpr(base.loc, base, ast.BinaryExpr(index.loc, "-", above, one, index.loc), index)
        self.expect("]")
        return ast.IndexExpr(base.loc, base, index)

    def _call_types(self) -> list[ast.TypeRef] | None:
        """Type arguments of a call, None (nothing taken) when `<` is a comparison."""
        mark = self.mark()
        self.next()
        try:
            types = self._type_list()
        except Failure:
            self.reset(mark)
            return None
        if not types or not self.at("("):
            self.reset(mark)
            return None
        return types

    def arguments(self) -> list[ast.Argument]:
        """`(a, name = b, _)`."""
        self.expect("(")
        found: list[ast.Argument] = []
        while not self.at(")"):
            loc = self.loc
            name = None
            if self.at_name() and self.peek().text == "=" and self.peek().kind is Kind.PUNCT:
                name = self.next().text
                self.next()
            if self.token.text == "_" and self.peek().text in (",", ")"):
                self.next()
                found.append(ast.Argument(loc, name, None))
            else:
                found.append(ast.Argument(loc, name, self.expression()))
            if not self.accept(","):
                break
        self.expect(")")
        return found

    # --- key sets ---

    def key_sets(self) -> list[ast.Expression]:
        """Key sets of one select case or entry: one, or several in parentheses."""
        if not self.at("("):
            return [self._key_set()]
        mark = self.mark()
        self.next()
        found = [self._key_set()]
        while self.accept(","):
            if self.at(")"):
                break
            found.append(self._key_set())
        self.expect(")")
        if len(found) == 1 and not self.at(":"):
            # (expression) op … : the parentheses were part of one expression
            self.reset(mark)
            return [self._key_set()]
        return found

    def _key_set(self) -> ast.Expression:
        token = self.token
        if self.accept("default"):
            return ast.DefaultExpr(token.loc)
        if token.text == "_" and token.kind is Kind.NAME:
            self.next()
            return ast.DefaultExpr(token.loc)
        value = self.expression()
        if operator := self.accept("&&&", ".."):
            other = self.expression()
            kind = ast.MaskExpr if operator.text == "&&&" else ast.RangeExpr
            return kind(value.loc, value, other)
        return value
