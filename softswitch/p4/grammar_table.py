# SPDX-License-Identifier: Apache-2.0
"""Grammar of tables."""

from __future__ import annotations

from softswitch.p4 import ast
from softswitch.p4.errors import Failure
from softswitch.p4.grammar_expr import ExpressionGrammar
from softswitch.p4.ir_expr import Loc


class TableGrammar(ExpressionGrammar):
    """Recursive descent for `table` declarations."""

    def table(self, annotations: list[ast.AnnotationSyntax]) -> ast.TableDecl:
        """`table name { properties }`."""
        self.expect("table")
        name = self.name("the table's name")
        result = ast.TableDecl(name.loc, name.text, annotations, None, None, None, False, [])
        self.expect("{")
        while not self.at("}"):
            self._property(result)
        self.expect("}")
        return result

    def _property(self, table: ast.TableDecl) -> None:
        annotations = self.annotations()
        loc = self.loc
        const = self.accept("const") is not None
        word = self.name("a table property").text
        self.expect("=")
        if word == "key" and not const:
            self._once(loc, word, table.keys)
            table.keys = self._keys()
        elif word == "actions" and not const:
            self._once(loc, word, table.actions)
            table.actions = self._actions()
        elif word == "entries":
            self._once(loc, word, table.entries)
            table.entries = self._entries()
            table.const_entries = const
        else:
            if any(p.name == word for p in table.properties):
                raise Failure(loc, f"table property `{word}` given twice")
            table.properties.append(ast.PropertySyntax(loc, word, const, self.expression(), annotations))
            self.expect(";")

    @staticmethod
    def _once(loc: Loc, word: str, present: object) -> None:
        if present is not None:
            raise Failure(loc, f"table property `{word}` given twice")

    def _keys(self) -> list[ast.KeyElement]:
        self.expect("{")
        found = []
        while not self.at("}"):
            loc = self.loc
            expression = self.expression()
            self.expect(":")
            match = self.name("a match kind").text
            found.append(ast.KeyElement(loc, expression, match, self.annotations()))
            self.expect(";")
        self.expect("}")
        self.accept(";")
        return found

    def _actions(self) -> list[ast.ActionElement]:
        self.expect("{")
        found = []
        while not self.at("}"):
            annotations = self.annotations()
            absolute = self.accept(".") is not None
            name = self.name("an action's name")
            args = self.arguments() if self.at("(") else None
            found.append(ast.ActionElement(name.loc, name.text, absolute, args, annotations))
            self.expect(";")
        self.expect("}")
        self.accept(";")
        return found

    def _entries(self) -> list[ast.EntrySyntax]:
        self.expect("{")
        found = []
        while not self.at("}"):
            loc = self.loc
            const = self.accept("const") is not None
            priority: ast.Expression | None = None
            if self.at("priority") and self.peek().text == "=":
                self.next()
                self.next()
                priority = self.expression()
                self.expect(":")
            keys = self.key_sets()
            self.expect(":")
            action = self.expression()
            found.append(ast.EntrySyntax(loc, const, priority, keys, action, self.annotations()))
            self.expect(";")
        self.expect("}")
        self.accept(";")
        return found
