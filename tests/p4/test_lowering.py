# SPDX-License-Identifier: Apache-2.0
"""From P4 to the IR: pure expressions, explicit order, copies where references would differ."""

from __future__ import annotations

from tests.p4.snippets import body, compile_snippet, ingress

TABLE = "table t { key = { hdr.h.a: exact; } actions = { NoAction; } }"


def test_short_circuit_with_a_table() -> None:
    program = compile_snippet(locals=TABLE, apply="if (meta.flag && t.apply().hit) { meta.x = 1; }")
    assert body(program) == [
        "var bool tmp = meta.flag",
        "if tmp {",
        "var bool hit",
        "apply I_t -> hit",
        "tmp = hit",
        "}",
        "if tmp {",
        "meta.x = bit<8>(1)",
        "}",
    ]


def test_short_circuit_of_plain_values_stays_an_expression() -> None:
    program = compile_snippet(apply="meta.flag = meta.flag || meta.x == 1;")
    assert body(program) == ["meta.flag = (meta.flag || (meta.x == bit<8>(1)))"]


def test_earlier_operands_are_saved_before_calls() -> None:
    top = "bit<8> bump(inout bit<8> v) { v = v + 1; return v; }"
    program = compile_snippet(top=top, apply="meta.x = meta.x + bump(meta.x);")
    assert body(program) == [
        "var bit<8> tmp_1 = meta.x",
        "var bit<8> tmp",
        "tmp = bump(inout meta.x)",
        "meta.x = (tmp_1 + tmp)",
    ]


def test_conditional_expression_with_calls_branches() -> None:
    top = "bit<8> one() { return 1; }"
    program = compile_snippet(top=top, apply="meta.x = meta.flag ? one() : 8w2;")
    assert body(program)[1:] == [
        "if meta.flag {",
        "var bit<8> tmp",
        "tmp = one()",
        "tmp_1 = tmp",
        "} else {",
        "tmp_1 = bit<8>(2)",
        "}",
        "meta.x = tmp_1",
    ]


def test_slices_as_targets_and_out_arguments() -> None:
    top = "void set(out bit<4> v) { v = 3; }"
    program = compile_snippet(top=top, apply="meta.x[7:4] = 4w9; set(meta.x[3:0]);")
    assert body(program) == [
        "meta.x[7:4] = bit<4>(9)",
        "var bit<4> tmp",
        "set(out tmp)",
        "meta.x[3:0] = tmp",
    ]


def test_arguments_that_share_storage_are_copied() -> None:
    top = "void two(inout bit<8> a, inout bit<8> b) { a = b; b = 1; }"
    program = compile_snippet(top=top, apply="two(meta.x, meta.x); two(meta.x, hdr.h.a);")
    lines = body(program)
    assert lines[0] == "var bit<8> tmp = meta.x"
    assert lines[2:5] == ["two(inout tmp, inout tmp_1)", "meta.x = tmp", "meta.x = tmp_1"]
    assert lines[5] == "two(inout meta.x, inout hdr.h.a)"


def test_actions_that_reach_their_argument_themselves_get_a_copy() -> None:
    actions = "action a(inout bit<8> v) { v = 1; meta.x = 2; } action b(inout bit<8> v) { v = 1; }"
    program = compile_snippet(locals=actions, apply="a(meta.x); b(meta.x);")
    assert body(program) == [
        "var bit<8> tmp = meta.x",
        "action I_a(inout tmp)",
        "meta.x = tmp",
        "action I_b(inout meta.x)",
    ]


def test_lists_that_read_their_target_are_built_first() -> None:
    program = compile_snippet(
        top="struct pair_t { bit<8> l; bit<8> r; }", apply="pair_t p; p = { p.r, p.l }; p = { 1, 2 };"
    )
    assert body(program) == [
        "var pair_t p",
        "var pair_t tmp = pair_t{p.r, p.l}",
        "p = tmp",
        "p = pair_t{bit<8>(1), bit<8>(2)}",
    ]


def test_generic_functions_become_one_per_type() -> None:
    top = "T pick<T>(in T a, in T b, in bool first) { return first ? a : b; }"
    program = compile_snippet(
        top=top, apply="meta.x = pick(meta.x, 8w1, true); meta.y = pick(meta.y, 2, false);"
    )
    assert [f.name for f in program.functions] == ["pick", "pick_1"]
    assert [str(f.result) for f in program.functions] == ["bit<8>", "bit<16>"]


def test_blocks_scope_their_names() -> None:
    program = compile_snippet(apply="bit<8> v = 1; { bit<8> v = 2; meta.x = v; } meta.x = v;")
    assert body(program) == [
        "var bit<8> v = bit<8>(1)",
        "{",
        "var bit<8> v_1 = bit<8>(2)",
        "meta.x = v_1",
        "}",
        "meta.x = v",
    ]


def test_instances_have_their_own_names() -> None:
    top = """control Sub(inout meta_t meta)(bit<8> by) {
        action add() { meta.x = meta.x + by; }
        table t { actions = { add; } default_action = add(); }
        apply { t.apply(); }
    }"""
    program = compile_snippet(
        top=top, locals="Sub(1) one; Sub(2) two;", apply="one.apply(meta); two.apply(meta);"
    )
    assert {t.cp_name for t in program.all_tables().values()} == {"I.one.t", "I.two.t"}
    assert {a.cp_name for a in program.all_actions().values()} == {"I.one.add", "I.two.add"}
    assert body(program) == ["control I_one(inout meta)", "control I_two(inout meta)"]
    assert "meta.x = (meta.x + bit<8>(2))" in str(program.control_named("I_two"))


