// SPDX-License-Identifier: Apache-2.0
// What the control plane sees differs from what the data plane holds: ports of 32 bits, and hidden fields.
#include <core.p4>
#include <v1model.p4>

const bit<9> CPU = 510;

@p4runtime_translation("example.org/port", 32)
type bit<9> port_t;

@controller_header("packet_in")
header packet_in_t {
    @hidden bit<8> mark;
    port_t ingress_port;
    @hidden bit<7> padding;
    bit<16> reason;
}

@controller_header("packet_out")
header packet_out_t {
    @hidden bit<7> padding;
    port_t port;
    @hidden bit<8> more;
}

header frame_t {
    bit<7> zero;
    port_t port;
}

struct headers {
    packet_in_t packet_in;
    packet_out_t packet_out;
    frame_t frame;
}

struct metadata { }

struct seen_t {
    port_t port;
}

parser ParserImpl(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    state start {
        transition select(standard.ingress_port) {
            CPU: parse_packet_out;
            default: parse_frame;
        }
    }
    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_frame;
    }
    state parse_frame {
        packet.extract(hdr.frame);
        transition accept;
    }
}

control NoChecksums(inout headers hdr, inout metadata meta) {
    apply { }
}

control IngressImpl(inout headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    register<port_t>(2) last;

    action send(port_t port) {
        standard.egress_spec = (bit<9>) port;
    }
    @hidden action punt() {
        hdr.packet_in.setValid();
        hdr.packet_in.mark = 0xff;
        hdr.packet_in.ingress_port = (port_t) standard.ingress_port;
        hdr.packet_in.reason = 0x1234;
        standard.egress_spec = CPU;
    }
    table ports {
        key = { hdr.frame.port: exact @name("port"); }
        actions = { send; punt; }
        default_action = punt();
    }

    apply {
        if (hdr.packet_out.isValid()) {
            standard.egress_spec = hdr.packet_out.padding == 0 && hdr.packet_out.more == 0
                ? (bit<9>) hdr.packet_out.port : 0;
            hdr.packet_out.setInvalid();
        } else {
            last.write(1, hdr.frame.port);
            digest<seen_t>(1, { hdr.frame.port });
            ports.apply();
        }
    }
}

control EgressImpl(inout headers hdr, inout metadata meta, inout standard_metadata_t standard) {
    apply { }
}

control Compute(inout headers hdr, inout metadata meta) {
    apply { }
}

control DeparserImpl(packet_out packet, in headers hdr) {
    apply { packet.emit(hdr); }
}

V1Switch(ParserImpl(), NoChecksums(), IngressImpl(), EgressImpl(), Compute(), DeparserImpl()) main;
