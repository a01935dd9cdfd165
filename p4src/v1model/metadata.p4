// SPDX-License-Identifier: Apache-2.0
// What the stages tell each other about a packet.
#ifndef SYNCLINE_METADATA_P4
#define SYNCLINE_METADATA_P4

// Where a packet stands. A stage acts on the packets whose step is its own and moves them on, always downwards.
typedef bit<4> step_t;
const step_t STEP_PROXY = 0;        // to be looked at as TCP of a protected service
const step_t STEP_NEIGHBOUR = 1;    // to be looked at as ARP or neighbour discovery
const step_t STEP_ANSWER = 2;       // a SYN that gets a cookie
const step_t STEP_CHECK = 3;        // an ACK whose cookie is to be checked
const step_t STEP_PUNT = 4;         // to the controller, as it arrived; `punt_reason` says why
const step_t STEP_TRANSLATE = 5;    // a packet of a session
const step_t STEP_ACKNOWLEDGE = 6;  // a server's repeated SYN/ACK, which the switch answers
const step_t STEP_RESET = 7;        // an ACK with a wrong cookie, which the switch answers
const step_t STEP_QUOTED = 8;       // an ICMP error that quotes a packet of a session
const step_t STEP_ROUTE = 9;        // to be routed by its destination
const step_t STEP_DONE = 10;        // the egress port stands
const step_t STEP_DROP = 11;        // `drop_reason` says why

typedef bit<2> direction_t;
const direction_t NOT_PROXIED = 0;
const direction_t TO_SERVER = 1;
const direction_t TO_CLIENT = 2;

// What the parser found besides headers.
struct parsed_t {
    bit<16> ethertype;     // behind the tag, if there is one
    bit<32> link_bytes;    // Ethernet header and tag
    bit<8>  protocol;      // of IPv6: what follows the extension headers, as far as they were walked
    bit<1>  fragment;      // IPv6: a part of a datagram
    bit<1>  obscured;      // IPv6: there may be TCP behind headers that were not walked
    bit<1>  ip_malformed;
    bit<1>  tcp_malformed;
    bit<1>  neighbour_malformed;
    bit<1>  source_mac;    // a neighbour solicitation names its sender's
    bit<32> neighbour_sum; // plain sum of a neighbour solicitation's options
    bit<16> tcp_bytes;     // TCP header, options and payload, without Ethernet's padding
    bit<16> option_bytes;
    bit<32> option_sum;    // plain sum of the option area's 16-bit words, at most 20 of them
    bit<16> mss;           // 0: not offered
    bit<1>  has_window_scale;
    bit<8>  window_scale;  // as it came, even above 14
    bit<1>  sack_permitted;
    bit<1>  timestamps;
    bit<32> timestamp;       // TSval
    bit<32> timestamp_echo;  // TSecr
    bit<3>  sack_blocks;     // 0: no SACK option
    bit<32> left_1;
    bit<32> right_1;
    bit<32> left_2;
    bit<32> right_2;
    bit<32> left_3;
    bit<32> right_3;
    bit<32> left_4;
    bit<32> right_4;
}

// Whom the TCP segment is from and to: the packet's, or the one that an ICMP error quotes.
struct ends_t {
    bit<32>  source;
    bit<32>  destination;
    bit<128> source_v6;
    bit<128> destination_v6;
    bit<16>  source_port;
    bit<16>  destination_port;
}

// The protected service that a packet belongs to.
struct service_t {
    bit<16> id;
    bit<16> mss;
    bit<8>  window_scale;  // 15: the service has none
    bit<1>  sack;
    bit<1>  timestamps;
    bit<16> window;
    bit<1>  reset_unknown;
    bit<8>  mode;
    bit<1>  lenient;
}

// The connection that a packet belongs to, and how its two sequence spaces differ.
struct session_t {
    bit<32>  client;          // with IPv6, behind the look-up, what folding leaves of client_v6
    bit<32>  server;
    bit<128> client_v6;
    bit<128> server_v6;
    bit<16> client_port;
    bit<16> server_port;
    bit<16> folded;           // client and ports: the cell of a register
    bit<1>  known;
    bit<8>  phase;
    bit<32> delta;            // k - r
    bit<32> tau;              // T_p - T_s
    bit<8>  to_client_shift;  // low four bits: how far; 0x80: to the right
    bit<8>  to_server_shift;  // the same; 0x40: `reused`
    bit<1>  reused;           // the tuple had another one a moment before
    bit<32> version;
    bit<32> isn;              // x
    bit<32> cookie;           // k
}

struct metadata_t {
    step_t      step;
    bit<8>      drop_reason;
    bit<8>      event;
    bit<8>      punt_reason;
    bit<16>     punt_number;   // packet_in.number
    bit<9>      ingress_port;  // where the packet arrived, or is said to have arrived
    bit<1>      injected;      // the controller sends it
    bit<16>     release;       // packet_out.release
    bit<1>      may_wait;      // a client's: perhaps of a flow that was proven a moment ago, or in its place
    bit<1>      doubtful;      // on an open session, but perhaps of its tuple's next connection
    bit<1>      anew;          // a SYN in the place of such a flow, or its RST
    bit<48>     arrived;       // when, in microseconds
    bit<32>     frame_bytes;   // how long the frame is
    bit<1>      cut;           // what is behind them is not of the frame
    bit<1>      own;           // made by the switch: its TTL is not decremented
    direction_t direction;
    parsed_t    parsed;
    ends_t      ends;
    service_t   service;
    session_t   session;
    bit<32>     k0;            // the cookie key of the epoch concerned
    bit<32>     k1;
    sip_state_t sip;
    cookie_t    claims;        // what the cookie to be made, or to be checked, vouches for
    bit<32>     cookie;        // the right cookie for these claims
    bit<32>     next_hop;
    bit<128>    next_hop_v6;
    bit<9>      egress_port;
}

// Reported when a session packet carries it, with the version of the entry that it met: a tuple may soon be used again, and a
// report come late. The name is the digest's name in P4Info.
struct session_event_t {
    bit<32> client;
    bit<32> server;
    bit<16> client_port;
    bit<16> server_port;
    bit<8>  event;
    bit<32> version;
}

struct session_event_v6_t {
    bit<128> client;
    bit<128> server;
    bit<16>  client_port;
    bit<16>  server_port;
    bit<8>   event;
    bit<32>  version;
}

#endif
