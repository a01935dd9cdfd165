# SPDX-License-Identifier: Apache-2.0
"""Key sets and table entries (P4_16 sections 8.15 and 14.2.1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from softswitch.p4 import ast
from softswitch.p4.errors import Failure
from softswitch.p4.fold import wrap
from softswitch.p4.ir import ActionCallConst, ActionRef, Entry, Key, MatchKind
from softswitch.p4.ir_expr import BoolConst, Const, Expr, KeyAny, KeyMask, KeyRange, KeySet, KeyValue
from softswitch.p4.ir_stmt import Arg, Direction
from softswitch.p4.scopes import ActionSymbol, Val
from softswitch.p4.statements import StatementTranslator
from softswitch.p4.types import BitType, IntType, SerEnumType, Type, find_annotation

MAX_ENTRIES = 65536
MAX_PRIORITY = 0x7FFFFFFF
PRIORITISED = (MatchKind.TERNARY, MatchKind.RANGE, MatchKind.OPTIONAL)
"""Match kinds that give a table's entries priorities."""


@dataclass(frozen=True)
class TableShape:
    """What entries are checked against: keys, actions by source name, references by IR name."""

    keys: tuple[Key, ...]
    symbols: dict[str, ActionSymbol] = field(compare=False)
    refs: dict[str, ActionRef] = field(compare=False)
    given: dict[str, tuple[Arg, ...]] = field(compare=False)
    """Directed arguments as written, by the action's source name."""


