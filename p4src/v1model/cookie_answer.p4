// SPDX-License-Identifier: Apache-2.0
// The SYN/ACK that answers a SYN: the cookie as sequence number, and of the options that the client offered those which the
// service has too. Addresses, lengths and checksums follow in own.p4.
#ifndef SYNCLINE_COOKIE_ANSWER_P4
#define SYNCLINE_COOKIE_ANSWER_P4

control CookieAnswer(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    bit<1> stamped;

    action write_syn_ack() {
        hdr.tcp.sequence = meta.cookie;
        hdr.tcp.acknowledgment = meta.claims.isn + 1;  // data in the SYN is not taken
        hdr.tcp.syn = 1;
        hdr.tcp.ack = 1;
        hdr.tcp.window = meta.service.window;
        hdr.mss.setValid();
        hdr.mss.kind = OPTION_MSS;
        hdr.mss.length = 4;
        hdr.mss.mss = meta.service.mss;
        meta.own = 1;
        meta.step = STEP_ROUTE;
        meta.event = EVENT_SYN_ANSWERED;
    }

    action write_sack_permitted() {
        hdr.sack_permitted.setValid();
        hdr.sack_permitted.kind = OPTION_SACK_PERMITTED;
        hdr.sack_permitted.length = 2;
    }

    // Our clock ticks every 512 microseconds: when a tuple is used again it must be beyond the timestamps that the last
    // connection's server sent meanwhile, and Linux's tick every 1000.
    action write_timestamps() {
        hdr.timestamps.setValid();
        hdr.timestamps.kind = OPTION_TIMESTAMPS;
        hdr.timestamps.length = 10;
        hdr.timestamps.value = standard_metadata.ingress_global_timestamp[40:9];
        hdr.timestamps.echo = meta.parsed.timestamp;
    }

    action write_window_scale() {
        hdr.window_scale.setValid();
        hdr.window_scale.nop = OPTION_NOP;
        hdr.window_scale.kind = OPTION_WINDOW_SCALE;
        hdr.window_scale.length = 3;
        hdr.window_scale.shift = meta.service.window_scale;
    }

    action write_padding() {
        hdr.padding.setValid();
        hdr.padding.nops = NOP_NOP;
    }

    apply {
        stamped = meta.parsed.timestamps & meta.service.timestamps;
        write_syn_ack();
        if (meta.claims.sack == 1) {
            write_sack_permitted();
        }
        if (stamped == 1) {
            write_timestamps();
        }
        if (meta.claims.sack != stamped) {
            write_padding();
        }
        if (meta.claims.window_scale != COOKIE_SCALE_NONE) {
            write_window_scale();
        }
    }
}

#endif
