// SPDX-License-Identifier: Apache-2.0
// #include, #define with and without arguments, #undef, #if with arithmetic, and what stands in no branch.
#define LEVEL 3
#define TWICE(x) ((x) + (x))
#define FIELD(name) hdr.frame.name
#define COPY(to, from) \
    FIELD(to) = FIELD(from)

#include "begin.p4"

#if LEVEL > 2 && defined(TWICE)
#define PORT 2
#elif LEVEL > 1
#define PORT 3
#else
#error "not reached"
#endif

#undef LEVEL
#ifdef LEVEL
this is no P4
#endif

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = PORT;
        COPY(a, b);
        FIELD(c) = TWICE(FIELD(c));
#ifndef LEVEL
        hdr.frame.d = 0x20;
#endif
    }
}

#include "end.p4"
