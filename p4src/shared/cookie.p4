// SPDX-License-Identifier: Apache-2.0
// The cookie: HalfSipHash-2-4 with 32-bit output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", and its
// reference implementation's halfsiphash.c), over 32-bit words that say what the client claimed: six for IPv4, twelve for IPv6.
//
// The state travels in a struct and every step is a control of its own, so that a target which cannot do eighteen rounds in
// one pass can stop after any step, carry the state in a header, and go on in the next pass.
//
// p4c propagates copies into expressions, and would make one of all eighteen rounds, growing without bound, but for this:
// every assignment to the state reads what it writes; the state is opaque where the first round begins, that is written by a
// table's action or under an `if` that has ended; and a step is called with the same arguments every time (else p4c copies
// the state in and out), hence `word`.
#ifndef SYNCLINE_COOKIE_P4
#define SYNCLINE_COOKIE_P4

struct sip_state_t {
    bit<32> v0;
    bit<32> v1;
    bit<32> v2;
    bit<32> v3;
    bit<32> word;  // of the message, to be absorbed next
}

// What a cookie vouches for. k = parity(1) | mss_index(3) | window_scale(4) | sack(1) | mac(23).
struct cookie_t {
    bit<32> epoch;
    bit<1>  ipv6;          // the addresses are in `client_v6` and `server_v6`
    bit<32> client;
    bit<32> server;
    bit<128> client_v6;
    bit<128> server_v6;
    bit<16> client_port;
    bit<16> server_port;
    bit<32> isn;           // the client's
    bit<1>  parity;        // of the epoch
    bit<3>  mss_index;
    bit<4>  window_scale;  // 15: none
    bit<1>  sack;
}

void sip_start(out sip_state_t s, in bit<32> k0, in bit<32> k1) {
    s.v0 = k0;
    s.v1 = k1;
    s.v2 = k0 ^ 0x6c796765;
    s.v3 = k1 ^ 0x74656462;
    s.word = 0;
}

control SipRound(inout sip_state_t s) {
    apply {
        s.v0 = s.v0 + s.v1;
        s.v1 = (s.v1 << 5) | (s.v1 >> 27);
        s.v1 = s.v1 ^ s.v0;
        s.v0 = (s.v0 << 16) | (s.v0 >> 16);
        s.v2 = s.v2 + s.v3;
        s.v3 = (s.v3 << 8) | (s.v3 >> 24);
        s.v3 = s.v3 ^ s.v2;
        s.v0 = s.v0 + s.v3;
        s.v3 = (s.v3 << 7) | (s.v3 >> 25);
        s.v3 = s.v3 ^ s.v0;
        s.v2 = s.v2 + s.v1;
        s.v1 = (s.v1 << 13) | (s.v1 >> 19);
        s.v1 = s.v1 ^ s.v2;
        s.v2 = (s.v2 << 16) | (s.v2 >> 16);
    }
}

// One word of the message. The last is the message's length in bytes << 24 (for a message of whole words).
control SipAbsorb(inout sip_state_t s) {
    SipRound() sip_round;

    apply {
        s.v3 = s.v3 ^ s.word;
        sip_round.apply(s);
        sip_round.apply(s);
        s.v0 = s.v0 ^ s.word;
    }
}

control SipFinish(inout sip_state_t s, out bit<32> mac) {
    SipRound() sip_round;

    apply {
        s.v2 = s.v2 ^ 0xff;
        sip_round.apply(s);
        sip_round.apply(s);
        sip_round.apply(s);
        sip_round.apply(s);
        mac = s.v1 ^ s.v3;
    }
}

// The largest entry of the MSS table that is no larger than what the client announced.
control MssToIndex(in bit<16> mss, out bit<3> index) {
    apply {
        if (mss >= 8960) {
            index = 7;
        } else if (mss >= 1460) {
            index = 6;
        } else if (mss >= 1440) {
            index = 5;
        } else if (mss >= 1400) {
            index = 4;
        } else if (mss >= 1300) {
            index = 3;
        } else if (mss >= 1220) {
            index = 2;
        } else if (mss >= 536) {
            index = 1;
        } else {
            index = 0;
        }
    }
}

control IndexToMss(in bit<3> index, out bit<16> mss) {
    apply {
        if (index == 7) {
            mss = 8960;
        } else if (index == 6) {
            mss = 1460;
        } else if (index == 5) {
            mss = 1440;
        } else if (index == 4) {
            mss = 1400;
        } else if (index == 3) {
            mss = 1300;
        } else if (index == 2) {
            mss = 1220;
        } else if (index == 1) {
            mss = 536;
        } else {
            mss = 88;
        }
    }
}

// The initial sequence number that the client sees, `cookie`, for what `claims` says. `s` has been started with the key.
control MakeCookie(inout sip_state_t s, in cookie_t claims, out bit<32> cookie) {
    SipAbsorb() absorb;
    SipFinish() finish;
    bit<32> mac;

    apply {
        if (claims.ipv6 == 1) {
            s.word = claims.client_v6[127:96];
            absorb.apply(s);
            s.word = claims.client_v6[95:64];
            absorb.apply(s);
            s.word = claims.client_v6[63:32];
            absorb.apply(s);
            s.word = claims.client_v6[31:0];
            absorb.apply(s);
            s.word = claims.server_v6[127:96];
            absorb.apply(s);
            s.word = claims.server_v6[95:64];
            absorb.apply(s);
            s.word = claims.server_v6[63:32];
            absorb.apply(s);
            s.word = claims.server_v6[31:0];
        } else {
            s.word = claims.client;
            absorb.apply(s);
            s.word = claims.server;
        }
        absorb.apply(s);
        s.word = claims.client_port ++ claims.server_port;
        absorb.apply(s);
        s.word = claims.isn;
        absorb.apply(s);
        s.word = claims.epoch;
        absorb.apply(s);
        s.word = 24w0 ++ claims.mss_index ++ claims.window_scale ++ claims.sack;
        absorb.apply(s);
        if (claims.ipv6 == 1) {
            s.word = 0x30000000;
        } else {
            s.word = 0x18000000;
        }
        absorb.apply(s);
        finish.apply(s, mac);
        cookie = claims.parity ++ claims.mss_index ++ claims.window_scale ++ claims.sack ++ mac[22:0];
    }
}

#endif
