// SPDX-License-Identifier: Apache-2.0
// Whatever is valid, in the order of the wire. A packet has either its own option words or options that the switch wrote.
#ifndef SYNCLINE_DEPARSER_P4
#define SYNCLINE_DEPARSER_P4

control SynclineDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.packet_out);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.vlan);
        packet.emit(hdr.arp);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv4_options);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.ipv6_extensions);
        packet.emit(hdr.icmp);
        packet.emit(hdr.icmp_rest);
        packet.emit(hdr.quoted_ipv4);
        packet.emit(hdr.quoted_ipv4_options);
        packet.emit(hdr.quoted_ipv6);
        packet.emit(hdr.quoted_extensions);
        packet.emit(hdr.quoted_tcp);
        packet.emit(hdr.quoted_acknowledgment);
        packet.emit(hdr.quoted_window);
        packet.emit(hdr.quoted_checksum);
        packet.emit(hdr.neighbour);
        packet.emit(hdr.neighbour_mac);
        packet.emit(hdr.tcp);
        packet.emit(hdr.option_words);
        packet.emit(hdr.mss);
        packet.emit(hdr.padding);
        packet.emit(hdr.sack_permitted);
        packet.emit(hdr.timestamps);
        packet.emit(hdr.sack_padding);
        packet.emit(hdr.sack);
        packet.emit(hdr.sack_block_1);
        packet.emit(hdr.sack_block_2);
        packet.emit(hdr.sack_block_3);
        packet.emit(hdr.sack_block_4);
        packet.emit(hdr.window_scale);
    }
}

#endif
