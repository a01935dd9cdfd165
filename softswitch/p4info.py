# SPDX-License-Identifier: Apache-2.0
"""P4Info from the IR: object for object what p4c gives for the same program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from finsy.proto import p4i

from softswitch.p4 import ir
from softswitch.p4.errors import Diagnostic, P4Error
from softswitch.p4.field_ids import explicit_id, field_ids
from softswitch.p4.ir_expr import BoolConst, Const, Expr
from softswitch.p4.reachable import Reachable, reachable
from softswitch.p4.types import Annotation, EnumType, Field, FieldsType, HeaderType, find_annotation, width_of
from softswitch.p4info_annotations import annotate, document
from softswitch.p4info_symbols import Aliases, Prefix, assign_ids
from softswitch.p4info_types import TypeInfo, as_bytes, field_name

_MATCH = {
    ir.MatchKind.EXACT: p4i.MatchField.EXACT,
    ir.MatchKind.LPM: p4i.MatchField.LPM,
    ir.MatchKind.TERNARY: p4i.MatchField.TERNARY,
    ir.MatchKind.RANGE: p4i.MatchField.RANGE,
    ir.MatchKind.OPTIONAL: p4i.MatchField.OPTIONAL,
}
_PROFILE_ANNOTATIONS = ("max_group_size", "selector_size_semantics", "max_member_weight")


def build_p4info(program: ir.Program) -> p4i.P4Info:
    """The program's P4Info. P4Error when an @id is taken twice or has a wrong prefix."""
    return _Builder(program, layout=False).build()


def build_layout(program: ir.Program) -> p4i.P4Info:
    """The same objects as the data plane holds them: with what the program hides from the control plane
    (`@hidden`), and with the program's widths where the control plane sees others
    (`@p4runtime_translation`). Errors as `build_p4info`."""
    return _Builder(program, layout=True).build()


