// SPDX-License-Identifier: Apache-2.0
// Numbers of any width wrap around, signed ones in two's complement (P4_16, 8.6 and 8.7).
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        bit<8> a = hdr.frame.a;
        int<8> s = (int<8>)hdr.frame.b;
        bit<7> odd = a[6:0] + 7w1;
        hdr.frame.a = a * 3 - 1;
        hdr.frame.b = (bit<8>)(s - 8s100);
        hdr.frame.c = (bit<16>)(int<16>)s;               // the sign is extended
        hdr.frame.d = (bit<8>)(-s) ++ 1w0 ++ odd ++ (bit<8>)(s >> 1) ++ ~a;
    }
}

#include "end.p4"
