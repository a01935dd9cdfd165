// SPDX-License-Identifier: Apache-2.0
// Sessions that began a moment ago, at the switch where the server's SYN/ACK came. When the server repeats it while the session is
// written to the other switches, this one may have it already: but it must not acknowledge it, for then the server could speak
// before the others know the session. The controller knows whether they do, so it is asked, and acknowledges it itself.
//
// One cell per hash of the tuple, the last SYN/ACK wins. One that is forgotten is acknowledged here.
#ifndef SYNCLINE_AWAITED_P4
#define SYNCLINE_AWAITED_P4

control Awaited(inout metadata_t meta, in standard_metadata_t standard_metadata) {
    register<bit<64>>(PENDING_SIZE) awaited;
    bit<64> flow;    // time, client, client's port
    bit<16> now;
    bit<16> age;

    apply {
        now = standard_metadata.ingress_global_timestamp[31:16];
        if (meta.step == STEP_PUNT) {
            awaited.write((bit<32>)meta.session.folded, now ++ meta.session.client ++ meta.session.client_port);
        } else {
            awaited.read(flow, (bit<32>)meta.session.folded);
            age = now - flow[63:48];
            if (age < PENDING_TICKS && flow[47:16] == meta.session.client && flow[15:0] == meta.session.client_port) {
                meta.step = STEP_PUNT;
                meta.punt_reason = PUNT_SERVER_SYNACK;
                meta.event = EVENT_SERVER_SYNACK_PUNTED;
            }
        }
    }
}

#endif