class _Builder:
    def __init__(self, program: ir.Program, *, layout: bool) -> None:
        self._program = program
        self._layout = layout
        self._live: Reachable = reachable(program)
        self._message = p4i.P4Info()
        self._types = TypeInfo(program, self._message.type_info, layout=layout)
        self._actions = program.all_actions()
        self._tables = {t.name: t for t in self._live.tables}
        self._headers = [
            t
            for t in program.types
            if isinstance(t, HeaderType) and find_annotation(t.annotations, "controller_header")
        ]
        self._externs = {e.name: e for e in self._live.externs}
        symbols = self._symbols()
        try:
            self._ids = assign_ids(symbols)
        except ValueError as error:
            place = program.loc
            raise P4Error([Diagnostic(place.file, place.line, place.column, str(error))]) from error
        self._aliases = Aliases({name for names in symbols.values() for name in names})

    def _symbols(self) -> dict[Prefix, dict[str, int | None]]:
        found: dict[Prefix, dict[str, int | None]] = {kind: {} for kind in Prefix}
        for a in self._live.actions:
            found[Prefix.ACTION].setdefault(a.cp_name, explicit_id(a.annotations))
        for t in self._live.tables:
            found[Prefix.TABLE].setdefault(t.cp_name, explicit_id(t.annotations))
        for v in self._live.value_sets:
            found[Prefix.VALUE_SET].setdefault(v.cp_name, explicit_id(v.annotations))
        for h in self._headers:
            found[Prefix.CONTROLLER_HEADER].setdefault(h.name, explicit_id(h.annotations))
        for e in self._live.externs:
            kind = _PREFIXES.get(type(e))
            if kind is not None:
                found[kind].setdefault(e.cp_name, explicit_id(e.annotations))
        for d in self._live.digests:
            found[Prefix.DIGEST].setdefault(d.cp_name, None)
        return found

    def build(self) -> p4i.P4Info:
        for table in _once(self._live.tables):
            if self._shown(table.annotations):
                self._table(table)
        for action in _once(self._live.actions):
            if self._shown(action.annotations):
                self._action(action)
        for extern in _once(self._live.externs):
            self._extern(extern)
        for value_set in _once(self._live.value_sets):
            self._value_set(value_set)
        for header in self._headers:
            if self._shown(header.annotations):
                self._controller_header(header)
        for digest in self._live.digests:
            made = self._message.digests.add()
            self._preamble(made.preamble, Prefix.DIGEST, digest.cp_name, ())
            made.type_spec.CopyFrom(self._types.message(digest.type, digest.type_names))
        self._package()
        if self._live.tables or self._live.externs or self._live.calls_externs:
            self._message.type_info.SetInParent()
        return self._message

    def _shown(self, annotations: tuple[Annotation, ...]) -> bool:
        return self._layout or not find_annotation(annotations, "hidden")

    def _preamble(
        self,
        preamble: Any,
        kind: Prefix,
        name: str,
        annotations: tuple[Annotation, ...],
        skip: tuple[str, ...] = (),
    ) -> None:
        preamble.id = self._ids[kind][name]
        preamble.name = name
        preamble.alias = self._aliases.of(name)
        annotate(preamble, annotations, skip)
        document(preamble, annotations)

    def _named(self, message: Any, type_name: str | None) -> None:
        if type_name is not None:
            message.type_name.name = type_name

    # --- tables and actions ---

    def _table(self, table: ir.Table) -> None:
        made = self._message.tables.add()
        self._preamble(made.preamble, Prefix.TABLE, table.cp_name, table.annotations)
        made.size = table.size
        self._match_fields(made.match_fields, table.keys)
        for key in table.keys:
            self._types.spec(key.expr.type, key.type_name)
        for ref in table.actions:
            listed = made.action_refs.add()
            listed.id = self._action_id(ref.action)
            annotate(listed, ref.annotations)
            if ref.table_only:
                listed.scope = p4i.ActionRef.TABLE_ONLY
            elif ref.default_only:
                listed.scope = p4i.ActionRef.DEFAULT_ONLY
        default = self._action_id(table.default.action)
        if table.const_default:
            made.const_default_action_id = default
        made.initial_default_action.action_id = default
        self._default_arguments(made, table.default)
        made.is_const_table = table.const_entries
        made.has_initial_entries = bool(table.entries)
        self._attached(made, table)

    def _default_arguments(self, made: Any, default: ir.ActionCallConst) -> None:
        params = self._actions[default.action].cp_params
        ids = field_ids(p.annotations for p in params)
        for number, value in zip(ids, default.args, strict=True):
            argument = made.initial_default_action.arguments.add()
            argument.param_id = number
            argument.value = _constant_bytes(value)

    def _attached(self, made: Any, table: ir.Table) -> None:
        if table.implementation is not None:
            profile = self._externs[table.implementation]
            made.implementation_id = self._ids[Prefix.ACTION_PROFILE][profile.cp_name]
        for name, kind in ((table.counter, Prefix.DIRECT_COUNTER), (table.meter, Prefix.DIRECT_METER)):
            if name is not None:
                made.direct_resource_ids.append(self._ids[kind][self._externs[name].cp_name])
        if table.idle_timeout:
            made.idle_timeout_behavior = p4i.Table.NOTIFY_CONTROL

    def _match_fields(self, fields: Any, keys: tuple[ir.Key, ...]) -> None:
        for key in keys:
            made = fields.add()
            made.id = key.id
            made.name = key.name
            annotate(made, key.annotations, ("match",))
            document(made, key.annotations)
            made.bitwidth = self._types.sdn_width(key.expr.type, key.type_name)
            made.match_type = _MATCH[key.match]
            self._named(made, key.type_name)

    def _action_id(self, name: str) -> int:
        return self._ids[Prefix.ACTION][self._actions[name].cp_name]

    def _action(self, action: ir.Action) -> None:
        made = self._message.actions.add()
        self._preamble(made.preamble, Prefix.ACTION, action.cp_name, action.annotations)
        if action.name not in self._live.listed:
            return  # only called by the program: nothing for the control plane to set
        for param, number in zip(
            action.cp_params, field_ids(p.annotations for p in action.cp_params), strict=True
        ):
            listed = made.params.add()
            listed.id = number
            given = find_annotation(param.annotations, "name")
            listed.name = str(given.values[0]) if given is not None and given.values else param.source_name
            annotate(listed, param.annotations)
            document(listed, param.annotations)
            self._types.spec(param.type, param.type_name)
            listed.bitwidth = self._types.sdn_width(param.type, param.type_name)
            self._named(listed, param.type.name if isinstance(param.type, EnumType) else param.type_name)

    # --- externs ---

    def _extern(self, extern: ir.Extern) -> None:
        kind = _PREFIXES.get(type(extern))
        if kind is None:
            return
        if isinstance(extern, ir.DirectCounter | ir.DirectMeter):
            if extern.table in self._tables:
                direct: Any = (
                    self._message.direct_counters
                    if kind is Prefix.DIRECT_COUNTER
                    else self._message.direct_meters
                )
                made = direct.add()
                self._preamble(made.preamble, kind, extern.cp_name, extern.annotations)
                made.spec.unit = _unit(made.spec, extern.unit)
                made.direct_table_id = self._ids[Prefix.TABLE][self._tables[extern.table].cp_name]
        elif isinstance(extern, ir.Counter | ir.Meter):
            indexed: Any = self._message.counters if kind is Prefix.COUNTER else self._message.meters
            made = indexed.add()
            self._preamble(made.preamble, kind, extern.cp_name, extern.annotations)
            made.spec.unit = _unit(made.spec, extern.unit)
            made.size = extern.size
        elif isinstance(extern, ir.Register):
            register = self._message.registers.add()
            self._preamble(register.preamble, kind, extern.cp_name, extern.annotations)
            register.type_spec.CopyFrom(self._types.spec(extern.element, extern.element_type_name))
            register.size = extern.size
        elif isinstance(extern, ir.ActionProfile | ir.ActionSelector):
            self._profile(extern)

    def _profile(self, extern: ir.ActionProfile | ir.ActionSelector) -> None:
        made = self._message.action_profiles.add()
        self._preamble(
            made.preamble, Prefix.ACTION_PROFILE, extern.cp_name, extern.annotations, _PROFILE_ANNOTATIONS
        )
        made.size = extern.size
        names = {self._tables[t].cp_name for t in extern.tables if t in self._tables}
        made.table_ids.extend(self._ids[Prefix.TABLE][name] for name in sorted(names))
        if isinstance(extern, ir.ActionProfile):
            return
        made.with_selector = True
        values = {a.name: a.values[0] for a in extern.annotations if a.values}
        if "max_group_size" in values:
            made.max_group_size = int(values["max_group_size"])
        semantics = str(values.get("selector_size_semantics", "")).lower()
        if semantics == "sum_of_weights":
            made.sum_of_weights.SetInParent()
        elif semantics == "sum_of_members":
            made.sum_of_members.SetInParent()
            if "max_member_weight" in values:
                made.sum_of_members.max_member_weight = int(values["max_member_weight"])

    def _value_set(self, value_set: ir.ValueSet) -> None:
        made = self._message.value_sets.add()
        self._preamble(made.preamble, Prefix.VALUE_SET, value_set.cp_name, value_set.annotations)
        self._match_fields(made.match, value_set.members)
        made.size = value_set.size

    # --- packet I/O and the package ---

    def _controller_header(self, header: HeaderType) -> None:
        made = self._message.controller_packet_metadata.add()
        given = find_annotation(header.annotations, "controller_header")
        name = str(given.values[0]) if given is not None and given.values else header.name
        made.preamble.id = self._ids[Prefix.CONTROLLER_HEADER][header.name]
        made.preamble.name = name
        made.preamble.alias = name
        annotate(made.preamble, header.annotations)
        document(made.preamble, header.annotations)
        fields = list(_flat(header, ""))
        for (path, f), number in zip(fields, field_ids(f.annotations for _, f in fields), strict=True):
            if not self._shown(f.annotations):
                continue
            listed = made.metadata.add()
            listed.id = number
            listed.name = path
            annotate(listed, f.annotations)
            self._types.spec(f.type, f.type_name)
            listed.bitwidth = self._types.sdn_width(f.type, f.type_name)
            self._named(listed, f.type_name)

    def _package(self) -> None:
        info = self._message.pkg_info
        info.arch = "v1model"
        annotations = self._program.annotations
        for a in annotations:
            for key, value in a.pairs:
                if a.name == "pkginfo" and key in (
                    "name",
                    "version",
                    "organization",
                    "contact",
                    "url",
                    "arch",
                ):
                    setattr(info, key, str(value))
                elif (
                    a.name == "platform_property"
                    and key in info.platform_properties.DESCRIPTOR.fields_by_name
                ):
                    setattr(info.platform_properties, key, int(value))
        annotate(info, annotations, ("pkginfo", "platform_property"))
        document(info, annotations)


