// SPDX-License-Identifier: Apache-2.0
// clone from ingress: the copy is the packet as it came, with the metadata of the list; ports by session.
#define OWN_METADATA
#define OWN_EGRESS
#include "begin.p4"

struct metadata_t {
    @field_list(1)
    bit<8> kept;
    bit<8> lost;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        meta.kept = hdr.frame.a;
        meta.lost = hdr.frame.a;
        hdr.frame.b = 0x55;
        clone_preserving_field_list(CloneType.I2E, 100, 1);
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        hdr.frame.c = meta.kept ++ meta.lost;
        hdr.frame.d = std.instance_type;
    }
}

#include "end.p4"
