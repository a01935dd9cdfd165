// SPDX-License-Identifier: Apache-2.0
// The hash algorithms, base and limit of hash().
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        bit<32> h;
        bit<16> base = 0x10;
        if (hdr.frame.a == 1) {
            hash(h, HashAlgorithm.crc32, 32w0, { hdr.frame.b, hdr.frame.c }, 64w0x100000000);
        } else if (hdr.frame.a == 2) {
            hash(h, HashAlgorithm.crc16, 32w0, { hdr.frame.b, hdr.frame.c }, 32w0x10000);
        } else if (hdr.frame.a == 3) {
            hash(h, HashAlgorithm.csum16, 32w0, { hdr.frame.b, 8w0, hdr.frame.c }, 32w0x10000);
        } else if (hdr.frame.a == 4) {
            hash(h, HashAlgorithm.xor16, 32w0, { hdr.frame.b, 8w0, hdr.frame.c }, 32w0x10000);
        } else if (hdr.frame.a == 5) {
            hash(h, HashAlgorithm.identity, 32w0, { hdr.frame.b, hdr.frame.c }, 32w0x1000000);
        } else if (hdr.frame.a == 7) {
            hash(h, HashAlgorithm.crc32_custom, 32w0, { hdr.frame.b, hdr.frame.c }, 64w0x100000000);
        } else if (hdr.frame.a == 8) {
            hash(h, HashAlgorithm.crc16_custom, 32w0, { hdr.frame.b, hdr.frame.c }, 32w0x10000);
        } else {
            hash(h, HashAlgorithm.identity, base, { hdr.frame.c }, 32w10);
        }
        hdr.frame.d = h;
    }
}

#include "end.p4"
