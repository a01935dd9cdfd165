// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery (RFC 4861): solicitations for the switch's own addresses are answered, on the port that they came
// from. Others go nowhere: they are for the link that they were sent on.
#ifndef SYNCLINE_ND_P4
#define SYNCLINE_ND_P4

control NeighbourDiscovery(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    bit<32> sum;
    bit<1>  expected;  // sent to whom it has to be sent to

    action answer_nd(bit<48> mac) {
        hdr.ethernet.destination = hdr.ethernet.source;
        hdr.ethernet.source = mac;
        hdr.ipv6.traffic_class = 0;
        hdr.ipv6.flow_label = 0;
        hdr.ipv6.payload_length = (bit<16>)(NEIGHBOUR_BYTES + NEIGHBOUR_MAC_BYTES);
        hdr.ipv6.destination = hdr.ipv6.source;
        hdr.ipv6.source = hdr.neighbour.target;
        hdr.icmp.type = ICMPV6_NEIGHBOUR_ADVERTISEMENT;
        hdr.neighbour.router = 1;
        hdr.neighbour.solicited = 1;
        hdr.neighbour.override = 1;
        hdr.neighbour.reserved = 0;
        hdr.neighbour_mac.setValid();
        hdr.neighbour_mac.type = NEIGHBOUR_TARGET_MAC;
        hdr.neighbour_mac.length = 1;
        hdr.neighbour_mac.mac = mac;
        standard_metadata.egress_spec = meta.ingress_port;
        meta.step = STEP_DONE;
        meta.event = EVENT_ND_ANSWERED;
    }

    table local_addresses_v6 {
        key = {
            meta.ingress_port    : exact @name("port");
            hdr.neighbour.target : exact @name("address");
        }
        actions = {
            answer_nd;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = LOCAL_ADDRESSES_SIZE;
    }

    // RFC 4861, section 7.2.4: who has no address yet is answered by telling everybody.
    action answer_to_all() {
        hdr.ethernet.destination = ALL_NODES_MAC;
        hdr.ipv6.destination = ALL_NODES;
        hdr.neighbour.solicited = 0;
    }

    apply {
        meta.step = STEP_DROP;
        meta.drop_reason = DROP_NOT_IP;

        sum = eighths(hdr.ipv6.source) + eighths(hdr.ipv6.destination) + (bit<32>)hdr.ipv6.payload_length
              + (bit<32>)PROTOCOL_ICMPV6 + (bit<32>)(hdr.icmp.type ++ hdr.icmp.code) + (bit<32>)hdr.icmp.checksum
              + halves(hdr.neighbour.router ++ hdr.neighbour.solicited ++ hdr.neighbour.override
                       ++ hdr.neighbour.reserved)
              + eighths(hdr.neighbour.target) + meta.parsed.neighbour_sum;
        expected = 0;
        if (hdr.ipv6.destination[127:24] == SOLICITED_NODES
            && hdr.ipv6.destination[23:0] == hdr.neighbour.target[23:0]) {
            if (hdr.ipv6.source != 0 || meta.parsed.source_mac == 0) {
                expected = 1;
            }
        } else if (hdr.ipv6.destination == hdr.neighbour.target && hdr.ipv6.source != 0) {
            expected = 1;
        }

        // RFC 4861, section 7.1.1.
        if (expected == 1 && hdr.ipv6.hop_limit == NEIGHBOUR_HOP_LIMIT && hdr.icmp.code == 0
            && meta.parsed.neighbour_malformed == 0 && fold(sum) == 0xffff) {
            if (local_addresses_v6.apply().hit) {
                if (hdr.ipv6.destination == 0) {
                    answer_to_all();
                }
                sum = eighths(hdr.ipv6.source) + eighths(hdr.ipv6.destination)
                      + (bit<32>)hdr.ipv6.payload_length + (bit<32>)PROTOCOL_ICMPV6
                      + (bit<32>)(ICMPV6_NEIGHBOUR_ADVERTISEMENT ++ 8w0)
                      + (bit<32>)(1w1 ++ hdr.neighbour.solicited ++ 14w0x2000)
                      + eighths(hdr.neighbour.target)
                      + (bit<32>)(NEIGHBOUR_TARGET_MAC ++ 8w1) + (bit<32>)hdr.neighbour_mac.mac[47:32]
                      + halves(hdr.neighbour_mac.mac[31:0]);
                hdr.icmp.checksum = ~fold(sum);
                meta.frame_bytes = meta.parsed.link_bytes + IPV6_BYTES + NEIGHBOUR_BYTES + NEIGHBOUR_MAC_BYTES;
                meta.cut = 1;
            }
        }
    }
}

#endif
