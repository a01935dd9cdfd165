// SPDX-License-Identifier: Apache-2.0
// Numbers from the standards, and the codes that the controller and the switch share.
#ifndef SYNCLINE_CONSTANTS_P4
#define SYNCLINE_CONSTANTS_P4

// --- ports ---------------------------------------------------------------------------------------------------------
const bit<9> CPU_PORT = 510;   // packet-in and packet-out

// --- Ethernet, ARP, IP ----------------------------------------------------------------------------------------------
const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;

const bit<16> ARP_HARDWARE_ETHERNET = 1;
const bit<16> ARP_REQUEST = 1;
const bit<16> ARP_REPLY = 2;

const bit<8> PROTOCOL_ICMP = 1;
const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_ICMPV6 = 58;

// IPv6 extension headers (IANA "IPv6 Extension Header Types"). These the parser walks,
const bit<8> EXTENSION_HOP_BY_HOP = 0;
const bit<8> EXTENSION_ROUTING = 43;
const bit<8> EXTENSION_FRAGMENT = 44;
const bit<8> EXTENSION_DESTINATION = 60;
// and these it does not, though TCP may follow them.
const bit<8> EXTENSION_AUTHENTICATION = 51;
const bit<8> EXTENSION_MOBILITY = 135;
const bit<8> EXTENSION_HIP = 139;
const bit<8> EXTENSION_SHIM6 = 140;
const bit<8> EXTENSION_EXPERIMENT_1 = 253;
const bit<8> EXTENSION_EXPERIMENT_2 = 254;

const bit<3> IPV6_EXTENSIONS_MAX = 4;     // of one packet
const bit<3> QUOTED_EXTENSIONS_MAX = 2;   // of a packet that an ICMP error quotes

// The errors that quote what they are about.
const bit<8> ICMP_UNREACHABLE = 3;
const bit<8> ICMP_SOURCE_QUENCH = 4;
const bit<8> ICMP_TIME_EXCEEDED = 11;
const bit<8> ICMP_PARAMETER_PROBLEM = 12;
const bit<8> ICMPV6_UNREACHABLE = 1;
const bit<8> ICMPV6_TOO_BIG = 2;
const bit<8> ICMPV6_TIME_EXCEEDED = 3;
const bit<8> ICMPV6_PARAMETER_PROBLEM = 4;

const bit<8> ICMPV6_NEIGHBOUR_SOLICITATION = 135;
const bit<8> ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136;
const bit<8> NEIGHBOUR_TARGET_MAC = 2;
const bit<48> ALL_NODES_MAC = 0x333300000001;
const bit<128> ALL_NODES = 0xff020000000000000000000000000001;           // ff02::1
const bit<104> SOLICITED_NODES = 0xff0200000000000000000001ff;           // ff02::1:ff00:0/104
const bit<8> NEIGHBOUR_HOP_LIMIT = 255;  // RFC 4861, section 7.1.1

const bit<32> ETHERNET_BYTES = 14;
const bit<32> VLAN_BYTES = 4;
const bit<32> IPV4_BYTES = 20;
const bit<32> ARP_BYTES = 28;
const bit<32> IPV6_BYTES = 40;
const bit<32> NEIGHBOUR_BYTES = 24;      // ICMPv6 header, flags and target
const bit<32> NEIGHBOUR_MAC_BYTES = 8;
const bit<32> TCP_BYTES = 20;
const bit<32> ICMP_ERROR_BYTES = 8;   // before the quoted datagram
const bit<32> QUOTED_TCP_BYTES = 8;   // the least
const bit<32> PACKET_IN_BYTES = 15;
const bit<32> PACKET_OUT_BYTES = 5;

const bit<8> OWN_TTL = 64;  // of packets that the switch makes itself

// --- TCP options (IANA "TCP Option Kind Numbers") -------------------------------------------------------------------
const bit<8> OPTION_END = 0;
const bit<8> OPTION_NOP = 1;
const bit<8> OPTION_MSS = 2;
const bit<8> OPTION_WINDOW_SCALE = 3;
const bit<8> OPTION_SACK_PERMITTED = 4;
const bit<8> OPTION_SACK = 5;
const bit<8> OPTION_TIMESTAMPS = 8;

const bit<16> NOP_NOP = 0x0101;

const bit<8> WINDOW_SCALE_NONE = 15;  // the option was not offered
const bit<8> WINDOW_SCALE_MAX = 14;   // RFC 7323, section 2.3
const bit<4> COOKIE_SCALE_NONE = 15;  // the same in the cookie's four bits
const bit<4> COOKIE_SCALE_MAX = 14;
const bit<16> MSS_DEFAULT = 536;      // RFC 9293, section 3.7.1: what a SYN without the option means
const bit<16> MSS_DEFAULT_V6 = 1220;  // the same on IPv6

// The window, unscaled, of the ACK that answers a server's repeated SYN/ACK. The client's own is not known here: it
// must let the server begin (not zero) and promise little (scale 7 makes 64 KiB of it). The client's next segment
// corrects it.
const bit<16> ACKNOWLEDGING_WINDOW = 512;

