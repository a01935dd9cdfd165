# SPDX-License-Identifier: Apache-2.0
"""P4Info: ids, aliases and what of a program it carries."""

from __future__ import annotations

import pytest
from finsy.proto import p4i

from softswitch.p4.errors import P4Error
from softswitch.p4.frontend import parse_program
from softswitch.p4.preprocess import preprocess
from softswitch.p4info import build_layout, build_p4info
from softswitch.p4info_symbols import Aliases, Prefix, assign_ids, jenkins_one_at_a_time
from tests.p4.snippets import PROGRAMS, compile_snippet


def info_of(name: str) -> p4i.P4Info:
    return build_p4info(parse_program(preprocess(PROGRAMS / f"{name}.p4"), name))


def test_hash_has_the_published_value() -> None:
    # Bob Jenkins' one-at-a-time hash of "a" and of a longer text, as Wikipedia gives them
    assert jenkins_one_at_a_time("a") == 0xCA2E9442
    assert jenkins_one_at_a_time("The quick brown fox jumps over the lazy dog") == 0x519E91F5


def test_check_values() -> None:
    info = info_of("routing")
    assert {t.preamble.name: t.preamble.id for t in info.tables} == {"MyIngress.ipv4_lpm": 37375156}
    ids = {a.preamble.name: a.preamble.id for a in info.actions}
    assert ids["NoAction"] == 21257015
    assert ids["MyIngress.ipv4_forward"] == 28792405


def test_given_ids_are_reserved_and_collisions_move_on() -> None:
    hashed = jenkins_one_at_a_time("x") & 0xFFFFFF
    ids = assign_ids({Prefix.ACTION: {"x": None, "given": hashed}})
    assert ids[Prefix.ACTION] == {"given": 1 << 24 | hashed, "x": 1 << 24 | hashed + 1}


@pytest.mark.parametrize("given", [{"a": 5, "b": 0x01000005}, {"a": 0x02000005}])
def test_bad_ids(given: dict[str, int | None]) -> None:
    with pytest.raises(ValueError, match="@id of"):
        assign_ids({Prefix.ACTION: given})


def test_bad_ids_become_diagnostics() -> None:
    table = "@id(0x01000001) table t { actions = { NoAction; } }"
    with pytest.raises(P4Error, match="prefix"):
        build_p4info(compile_snippet(locals=table, apply="t.apply();"))


def test_aliases_are_the_shortest_unique_suffixes() -> None:
    aliases = Aliases({"a.b.t", "c.b.t", "a.u", "t"})
    assert [aliases.of(n) for n in ("a.b.t", "c.b.t", "a.u", "t")] == ["a.b.t", "c.b.t", "u", "t"]


def test_tables() -> None:
    info = info_of("features")
    tables = {t.preamble.alias: t for t in info.tables}
    routes = tables["routes"]
    assert [(m.id, m.name, m.bitwidth, m.match_type) for m in routes.match_fields] == [
        (1, "destination", 32, p4i.MatchField.LPM),
        (2, "meta.in_port", 32, p4i.MatchField.EXACT),
    ]
    assert routes.match_fields[1].type_name.name == "port_id_t"
    assert [r.scope for r in routes.action_refs] == [
        p4i.ActionRef.TABLE_AND_DEFAULT,
        p4i.ActionRef.TABLE_ONLY,
        p4i.ActionRef.DEFAULT_ONLY,
    ]
    assert routes.const_default_action_id == routes.initial_default_action.action_id != 0
    assert routes.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL
    assert [c.preamble.id for c in info.direct_counters] == [routes.direct_resource_ids[0]]
    assert info.direct_counters[0].direct_table_id == routes.preamble.id
    acl = tables["acl"]
    assert acl.is_const_table
    assert acl.has_initial_entries
    assert [m.id for m in acl.match_fields] == [1, 9, 2, 3]


def test_action_profiles_and_externs() -> None:
    info = info_of("features")
    profiles = {p.preamble.alias: p for p in info.action_profiles}
    assert (profiles["spread"].with_selector, profiles["spread"].size) == (True, 256)
    assert profiles["spread"].max_group_size == 16
    assert not profiles["profile"].with_selector
    assert {m.preamble.name: m.size for m in info.meters} == {
        "MyIngress.police_users.policer": 8,
        "MyIngress.police_hosts.policer": 16,
    }
    assert info.registers[0].type_spec.bitstring.bit.bitwidth == 32
    assert [v.preamble.name for v in info.value_sets] == ["MyParser.trusted_kinds"]


def test_packet_io_and_types() -> None:
    info = info_of("features")
    headers = {h.preamble.name: h for h in info.controller_packet_metadata}
    assert [(m.id, m.name, m.bitwidth) for m in headers["packet_in"].metadata] == [
        (1, "ingress_port", 16),
        (2, "reason", 8),
    ]
    assert [m.id for m in headers["packet_out"].metadata] == [2, 1]
    (digest,) = info.digests
    assert digest.preamble.name == "learn_t"
    members = info.type_info.structs["learn_t"].members
    assert [m.name for m in members] == ["source", "port", "why"]
    assert info.type_info.new_types["port_id_t"].translated_type.sdn_bitwidth == 32
    reasons = info.type_info.serializable_enums["reason_t"].members
    assert [(m.name, m.value) for m in reasons] == [("NONE", b"\0"), ("MISS", b"\1"), ("TTL", b"\x80")]


def test_annotations_documentation_and_package() -> None:
    info = info_of("features")
    actions = {a.preamble.alias: a for a in info.actions}
    assert actions["drop"].preamble.doc.brief == "Drops the packet."
    assert list(actions["drop"].preamble.annotations) == []
    assert [p.id for p in actions["forward"].params] == [7, 2]
    assert [p.name for p in actions["mark"].params] == ["really"]
    assert (info.pkg_info.name, info.pkg_info.version, info.pkg_info.arch) == ("features", "1", "v1model")


def test_a_list_for_a_digest_keeps_new_types() -> None:
    top = "type bit<8> kind_t;"
    apply = "kind_t kind = (kind_t) hdr.h.a; digest(1, { kind, hdr.h.b });"
    (digest,) = build_p4info(compile_snippet(top=top, apply=apply)).digests
    kind, plain = digest.type_spec.tuple.members
    assert (kind.new_type.name, plain.bitstring.bit.bitwidth) == ("kind_t", 8)


def test_hidden_objects_are_left_out() -> None:
    locals_ = """@hidden action inner() { } action outer() { }
    @hidden table never { actions = { outer; } } table t { actions = { inner; outer; } }"""
    info = build_p4info(compile_snippet(locals=locals_, apply="t.apply(); never.apply();"))
    assert [t.preamble.alias for t in info.tables] == ["t"]
    assert sorted(a.preamble.alias for a in info.actions) == ["NoAction", "outer"]
    assert len(info.tables[0].action_refs) == 3
    whole = build_layout(compile_snippet(locals=locals_, apply="t.apply(); never.apply();"))
    assert sorted(t.preamble.alias for t in whole.tables) == ["never", "t"]


def test_unused_objects_are_left_out() -> None:
    locals_ = """action used() { } action unused() { }
    table t { actions = { used; } } table never { actions = { unused; } }"""
    info = build_p4info(compile_snippet(locals=locals_, apply="t.apply();"))
    assert [t.preamble.alias for t in info.tables] == ["t"]
    assert sorted(a.preamble.alias for a in info.actions) == ["NoAction", "used"]
