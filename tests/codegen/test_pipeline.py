# SPDX-License-Identifier: Apache-2.0
"""What happens between ingress and the wire: drops, clones, multicast, resubmission, recirculation, the CPU
port; and
how calls, exits and returns run."""

from __future__ import annotations

from pathlib import Path

from softswitch.engine import EVENT_PACKET_IN
from tests.codegen.harness import INVALID, Switch
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program, word

TRACE = """
header trace_t { bit<8> instance; bit<8> kept; bit<8> lost; bit<8> rid; bit<16> port; bit<16> ingress_port; }
header word_t { bit<32> value; bit<8> tag; }
struct headers_t { trace_t trace; word_t word; }
"""
METADATA = "@field_list(3) bit<8> kept; bit<8> lost;"
STAMP = """h.trace.setValid(); h.trace.instance = (bit<8>)std.instance_type; h.trace.kept = m.kept;
h.trace.lost = m.lost;
  h.trace.rid = (bit<8>)std.egress_rid; h.trace.port = (bit<16>)std.egress_port;
  h.trace.ingress_port = (bit<16>)std.ingress_port;"""
EMIT_TRACE = "p.emit(h.trace); p.emit(h.word);"


def trace(instance: int, kept: int, lost: int, rid: int, port: int, ingress_port: int) -> bytes:
    """The bytes of `trace_t`."""
    return bytes([instance, kept, lost, rid]) + port.to_bytes(2, "big") + ingress_port.to_bytes(2, "big")


def traced(ingress: str, egress: str = "", tmp_path: Path | None = None) -> Switch:
    """A program whose egress stamps what it sees in front of the packet."""
    assert tmp_path is not None
    text = program(
        TRACE,
        parser=EXTRACT,
        ingress=f"apply {{ {ingress} }}",
        egress=f"apply {{ {egress} {STAMP} }}",
        deparser=EMIT_TRACE,
        metadata=METADATA,
    )
    return Switch.of(text, tmp_path)


def test_drops(tmp_path: Path) -> None:
    ingress = """if (h.word.tag == 1) mark_to_drop(std); else std.egress_spec = 3;
      if (h.word.tag == 2) { mark_to_drop(std); std.egress_spec = 4; } if (h.word.tag == 3) std.egress_spec
      = 511;"""
    egress = "if (h.word.tag == 5) mark_to_drop(std);"
    with traced(ingress, egress, tmp_path) as switch:
        out = [switch.send(7, word(1, tag)) for tag in range(6)]
        assert [[port for port, _ in frames] for frames in out] == [[3], [], [4], [], [3], []]
        assert out[0][0][1] == trace(0, 0, 0, 0, 3, 7) + word(1, 0)


def test_multicast(tmp_path: Path) -> None:
    ingress = """m.kept = 1; m.lost = 2; h.word.value = 9; std.mcast_grp = (bit<16>)h.word.tag;
      std.egress_spec = 511;"""
    egress = "if (std.egress_rid == 2) h.word.value = 77; if (std.egress_rid == 3) mark_to_drop(std);"
    with traced(ingress, egress, tmp_path) as switch:
        assert switch.send(0, word(0, 5)) == []  # no such group
        assert switch.engine.multicast_set(5, [(1, 1), (2, 2), (4, 3), (1, 4)]) == 0
        assert switch.send(8, word(0, 5)) == [
            (1, trace(5, 1, 2, 1, 1, 8) + word(9, 5)),
            (2, trace(5, 1, 2, 2, 2, 8) + word(77, 5)),
            (1, trace(5, 1, 2, 4, 1, 8) + word(9, 5)),
        ]
        assert switch.engine.multicast_set(5, []) == 0
        assert switch.send(0, word(0, 5)) == []
        assert switch.engine.multicast_set(0, [(1, 1)]) == INVALID
        assert switch.engine.multicast_set(6, [(511, 1)]) == INVALID


def test_clone_of_ingress(tmp_path: Path) -> None:
    """The clone is the packet as it came; of the metadata only the field list's are kept."""
    ingress = """m.kept = 1; m.lost = 2; std.egress_spec = 3; if (h.word.tag == 1) clone(CloneType.I2E, 9);
      if (h.word.tag == 2) clone_preserving_field_list(CloneType.I2E, 9, 3);
      if (h.word.tag == 3) { clone_preserving_field_list(CloneType.I2E, 9, 3); mark_to_drop(std); }
      h.word.value = 42;"""
    with traced(ingress, "", tmp_path) as switch:
        original = (3, trace(0, 1, 2, 0, 3, 8))
        assert switch.send(8, word(5, 1)) == [(3, original[1] + word(42, 1))]  # no such session
        assert switch.engine.clone_set(9, [(6, 1)], 0) == 0
        assert switch.send(8, word(5, 1) + b"pay") == [
            (6, trace(1, 0, 0, 1, 6, 0) + word(5, 1) + b"pay"),
            (3, original[1] + word(42, 1) + b"pay"),
        ]
        assert switch.send(8, word(5, 2)) == [
            (6, trace(1, 1, 0, 1, 6, 0) + word(5, 2)),
            (3, original[1] + word(42, 2)),
        ]
        assert switch.send(8, word(5, 3)) == [(6, trace(1, 1, 0, 1, 6, 0) + word(5, 3))]
        assert switch.engine.clone_set(9, [(6, 1), (7, 2)], 10) == 0
        assert switch.send(8, word(5, 3)) == [
            (6, (trace(1, 1, 0, 1, 6, 0) + word(5, 3))[:10]),
            (7, (trace(1, 1, 0, 2, 7, 0) + word(5, 3))[:10]),
        ]


