// SPDX-License-Identifier: Apache-2.0
// A parser applied at two places: what it has written when it rejects stays its own, as with p4c for BMv2.
#define OWN_HEADERS
#define OWN_METADATA
#define OWN_PARSER
#include "begin.p4"

header byte_t {
    bit<8> value;
}

struct headers_t {
    frame_t frame;
    byte_t first;
    byte_t second;
    byte_t count;
}

struct metadata_t {
    bit<8> count;
}

parser Byte(packet_in packet, out byte_t target, inout bit<8> count) {
    state start {
        packet.extract(target);
        count = count + 1;
        transition select(target.value) {
            0: reject;
            default: accept;
        }
    }
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Byte() byte;
    state start {
        packet.extract(hdr.frame);
        byte.apply(packet, hdr.first, meta.count);
        byte.apply(packet, hdr.second, meta.count);
        transition accept;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.count.setValid();
        hdr.count.value = meta.count;
    }
}

#include "end.p4"
