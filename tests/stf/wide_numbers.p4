// SPDX-License-Identifier: Apache-2.0
// Numbers of more than 64 and more than 128 bits: sums, comparisons, shifts, slices.
#define OWN_HEADERS
#define OWN_PARSER
#include "begin.p4"

header wide_t {
    bit<104> left;
    bit<200> right;
}

struct headers_t {
    wide_t wide;
    frame_t frame;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.wide);
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = hdr.wide.right > (bit<200>)hdr.wide.left << 96 ? 9w1 : 2;
        hdr.wide.left = hdr.wide.left - 1;
        hdr.wide.right = hdr.wide.right + 1;
        hdr.frame.setValid();
        hdr.frame.a = hdr.wide.right[199:192];
        hdr.frame.b = (hdr.wide.right >> 64)[7:0];
        hdr.frame.c = 0;
        hdr.frame.d = (bit<32>)(hdr.wide.left >> 72);
    }
}

#include "end.p4"
