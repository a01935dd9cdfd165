// SPDX-License-Identifier: Apache-2.0
// The sender lists the ports to leave by; every switch takes one off the stack.
#include "ipv4.p4"

#define MAX_HOPS 9

header hop_t {
    bit<1> last;
    bit<15> port;
}

struct metadata { }

struct headers {
    ethernet_t ethernet;
    hop_t[MAX_HOPS] hops;
    ipv4_t ipv4;
}

parser Parse(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.kind) {
            0x1234: hop;
            default: accept;
        }
    }
    state hop {
        packet.extract(hdr.hops.next);
        transition select(hdr.hops.last.last) {
            1: ipv4;
            default: hop;
        }
    }
    state ipv4 {
        packet.extract(hdr.ipv4);
        transition accept;
    }
}

control Ingress_(inout headers hdr, inout metadata meta, inout standard_metadata_t std) {
    action finish() {
        hdr.ethernet.kind = 0x800;
    }
    action take() {
        std.egress_spec = (port_t) hdr.hops[0].port;
        hdr.hops.pop_front(1);
    }
    apply {
        if (hdr.hops[0].isValid()) {
            if (hdr.hops[0].last == 1) {
                finish();
            }
            take();
            if (hdr.ipv4.isValid()) {
                hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
            }
        } else {
            mark_to_drop(std);
        }
    }
}

control Emit(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr);
    }
}

EMPTY_EGRESS
EMPTY_CHECKSUMS
V1Switch(Parse(), Verify_(), Ingress_(), Egress_(), Compute_(), Emit()) main;
