// SPDX-License-Identifier: Apache-2.0
// Keys that call something, directed arguments of actions in a table's list, keys of an error.
#define OWN_METADATA
#include "begin.p4"

struct metadata_t {
    error seen;
}

bit<8> twice(in bit<8> x) {
    return x * 2;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    bit<8> local;
    action add(inout bit<8> x, in bit<8> y, bit<8> z) {
        x = x + y + z;
        hdr.frame.c = hdr.frame.c + 1;
    }
    table inner {
        key = { hdr.frame.b: exact; }
        actions = { add(local, local); NoAction; }
        default_action = NoAction;
    }
    table outer {
        key = { twice(hdr.frame.a): exact @name("double"); inner.apply().hit: exact @name("hit"); }
        actions = { add(hdr.frame.a, hdr.frame.a); NoAction; }
    }
    table errors {
        key = { meta.seen: exact; }
        actions = { add(local, 7); NoAction; }
        const entries = {
            error.PacketTooShort: add(local, 7, 1);
            error.NoError: add(local, 7, 2);
        }
    }
    apply {
        std.egress_spec = 1;
        local = 3;
        meta.seen = hdr.frame.c == 0 ? error.NoError : error.PacketTooShort;
        outer.apply();
        errors.apply();
        hdr.frame.d = (bit<32>)local;
    }
}

#include "end.p4"
