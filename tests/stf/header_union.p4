// SPDX-License-Identifier: Apache-2.0
// A header union: at most one member is valid; extracting, setting or copying one ends the others.
#define OWN_HEADERS
#define OWN_PARSER
#include "begin.p4"

header small_t {
    bit<8> value;
}

header large_t {
    bit<16> value;
}

header_union either_t {
    small_t small;
    large_t large;
}

struct headers_t {
    frame_t frame;
    either_t first;
    either_t[2] more;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.frame);
        transition select(hdr.frame.a) {
            1: small;
            2: large;
            3: none;
            default: stack;
        }
    }
    state small {
        packet.extract(hdr.first.small);
        transition accept;
    }
    state large {
        packet.extract(hdr.first.large);
        transition accept;
    }
    state none {
        transition accept;
    }
    state stack {
        packet.extract(hdr.more.next.small);
        packet.extract(hdr.more.next.large);
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        if (hdr.first.isValid()) { hdr.frame.c = 1; }
        if (hdr.first.small.isValid()) { hdr.frame.d = 1; }
        if (hdr.first.large.isValid()) { hdr.frame.d = 2; }
        if (hdr.frame.b == 1) {
            hdr.first.large.setValid();
            hdr.first.large.value = 0xbeef;
        } else if (hdr.frame.b == 2) {
            hdr.first.small = { 0xee };
        } else if (hdr.frame.b == 3) {
            hdr.first.small.setInvalid();
        }
    }
}

#include "end.p4"
