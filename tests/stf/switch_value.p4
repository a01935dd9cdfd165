// SPDX-License-Identifier: Apache-2.0
// switch on expressions: numbers, enums, labels that share a body, no default (P4_16, 12.7).
#include "begin.p4"

enum bit<8> kind_t { FIRST = 1, SECOND = 2 }
const bit<8> THIRD = 2 + 1;

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        switch (hdr.frame.a + 1) {
            1: { hdr.frame.b = 10; }
            2:
            THIRD: { hdr.frame.b = 20; }
        }
        switch ((kind_t)hdr.frame.a) {
            kind_t.FIRST: { hdr.frame.c = 1; }
            kind_t.SECOND: {
                switch (hdr.frame.d) {
                    0: { hdr.frame.c = 2; }
                    default: { hdr.frame.c = 3; }
                }
            }
            default: { hdr.frame.c = 4; }
        }
    }
}

#include "end.p4"
