// SPDX-License-Identifier: Apache-2.0
// Slices read and written, concatenation, casts, shifts by any amount (P4_16, 8.6 and 8.9).
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        bit<8> by = hdr.frame.b;
        bit<32> d = hdr.frame.d;
        hdr.frame.a[7:4] = hdr.frame.a[3:0];
        hdr.frame.c[11:4] = by;
        hdr.frame.c[0:0] = (bit<1>)(by == 0xff);
        d[15:8] = d[31:24];
        d = d << by;
        d[7 +: 4] = 4w0xf;
        hdr.frame.d = d;
        hdr.frame.b = (hdr.frame.c >> by)[7:0];
    }
}

#include "end.p4"
