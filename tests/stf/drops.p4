// SPDX-License-Identifier: Apache-2.0
// mark_to_drop; a port given later takes it back; in egress it ends the packet.
#define OWN_EGRESS
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        std.mcast_grp = 1;
        if (hdr.frame.a == 1) {
            mark_to_drop(std);
        } else if (hdr.frame.a == 3) {
            mark_to_drop(std);
            std.egress_spec = 2;
        } else {
            std.mcast_grp = 0;
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (hdr.frame.b == 1) {
            mark_to_drop(std);
        }
    }
}

#include "end.p4"
