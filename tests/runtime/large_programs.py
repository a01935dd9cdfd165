# SPDX-License-Identifier: Apache-2.0
"""A program that does to TCP segments, by their destination port, what may and what must not be done to a
frame that is yet to be cut up."""

from __future__ import annotations

from tests.codegen.skeleton import program

FORWARD, PUNT, CLONE, RECIRCULATE, SHRINK, ANSWER, DROP, WRAP, READ = range(1000, 1009)

LARGE = program(
    """
header eth_t { bit<48> dst; bit<48> src; bit<16> type; }
header vlan_t { bit<16> tci; bit<16> type; }
header ipv4_t { bit<16> head; bit<16> length; bit<32> id; bit<16> ttl; bit<16> check; bit<64> addresses; }
header ipv6_t { bit<32> head; bit<16> length; bit<16> next; bit<256> addresses; }
header tcp_t { bit<16> src; bit<16> dst; bit<32> seq; bit<32> ack; bit<4> offset; bit<12> flags;
  bit<16> window; bit<16> check; bit<16> urgent; }
header options_t { bit<96> bytes; }
struct headers_t { eth_t outer; eth_t eth; vlan_t vlan; ipv4_t ipv4; ipv6_t ipv6; tcp_t tcp;
  options_t options; }
bit<32> halves(in bit<32> v) { return (v >> 16) + (v & 0xffff); }
bit<16> fold(in bit<32> v) { bit<32> once = halves(v); bit<32> twice = halves(once); return twice[15:0]; }
""",
    metadata="@field_list(1) bit<8> rounds;",
    parser="""
state start { p.extract(h.eth); transition select(h.eth.type) { 0x8100: vlan; 0x0800: ipv4; 0x86dd: ipv6;
  default: accept; } }
state vlan { p.extract(h.vlan); transition select(h.vlan.type) { 0x0800: ipv4; 0x86dd: ipv6; } }
state ipv4 { p.extract(h.ipv4); transition tcp; }
state ipv6 { p.extract(h.ipv6); transition tcp; }
state tcp { p.extract(h.tcp); transition select(h.tcp.offset) { 8: options; default: accept; } }
state options { p.extract(h.options); transition accept; }
""",
    ingress="""
  counter(16, CounterType.packets_and_bytes) seen;
  action take_options_out() {
    bit<32> sum = (bit<32>)(~h.tcp.check);
    sum = sum + halves(~h.options.bytes[95:64]) + halves(~h.options.bytes[63:32])
          + halves(~h.options.bytes[31:0]);
    sum = sum + (bit<32>)0x7fff + (bit<32>)0x5000;  // the data offset: 8 goes, 5 comes
    sum = sum + (bit<32>)(~16w12);  // of the pseudo header's length
    h.options.setInvalid();
    h.tcp.offset = 5;
    h.tcp.check = ~fold(sum);
    if (h.ipv4.isValid()) {
      h.ipv4.length = h.ipv4.length - 12;
      h.ipv4.check = ~fold((bit<32>)(~h.ipv4.check) + (bit<32>)(~16w12));
    } else {
      h.ipv6.length = h.ipv6.length - 12;
    }
  }
  action move() {
    bit<32> sum = (bit<32>)(~h.tcp.check) + halves(~h.tcp.seq);
    h.tcp.seq = h.tcp.seq + 0x01020304;
    h.tcp.check = ~fold(sum + halves(h.tcp.seq));
  }
  apply {
    std.egress_spec = 2;
    seen.count((bit<32>)(h.tcp.dst - 1000));
    if (h.tcp.dst == 1000) { move(); }
    else if (h.tcp.dst == 1001) { std.egress_spec = 510; }
    else if (h.tcp.dst == 1002) { clone(CloneType.I2E, 7); }
    else if (h.tcp.dst == 1004) { take_options_out(); }
    else if (h.tcp.dst == 1005) { std.egress_spec = 1; h.tcp.check = 0x1234; truncate(66); }
    else if (h.tcp.dst == 1006) { mark_to_drop(std); }
    else if (h.tcp.dst == 1007) { h.outer.setValid(); h.outer.type = 0x88b5; }
  }""",
    egress="""apply {
    if (h.tcp.dst == 1003 && m.rounds == 0) { m.rounds = 1; recirculate_preserving_field_list(1); }
  }""",
    compute="""update_checksum_with_payload(h.tcp.dst == 1008, { h.ipv4.addresses, 16w6, h.ipv4.length - 20,
      h.tcp.src, h.tcp.dst, h.tcp.seq, h.tcp.ack, h.tcp.offset, h.tcp.flags, h.tcp.window, h.tcp.urgent,
      h.options.bytes }, h.tcp.check, HashAlgorithm.csum16);""",
    deparser="p.emit(h);",
)
