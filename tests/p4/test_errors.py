# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a program, and exactly where."""

from __future__ import annotations

import time

import pytest

from softswitch.p4.errors import MAX_ERRORS
from tests.p4.snippets import Snippet, compile_source, errors_of, expect_error

SYNTAX = [
    ("meta.x = ;", "expected an expression, found `;`", 9),
    ("meta.x 1;", "expected `=` or `;`, found `1`", 7),
    ("if meta.flag { }", "expected `(` after if, found `meta`", 3),
    ("meta.x = (1;", "expected `)`, found `;`", 11),
    ("for (bit<8> i in 0 .. 3) meta.x = ;", "expected an expression, found `;`", 34),
    ("meta.x = hdr.h.a[0 +: ];", "expected an expression, found `]`", 22),
]


@pytest.mark.parametrize(("text", "message", "column"), SYNTAX)
def test_syntax(text: str, message: str, column: int) -> None:
    first = errors_of(Snippet(apply=text).source())[0]
    line = Snippet(apply=text).source().split("\n").index(text) + 1
    assert message in first.message
    assert (first.line, first.column) == (line, column + 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("meta.x = /*!*/nothing;", "`nothing` is not declared"),
        ("meta./*!*/z = 1;", "meta_t has no field `z`"),
        ("meta.x = /*!*/meta.y;", "expected bit<8>, found bit<16>"),
        ("meta.flag = /*!*/1;", "expected bool, found a number"),
        ("if (/*!*/meta.x) { }", "a condition must be bool, not bit<8>"),
        ("/*!*/5 = meta.x;", "not an l-value"),
        ("meta.x = /*!*/meta.flag ? 8w1 : 16w2;", "cannot choose"),
        ("meta.x = /*!*/!meta.x;", "`!` needs bool"),
        ("/*!*/hdr.h.setValid(1);", "takes no arguments"),
        ("hdr.stack./*!*/next = hdr.h;", "only in parsers"),
        ("hdr.stack[/*!*/3] = hdr.h;", "index 3 is outside h_t[3]"),
        ("hdr.stack.push_front(/*!*/meta.x);", "compile-time integer"),
        ("bit<8> v; bit<8> /*!*/v;", "`v` is declared twice"),
        ("bit<8> v = 1; { bit<16> v = 2; meta.x = /*!*/v; }", "expected bit<8>, found bit<16>"),
        ("/*!*/mark_to_drop(meta, meta);", "no overload"),
        ("random(/*!*/meta.x + 1, 8w1, 8w2);", "not an l-value"),
        ("random(meta.x, /*!*/16w1, 16w2);", "expected bit<8>, found bit<16>"),
        ("/*!*/verify(true, error.NoError);", "only in parsers"),
        ("meta.x = error.NoError == error./*!*/Gone ? 8w1 : 8w2;", "`Gone`"),
        ("/*!*/return 1;", "return cannot have a value"),
        ("meta.x = meta.x /*!*/<< meta.s;", "shift amount must be unsigned"),
        ("meta.s = meta.s /*!*// 2;", "`/` is not defined on int<8>"),
        ("/*!*/bit<4096> w;", "between 0 and 2048"),
        ("/*!*/nothing_to_call(1);", "not declared"),
        ("/*!*/meta(1);", "cannot be called"),
        ("switch (meta.x) { 1: { } /*!*/1: { } }", "stands twice"),
        ("switch (meta.x) { default: { } 2: { } }", "default must be the last"),
    ],
)
def test_statements(text: str, message: str) -> None:
    expect_error(message, apply=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table t { key = { /*!*/hdr.h.a + 1: exact; } actions = { NoAction; } }", "needs a name"),
        ("table t { key = { /*!*/hdr.h.a: near; } actions = { NoAction; } }", "`near` is not declared"),
        ("table t { key = { /*!*/hdr.h: exact; } actions = { NoAction; } }", "a key cannot be h_t"),
        ("table /*!*/t { key = { hdr.h.a: exact; } }", "no list of actions"),
        ("table t { actions = { /*!*/gone; } }", "`gone` is not declared"),
        ("table t { actions = { NoAction; /*!*/NoAction; } }", "listed twice"),
        (
            "action a(bit<8> v) { } table t { actions = { a; } default_action = a(/*!*/meta.x); }",
            "compile-time",
        ),
        (
            "action a() { } table t { actions = { NoAction; } default_action = /*!*/a(); }",
            "not in the table's list",
        ),
        (
            "table t { key = { hdr.h.a: exact; } actions = { NoAction; }"
            " const entries = { /*!*/1 &&& 3: NoAction(); } }",
            "does not fit a key with match kind exact",
        ),
        (
            "table t { key = { hdr.h.a: lpm; } actions = { NoAction; }"
            " const entries = { /*!*/1 &&& 5: NoAction(); } }",
            "is no prefix",
        ),
        (
            "table t { key = { hdr.h.a: exact; } actions = { NoAction; }"
            " const entries = { /*!*/(1, 2): NoAction(); } }",
            "2 key sets, the table 1 keys",
        ),
        ("counter(5) /*!*/c;", "no constructor with 1 arguments"),
        ("counter(/*!*/(bit<32>) meta.y, CounterType.bytes) c;", "compile-time"),
        ("register<h_t>(5) /*!*/r;", "a register of h_t is not supported"),
        ("action a() { a(); }", "`a`"),
        ("direct_meter<bit<2>>(MeterType.bytes) m; action a() { m.read(meta.x[1:0]); }", "no table has this"),
        ('@name("t") action a() { } @name("t") action b() { }', "control-plane name `I.t`"),
    ],
)
def test_control_declarations(text: str, message: str) -> None:
    expect_error(message, locals=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state /*!*/start { transition nowhere; }", "state `nowhere` does not exist"),
        ("state first { transition accept; }", "no state `start`"),
        ("state start { packet.extract(/*!*/meta); transition accept; }", "extract needs a header"),
        ("state start { /*!*/packet.extract(hdr.h, 8); transition accept; }", "no varbit field"),
        ("state start { /*!*/packet.emit(hdr.h); transition accept; }", "`packet_in.emit` is not supported"),
        ("state start { bit<8> n = /*!*/packet.lookahead(); transition accept; }", "lookahead needs a type"),
        (
            "state start { transition select(hdr.h.a) { /*!*/(1, 2): accept; } }",
            "2 key sets, select 1 values",
        ),
        ("state start { transition select(hdr.h.a) { /*!*/meta.x: accept; } }", "compile-time constant"),
        ("state start { transition select(hdr.h.a) { /*!*/5 .. 3: accept; } }", "range 5 .. 3 is empty"),
        ("state start { transition accept; } state /*!*/start { transition accept; }", "declared twice"),
        ("state start { /*!*/return; transition accept; }", "not allowed in a parser"),
    ],
)
def test_parser_states(text: str, message: str) -> None:
    expect_error(message, states=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("struct s_t { bit<8> a; bit<8> /*!*/a; }", "field `a` is declared twice"),
        ("header g_t { bool b; error /*!*/e; }", "cannot hold error"),
        ("typedef /*!*/gone_t x_t;", "`gone_t` is no type"),
        ("enum bit<2> e_t { A = 0, /*!*/B = 4 }", "value 4 does not fit bit<2>"),
        ("struct h_t { bit<8> a; }", "`h_t` is declared twice"),
        ("const bit<8> K = meta;", "`meta` is not declared"),
        ("error { NoError }", "`NoError` is declared twice"),
        ("bit<8> f(in bit<8> a) { if (a == 1) { return 1; } }", "may end without return"),
    ],
)
def test_types(text: str, message: str) -> None:
    use = "meta.x = f(meta.x);" if "f(in" in text else ""
    expect_error(message, top=text, apply=use)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/*!*/@id(-1) action a() { }", "@id wants a number from 0 to 4294967295, not -1"),
        ('/*!*/@id("one") action a() { }', "@id wants a number"),
        (
            '/*!*/@max_group_size("x") action_selector(HashAlgorithm.crc16, 8, 8) s;',
            "@max_group_size wants a number",
        ),
        ("/*!*/@wide[n=0x1ffffffffffffffff] action a() { }", "does not fit in 64 bits"),
    ],
)
def test_annotations(text: str, message: str) -> None:
    expect_error(message, locals=text)


