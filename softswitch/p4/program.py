# SPDX-License-Identifier: Apache-2.0
"""From declarations to the program: the global scope, `main`, and what hangs on it."""

from __future__ import annotations

from dataclasses import replace

from softswitch.p4 import ast, ir
from softswitch.p4.blocks import BlockTranslator
from softswitch.p4.context import Context
from softswitch.p4.errors import Failure
from softswitch.p4.ir_expr import Loc
from softswitch.p4.ir_stmt import Direction
from softswitch.p4.scopes import BlockSymbol, DeclSymbol, ParamInfo
from softswitch.p4.translator import Unit
from softswitch.p4.types import (
    EnumType,
    FieldsType,
    SerEnumType,
    StackType,
    StructType,
    TupleType,
    Type,
)

PACKAGE = "V1Switch"
_ROLES = ("parser", "verify_checksum", "ingress", "egress", "compute_checksum", "deparser")


def declare(context: Context, declarations: list[ast.Declaration]) -> None:
    """Fills the global scope, the errors and the match kinds."""
    for declaration in declarations:
        try:
            _declare(context, declaration)
        except Failure as failure:
            context.diagnostics.failed(failure)


def _declare(context: Context, declaration: ast.Declaration) -> None:
    if isinstance(declaration, ast.ErrorDecl):
        known = context.errors if declaration.name == "error" else context.match_kinds
        for member in declaration.members:
            if member.name in known:
                raise Failure(member.loc, f"`{member.name}` is declared twice")
            known.append(member.name)
        return
    present = context.globals.names.get(declaration.name)
    if isinstance(present, DeclSymbol) and isinstance(declaration, ast.MethodDecl | ast.FunctionDecl):
        first = present.decls[0]
        if isinstance(first, ast.MethodDecl | ast.FunctionDecl):
            context.globals.names[declaration.name] = DeclSymbol((*present.decls, declaration))
            return
    context.globals.define(declaration.name, DeclSymbol((declaration,)), declaration.loc)


