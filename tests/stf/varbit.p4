// SPDX-License-Identifier: Apache-2.0
// A header whose last field has a length from the packet; too long or ragged a length is an error.
#define OWN_HEADERS
#define OWN_PARSER
#include "begin.p4"

header options_t {
    bit<8> bits;
    varbit<64> data;
}

struct headers_t {
    frame_t frame;
    options_t options;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.options, (bit<32>)packet.lookahead<bit<8>>());
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.setValid();
        hdr.frame.a = 0;
        hdr.frame.b = (bit<8>)(bit<1>)hdr.options.isValid();
        hdr.frame.c = 0;
        hdr.frame.d = 0;
        if (std.parser_error == error.PacketTooShort) { hdr.frame.a = 1; }
        if (std.parser_error == error.HeaderTooShort) { hdr.frame.a = 2; }
        if (std.parser_error == error.ParserInvalidArgument) { hdr.frame.a = 3; }
    }
}

#include "end.p4"
