// SPDX-License-Identifier: Apache-2.0
// Fields of standard_metadata on a packet's way: what egress sees, whatever ingress wrote over it.
#define OWN_EGRESS
#include "begin.p4"

control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        bool unset = std.egress_port == 0 && std.egress_spec == 0 && std.mcast_grp == 0 && std.egress_rid == 0
            && std.egress_global_timestamp == 0 && std.enq_timestamp == 0 && std.deq_timedelta == 0;
        if (unset) { hdr.frame.a = 1; }
        hdr.frame.c = (bit<16>)std.ingress_port;
        std.egress_spec = hdr.frame.b == 0 ? std.ingress_port : 9w2;
        std.egress_port = 77;
        std.enq_timestamp = 0xffffffff;
        std.enq_qdepth = 7;
        std.deq_qdepth = 7;
        std.deq_timedelta = 0xffffffff;
        std.egress_global_timestamp = 0xffffffffffff;
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        bool ordered = std.ingress_global_timestamp <= std.egress_global_timestamp
            && std.egress_global_timestamp < 0xffffffffffff
            && (bit<32>)std.ingress_global_timestamp <= std.enq_timestamp
            && std.deq_timedelta < 1000000;
        hdr.frame.b = ordered ? 8w1 : 0;
        hdr.frame.d[31:16] = (bit<16>)std.egress_port;
        hdr.frame.d[15:8] = (bit<8>)std.packet_length;
        hdr.frame.d[7:4] = (bit<4>)std.enq_qdepth + (bit<4>)std.deq_qdepth;
        hdr.frame.d[3:0] = (bit<4>)std.instance_type;
    }
}

#include "end.p4"
