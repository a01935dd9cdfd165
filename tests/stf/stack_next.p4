// SPDX-License-Identifier: Apache-2.0
// A header stack filled by `next`, read by `last` and `lastIndex`, left full (P4_16, 8.18).
#define OWN_HEADERS
#define OWN_METADATA
#define OWN_PARSER
#include "begin.p4"

header label_t {
    bit<7> value;
    bit<1> bottom;
}

struct headers_t {
    frame_t frame;
    label_t[3] labels;
}

struct metadata_t {
    bit<8> last;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.labels.next);
        meta.last = (bit<8>)hdr.labels.lastIndex;
        transition select(hdr.labels.last.bottom) {
            0: start;
            default: accept;
        }
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.frame.setValid();
        hdr.frame.a = meta.last;
        hdr.frame.b = (bit<8>)(bit<1>)(std.parser_error == error.StackOutOfBounds);
        hdr.frame.c = 0;
        hdr.frame.d = 0;
        bit<8> i = meta.last;
        if (i < 3) {
            hdr.labels[i].value = 0x7f;
        }
    }
}

#include "end.p4"