@pytest.mark.parametrize("body", ["", '"u"', '"u", 0', '"u", "integer"', '"u", 1, 2', "7, 32", '"u", bit<>'])
def test_translations(body: str) -> None:
    expect_error(
        "@p4runtime_translation wants a string", top=f"/*!*/@p4runtime_translation({body}) type bit<8> t_t;"
    )


def test_several_errors_at_once_in_order() -> None:
    found = errors_of(Snippet(apply="meta.x = one;\nmeta.x = two;\nbit<8> v = three;\nmeta.y = v;").source())
    assert [d.message.split("`")[1] for d in found[:3]] == ["one", "two", "three"]
    assert found[3].message == "expected bit<16>, found bit<8>"
    assert [d.line for d in found] == list(range(found[0].line, found[0].line + 4))


def test_errors_are_limited() -> None:
    text = "\n".join(f"meta.x = unknown{i};" for i in range(100))
    assert len(errors_of(Snippet(apply=text).source())) == MAX_ERRORS


def test_program_without_main() -> None:
    (found,) = errors_of("struct s { }\n")
    assert "no `main`" in found.message
    assert (found.file, found.line) == ("test.p4", 2)


def test_blocks_must_agree_on_their_types() -> None:
    source = (
        Snippet(top="struct other_t { }")
        .source()
        .replace(
            "inout meta_t meta) { apply { } }\ncontrol I", "inout other_t meta) { apply { } }\ncontrol I"
        )
    )
    (found,) = errors_of(source)
    assert "elsewhere" in found.message


