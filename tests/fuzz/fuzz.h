// SPDX-License-Identifier: Apache-2.0
// The packet fuzzer: what its parts share. Integers are in host order, addresses as on the wire.
#ifndef SYNCLINE_FUZZ_H
#define SYNCLINE_FUZZ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { TCP = 6, ICMP = 1, ICMP6 = 58, UDP = 17 };
enum { MAX_FRAME = 2048, CPU = 510, CLIENT_LINK = 1, SERVER_LINK = 2 };
enum { PACKET_OUT = 5, PACKET_IN = 15 };  // bytes of the controller's headers
enum { EMIT = 0, ARRIVE = 1, ROUTE = 2 };
enum { STRICT_PORT = 80, RESET_PORT = 81 };

typedef struct {
  uint32_t v6, client_port, server_port, delta, tau, to_client_shift, to_server_shift, closing;
  uint32_t ended;  // by a FIN or RST that the switch has reported: its client may begin anew. Zero in the file
} session;

// What the switch was told, as setup.py wrote it.
typedef struct {
  uint8_t client[2][16], server[2][16], local[2][16];  // [0] IPv4 in the first four bytes, [1] IPv6
  uint32_t keys[2][3];                                 // by parity: k0, k1, epoch
  uint32_t session_count;
} network;

extern network net;
extern session *sessions;

typedef struct {
  uint8_t bytes[MAX_FRAME];
  size_t len;
  uint32_t port;
} packet;

// A frame, as an independent reader sees it.
typedef struct {
  const uint8_t *frame;
  size_t len;
  bool tagged, v6, later, fragment, ports, tcp, icmp;  // ports: 20 bytes of TCP; tcp: all of its header
  uint16_t tag, ethertype;
  const char *wrong;        // what is wrong with the IP header; NULL: nothing
  size_t ip_at, l4_at, end; // offsets; end of the datagram
  uint8_t protocol, ttl;
  uint8_t src[16], dst[16];
  uint16_t sport, dport, window;
  uint32_t seq, ack;
  uint8_t flags;
  size_t payload_at;
} view;

typedef struct {
  int timestamps, sacks, blocks;
  bool odd;  // a length that does not fit the option
  uint32_t value, echo, edges[8];
} options;

// --- wire.c
uint16_t get16(const uint8_t *p);
uint32_t get32(const uint8_t *p);
void put16(uint8_t *p, uint32_t v);
void put32(uint8_t *p, uint32_t v);
uint32_t residue(const uint8_t *p, size_t len, uint64_t sum);  // the ones'-complement sum, 0 for all ones
view read_frame(const uint8_t *frame, size_t len);
uint32_t l4_residue(const view *v);  // with the pseudo header where there is one: 0 = checksum right
options read_options(const view *v);
uint32_t cookie(bool v6, const uint8_t *client, const uint8_t *server, uint16_t cport, uint16_t sport,
                uint32_t isn, uint32_t parity, uint32_t claims);
const session *find_session(bool v6, const uint8_t *client, uint16_t cport, const uint8_t *server,
                            uint16_t sport);
bool is_server(const view *v, const uint8_t *address);
bool is_service(uint16_t port);

// --- random.c
void random_seed(uint64_t seed, uint64_t index);
uint32_t random_below(uint32_t n);
uint32_t random_word(void);
uint32_t shared_word(uint32_t which);  // the same for a few dozen packets in turn
bool one_in(uint32_t n);

// --- captures.c
bool load_capture(const char *path, uint32_t port);
void unload_captures(void);
void captured_packet(packet *p);

// --- packets.c, mutate.c
void make_packet(packet *p);
void mutate(packet *p, const packet *last);
void fix_checksums(packet *p, bool tcp_too);

// --- oracle.c
enum {
  DROPPED, ROUTED, TO_SERVER, TO_CLIENT, SYN_ANSWERED, ACKNOWLEDGED, RESET, ICMP_MAPPED, NEIGHBOUR, EMITTED,
  INJECTED, PROVEN, SYNACK_PUNTED, EARLY_PUNTED, FOLLOWING_PUNTED, OUTCOMES
};
// NULL, or what is wrong; sets *outcome.
const char *judge_output(const packet *in, uint32_t port, const uint8_t *frame, size_t len, int *outcome);
void note_end(const uint8_t *digest, size_t len);
const char *judge_punt(const packet *in, const uint8_t *payload, size_t len, int *outcome);
#endif
