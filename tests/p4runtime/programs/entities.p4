// SPDX-License-Identifier: Apache-2.0
// One of every kind of object that P4Runtime can touch. A frame's EtherType chooses what happens to it.
#include <core.p4>
#include <v1model.p4>

const bit<9> CPU = 510;

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    bit<16> port;
}

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> type;
}

struct headers {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
}

struct metadata { }

struct learn_t {
    bit<48> mac;
    bit<9> port;
}

parser ParserImpl(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    state start {
        transition select(standard.ingress_port) {
            CPU: parse_packet_out;
            default: parse_ethernet;
        }
    }
    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }
    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition accept;
    }
}

control NoChecksums(inout headers hdr, inout metadata meta) {
    apply { }
}

control IngressImpl(inout headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    direct_counter(CounterType.packets_and_bytes) hits;
    counter(4, CounterType.packets_and_bytes) frames;
    meter(2, MeterType.packets) limit;
    register<bit<12>>(4) seen;

    action drop() {
        mark_to_drop(standard);
    }
    action forward(bit<9> port) {
        standard.egress_spec = port;
    }
    action counted(bit<9> port) {
        hits.count();
        standard.egress_spec = port;
    }
    action punt(bit<7> reason) {
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = standard.ingress_port;
        hdr.packet_in.reason = reason;
        standard.egress_spec = CPU;
    }
    action flood(bit<16> group) {
        standard.mcast_grp = group;
    }

    table exact_t {
        key = { hdr.ethernet.destination: exact; }
        actions = { counted; drop; @defaultonly NoAction; }
        default_action = NoAction();
        counters = hits;
        size = 8;
        support_timeout = true;
    }
    table lpm_t {
        key = { hdr.ethernet.source: lpm; }
        actions = { forward; drop; }
        default_action = drop();
        size = 64;
    }
    table ternary_t {
        key = {
            hdr.ethernet.source: ternary @name("source");
            hdr.ethernet.type: range @name("type");
            standard.ingress_port: optional @name("port");
        }
        actions = { forward; punt; @defaultonly NoAction; }
        default_action = NoAction();
        size = 64;
    }
    table const_t {
        key = { hdr.ethernet.type: exact @name("type"); }
        actions = { punt; flood; NoAction; }
        const default_action = NoAction();
        const entries = {
            0x1001: punt(1);
            0x1002: flood(7);
        }
    }
    table keyless_t {
        actions = { forward; NoAction; }
        default_action = NoAction();
    }

    apply {
        if (hdr.packet_out.isValid()) {
            standard.egress_spec = (bit<9>) hdr.packet_out.port;
            hdr.packet_out.setInvalid();
        } else {
            frames.count((bit<32>) (hdr.ethernet.type & 3));
            bit<12> before;
            seen.read(before, 0);
            seen.write(0, before + 1);
            if (hdr.ethernet.type == 0x1003) {
                digest<learn_t>(1, { hdr.ethernet.source, standard.ingress_port });
                mark_to_drop(standard);
            } else if (hdr.ethernet.type == 0x1004) {
                clone(CloneType.I2E, 5);
                standard.egress_spec = 2;
            } else if (hdr.ethernet.type == 0x1005) {
                bit<2> color;
                limit.execute_meter(1, color);
                if (color == 2) {
                    mark_to_drop(standard);
                } else {
                    standard.egress_spec = 2;
                }
            } else if (hdr.ethernet.type == 0x1006) {
                keyless_t.apply();
            } else if (!const_t.apply().hit) {
                if (!ternary_t.apply().hit) {
                    if (!exact_t.apply().hit) {
                        lpm_t.apply();
                    }
                }
            }
        }
    }
}

control EgressImpl(inout headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    apply { }
}

control DeparserImpl(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
    }
}

V1Switch(ParserImpl(), NoChecksums(), IngressImpl(), EgressImpl(), NoChecksums(), DeparserImpl()) main;
