// SPDX-License-Identifier: Apache-2.0
// Whether an ACK brings back the right cookie. Right: the client is proven, and the controller takes over; but a copy of what
// proved the session itself is one of its segments. Wrong: translated if it is a session's, else routed, dropped or reset, as the
// service wants it.
#ifndef SYNCLINE_COOKIE_CHECK_P4
#define SYNCLINE_COOKIE_CHECK_P4

control CookieCheck(inout headers_t hdr, inout metadata_t meta) {
    MakeCookie() make_cookie;
    bit<32> returned;
    bit<16> headers_bytes;
    bit<1>  again;

    apply {
        returned = hdr.tcp.acknowledgment - 1;
        headers_bytes = (bit<16>)TCP_BYTES + meta.parsed.option_bytes;

        // The ACK got lost, and what comes is a keep-alive or a window probe: its sequence number is the ISN itself.
        again = 0;
        if (meta.cookie != returned && meta.parsed.tcp_bytes <= headers_bytes + 1) {
            again = 1;
            meta.claims.isn = hdr.tcp.sequence;
            sip_start(meta.sip, meta.k0, meta.k1);
        }
        if (again == 1) {  // a condition of its own: see shared/cookie.p4
            make_cookie.apply(meta.sip, meta.claims, meta.cookie);
        }

        if (meta.session.known == 1 && returned == meta.session.cookie && meta.claims.isn == meta.session.isn) {
            meta.step = STEP_TRANSLATE;
        } else if (meta.cookie == returned) {
            meta.step = STEP_PUNT;
            meta.punt_reason = PUNT_PROVEN;
            meta.event = EVENT_PROVEN;
        } else if (meta.session.known == 1) {
            meta.step = STEP_TRANSLATE;
        } else if (meta.service.lenient == 1) {
            meta.step = STEP_ROUTE;  // of a connection that is older than the proxy
        } else if (meta.service.reset_unknown == 1) {
            meta.step = STEP_RESET;
        } else {
            meta.step = STEP_DROP;
            meta.drop_reason = DROP_BAD_COOKIE;
        }
    }
}

#endif
