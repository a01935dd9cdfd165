# SPDX-License-Identifier: Apache-2.0
"""The same program, the same packets: what p4c and BMv2 make of them, and what we do."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.codegen.harness import Switch
from tests.codegen.skeleton import program
from tests.p4src.bmv2_target import Bmv2Target

PROGRAM = program(
    """
header eth_t { bit<48> dst; bit<48> src; bit<16> type; }
header label_t { bit<20> label; bit<3> tc; bit<1> bottom; bit<8> ttl; }
header option_t { bit<8> kind; bit<8> length; varbit<128> data; bit<8> tail; }
header numbers_t { bit<3> a; int<13> b; bit<33> c; int<7> d; bit<100> e; bit<4> f; bit<16> sum; }
header byte_t { bit<8> v; }
header word_t { bit<16> v; }
header_union either_t { byte_t one; word_t two; }
header result_t { bit<8> error_code; bit<8> flags; bit<32> hash_a; bit<32> hash_b; bit<16> crc; bit<16> exor;
  bit<16> length; bit<16> out_length; bit<8> picked; bit<8> rounds; bit<100> e; bit<33> c; bit<13> b; bit<7>
  d;
  bit<7> fill; bit<48> mixed; }
struct headers_t { result_t result; eth_t eth; label_t[3] labels; option_t option; numbers_t numbers;
  either_t either; byte_t added; }
""",
    parser="""
state start { p.extract(h.eth); transition select(h.eth.type) {
  0x8847: labels; 0x0001: option; 0x0002: numbers; 0x0003: look; 0x0004: one; 0x0005: two; 0x0006: reject;
  0x0007: failing; 0x0008: skip; 0x0100 .. 0x01ff: none; 0x0200 &&& 0xff00: numbers; default: accept; } }
state labels { p.extract(h.labels.next); transition select(h.labels.last.bottom) { 1: accept; default:
labels; } }
state option { bit<16> head = p.lookahead<bit<16>>(); p.extract(h.option, ((bit<32>)head[7:0]) << 3);
  transition select(h.option.kind) { 1: numbers; default: accept; } }
state numbers { p.extract(h.numbers); transition select(h.numbers.a, h.numbers.d) {
  (1, _): one; (2, 3): two; (_, 5): two; default: accept; } }
state look { bit<200> all = p.lookahead<bit<200>>(); m.seen = all[119:100];
  transition select(all[7:0]) { 0: numbers; 1: one; default: accept; } }
state one { p.extract(h.either.one); transition accept; }
state two { p.extract(h.either.two); transition accept; }
state failing { verify(h.eth.dst[0:0] == 0, error.Mine); transition numbers; }
state skip { p.advance((bit<32>)h.eth.dst[7:0] << 3); transition numbers; }
state none { transition select(h.eth.src[1:0]) { 0: numbers; 1: one; } }
""",
    metadata="bit<20> seen; @field_list(1) bit<8> rounds; bit<8> lost;",
    top="error { Mine }",
    ingress="""
action pick(bit<8> v) { h.result.picked = v; }
action pick_and_add(bit<8> v) { h.result.picked = v; h.added.setValid(); h.added.v = v; }
table ternary_t { key = { h.eth.type: ternary; h.option.kind: ternary; } actions = { pick; pick_and_add; }
  const entries = { (1, 1 &&& 0xf): pick(1); (0x8847, _): pick_and_add(2); (0 &&& 0xfffe, _): pick(3);
    (_, 0 &&& 1): pick_and_add(4); } const default_action = pick(99); }
table lpm_t { key = { h.eth.dst: lpm; } actions = { pick; NoAction; }
  const entries = { 0x112200000000 &&& 0xffff00000000: pick(10); 0x112233000000 &&& 0xffffff000000: pick(11);
    0x112233445566: pick(12); } }
table range_t { key = { h.eth.src: range; h.either.isValid(): exact; } actions = { pick; NoAction; }
  const entries = { (0 .. 100, true): pick(20); (50 .. 0xffff, false): pick(21); } }
