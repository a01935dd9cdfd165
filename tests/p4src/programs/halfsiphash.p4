// SPDX-License-Identifier: Apache-2.0
// HalfSipHash-2-4 alone, made of the steps in p4src/shared/cookie.p4: a frame brings key and message, and takes the hash back.
#include <core.p4>
#include <v1model.p4>
#include "../../../p4src/shared/cookie.p4"

header question_t {
    bit<32> k0;
    bit<32> k1;
    bit<8>  words;  // of the message, 0 to 8
    bit<32> word_0;
    bit<32> word_1;
    bit<32> word_2;
    bit<32> word_3;
    bit<32> word_4;
    bit<32> word_5;
    bit<32> word_6;
    bit<32> word_7;
    bit<32> hash_value;
}

struct headers_t {
    question_t question;
}

struct metadata_t {
    sip_state_t sip;
}

parser TestParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    state start {
        packet.extract(hdr.question);
        transition accept;
    }
}

control TestVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    SipAbsorb() absorb;
    SipFinish() finish;

    apply {
        if (hdr.question.isValid()) {
            sip_start(meta.sip, hdr.question.k0, hdr.question.k1);
        }
        if (hdr.question.words > 0) {
            meta.sip.word = hdr.question.word_0;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 1) {
            meta.sip.word = hdr.question.word_1;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 2) {
            meta.sip.word = hdr.question.word_2;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 3) {
            meta.sip.word = hdr.question.word_3;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 4) {
            meta.sip.word = hdr.question.word_4;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 5) {
            meta.sip.word = hdr.question.word_5;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 6) {
            meta.sip.word = hdr.question.word_6;
            absorb.apply(meta.sip);
        }
        if (hdr.question.words > 7) {
            meta.sip.word = hdr.question.word_7;
            absorb.apply(meta.sip);
        }
        meta.sip.word = (bit<32>)hdr.question.words << 26;  // bytes << 24
        absorb.apply(meta.sip);
        finish.apply(meta.sip, hdr.question.hash_value);
        standard_metadata.egress_spec = standard_metadata.ingress_port;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    apply { }
}

control TestCompute(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control TestDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.question);
    }
}

V1Switch(TestParser(), TestVerify(), TestIngress(), TestEgress(), TestCompute(), TestDeparser()) main;
