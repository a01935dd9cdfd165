// SPDX-License-Identifier: Apache-2.0
// Headers on the wire and towards the controller. The same under every architecture.
#ifndef SYNCLINE_HEADERS_P4
#define SYNCLINE_HEADERS_P4

// --- controller -----------------------------------------------------------------------------------------------------
@controller_header("packet_in")
header packet_in_header_t {
    bit<16> ingress_port;
    bit<8>  reason;
    bit<16> service_id;
    bit<32> isn;           // the client's initial sequence number; this and what follows only for PUNT_PROVEN
    bit<16> mss;           // bytes
    bit<8>  window_scale;  // 15: not offered
    bit<8>  sack;          // 0 or 1
    bit<16> number;        // PUNT_PROVEN, PUNT_FOLLOWING: of its flow's packets that were punted. Copies have no number of their own.
                           // Bit 14 tells one batch from the next.
}

@controller_header("packet_out")
header packet_out_header_t {
    bit<8>  mode;
    bit<16> port;
    bit<16> release;  // MODE_ARRIVE: its flow is released up to this number. If there is a higher one, it is dropped.
                      // The highest bit: it is the last one of those that are released
}

// --- layers 2 and 3 -------------------------------------------------------------------------------------------------
header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> ethertype;
}

header arp_t {
    bit<16> hardware_type;
    bit<16> protocol_type;
    bit<8>  hardware_length;
    bit<8>  protocol_length;
    bit<16> operation;
    bit<48> sender_mac;
    bit<32> sender_address;
    bit<48> target_mac;
    bit<32> target_address;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<8>  tos;
    bit<16> total_length;
    bit<16> identification;
    bit<1>  reserved;
    bit<1>  dont_fragment;
    bit<1>  more_fragments;
    bit<13> fragment_offset;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

header ipv4_options_t {
    varbit<320> bytes;
}

// One 802.1Q tag; `ethertype` is that of what it tags.
header vlan_t {
    bit<16> tag;
    bit<16> ethertype;
}

header ipv6_t {
    bit<4>   version;
    bit<8>   traffic_class;
    bit<20>  flow_label;
    bit<16>  payload_length;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> source;
    bit<128> destination;
}

// Hop-by-hop options, routing, destination options; and the fragment header, whose `length` is reserved.
header ipv6_extension_t {
    bit<8>      next_header;
    bit<8>      length;  // in 8 bytes, without the first 8
    varbit<496> bytes;   // 64 bytes in all
}

// --- ICMP, both versions --------------------------------------------------------------------------------------------
header icmp_t {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
}

// Of an error: unused, a next hop's MTU, or a pointer.
header icmp_rest_t {
    bit<32> rest;
}

// The beginning of the TCP header that an error quotes, in the pieces that may be missing: 8 bytes must be there (RFC 792).
header quoted_tcp_t {
    bit<16> source_port;
    bit<16> destination_port;
    bit<32> sequence;
}

header quoted_acknowledgment_t {
    bit<32> acknowledgment;
}

header quoted_window_t {
    bit<11> before_ack;
    bit<1>  ack;
    bit<4>  behind_ack;
    bit<16> window;
}

header quoted_checksum_t {
    bit<16> checksum;
}

// RFC 4861, sections 4.3 and 4.4: neighbour solicitation and advertisement, without options.
header neighbour_t {
    bit<1>   router;
    bit<1>   solicited;
    bit<1>   override;
    bit<29>  reserved;
    bit<128> target;
}

header neighbour_mac_t {
    bit<8>  type;
    bit<8>  length;
    bit<48> mac;
}

// --- TCP ------------------------------------------------------------------------------------------------------------
header tcp_t {
    bit<16> source_port;
    bit<16> destination_port;
    bit<32> sequence;
    bit<32> acknowledgment;
    bit<4>  data_offset;
    bit<4>  reserved;
    bit<1>  cwr;
    bit<1>  ece;
    bit<1>  urg;
    bit<1>  ack;
    bit<1>  psh;
    bit<1>  rst;
    bit<1>  syn;
    bit<1>  fin;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent_pointer;
}

// The option area as it arrived, in 32-bit words: what a packet carries on when nobody rewrites its options.
header option_word_t {
    bit<32> word;
}

// The options that the switch writes itself, each alone, in the order in which the deparser knows them.
header option_mss_t {
    bit<8>  kind;
    bit<8>  length;
    bit<16> mss;
}

header option_padding_t {
    bit<16> nops;
}

header option_sack_permitted_t {
    bit<8> kind;
    bit<8> length;
}

header option_timestamps_t {
    bit<8>  kind;
    bit<8>  length;
    bit<32> value;
    bit<32> echo;
}

header option_window_scale_t {
    bit<8> nop;
    bit<8> kind;
    bit<8> length;
    bit<8> shift;
}

header option_sack_t {
    bit<8> kind;
    bit<8> length;
}

header sack_block_t {
    bit<32> left;
    bit<32> right;
}

struct headers_t {
    packet_in_header_t  packet_in;
    packet_out_header_t packet_out;
    ethernet_t          ethernet;
    vlan_t              vlan;
    arp_t               arp;
    ipv4_t              ipv4;
    ipv4_options_t      ipv4_options;
    ipv6_t              ipv6;
    ipv6_extension_t[4] ipv6_extensions;
    icmp_t              icmp;
    icmp_rest_t         icmp_rest;
    ipv4_t              quoted_ipv4;
    ipv4_options_t      quoted_ipv4_options;
    ipv6_t              quoted_ipv6;
    ipv6_extension_t[2] quoted_extensions;
    quoted_tcp_t        quoted_tcp;
    quoted_acknowledgment_t quoted_acknowledgment;
    quoted_window_t     quoted_window;
    quoted_checksum_t   quoted_checksum;
    neighbour_t         neighbour;
    neighbour_mac_t     neighbour_mac;
    tcp_t               tcp;

    option_word_t[10]   option_words;

    option_mss_t            mss;
    option_padding_t        padding;
    option_sack_permitted_t sack_permitted;
    option_timestamps_t     timestamps;
    option_padding_t        sack_padding;
    option_sack_t           sack;
    sack_block_t            sack_block_1;
    sack_block_t            sack_block_2;
    sack_block_t            sack_block_3;
    sack_block_t            sack_block_4;
    option_window_scale_t   window_scale;
}

#endif
