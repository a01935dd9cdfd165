# SPDX-License-Identifier: Apache-2.0
"""Base of the translation from syntax to IR: names, types, annotations, and where statements go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from softswitch.p4 import ast, ir
from softswitch.p4.annotation_checks import check_annotation
from softswitch.p4.context import Context, Names
from softswitch.p4.errors import Failure
from softswitch.p4.fold import wrap
from softswitch.p4.ir_expr import BoolConst, Const, Expr, Loc, Storage, StringConst, TupleExpr, Var
from softswitch.p4.ir_stmt import Block, Stmt, VarDecl
from softswitch.p4.scopes import DeclSymbol, Scope, Symbol, TypeSymbol, Val
from softswitch.p4.types import (
    BOOL,
    ERROR,
    INF_INT,
    STRING,
    VOID,
    Annotation,
    BitType,
    BoolType,
    EnumType,
    Field,
    HeaderType,
    IntType,
    SerEnumType,
    StackType,
    StructType,
    TupleType,
    Type,
    TypeVar,
    UnionType,
    VarbitType,
)

MAX_WIDTH = 2048
"""Widest bit<> and int<>, as in p4c."""
MAX_VARBIT = 65535 * 8
MAX_STACK = 4096
MAX_FIELDS = 5000
MAX_NAME = 2000
"""Characters of a type's name with its type arguments."""

_BASE_TYPES: dict[str, Type] = {"bool": BOOL, "error": ERROR, "string": STRING, "void": VOID, "int": INF_INT}


@dataclass
class Unit:
    """The parser, control or function being translated.

    `kind`: "parser", "control", "deparser" or "function". `path`: its control-plane name.
    `variables`: declared at its own level. `result`: what a function returns.
    """

    kind: str
    name: str
    path: str
    names: Names = field(default_factory=Names)
    variables: list[VarDecl] = field(default_factory=list)
    actions: list[ir.Action] = field(default_factory=list)
    tables: list[ir.Table] = field(default_factory=list)
    result: Type = VOID
    result_new_type: str | None = None
    in_action: bool = False
    loops: int = 0
    """Loops around the statement being translated."""
    storage: Storage = Storage.UNIT


