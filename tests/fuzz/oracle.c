// SPDX-License-Identifier: Apache-2.0
// What may come out for what went in, decided from the frames and the session list alone.
#include "fuzz.h"
#include <string.h>

// The frame inside a packet-out, and what it asks for; a packet from a port asks for the pipeline.
static uint8_t inside(const packet *in, packet *frame) {
  if (in->port != CPU) {
    *frame = *in;
    return ARRIVE;
  }
  if (in->len < PACKET_OUT) {
    frame->len = 0;
    return 255;
  }
  frame->port = get16(in->bytes + 1);
  frame->len = in->len - PACKET_OUT;
  memcpy(frame->bytes, in->bytes + PACKET_OUT, frame->len);
  return in->bytes[0];
}

static bool same_ends(const view *a, const view *b) {
  return memcmp(a->src, b->src, 16) == 0 && memcmp(a->dst, b->dst, 16) == 0;
}

static bool swapped_ends(const view *a, const view *b) {
  return memcmp(a->src, b->dst, 16) == 0 && memcmp(a->dst, b->src, 16) == 0
         && a->sport == b->dport && a->dport == b->sport;
}

static const session *session_of(const view *v, bool to_server) {
  return to_server ? find_session(v->v6, v->src, v->sport, v->dst, v->dport)
                   : find_session(v->v6, v->dst, v->dport, v->src, v->sport);
}

static uint16_t shifted(uint32_t window, uint32_t shift) {
  if (shift & 0x80) return (uint16_t)(window >> (shift & 15));
  window <<= shift & 15;
  return window > 0xffff ? 0xffff : (uint16_t)window;
}

static const char *judge_options(const view *a, const view *b, const session *s, bool to_server) {
  options in = read_options(a), out = read_options(b);
  if (out.odd && !in.odd) return "an option of a wrong length";
  if (in.odd || in.timestamps > 1 || in.sacks > 1) return NULL;
  if (out.timestamps != in.timestamps || out.sacks != in.sacks || out.blocks != in.blocks) {
    return "options lost or made";
  }
  bool echo = to_server && (a->flags & ACK) != 0;
  if (out.value != in.value + (in.timestamps && !to_server ? s->tau : 0)) return "TSval not mapped";
  if (out.echo != in.echo - (in.timestamps && echo ? s->tau : 0)) return "TSecr not mapped";
  for (int i = 0; i < 2 * in.blocks; i++) {
    if (out.edges[i] != in.edges[i] - (to_server ? s->delta : 0)) return "SACK edge not mapped";
  }
  return NULL;
}

static const char *judge_translated(const view *a, const view *b, bool to_server, int *outcome) {
  const session *s = session_of(a, to_server);
  if (s == NULL) return to_server ? "to a service without a session" : "from a service without a session";
  bool syn = (a->flags & SYN) != 0;
  *outcome = to_server ? TO_SERVER : TO_CLIENT;
  if (b->flags != a->flags) return "flags changed";
  if (!to_server && syn && (a->flags & ACK)) return "a server's SYN/ACK shown to the client";
  if (to_server && syn && !(a->flags & ACK) && s->closing) return "a SYN on a closing session";
  if (b->seq != a->seq + (to_server ? 0 : s->delta)) return "sequence number not mapped";
  if (b->ack != a->ack - (to_server && (a->flags & ACK) ? s->delta : 0)) return "acknowledgment not mapped";
  uint32_t shift = to_server ? s->to_server_shift : s->to_client_shift;
  if (b->window != (syn ? a->window : shifted(a->window, shift))) return "window not mapped";
  size_t n = a->end - a->payload_at;
  if (b->end - b->payload_at != n || memcmp(a->frame + a->payload_at, b->frame + b->payload_at, n) != 0) {
    return "payload changed";
  }
  return syn ? NULL : judge_options(a, b, s, to_server);
}

static const char *judge_synack(const view *a, const view *b, const session *s) {
  if (s != NULL && !s->closing && !s->ended) return "a SYN/ACK on an open session";
  if ((a->flags & (SYN | ACK | RST | FIN)) != SYN) return "a SYN/ACK for what is no SYN";
  if (b->ack != a->seq + 1) return "a SYN/ACK with a wrong acknowledgment";
  uint32_t k = cookie(a->v6, a->src, a->dst, a->sport, a->dport, a->seq, 0, b->seq >> 23 & 255);
  return k == b->seq ? NULL : "a SYN/ACK without the right cookie";
}

