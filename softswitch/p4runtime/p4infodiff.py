# SPDX-License-Identifier: Apache-2.0
"""Does a client's P4Info describe the program that it sends? Only what the wire depends on is compared.

Annotations, documentation, aliases and the like may differ: another compiler may have made the client's file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from finsy.proto import p4i

# protobuf's classes for P4Info's objects share no typed base with `preamble`
_Item = Any
_Shape = tuple[tuple[str, object], ...]


def differences(client: p4i.P4Info, program: p4i.P4Info) -> list[str]:
    """One line per difference, none if the client's P4Info fits the program."""
    found: list[str] = []
    for what, collection, shape in _KINDS:
        theirs = _by_id(getattr(client, collection))
        ours = _by_id(getattr(program, collection))
        for item_id, item in theirs.items():
            name = item.preamble.name
            if item_id not in ours:
                found.append(f"{what} {name} (id 0x{item_id:08x}) is not in the program")
                continue
            if name != ours[item_id].preamble.name:
                found.append(
                    f"{what} id 0x{item_id:08x} is {name}, in the program {ours[item_id].preamble.name}"
                )
                continue
            found.extend(_compare(f"{what} {name}", shape(item), shape(ours[item_id])))
        found.extend(
            f"{what} {item.preamble.name} (id 0x{item_id:08x}) of the program is missing"
            for item_id, item in ours.items()
            if item_id not in theirs
        )
    return found


def _compare(what: str, theirs: _Shape, ours: _Shape) -> Iterable[str]:
    for (label, their_value), (_, our_value) in zip(theirs, ours, strict=True):
        if their_value != our_value:
            yield f"{what}: {label} {their_value}, in the program {our_value}"


def _by_id(items: Iterable[_Item]) -> dict[int, _Item]:
    return {item.preamble.id: item for item in items}


def _table(table: p4i.Table) -> _Shape:
    kinds = p4i.MatchField.MatchType
    fields = [
        (field.id, field.name, field.bitwidth, kinds.Name(field.match_type)) for field in table.match_fields
    ]
    return (
        ("match fields", fields),
        ("actions", sorted(reference.id for reference in table.action_refs)),
        ("constant", table.is_const_table),
        ("implementation", table.implementation_id),
    )


def _action(action: p4i.Action) -> _Shape:
    return (("parameters", [(param.id, param.name, param.bitwidth) for param in action.params]),)


def _header(header: p4i.ControllerPacketMetadata) -> _Shape:
    return (("fields", [(field.id, field.name, field.bitwidth) for field in header.metadata]),)


def _sized(item: _Item) -> _Shape:
    return (("size", item.size),)


def _direct(item: _Item) -> _Shape:
    return (("table", f"0x{item.direct_table_id:08x}"),)


def _typed(item: _Item) -> _Shape:
    return (("type", str(item.type_spec).strip()),)


_KINDS: tuple[tuple[str, str, Callable[[Any], _Shape]], ...] = (
    ("table", "tables", _table),
    ("action", "actions", _action),
    ("action profile", "action_profiles", _sized),
    ("counter", "counters", _sized),
    ("direct counter", "direct_counters", _direct),
    ("meter", "meters", _sized),
    ("direct meter", "direct_meters", _direct),
    ("controller header", "controller_packet_metadata", _header),
    ("value set", "value_sets", _sized),
    ("register", "registers", lambda item: _sized(item) + _typed(item)),
    ("digest", "digests", _typed),
)
