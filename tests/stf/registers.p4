// SPDX-License-Identifier: Apache-2.0
// Registers keep what packets wrote; beyond their size reads change nothing and writes are lost.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    register<bit<32>>(4) cells;
    register<bit<100>>(1) wide;
    register<bit<1>>(2) flags;
    apply {
        std.egress_spec = 1;
        bit<32> old = 0xdead;
        bit<100> w;
        bit<1> flag;
        cells.read(old, (bit<32>)hdr.frame.a);
        cells.write((bit<32>)hdr.frame.a, old + hdr.frame.d);
        wide.read(w, 0);
        wide.write(0, w << 8 | (bit<100>)hdr.frame.b);
        flags.read(flag, 1);
        flags.write(1, ~flag);
        hdr.frame.d = old;
        hdr.frame.c = (bit<8>)flag ++ w[7:0];
    }
}

#include "end.p4"
