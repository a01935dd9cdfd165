// SPDX-License-Identifier: Apache-2.0
// What v1model keeps for old programs: mark_to_drop() without arguments, the extern Checksum16.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Checksum16() sum;
    apply {
        std.egress_spec = 1;
        if (hdr.frame.c == 0xdead) {
            mark_to_drop();
        }
        hdr.frame.c = sum.get({ hdr.frame.a, hdr.frame.b, hdr.frame.d });
    }
}

#include "end.p4"
