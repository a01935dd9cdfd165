# SPDX-License-Identifier: Apache-2.0
"""Parsers, headers, stacks, unions and varbits, as BMv2 treats them."""

from __future__ import annotations

from pathlib import Path

import pytest

from softswitch.p4.errors import P4Error
from tests.codegen.harness import Switch
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program, word

REPORT = """
header report_t { bit<8> error_code; bit<8> valid; bit<16> length; }
"""
"""A header in which ingress tells what it saw."""

CODES = ["NoError", "PacketTooShort", "NoMatch", "StackOutOfBounds", "HeaderTooShort", "ParserTimeout"]


def error_ladder() -> str:
    """P4 that writes the parser's error as a number."""
    names = [*CODES, "ParserInvalidArgument", "Mine"]
    tests = "".join(
        f"if (std.parser_error == error.{name}) h.report.error_code = {i};" for i, name in enumerate(names)
    )
    return f"h.report.setValid(); {tests} h.report.length = (bit<16>)std.packet_length;"


def test_short_packets_reach_ingress_with_an_error(tmp_path: Path) -> None:
    headers = ONE_HEADER.replace("struct headers_t {", REPORT + "struct headers_t { report_t report;")
    ingress = f"""apply {{ std.egress_spec = 1; {error_ladder()}
      h.report.valid = (bit<8>)(bit<1>)h.word.isValid(); }}"""
    text = program(
        headers, parser=EXTRACT, ingress=ingress, deparser="p.emit(h.report);" + EMIT, top="error { Mine }"
    )
    with Switch.of(text, tmp_path) as switch:
        for size in range(5):
            # nothing was consumed: all of it is payload
            assert switch.one(0, b"\xee" * size) == (1, bytes([1, 0, 0, size]) + b"\xee" * size)
        assert switch.one(0, word(7, 8) + b"rest") == (1, bytes([0, 1, 0, 9]) + word(7, 8) + b"rest")


@pytest.mark.parametrize(
    ("first", "code", "consumed"),
    [(0, 0, 1), (1, 7, 1), (2, 0, 1), (3, 0, 1), (4, 0, 3), (5, 6, 1), (6, 1, 1), (7, 0, 1)],
)
def test_ends_of_parsers(tmp_path: Path, first: int, code: int, consumed: int) -> None:
    """accept; verify; no case and reject (no error in BMv2); advance; advance by bits; advance too far;
    lookahead."""
    headers = f"header one_t {{ bit<8> v; }} {REPORT} struct headers_t {{ report_t report; one_t one; }}"
    parser = """
    state start { p.extract(h.one); transition select(h.one.v) {
      0: accept; 1: failing; 2: none; 3: reject; 4: skip; 5: odd; 6: far; 7: look; } }
    state failing { verify(h.one.v == 0, error.Mine); transition accept; }
    state none { transition select(h.one.v) { 9: accept; 10 .. 20: accept; 0x80 &&& 0xf0: accept; } }
    state skip { p.advance(16); transition accept; }
    state odd { p.advance((bit<32>)h.one.v); transition accept; }
    state far { p.advance(h.one.v ++ 24w0); transition accept; }
    state look { m.seen = p.lookahead<bit<16>>(); transition select(m.seen) { 0xabcd: accept; default: far;
    } }
    """
    ingress = (
        f"apply {{ std.egress_spec = 1; {error_ladder()} h.report.valid = h.one.v; h.one.setInvalid(); }}"
    )
    text = program(
        headers,
        parser=parser,
        ingress=ingress,
        deparser="p.emit(h.report); p.emit(h.one);",
        top="error { Mine }",
        metadata="bit<16> seen;",
    )
    with Switch.of(text, tmp_path) as switch:
        frame = bytes([first]) + b"\xab\xcd\xef"
        assert switch.one(0, frame)[1] == bytes([code, first, 0, 4]) + frame[consumed:]


