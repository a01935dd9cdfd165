// SPDX-License-Identifier: Apache-2.0
// The annotation @priority of entries, which p4c knew before the language did: the smallest number wins.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action set(bit<8> value) { hdr.frame.b = value; }
    table masked {
        key = { hdr.frame.a: ternary; }
        actions = { set; }
        const default_action = set(0);
        const entries = {
            0x10 &&& 0xf0: set(1) @priority(3);
            0x11: set(2);
            0x01 &&& 0x0f: set(3) @priority(1);
        }
    }
    apply {
        std.egress_spec = 1;
        masked.apply();
    }
}

#include "end.p4"
