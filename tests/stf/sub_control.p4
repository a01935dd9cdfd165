// SPDX-License-Identifier: Apache-2.0
// Controls applied by controls: constructor arguments, instances of their own, direct invocation.
#include "begin.p4"

control Add(inout bit<8> value, out bit<8> before)(bit<8> amount) {
    action add(bit<8> factor) {
        before = value;
        value = value + factor * amount;
    }
    table choose {
        key = { value: exact; }
        actions = { add; NoAction; }
        default_action = NoAction;
    }
    apply {
        before = 0;
        choose.apply();
    }
}

control Clear(inout bit<16> value) {
    apply {
        if (value[0:0] == 1) { return; }
        value = 0;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Add(1) one;
    Add(10) ten;
    bit<8> was;
    apply {
        std.egress_spec = 1;
        one.apply(hdr.frame.a, was);
        hdr.frame.d[31:24] = was;
        ten.apply(hdr.frame.b, was);
        hdr.frame.d[23:16] = was;
        Clear.apply(hdr.frame.c);
    }
}

#include "end.p4"
