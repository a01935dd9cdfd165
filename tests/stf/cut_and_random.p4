// SPDX-License-Identifier: Apache-2.0
// truncate() holds for the packet with all of its headers; random() stays within its ends.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        bit<16> any;
        random(any, 16w40, 16w41);
        hdr.frame.c = any >> 1;
        random(hdr.frame.d, 32w7, 32w7);
        if (hdr.frame.a != 0) {
            truncate((bit<32>)hdr.frame.a);
        }
    }
}

#include "end.p4"
