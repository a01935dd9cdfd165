// SPDX-License-Identifier: Apache-2.0
// exact, lpm, ternary, range and optional matches, with priorities where several may hit.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action set(bit<8> value) { hdr.frame.d = hdr.frame.d << 8 | (bit<32>)value; }
    table exactly {
        key = { hdr.frame.a: exact; hdr.frame.b: exact; }
        actions = { set; NoAction; }
    }
    table longest {
        key = { hdr.frame.c: lpm; }
        actions = { set; NoAction; }
    }
    table masked {
        key = { hdr.frame.a: ternary; hdr.frame.b: ternary; }
        actions = { set; NoAction; }
    }
    table mixed {
        key = { hdr.frame.a: range; hdr.frame.b: optional; hdr.frame.c: lpm; }
        actions = { set; NoAction; }
        default_action = set(0xff);
    }
    apply {
        std.egress_spec = 1;
        exactly.apply();
        longest.apply();
        masked.apply();
        mixed.apply();
    }
}

#include "end.p4"
