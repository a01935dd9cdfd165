// SPDX-License-Identifier: Apache-2.0
// clone from egress: the copy is the packet at the end of egress, and goes through egress again.
#define OWN_METADATA
#define OWN_EGRESS
#include "begin.p4"

struct metadata_t {
    @field_list(2)
    bit<8> rounds;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.b = 0x55;
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (std.instance_type == 2) {
            hdr.frame.c = (bit<16>)meta.rounds;
        } else {
            meta.rounds = 7;
            clone_preserving_field_list(CloneType.E2E, 5, 2);
        }
        hdr.frame.d = hdr.frame.d + 1;
    }
}

#include "end.p4"
