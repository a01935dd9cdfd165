// SPDX-License-Identifier: Apache-2.0
// Action profiles and selectors, a parser value set, a direct meter.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> type;
}

struct headers {
    ethernet_t ethernet;
}

struct metadata {
    bit<1> special;
    bit<2> colour;
}

struct known_t {
    @match(ternary) bit<16> type;
    @match(exact) bit<8> last;
}

parser ParserImpl(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    value_set<bit<16>>(2) special_types;
    value_set<known_t>(4) pairs;
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            special_types: special;
            default: more;
        }
    }
    state more {
        transition select(hdr.ethernet.type, hdr.ethernet.source[7:0]) {
            pairs: special;
            default: accept;
        }
    }
    state special {
        meta.special = 1;
        transition accept;
    }
}

control NoChecksums(inout headers hdr, inout metadata meta) {
    apply { }
}

control IngressImpl(inout headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    @max_group_size(6)
    action_selector(HashAlgorithm.crc16, 32w8, 32w14) balance;
    action_profile(4) shared;
    direct_meter<bit<2>>(MeterType.packets) limit;

    action forward(bit<9> port) {
        standard.egress_spec = port;
    }
    action drop() {
        mark_to_drop(standard);
    }
    action metered() {
        limit.read(meta.colour);
    }

    table balanced {
        key = {
            hdr.ethernet.destination: exact;
            hdr.ethernet.source: selector;
        }
        actions = { forward; drop; @defaultonly NoAction; }
        default_action = NoAction();
        implementation = balance;
    }
    table first {
        key = { hdr.ethernet.type: exact; }
        actions = { forward; drop; NoAction; }
        implementation = shared;
    }
    table second {
        key = { hdr.ethernet.source: lpm; }
        actions = { forward; drop; NoAction; }
        implementation = shared;
    }
    table meters {
        key = { hdr.ethernet.source: ternary; }
        actions = { metered; NoAction; }
        meters = limit;
    }

    apply {
        standard.egress_spec = 100;
        if (meta.special == 1) {
            standard.egress_spec = 99;
        } else if (!balanced.apply().hit) {
            first.apply();
            switch (second.apply().action_run) {
                forward: { hdr.ethernet.type = hdr.ethernet.type + 1; }
            }
        }
        meters.apply();
        if (meta.colour == 2) {
            mark_to_drop(standard);
        }
    }
}

control EgressImpl(inout headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    apply { }
}

control DeparserImpl(packet_out packet, in headers hdr) {
    apply { packet.emit(hdr.ethernet); }
}

V1Switch(ParserImpl(), NoChecksums(), IngressImpl(), EgressImpl(), NoChecksums(), DeparserImpl()) main;
