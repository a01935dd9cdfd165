// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder begin with: a frame of eight bytes, unless they bring headers of their own.
#include <core.p4>
#include <v1model.p4>

header frame_t {
    bit<8> a;
    bit<8> b;
    bit<16> c;
    bit<32> d;
}

#ifndef OWN_HEADERS
struct headers_t {
    frame_t frame;
}
#endif

#ifndef OWN_METADATA
struct metadata_t {
}
#endif
