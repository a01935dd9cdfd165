// SPDX-License-Identifier: Apache-2.0
// recirculate: the packet as it would have left comes back to the parser.
#define OWN_METADATA
#define OWN_EGRESS
#include "begin.p4"

struct metadata_t {
    @field_list(4)
    bit<8> round;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.b = hdr.frame.b + 1;
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        hdr.frame.c = hdr.frame.c + 0x10;
        if (meta.round < 2) {
            meta.round = meta.round + 1;
            recirculate_preserving_field_list(4);
        } else {
            hdr.frame.d = std.packet_length;
        }
    }
}

#include "end.p4"
