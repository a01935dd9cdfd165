# SPDX-License-Identifier: Apache-2.0
"""Syntax tree of P4_16: what the grammar builds and the translation reads. No meaning yet, only shape."""

from __future__ import annotations

from dataclasses import dataclass, field

from softswitch.p4.ir_expr import Loc


@dataclass
class Syntax:
    """Base of all: where it begins."""

    loc: Loc


@dataclass
class AnnotationSyntax(Syntax):
    """`@name`, `@name(…)` or `@name[…]`; `tokens`: the body as written; `expressions`, `pairs`: as parsed."""

    name: str
    tokens: list[str]
    structured: bool = False
    expressions: list[Expression] = field(default_factory=list)
    pairs: list[tuple[str, Expression]] = field(default_factory=list)


# --- types ----------------------------------------------------------------------------------------


@dataclass
class TypeRef(Syntax):
    """A type as written."""


@dataclass
class NamedTypeRef(TypeRef):
    """A type by name, perhaps with type arguments. Also the base types bool, error, string, void, int, …"""

    name: str
    args: list[TypeRef] = field(default_factory=list)
    absolute: bool = False


@dataclass
class SizedTypeRef(TypeRef):
    """`bit<…>`, `int<…>`, `varbit<…>`; plain `bit` has size None."""

    base: str
    size: Expression | None


@dataclass
class StackTypeRef(TypeRef):
    """`element[size]`."""

    element: TypeRef
    size: Expression


@dataclass
class TupleTypeRef(TypeRef):
    """`tuple<…>` or `list<…>`."""

    base: str
    elements: list[TypeRef]


# --- expressions ----------------------------------------------------------------------------------


@dataclass
class Expression(Syntax):
    """An expression."""


@dataclass
class IntLiteral(Expression):
    """`8w255`: `width` None without prefix; `text` as written."""

    value: int
    width: int | None
    signed: bool
    text: str = ""


@dataclass
class BoolLiteral(Expression):
    """`true`, `false`."""

    value: bool


@dataclass
class StringLiteral(Expression):
    """`"text"`."""

    value: str


@dataclass
class NameExpr(Expression):
    """A name; `absolute` with a leading dot."""

    name: str
    absolute: bool = False


@dataclass
class TypeExpr(Expression):
    """A type where an expression may stand: before `.member`, or as called constructor."""

    type: TypeRef


@dataclass
class MemberExpr(Expression):
    """`base.name`; `at` is where the name stands."""

    base: Expression
    name: str
    at: Loc


@dataclass
class IndexExpr(Expression):
    """`base[index]`."""

    base: Expression
    index: Expression


@dataclass
class SliceExpr(Expression):
    """`base[high:low]`."""

    base: Expression
    high: Expression
    low: Expression


@dataclass
class UnaryExpr(Expression):
    """`op operand`, op one of - + ~ !."""

    op: str
    operand: Expression


@dataclass
class BinaryExpr(Expression):
    """`left op right`, also `++`; `at` is where the operator stands."""

    op: str
    left: Expression
    right: Expression
    at: Loc


