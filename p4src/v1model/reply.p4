// SPDX-License-Identifier: Apache-2.0
// The two other segments that the switch makes itself. Addresses, lengths and checksums follow in own.p4.
#ifndef SYNCLINE_REPLY_P4
#define SYNCLINE_REPLY_P4

control Reply(inout headers_t hdr, inout metadata_t meta) {
    // The server repeats its SYN/ACK because the ACK was lost. The client has long had its own SYN/ACK.
    action acknowledge() {
        meta.cookie = hdr.tcp.sequence + 1;
        hdr.tcp.sequence = hdr.tcp.acknowledgment;
        hdr.tcp.acknowledgment = meta.cookie;
        hdr.tcp.syn = 0;
        hdr.tcp.ack = 1;
        hdr.tcp.window = ACKNOWLEDGING_WINDOW;
        meta.own = 1;
        meta.step = STEP_ROUTE;
        meta.event = EVENT_SYNACK_ACKNOWLEDGED;
    }

    action echo_timestamps() {
        hdr.padding.setValid();
        hdr.padding.nops = NOP_NOP;
        hdr.timestamps.setValid();
        hdr.timestamps.kind = OPTION_TIMESTAMPS;
        hdr.timestamps.length = 10;
        hdr.timestamps.value = meta.parsed.timestamp_echo;
        hdr.timestamps.echo = meta.parsed.timestamp;
    }

    // RFC 9293, section 3.10.7.1: an unacceptable ACK gets <SEQ=SEG.ACK><CTL=RST>.
    action reset() {
        hdr.tcp.sequence = hdr.tcp.acknowledgment;
        hdr.tcp.acknowledgment = 0;
        hdr.tcp.syn = 0;
        hdr.tcp.ack = 0;
        hdr.tcp.rst = 1;
        hdr.tcp.window = 0;
        meta.own = 1;
        meta.step = STEP_ROUTE;
        meta.event = EVENT_RESET_SENT;
    }

    apply {
        if (meta.step == STEP_ACKNOWLEDGE) {
            acknowledge();
            if (meta.parsed.timestamps == 1) {
                echo_timestamps();
            }
        } else {
            reset();
        }
    }
}

#endif
