// SPDX-License-Identifier: Apache-2.0
// Sessions of a tuple that is used again (the controller marks them). Late segments of the last connection may still be under way,
// and the new session's numbers are none of theirs. A segment is told by the client's numbers, which are never translated: all of the
// connection's begin at the ISN of which the switch heard when the client proved itself here, or the server answered here.
//
// Only for a minute, and only until the connection has moved on: then the numbers may come round. And only so many in a row: a
// connection that has moved on elsewhere must not stall when it comes here again. One cell per hash of the tuple, the last one wins;
// what is forgotten is translated, and what comes out is as far out of either end's window as it would be without a proxy.
#ifndef SYNCLINE_REUSED_P4
#define SYNCLINE_REUSED_P4

control Reused(in headers_t hdr, inout metadata_t meta) {
    register<bit<64>>(PENDING_SIZE) reused;
    bit<64> flow;    // since when, how many were dropped in a row, whose, the client's ISN
    bit<12> whose;
    bit<16> now;
    bit<16> age;
    bit<4>  dropped;
    bit<32> beyond;  // the ISN

    apply {
        whose = meta.session.client[11:0] ^ meta.session.client_port[11:0];
        now = meta.arrived[31:16];
        if (meta.step == STEP_PUNT) {
            beyond = meta.claims.isn;
            if (meta.direction == TO_CLIENT) {
                beyond = hdr.tcp.acknowledgment - 1;
            }
            reused.write((bit<32>)meta.session.folded, now ++ 4w0 ++ whose ++ beyond);
        } else {
            reused.read(flow, (bit<32>)meta.session.folded);
            age = now - flow[63:48];
            dropped = flow[47:44];
            if (meta.direction == TO_CLIENT) {
                beyond = hdr.tcp.acknowledgment - flow[31:0];
            } else {
                beyond = hdr.tcp.sequence - flow[31:0];
            }
            if (flow != 0 && flow[43:32] == whose && age < REUSED_TICKS) {
                if (beyond < REUSED_SPAN) {
                    if (beyond >= REUSED_SPAN / 2) {
                        reused.write((bit<32>)meta.session.folded, 0);
                    } else if (dropped != 0) {
                        reused.write((bit<32>)meta.session.folded, flow[63:48] ++ 4w0 ++ flow[43:0]);
                    }
                } else if (dropped == 15) {
                    reused.write((bit<32>)meta.session.folded, 0);
                } else {
                    reused.write((bit<32>)meta.session.folded, flow[63:48] ++ (dropped + 1) ++ flow[43:0]);
                    meta.step = STEP_DROP;
                    meta.drop_reason = DROP_LAST_CONNECTION;
                }
            }
        }
    }
}

#endif
