// SPDX-License-Identifier: Apache-2.0
// Parsers applied by parsers, with constructor arguments; what they reject, the outer one rejects.
#define OWN_HEADERS
#define OWN_PARSER
#include "begin.p4"

error { Refused }

header byte_t {
    bit<8> value;
}

struct headers_t {
    frame_t frame;
    byte_t first;
    byte_t second;
}

parser Byte(packet_in packet, out byte_t target, in bit<8> limit)(bit<8> add) {
    state start {
        packet.extract(target);
        target.value = target.value + add;
        verify(target.value < limit, error.Refused);
        transition accept;
    }
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Byte(1) one;
    Byte(16) sixteen;
    state start {
        packet.extract(hdr.frame);
        one.apply(packet, hdr.first, hdr.frame.a);
        sixteen.apply(packet, hdr.second, hdr.frame.b);
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = std.parser_error == error.Refused ? 9w2 : 1;
    }
}

#include "end.p4"
