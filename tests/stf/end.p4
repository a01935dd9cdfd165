// SPDX-License-Identifier: Apache-2.0
// What they end with: the blocks that a test has not written itself, and the package.
#ifndef OWN_PARSER
parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.frame);
        transition accept;
    }
}
#endif

#ifndef OWN_VERIFY
control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}
#endif

#ifndef OWN_EGRESS
control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply { }
}
#endif

#ifndef OWN_COMPUTE
control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}
#endif

#ifndef OWN_DEPARSER
control Deparse(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr); }
}
#endif

V1Switch(Parse(), Verify(), Enter(), Leave(), Compute(), Deparse()) main;
