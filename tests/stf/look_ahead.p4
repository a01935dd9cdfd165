// SPDX-License-Identifier: Apache-2.0
// lookahead reads without taking, advance takes without reading; both end at the packet's end.
#define OWN_HEADERS
#define OWN_METADATA
#define OWN_PARSER
#include "begin.p4"

struct peek_t {
    bit<4> high;
    bit<12> low;
}

struct headers_t {
    frame_t frame;
}

struct metadata_t {
    bit<16> seen;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        peek_t peek = packet.lookahead<peek_t>();
        meta.seen = peek.low ++ peek.high;
        bit<8> length = packet.lookahead<bit<8>>();
        packet.advance((bit<32>)length * 8);
        transition select(packet.lookahead<bit<1>>()) {
            1: accept;
            default: frame;
        }
    }
    state frame {
        packet.extract(hdr.frame);
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = std.parser_error == error.NoError ? 9w1 : 2;
        if (hdr.frame.isValid()) {
            hdr.frame.c = meta.seen;
        }
    }
}

#include "end.p4"