class EntryTranslator(StatementTranslator):
    """Key sets of selects and entries, and calls of actions with constants."""

    def key_set(self, expression: ast.Expression, t: Type, new_type: str | None) -> KeySet:
        """A key set over type `t`, all of it constant."""
        if isinstance(expression, ast.DefaultExpr):
            return KeyAny()
        if isinstance(expression, ast.ListExpr) and len(expression.items) == 1 and not expression.dots:
            expression = expression.items[0]
        if isinstance(expression, ast.MaskExpr):
            value, mask = (self._key_number(e, t) for e in (expression.value, expression.mask))
            return KeyMask(value & mask, mask)
        if isinstance(expression, ast.RangeExpr):
            low, high = (self._key_number(e, t) for e in (expression.low, expression.high))
            if isinstance(t, IntType):
                low, high = wrap(low, t), wrap(high, t)
            if low > high:
                raise Failure(expression.loc, f"range {low} .. {high} is empty")
            return KeyRange(low, high)
        with self.collecting() as extra:
            value_expr = self.value(expression, t, new_type)
        if extra or not self.is_constant(value_expr):
            raise Failure(expression.loc, "a key set must be a compile-time constant")
        return KeyValue(value_expr)

    def _key_number(self, expression: ast.Expression, t: Type) -> int:
        number = t.underlying if isinstance(t, SerEnumType) else t
        if not isinstance(number, BitType | IntType):
            raise Failure(expression.loc, f"masks and ranges need numbers, not {t}")
        value = self.translate(expression, number)
        if isinstance(value.type, SerEnumType):
            value = Val(self.cast_expr(value.expr, value.type.underlying, expression.loc))
        converted = self.convert(Val(value.expr), number, None, expression.loc)
        if not isinstance(converted, Const):
            raise Failure(expression.loc, "a key set must be a compile-time constant")
        return converted.value & ((1 << number.width) - 1)

    # --- actions with constants ---

    def constant_call(self, expression: ast.Expression, shape: TableShape) -> ActionCallConst:
        """`action(constants)` of a default action or entry; the action must be in the table's list."""
        args: list[ast.Argument] = []
        name_expr = expression
        if isinstance(expression, ast.CallExpr):
            name_expr, args = expression.function, expression.args
        if not isinstance(name_expr, ast.NameExpr):
            raise Failure(expression.loc, "expected an action")
        symbol = shape.symbols.get(name_expr.name)
        if symbol is None:
            raise Failure(expression.loc, f"action `{name_expr.name}` is not in the table's list")
        plain = [p for p in symbol.params if p.direction is Direction.NONE]
        directed = [p for p in symbol.params if p.direction is not Direction.NONE]
        if directed:
            if len(args) != len(symbol.params):
                raise Failure(expression.loc, f"action `{name_expr.name}` needs all its arguments here")
            pairs = list(zip(args, symbol.params, strict=True))
            given = [a for a, p in pairs if p.direction is not Direction.NONE]
            what = f"action `{name_expr.name}`"
            if tuple(self.bind(directed, given, {}, expression.loc, what)) != shape.given[name_expr.name]:
                raise Failure(expression.loc, "the action's arguments differ from those in the table's list")
            args = [a for a, p in pairs if p.direction is Direction.NONE]
        with self.collecting() as extra:
            bound = self.bind(plain, args, {}, expression.loc, f"action `{name_expr.name}`")
        for arg in bound:
            if extra or not self.is_constant(arg.value):
                raise Failure(arg.value.loc, "arguments here must be compile-time constants")
        return ActionCallConst(symbol.action.name, tuple(a.value for a in bound), loc=expression.loc)

    # --- entries ---

    def entries(
        self, table: ast.TableDecl, shape: TableShape, properties: dict[str, ast.PropertySyntax]
    ) -> tuple[Entry, ...]:
        """The program's entries, P4Runtime priorities given."""
        if not table.entries:
            return ()
        if len(table.entries) > MAX_ENTRIES:
            raise Failure(table.loc, f"more than {MAX_ENTRIES} entries: not supported")
        if not shape.keys:
            raise Failure(table.entries[0].loc, "a table without keys has no entries")
        priorities = self._priorities(table, shape, properties)
        return tuple(
            self._entry(syntax, shape, priority, table.const_entries)
            for syntax, priority in zip(table.entries, priorities, strict=True)
        )

    def _priorities(
        self, table: ast.TableDecl, shape: TableShape, properties: dict[str, ast.PropertySyntax]
    ) -> list[int]:
        """P4Runtime priorities (larger wins) of the entries (P4_16 section 14.2.1.4)."""
        entries = table.entries or []
        given = [e for e in entries if e.priority is not None]
        annotated = [self._annotated_priority(e) for e in entries]
        if any(annotated) and not given and any(k.match in PRIORITISED for k in shape.keys):
            # p4c's own annotation, from before the language had priorities: the smallest wins, and an entry
            # without it has its place in the list
            ranks = [given or place for place, given in enumerate(annotated, start=1)]
            return [max(ranks) + 1 - rank for rank in ranks]
        if given and table.const_entries:
            raise Failure(given[0].loc, "`const entries` cannot have priorities")
        if not any(k.match in PRIORITISED for k in shape.keys):
            if given:
                raise Failure(given[0].loc, "this table's match kinds know no priorities")
            return [0] * len(entries)
        largest_wins = self.flag(properties.get("largest_priority_wins"), default=True)
        delta = properties.get("priority_delta")
        step = 1 if delta is None or table.const_entries else self.constant_int(delta.value, "priority_delta")
        if step < 1:
            raise Failure(entries[0].loc, "priority_delta must be positive")
        if not given:
            return [(len(entries) - i - 1) * step + 1 for i in range(len(entries))]
        return self._given_priorities(entries, step, largest_wins)

    def _annotated_priority(self, entry: ast.EntrySyntax) -> int:
        found = find_annotation(self.annotations(entry.annotations), "priority")
        if found is None:
            return 0
        value = found.values[0] if len(found.values) == 1 else None
        if not isinstance(value, int) or not 1 <= value <= MAX_PRIORITY:
            raise Failure(entry.loc, f"@priority takes a number between 1 and {MAX_PRIORITY}")
        return value

    def _given_priorities(self, entries: list[ast.EntrySyntax], step: int, largest_wins: bool) -> list[int]:
        if entries[0].priority is None:
            raise Failure(entries[0].loc, "the first entry needs a priority, since others have one")
        found: list[int] = []
        for e in entries:
            if e.priority is not None:
                found.append(self.constant_int(e.priority, "a priority"))
            else:
                found.append(found[-1] - step if largest_wins else found[-1] + step)
            if not 1 <= found[-1] <= MAX_PRIORITY:
                raise Failure(e.loc, f"priority {found[-1]} is not between 1 and {MAX_PRIORITY}")
        return found if largest_wins else [max(found) + 1 - p for p in found]

    def flag(self, given: ast.PropertySyntax | None, *, default: bool = False) -> bool:
        """A table property that is true or false."""
        if given is None:
            return default
        value = self.translate(given.value).expr
        if not isinstance(value, BoolConst):
            raise Failure(given.loc, f"`{given.name}` must be true or false")
        return value.value

    def _entry(self, syntax: ast.EntrySyntax, shape: TableShape, priority: int, const: bool) -> Entry:
        expressions = syntax.keys
        if len(expressions) == 1 and len(shape.keys) > 1 and isinstance(expressions[0], ast.DefaultExpr):
            expressions = expressions * len(shape.keys)
        if len(expressions) != len(shape.keys):
            raise Failure(
                syntax.loc, f"the entry has {len(expressions)} key sets, the table {len(shape.keys)} keys"
            )
        keys = tuple(self._entry_key(e, k) for e, k in zip(expressions, shape.keys, strict=True))
        action = self.constant_call(syntax.action, shape)
        if shape.refs[action.action].default_only:
            raise Failure(syntax.loc, "a @defaultonly action cannot stand in an entry")
        annotations = self.annotations(syntax.annotations)
        return Entry(keys, action, priority, const or syntax.const, annotations, loc=syntax.loc)

    def _entry_key(self, expression: ast.Expression, key: Key) -> KeySet:
        made = self.key_set(expression, key.expr.type, key.type_name)
        everything = (1 << key.width) - 1
        match = key.match
        allowed: tuple[type[object], ...] = {
            MatchKind.EXACT: (KeyValue,),
            MatchKind.OPTIONAL: (KeyValue, KeyAny),
            MatchKind.LPM: (KeyValue, KeyMask, KeyAny),
            MatchKind.TERNARY: (KeyValue, KeyMask, KeyAny),
            MatchKind.RANGE: (KeyValue, KeyRange, KeyAny),
        }[match]
        if not isinstance(made, allowed):
            raise Failure(expression.loc, f"this key set does not fit a key with match kind {match.value}")
        if match is MatchKind.LPM and isinstance(made, KeyMask):
            inverted = ~made.mask & everything
            if inverted & (inverted + 1):
                raise Failure(expression.loc, f"mask 0x{made.mask:x} is no prefix")
        if match in (MatchKind.LPM, MatchKind.TERNARY, MatchKind.RANGE) and isinstance(made, KeyValue):
            number = as_number(made.value, key.width)
            return KeyRange(number, number) if match is MatchKind.RANGE else KeyMask(number, everything)
        return made


def as_number(value: Expr, width: int) -> int:
    """The bits of a constant."""
    number = getattr(value, "value", 0)
    return int(number) & ((1 << width) - 1)
