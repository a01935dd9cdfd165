// SPDX-License-Identifier: Apache-2.0
// Well-formed packets of every kind that the switch knows.
#include "fuzz.h"
#include <string.h>

static uint8_t *grow(packet *p, size_t n) {
  uint8_t *at = p->bytes + p->len;
  memset(at, 0, n);
  p->len += n;
  return at;
}

static void ethernet(packet *p, bool v6) {
  uint8_t *e = grow(p, 14);
  e[0] = e[6] = 2;
  put16(e + 12, v6 ? 0x86dd : 0x0800);
  if (!one_in(4)) return;
  put16(e + 12, 0x8100);
  put16(grow(p, 2), random_word());
  put16(grow(p, 2), v6 ? 0x86dd : 0x0800);
}

// Up to three extension headers; gives the first one's number.
static uint8_t extensions(packet *p, uint8_t protocol) {
  static const uint8_t kinds[] = {0, 43, 60, 60, 44};
  uint32_t n = one_in(3) ? random_below(one_in(8) ? 7 : 4) : 0;
  uint8_t first = protocol, *last = NULL;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t kind = kinds[random_below(5)];
    size_t more = kind == 44 ? 0 : random_below(3);
    uint8_t *e = grow(p, 8 + 8 * more);
    if (last == NULL) first = kind;
    if (last != NULL) *last = kind;
    e[0] = protocol;
    e[1] = (uint8_t)more;
    if (kind == 0 || kind == 60) e[2] = 1, e[3] = (uint8_t)(4 + 8 * more);  // PadN
    if (kind == 44 && one_in(2)) put16(e + 2, random_word() & (one_in(2) ? 1 : 0xfff9));
    last = e;
  }
  return first;
}

static void ip(packet *p, bool v6, uint8_t protocol, const uint8_t *src, const uint8_t *dst) {
  if (v6) {
    uint8_t *h = grow(p, 40);
    h[0] = 0x60;
    h[7] = one_in(30) ? (uint8_t)random_below(3) : 64;
    memcpy(h + 8, src, 16);
    memcpy(h + 24, dst, 16);
    h[6] = extensions(p, protocol);
    return;
  }
  uint32_t more = one_in(8) ? random_below(11) : 0;
  uint8_t *h = grow(p, 20 + 4 * more);
  h[0] = (uint8_t)(0x45 + more);
  memset(h + 20, 1, 4 * more);
  put16(h + 4, random_word());
  put16(h + 6, one_in(16) ? random_word() & 0x3fff : 0x4000);
  h[8] = one_in(30) ? (uint8_t)random_below(3) : 64;
  h[9] = protocol;
  memcpy(h + 12, src, 4);
  memcpy(h + 16, dst, 4);
}

// Lengths and checksums of the datagram that begins at `at` and ends where the packet does.
static void finish(packet *p, size_t at, bool v6) {
  put16(p->bytes + at + (v6 ? 4 : 2), (uint32_t)(p->len - at - (v6 ? 40 : 0)));
  fix_checksums(p, true);
}

static void one_option(packet *p, uint8_t kind) {
  size_t size;
  uint8_t *o;
  switch (kind) {
    case 1: *grow(p, 1) = 1; return;
    case 2: size = 4; break;
    case 3: size = 3; break;
    case 4: size = 2; break;
    case 5: size = 2 + 8 * (1 + random_below(4)); break;
    case 8: size = 10; break;
    default: size = 2 + random_below(8);
  }
  o = grow(p, size);
  o[0] = kind;
  o[1] = (uint8_t)size;
  for (size_t i = 2; i < size; i++) o[i] = (uint8_t)random_word();
  if (kind == 3) o[2] = (uint8_t)random_below(16);
}

// Options in any order, padded to whole words at either end; the TCP header is at `tcp`.
static void tcp_options(packet *p, size_t tcp, bool syn) {
  static const uint8_t of_syn[] = {1, 2, 3, 4, 8, 34}, of_data[] = {1, 1, 5, 8, 8, 30};
  size_t begin = p->len;
  uint32_t n = one_in(6) ? 0 : random_below(7);
  for (uint32_t i = 0; i < n; i++) {
    size_t before = p->len;
    one_option(p, syn ? of_syn[random_below(6)] : of_data[random_below(6)]);
    if (p->len - begin > 40) p->len = before;
  }
  while ((p->len - begin) % 4 != 0) *grow(p, 1) = one_in(2);
  p->bytes[tcp + 12] = (uint8_t)((20 + p->len - begin) / 4 << 4);
}

