// SPDX-License-Identifier: Apache-2.0
// What the small programs beside this file share: Ethernet, IPv4, and blocks that do nothing.
#include <core.p4>
#include <v1model.p4>

typedef bit<48> mac_t;
typedef bit<9> port_t;

header ethernet_t {
    mac_t dst;
    mac_t src;
    bit<16> kind;
}

header ipv4_t {
    bit<4> version;
    bit<4> ihl;
    bit<6> dscp;
    bit<2> ecn;
    bit<16> total_length;
    bit<16> identification;
    bit<3> flags;
    bit<13> fragment_offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

header tcp_t {
    bit<16> src_port;
    bit<16> dst_port;
    bit<32> seq;
    bit<32> ack;
    bit<4> data_offset;
    bit<4> reserved;
    bit<8> flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

#define EMPTY_EGRESS \
    control Egress_(inout headers hdr, inout metadata meta, inout standard_metadata_t std) { apply { } }
#define EMPTY_CHECKSUMS \
    control Verify_(inout headers hdr, inout metadata meta) { apply { } } \
    control Compute_(inout headers hdr, inout metadata meta) { apply { } }
