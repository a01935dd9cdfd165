# SPDX-License-Identifier: Apache-2.0
"""Tables of every match kind: what matches, what wins, what the control plane may write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from softswitch.engine import DELETE, FLAG_CONST, FLAG_DEFAULT, INSERT, MODIFY, parse_records
from tests.codegen.harness import DENIED, EXISTS, FULL, INVALID, NOT_FOUND, OK, OUT_OF_RANGE, Switch
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program, word

INGRESS = """
action tag(bit<8> t) { h.word.tag = t; }
action drop() { mark_to_drop(std); }
@defaultonly action only_default() { h.word.tag = 0xdd; }
direct_counter(CounterType.packets_and_bytes) hits;
table exact_t { key = { h.word.value: exact; } actions = { tag; drop; @defaultonly only_default; }
  default_action = only_default; size = 3; counters = hits; support_timeout = true; }
table lpm_t { key = { h.word.tag: exact; h.word.value: lpm; } actions = { tag; NoAction; } size = 64; }
table ternary_t { key = { h.word.value: ternary; h.word.tag: ternary; } actions = { tag; NoAction; } }
table range_t { key = { h.word.value: range; h.word.tag: exact; } actions = { tag; NoAction; } }
table optional_t { key = { h.word.value: optional; h.word.tag: optional; } actions = { tag; NoAction; } }
table keyless_t { actions = { tag; NoAction; } default_action = NoAction; }
table const_t { key = { h.word.value: ternary; } actions = { tag; NoAction; }
  const entries = { 0x10 &&& 0xf0: tag(1); 0x11: tag(2); _: tag(3); } const default_action = NoAction; }