// How long a proven flow counts as being opened, in 2^16 microseconds: a little longer than the SYNs to the server last (8 s).
const bit<16> PENDING_TICKS = 122;
// How long its packets wait for the controller when its session is open already, and at most how many: a controller
// that is gone must not stall it (1 s).
const bit<16> HOLD_TICKS = 16;
const bit<14> HOLD_PACKETS = 64;
// Bytes: more than either side sends before the last packet of its flow is released.
const bit<32> EARLY_SPAN = 0x08000000;
// How long a connection counts as just ended (1 s).
const bit<15> ENDED_TICKS = 16;
// How long a SYN goes unanswered before its repetition tells that it does, and how long it counts as one (0.5 s, 60 s).
const bit<16> UNANSWERED_TICKS = 8;
const bit<16> REPEATED_TICKS = 916;
// How far the numbers of a tuple's next connection may have come while late segments of its last one are looked for.
const bit<32> REUSED_SPAN = 0x08000000;
// The count of dropped ones that says: nothing is looked for any more.
const bit<4> REUSED_OVER = 15;

// --- packet-out modes -----------------------------------------------------------------------------------------------
const bit<8> MODE_EMIT = 0;    // leave by `port`, unchanged
const bit<8> MODE_ARRIVE = 1;  // as if it had arrived on `port`
const bit<8> MODE_ROUTE = 2;   // by destination, without the SYN proxy

// --- packet-in reasons ----------------------------------------------------------------------------------------------
const bit<8> PUNT_PROVEN = 1;         // the client returned a right cookie
const bit<8> PUNT_SERVER_SYNACK = 2;  // a SYN/ACK of a protected service without an open session
const bit<8> PUNT_EARLY_RETURN = 3;   // anything else of a protected service without a session
const bit<8> PUNT_FOLLOWING = 4;      // a segment of a flow that was proven a moment ago

// --- modes of a service -----------------------------------------------------------------------------------------------
const bit<8> PROXY_ALWAYS = 0; // the proxy is at work
const bit<8> PROXY_PASS = 1;   // what has no session goes through untouched
const bit<8> PROXY_DRAIN = 2;  // SYNs go through untouched; cookies that were given out before are still honoured
const bit<8> PROXY_FILLING = 3; // the switch lacks sessions: SYNs are answered, nothing else passes

// --- session phases -------------------------------------------------------------------------------------------------
const bit<8> PHASE_OPEN = 0;
const bit<8> PHASE_CLOSING = 1;
const bit<8> PHASE_AWAITED = 2;  // the tuple is about to be used again

// --- events of the digest -------------------------------------------------------------------------------------------
const bit<8> END_FIN_FROM_CLIENT = 1;
const bit<8> END_FIN_FROM_SERVER = 2;
const bit<8> END_RST_FROM_CLIENT = 3;
const bit<8> END_RST_FROM_SERVER = 4;

// --- counter `drops` ------------------------------------------------------------------------------------------------
const bit<8> DROP_MALFORMED_IP = 1;
const bit<8> DROP_MALFORMED_TCP = 2;
const bit<8> DROP_FRAGMENT = 3;
const bit<8> DROP_BAD_COOKIE = 4;
const bit<8> DROP_NO_KEY = 5;
const bit<8> DROP_SYN_RATE = 6;
const bit<8> DROP_PUNT_RATE = 7;
const bit<8> DROP_UNKNOWN_RST = 8;
const bit<8> DROP_NO_ROUTE = 9;
const bit<8> DROP_NO_NEIGHBOUR = 10;
const bit<8> DROP_TTL = 11;
const bit<8> DROP_NOT_IP = 12;
const bit<8> DROP_STRAY = 13;
const bit<8> DROP_NOT_OURS = 14;
const bit<8> DROP_NO_PORT = 15;
const bit<8> DROP_EXTENSIONS = 16;
const bit<8> DROP_NOT_RELEASED = 17;
const bit<8> DROP_FILLING = 18;
const bit<8> DROP_LAST_CONNECTION = 19;

// --- counter `events` -----------------------------------------------------------------------------------------------
const bit<8> EVENT_SYN_ANSWERED = 1;
const bit<8> EVENT_PROVEN = 2;
const bit<8> EVENT_SERVER_SYNACK_PUNTED = 3;
const bit<8> EVENT_EARLY_RETURN_PUNTED = 4;
const bit<8> EVENT_SYNACK_ACKNOWLEDGED = 5;
const bit<8> EVENT_RESET_SENT = 6;
const bit<8> EVENT_ARP_ANSWERED = 7;
const bit<8> EVENT_TO_SERVER = 8;
const bit<8> EVENT_TO_CLIENT = 9;
const bit<8> EVENT_FOLLOWING_PUNTED = 10;
const bit<8> EVENT_ICMP_TRANSLATED = 11;
const bit<8> EVENT_ND_ANSWERED = 12;

#endif
