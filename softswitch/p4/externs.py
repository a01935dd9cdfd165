# SPDX-License-Identifier: Apache-2.0
"""Instances of v1model's externs: constructor arguments checked and folded."""

from __future__ import annotations

from collections.abc import Sequence

from softswitch.p4 import ast, ir
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import Const, EnumConst, Expr, Loc
from softswitch.p4.scopes import DeclSymbol, ExternSymbol, TypeSymbol
from softswitch.p4.tables import TableTranslator
from softswitch.p4.types import Annotation, BitType, BoolType, IntType, SerEnumType, find_annotation

MAX_INSTANCES = 0x7FFFFFFF
"""Most cells of a counter, meter or register."""

SUPPORTED = frozenset(
    (
        "Checksum16",
        "action_profile",
        "action_selector",
        "counter",
        "direct_counter",
        "direct_meter",
        "meter",
        "register",
    )
)


class ExternTranslator(TableTranslator):
    """Makes extern instances."""

    def extern_instance(
        self,
        declaration: ast.ExternDecl,
        type_args: Sequence[ast.TypeRef],
        args: Sequence[ast.Argument],
        cp_name: str,
        annotations: tuple[Annotation, ...],
        loc: Loc,
    ) -> ExternSymbol:
        """An instance of an extern type, added to the program."""
        kind = declaration.name
        if kind not in SUPPORTED:
            raise Failure(loc, f"extern `{kind}` is not part of v1model: not supported")
        bound = self._extern_types(declaration, type_args, loc)
        constructor = self._constructor(declaration, len(args), loc)
        params = self.param_infos(constructor.params, bound)
        values = [a.value for a in self.bind(params, args, bound, loc, f"`{kind}`")]
        for value in values:
            if not self.is_constant(value):
                raise Failure(value.loc, f"arguments of `{kind}` must be compile-time constants")
        name = self.context.names.take(cp_name.replace(".", "_"))
        self.context.externs.append(self._make(kind, name, cp_name, values, bound, annotations, loc))
        return ExternSymbol(name, declaration, bound)

    def _extern_types(
        self, declaration: ast.ExternDecl, type_args: Sequence[ast.TypeRef], loc: Loc
    ) -> dict[str, TypeSymbol]:
        if len(type_args) != len(declaration.type_params):
            wanted = len(declaration.type_params)
            raise Failure(
                loc, f"`{declaration.name}` takes {wanted} type arguments, {len(type_args)} are given"
            )
        resolved = [TypeSymbol(*self.resolve(a)) for a in type_args]
        return dict(zip(declaration.type_params, resolved, strict=True))

    @staticmethod
    def _constructor(declaration: ast.ExternDecl, count: int, loc: Loc) -> ast.MethodDecl:
        for method in declaration.methods:
            if method.result is None and len(method.params) == count:
                return method
        raise Failure(loc, f"`{declaration.name}` has no constructor with {count} arguments")

    def _make(
        self,
        kind: str,
        name: str,
        cp_name: str,
        values: list[Expr],
        bound: dict[str, TypeSymbol],
        annotations: tuple[Annotation, ...],
        loc: Loc,
    ) -> ir.Extern:
        numbers = [v.value for v in values if isinstance(v, Const)]
        members = [v.member for v in values if isinstance(v, EnumConst)]
        if any(not 0 <= n <= MAX_INSTANCES for n in numbers):
            raise Failure(loc, f"sizes must be between 0 and {MAX_INSTANCES}")
        index = bound["I"].new_type if "I" in bound else None
        if kind in ("counter", "meter"):
            made = ir.Counter if kind == "counter" else ir.Meter
            return made(
                name, cp_name, numbers[0], ir.Unit(members[0]), index, annotations=annotations, loc=loc
            )
        if kind == "direct_counter":
            return ir.DirectCounter(name, cp_name, ir.Unit(members[0]), "", annotations=annotations, loc=loc)
        if kind == "direct_meter":
            t = bound["T"].type
            return ir.DirectMeter(name, cp_name, ir.Unit(members[0]), "", t, annotations=annotations, loc=loc)
        if kind == "register":
            element = bound["T"]
            if not isinstance(element.type, BitType | IntType | BoolType | SerEnumType):
                raise Failure(loc, f"a register of {element.type} is not supported: only numbers and bool")
            return ir.Register(
                name,
                cp_name,
                element.type,
                numbers[0],
                index,
                element.new_type,
                annotations=annotations,
                loc=loc,
            )
        if kind == "action_profile":
            return ir.ActionProfile(name, cp_name, numbers[0], (), annotations=annotations, loc=loc)
        if kind == "action_selector":
            size, width = numbers
            return ir.ActionSelector(
                name, cp_name, members[0], size, width, (), annotations=annotations, loc=loc
            )
        return ir.Checksum16(name, cp_name, annotations=annotations, loc=loc)

    def inline_extern(
        self, call: ast.CallExpr, table_cp_name: str, given: ast.PropertySyntax
    ) -> ExternSymbol | None:
        """The extern instance that a table property constructs in place; it is named after the table."""
        entity = self.entity(call.function)
        if not isinstance(entity, DeclSymbol) or not isinstance(entity.decls[0], ast.ExternDecl):
            raise Failure(call.loc, f"`{given.name}` needs an extern instance")
        type_args = list(call.types)
        if isinstance(call.function, ast.TypeExpr) and isinstance(call.function.type, ast.NamedTypeRef):
            type_args = call.function.type.args or type_args
        annotations = self.annotations(given.annotations)
        name = find_annotation(annotations, "name")
        cp_name = str(name.values[0]) if name is not None and name.values else table_cp_name
        return self.extern_instance(entity.decls[0], type_args, call.args, cp_name, annotations, call.loc)