// Segments that the switch made itself: its output goes back to where the packet came from.
static const char *judge_own(const view *a, const view *b, int *outcome) {
  if (l4_residue(b) != 0) return "TCP checksum of an own segment";
  bool to_service = is_server(a, a->dst) && is_service(a->dport);
  const session *s = session_of(a, to_service);
  if (!to_service) {
    *outcome = ACKNOWLEDGED;
    if (!(is_server(a, a->src) && is_service(a->sport))) return "an answer to no service's packet";
    if ((a->flags & (SYN | ACK)) != (SYN | ACK) || b->flags != ACK) return "no ACK of a server's SYN/ACK";
    if (s == NULL || s->closing) return "an ACK to a server without an open session";
    return b->seq == a->ack && b->ack == a->seq + 1 ? NULL : "wrong numbers in the ACK of a SYN/ACK";
  }
  if ((b->flags & 0x3f) == (SYN | ACK)) {
    *outcome = SYN_ANSWERED;
    return judge_synack(a, b, s);
  }
  *outcome = RESET;
  if ((b->flags & 0x3f) != RST || a->dport != RESET_PORT || s != NULL) return "an answer that nobody asked for";
  return b->seq == a->ack && !(a->flags & RST) ? NULL : "wrong numbers in a RST";
}

// What ICMP errors quote, `n` bytes: the beginning of a datagram, or all of it.
static const char *judge_quote(const view *a, const view *b, size_t n) {
  uint8_t inner[2][MAX_FRAME] = {0};  // as frames; what is missing reads as zero
  view q[2];
  const view *from[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    put16(inner[i] + 12, a->ethertype);
    memcpy(inner[i] + 14, from[i]->frame + from[i]->l4_at + 8, n);
    q[i] = read_frame(inner[i], MAX_FRAME);
  }
  if (q[0].wrong != NULL || !q[0].ports || q[0].fragment) return NULL;
  if (q[1].wrong != NULL || !q[1].ports) return "a quote broken";
  bool whole = q[0].tcp && q[0].end <= 14 + n;
  if (whole && l4_residue(&q[0]) != l4_residue(&q[1])) return "TCP checksum of a quote";
  bool by_client = is_server(&q[0], q[0].dst) && is_service(q[0].dport);
  const session *s = session_of(&q[0], by_client);
  if (s == NULL) return "a quote changed without a session";
  if (q[1].seq != q[0].seq - (by_client ? 0 : s->delta)) return "sequence number of a quote";
  size_t quoted = 14 + n - q[0].l4_at;  // of the TCP header and what follows
  bool acknowledges = (q[0].flags & ACK) != 0 || (quoted >= 12 && quoted < 16);
  uint32_t more = by_client && quoted >= 12 && acknowledges ? s->delta : 0;
  return q[1].ack == q[0].ack + more ? NULL : "acknowledgment of a quote";
}

static const char *judge_icmp(const view *a, const view *b, int *outcome) {
  size_t n = a->end - a->l4_at;
  if (b->end - b->l4_at != n) return "ICMP of another length";
  if (memcmp(a->frame + a->l4_at, b->frame + b->l4_at, n) == 0) return NULL;
  *outcome = ICMP_MAPPED;
  if (!a->fragment && l4_residue(a) != l4_residue(b)) return "ICMP checksum";
  if (n < 8 || memcmp(a->frame + a->l4_at, b->frame + b->l4_at, 2) != 0) return "ICMP type changed";
  return judge_quote(a, b, n - 8);
}

// Another datagram's part that belongs to a protected server's TCP must not pass.
static const char *judge_part(const view *b) {
  bool to = is_server(b, b->dst), from = is_server(b, b->src);
  if (b->protocol != TCP || !(to || from)) return NULL;
  if (b->later) return "a later fragment of a protected server's TCP";
  if (!b->ports) return "a TCP header cut short of a protected server";
  if (!(to && is_service(b->dport)) && !(from && is_service(b->sport))) return NULL;
  if (b->fragment) return "a fragment of a service";
  if (!b->tcp) return "a broken TCP header of a service";
  return NULL;
}

static const char *judge_ip(const view *a, const view *b, uint8_t mode, int *outcome) {
  bool own = a->tcp && b->tcp && swapped_ends(a, b);
  *outcome = mode == ROUTE ? INJECTED : ROUTED;
  if (a->wrong != NULL) return "something for a packet with a broken IP header";
  if (own) return mode == ROUTE ? "an answer to a packet to be routed" : judge_own(a, b, outcome);
  if (b->len > a->len) return "longer than what came in";
  if (!same_ends(a, b) || a->protocol != b->protocol) return "other addresses than came in";
  if (b->ttl + 1 != a->ttl) return "TTL";
  if (mode != ROUTE) {
    const char *part = judge_part(b);
    if (part != NULL) return part;
  }
  if (a->tcp && !b->tcp) return "a TCP header broken";
  if (a->tcp && !a->fragment && l4_residue(a) != l4_residue(b)) return "TCP checksum not kept";
  if (a->tcp && mode != ROUTE) {
    if (is_server(a, a->dst) && is_service(a->dport)) return judge_translated(a, b, true, outcome);
    if (is_server(a, a->src) && is_service(a->sport)) return judge_translated(a, b, false, outcome);
  }
  if (a->icmp && mode != ROUTE) return judge_icmp(a, b, outcome);
  size_t n = a->end - a->l4_at;
  bool same = b->end - b->l4_at == n && memcmp(a->frame + a->l4_at, b->frame + b->l4_at, n) == 0;
  return same ? NULL : "changed without need";
}

