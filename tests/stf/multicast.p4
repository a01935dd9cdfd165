// SPDX-License-Identifier: Apache-2.0
// Multicast groups: a copy per port and replica, each through egress; a drop port ends it.
#define OWN_EGRESS
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.mcast_grp = hdr.frame.c;
        if (hdr.frame.a == 1) {
            mark_to_drop(std);
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        hdr.frame.d = std.instance_type << 24 | (bit<32>)std.egress_rid << 8 | (bit<32>)std.egress_port;
        if (std.egress_rid == 9) {
            mark_to_drop(std);
        }
    }
}

#include "end.p4"
