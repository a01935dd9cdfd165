// SPDX-License-Identifier: Apache-2.0
// Functions: in, out and inout parameters, generic ones, early returns, arguments that alias (P4_16, 10).
#include "begin.p4"

bit<8> largest(in bit<8> x, in bit<8> y) {
    if (x > y) { return x; }
    return y;
}

T choose<T>(in bool first, in T x, in T y) {
    return first ? x : y;
}

void swap(inout bit<8> x, inout bit<8> y) {
    bit<8> t = x;
    x = y;
    y = t;
}

bit<16> both(out bit<8> x, inout bit<8> y) {
    y = y + 1;
    x = y;
    return (bit<16>)(x ++ y);
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.d[31:24] = largest(hdr.frame.a, hdr.frame.b);
        swap(hdr.frame.a, hdr.frame.b);
        hdr.frame.d[23:16] = choose(hdr.frame.a == 1, 8w7, 8w9);
        hdr.frame.c = both(hdr.frame.a, hdr.frame.a);    // the last out argument wins
        hdr.frame.d[15:0] = choose<bit<16>>(true, largest(x = 1, y = 2) ++ 8w0, 0);
    }
}

#include "end.p4"