static bool is_advertisement(const view *v) {
  return v->v6 && v->icmp && v->frame[v->l4_at] == 136 && l4_residue(v) == 0 && v->ttl == 255;
}

const char *judge_output(const packet *in, uint32_t port, const uint8_t *frame, size_t len, int *outcome) {
  packet came;
  uint8_t mode = inside(in, &came);
  if (mode == EMIT) {
    *outcome = EMITTED;
    return port == came.port && len == came.len && memcmp(frame, came.bytes, len) == 0 ? NULL : "EMIT changed";
  }
  if (mode > ROUTE) return "something for an unknown mode";
  view a = read_frame(came.bytes, came.len), b = read_frame(frame, len);
  if (b.wrong != NULL) return b.wrong;
  if (a.tagged != b.tagged || a.tag != b.tag) return "802.1Q tag";
  if (a.ethertype != b.ethertype) return "EtherType";
  if (a.ethertype == 0x0806) {
    *outcome = NEIGHBOUR;
    return len >= b.ip_at + 28 && get16(frame + b.ip_at + 6) == 2 && port == came.port ? NULL : "an ARP answer";
  }
  if (a.ethertype != 0x0800 && !a.v6) return "something that is not IP";
  if (a.v6 && a.icmp && a.l4_at == a.ip_at + 40 && a.frame[a.l4_at] == 135) {  // else routed
    *outcome = NEIGHBOUR;
    return is_advertisement(&b) && l4_residue(&a) == 0 && port == came.port ? NULL : "a neighbour advertisement";
  }
  return judge_ip(&a, &b, mode, outcome);
}

// The right cookie, for the ISN that the header names.
static const char *judge_proof(const view *v, uint32_t isn) {
  uint32_t k = v->ack - 1;
  if (isn != v->seq && isn != v->seq - 1) return "PROVEN with another ISN";
  uint32_t right = cookie(v->v6, v->src, v->dst, v->sport, v->dport, isn, k >> 31, k >> 23 & 255);
  return right == k ? NULL : "PROVEN without the right cookie";
}

// A digest: its number, client, server, ports, what was seen, the entry's version.
void note_end(const uint8_t *digest, size_t len) {
  const size_t size = len > 4 + 8 + 9 ? 16 : 4;
  const uint8_t *client = digest + 4, *server = client + size, *ports = server + size;
  const session *s = find_session(size == 16, client, get16(ports), server, get16(ports + 2));
  if (s != NULL) sessions[s - sessions].ended = 1;
}

// Whether the switch may take a SYN/ACK for a repeated one: of a client whose address folds to the same 32 bits, one has been
// punted before.
static bool seems_repeated(const view *v) {
  static uint64_t seen[1 << 16];
  uint32_t client = get32(v->dst);
  for (int i = 4; v->v6 && i < 16; i += 4) client ^= get32(v->dst + i);
  uint64_t *cell = &seen[((client >> 16) ^ client ^ v->sport ^ v->dport) & 0xffff], now = (uint64_t)client << 16 | v->dport;
  bool repeated = *cell == now;
  *cell = now;
  return repeated;
}

const char *judge_punt(const packet *in, const uint8_t *payload, size_t len, int *outcome) {
  packet came;
  if (inside(in, &came) != ARRIVE) return "a punt of what did not arrive";
  if (len != came.len + PACKET_IN || memcmp(payload + PACKET_IN, came.bytes, came.len) != 0) return "a punt of another frame";
  if (get16(payload) != came.port) return "a punt from another port";
  view v = read_frame(payload + PACKET_IN, len - PACKET_IN);
  if (v.wrong != NULL) return v.wrong;
  if (!v.tcp || v.fragment) return "a punt of what is no whole TCP segment";
  bool to = is_server(&v, v.dst) && is_service(v.dport), from = is_server(&v, v.src) && is_service(v.sport);
  const session *s = session_of(&v, to);
  bool synack = (v.flags & (SYN | ACK)) == (SYN | ACK);
  bool repeated = synack && !to && seems_repeated(&v);
  if (s != NULL && !s->closing && !(to && s->ended) && !repeated) return "a punt of an open session's packet";
  switch (payload[2]) {
    case 1: *outcome = PROVEN; return to ? judge_proof(&v, get32(payload + 5)) : "PROVEN to no service";
    case 2: *outcome = SYNACK_PUNTED; return from && !to && synack ? NULL : "a SYN/ACK that is none";
    case 3: *outcome = EARLY_PUNTED; return from && !to && !synack && s == NULL ? NULL : "an early return that is none";
    case 4: *outcome = FOLLOWING_PUNTED; return to && (v.flags & ACK) ? NULL : "FOLLOWING to no service";
    default: return "an unknown reason";
  }
}
