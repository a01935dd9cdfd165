// SPDX-License-Identifier: Apache-2.0
// What the cookie has to be: for a SYN, that which the answer will carry; for an ACK, that which it ought to bring back.
#ifndef SYNCLINE_V1MODEL_COOKIE_P4
#define SYNCLINE_V1MODEL_COOKIE_P4

control Cookie(inout headers_t hdr, inout metadata_t meta) {
    MssToIndex() mss_to_index;
    MakeCookie() make_cookie;
    bit<32> returned;  // the cookie that an ACK brings back
    bit<16> mss;

    action drop_no_key() {
        meta.step = STEP_DROP;
        meta.drop_reason = DROP_NO_KEY;
    }

    action set_epoch(bit<1> parity) {
        meta.claims.parity = parity;
    }

    action no_epoch() {
        drop_no_key();
    }

    // No key: its one entry is the default entry, which the controller sets.
    table cookie_epoch {
        actions = {
            set_epoch;
            no_epoch;
        }
        default_action = no_epoch();
        size = 1;
    }

    action set_key(bit<32> k0, bit<32> k1, bit<32> epoch) {
        meta.k0 = k0;
        meta.k1 = k1;
        meta.claims.epoch = epoch;
        sip_start(meta.sip, k0, k1);
    }

    table cookie_keys {
        key = {
            meta.claims.parity : exact @name("parity");
        }
        actions = {
            set_key;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = COOKIE_KEYS_SIZE;
    }

    apply {
        if (hdr.ipv6.isValid()) {
            meta.claims.ipv6 = 1;
            meta.claims.client_v6 = meta.session.client_v6;
            meta.claims.server_v6 = meta.session.server_v6;
        } else {
            meta.claims.client = meta.session.client;
            meta.claims.server = meta.session.server;
        }
        meta.claims.client_port = meta.session.client_port;
        meta.claims.server_port = meta.session.server_port;

        if (meta.step == STEP_ANSWER) {
            cookie_epoch.apply();
            meta.claims.isn = hdr.tcp.sequence;
            mss = MSS_DEFAULT;
            if (meta.parsed.mss != 0) {
                mss = meta.parsed.mss;
            } else if (hdr.ipv6.isValid()) {
                mss = MSS_DEFAULT_V6;
            }
            mss_to_index.apply(mss, meta.claims.mss_index);
            meta.claims.window_scale = COOKIE_SCALE_NONE;
            if (meta.parsed.has_window_scale == 1 && meta.service.window_scale != WINDOW_SCALE_NONE) {
                meta.claims.window_scale = COOKIE_SCALE_MAX;
                if (meta.parsed.window_scale < WINDOW_SCALE_MAX) {
                    meta.claims.window_scale = meta.parsed.window_scale[3:0];
                }
            }
            meta.claims.sack = meta.parsed.sack_permitted & meta.service.sack;
        } else {
            returned = hdr.tcp.acknowledgment - 1;
            meta.claims.isn = hdr.tcp.sequence - 1;
            meta.claims.parity = returned[31:31];
            meta.claims.mss_index = returned[30:28];
            meta.claims.window_scale = returned[27:24];
            meta.claims.sack = returned[23:23];
        }

        if (meta.step != STEP_DROP) {
            if (cookie_keys.apply().hit) {
                make_cookie.apply(meta.sip, meta.claims, meta.cookie);
            } else if (meta.step == STEP_CHECK && meta.session.known == 1) {
                meta.step = STEP_TRANSLATE;  // a closing session needs no key to go on closing
            } else if (meta.step == STEP_CHECK && meta.service.lenient == 1) {
                meta.step = STEP_ROUTE;
            } else {
                drop_no_key();
            }
        }
    }
}

#endif
