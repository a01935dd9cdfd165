// SPDX-License-Identifier: Apache-2.0
// resubmit: the packet as it came, through parser and ingress again, with the metadata of the list.
#define OWN_METADATA
#include "begin.p4"

struct metadata_t {
    @field_list(3)
    bit<8> round;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.b = hdr.frame.b + 1;
        if (meta.round < 2) {
            meta.round = meta.round + 1;
            resubmit_preserving_field_list(3);
        }
        hdr.frame.c = (bit<16>)meta.round;
        hdr.frame.d = std.instance_type;
    }
}

#include "end.p4"
