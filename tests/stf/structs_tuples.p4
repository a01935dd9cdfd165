// SPDX-License-Identifier: Apache-2.0
// Structs copied and compared, tuples, lists in any order of names, a swap through a list.
#define OWN_METADATA
#include "begin.p4"

struct pair_t {
    bit<8> first;
    bit<8> second;
}

struct metadata_t {
    pair_t mine;
    pair_t other;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        meta.mine = { hdr.frame.a, hdr.frame.b };
        meta.other = { second = hdr.frame.a, first = hdr.frame.b };
        tuple<bit<8>, bit<16>> t = { hdr.frame.b, hdr.frame.c };
        hdr.frame.c = (bit<16>)t[0] + t[1];
        hdr.frame.d = meta.mine == meta.other ? 32w1 : 0;
        meta.mine = { meta.mine.second, meta.mine.first };
        hdr.frame.d = hdr.frame.d + (meta.mine == meta.other ? 32w2 : 0);
        hdr.frame = { meta.mine.first, meta.mine.second, hdr.frame.c, hdr.frame.d };
    }
}

#include "end.p4"
