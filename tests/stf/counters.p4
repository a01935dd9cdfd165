// SPDX-License-Identifier: Apache-2.0
// Counters, by index and of table entries: packets, and bytes as the packet came.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    counter(4, CounterType.packets_and_bytes) indexed;
    direct_counter(CounterType.packets_and_bytes) direct;
    action hit() { direct.count(); }
    table counted {
        key = { hdr.frame.a: exact; }
        actions = { hit; NoAction; }
        counters = direct;
    }
    apply {
        std.egress_spec = 1;
        indexed.count((bit<32>)hdr.frame.b);             // beyond the size: nothing
        indexed.count(3);
        counted.apply();
    }
}

#include "end.p4"