@dataclass
class MuxExpr(Expression):
    """`condition ? then : otherwise`."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass
class CastExpr(Expression):
    """`(type) operand`."""

    type: TypeRef
    operand: Expression


@dataclass
class Argument(Syntax):
    """An argument, perhaps named; `value` None for `_`."""

    name: str | None
    value: Expression | None


@dataclass
class CallExpr(Expression):
    """`function<types>(args)`."""

    function: Expression
    types: list[TypeRef]
    args: list[Argument]


@dataclass
class ListExpr(Expression):
    """`{a, b}`; `dots` with a trailing `...`."""

    items: list[Expression]
    dots: bool = False


@dataclass
class RecordExpr(Expression):
    """`{a = x, b = y}`; `dots` with a trailing `...`."""

    items: list[tuple[str, Expression]]
    dots: bool = False


@dataclass
class MaskExpr(Expression):
    """`value &&& mask` in a key set."""

    value: Expression
    mask: Expression


@dataclass
class RangeExpr(Expression):
    """`low .. high` in a key set."""

    low: Expression
    high: Expression


@dataclass
class DefaultExpr(Expression):
    """`default` or `_` in a key set."""


@dataclass
class InvalidExpr(Expression):
    """`{#}`."""


@dataclass
class DotsExpr(Expression):
    """`...`: the default value."""


# --- statements -----------------------------------------------------------------------------------


@dataclass
class Statement(Syntax):
    """A statement."""


@dataclass
class EmptyStatement(Statement):
    """`;`."""


@dataclass
class BlockStatement(Statement):
    """`{ … }`."""

    annotations: list[AnnotationSyntax]
    body: list[Statement]


@dataclass
class AssignStatement(Statement):
    """`target = value`, or `target op= value`."""

    target: Expression
    op: str
    value: Expression


@dataclass
class CallStatement(Statement):
    """A call, its value dropped."""

    call: CallExpr


@dataclass
class IfStatement(Statement):
    """`if (condition) then else otherwise`."""

    condition: Expression
    then: Statement
    otherwise: Statement | None


@dataclass
class SwitchCaseSyntax(Syntax):
    """One label; `body` None falls through to the next."""

    label: Expression
    body: BlockStatement | None


@dataclass
class SwitchStatement(Statement):
    """`switch (value) { … }`."""

    value: Expression
    cases: list[SwitchCaseSyntax]


@dataclass
class ReturnStatement(Statement):
    """`return value`."""

    value: Expression | None


@dataclass
class ExitStatement(Statement):
    """`exit`."""


@dataclass
class DeclarationStatement(Statement):
    """A variable, constant or instance among statements."""

    declaration: Declaration


@dataclass
class ForStatement(Statement):
    """`for (init; condition; update) body`."""

    init: list[Statement]
    condition: Expression
    update: list[Statement]
    body: Statement


@dataclass
class ForInStatement(Statement):
    """`for (type name in collection) body`; `collection` a range or a header stack."""

    variable: VarDeclSyntax
    collection: Expression
    body: Statement


@dataclass
class BreakStatement(Statement):
    """`break`."""


@dataclass
class ContinueStatement(Statement):
    """`continue`."""


# --- declarations ---------------------------------------------------------------------------------


@dataclass
class Declaration(Syntax):
    """Base of what has a name."""

    name: str
    annotations: list[AnnotationSyntax]


@dataclass
class Parameter(Declaration):
    """`direction type name = default`."""

    direction: str
    type: TypeRef
    default: Expression | None


@dataclass
class ConstDecl(Declaration):
    """`const type name = value`."""

    type: TypeRef
    value: Expression


@dataclass
class VarDeclSyntax(Declaration):
    """`type name = init`."""

    type: TypeRef
    init: Expression | None


@dataclass
class InstanceDecl(Declaration):
    """`type(args) name`; `body` when it implements abstract methods."""

    type: TypeRef
    args: list[Argument]
    has_body: bool = False


@dataclass
class FieldSyntax(Declaration):
    """A field of a header, struct or union."""

    type: TypeRef


@dataclass
class FieldsDecl(Declaration):
    """`header`, `struct` or `header_union` (`kind`)."""

    kind: str
    type_params: list[str]
    fields: list[FieldSyntax]


@dataclass
class EnumMember(Declaration):
    """A member, with a value in a serializable enum."""

    value: Expression | None


@dataclass
class EnumDecl(Declaration):
    """`enum`; `type` None without representation."""

    type: TypeRef | None
    members: list[EnumMember]


@dataclass
class ErrorDecl(Declaration):
    """`error { … }` (name "error") or `match_kind { … }`."""

    members: list[Declaration]


@dataclass
class TypedefDecl(Declaration):
    """`typedef type name`, or a new type with `type type name`."""

    type: TypeRef
    new: bool


@dataclass
class CallableDecl(Declaration):
    """Base of what has type parameters and parameters."""

    type_params: list[str]
    params: list[Parameter]


@dataclass
class MethodDecl(CallableDecl):
    """A method or constructor (result None) of an extern, or an extern function."""

    result: TypeRef | None
    abstract: bool = False


@dataclass
class ExternDecl(Declaration):
    """`extern name<…> { methods }`."""

    type_params: list[str]
    methods: list[MethodDecl]


@dataclass
class ActionDecl(CallableDecl):
    """`action`."""

    body: BlockStatement


@dataclass
class FunctionDecl(CallableDecl):
    """A function with a body."""

    result: TypeRef
    body: BlockStatement


@dataclass
class StateDecl(Declaration):
    """A parser state; `transition`: None (reject), a name, or a select."""

    body: list[Statement]
    transition: str | SelectSyntax | None


@dataclass
class SelectCaseSyntax(Syntax):
    """`keys: target`."""

    keys: list[Expression]
    target: str


@dataclass
class SelectSyntax(Syntax):
    """`select (values) { cases }`."""

    values: list[Expression]
    cases: list[SelectCaseSyntax]


@dataclass
class ValueSetDecl(Declaration):
    """`value_set<type>(size) name`."""

    type: TypeRef
    size: Expression


@dataclass
class ParserDecl(CallableDecl):
    """`parser`; `states` None for a type declaration."""

    constructor_params: list[Parameter]
    locals: list[Declaration]
    states: list[StateDecl] | None


@dataclass
class ControlDecl(CallableDecl):
    """`control`; `body` None for a type declaration."""

    constructor_params: list[Parameter]
    locals: list[Declaration]
    body: BlockStatement | None


@dataclass
class PackageDecl(CallableDecl):
    """`package`."""


@dataclass
class KeyElement(Syntax):
    """`expression : match @annotations`."""

    expression: Expression
    match: str
    annotations: list[AnnotationSyntax]


@dataclass
class ActionElement(Syntax):
    """An action in a table's list; `args` None without parentheses."""

    name: str
    absolute: bool
    args: list[Argument] | None
    annotations: list[AnnotationSyntax]


@dataclass
class EntrySyntax(Syntax):
    """`const priority=n : keys : action @annotations`."""

    const: bool
    priority: Expression | None
    keys: list[Expression]
    action: Expression
    annotations: list[AnnotationSyntax]


@dataclass
class PropertySyntax(Syntax):
    """A table property that is an expression, `const name = value`: default_action, size, …"""

    name: str
    const: bool
    value: Expression
    annotations: list[AnnotationSyntax]


@dataclass
class TableDecl(Declaration):
    """`table`; `keys`, `actions`, `entries` None where the property is absent."""

    keys: list[KeyElement] | None
    actions: list[ActionElement] | None
    entries: list[EntrySyntax] | None
    const_entries: bool
    properties: list[PropertySyntax]