_PREFIXES: dict[type[ir.Extern], Prefix] = {
    ir.ActionProfile: Prefix.ACTION_PROFILE,
    ir.ActionSelector: Prefix.ACTION_PROFILE,
    ir.Counter: Prefix.COUNTER,
    ir.DirectCounter: Prefix.DIRECT_COUNTER,
    ir.Meter: Prefix.METER,
    ir.DirectMeter: Prefix.DIRECT_METER,
    ir.Register: Prefix.REGISTER,
}


def _once(objects: Iterable[Any]) -> Iterator[Any]:
    """Objects whose control-plane name has not been seen."""
    seen: set[tuple[type, str]] = set()
    for item in objects:
        if (type(item), item.cp_name) not in seen:
            seen.add((type(item), item.cp_name))
            yield item


def _flat(t: FieldsType, path: str) -> Iterator[tuple[str, Field]]:
    for f in t.fields:
        name = f"{path}{field_name(f)}"
        if isinstance(f.type, FieldsType):
            yield from _flat(f.type, f"{path}{f.name}.")
        else:
            yield name, f


def _unit(spec: Any, unit: ir.Unit) -> Any:
    return spec.DESCRIPTOR.enum_types_by_name["Unit"].values_by_name[unit.name].number


def _constant_bytes(value: Expr) -> bytes:
    number = int(value.value) if isinstance(value, Const | BoolConst) else 0
    return as_bytes(number, width_of(value.type) or 1)
