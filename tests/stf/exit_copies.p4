// SPDX-License-Identifier: Apache-2.0
// What was passed as out or inout is copied back also when the callee exits (P4_16, 12.5 and 6.8).
#define OWN_EGRESS
#include "begin.p4"

control Inner(inout bit<4> half, inout bit<8> x, inout bit<8> y) {
    apply {
        half = half + 1;
        x = x + 1;
        y = y + 2;
        if (x == 1) { exit; }
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Inner() inner;
    action tag(inout bit<16> c, inout bit<8> whole) {
        c = c + 0x10;
        whole = whole + 0x10;
        hdr.frame.b = hdr.frame.b + 1;                   // copy-out comes after this
        if (c == 0x20) { exit; }
    }
    apply {
        std.egress_spec = 1;
        tag(hdr.frame.c, hdr.frame.b);
        inner.apply(hdr.frame.d[3:0], hdr.frame.a, hdr.frame.a);
        hdr.frame.d[31:24] = 0xff;
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply { }
}

#include "end.p4"
