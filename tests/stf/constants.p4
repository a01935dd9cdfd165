// SPDX-License-Identifier: Apache-2.0
// Constants without a width are exact however large they get; literals in every base (P4_16, 6.4.3 and 8.8).
#include "begin.p4"

const int LARGE = 1 << 200;
const bit<32> FOLDED = (LARGE >> 196) * 3 - 7 / 2 + 17 % 5;
const int<8> NEGATIVE = -5 * 3;
const bit<16> BASES = 0x1_0 + 0b1_01 + 0o17 + 10_0;
const bit<8> WIDE_SHIFT = (8w0xff << 4) >> 6;

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    const bit<8> HERE = 8w255 + 3;
    apply {
        std.egress_spec = 1;
        hdr.frame.a = (bit<8>)NEGATIVE;
        hdr.frame.b = HERE + WIDE_SHIFT;
        hdr.frame.c = BASES;
        hdr.frame.d = LARGE / (LARGE - 1) == 1 ? FOLDED : 0;
    }
}

#include "end.p4"