def test_switch_on_the_action_that_ran() -> None:
    locals_ = "action a() { } action b() { } table t { actions = { a; b; NoAction; } }"
    program = compile_snippet(
        locals=locals_,
        apply="switch (t.apply().action_run) { a: b: { meta.x = 1; } default: { meta.x = 2; } }",
    )
    assert body(program) == [
        "apply I_t {",
        "case I_a, I_b:",
        "meta.x = bit<8>(1)",
        "default:",
        "meta.x = bit<8>(2)",
        "}",
    ]


def test_default_action_is_no_action() -> None:
    program = compile_snippet(locals="action a() { } table t { actions = { a; } }", apply="t.apply();")
    (table,) = program.all_tables().values()
    assert table.default.action == "NoAction"
    assert [(r.action, r.default_only) for r in table.actions] == [("I_a", False), ("NoAction", True)]
    assert table.size == 1024


def test_entries_get_masks_and_falling_priorities() -> None:
    table = """table t {
        key = { hdr.h.a: ternary; hdr.h.c: range; hdr.h.d: optional; meta.flag: exact; }
        actions = { NoAction; }
        const entries = { (1, 2, 3, true): NoAction(); (0xF3 &&& 0xF0, 1 .. 5, _, false): NoAction(); }
    }"""
    program = compile_snippet(locals=table, apply="t.apply();")
    (made,) = program.all_tables().values()
    assert [str(e) for e in made.entries] == [
        "const entry 2 (0x1 &&& 0xff, 2 .. 2, bit<32>(3), true): NoAction()",
        "const entry 1 (0xf0 &&& 0xf0, 1 .. 5, _, false): NoAction()",
    ]
    assert made.const_entries


def test_entries_with_priorities() -> None:
    table = """table t {
        key = { hdr.h.a: ternary; } actions = { NoAction; } ORDER
        entries = { const priority = 30: 1: NoAction(); 2: NoAction(); priority = 50: 3: NoAction(); }
    }"""
    found = []
    for order in ("", "largest_priority_wins = false; priority_delta = 10;"):
        program = compile_snippet(locals=table.replace("ORDER", order), apply="t.apply();")
        (made,) = program.all_tables().values()
        found.append([(e.priority, e.const) for e in made.entries])
        assert not made.const_entries
    assert found == [[(30, True), (29, False), (50, False)], [(21, True), (11, False), (1, False)]]


def test_controls_as_constructor_parameters() -> None:
    top = """control step_t(inout bit<8> v);
    control One(inout bit<8> v) { apply { v = v + 1; } }
    control Twice(inout bit<8> v)(step_t step) { apply { step.apply(v); step.apply(v); } }"""
    program = compile_snippet(top=top, locals="One() one; Twice(one) twice;", apply="twice.apply(meta.x);")
    assert str(program.control_named("I_twice")).count("control I_one(inout v)") == 2


def test_key_names() -> None:
    table = """table t {
        key = { hdr.h.isValid(): exact; hdr.stack[1].a: exact; hdr.h.c[0xB:4]: exact; hdr.h.d & 0xFF: exact;
                meta.x: exact @name("mine"); }
        actions = { NoAction; }
    }"""
    program = compile_snippet(locals=table, apply="t.apply();")
    (made,) = program.all_tables().values()
    assert [k.name for k in made.keys] == [
        "hdr.h.$valid$",
        "hdr.stack[1].a",
        "hdr.h.c[0xB:4]",
        "hdr.h.d & 0xFF",
        "mine",
    ]


def test_parser_with_stack_lookahead_and_select() -> None:
    states = """state start {
        packet.extract(hdr.stack.next);
        transition select(hdr.stack.last.a, packet.lookahead<bit<4>>()) {
            (1, 2 &&& 3): start;
            (2 .. 5, _): other;
            default: accept;
        }
    }
    state other { packet.advance(16); verify(hdr.stack.lastIndex < 2, error.StackOutOfBounds); }"""
    program = compile_snippet(states=states)
    assert [line.strip() for line in str(program.parser_named("P")).split("\n")[1:-1]] == [
        "state start {",
        "extract(hdr.stack.next)",
        "var bit<4> ahead",
        "ahead = lookahead()",
        "select (hdr.stack.last.a, ahead) {",
        "(bit<8>(1), 0x2 &&& 0x3): start",
        "(2 .. 5, _): other",
        "(_, _): accept",
        "}",
        "}",
        "state other {",
        "advance(bit<32>(16))",
        "verify((hdr.stack.lastIndex < bit<32>(2)), error.StackOutOfBounds)",
        "goto reject",
        "}",
    ]


def test_control_variables_are_set_up_before_apply() -> None:
    program = compile_snippet(locals="bit<8> v = hdr.h.a; action a() { meta.x = v; }", apply="a();")
    lines = [line.strip() for line in ingress(program).split("\n")]
    assert lines[1] == "var bit<8> v"
    assert lines.index("v = hdr.h.a") < lines.index("action I_a()")


def test_every_node_knows_its_line() -> None:
    program = compile_snippet(apply="meta.x = 1;\nmeta.y = 2;")
    first, second = program.control_named("I").body.body
    assert second.loc.line == first.loc.line + 1
    assert first.loc.file == "test.p4"
