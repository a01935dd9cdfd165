// SPDX-License-Identifier: Apache-2.0
// Reads frames, and computes checksums and cookies, without anything of the program under test.
#include "fuzz.h"
#include <string.h>

uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
void put16(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
void put32(uint8_t *p, uint32_t v) {
  put16(p, v >> 16);
  put16(p + 2, v);
}

uint32_t residue(const uint8_t *p, size_t len, uint64_t sum) {
  for (size_t i = 0; i + 1 < len; i += 2) sum += get16(p + i);
  if (len % 2 == 1) sum += (uint32_t)p[len - 1] << 8;
  return (uint32_t)(sum % 0xffff);
}

static const char *read_v4(view *v) {
  const uint8_t *ip = v->frame + v->ip_at;
  size_t left = v->len - v->ip_at;
  if (left < 20 || ip[0] >> 4 != 4) return "no IPv4 header";
  size_t header = (size_t)(ip[0] & 15) * 4, total = get16(ip + 2);
  if (header < 20 || total < header || total > left) return "IPv4 lengths";
  if (residue(ip, header, 0) != 0) return "IPv4 header checksum";
  v->protocol = ip[9];
  v->ttl = ip[8];
  memcpy(v->src, ip + 12, 4);
  memcpy(v->dst, ip + 16, 4);
  v->fragment = (get16(ip + 6) & 0x3fff) != 0;
  v->later = (get16(ip + 6) & 0x1fff) != 0;
  v->l4_at = v->ip_at + header;
  v->end = v->ip_at + total;
  return NULL;
}

static const char *read_v6(view *v) {
  const uint8_t *ip = v->frame + v->ip_at;
  size_t left = v->len - v->ip_at;
  if (left < 40 || ip[0] >> 4 != 6) return "no IPv6 header";
  if ((size_t)get16(ip + 4) + 40 > left) return "IPv6 payload length";
  v->end = v->ip_at + 40 + get16(ip + 4);
  v->protocol = ip[6];
  v->ttl = ip[7];
  memcpy(v->src, ip + 8, 16);
  memcpy(v->dst, ip + 24, 16);
  v->l4_at = v->ip_at + 40;
  while (!v->later && (v->protocol == 0 || v->protocol == 43 || v->protocol == 60 || v->protocol == 44)) {
    const uint8_t *e = v->frame + v->l4_at;
    if (v->l4_at + 8 > v->end) break;
    size_t size = v->protocol == 44 ? 8 : (size_t)e[1] * 8 + 8;
    if (v->l4_at + size > v->end) break;
    if (v->protocol == 44) {
      v->fragment = (get16(e + 2) & 0xfff9) != 0;
      v->later = (get16(e + 2) & 0xfff8) != 0;
    }
    v->protocol = e[0];
    v->l4_at += size;
  }
  return NULL;
}

static void read_tcp(view *v) {
  const uint8_t *t = v->frame + v->l4_at;
  if (v->end < v->l4_at + 20) return;
  size_t header = (size_t)(t[12] >> 4) * 4;
  v->ports = true;
  v->sport = get16(t);
  v->dport = get16(t + 2);
  v->seq = get32(t + 4);
  v->ack = get32(t + 8);
  v->flags = t[13];
  v->window = get16(t + 14);
  v->tcp = header >= 20 && v->l4_at + header <= v->end;
  v->payload_at = v->l4_at + header;
}

view read_frame(const uint8_t *frame, size_t len) {
  view v = {.frame = frame, .len = len};
  if (len < 14) {
    v.wrong = "no Ethernet header";
    return v;
  }
  v.ethertype = get16(frame + 12);
  v.ip_at = 14;
  if (v.ethertype == 0x8100 && len >= 18) {
    v.tagged = true;
    v.tag = get16(frame + 14);
    v.ethertype = get16(frame + 16);
    v.ip_at = 18;
  }
  v.v6 = v.ethertype == 0x86dd;
  if (v.ethertype != 0x0800 && !v.v6) return v;
  v.wrong = v.v6 ? read_v6(&v) : read_v4(&v);
  if (v.wrong != NULL || v.later) return v;
  if (v.protocol == TCP) read_tcp(&v);
  v.icmp = v.protocol == (v.v6 ? ICMP6 : ICMP) && v.end >= v.l4_at + 8;
  return v;
}

uint32_t l4_residue(const view *v) {
  size_t len = v->end - v->l4_at;
  uint64_t sum = 0;
  if (v->protocol != ICMP) {
    sum = residue(v->src, 16, v->protocol + len) + residue(v->dst, 16, 0);
  }
  return residue(v->frame + v->l4_at, len, sum);
}

options read_options(const view *v) {
  options o = {0};
  const uint8_t *p = v->frame + v->l4_at + 20, *end = v->frame + v->payload_at;
  while (p < end && *p != 0) {
    if (*p == 1) {
      p++;
      continue;
    }
    if (end - p < 2 || p[1] < 2 || p[1] > end - p) {
      o.odd = true;
      break;
    }
    if (*p == 8) {
      o.timestamps++;
      o.odd |= p[1] != 10;
      if (p[1] == 10) o.value = get32(p + 2), o.echo = get32(p + 6);
    } else if (*p == 5) {
      o.sacks++;
      o.blocks = (p[1] - 2) / 8;
      o.odd |= (p[1] - 2) % 8 != 0 || o.blocks < 1 || o.blocks > 4;
      for (int i = 0; i < 2 * o.blocks && i < 8; i++) o.edges[i] = get32(p + 2 + 4 * i);
    }
    p += p[1];
  }
  return o;
}

// --- HalfSipHash-2-4 (Aumasson, Bernstein), 32-bit output, over whole words
static uint32_t rotate(uint32_t v, int by) { return v << by | v >> (32 - by); }

static void sip_round(uint32_t v[4]) {
  v[0] += v[1];
  v[1] = rotate(v[1], 5) ^ v[0];
  v[0] = rotate(v[0], 16);
  v[2] += v[3];
  v[3] = rotate(v[3], 8) ^ v[2];
  v[0] += v[3];
  v[3] = rotate(v[3], 7) ^ v[0];
  v[2] += v[1];
  v[1] = rotate(v[1], 13) ^ v[2];
  v[2] = rotate(v[2], 16);
}

static void sip_word(uint32_t v[4], uint32_t word) {
  v[3] ^= word;
  sip_round(v);
  sip_round(v);
  v[0] ^= word;
}

// `claims` are the cookie's bits 30 to 23: MSS index, window scale, SACK.
uint32_t cookie(bool v6, const uint8_t *client, const uint8_t *server, uint16_t cport, uint16_t sport,
                uint32_t isn, uint32_t parity, uint32_t claims) {
  const uint32_t *key = net.keys[parity];
  uint32_t v[4] = {key[0], key[1], 0x6c796765 ^ key[0], 0x74656462 ^ key[1]};
  size_t size = v6 ? 16 : 4;
  for (size_t i = 0; i < size; i += 4) sip_word(v, get32(client + i));
  for (size_t i = 0; i < size; i += 4) sip_word(v, get32(server + i));
  sip_word(v, (uint32_t)cport << 16 | sport);
  sip_word(v, isn);
  sip_word(v, key[2]);
  sip_word(v, claims);
  sip_word(v, (uint32_t)(2 * size + 16) << 24);
  v[2] ^= 0xff;
  for (int i = 0; i < 4; i++) sip_round(v);
  return parity << 31 | claims << 23 | ((v[1] ^ v[3]) & 0x7fffff);
}

const session *find_session(bool v6, const uint8_t *client, uint16_t cport, const uint8_t *server,
                            uint16_t sport) {
  size_t size = v6 ? 16 : 4;
  if (memcmp(client, net.client[v6], size) != 0 || memcmp(server, net.server[v6], size) != 0) return NULL;
  for (uint32_t i = 0; i < net.session_count; i++) {
    const session *s = &sessions[i];
    if (s->v6 == v6 && s->client_port == cport && s->server_port == sport) return s;
  }
  return NULL;
}

bool is_server(const view *v, const uint8_t *address) {
  return memcmp(address, net.server[v->v6], v->v6 ? 16 : 4) == 0;
}

bool is_service(uint16_t port) { return port == STRICT_PORT || port == RESET_PORT; }
