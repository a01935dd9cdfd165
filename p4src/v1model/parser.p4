// SPDX-License-Identifier: Apache-2.0
// Ethernet, ARP, IPv4, TCP. Only running out of bytes is a parser error; whatever else is wrong is noted and left to the
// ingress, because a packet that is not for a protected service is none of our business: it has to leave as it came.
#ifndef SYNCLINE_PARSER_P4
#define SYNCLINE_PARSER_P4

parser SynclineParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                      inout standard_metadata_t standard_metadata) {
    TcpOptions() tcp_options;
    bit<32> room;
    bit<1>  negative;

    state start {
        meta.ingress_port = standard_metadata.ingress_port;
        transition select(standard_metadata.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
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
        transition select(hdr.ethernet.ethertype) {
            ETHERTYPE_IPV4: parse_ipv4;
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
            (4, 0 &&& 12): ipv4_malformed;  // 0 to 3 words
            (4, 4): ipv4_malformed;
            (4, 5): measure_ipv4;
            (4, _): parse_ipv4_options;
            default: ipv4_malformed;
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
            (1, _, _): ipv4_malformed;
            (0, PROTOCOL_TCP, 0): measure_tcp;
            default: accept;
        }
    }

    state ipv4_malformed {
        meta.parsed.ipv4_malformed = 1;
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
