// SPDX-License-Identifier: Apache-2.0
// Default values: `...` in lists and alone, variables without a value (P4_16, 7.3).
#define OWN_METADATA
#include "begin.p4"

struct inner_t {
    bit<8> x;
    bool y;
}

struct metadata_t {
    inner_t inner;
    bit<16> z;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        metadata_t first = { { 8, ... }, ... };
        metadata_t second = { z = 7, ... };
        metadata_t third = ...;
        bit<32> nothing = ...;
        tuple<bit<8>, bit<8>> t = { hdr.frame.a, ... };
        hdr.frame.a = first.inner.x + (first.inner.y ? 8w1 : 0) + t[0] + t[1];
        hdr.frame.b = (bit<8>)second.z + second.inner.x;
        hdr.frame.c = third.z;
        hdr.frame.d = nothing;
    }
}

#include "end.p4"
