// SPDX-License-Identifier: Apache-2.0
// Parsers and controls applied by their type, each time a new instance; nested ones (P4_16, 15.1).
#define OWN_HEADERS
#define OWN_PARSER
#include "begin.p4"

header byte_t {
    bit<8> value;
}

struct headers_t {
    frame_t frame;
    byte_t[2] more;
}

parser Byte(packet_in packet, out byte_t target) {
    state start {
        packet.extract(target);
        transition accept;
    }
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.frame);
        Byte.apply(packet, hdr.more[1]);
        Byte.apply(packet, hdr.more[0]);
        transition accept;
    }
}

control Bump(inout bit<8> value) {
    bit<8> by = 1;
    apply {
        value = value + by;
        by = 100;
    }
}

control Twice(inout bit<8> value) {
    apply {
        Bump.apply(value);
        Bump.apply(value);
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        Twice.apply(hdr.frame.a);
        Bump.apply(hdr.frame.b);
    }
}

#include "end.p4"