def test_header_stacks(tmp_path: Path) -> None:
    headers = f"""header e_t {{ bit<1> bottom; bit<7> v; }} {REPORT}
      struct headers_t {{ report_t report; e_t[3] s; }}"""
    parser = """
    state start { p.extract(h.s.next); transition select(h.s.last.bottom) { 1: accept; default: start; } }
    """
    ingress = f"""apply {{ std.egress_spec = 1; {error_ladder()}
      if (std.ingress_port == 1) h.s.push_front(1);
      if (std.ingress_port == 2) h.s.pop_front(1);
      if (std.ingress_port == 3) {{ h.s.push_front(2); h.s[0].setValid(); h.s[0].v = 0x55; h.s[0].bottom =
      0; }}
      if (std.ingress_port == 4) {{ bit<8> i = 2; h.s[i].v = 0x11; i = 9; h.s[i].v = 0x22; h.s[1] = h.s[i]; }}
      if (std.ingress_port == 5) h.s.pop_front(3);
    }}"""
    text = program(
        headers,
        parser=parser,
        ingress=ingress,
        deparser="p.emit(h.s); p.emit(h.report);",
        top="error { Mine }",
    )
    with Switch.of(text, tmp_path) as switch:
        three = b"\x01\x02\x83"
        ok = bytes([0, 0, 0, 4])
        assert switch.one(0, three + b"!")[1] == three + ok + b"!"
        assert switch.one(1, three + b"!")[1] == b"\x01\x02" + ok + b"!"
        assert switch.one(2, three + b"!")[1] == b"\x02\x83" + ok + b"!"
        assert switch.one(3, three + b"!")[1] == b"\x55\x01" + ok + b"!"
        assert switch.one(4, three + b"!")[1] == b"\x01\x91" + ok + b"!"
        assert switch.one(5, three + b"!")[1] == ok + b"!"
        assert switch.one(0, b"\x01\x02\x03\x84")[1] == b"\x01\x02\x03" + bytes([3, 0, 0, 4]) + b"\x84"


def test_varbit(tmp_path: Path) -> None:
    headers = f"""header opt_t {{ bit<8> len; varbit<64> data; bit<16> tail; }} {REPORT}
      struct headers_t {{ report_t report; opt_t opt; opt_t copy; }}"""
    parser = """state start { bit<8> n = p.lookahead<bit<8>>();
      p.extract(h.opt, n == 99 ? 32w3 : (bit<32>)n * 8); transition accept; }"""
    ingress = f"""apply {{ std.egress_spec = 1; {error_ladder()} h.copy = h.opt;
      if (std.ingress_port == 1) h.opt.setInvalid(); h.report.valid = (bit<8>)(bit<1>)(h.copy == h.opt); }}"""
    deparser = "p.emit(h.opt); p.emit(h.copy); p.emit(h.report);"
    text = program(headers, parser=parser, ingress=ingress, deparser=deparser, top="error { Mine }")
    with Switch.of(text, tmp_path) as switch:
        for n in range(9):
            body = bytes([n]) + bytes(range(100, 100 + n)) + b"TT"
            assert switch.one(0, body + b"pay")[1] == body + body + bytes([0, 1, 0, n + 6]) + b"pay"
            assert switch.one(1, body + b"pay")[1] == body + bytes([0, 0, 0, n + 6]) + b"pay"
        too_long = bytes([9]) + bytes(11)
        assert switch.one(0, too_long)[1] == bytes([4, 1, 0, 12]) + too_long
        assert switch.one(0, b"\x08" + bytes(9))[1] == bytes([1, 1, 0, 10]) + b"\x08" + bytes(9)
        assert switch.one(0, b"\x63" + bytes(9))[1] == bytes([6, 1, 0, 10]) + b"\x63" + bytes(9)


def test_loops_end(tmp_path: Path) -> None:
    """A state that consumes nothing and comes back ends with ParserTimeout, one that consumes ends with the
    packet."""
    headers = f"header one_t {{ bit<8> v; }} {REPORT} struct headers_t {{ report_t report; one_t one; }}"
    parser = """
    state start { m.count = m.count + 1; transition select(p.lookahead<bit<8>>()) { 0: spin; default: eat; } }
    state spin { transition start; }
    state eat { p.extract(h.one); transition start; }
    """
    ingress = f"apply {{ std.egress_spec = 1; {error_ladder()} h.report.length = m.count; }}"
    text = program(
        headers,
        parser=parser,
        ingress=ingress,
        deparser="p.emit(h.report);",
        top="error { Mine }",
        metadata="bit<16> count;",
    )
    with Switch.of(text, tmp_path) as switch:
        assert switch.one(0, b"\0")[1][0] == 5
        assert switch.one(0, b"\1" * 9000)[1] == bytes([1, 0]) + (9001).to_bytes(2, "big")


