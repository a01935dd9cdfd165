// SPDX-License-Identifier: Apache-2.0
// ARP (RFC 826): requests for the switch's own addresses are answered, on the port that they came from.
#ifndef SYNCLINE_ARP_P4
#define SYNCLINE_ARP_P4

control Arp(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    bit<32> asked_for;

    action answer_arp(bit<48> mac) {
        hdr.ethernet.destination = hdr.ethernet.source;
        hdr.ethernet.source = mac;
        hdr.arp.operation = ARP_REPLY;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        hdr.arp.sender_mac = mac;
        asked_for = hdr.arp.target_address;
        hdr.arp.target_address = hdr.arp.sender_address;
        hdr.arp.sender_address = asked_for;
    }

    table local_addresses_v4 {
        key = {
            meta.ingress_port      : exact @name("port");
            hdr.arp.target_address : exact @name("address");
        }
        actions = {
            answer_arp;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = LOCAL_ADDRESSES_SIZE;
    }

    apply {
        meta.step = STEP_DROP;
        meta.drop_reason = DROP_NOT_IP;
        if (hdr.arp.hardware_type == ARP_HARDWARE_ETHERNET && hdr.arp.protocol_type == ETHERTYPE_IPV4
            && hdr.arp.hardware_length == 6 && hdr.arp.protocol_length == 4
            && hdr.arp.operation == ARP_REQUEST) {
            if (local_addresses_v4.apply().hit) {
                standard_metadata.egress_spec = meta.ingress_port;
                meta.step = STEP_DONE;
                meta.event = EVENT_ARP_ANSWERED;
            }
        }
    }
}

#endif
