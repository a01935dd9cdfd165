// SPDX-License-Identifier: Apache-2.0
// The cookie: HalfSipHash-2-4 with 32-bit output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", and its
// reference implementation's halfsiphash.c), over six 32-bit words that say what the client claimed.
//
// The state travels in a struct and every step is a function of its own, so that a target which cannot do eighteen
// rounds in one pass can stop after any step, carry the state in a header, and go on in the next pass.
#ifndef SYNCLINE_COOKIE_P4
#define SYNCLINE_COOKIE_P4

struct sip_state_t {
    bit<32> v0;
    bit<32> v1;
    bit<32> v2;
    bit<32> v3;
}

// What a cookie vouches for. k = parity(1) | mss_index(3) | window_scale(4) | sack(1) | mac(23).
struct cookie_t {
    bit<32> k0;
    bit<32> k1;
    bit<32> epoch;
    bit<32> client;
    bit<32> server;
    bit<16> client_port;
    bit<16> server_port;
    bit<32> isn;           // the client's
    bit<1>  parity;        // of the epoch
    bit<3>  mss_index;
    bit<4>  window_scale;  // 15: none
    bit<1>  sack;
}

void sip_round(inout sip_state_t s) {
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

void sip_start(out sip_state_t s, in bit<32> k0, in bit<32> k1) {
    s.v0 = k0;
    s.v1 = k1;
    s.v2 = k0 ^ 0x6c796765;
    s.v3 = k1 ^ 0x74656462;
}

void sip_absorb(inout sip_state_t s, in bit<32> word) {
    s.v3 = s.v3 ^ word;
    sip_round(s);
    sip_round(s);
    s.v0 = s.v0 ^ word;
}

// After the last block, which is the message's length in bytes << 24 (for whole words).
void sip_finish(inout sip_state_t s, out bit<32> mac) {
    s.v2 = s.v2 ^ 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    sip_round(s);
    mac = s.v1 ^ s.v3;
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

// The initial sequence number that the client sees, `cookie`, for what `c` says.
control MakeCookie(in cookie_t c, out bit<32> cookie) {
    sip_state_t s;
    bit<32> mac;

    apply {
        sip_start(s, c.k0, c.k1);
        sip_absorb(s, c.client);
        sip_absorb(s, c.server);
        sip_absorb(s, c.client_port ++ c.server_port);
        sip_absorb(s, c.isn);
        sip_absorb(s, c.epoch);
        sip_absorb(s, 24w0 ++ c.mss_index ++ c.window_scale ++ c.sack);
        sip_absorb(s, 0x18000000);
        sip_finish(s, mac);
        cookie = c.parity ++ c.mss_index ++ c.window_scale ++ c.sack ++ mac[22:0];
    }
}

#endif
