// SPDX-License-Identifier: Apache-2.0
// Flows that were proven a moment ago, and whose session is being opened. A client's first flight may be several segments,
// of which only the first can prove anything: the others follow too fast for any table to know of it. They go to the controller
// as well, which queues them behind the first. No RST must answer them, and no closing session of the same tuple translate them.
//
// The flow stays here when its session is open, until the controller sends the first of the packets that it holds: nothing
// overtakes that one. It completes the server's handshake, and a server that keeps no state for it (SYN cookies) would answer
// any other segment with RST.
//
// One cell per hash of the tuple, the last flow wins. A forgotten flow is treated as any unproven one.
#ifndef SYNCLINE_PENDING_P4
#define SYNCLINE_PENDING_P4

control Pending(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    register<bit<64>>(PENDING_SIZE) pending;
    bit<64> flow;    // time, client, client's port
    bit<32> client;  // its address, or what folding leaves of it
    bit<32> server;
    bit<16> cell;
    bit<16> now;
    bit<16> age;

    apply {
        if (hdr.ipv6.isValid()) {
            client = meta.session.client_v6[127:96] ^ meta.session.client_v6[95:64] ^ meta.session.client_v6[63:32]
                     ^ meta.session.client_v6[31:0];
            server = meta.session.server_v6[127:96] ^ meta.session.server_v6[95:64] ^ meta.session.server_v6[63:32]
                     ^ meta.session.server_v6[31:0];
        } else {
            client = meta.session.client;
            server = meta.session.server;
        }
        // A hash of PENDING_SIZE values that costs next to nothing: each segment to a server takes it.
        cell = client[31:16] ^ client[15:0] ^ meta.session.client_port
               ^ server[31:16] ^ server[15:0] ^ meta.session.server_port;
        now = standard_metadata.ingress_global_timestamp[35:20];
        if (meta.step == STEP_PUNT) {
            pending.write((bit<32>)cell, now ++ client ++ meta.session.client_port);
        } else {
            pending.read(flow, (bit<32>)cell);
            age = now - flow[63:48];
            if (age >= PENDING_TICKS || flow[47:16] != client || flow[15:0] != meta.session.client_port) {
                // Not pending.
            } else if (meta.step == STEP_TRANSLATE && meta.session.phase == PHASE_OPEN
                       && standard_metadata.ingress_port == CPU_PORT) {
                pending.write((bit<32>)cell, 0);  // released
            } else {
                meta.step = STEP_PUNT;
                meta.punt_reason = PUNT_FOLLOWING;
                meta.event = EVENT_FOLLOWING_PUNTED;
            }
        }
    }
}

#endif