def test_clone_of_egress(tmp_path: Path) -> None:
    """The clone is the packet at the end of egress, headers as they are, and runs through egress."""
    ingress = "m.kept = 1; m.lost = 2; std.egress_spec = 3; h.word.value = 42;"
    egress = """if (std.instance_type == 0) { h.word.value = 43; clone_preserving_field_list(CloneType.E2E,
    9, 3);
      if (h.word.tag == 1) mark_to_drop(std); } else { h.word.tag = 99; }"""
    with traced(ingress, egress, tmp_path) as switch:
        assert switch.engine.clone_set(9, [(6, 5)], 0) == 0
        clone = (6, trace(2, 1, 0, 5, 6, 0) + word(43, 99) + b"pay")
        assert switch.send(8, word(5, 0) + b"pay") == [
            (3, trace(0, 1, 2, 0, 3, 8) + word(43, 0) + b"pay"),
            clone,
        ]
        assert switch.send(8, word(5, 1) + b"pay") == [clone]


def test_resubmit(tmp_path: Path) -> None:
    """Ingress begins again with the packet as it came."""
    ingress = """std.egress_spec = 3; if (std.instance_type == 0) { m.kept = 7; m.lost = 8; h.word.value = 42;
      resubmit_preserving_field_list(3); mark_to_drop(std); } else { h.word.tag = h.word.tag + m.kept; }
      m.lost = m.lost + (bit<8>)std.instance_type;"""
    with traced(ingress, "", tmp_path) as switch:
        assert switch.send(8, word(5, 1) + b"pay") == [(3, trace(0, 7, 6, 0, 3, 0) + word(5, 8) + b"pay")]


def test_recirculate(tmp_path: Path) -> None:
    """The packet as the deparser made it goes through the parser again; it ends, also when the program does
    not."""
    ingress = """std.egress_spec = 3; if (std.instance_type == 4) h.word.value = h.word.value +
    (bit<32>)std.packet_length;"""
    egress = "if (h.word.tag != 0) { h.word.tag = h.word.tag - 1; m.kept = m.kept + 1; m.lost = 1; "
    egress += "recirculate_preserving_field_list(3); return; }"
    text = program(
        TRACE,
        parser=EXTRACT,
        ingress=f"apply {{ {ingress} }}",
        egress=f"apply {{ {egress} {STAMP} }}",
        deparser=EMIT_TRACE,
        metadata=METADATA,
    )
    with Switch.of(text, tmp_path) as switch:
        assert switch.send(8, word(0, 3) + b"pay") == [(3, trace(0, 3, 0, 0, 3, 0) + word(24, 0) + b"pay")]
    for_ever = text.replace("h.word.tag = h.word.tag - 1;", "")
    with Switch.of(for_ever, tmp_path) as switch:
        assert switch.send(8, word(0, 3)) == []
        assert switch.send(8, word(0, 0)) == [(3, trace(0, 0, 0, 0, 3, 8) + word(0, 0))]


def test_cpu_port(tmp_path: Path) -> None:
    ingress = "if (std.ingress_port == 510) std.egress_spec = 4; else std.egress_spec = 510;"
    with traced(ingress, "", tmp_path) as switch:
        assert switch.send(8, word(5, 1) + b"pay") == []
        [event] = switch.events()
        assert event == (EVENT_PACKET_IN, trace(0, 0, 0, 0, 510, 8) + word(5, 1) + b"pay")
        assert switch.engine.packet_out(word(6, 2)) == 0
        assert switch.engine.take_output() == [(4, trace(0, 0, 0, 0, 4, 510) + word(6, 2))]


