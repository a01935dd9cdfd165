// SPDX-License-Identifier: Apache-2.0
// Parser value sets: of one value, and of a struct whose fields match in their own ways.
#define OWN_METADATA
#define OWN_PARSER
#include "begin.p4"

struct metadata_t {
    bit<8> found;
}

struct pair_t {
    @match(ternary) bit<8> high;
    @match(range) bit<8> low;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    value_set<bit<8>>(4) simple;
    value_set<pair_t>(4) pairs;
    state start {
        packet.extract(hdr.frame);
        transition select(hdr.frame.a) {
            simple: first;
            0: accept;
            _: more;
        }
    }
    state first {
        meta.found = 1;
        transition accept;
    }
    state more {
        transition select(hdr.frame.c[15:8], hdr.frame.c[7:0]) {
            pairs: second;
            default: accept;
        }
    }
    state second {
        meta.found = 2;
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.b = meta.found;
    }
}

#include "end.p4"
