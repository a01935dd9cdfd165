// SPDX-License-Identifier: Apache-2.0
// Sessions of a tuple that is used again (the controller marks them, for a minute). Late segments of the last connection may still be
// under way, anywhere, and the new session's numbers are none of theirs. The entry says where both sides' numbers begin, so every
// switch can tell, whatever it saw of the handshake: a segment whose numbers are not a little way behind those is dropped. What a
// RST acknowledges is not looked at, for stacks differ in what they write there; nor the number of a RST with an acknowledgment
// from the server, for it may be zero.
//
// Numbers come round. So nothing is looked for any more at a switch that has seen the connection move on; and only so many are
// dropped in a row, for it may have moved on elsewhere, and must not stall when it comes here. One cell per hash of the tuple
// remembers either, the last session wins; Delta tells it from the tuple's next one.
#ifndef SYNCLINE_REUSED_P4
#define SYNCLINE_REUSED_P4

control Reused(in headers_t hdr, inout metadata_t meta) {
    register<bit<32>>(PENDING_SIZE) reused;
    bit<32> seen;     // whose, how many were dropped in a row
    bit<28> whose;
    bit<4>  dropped;
    bit<32> client;   // how far the client's number is behind the ISN,
    bit<32> server;   // and the server's behind its own

    apply {
        client = 0;
        server = 0;
        if (meta.direction == TO_SERVER) {
            client = hdr.tcp.sequence - meta.session.isn;
            if (hdr.tcp.ack == 1 && hdr.tcp.rst == 0) {
                server = hdr.tcp.acknowledgment - meta.session.cookie;
            }
        } else {
            if (hdr.tcp.ack == 1) {
                client = hdr.tcp.acknowledgment - meta.session.isn;
            }
            if (hdr.tcp.ack == 0 || hdr.tcp.rst == 0) {
                server = hdr.tcp.sequence + meta.session.delta - meta.session.cookie;
            }
        }
        whose = meta.session.client[27:0] ^ (meta.session.client_port ++ 12w0) ^ meta.session.delta[27:0];
        reused.read(seen, (bit<32>)meta.session.folded);
        dropped = 0;
        if (seen[31:4] == whose) {
            dropped = seen[3:0];
        }
        if (dropped != REUSED_OVER) {
            if (client < REUSED_SPAN && server < REUSED_SPAN) {
                if (client >= REUSED_SPAN / 2 || server >= REUSED_SPAN / 2) {
                    reused.write((bit<32>)meta.session.folded, whose ++ REUSED_OVER);
                } else if (dropped != 0) {
                    reused.write((bit<32>)meta.session.folded, whose ++ 4w0);
                }
            } else {
                reused.write((bit<32>)meta.session.folded, whose ++ (dropped + 1));
                meta.step = STEP_DROP;
                meta.drop_reason = DROP_LAST_CONNECTION;
            }
        }
    }
}

#endif