def test_calls_exits_and_returns(tmp_path: Path) -> None:
    top = """
    bit<8> twice(in bit<8> v) { if (v > 100) { return 200; } return v * 2; }
    void bump(inout bit<8> v, out bit<8> old) { old = v; v = v + 1; }
    control Sub(inout word_t w, in bit<8> mode, out bit<8> result) {
      action leave() { w.value = w.value + 1000; exit; }
      action stop(bit<8> add) { result = add; return; }
      apply { if (mode == 1) { leave(); } if (mode == 2) { return; } w.value = w.value + 10; stop(5);
        result = result + 1; }
    }"""
    ingress = """
    bit<8> unit = 3;
    Sub() sub; Sub() other;
    action add(inout bit<8> to, in bit<8> what) { to = to + what; unit = unit + 1; }
    action with_exit(bit<8> v) { h.word.tag = v; exit; }
    table t { key = { h.word.tag: exact; } actions = { add(h.word.tag, 100); with_exit; NoAction; }
      const entries = { 50: add(h.word.tag, 100); 51: with_exit(77); } const default_action = NoAction; }
    apply {
      std.egress_spec = 1;
      bit<8> r = 0; bit<8> old = 0;
      sub.apply(h.word, h.word.tag, r);
      other.apply(h.word, 2, old);
      if (h.word.tag == 3) { h.word.tag = twice(h.word.tag) + twice(150); }
      if (h.word.tag == 4) { bump(h.word.tag, old); bump(h.word.tag, h.word.value[7:0]); add(h.word.tag,
      old); }
      t.apply();
      h.word.value = h.word.value + 100000 * (bit<32>)unit + 10000000 * (bit<32>)r;
    }"""
    with Switch.of(
        program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT, top=top), tmp_path
    ) as switch:
        unit, r = 100000, 10000000
        assert switch.one(0, word(0, 1))[1] == word(1000, 1)
        assert switch.one(0, word(0, 2))[1] == word(3 * unit, 2)
        assert switch.one(0, word(0, 3))[1] == word(10 + 3 * unit + 6 * r, 206)
        assert switch.one(0, word(0, 4))[1] == word(5 + 4 * unit + 6 * r, 10)
        assert switch.one(0, word(0, 50))[1] == word(10 + 4 * unit + 6 * r, 150)
        assert switch.one(0, word(0, 51))[1] == word(10, 77)


def test_switch_statements_and_expressions(tmp_path: Path) -> None:
    top = "enum bit<8> kind_t { A = 3, B = 200 } enum plain_t { X, Y }"
    ingress = """apply { std.egress_spec = 1; kind_t k = (kind_t)h.word.tag; plain_t e = plain_t.X;
      switch (h.word.value) { 1: { h.word.tag = 11; } 2: 3: { h.word.tag = 12; e = plain_t.Y; } default: {
      h.word.tag = 13; } }
      if (k == kind_t.B) { h.word.value = 5; } else if (e == plain_t.Y && !(h.word.tag != 12)) {
      h.word.value = 6; }
      bool b = h.word.value > 5 || h.word.tag == 13; h.word.tag = b ? h.word.tag : 8w99; }"""
    with Switch.of(
        program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT, top=top), tmp_path
    ) as switch:
        cases = [
            (word(1, 0), word(1, 99)),
            (word(2, 0), word(6, 12)),
            (word(3, 200), word(5, 99)),
            (word(9, 0), word(9, 13)),
        ]
        for given, expected in cases:
            assert switch.one(0, given)[1] == expected


def test_tuples(tmp_path: Path) -> None:
    ingress = """apply { std.egress_spec = 1; tuple<bit<32>, bit<8>> t = { h.word.value, 7 }; bit<16> c;
      tuple<bit<32>, bit<8>> u; u = { 5, h.word.tag }; hash(c, HashAlgorithm.csum16, 16w0, t, 32w0x10000);
      h.word.value = t[0] + u[0]; if (t == u) { c = 0; } h.word.tag = u[1] + c[7:0]; }"""
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path) as switch:
        assert switch.one(0, word(1, 7))[1] == word(6, (7 + (~0x0701 & 0xFF)) & 0xFF)
        assert switch.one(0, word(5, 7))[1] == word(10, 7)


def test_c_words_as_names(tmp_path: Path) -> None:
    """P4 names that mean something in C."""
    headers = """header int_t { bit<8> long; bit<8> NULL; bit<8> ss_valid; bit<8> x; } struct headers_t {
    int_t register_; }"""
    ingress = """bit<8> static = 1; bit<8> x = 2; bit<8> memcpy = 3;
      action volatile(bit<8> f, bit<8> row) { h.register_.long = f + row; }
      table double { key = { h.register_.x: exact; } actions = { volatile; } default_action = volatile(5,
      6); }
      apply { std.egress_spec = 1; bit<8> f = 4; bit<8> table_double = 7; double.apply();
        h.register_.NULL = static + x + memcpy + f + table_double; h.register_.ss_valid = 9; }"""
    parser = "state start { p.extract(h.register_); transition auto; } state auto { transition accept; }"
    text = program(headers, parser=parser, ingress=ingress, deparser="p.emit(h);")
    with Switch.of(text, tmp_path) as switch:
        assert switch.one(0, bytes(4))[1] == bytes([11, 17, 9, 0])