static uint8_t *tcp(packet *p, uint16_t sport, uint16_t dport, uint32_t seq, uint32_t ack, uint8_t flags) {
  size_t at = p->len;
  uint8_t *t = grow(p, 20);
  put16(t, sport);
  put16(t + 2, dport);
  put32(t + 4, seq);
  put32(t + 8, ack);
  t[13] = flags;
  put16(t + 14, random_word());
  tcp_options(p, at, (flags & SYN) != 0);
  return t;
}

static void payload(packet *p) {
  size_t n = one_in(3) ? 0 : one_in(4) ? 1 : random_below(one_in(8) ? 1200 : 60);
  uint8_t *at = grow(p, n);
  for (size_t i = 0; i < n; i++) at[i] = (uint8_t)random_word();
}

static uint16_t service_port(void) { return one_in(3) ? RESET_PORT : STRICT_PORT; }

// From a client without a session, most often. Half of them are of a connection that packets around this one are of, too: so
// that some follow its proof.
static void from_stranger(packet *p, bool v6) {
  uint16_t cport = (uint16_t)(one_in(8) ? 40000 + random_below(16) : 50000 + random_below(10000));
  uint16_t sport = one_in(16) ? 22 : service_port();
  uint32_t isn = random_word(), parity = random_below(2), claims = random_below(256), kind = random_below(8);
  bool followed = one_in(2);
  if (followed) {
    cport = (uint16_t)(60000 + shared_word(0) % 4000);
    sport = shared_word(1) % 3 ? STRICT_PORT : RESET_PORT;
    isn = shared_word(2);
    parity = shared_word(3) % 2;
    claims = shared_word(4) % 256;
    kind = 2 + random_below(6);
  }
  uint32_t k = cookie(v6, net.client[v6], net.server[v6], cport, sport, isn, parity, claims);
  size_t at = p->len;
  ip(p, v6, TCP, net.client[v6], net.server[v6]);
  if (kind < 3) {
    tcp(p, cport, sport, isn, 0, SYN);
  } else if (kind < 6) {
    tcp(p, cport, sport, isn + !one_in(4), k + 1, ACK | (one_in(2) ? PSH : 0));
  } else if (followed) {
    tcp(p, cport, sport, isn + 1 + random_below(3000), k + 1, ACK | (one_in(2) ? PSH : 0) | (one_in(4) ? FIN : 0));
  } else {
    tcp(p, cport, sport, isn, random_word(), (uint8_t)random_below(64));
  }
  payload(p);
  finish(p, at, v6);
}

static uint8_t session_flags(void) {
  static const uint8_t flags[] = {ACK, ACK, ACK | PSH, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN, SYN | ACK};
  return one_in(10) ? (uint8_t)random_word() : flags[random_below(9)];
}

static void of_session(packet *p, bool v6, bool to_server) {
  const session *s = &sessions[random_below(net.session_count)];
  uint16_t cport = (uint16_t)s->client_port, sport = (uint16_t)s->server_port;
  if (one_in(10)) cport += 1000;
  const uint8_t *client = net.client[v6], *server = net.server[v6];
  size_t at = p->len;
  ip(p, v6, TCP, to_server ? client : server, to_server ? server : client);
  tcp(p, to_server ? cport : sport, to_server ? sport : cport, random_word(), random_word(), session_flags());
  payload(p);
  finish(p, at, v6);
  if (!to_server) p->port = SERVER_LINK;
}