def test_wide_lookahead_and_subparser(tmp_path: Path) -> None:
    headers = """header wide_t { bit<320> v; } header part_t { bit<8> a; bit<16> b; }
      struct headers_t { wide_t wide; part_t part; }"""
    top = """parser Sub(packet_in p, out part_t part, in bit<8> skip) {
      state start { transition select(skip) { 0: take; default: reject; } }
      state take { p.extract(part); transition accept; } }"""
    parser = """Sub() sub;
      state start { bit<320> all = p.lookahead<bit<320>>();
        h.wide.setValid(); h.wide.v = all; h.wide.v[7:0] = all[319:312]; h.wide.v[319:300] = all[19:0];
        h.wide.v[200:100] = all[300:200];
        sub.apply(p, h.part, all[7:0] & 1); transition accept; }"""
    text = program(headers, parser=parser, deparser="p.emit(h.wide); p.emit(h.part);", top=top)
    with Switch.of(text, tmp_path) as switch:
        data = bytes(range(1, 40)) + b"\xfe"
        value = int.from_bytes(data, "big")

        def put(v: int, high: int, low: int, piece: int) -> int:
            mask = ((1 << (high - low + 1)) - 1) << low
            return v & ~mask | piece << low & mask

        value = put(put(value, 7, 0, data[0]), 319, 300, int.from_bytes(data, "big"))
        value = put(value, 200, 100, int.from_bytes(data, "big") >> 200)
        assert switch.one(0, data)[1] == value.to_bytes(40, "big") + data
        rejected = data[:-1] + b"\xff"
        assert switch.one(0, rejected)[1][40:] == rejected


def test_bits_that_cross_bytes(tmp_path: Path) -> None:
    headers = """header h_t { bit<3> a; bit<13> b; bit<1> c; bit<63> d; bit<5> e; bit<70> f; bool g; int<4>
    i; }
      struct headers_t { h_t x; h_t y; }"""
    ingress = """apply { std.egress_spec = 1; h.y = { h.x.a, h.x.b, h.x.c, h.x.d, h.x.e, h.x.f, h.x.g, h.x.i
    };
      h.x.setInvalid(); }"""
    parser = "state start { p.extract(h.x); transition accept; }"
    with Switch.of(
        program(headers, parser=parser, ingress=ingress, deparser="p.emit(h);"), tmp_path
    ) as switch:
        for data in (b"\xa5" * 20, bytes(range(20)), b"\xff" * 20, bytes(19) + b"\1", b"\x80" + bytes(19)):
            assert switch.one(0, data + b"!")[1] == data + b"!"


def test_set_valid_zeroes_and_header_assignment(tmp_path: Path) -> None:
    headers = ONE_HEADER.replace("word_t word;", "word_t word; word_t other;")
    ingress = """apply { std.egress_spec = 1;
      if (std.ingress_port == 1) { h.word.setInvalid(); h.word.setValid(); }
      if (std.ingress_port == 2) { h.word.setValid(); h.other = h.word; h.word.value = 1; }
      if (std.ingress_port == 3) { h.word = h.other; }
      if (std.ingress_port == 4) { h.word = {#}; h.other = { value = 3, tag = 4 }; }
      if (std.ingress_port == 5 && h.word == h.other) { h.word.tag = 9; }
    }"""
    text = program(headers, parser=EXTRACT, ingress=ingress, deparser="p.emit(h);")
    with Switch.of(text, tmp_path) as switch:
        given = word(0x01020304, 5)
        expected = [given, word(0), word(1, 5) + given, b"", word(3, 4), given]
        for port, frame in enumerate(expected):
            assert switch.one(port, given)[1] == frame


def test_header_unions(tmp_path: Path) -> None:
    headers = """header a_t { bit<8> v; } header b_t { bit<16> v; } header k_t { bit<8> k; }
      header_union u_t { a_t a; b_t b; } struct headers_t { k_t k; u_t u; }"""
    parser = """state start { p.extract(h.k); transition select(h.k.k) { 1: a; 2: b; default: accept; } }
      state a { p.extract(h.u.a); transition accept; } state b { p.extract(h.u.b); transition accept; }"""
    ingress = """apply { std.egress_spec = 1; if (!h.u.isValid()) { h.u.a.setValid(); h.u.a.v = 0xaa; }
      else if (h.u.a.isValid()) { h.u.b.setValid(); h.u.b.v = 0xbbbb; } }"""
    with Switch.of(
        program(headers, parser=parser, ingress=ingress, deparser="p.emit(h);"), tmp_path
    ) as switch:
        assert switch.one(0, b"\0")[1] == b"\0\xaa"
        assert switch.one(0, b"\1\1")[1] == b"\1\xbb\xbb"
        assert switch.one(0, b"\2\1\2")[1] == b"\2\1\2"


def test_what_cannot_be_translated_is_an_error_with_its_place(tmp_path: Path) -> None:
    parser = "state start { p.extract(h.odd); transition accept; }"
    text = program("header odd_t { bit<9> v; } struct headers_t { odd_t odd; }", parser=parser)
    with pytest.raises(P4Error) as caught:
        Switch.of(text, tmp_path)
    [found] = caught.value.diagnostics
    assert "whole bytes" in found.message
    assert found.file.endswith("program.p4")
    assert "state start" in text.split("\n")[found.line - 1]
