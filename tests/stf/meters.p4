// SPDX-License-Identifier: Apache-2.0
// A meter by index: green until its bursts are used up, then yellow, then red; unset, always green.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    meter(2, MeterType.packets) limits;
    apply {
        std.egress_spec = 1;
        bit<8> colour = 7;
        limits.execute_meter((bit<32>)hdr.frame.a, colour);
        hdr.frame.b = colour;
    }
}

#include "end.p4"
