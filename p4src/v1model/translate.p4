// SPDX-License-Identifier: Apache-2.0
// A session's packet from one sequence space into the other: sequence and acknowledgment numbers, SACK edges, timestamps,
// the window. All mod 2^32.
#ifndef SYNCLINE_TRANSLATE_P4
#define SYNCLINE_TRANSLATE_P4

control Translate(inout headers_t hdr, inout metadata_t meta) {
    RewriteOptions() rewrite_options;
    bit<32> sum;  // of what changes: ~HC, the complements of what goes, and what comes
    bit<8>  shift;
    bit<32> window;
    bit<8>  ending;

    action shift_right() {
        window = window >> (shift & 0x0f);
    }

    action shift_left() {
        window = window << (shift & 0x0f);
    }

    action take_out() {
        sum = (bit<32>)(~hdr.tcp.checksum) + (bit<32>)(~hdr.tcp.window)
              + halves(~hdr.tcp.sequence) + halves(~hdr.tcp.acknowledgment);
    }

    action put_in() {
        sum = sum + (bit<32>)hdr.tcp.window + halves(hdr.tcp.sequence) + halves(hdr.tcp.acknowledgment);
    }

    apply {
        take_out();
        ending = 0;
        if (meta.direction == TO_SERVER) {
            shift = meta.session.to_server_shift;
            meta.event = EVENT_TO_SERVER;
            if (hdr.tcp.ack == 1) {  // else the field means nothing
                hdr.tcp.acknowledgment = hdr.tcp.acknowledgment - meta.session.delta;
                meta.parsed.timestamp_echo = meta.parsed.timestamp_echo - meta.session.tau;
            }
            meta.parsed.left_1 = meta.parsed.left_1 - meta.session.delta;
            meta.parsed.right_1 = meta.parsed.right_1 - meta.session.delta;
            meta.parsed.left_2 = meta.parsed.left_2 - meta.session.delta;
            meta.parsed.right_2 = meta.parsed.right_2 - meta.session.delta;
            meta.parsed.left_3 = meta.parsed.left_3 - meta.session.delta;
            meta.parsed.right_3 = meta.parsed.right_3 - meta.session.delta;
            meta.parsed.left_4 = meta.parsed.left_4 - meta.session.delta;
            meta.parsed.right_4 = meta.parsed.right_4 - meta.session.delta;
            if (hdr.tcp.rst == 1) {
                ending = END_RST_FROM_CLIENT;
            } else if (hdr.tcp.fin == 1) {
                ending = END_FIN_FROM_CLIENT;
            }
        } else {
            shift = meta.session.to_client_shift;
            meta.event = EVENT_TO_CLIENT;
            hdr.tcp.sequence = hdr.tcp.sequence + meta.session.delta;
            meta.parsed.timestamp = meta.parsed.timestamp + meta.session.tau;
            if (hdr.tcp.rst == 1) {
                ending = END_RST_FROM_SERVER;
            } else if (hdr.tcp.fin == 1) {
                ending = END_FIN_FROM_SERVER;
            }
        }

        // RFC 7323, section 2.2: the window of a SYN is never scaled.
        if (hdr.tcp.syn == 0) {
            window = (bit<32>)hdr.tcp.window;
            if (shift[7:7] == 1) {
                shift_right();
            } else {
                shift_left();
            }
            if (window > 0xffff) {
                window = 0xffff;
            }
            hdr.tcp.window = window[15:0];
        }
        put_in();

        // The options of a SYN are the handshake's, and stay as they are.
        if (hdr.tcp.syn == 0 && meta.parsed.option_bytes != 0) {
            rewrite_options.apply(hdr, meta, sum);
        }
        hdr.tcp.checksum = ~fold(sum);

        if (ending != 0 && hdr.ipv6.isValid()) {
            digest<session_event_v6_t>(1, { meta.session.client_v6, meta.session.server_v6,
                                            meta.session.client_port, meta.session.server_port, ending,
                                            meta.session.version });
        } else if (ending != 0) {
            digest<session_event_t>(1, { meta.session.client, meta.session.server, meta.session.client_port,
                                         meta.session.server_port, ending, meta.session.version });
        }
        meta.step = STEP_ROUTE;
    }
}

#endif
