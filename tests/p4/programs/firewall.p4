// SPDX-License-Identifier: Apache-2.0
// Connections may be opened from inside (port 1) only: a Bloom filter of two registers remembers them.
#include "ipv4.p4"

#define CELLS 4096

struct metadata {
    bit<32> first;
    bit<32> second;
    bit<1> seen_first;
    bit<1> seen_second;
}

struct headers {
    ethernet_t ethernet;
    ipv4_t ipv4;
    tcp_t tcp;
}

parser Parse(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.kind) {
            0x800: ipv4;
            default: accept;
        }
    }
    state ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.protocol) {
            6: tcp;
            default: accept;
        }
    }
    state tcp {
        packet.extract(hdr.tcp);
        transition accept;
    }
}

control Ingress_(inout headers hdr, inout metadata meta, inout standard_metadata_t std) {
    register<bit<1>>(CELLS) bloom_1;
    register<bit<1>>(CELLS) bloom_2;

    action places(bit<32> inner, bit<32> outer, bit<16> inner_port, bit<16> outer_port) {
        hash(meta.first, HashAlgorithm.crc16, 32w0,
             { inner, outer, inner_port, outer_port, hdr.ipv4.protocol }, (bit<32>) CELLS);
        hash(meta.second, HashAlgorithm.crc32, 32w0,
             { inner, outer, inner_port, outer_port, hdr.ipv4.protocol }, (bit<32>) CELLS);
    }

    apply {
        std.egress_spec = std.ingress_port ^ 3;
        if (!hdr.tcp.isValid()) {
            return;
        }
        if (std.ingress_port == 1) {
            places(hdr.ipv4.src, hdr.ipv4.dst, hdr.tcp.src_port, hdr.tcp.dst_port);
            if (hdr.tcp.flags & 2 != 0) {
                bloom_1.write(meta.first, 1);
                bloom_2.write(meta.second, 1);
            }
        } else {
            places(hdr.ipv4.dst, hdr.ipv4.src, hdr.tcp.dst_port, hdr.tcp.src_port);
            bloom_1.read(meta.seen_first, meta.first);
            bloom_2.read(meta.seen_second, meta.second);
            if (meta.seen_first != 1 || meta.seen_second != 1) {
                mark_to_drop(std);
            }
        }
    }
}

control Emit(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.tcp);
    }
}

EMPTY_EGRESS
EMPTY_CHECKSUMS
V1Switch(Parse(), Verify_(), Ingress_(), Egress_(), Compute_(), Emit()) main;