apply {
  std.egress_spec = 2;
  h.result.setValid();
  if (std.parser_error == error.PacketTooShort) h.result.error_code = 1;
  if (std.parser_error == error.NoMatch) h.result.error_code = 2;
  if (std.parser_error == error.StackOutOfBounds) h.result.error_code = 3;
  if (std.parser_error == error.HeaderTooShort) h.result.error_code = 4;
  if (std.parser_error == error.Mine) h.result.error_code = 5;
  h.result.length = (bit<16>)std.packet_length;
  h.result.flags = (bit<1>)h.labels[0].isValid() ++ (bit<1>)h.labels[2].isValid() ++
  (bit<1>)h.option.isValid()
    ++ (bit<1>)h.numbers.isValid() ++ (bit<1>)h.either.one.isValid() ++ (bit<1>)h.either.two.isValid()
    ++ std.checksum_error ++ (bit<1>)(std.instance_type != 0);
  h.result.mixed = (bit<48>)m.seen ^ h.eth.dst;
  if (h.numbers.isValid()) {
    h.result.e = (h.numbers.e << 3) |+| h.numbers.e; h.result.e = h.result.e - (bit<100>)h.numbers.c * 77;
    h.result.c = (h.numbers.c |-| (h.numbers.c >> 1)) ^ (bit<33>)(bit<13>)h.numbers.b;
    h.result.b = (bit<13>)((h.numbers.b |+| (int<13>)h.numbers.d) >> h.numbers.a);
    h.result.d = (bit<7>)(h.numbers.d |-| 60); h.numbers.b = -h.numbers.b; h.numbers.c[20:5] =
    h.numbers.c[32:17];
    if (h.numbers.b < 0 || (int<8>)h.numbers.d > 5) { h.numbers.f = h.numbers.f + 1; }
    hash(h.result.hash_a, HashAlgorithm.crc32, 32w0, { h.numbers.c, h.numbers.d, h.numbers.e, h.numbers.f },
      64w0x100000000);
  }
  if (h.labels[1].isValid())
    hash(h.result.hash_b, HashAlgorithm.crc32, 32w5, { h.eth.dst, h.labels[1].label, h.labels[1].tc, h.eth.src
  },
    64w0xffffff);
  hash(h.result.crc, HashAlgorithm.crc16, 16w0, { h.eth.dst, h.eth.type }, 32w0x10000);
  hash(h.result.exor, HashAlgorithm.xor16, 16w0, { h.eth.dst, h.eth.src, h.eth.type[15:8] }, 32w0x10000);
  ternary_t.apply(); lpm_t.apply(); range_t.apply();
  if (h.eth.src[8:8] == 1) { h.labels.push_front(1); h.labels[0].setValid(); h.labels[0].ttl = 7; }
  if (h.eth.src[9:9] == 1) { h.labels.pop_front(2); }
  if (h.eth.src[10:10] == 1 && h.option.isValid()) { h.option.setInvalid(); }
  if (h.eth.src[11:11] == 1) { truncate(50); }
  if (h.eth.src[12:12] == 1 && std.instance_type == 0) { m.rounds = 40; m.lost = 3;
  resubmit_preserving_field_list(1); }
  m.rounds = m.rounds + m.lost + 1; h.result.rounds = m.rounds;
}""",
    egress="""apply { h.result.out_length = (bit<16>)std.packet_length; m.rounds = m.rounds + 1;
  if (h.eth.src[13:13] == 1 && m.rounds < 4) { h.result.setInvalid(); recirculate_preserving_field_list(1); }
  if (h.eth.src[14:14] == 1) { h.either.one.setValid(); h.either.one.v = h.result.rounds; } }""",
    verify="""verify_checksum(h.numbers.f != 3, { h.numbers.a, h.numbers.b, h.numbers.c, h.numbers.d,
    h.numbers.e,
  h.numbers.f }, h.numbers.sum, HashAlgorithm.csum16);""",
    compute="""update_checksum_with_payload(h.numbers.isValid(), { h.eth.dst, h.numbers.e, h.numbers.f,
  h.labels[0].label, h.labels[0].tc, h.labels[0].bottom }, h.numbers.sum, HashAlgorithm.csum16);""",
    deparser="p.emit(h.result); p.emit(h.eth); p.emit(h.labels); p.emit(h.option); p.emit(h.numbers); "
    "p.emit(h.either); p.emit(h.added);",
)

TYPES = (0x8847, 1, 2, 3, 4, 5, 6, 7, 8, 0x0123, 0x0234, 0x9999)


def random_frame(rng: random.Random) -> bytes:
    """A frame that mostly fits the parser, of 14 bytes or more."""
    dst = rng.choice((rng.getrandbits(48), 0x112233445566, 0x112233000001, 0x112299000000, rng.randrange(8)))
    src = rng.choice((rng.getrandbits(15), rng.randrange(256), 1 << rng.randrange(8, 15), 0x1000000))
    kind = rng.choice(TYPES)
    body = rng.randbytes(rng.choice((0, 3, 9, 22, 30, 60)))
    if kind == 0x8847:
        n = rng.randrange(1, 6)
        body = (
            b"".join(rng.randbytes(2) + bytes([rng.getrandbits(7) << 1 | (i == n - 1), 9]) for i in range(n))
            + body
        )
    elif kind == 1:
        length = rng.randrange(18)
        body = bytes([rng.randrange(3), length]) + rng.randbytes(length + 1) + body
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + kind.to_bytes(2, "big") + body


@pytest.mark.root
@pytest.mark.bmv2
def test_random_packets(tmp_path: Path) -> None:
    path = tmp_path / "differential.p4"
    path.write_text(PROGRAM)
    rng = random.Random(11)
    frames = [random_frame(rng) for _ in range(250)]
    reference = Bmv2Target(path, tmp_path, 2)
    try:
        with Switch.of_file(path) as ours:
            for frame in frames:
                expected = [(o.port, o.frame) for o in reference.send(1, frame).outputs]
                assert ours.send(1, frame) == expected, frame.hex()
                assert len(expected) == 1
    finally:
        reference.close()
