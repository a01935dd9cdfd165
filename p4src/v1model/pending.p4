// SPDX-License-Identifier: Apache-2.0
// Flows that were proven a moment ago, and whose session is being opened. A client's first flight may be several segments,
// of which only the first can prove anything: the others follow too fast for any table to know of it. They go to the controller
// as well, which queues them behind the first. No RST must answer them, and no closing session of the same tuple translate them.
//
// One cell per hash of the tuple, the last flow wins. A forgotten flow is treated as any unproven one.
#ifndef SYNCLINE_PENDING_P4
#define SYNCLINE_PENDING_P4

control Pending(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    register<bit<64>>(PENDING_SIZE) pending;
    bit<32> cell;
    bit<64> flow;    // time, client, client's port
    bit<32> client;  // its address, or a hash of it
    bit<16> now;
    bit<16> age;

    apply {
        client = meta.session.client;
        if (hdr.ipv6.isValid()) {
            hash(client, HashAlgorithm.crc32, 32w0, { meta.session.client_v6, meta.session.server_v6 },
                 33w0x100000000);
        }
        hash(cell, HashAlgorithm.crc16, 32w0,
             { client, meta.session.server, meta.session.client_port, meta.session.server_port },
             (bit<32>)PENDING_SIZE);
        now = standard_metadata.ingress_global_timestamp[35:20];
        if (meta.step == STEP_PUNT) {
            pending.write(cell, now ++ client ++ meta.session.client_port);
        } else {
            pending.read(flow, cell);
            age = now - flow[63:48];
            if (age < PENDING_TICKS && flow[47:16] == client && flow[15:0] == meta.session.client_port) {
                meta.step = STEP_PUNT;
                meta.punt_reason = PUNT_FOLLOWING;
                meta.event = EVENT_FOLLOWING_PUNTED;
            }
        }
    }
}

#endif
