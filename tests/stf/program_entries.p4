// SPDX-License-Identifier: Apache-2.0
// Entries that the program brings: in order of appearance, by priority, for every kind of match.
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action set(bit<8> value) { hdr.frame.d = hdr.frame.d << 8 | (bit<32>)value; }
    table in_order {
        key = { hdr.frame.a: ternary; }
        actions = { set; }
        const default_action = set(0);
        const entries = {
            0x10 &&& 0xf0: set(1);
            0x11: set(2);
            _: set(3);
        }
    }
    table by_priority {
        key = { hdr.frame.b: range; hdr.frame.a: optional; }
        actions = { set; }
        const default_action = set(0);
        largest_priority_wins = false;
        entries = {
            const priority = 30: (_, _): set(4);
            priority = 20: (1 .. 9, _): set(5);
            priority = 10: (5 .. 7, 0x10): set(6);
        }
    }
    table longest {
        key = { hdr.frame.c: lpm; }
        actions = { set; NoAction; }
        const entries = {
            0x0100 &&& 0xff00: set(7);
            0x0120 &&& 0xfff0: set(8);
        }
    }
    apply {
        std.egress_spec = 1;
        in_order.apply();
        by_priority.apply();
        longest.apply();
    }
}

#include "end.p4"
