// SPDX-License-Identifier: Apache-2.0
// log_msg, assert and assume: nothing to packets for which they hold, the end of those for which they do not.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        log_msg("a frame");
        log_msg("a = {}, b = {}", { hdr.frame.a, hdr.frame.b });
        assert(hdr.frame.a != 9);
        assume(hdr.frame.b != 9);
        hdr.frame.c = hdr.frame.c + 1;
    }
}

#include "end.p4"
