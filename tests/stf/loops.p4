// SPDX-License-Identifier: Apache-2.0
// for loops: counting, over ranges and stacks, break and continue, loops within loops (P4_16, 12.8).
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
        packet.extract(hdr.items.next);
        transition accept;
    }
}

bit<16> first_above(in bit<8> limit) {
    for (bit<16> i in 1 .. 0xffff) {
        if (i > (bit<16>)limit) { return i; }
    }
    return 0;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        bit<16> sum = 0;
        bit<8> turns = 0;
        for (bit<8> i = 0, bit<8> step = 1; i < hdr.frame.a; i = i + step, turns = turns + 1) {
            if (i == 2) { continue; }
            if (i == 6) { break; }
            sum = sum + (bit<16>)i;
        }
        hdr.frame.c = sum;
        for (item_t item in hdr.items) {
            switch (item.value) {
                0xff: { break; }                         // leaves the loop
                default: { hdr.frame.d = hdr.frame.d + (bit<32>)item.value; }
            }
        }
        bit<8> pairs = 0;
        for (bit<8> i in 250 .. 255) {
            for (bit<8> j in 253 .. i) {
                pairs = pairs + 1;
            }
        }
        hdr.frame.a = turns;
        hdr.frame.b = pairs + (bit<8>)first_above(hdr.frame.b);
    }
}

#include "end.p4"
