// SPDX-License-Identifier: Apache-2.0
// Connections are spread over next hops by a hash of their addresses; egress sets the MAC by port.
#include "ipv4.p4"

struct metadata {
    bit<14> choice;
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
    action drop() {
        mark_to_drop(std);
    }
    action choose(bit<16> base, bit<32> count) {
        hash(meta.choice, HashAlgorithm.crc16, base,
             { hdr.ipv4.src, hdr.ipv4.dst, hdr.ipv4.protocol, hdr.tcp.src_port, hdr.tcp.dst_port }, count);
    }
    action next_hop(mac_t mac, bit<32> address, port_t port) {
        hdr.ethernet.dst = mac;
        hdr.ipv4.dst = address;
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        std.egress_spec = port;
    }
    table groups {
        key = {
            hdr.ipv4.dst: lpm;
        }
        actions = {
            drop;
            choose;
        }
        size = 1024;
    }
    table next_hops {
        key = {
            meta.choice: exact;
        }
        actions = {
            drop;
            next_hop;
        }
        size = 2;
    }
    apply {
        if (hdr.ipv4.isValid() && hdr.ipv4.ttl > 0) {
            groups.apply();
            next_hops.apply();
        }
    }
}

control Egress_(inout headers hdr, inout metadata meta, inout standard_metadata_t std) {
    action rewrite(mac_t mac) {
        hdr.ethernet.src = mac;
    }
    action drop() {
        mark_to_drop(std);
    }
    table frames {
        key = {
            std.egress_port: exact;
        }
        actions = {
            rewrite;
            drop;
        }
        size = 256;
    }
    apply {
        frames.apply();
    }
}

control Emit(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.tcp);
    }
}

EMPTY_CHECKSUMS
V1Switch(Parse(), Verify_(), Ingress_(), Egress_(), Compute_(), Emit()) main;
