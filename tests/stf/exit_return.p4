// SPDX-License-Identifier: Apache-2.0
// exit ends the whole block from however deep, return the control or action that it stands in.
#define OWN_EGRESS
#include "begin.p4"

control Inner(inout frame_t frame) {
    action leave() {
        frame.b = 1;
        exit;
    }
    action go_on() {
        frame.b = 2;
        return;
    }
    table what {
        key = { frame.a: exact; }
        actions = { leave; go_on; }
        const default_action = go_on;
        const entries = {
            1: leave();
        }
    }
    apply {
        what.apply();
        if (frame.a == 2) {
            return;
        }
        frame.c = frame.c + 1;
    }
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Inner() inner;
    apply {
        std.egress_spec = 1;
        inner.apply(hdr.frame);
        hdr.frame.c = hdr.frame.c + 0x10;
        if (hdr.frame.a == 3) { exit; }
        hdr.frame.c = hdr.frame.c + 0x100;
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        hdr.frame.d = 1;                                 // egress runs, whatever ended ingress
    }
}

#include "end.p4"