class Translator:
    """Looks up names and types; the classes above it translate expressions, calls and statements."""

    def __init__(self, context: Context, unit: Unit, scope: Scope) -> None:
        self.context = context
        self.unit = unit
        self.scope = scope
        self.out: list[Stmt] = []

    # --- to be provided above ---

    def translate(self, expression: ast.Expression, expected: Type | None = None) -> Val:
        """An expression's value."""
        raise NotImplementedError

    # --- statements and variables ---

    @contextmanager
    def collecting(self) -> Iterator[list[Stmt]]:
        """Statements made inside go to the yielded list."""
        outer, self.out = self.out, []
        try:
            yield self.out
        finally:
            self.out = outer

    @contextmanager
    def inner_scope(self) -> Iterator[Scope]:
        """A new scope of names inside."""
        self.scope = Scope(self.scope)
        try:
            yield self.scope
        finally:
            assert self.scope.parent is not None
            self.scope = self.scope.parent

    @contextmanager
    def global_scope(self) -> Iterator[None]:
        """Names are looked up at top level inside."""
        outer, self.scope = self.scope, self.context.globals
        try:
            yield
        finally:
            self.scope = outer

    def temporary(self, t: Type, loc: Loc, init: Expr | None = None, name: str = "tmp") -> Var:
        """A fresh local variable, declared here."""
        var = Var(t, self.unit.names.take(name), Storage.LOCAL, loc=loc)
        self.out.append(VarDecl(var.name, t, init, loc=loc))
        return var

    def saved(self, value: Expr) -> Expr:
        """`value` as it is now, whatever the statements after this do."""
        if isinstance(value, Const | BoolConst | StringConst) or self._is_constant(value):
            return value
        if isinstance(value, TupleExpr):  # a list may yet become a struct
            return replace(value, values=tuple(self.saved(v) for v in value.values))
        return self.temporary(value.type, value.loc, value)

    @staticmethod
    def _is_constant(value: Expr) -> bool:
        return type(value).__name__ in ("EnumConst", "ErrorConst", "InvalidHeader")

    @staticmethod
    def block(body: list[Stmt], loc: Loc) -> Block:
        """The statements as a block."""
        return Block(tuple(body), loc=loc)

    # --- names ---

    def find(self, name: str, loc: Loc, absolute: bool = False) -> Symbol:
        """What `name` means. Failure when it means nothing."""
        scope = self.context.globals if absolute else self.scope
        symbol = scope.find(name)
        if symbol is None:
            raise Failure(loc, f"`{name}` is not declared")
        return symbol

    # --- constants ---

    def constant_int(self, expression: ast.Expression, what: str) -> int:
        """The value of a compile-time integer. Failure when it is none."""
        value = self.translate(expression).expr
        if not isinstance(value, Const):
            raise Failure(expression.loc, f"{what} must be a compile-time integer")
        return value.value

    def annotations(self, syntax: list[ast.AnnotationSyntax]) -> tuple[Annotation, ...]:
        """Annotations with their literal values folded."""
        return tuple(self._annotation(a) for a in syntax)

    def _annotation(self, syntax: ast.AnnotationSyntax) -> Annotation:
        values = tuple(v for e in syntax.expressions if (v := self._literal(e)) is not None)
        pairs = tuple((k, v) for k, e in syntax.pairs if (v := self._literal(e)) is not None)
        made = Annotation(syntax.name, values, pairs, " ".join(syntax.tokens), syntax.structured)
        check_annotation(made, syntax.loc)
        return made

    def _literal(self, expression: ast.Expression) -> int | str | bool | None:
        if isinstance(expression, ast.StringLiteral):
            return expression.value
        if isinstance(expression, ast.NameExpr):
            symbol = self.scope.find(expression.name)
            if symbol is None:
                return None
        try:
            value = self.translate(expression).expr
        except Failure:
            return None
        if isinstance(value, Const | BoolConst | StringConst):
            return value.value
        return None

    # --- types ---

    def resolve(self, ref: ast.TypeRef) -> tuple[Type, str | None]:
        """The type that a reference names, and its name if it is a new type. Failure if there is none."""
        if isinstance(ref, ast.SizedTypeRef):
            return self._sized(ref), None
        if isinstance(ref, ast.StackTypeRef):
            return self._stack(ref), None
        if isinstance(ref, ast.TupleTypeRef):
            if ref.base == "list":
                raise Failure(ref.loc, "list<…> types are not supported")
            made = TupleType(tuple(self.resolve(e)[0] for e in ref.elements))
            if _parts_of(made) > MAX_FIELDS:
                raise Failure(ref.loc, f"a tuple of more than {MAX_FIELDS} parts: not supported")
            return made, None
        if isinstance(ref, ast.NamedTypeRef):
            return self._named(ref)
        raise Failure(ref.loc, "not a type")

    def data_type(self, ref: ast.TypeRef) -> tuple[Type, str | None]:
        """Like resolve, for variables and fields: void, string and unlimited int are refused."""
        t, new_type = self.resolve(ref)
        if t in (VOID, STRING, INF_INT):
            raise Failure(ref.loc, f"type {t} cannot be stored")
        return t, new_type

    def _sized(self, ref: ast.SizedTypeRef) -> Type:
        width = 1 if ref.size is None else self.constant_int(ref.size, "a width")
        limit = MAX_VARBIT if ref.base == "varbit" else MAX_WIDTH
        if not 0 <= width <= limit or (width == 0 and ref.base == "int"):
            raise Failure(ref.loc, f"width {width} of {ref.base}<> is not between 0 and {limit}")
        return {"bit": BitType, "int": IntType, "varbit": VarbitType}[ref.base](width)

    def _stack(self, ref: ast.StackTypeRef) -> Type:
        element, _ = self.resolve(ref.element)
        if not isinstance(element, HeaderType | UnionType):
            raise Failure(ref.loc, f"a stack is made of headers or header unions, not of {element}")
        size = self.constant_int(ref.size, "a stack's size")
        if not 1 <= size <= MAX_STACK:
            raise Failure(ref.loc, f"stack size {size} is not between 1 and {MAX_STACK}")
        return StackType(element, size)

    def _named(self, ref: ast.NamedTypeRef) -> tuple[Type, str | None]:
        if ref.name in _BASE_TYPES:
            return _BASE_TYPES[ref.name], None
        symbol = self.find(ref.name, ref.loc, ref.absolute)
        if isinstance(symbol, TypeSymbol):
            return symbol.type, symbol.new_type
        if not isinstance(symbol, DeclSymbol):
            raise Failure(ref.loc, f"`{ref.name}` is no type")
        declaration = symbol.decls[0]
        if isinstance(declaration, ast.FieldsDecl):
            args = [self.resolve(a) for a in ref.args]
            return self._fields_type(declaration, args, ref.loc), None
        if isinstance(declaration, ast.ExternDecl):
            raise Failure(ref.loc, f"`{ref.name}` is an extern: parameters of this type are not supported")
        if ref.args:
            raise Failure(ref.loc, f"`{ref.name}` takes no type arguments")
        if isinstance(declaration, ast.EnumDecl):
            return self._enum_type(declaration), None
        if isinstance(declaration, ast.TypedefDecl):
            return self._typedef(declaration)
        raise Failure(ref.loc, f"`{ref.name}` is no type of data")

    def _typedef(self, declaration: ast.TypedefDecl) -> tuple[Type, str | None]:
        known = self.context.typedefs.get(id(declaration))
        if known is None:
            with self._opened(declaration), self.global_scope():
                t, new_type = self.resolve(declaration.type)
            known = (t, self._new_type(declaration, t)) if declaration.new else (t, new_type)
            self.context.typedefs[id(declaration)] = known
        return known

    def _new_type(self, declaration: ast.TypedefDecl, t: Type) -> str:
        if declaration.name not in self.context.new_types:
            annotations = self.annotations(declaration.annotations)
            made = ir.NewType(declaration.name, t, annotations, loc=declaration.loc)
            self.context.new_types[declaration.name] = made
        return declaration.name

    @contextmanager
    def _opened(self, declaration: ast.Declaration) -> Iterator[None]:
        opened = self.context.open_declarations
        if id(declaration) in opened:
            raise Failure(declaration.loc, f"`{declaration.name}` is defined by itself")
        opened.add(id(declaration))
        self.context.used_declarations.add(id(declaration))
        try:
            yield
        finally:
            opened.discard(id(declaration))

    def _fields_type(
        self, declaration: ast.FieldsDecl, args: list[tuple[Type, str | None]], loc: Loc
    ) -> Type:
        if len(args) != len(declaration.type_params):
            raise Failure(loc, f"`{declaration.name}` takes {len(declaration.type_params)} type arguments")
        key = declaration.name
        if args:
            key += "<" + ", ".join(new or str(t) for t, new in args) + ">"
        if len(key) > MAX_NAME:
            raise Failure(loc, f"`{declaration.name}`: more than {MAX_NAME} characters of type arguments")
        if any(isinstance(t, TypeVar) for t, _ in args):
            raise Failure(loc, "types generic in a type parameter are not supported here")
        known = self.context.types.get(key)
        if known is not None:
            return known
        with self._opened(declaration), self.global_scope(), self.inner_scope() as scope:
            for name, (t, new_type) in zip(declaration.type_params, args, strict=True):
                scope.define(name, TypeSymbol(t, new_type), declaration.loc)
            fields = tuple(self._field(f, declaration) for f in declaration.fields)
        if len(fields) > MAX_FIELDS:
            raise Failure(declaration.loc, f"more than {MAX_FIELDS} fields: not supported")
        names = set()
        for f in declaration.fields:
            if f.name in names:
                raise Failure(f.loc, f"field `{f.name}` is declared twice")
            names.add(f.name)
        kinds = {"header": HeaderType, "struct": StructType, "header_union": UnionType}
        name = key if not args else self.context.names.take(key)
        made = kinds[declaration.kind](name, fields, self.annotations(declaration.annotations))
        self.context.types[key] = made
        return made

    def _field(self, syntax: ast.FieldSyntax, owner: ast.FieldsDecl) -> Field:
        t, new_type = self.data_type(syntax.type)
        allowed: tuple[type[Type], ...] = (Type,)
        if owner.kind == "header":
            allowed = (BitType, IntType, VarbitType, BoolType, SerEnumType, StructType)
        elif owner.kind == "header_union":
            allowed = (HeaderType,)
        if not isinstance(t, allowed):
            raise Failure(syntax.loc, f"field `{syntax.name}`: a {owner.kind} cannot hold {t}")
        return Field(syntax.name, t, self.annotations(syntax.annotations), new_type)

    def _enum_type(self, declaration: ast.EnumDecl) -> Type:
        known = self.context.types.get(declaration.name)
        if known is not None:
            return known
        names = [m.name for m in declaration.members]
        for i, member in enumerate(declaration.members):
            if member.name in names[:i]:
                raise Failure(member.loc, f"member `{member.name}` is declared twice")
        made = self._plain_enum(declaration) if declaration.type is None else self._valued_enum(declaration)
        self.context.types[declaration.name] = made
        return made

    def _plain_enum(self, declaration: ast.EnumDecl) -> Type:
        for member in declaration.members:
            if member.value is not None:
                raise Failure(member.loc, "members have values only in `enum bit<W> …`")
        members = tuple(m.name for m in declaration.members)
        return EnumType(declaration.name, members, self.annotations(declaration.annotations))

    def _valued_enum(self, declaration: ast.EnumDecl) -> Type:
        assert declaration.type is not None
        with self._opened(declaration), self.global_scope():
            underlying, _ = self.resolve(declaration.type)
            if not isinstance(underlying, BitType | IntType):
                raise Failure(declaration.loc, f"an enum cannot be represented as {underlying}")
            members = []
            for member in declaration.members:
                if member.value is None:
                    raise Failure(member.loc, f"member `{member.name}` needs a value")
                value = self.constant_int(member.value, "a member's value")
                if wrap(value, underlying) != value:
                    raise Failure(member.loc, f"value {value} does not fit {underlying}")
                members.append((member.name, value))
        return SerEnumType(
            declaration.name,
            underlying,
            tuple(members),
            self.annotations(declaration.annotations),
            tuple(self.annotations(m.annotations) for m in declaration.members),
        )


def _parts_of(t: Type) -> int:
    """Parts of a type, those of tuples within tuples counted one by one: they are compared one by one."""
    return sum(map(_parts_of, t.elements)) if isinstance(t, TupleType) else 1