def test_literals_that_do_not_fit_are_warned_of() -> None:
    _, warnings = compile_source(Snippet(apply="meta.x = 256; meta.y = 16w65536;").source())
    assert [w.message for w in warnings] == [
        "256 does not fit bit<8>: it becomes 0",
        "65536 does not fit bit<16>: it becomes 0",
    ]
    assert all(w.severity == "warning" for w in warnings)


def test_unknown_table_properties_are_warned_of() -> None:
    table = "table t { actions = { NoAction; } colour = 3; }"
    _, warnings = compile_source(Snippet(locals=table, apply="t.apply();").source())
    assert [w.message for w in warnings] == ["table property `colour` is unknown: ignored"]


@pytest.mark.parametrize(
    "text",
    [
        "control Unused(inout h_t h) { apply { h.a = /*!*/h.c; } }",
        "parser Unused(packet_in p) { state start { bit<8> v = /*!*/16w1; transition accept; } }",
        "bit<8> unused(in bit<16> v) { return /*!*/v; }",
        "action unused(bit<16> v) { bit<8> w = /*!*/v; }",
    ],
)
def test_what_nothing_uses_is_checked_too(text: str) -> None:
    expect_error("expected bit<8>, found bit<16>", top=text)


def test_headers_on_the_wire_are_whole_bytes() -> None:
    states = "state start { packet.extract(hdr.odd); transition accept; }"
    expect_error(
        "7 bits, not whole bytes", top="header odd_t { bit<7> a; }", fields="odd_t odd;", states=states
    )


@pytest.mark.parametrize(
    "text", ["(" * 5000, "{" * 5000, "meta.x = " + "-" * 5000 + "1;", "meta.x = 1" + "+1" * 5000]
)
def test_deep_nesting_is_refused(text: str) -> None:
    found = errors_of(Snippet(apply=text).source())
    assert any("not supported" in d.message for d in found)


def doubled(first: str, typedef: str) -> str:
    """Forty types, each made of two of the one before."""
    steps = "".join(typedef.format(f"t{i}", f"t{i + 1}") for i in range(40))
    return f"typedef bit<8> t0; {first} {steps} control Z(inout t40 z) {{ apply {{ z = z; }} }}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (doubled("", "typedef tuple<{0}, {0}> {1};"), "a tuple of more than 5000 parts"),
        (
            doubled("struct Pair<A, B> { A a; B b; }", "typedef Pair<{0}, {0}> {1};"),
            "more than 2000 characters of type arguments",
        ),
    ],
)
def test_types_that_explode_are_refused(text: str, reason: str) -> None:
    started = time.monotonic()
    expect_error(reason, top=text)
    assert time.monotonic() - started < 10


def test_long_but_shallow_programs_compile() -> None:
    terms = " + ".join(["meta.x"] * 200)
    chain = " else ".join(f"if (meta.x == {i}) {{ meta.y = {i}; }}" for i in range(200))
    nested = "(" * 40 + "meta.x" + ")" * 40
    compile_source(Snippet(apply=f"meta.x = {terms};\n{chain}\nmeta.x = {nested};").source())