class ProgramTranslator(BlockTranslator):
    """Translates `main` and, for their errors, the declarations that nothing uses."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Unit("control", "", ""), context.globals)

    def instances(self, declarations: list[ast.Declaration]) -> None:
        """Types and constants for their errors; top-level extern instances."""
        for declaration in declarations:
            try:
                self._top_level(declaration)
            except Failure as failure:
                self.context.diagnostics.failed(failure)

    def _top_level(self, declaration: ast.Declaration) -> None:
        if (isinstance(declaration, ast.FieldsDecl) and not declaration.type_params) or isinstance(
            declaration, ast.EnumDecl | ast.TypedefDecl
        ):
            self.resolve(ast.NamedTypeRef(declaration.loc, declaration.name))
        elif isinstance(declaration, ast.ConstDecl):
            self.translate(ast.NameExpr(declaration.loc, declaration.name))
        elif isinstance(declaration, ast.InstanceDecl) and not self._is_package(declaration):
            annotations = self.annotations(declaration.annotations)
            symbol = self.instance(declaration, self.cp_name(declaration, annotations), annotations)
            self.context.globals.names[declaration.name] = symbol

    def _is_package(self, declaration: ast.InstanceDecl) -> bool:
        if not isinstance(declaration.type, ast.NamedTypeRef):
            return False
        return isinstance(self.context.declaration(declaration.type.name), ast.PackageDecl)

    def program(self, name: str, declarations: list[ast.Declaration], end: Loc) -> ir.Program:
        """The whole program, which ends at `end`. Failure when `main` is missing or not a V1Switch."""
        mains = [d for d in declarations if isinstance(d, ast.InstanceDecl) and self._is_package(d)]
        main = next((d for d in mains if d.name == "main"), None)
        if main is None:
            raise Failure(end, f"the program has no `main`: {PACKAGE}(…) main;")
        package = main.type
        if not isinstance(package, ast.NamedTypeRef) or package.name != PACKAGE:
            raise Failure(main.loc, f"only the package {PACKAGE} of v1model is supported")
        declared = self.context.declaration(PACKAGE)
        assert isinstance(declared, ast.PackageDecl)
        if len(declared.params) != len(_ROLES):
            raise Failure(main.loc, f"{PACKAGE} must have {len(_ROLES)} parameters")
        infos = [ParamInfo(p.name, StructType("", ()), None, Direction.NONE) for p in declared.params]
        args = self.match(infos, main.args, main.loc, PACKAGE)
        blocks = {role: self._role(role, arg) for role, arg in zip(_ROLES, args, strict=True)}
        self.context.diagnostics.raise_if_errors()
        headers, metadata, standard = self._check_roles(blocks)
        return self._assemble(name, main, blocks, (headers, metadata, standard))

    def check_unused(self, declarations: list[ast.Declaration]) -> None:
        """Translates, for their errors alone, the callable things that nothing uses."""
        used = self.context.used_declarations
        shadow = ProgramTranslator(self.context.shadow())
        for declaration in declarations:
            if id(declaration) in used or getattr(declaration, "type_params", None):
                continue
            try:
                shadow.check(declaration)
            except Failure as failure:
                self.context.diagnostics.failed(failure)

    def check(self, declaration: ast.Declaration) -> None:
        """Translates one declaration. Failure when it is wrong."""
        if isinstance(declaration, ast.ActionDecl):
            self.top_action(declaration)
        elif isinstance(declaration, ast.FunctionDecl):
            self.monomorph(declaration, {}, declaration.loc)
        elif isinstance(declaration, ast.ControlDecl | ast.ParserDecl):
            body = declaration.body if isinstance(declaration, ast.ControlDecl) else declaration.states
            emits = any(self.packet_kind(p.type) == "packet_out" for p in declaration.params)
            if body is not None and not declaration.constructor_params:
                kind = "deparser" if emits else ""
                self.instantiate(declaration, [], [], declaration.name, declaration.loc, kind)

    def _role(self, role: str, arg: ast.Argument) -> BlockSymbol:
        value = arg.value
        if isinstance(value, ast.CallExpr):
            entity = self.entity(value.function)
            first = entity.decls[0] if isinstance(entity, DeclSymbol) else None
            if isinstance(first, ast.ControlDecl | ast.ParserDecl):
                refs = value.types
                if isinstance(value.function, ast.TypeExpr) and isinstance(
                    value.function.type, ast.NamedTypeRef
                ):
                    refs = value.function.type.args or refs
                kind = "deparser" if role == "deparser" else ""
                return self.instantiate(first, refs, value.args, first.name, arg.loc, kind)
        raise Failure(
            arg.loc, f"expected the constructor call of a {'parser' if role == 'parser' else 'control'}"
        )

    def _check_roles(self, blocks: dict[str, BlockSymbol]) -> tuple[StructType, StructType, StructType]:
        """The types of headers, metadata and standard metadata; every block must agree on them."""
        shapes = {
            "parser": ("packet", "H", "M", "S"),
            "verify_checksum": ("H", "M"),
            "ingress": ("H", "M", "S"),
            "egress": ("H", "M", "S"),
            "compute_checksum": ("H", "M"),
            "deparser": ("packet", "H"),
        }
        directions = {"parser": {"H": "out"}, "deparser": {"H": "in"}}
        standard = self.resolve(ast.NamedTypeRef(Loc("", 0, 0), "standard_metadata_t"))[0]
        found: dict[str, Type] = {"S": standard}
        for role, shape in shapes.items():
            symbol = blocks[role]
            where = symbol.decl.loc
            if isinstance(symbol.decl, ast.ParserDecl) != (role == "parser"):
                raise Failure(where, f"{PACKAGE}: `{symbol.decl.name}` cannot be the {role}")
            if len(symbol.params) != len(shape):
                raise Failure(where, f"{PACKAGE}: the {role} must have {len(shape)} parameters")
            for info, wanted, p in zip(symbol.params, shape, symbol.decl.params, strict=True):
                if info.packet or wanted == "packet":
                    if not (info.packet and wanted == "packet"):
                        raise Failure(
                            p.loc, f"{PACKAGE}: parameter `{p.name}` of the {role} has a wrong type"
                        )
                    continue
                direction = directions.get(role, {}).get(wanted, "inout")
                if info.direction.value != direction:
                    raise Failure(p.loc, f"{PACKAGE}: parameter `{p.name}` of the {role} must be {direction}")
                if found.setdefault(wanted, info.type) != info.type:
                    raise Failure(p.loc, f"{PACKAGE}: `{p.name}` is {info.type}, elsewhere {found[wanted]}")
        headers, metadata = found["H"], found["M"]
        if not (isinstance(headers, StructType) and isinstance(metadata, StructType)):
            raise Failure(blocks["parser"].decl.loc, "headers and metadata must be structs")
        assert isinstance(standard, StructType)
        return headers, metadata, standard

    def _assemble(
        self,
        name: str,
        main: ast.InstanceDecl,
        blocks: dict[str, BlockSymbol],
        types: tuple[StructType, StructType, StructType],
    ) -> ir.Program:
        context = self.context
        headers, metadata, standard = types
        roles = {role: symbol.block.name for role, symbol in blocks.items()}
        return ir.Program(
            name,
            self._ordered_types(),
            tuple(context.errors),
            tuple(context.functions),
            tuple(context.actions),
            tuple(self._with_tables(e) for e in context.externs),
            tuple(context.digests),
            tuple(context.value_sets),
            tuple(context.parsers),
            tuple(context.controls),
            roles["parser"],
            roles["verify_checksum"],
            roles["ingress"],
            roles["egress"],
            roles["compute_checksum"],
            roles["deparser"],
            headers,
            metadata,
            standard,
            tuple(context.new_types.values()),
            self.annotations(main.annotations),
            loc=main.loc,
        )

    def _with_tables(self, extern: ir.Extern) -> ir.Extern:
        tables = self.context.attached.get(extern.name, [])
        if isinstance(extern, ir.DirectCounter | ir.DirectMeter):
            return replace(extern, table=tables[0] if tables else "")
        if isinstance(extern, ir.ActionProfile | ir.ActionSelector):
            return replace(extern, tables=tuple(tables))
        return extern

    def _ordered_types(self) -> tuple[Type, ...]:
        """Named types, each after those it is made of."""
        found: dict[str, Type] = {}

        def visit(t: Type) -> None:
            if isinstance(t, StackType):
                visit(t.element)
            elif isinstance(t, TupleType):
                for e in t.elements:
                    visit(e)
            elif isinstance(t, FieldsType) and t.name not in found:
                for f in t.fields:
                    visit(f.type)
                found[t.name] = t
            elif isinstance(t, EnumType | SerEnumType):
                found.setdefault(t.name, t)

        for t in self.context.types.values():
            visit(t)
        return tuple(found.values())
