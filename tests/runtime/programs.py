# SPDX-License-Identifier: Apache-2.0
"""A program with a bit of everything, to be fed with hostile bytes."""

from __future__ import annotations

from tests.codegen.skeleton import program

EVERYTHING = program(
    """
header eth_t { bit<48> dst; bit<48> src; bit<16> type; }
header label_t { bit<20> label; bit<3> tc; bit<1> bottom; bit<8> ttl; }
header option_t { bit<8> kind; bit<8> length; varbit<320> data; bit<8> tail; }
header wide_t { bit<200> v; bit<8> index; }
struct headers_t { eth_t eth; label_t[4] labels; option_t option; wide_t wide; wide_t copy; }
""",
    parser="""
state start { p.extract(h.eth); transition select(h.eth.type) {
  0x8847: labels; 0x0001: option; 0x0002: wide; 0x0003: look; 0x0100 .. 0x01ff: walk; default: accept; } }
state labels { p.extract(h.labels.next);
  transition select(h.labels.last.bottom, h.labels.lastIndex) { (1, _): accept; (0, 0 .. 2): labels;
  default: labels; } }
state option { bit<16> head = p.lookahead<bit<16>>(); p.extract(h.option, ((bit<32>)head[7:0]) << 3);
  transition select(h.option.kind) { 1: option; 2: wide; default: accept; } }
state wide { p.extract(h.wide); transition accept; }
state look { bit<520> all = p.lookahead<bit<520>>(); h.wide.setValid(); h.wide.v = all[519:320];
  transition select(all[7:0]) { 0: wide; default: reject; } }
state walk { bit<8> n = p.lookahead<bit<8>>(); p.advance((bit<32>)(n & 0xf8)); m.steps = m.steps + 1;
  transition select(n) { 0: accept; 0xff: accept; default: walk; } }
""",
    metadata="bit<16> steps; @field_list(1) bit<8> rounds; bit<200> w;",
    top="struct event_t { bit<48> src; bit<9> port; bit<200> w; }",
    ingress="""
counter(16, CounterType.packets_and_bytes) c; meter(16, MeterType.bytes) meters; register<bit<200>>(16) r;
direct_counter(CounterType.packets) hits;
action set(bit<48> dst, bit<9> port) { h.eth.dst = dst; std.egress_spec = port; }
action wide(bit<200> v) { h.wide.v = v |+| h.wide.v; }
action drop() { mark_to_drop(std); }
table exact_t { key = { h.eth.dst: exact; } actions = { set; drop; NoAction; } counters = hits;
  support_timeout = true; size = 64; }
table lpm_t { key = { h.eth.src: lpm; } actions = { set; drop; NoAction; } size = 64; }
table ternary_t { key = { h.eth.type: ternary; h.labels[1].label: ternary; h.wide.v: ternary; }
  actions = { wide; set; NoAction; } size = 64; }
table range_t { key = { h.eth.type: range; h.wide.isValid(): optional; } actions = { set; drop; NoAction; }
size = 64; }
apply {
  std.egress_spec = (bit<9>)h.eth.dst;
  exact_t.apply(); lpm_t.apply(); ternary_t.apply(); range_t.apply();
  c.count((bit<32>)h.wide.index); bit<8> colour; meters.execute_meter((bit<32>)h.eth.dst[3:0], colour);
  bit<200> v; r.read(v, (bit<32>)h.wide.index); m.w = v + h.wide.v; r.write((bit<32>)h.wide.index, m.w << 3);
  h.labels[h.wide.index & 7].ttl = 1; h.labels.push_front(1); h.labels[0] = h.labels[(bit<32>)h.wide.index];
  if (h.eth.src[0:0] == 1) { digest<event_t>(1, { h.eth.src, std.ingress_port, m.w }); }
  if (h.eth.src[1:1] == 1) { std.mcast_grp = (bit<16>)h.eth.dst[2:0]; }
  if (h.eth.src[2:2] == 1) { clone_preserving_field_list(CloneType.I2E, (bit<32>)h.eth.dst[2:0], 1); }
  if (h.eth.src[3:3] == 1 && m.rounds < 3) { m.rounds = m.rounds + 1; resubmit_preserving_field_list(1); }
  if (h.eth.src[4:4] == 1) { truncate((bit<32>)h.eth.dst[6:0]); }
  if (h.eth.src[5:5] == 1) { h.option.setValid(); h.copy = h.wide; }
  if (h.copy == h.wide) { hash(h.eth.dst, HashAlgorithm.crc32, 48w0, { h.wide, h.option, m.w }, 48w1000); }
}""",
    egress="""apply {
  if (h.eth.src[6:6] == 1 && std.instance_type == 0) { clone_preserving_field_list(CloneType.E2E, 3, 1); }
  if (h.eth.src[7:7] == 1 && m.rounds < 12) { m.rounds = m.rounds + 1; recirculate_preserving_field_list(1); }
}""",
    verify="verify_checksum_with_payload(true, { h.eth, h.option }, h.eth.type, HashAlgorithm.csum16);",
    compute="""update_checksum_with_payload(h.wide.isValid(), { h.wide, h.eth.src }, h.eth.type,
      HashAlgorithm.csum16);""",
    deparser="p.emit(h);",
)
