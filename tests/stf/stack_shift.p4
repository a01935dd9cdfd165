// SPDX-License-Identifier: Apache-2.0
// push_front and pop_front move the elements of a stack; those that come free are invalid (P4_16, 8.18).
#define OWN_HEADERS
#define OWN_PARSER
#include "begin.p4"

header item_t {
    bit<8> value;
}

struct headers_t {
    frame_t frame;
    item_t[4] items;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.frame);
        packet.extract(hdr.items.next);
        packet.extract(hdr.items.next);
        packet.extract(hdr.items.next);
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        if (hdr.frame.a == 1) {
            hdr.items.push_front(2);
            hdr.items[0].setValid();
            hdr.items[0].value = 0xaa;
        } else if (hdr.frame.a == 2) {
            hdr.items.pop_front(1);
        } else if (hdr.frame.a == 3) {
            hdr.items.pop_front(4);
        } else {
            hdr.items[3] = hdr.items[0];
            hdr.items[1].setInvalid();
        }
    }
}

#include "end.p4"
