// SPDX-License-Identifier: Apache-2.0
// What a packet is, and whether it is fit to be processed: packet-out modes, broken frames, broken IP.
#ifndef SYNCLINE_ADMIT_P4
#define SYNCLINE_ADMIT_P4

control Admit(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    bit<32> wanted_bytes;

    action drop_as(bit<8> reason) {
        meta.step = STEP_DROP;
        meta.drop_reason = reason;
    }

    apply {
        meta.frame_bytes = standard_metadata.packet_length;
        meta.arrived = standard_metadata.ingress_global_timestamp;
        if (meta.injected == 1) {
            meta.frame_bytes = meta.frame_bytes - PACKET_OUT_BYTES;
            if (!hdr.packet_out.isValid() || meta.frame_bytes < ETHERNET_BYTES
                || hdr.packet_out.port >= (bit<16>)CPU_PORT || hdr.packet_out.mode > MODE_ROUTE) {
                drop_as(DROP_NOT_OURS);
            } else if (hdr.packet_out.mode == MODE_EMIT) {
                standard_metadata.egress_spec = meta.ingress_port;
                meta.step = STEP_DONE;
            } else if (hdr.packet_out.mode == MODE_ROUTE) {
                meta.step = STEP_ROUTE;
            }
            meta.release = hdr.packet_out.release;
            hdr.packet_out.setInvalid();
        }

        if (meta.step == STEP_PROXY || meta.step == STEP_ROUTE) {
            wanted_bytes = meta.parsed.link_bytes;
            if (hdr.ipv4.isValid()) {
                wanted_bytes = wanted_bytes + (bit<32>)hdr.ipv4.total_length;
            } else if (hdr.ipv6.isValid()) {
                wanted_bytes = wanted_bytes + IPV6_BYTES + (bit<32>)hdr.ipv6.payload_length;
            } else if (hdr.arp.isValid()) {
                wanted_bytes = wanted_bytes + ARP_BYTES;
            }

            if (hdr.arp.isValid() && meta.step == STEP_PROXY && wanted_bytes <= meta.frame_bytes) {
                meta.step = STEP_NEIGHBOUR;
            } else if (meta.parsed.ethertype != ETHERTYPE_IPV4 && meta.parsed.ethertype != ETHERTYPE_IPV6) {
                drop_as(DROP_NOT_IP);
            } else if (standard_metadata.parser_error != error.NoError
                       || meta.parsed.ip_malformed == 1
                       || standard_metadata.checksum_error == 1
                       || wanted_bytes > meta.frame_bytes) {
                drop_as(DROP_MALFORMED_IP);
            } else if (hdr.neighbour.isValid()) {
                if (meta.step == STEP_PROXY) {
                    meta.step = STEP_NEIGHBOUR;
                } else {
                    drop_as(DROP_NOT_IP);
                }
            } else if (hdr.ethernet.destination[40:40] == 1) {
                drop_as(DROP_NO_ROUTE);  // RFC 1812, section 5.3.4: sent to everybody, not to us
            }
        }
    }
}

#endif