// An error of the client's or of the server's side about a packet that was translated.
static void icmp_error(packet *p, bool v6) {
  static const uint8_t v4_types[] = {3, 3, 4, 11, 12, 8}, v6_types[] = {1, 2, 2, 3, 4, 128};
  bool about_client = one_in(2);  // quotes a packet of the client's, so goes to it
  const session *s = &sessions[random_below(net.session_count)];
  uint16_t cport = (uint16_t)s->client_port, sport = (uint16_t)s->server_port;
  const uint8_t *client = net.client[v6], *server = net.server[v6];
  const uint8_t *src = about_client ? client : server, *dst = about_client ? server : client;
  packet inner = {.len = 0};
  ip(&inner, v6, TCP, src, dst);
  tcp(&inner, about_client ? cport : sport, about_client ? sport : cport, random_word(), random_word(), ACK);
  payload(&inner);
  if (inner.len > 600) inner.len = 600;
  packet framed = {.len = 0};
  ethernet(&framed, v6);
  size_t inner_at = framed.len;
  memcpy(grow(&framed, inner.len), inner.bytes, inner.len);
  finish(&framed, inner_at, v6);
  memcpy(inner.bytes, framed.bytes + inner_at, inner.len);
  uint32_t least = v6 ? 48 : 28;
  if (one_in(2)) inner.len = least + random_below((uint32_t)inner.len - least + 1);

  size_t at = p->len;
  ip(p, v6, v6 ? ICMP6 : ICMP, dst, src);
  uint8_t *h = grow(p, 8);
  h[0] = (v6 ? v6_types : v4_types)[random_below(6)];
  put32(h + 4, 1280);
  memcpy(grow(p, inner.len), inner.bytes, inner.len);
  finish(p, at, v6);
  p->port = about_client ? SERVER_LINK : CLIENT_LINK;
}

static void plain(packet *p, bool v6, bool udp) {
  size_t at = p->len;
  bool back = one_in(2);
  ip(p, v6, udp ? UDP : TCP, back ? net.server[v6] : net.client[v6], back ? net.client[v6] : net.server[v6]);
  if (!udp) tcp(p, 1234, 22, random_word(), random_word(), (uint8_t)random_word());
  payload(p);
  finish(p, at, v6);
}

static void neighbour(packet *p, bool v6) {
  if (!v6) {
    uint8_t *type = p->bytes + p->len - 2, *a = grow(p, 28);
    put16(type, 0x0806);
    memset(p->bytes, 0xff, 6);
    memcpy(a, "\0\1\10\0\6\4\0\1", 8);
    memcpy(a + 14, net.client[0], 4);
    memcpy(a + 24, net.local[0], 4);
    return;
  }
  size_t at = p->len;
  uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff};
  memcpy(group + 13, net.local[1] + 13, 3);
  uint8_t *h = grow(p, 40), *n;
  h[0] = 0x60;
  h[6] = ICMP6;
  h[7] = 255;
  memcpy(h + 8, net.client[1], 16);
  memcpy(h + 24, one_in(2) ? group : net.local[1], 16);
  n = grow(p, 32);
  n[0] = 135;
  memcpy(n + 8, net.local[1], 16);
  n[24] = n[25] = 1;
  finish(p, at, true);
}

static void crafted_packet(packet *p) {
  bool v6 = one_in(2);
  p->len = 0;
  p->port = CLIENT_LINK;
  ethernet(p, v6);
  switch (random_below(16)) {
    case 0: case 1: case 2: case 3: from_stranger(p, v6); break;
    case 4: case 5: case 6: of_session(p, v6, true); break;
    case 7: case 8: case 9: of_session(p, v6, false); break;
    case 10: case 11: icmp_error(p, v6); break;
    case 12: plain(p, v6, true); break;
    case 13: plain(p, v6, false); break;
    case 14: neighbour(p, v6); break;
    default:
      of_session(p, v6, false);
      if (one_in(2)) p->port = CLIENT_LINK;
  }
}

// One in two is of a release, as its last packet or not, of either batch.
static void wrap_in_packet_out(packet *p) {
  memmove(p->bytes + PACKET_OUT, p->bytes, p->len);
  memset(p->bytes, 0, PACKET_OUT);
  p->bytes[0] = (uint8_t)random_below(one_in(10) ? 5 : 3);
  put16(p->bytes + 1, one_in(10) ? random_word() : p->port);
  if (one_in(2)) put16(p->bytes + 3, random_below(4) << 14 | random_below(4));
  p->len += PACKET_OUT;
  p->port = CPU;
}

void make_packet(packet *p) {
  if (one_in(2)) captured_packet(p);
  else crafted_packet(p);
  if (one_in(10)) wrap_in_packet_out(p);
}
