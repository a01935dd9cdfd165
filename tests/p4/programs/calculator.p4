// SPDX-License-Identifier: Apache-2.0
// A header of its own asks for a sum; the answer goes back where it came from.
#include "ipv4.p4"

enum bit<8> operation_t {
    PLUS = 0x2b,
    MINUS = 0x2d,
    AND = 0x26,
    OR = 0x7c,
    XOR = 0x5e
}

header question_t {
    bit<8> p;
    bit<8> four;
    bit<8> version;
    operation_t operation;
    bit<32> a;
    bit<32> b;
    bit<32> result;
}

struct metadata { }

struct headers {
    ethernet_t ethernet;
    question_t question;
}

parser Parse(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.kind) {
            0x1234: check;
            default: accept;
        }
    }
    state check {
        transition select(packet.lookahead<question_t>().p, packet.lookahead<question_t>().four,
                          packet.lookahead<question_t>().version) {
            (0x50, 0x34, 1): question;
            default: accept;
        }
    }
    state question {
        packet.extract(hdr.question);
        transition accept;
    }
}

control Ingress_(inout headers hdr, inout metadata meta, inout standard_metadata_t std) {
    action send_back(bit<32> result) {
        mac_t kept = hdr.ethernet.dst;
        hdr.question.result = result;
        hdr.ethernet.dst = hdr.ethernet.src;
        hdr.ethernet.src = kept;
        std.egress_spec = std.ingress_port;
    }
    action add() { send_back(hdr.question.a + hdr.question.b); }
    action subtract() { send_back(hdr.question.a - hdr.question.b); }
    action both() { send_back(hdr.question.a & hdr.question.b); }
    action either() { send_back(hdr.question.a | hdr.question.b); }
    action differ() { send_back(hdr.question.a ^ hdr.question.b); }
    action drop() { mark_to_drop(std); }

    table calculate {
        key = {
            hdr.question.operation: exact;
        }
        actions = {
            add;
            subtract;
            both;
            either;
            differ;
            drop;
        }
        const default_action = drop();
        const entries = {
            operation_t.PLUS: add();
            operation_t.MINUS: subtract();
            operation_t.AND: both();
            operation_t.OR: either();
            operation_t.XOR: differ();
        }
    }
    apply {
        if (hdr.question.isValid()) {
            calculate.apply();
        } else {
            drop();
        }
    }
}

control Emit(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.question);
    }
}

EMPTY_EGRESS
EMPTY_CHECKSUMS
V1Switch(Parse(), Verify_(), Ingress_(), Egress_(), Compute_(), Emit()) main;
