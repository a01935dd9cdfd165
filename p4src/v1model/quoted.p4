// SPDX-License-Identifier: Apache-2.0
// An ICMP error about a packet of a session. Its receiver must find its own numbers in what is quoted: the packet was seen
// translated, so it is translated back. As much of the TCP header as is quoted is put right, and both checksums follow.
#ifndef SYNCLINE_QUOTED_P4
#define SYNCLINE_QUOTED_P4

control Quoted(inout headers_t hdr, inout metadata_t meta) {
    bit<32> sum;  // of what changes: the complements of what goes, and what comes
    bit<16> before;

    action map_sequence() {
        sum = halves(~hdr.quoted_tcp.sequence);
        hdr.quoted_tcp.sequence = hdr.quoted_tcp.sequence - meta.session.delta;
        sum = sum + halves(hdr.quoted_tcp.sequence);
    }

    action map_acknowledgment() {
        sum = halves(~hdr.quoted_acknowledgment.acknowledgment);
        hdr.quoted_acknowledgment.acknowledgment = hdr.quoted_acknowledgment.acknowledgment + meta.session.delta;
        sum = sum + halves(hdr.quoted_acknowledgment.acknowledgment);
    }

    apply {
        sum = 0;
        if (meta.direction == TO_CLIENT) {
            map_sequence();  // a packet of the server's, so the error is the server's
        } else if (hdr.quoted_acknowledgment.isValid()) {
            if (!hdr.quoted_window.isValid() || hdr.quoted_window.ack == 1) {
                map_acknowledgment();
            }
        }
        if (hdr.quoted_checksum.isValid()) {
            before = hdr.quoted_checksum.checksum;
            hdr.quoted_checksum.checksum = ~fold((bit<32>)(~before) + sum);
            sum = sum + (bit<32>)(~before) + (bit<32>)hdr.quoted_checksum.checksum;
        }
        hdr.icmp.checksum = ~fold((bit<32>)(~hdr.icmp.checksum) + sum);
        meta.event = EVENT_ICMP_TRANSLATED;
        meta.step = STEP_ROUTE;
    }
}

#endif
