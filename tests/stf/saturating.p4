// SPDX-License-Identifier: Apache-2.0
// Saturating addition and subtraction stop at the ends of their type (P4_16, 8.6).
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        int<16> s = (int<16>)hdr.frame.c;
        bit<8> up = hdr.frame.a |+| hdr.frame.b;
        bit<8> down = hdr.frame.a |-| hdr.frame.b;
        hdr.frame.d = (bit<32>)(bit<16>)(s |+| 16s1000) << 16 | (bit<32>)(bit<16>)(s |-| 16s1000);
        hdr.frame.a = up;
        hdr.frame.b = down;
    }
}

#include "end.p4"
