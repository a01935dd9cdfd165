// SPDX-License-Identifier: Apache-2.0
// Internet checksums (RFC 1071) and their incremental update (RFC 1624, equation 3): HC' = ~(~HC + ~m + m').
//
// Sums are kept in 32 bits and folded once at the end. Every field that is changed starts at an even offset, so 16-bit words
// can be taken out and put in in any order. The payload is never read, and whatever was wrong with it before is still wrong
// afterwards.
#ifndef SYNCLINE_CHECKSUM_P4
#define SYNCLINE_CHECKSUM_P4

// The two 16-bit words of a 32-bit field, added.
bit<32> halves(in bit<32> value) {
    return (value >> 16) + (value & 0xffff);
}

// The same of an IPv6 address: eight words.
bit<32> eighths(in bit<128> address) {
    return halves(address[127:96]) + halves(address[95:64]) + halves(address[63:32]) + halves(address[31:0]);
}

// A sum's ones'-complement value in 16 bits. Twice, since the first fold can carry again.
bit<16> fold(in bit<32> sum) {
    bit<32> once = (sum >> 16) + (sum & 0xffff);
    bit<32> twice = (once >> 16) + (once & 0xffff);
    return twice[15:0];
}

// The header checksum of IPv4, after one of its 16-bit words was changed.
bit<16> update_word(in bit<16> checksum, in bit<16> before, in bit<16> after) {
    return ~fold((bit<32>)(~checksum) + (bit<32>)(~before) + (bit<32>)after);
}

control VerifyIpv4Checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid() && !hdr.ipv4_options.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_length, hdr.ipv4.identification,
              hdr.ipv4.reserved, hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset,
              hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.source, hdr.ipv4.destination },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
        verify_checksum(hdr.ipv4_options.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_length, hdr.ipv4.identification,
              hdr.ipv4.reserved, hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.fragment_offset,
              hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.source, hdr.ipv4.destination, hdr.ipv4_options.bytes },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

// The switch computes the checksums of its own packets where it makes them (own.p4), and updates those of others where it
// changes them.
control ComputeNoChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

#endif
