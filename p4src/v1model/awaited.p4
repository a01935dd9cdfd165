// SPDX-License-Identifier: Apache-2.0
// Sessions that began a moment ago, at the switch where the server's SYN/ACK came. When the server repeats it while the session is
// written to the other switches, this one may have it already: but it must not acknowledge it, for then the server could speak
// before the others know the session. The controller knows whether they do, so it is asked, and acknowledges it itself.
//
// One cell per hash of the tuple, the last SYN/ACK wins. One that is forgotten is acknowledged here.
#ifndef SYNCLINE_AWAITED_P4
#define SYNCLINE_AWAITED_P4

control Awaited(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    register<bit<64>>(PENDING_SIZE) awaited;
    bit<64> flow;    // time, client, client's port
    bit<32> client;  // its address, or what folding leaves of it
    bit<16> cell;
    bit<16> now;
    bit<16> age;

    apply {
        client = meta.session.client;
        if (hdr.ipv6.isValid()) {
            client = meta.session.client_v6[127:96] ^ meta.session.client_v6[95:64] ^ meta.session.client_v6[63:32]
                     ^ meta.session.client_v6[31:0];
        }
        cell = client[31:16] ^ client[15:0] ^ meta.session.client_port ^ meta.session.server_port;
        now = standard_metadata.ingress_global_timestamp[31:16];
        if (meta.step == STEP_PUNT) {
            awaited.write((bit<32>)cell, now ++ client ++ meta.session.client_port);
        } else {
            awaited.read(flow, (bit<32>)cell);
            age = now - flow[63:48];
            if (age < PENDING_TICKS && flow[47:16] == client && flow[15:0] == meta.session.client_port) {
                meta.step = STEP_PUNT;
                meta.punt_reason = PUNT_SERVER_SYNACK;
                meta.event = EVENT_SERVER_SYNACK_PUNTED;
            }
        }
    }
}

#endif
