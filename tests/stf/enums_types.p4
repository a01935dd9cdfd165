// SPDX-License-Identifier: Apache-2.0
// Enums with and without values, typedef, and types of their own (P4_16, 7.2.2 and 7.2.11).
#define OWN_HEADERS
#define OWN_METADATA
#include "begin.p4"

enum bit<8> kind_t {
    NONE = 0,
    ONE = 1,
    MANY = 0x80
}

enum level_t { LOW, MIDDLE, HIGH }

typedef bit<16> count_t;
type bit<32> id_t;

header typed_t {
    kind_t kind;
    bit<8> level;
    count_t count;
    id_t id;
}

struct headers_t {
    typed_t frame;
}

struct metadata_t {
    level_t level;
}

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        if (hdr.frame.kind == kind_t.MANY) {
            meta.level = level_t.HIGH;
        } else if (hdr.frame.kind == kind_t.ONE) {
            meta.level = level_t.MIDDLE;
        }
        hdr.frame.level = meta.level == level_t.HIGH ? 8w2 : (meta.level == level_t.LOW ? 8w0 : 1);
        hdr.frame.count = hdr.frame.count + (count_t)(bit<8>)hdr.frame.kind;
        hdr.frame.id = (id_t)((bit<32>)hdr.frame.id + 1);
        hdr.frame.kind = (kind_t)(hdr.frame.kind + 1);
    }
}

#include "end.p4"
