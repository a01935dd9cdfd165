// SPDX-License-Identifier: Apache-2.0
// What may happen to a packet: flipped bits, cuts, wrong lengths, shuffled options, splices. Checksums are sometimes put right
// again, so that the damage gets past them.
#include "fuzz.h"
#include <string.h>

static size_t frame_at(const packet *p) { return p->port == CPU && p->len >= PACKET_OUT ? PACKET_OUT : 0; }

void fix_checksums(packet *p, bool tcp_too) {
  size_t at = frame_at(p);
  view v = read_frame(p->bytes + at, p->len - at);
  uint8_t *frame = p->bytes + at;
  if (v.ethertype == 0x0800 && v.len >= v.ip_at + 20) {
    uint8_t *ip = frame + v.ip_at;
    size_t header = (size_t)(ip[0] & 15) * 4;
    if (header >= 20 && v.ip_at + header <= v.len) {
      put16(ip + 10, 0);
      put16(ip + 10, 0xffff - residue(ip, header, 0));
    }
    v = read_frame(frame, v.len);
  }
  if (!tcp_too || v.wrong != NULL || !(v.tcp || v.icmp)) return;
  uint8_t *sum = frame + v.l4_at + (v.tcp ? 16 : 2);
  put16(sum, 0);
  put16(sum, 0xffff - l4_residue(&v));
}

static void flip_bits(packet *p) {
  for (uint32_t n = 1 + random_below(4); n > 0; n--) {
    uint32_t at = random_below((uint32_t)p->len);
    p->bytes[at] ^= (uint8_t)(1u << random_below(8));
  }
}

static void edit_length(packet *p) {
  size_t at = frame_at(p);
  view v = read_frame(p->bytes + at, p->len - at);
  if (v.len < v.ip_at + 20) return;
  uint8_t *ip = p->bytes + at + v.ip_at;
  uint32_t off = one_in(2) ? random_below(9) - 4 : random_word();
  switch (random_below(4)) {
    case 0: put16(ip + (v.v6 ? 4 : 2), get16(ip + (v.v6 ? 4 : 2)) + off); break;
    case 1: ip[0] = (uint8_t)(ip[0] ^ random_below(16)); break;
    case 2:
      if (v.tcp) p->bytes[at + v.l4_at + 12] = (uint8_t)random_word();
      break;
    default:
      if (v.tcp && v.payload_at > v.l4_at + 20) {
        p->bytes[at + v.l4_at + 20 + random_below((uint32_t)(v.payload_at - v.l4_at - 20))] = (uint8_t)random_below(16);
      }
  }
}

static void shuffle_options(packet *p) {
  size_t at = frame_at(p);
  view v = read_frame(p->bytes + at, p->len - at);
  if (!v.tcp || v.payload_at < v.l4_at + 24) return;
  size_t words = (v.payload_at - v.l4_at - 20) / 2;
  for (size_t i = 0; i < words; i++) {
    uint8_t *a = p->bytes + at + v.l4_at + 20 + 2 * i;
    uint8_t *b = p->bytes + at + v.l4_at + 20 + 2 * random_below((uint32_t)words);
    uint16_t was = get16(a);
    put16(a, get16(b));
    put16(b, was);
  }
}

static void splice(packet *p, const packet *last) {
  size_t cut = random_below((uint32_t)p->len), from = random_below((uint32_t)last->len + 1);
  size_t n = last->len - from;
  if (cut + n > MAX_FRAME) n = MAX_FRAME - cut;
  memcpy(p->bytes + cut, last->bytes + from, n);
  p->len = cut + n;
}

static void append(packet *p) {
  size_t n = random_below(64);
  if (p->len + n > MAX_FRAME) return;
  for (size_t i = 0; i < n; i++) p->bytes[p->len + i] = (uint8_t)random_word();
  p->len += n;
}

void mutate(packet *p, const packet *last) {
  uint32_t times = one_in(3) ? 0 : 1 + random_below(3);
  for (uint32_t i = 0; i < times && p->len > 0; i++) {
    switch (random_below(7)) {
      case 0: case 1: flip_bits(p); break;
      case 2: p->len = random_below((uint32_t)p->len + 1); break;
      case 3: edit_length(p); break;
      case 4: shuffle_options(p); break;
      case 5: splice(p, last); break;
      default: append(p);
    }
  }
  if (times > 0 && !one_in(4)) fix_checksums(p, one_in(2));
}
