// SPDX-License-Identifier: Apache-2.0
// verify, a select without a match, errors of one's own: the packet goes on, with parser_error set.
#define OWN_PARSER
#include "begin.p4"

error { Odd, TooLarge }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.frame);
        verify(hdr.frame.a[0:0] == 0, error.Odd);
        verify(hdr.frame.a < 0x80, error.TooLarge);
        transition select(hdr.frame.b) {
            0: accept;
            1 .. 9: reject;
            0x10 &&& 0xf0: accept;
        }
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        bit<8> code = 0xff;
        if (std.parser_error == error.NoError) { code = 0; }
        if (std.parser_error == error.Odd) { code = 1; }
        if (std.parser_error == error.TooLarge) { code = 2; }
        if (std.parser_error == error.NoMatch) { code = 3; }
        if (std.parser_error == error.PacketTooShort) { code = 4; }
        if (!hdr.frame.isValid()) {
            hdr.frame.setValid();
            hdr.frame = { 0xee, 0, 0, 0 };
        }
        hdr.frame.d = (bit<32>)code;
    }
}

#include "end.p4"
