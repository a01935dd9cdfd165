// SPDX-License-Identifier: Apache-2.0
// Checksums verified and updated, with and without the payload.
#define OWN_VERIFY
#define OWN_COMPUTE
#include "begin.p4"

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.frame.a != 0, { hdr.frame.a, hdr.frame.b, hdr.frame.d }, hdr.frame.c,
                        HashAlgorithm.csum16);
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = std.checksum_error == 0 ? 9w1 : 2;
        hdr.frame.b = hdr.frame.b + 1;
    }
}

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.frame.a == 2) {
            update_checksum_with_payload(true, { hdr.frame.a, hdr.frame.b, hdr.frame.d }, hdr.frame.c,
                                         HashAlgorithm.csum16);
        }
        update_checksum(hdr.frame.a == 1, { hdr.frame.a, hdr.frame.b, hdr.frame.d }, hdr.frame.c,
                        HashAlgorithm.csum16);
    }
}

#include "end.p4"
