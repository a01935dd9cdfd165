// SPDX-License-Identifier: Apache-2.0
// switch on the action that ran; hit and miss; labels that share a body.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action red() { hdr.frame.b = 1; }
    action green() { hdr.frame.b = 2; }
    action blue(bit<8> value) { hdr.frame.b = value; }
    table colours {
        key = { hdr.frame.a: exact; }
        actions = { red; green; blue; @defaultonly NoAction; }
        const default_action = NoAction;
    }
    apply {
        std.egress_spec = 1;
        switch (colours.apply().action_run) {
            red:
            green: { hdr.frame.c = 0x1111; }
            blue: { hdr.frame.c = 0x2222; }
            default: { hdr.frame.c = 0x3333; }
        }
        hdr.frame.a = hdr.frame.b;
        if (colours.apply().hit) { hdr.frame.d = 1; }
        if (!colours.apply().miss) { hdr.frame.d = hdr.frame.d + 2; }
    }
}

#include "end.p4"