table given_t { key = { h.word.value: exact; } actions = { tag; NoAction; } entries = { 7: tag(70); } }
apply {
  std.egress_spec = 1;
  if (std.ingress_port == 1) { if (exact_t.apply().hit) { h.word.value = 1; } else { h.word.value = 0; } }
  else if (std.ingress_port == 2) lpm_t.apply();
  else if (std.ingress_port == 3) ternary_t.apply();
  else if (std.ingress_port == 4) range_t.apply();
  else if (std.ingress_port == 5) optional_t.apply();
  else if (std.ingress_port == 6) { switch (keyless_t.apply().action_run) {
      tag: { h.word.value = 100; } default: { h.word.value = 200; } } }
  else if (std.ingress_port == 7) const_t.apply();
  else if (std.ingress_port == 8) given_t.apply();
}
"""


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=INGRESS, deparser=EMIT), tmp_path) as made:
        yield made


def tag(switch: Switch, port: int, value: int, given: int = 0) -> int:
    """The tag that a packet leaves with."""
    out, frame = switch.one(port, word(value, given))
    assert out == 1
    return frame[4]


def test_exact_hit_miss_and_default(switch: Switch) -> None:
    assert switch.one(1, word(5)) == (1, word(0, 0xDD))
    switch.insert("exact_t", [5], "tag", 9)
    assert switch.one(1, word(5)) == (1, word(1, 9))
    assert switch.one(1, word(6)) == (1, word(0, 0xDD))
    assert switch.set_default("exact_t", "drop") == OK
    assert switch.send(1, word(6)) == []


def test_modify_and_delete(switch: Switch) -> None:
    switch.insert("exact_t", [5], "tag", 9)
    assert switch.write(MODIFY, "exact_t", [5], "tag", 10) == OK
    assert tag(switch, 1, 5) == 10
    assert switch.write(MODIFY, "exact_t", [6], "tag", 10) == NOT_FOUND
    assert switch.write(DELETE, "exact_t", [5], None) == OK
    assert switch.write(DELETE, "exact_t", [5], None) == NOT_FOUND
    assert tag(switch, 1, 5) == 0xDD


def test_refusals(switch: Switch) -> None:
    switch.insert("exact_t", [5], "tag", 9)
    assert switch.write(INSERT, "exact_t", [5], "tag", 9) == EXISTS
    switch.insert("exact_t", [6], "tag", 9)
    switch.insert("exact_t", [7], "tag", 9)
    assert switch.write(INSERT, "exact_t", [8], "tag", 9) == FULL
    assert switch.write(INSERT, "const_t", [(0, 1)], "tag", 9, priority=1) == DENIED
    assert switch.set_default("const_t", "tag", 1) == DENIED
    assert switch.write(INSERT, "exact_t", [9], "only_default") == DENIED
    assert switch.write(INSERT, "exact_t", [9], "NoAction") == INVALID  # not one of the table's
    assert switch.write(INSERT, "ternary_t", [(1, 1), None], "tag", 9) == INVALID  # no priority
    assert switch.write(INSERT, "exact_t", [9], "tag", 9, priority=3) == INVALID
    assert (
        switch.write(INSERT, "ternary_t", [(3, 1), None], "tag", 9, priority=1) == INVALID
    )  # beyond the mask
    assert switch.write(INSERT, "range_t", [(9, 3), 0], "tag", 9, priority=1) == INVALID
    assert switch.write(INSERT, "lpm_t", [0, 5], "tag", 1, idle_ms=10) == INVALID  # no support_timeout
    key, mask = switch.key_and_mask("lpm_t", [0, 5])
    table = switch.table("lpm_t").preamble.id
    action = switch.action("tag").preamble.id
    holes = mask[:1] + b"\xff\x00\xff\x00"
    assert switch.engine.write(INSERT, table, b"\0\x05\0\0\0", holes, 0, action, b"\1") == INVALID
    assert switch.engine.write(INSERT, table, key, mask, 0, action, b"\1\2") == INVALID
    assert switch.engine.write(INSERT, 0x02FFFFFF, key, mask, 0, action, b"\1") == NOT_FOUND
    assert switch.engine.write(9, table, key, mask, 0, action, b"\1") == INVALID


def test_values_too_wide(tmp_path: Path) -> None:
    ingress = """action leave(bit<9> port) { std.egress_spec = port; }
    table t { key = { std.ingress_port: exact; } actions = { leave; NoAction; } } apply { t.apply(); }"""
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path) as switch:
        table, action = switch.table("t").preamble.id, switch.action("leave").preamble.id
        assert switch.engine.write(INSERT, table, b"\x02\x00", None, 0, action, b"\0\1") == OUT_OF_RANGE
        assert switch.engine.write(INSERT, table, b"\x00\x01", None, 0, action, b"\2\0") == OUT_OF_RANGE
        assert switch.engine.write(INSERT, table, b"\x01\xff", None, 0, action, b"\1\2") == OK
        assert switch.one(511, word(0))[0] == 258


def test_longest_prefix_wins(switch: Switch) -> None:
    switch.insert("lpm_t", [0, (0, 0)], "tag", 1)
    switch.insert("lpm_t", [0, (0x0A000000, 8)], "tag", 2)
    switch.insert("lpm_t", [0, (0x0A010000, 16)], "tag", 3)
    switch.insert("lpm_t", [0, (0x0A010203, 32)], "tag", 4)
    switch.insert("lpm_t", [1, (0x0A010203, 32)], "tag", 5)
    assert [tag(switch, 2, v) for v in (0x0B000000, 0x0A020000, 0x0A010204, 0x0A010203)] == [1, 2, 3, 4]
    assert tag(switch, 2, 0x0A010203, 1) == 5
    assert tag(switch, 2, 0x0A010204, 1) == 1  # a miss leaves the tag
    assert switch.write(DELETE, "lpm_t", [0, (0x0A010000, 16)], None) == OK
    assert tag(switch, 2, 0x0A010204) == 2


def test_ternary_priorities(switch: Switch) -> None:
    switch.insert("ternary_t", [(0x10, 0xF0), None], "tag", 1, priority=10)
    switch.insert("ternary_t", [(0x11, 0xFF), (5, 0xFF)], "tag", 2, priority=20)
    switch.insert("ternary_t", [None, None], "tag", 3, priority=1)
    switch.insert("ternary_t", [None, None], "tag", 4, priority=2)
    assert tag(switch, 3, 0x11, 5) == 2
    assert tag(switch, 3, 0x11, 6) == 1
    assert tag(switch, 3, 0x21, 6) == 4
    assert switch.write(INSERT, "ternary_t", [None, None], "tag", 9, priority=2) == EXISTS
    assert switch.write(DELETE, "ternary_t", [None, None], None, priority=2) == OK
    assert tag(switch, 3, 0x21, 6) == 3
    assert switch.write(MODIFY, "ternary_t", [None, None], "tag", 8, priority=1) == OK
    assert tag(switch, 3, 0x21, 6) == 8


def test_ranges_include_both_ends(switch: Switch) -> None:
    switch.insert("range_t", [(10, 20), 7], "tag", 1, priority=1)
    switch.insert("range_t", [(15, 0xFFFFFFFF), 7], "tag", 2, priority=2)
    assert [tag(switch, 4, v, 7) for v in (9, 10, 14, 15, 20, 21, 0xFFFFFFFF)] == [7, 1, 1, 2, 2, 2, 2]
    assert tag(switch, 4, 12, 8) == 8


def test_optional(switch: Switch) -> None:
    switch.insert("optional_t", [5, None], "tag", 1, priority=1)
    switch.insert("optional_t", [5, 9], "tag", 2, priority=2)
    assert [tag(switch, 5, 5, t) for t in (8, 9)] == [1, 2]
    assert tag(switch, 5, 6, 9) == 9
    assert switch.write(INSERT, "optional_t", [(0, 0xF), None], "tag", 1, priority=1) == INVALID


def test_keyless_and_action_run(switch: Switch) -> None:
    assert switch.one(6, word(1, 2)) == (1, word(200, 2))
    assert switch.set_default("keyless_t", "tag", 3) == OK
    assert switch.one(6, word(1, 2)) == (1, word(100, 3))
    table = switch.table("keyless_t").preamble.id
    assert (
        switch.engine.write(MODIFY, table, b"", flags=FLAG_DEFAULT) == OK
    )  # the program's own default again
    assert switch.one(6, word(1, 2)) == (1, word(200, 2))
    action = switch.action("tag").preamble.id
    assert switch.engine.write(INSERT, table, b"", None, 0, action, b"\1") == INVALID
    assert (
        switch.engine.write(INSERT, table, b"", action_id=action, params=b"\1", flags=FLAG_DEFAULT) == INVALID
    )


def test_entries_of_the_program(switch: Switch) -> None:
    assert [tag(switch, 7, v) for v in (0x12, 0x11, 0x21)] == [1, 1, 3]  # the first listed wins
    assert [tag(switch, 8, v) for v in (7, 8)] == [70, 0]
    assert switch.write(MODIFY, "given_t", [7], "tag", 71) == OK
    assert tag(switch, 8, 7) == 71
    records = list(parse_records(switch.engine.read_table(switch.table("const_t").preamble.id)[0]))
    assert [r.priority for r in records] == [3, 2, 1]
    assert all(r.flags & FLAG_CONST for r in records)


def test_records_carry_all_data(switch: Switch) -> None:
    table, action = switch.table("exact_t").preamble.id, switch.action("tag").preamble.id
    key = b"\0\0\0\5"
    code = switch.engine.write(
        INSERT,
        table,
        key,
        None,
        0,
        action,
        b"\x09",
        idle_timeout_ns=10**12,
        metadata=77,
        packets=3,
        octets=100,
    )
    assert code == OK
    switch.send(1, word(5) + bytes(95))
    found = switch.entry("exact_t", [5])
    assert found is not None
    assert (found.action_id, found.key, found.mask, found.params) == (action, key, b"\xff" * 4, b"\x09")
    assert (found.idle_timeout_ns, found.metadata, found.packets, found.octets) == (10**12, 77, 4, 200)
    assert found.since_last_hit_ns < 10**9
    assert switch.write(MODIFY, "exact_t", [5], "tag", 10) == OK
    found = switch.entry("exact_t", [5])
    assert found is not None
    assert (found.packets, found.octets, found.params) == (4, 200, b"\x0a")
    assert switch.engine.direct_counter_write(table, key, None, 0, 1, 2) == OK
    found = switch.entry("exact_t", [5])
    assert found is not None
    assert (found.packets, found.octets) == (1, 2)


def test_reading_lpm_masks(switch: Switch) -> None:
    switch.insert("lpm_t", [3, (0x0A020000, 15)], "tag", 1)
    [record] = parse_records(switch.engine.read_table(switch.table("lpm_t").preamble.id)[0])
    assert (record.key, record.mask) == (bytes.fromhex("030a020000"), bytes.fromhex("fffffe0000"))


def test_many_entries_grow_and_shrink(tmp_path: Path) -> None:
    ingress = """action tag(bit<8> t) { h.word.tag = t; }
    table t { key = { h.word.value: exact; } actions = { tag; NoAction; } size = 100000; }
    apply { std.egress_spec = 1; t.apply(); }"""
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path) as switch:
        for i in range(20000):
            switch.insert("t", [i * 7919], "tag", i & 0x7F | 0x80)
        for i in range(0, 20000, 2):
            assert switch.write(DELETE, "t", [i * 7919], None) == OK
        table = switch.table("t").preamble.id
        assert switch.engine.table_count(table) == 10000
        seen = [r.key for part in switch.engine.read_table(table) for r in parse_records(part)]
        assert len(seen) == len(set(seen)) == 10000
        for i in range(0, 20000, 97):
            assert switch.one(0, word(i * 7919))[1][4] == (i & 0x7F | 0x80 if i % 2 else 0)


def test_a_field_of_an_invalid_header_counts_as_zero(tmp_path: Path) -> None:
    ingress = """action tag(bit<8> t) { h.result.tag = t; }
    table t { key = { h.word.value: exact; h.word.isValid(): exact; } actions = { tag; NoAction; } }
    apply { std.egress_spec = 1; h.result.setValid(); t.apply(); }"""
    headers = ONE_HEADER.replace("word_t word;", "word_t word; word_t result;")
    parser = "state start { transition select(p.lookahead<bit<8>>()) { 1: yes; default: accept; } } "
    parser += "state yes { p.extract(h.word); transition accept; }"
    text = program(headers, parser=parser, ingress=ingress, deparser="p.emit(h.result);")
    with Switch.of(text, tmp_path) as switch:
        switch.insert("t", [0, 0], "tag", 1)
        switch.insert("t", [0x01000000, 1], "tag", 2)
        assert switch.one(0, word(0x01000000))[1][4] == 2
        assert switch.one(0, word(0x02000000))[1][4] == 1


def test_wide_and_odd_keys_and_parameters(tmp_path: Path) -> None:
    headers = """enum bit<8> kind_t { A = 1, B = 2 }
      header in_t { bit<130> k; bit<6> pad; bit<128> address; bit<5> five; bit<3> three; bit<8> kind; }
      header out_t { bit<1> flag; bit<7> pad; bit<160> wide; bit<128> address; bit<33> c; bit<7> d; bit<8>
      kind; }
      struct headers_t { in_t i; out_t o; }"""
    ingress = """
      action set(bool flag, bit<160> wide, bit<128> address, bit<33> c, int<7> d, kind_t kind) {
        h.o.flag = (bit<1>)flag; h.o.wide = wide; h.o.address = address; h.o.c = c; h.o.d = (bit<7>)d;
        h.o.kind = (bit<8>)kind; }
      table exact_t { key = { h.i.k: exact; h.i.address: exact; h.i.five: exact; } actions = { set;
      NoAction; } }
      table lpm_t { key = { h.i.address: lpm; } actions = { set; NoAction; } }
      table ternary_t { key = { h.i.k: ternary; h.i.address: range; h.i.five: ternary; }
        actions = { set; NoAction; } }
      apply { std.egress_spec = 1; h.o.setValid();
        if (h.i.kind == 0) { exact_t.apply(); } else if (h.i.kind == 1) { lpm_t.apply(); }
        else { ternary_t.apply(); } h.i.setInvalid(); }"""
    parser = "state start { p.extract(h.i); transition accept; }"
    values = (1, (1 << 159) + 5, (1 << 127) + 7, (1 << 32) + 9, 0x7F, 2)
    bits = "".join(f"{v:0{w}b}" for v, w in zip((1, 0, *values[1:]), (1, 7, 160, 128, 33, 7, 8), strict=True))
    expected = int(bits, 2).to_bytes(len(bits) // 8, "big")
    nothing = bytes(len(expected))
    k, address, five = (1 << 129) + 3, 0x20010DB8 << 96 | 77, 0x15

    def frame(kind: int, address: int = address, five: int = five) -> bytes:
        value = (k << 6) << 128 | address
        return ((value << 8 | five << 3) << 8 | kind).to_bytes(35, "big")

    with Switch.of(
        program(headers, parser=parser, ingress=ingress, deparser="p.emit(h);"), tmp_path
    ) as switch:
        switch.insert("exact_t", [k, address, five], "set", *values)
        switch.insert("lpm_t", [(address >> 64 << 64, 64)], "set", *values)
        ones = (1 << 130) - 1
        match = [(k, ones), (address - 1, address), (0x10, 0x10)]
        switch.insert("ternary_t", match, "set", *values, priority=3)
        for kind in range(3):
            assert switch.one(0, frame(kind))[1] == expected
        assert switch.one(0, frame(0, five=0x14))[1] == nothing
        assert switch.one(0, frame(1, address ^ 1 << 64))[1] == nothing
        assert switch.one(0, frame(1, address ^ 1 << 63))[1] == expected
        assert switch.one(0, frame(2, address + 1))[1] == nothing
        assert switch.one(0, frame(2, address - 1, 0x1F))[1] == expected
        assert switch.one(0, frame(2, five=0x0F))[1] == nothing
