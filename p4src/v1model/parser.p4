// SPDX-License-Identifier: Apache-2.0
// Ethernet, one 802.1Q tag, ARP, IPv4, IPv6, TCP, ICMP errors, neighbour solicitations. Only running out of bytes is a parser error; whatever else is wrong is noted and left to the
// ingress, because a packet that is not for a protected service is none of our business: it has to leave as it came.
#ifndef SYNCLINE_PARSER_P4
#define SYNCLINE_PARSER_P4

parser SynclineParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                      inout standard_metadata_t standard_metadata) {
    TcpOptions() tcp_options;
    bit<32> room;       // bytes of the datagram not yet parsed
    bit<1>  negative;
    bit<3>  extensions; // how many more are walked
    bit<8>  length;
    bit<8>  quoted_protocol;
    bit<64> unit;
    bit<8>  skip;       // units of a neighbour solicitation's option still to come

    state start {
        meta.ingress_port = standard_metadata.ingress_port;
        transition select(standard_metadata.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
        meta.injected = 1;
        packet.extract(hdr.packet_out);
        meta.ingress_port = hdr.packet_out.port[8:0];
        transition select(hdr.packet_out.mode) {
            MODE_ARRIVE: parse_ethernet;
            MODE_ROUTE: parse_ethernet;
            default: accept;  // the frame stays what it is
        }
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        meta.parsed.link_bytes = ETHERNET_BYTES;
        meta.parsed.ethertype = hdr.ethernet.ethertype;
        transition select(hdr.ethernet.ethertype) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            ETHERTYPE_ARP: parse_arp;
            ETHERTYPE_VLAN: parse_vlan;
            default: accept;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan);
        meta.parsed.link_bytes = ETHERNET_BYTES + VLAN_BYTES;
        meta.parsed.ethertype = hdr.vlan.ethertype;
        transition select(hdr.vlan.ethertype) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            ETHERTYPE_ARP: parse_arp;
            default: accept;
        }
    }

    state parse_arp {
        packet.extract(hdr.arp);
        transition accept;
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.version, hdr.ipv4.ihl) {
            (4, 0 &&& 12): ip_malformed;  // 0 to 3 words
            (4, 4): ip_malformed;
            (4, 5): measure_ipv4;
            (4, _): parse_ipv4_options;
            default: ip_malformed;
        }
    }

    state parse_ipv4_options {
        packet.extract(hdr.ipv4_options, ((bit<32>)hdr.ipv4.ihl - 5) << 5);
        transition measure_ipv4;
    }

    // Comparisons by the sign of a 32-bit difference: both sides are below 2^17.
    state measure_ipv4 {
        room = (bit<32>)hdr.ipv4.total_length - ((bit<32>)hdr.ipv4.ihl << 2);
        meta.parsed.tcp_bytes = room[15:0];
        negative = room[31:31];
        transition select(negative, hdr.ipv4.protocol, hdr.ipv4.fragment_offset) {
            (1, _, _): ip_malformed;
            (0, PROTOCOL_TCP, 0): measure_tcp;
            (0, PROTOCOL_ICMP, 0): measure_icmp;
            default: accept;
        }
    }

    state ip_malformed {
        meta.parsed.ip_malformed = 1;
        transition accept;
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        room = (bit<32>)hdr.ipv6.payload_length;
        extensions = IPV6_EXTENSIONS_MAX;
        meta.parsed.protocol = hdr.ipv6.next_header;
        transition select(hdr.ipv6.version) {
            6: next_header;
            default: ip_malformed;
        }
    }

    // RFC 8200, section 4.1: extension headers in any order, and some more than once.
    state next_header {
        transition select(extensions, meta.parsed.protocol) {
            (_, PROTOCOL_TCP): measure_ipv6;
            (_, PROTOCOL_ICMPV6): measure_icmpv6;
            (0, EXTENSION_HOP_BY_HOP): obscured;
            (0, EXTENSION_ROUTING): obscured;
            (0, EXTENSION_DESTINATION): obscured;
            (0, EXTENSION_FRAGMENT): obscured;
            (_, EXTENSION_HOP_BY_HOP): measure_extension;
            (_, EXTENSION_ROUTING): measure_extension;
            (_, EXTENSION_DESTINATION): measure_extension;
            (_, EXTENSION_FRAGMENT): parse_fragment;
            (_, EXTENSION_AUTHENTICATION): obscured;
            (_, EXTENSION_MOBILITY): obscured;
            (_, EXTENSION_HIP): obscured;
            (_, EXTENSION_SHIM6): obscured;
            (_, EXTENSION_EXPERIMENT_1): obscured;
            (_, EXTENSION_EXPERIMENT_2): obscured;
            default: accept;
        }
    }

    state measure_extension {
        length = packet.lookahead<bit<16>>()[7:0];
        room = room - 8 - ((bit<32>)length << 3);
        negative = room[31:31];
        transition select(negative, length) {
            (1, _): ip_malformed;
            (0, 0 &&& 0xf8): parse_extension;  // at most 64 bytes
            default: obscured;
        }
    }

    state parse_extension {
        packet.extract(hdr.ipv6_extensions.next, ((bit<32>)length << 6) + 48);
        meta.parsed.protocol = hdr.ipv6_extensions.last.next_header;
        extensions = extensions - 1;
        transition next_header;
    }

    // Offset (13 bits), reserved (2), more (1). A datagram in one piece is whole (RFC 6946).
    state parse_fragment {
        unit = packet.lookahead<bit<64>>();
        packet.extract(hdr.ipv6_extensions.next, 48);
        meta.parsed.protocol = unit[63:56];
        extensions = extensions - 1;
        room = room - 8;
        negative = room[31:31];
        transition select(negative, unit[47:32]) {
            (1, _): ip_malformed;
            (0, 0 &&& 0xfff9): next_header;
            (0, 1 &&& 0xfff9): first_fragment;
            default: later_fragment;
        }
    }

    state first_fragment {
        meta.parsed.fragment = 1;
        transition next_header;
    }

    state later_fragment {
        meta.parsed.fragment = 1;
        transition select(meta.parsed.protocol) {
            EXTENSION_HOP_BY_HOP: obscured;
            EXTENSION_ROUTING: obscured;
            EXTENSION_DESTINATION: obscured;
            EXTENSION_FRAGMENT: obscured;
            EXTENSION_AUTHENTICATION: obscured;
            EXTENSION_MOBILITY: obscured;
            EXTENSION_HIP: obscured;
            EXTENSION_SHIM6: obscured;
            EXTENSION_EXPERIMENT_1: obscured;
            EXTENSION_EXPERIMENT_2: obscured;
            default: accept;
        }
    }

    state obscured {
        meta.parsed.obscured = 1;
        transition accept;
    }

    state measure_ipv6 {
        meta.parsed.tcp_bytes = room[15:0];
        transition measure_tcp;
    }

    state measure_icmpv6 {
        room = room - NEIGHBOUR_BYTES;
        negative = room[31:31];
        transition select(negative) {
            0: look_at_icmpv6;
            default: accept;
        }
    }

    state look_at_icmpv6 {
        transition select(extensions, packet.lookahead<bit<8>>()) {
            (IPV6_EXTENSIONS_MAX, ICMPV6_NEIGHBOUR_SOLICITATION): parse_solicitation;
            (_, ICMPV6_UNREACHABLE): measure_icmpv6_error;
            (_, ICMPV6_TOO_BIG): measure_icmpv6_error;
            (_, ICMPV6_TIME_EXCEEDED): measure_icmpv6_error;
            (_, ICMPV6_PARAMETER_PROBLEM): measure_icmpv6_error;
            default: accept;
        }
    }

    // Its options are summed and dropped: a solicitation is never passed on.
    state parse_solicitation {
        packet.extract(hdr.icmp);
        packet.extract(hdr.neighbour);
        skip = 0;
        transition next_unit;
    }

    state next_unit {
        transition select(room, skip) {
            (0, 0): accept;
            (0, _): solicitation_malformed;
            default: parse_unit;
        }
    }

    state parse_unit {
        unit = packet.lookahead<bit<64>>();
        packet.advance(64);
        meta.parsed.neighbour_sum = meta.parsed.neighbour_sum + (bit<32>)unit[63:48] + (bit<32>)unit[47:32]
                                    + (bit<32>)unit[31:16] + (bit<32>)unit[15:0];
        room = room - 8;
        negative = room[31:31];
        transition select(negative, skip, unit[63:48]) {
            (1, _, _): solicitation_malformed;
            (0, 0, 0 &&& 0x00ff): solicitation_malformed;  // length 0
            (0, 0, 0x0100 &&& 0xff00): note_source_mac;
            (0, 0, _): begin_option;
            default: continue_option;
        }
    }

    state note_source_mac {
        meta.parsed.source_mac = 1;
        transition begin_option;
    }

    state begin_option {
        skip = unit[55:48] - 1;
        transition next_unit;
    }

    state continue_option {
        skip = skip - 1;
        transition next_unit;
    }

    state solicitation_malformed {
        meta.parsed.neighbour_malformed = 1;
        transition accept;
    }

    // Errors that quote TCP. `room` is now what there is beyond the least that must be quoted.
    state measure_icmp {
        room = room - ICMP_ERROR_BYTES - IPV4_BYTES - QUOTED_TCP_BYTES;
        negative = room[31:31];
        transition select(negative) {
            0: look_at_icmp;
            default: accept;
        }
    }

    state look_at_icmp {
        transition select(packet.lookahead<bit<8>>()) {
            ICMP_UNREACHABLE: parse_icmp_error;
            ICMP_SOURCE_QUENCH: parse_icmp_error;
            ICMP_TIME_EXCEEDED: parse_icmp_error;
            ICMP_PARAMETER_PROBLEM: parse_icmp_error;
            default: accept;
        }
    }

    state parse_icmp_error {
        packet.extract(hdr.icmp);
        packet.extract(hdr.icmp_rest);
        packet.extract(hdr.quoted_ipv4);
        transition select(hdr.quoted_ipv4.version, hdr.quoted_ipv4.ihl, hdr.quoted_ipv4.protocol,
                          hdr.quoted_ipv4.fragment_offset) {
            (4, 0 &&& 12, _, _): accept;
            (4, 4, _, _): accept;
            (4, 5, PROTOCOL_TCP, 0): parse_quoted_tcp;
            (4, _, PROTOCOL_TCP, 0): measure_quoted_options;
            default: accept;
        }
    }

    state measure_quoted_options {
        room = room + IPV4_BYTES - ((bit<32>)hdr.quoted_ipv4.ihl << 2);
        negative = room[31:31];
        transition select(negative) {
            0: parse_quoted_options;
            default: accept;
        }
    }

    state parse_quoted_options {
        packet.extract(hdr.quoted_ipv4_options, ((bit<32>)hdr.quoted_ipv4.ihl - 5) << 5);
        transition parse_quoted_tcp;
    }

    state measure_icmpv6_error {
        room = room + NEIGHBOUR_BYTES - ICMP_ERROR_BYTES - IPV6_BYTES - QUOTED_TCP_BYTES;
        negative = room[31:31];
        transition select(negative) {
            0: parse_icmpv6_error;
            default: accept;
        }
    }

    state parse_icmpv6_error {
        packet.extract(hdr.icmp);
        packet.extract(hdr.icmp_rest);
        packet.extract(hdr.quoted_ipv6);
        quoted_protocol = hdr.quoted_ipv6.next_header;
        extensions = QUOTED_EXTENSIONS_MAX;
        transition select(hdr.quoted_ipv6.version) {
            6: quoted_next_header;
            default: accept;
        }
    }

    state quoted_next_header {
        transition select(extensions, quoted_protocol) {
            (_, PROTOCOL_TCP): parse_quoted_tcp;
            (0, _): accept;
            (_, EXTENSION_HOP_BY_HOP): measure_quoted_extension;
            (_, EXTENSION_ROUTING): measure_quoted_extension;
            (_, EXTENSION_DESTINATION): measure_quoted_extension;
            (_, EXTENSION_FRAGMENT): measure_quoted_fragment;
            default: accept;
        }
    }

    state measure_quoted_extension {
        length = packet.lookahead<bit<16>>()[7:0];
        room = room - 8 - ((bit<32>)length << 3);
        negative = room[31:31];
        transition select(negative, length) {
            (0, 0 &&& 0xf8): parse_quoted_extension;
            default: accept;
        }
    }

    state measure_quoted_fragment {
        unit = packet.lookahead<bit<64>>();
        length = 0;
        room = room - 8;
        negative = room[31:31];
        transition select(negative, unit[47:32]) {
            (0, 0 &&& 0xfff8): parse_quoted_extension;
            default: accept;
        }
    }

    state parse_quoted_extension {
        packet.extract(hdr.quoted_extensions.next, ((bit<32>)length << 6) + 48);
        quoted_protocol = hdr.quoted_extensions.last.next_header;
        extensions = extensions - 1;
        transition quoted_next_header;
    }

    state parse_quoted_tcp {
        packet.extract(hdr.quoted_tcp);
        room = room - 4;
        negative = room[31:31];
        transition select(negative) {
            0: parse_quoted_acknowledgment;
            default: accept;
        }
    }

    state parse_quoted_acknowledgment {
        packet.extract(hdr.quoted_acknowledgment);
        room = room - 4;
        negative = room[31:31];
        transition select(negative) {
            0: parse_quoted_window;
            default: accept;
        }
    }

    state parse_quoted_window {
        packet.extract(hdr.quoted_window);
        room = room - 2;
        negative = room[31:31];
        transition select(negative) {
            0: parse_quoted_checksum;
            default: accept;
        }
    }

    state parse_quoted_checksum {
        packet.extract(hdr.quoted_checksum);
        transition accept;
    }

    state measure_tcp {
        room = room - TCP_BYTES;
        negative = room[31:31];
        transition select(negative) {
            0: parse_tcp;
            default: tcp_malformed;
        }
    }

    state parse_tcp {
        packet.extract(hdr.tcp);
        meta.parsed.option_bytes = ((bit<16>)hdr.tcp.data_offset << 2) - (bit<16>)TCP_BYTES;
        room = room + TCP_BYTES - ((bit<32>)hdr.tcp.data_offset << 2);
        negative = room[31:31];
        transition select(negative, hdr.tcp.data_offset) {
            (1, _): tcp_malformed;
            (0, 5): accept;
            (0, 6 &&& 14): parse_tcp_options;  // 6, 7
            (0, 8 &&& 8): parse_tcp_options;   // 8 to 15
            default: tcp_malformed;
        }
    }

    state parse_tcp_options {
        tcp_options.apply(packet, hdr, meta);
        transition accept;
    }

    state tcp_malformed {
        meta.parsed.tcp_malformed = 1;
        transition accept;
    }
}

#endif
