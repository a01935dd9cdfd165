// SPDX-License-Identifier: Apache-2.0
// Loads and stores of big-endian values of constant size: the byte order of packets, keys and action
// parameters. Everything is inline; with a constant size each call becomes one or two instructions.
#ifndef SYNCLINE_PACKET_H
#define SYNCLINE_PACKET_H
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 ss_u128;
typedef __int128 ss_i128;

static inline uint16_t ss_get16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return __builtin_bswap16(v);
}

static inline uint32_t ss_get32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}

static inline uint64_t ss_get64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}

static inline void ss_put16(uint8_t *p, uint16_t v) {
  v = __builtin_bswap16(v);
  memcpy(p, &v, 2);
}

static inline void ss_put32(uint8_t *p, uint32_t v) {
  v = __builtin_bswap32(v);
  memcpy(p, &v, 4);
}

static inline void ss_put64(uint8_t *p, uint64_t v) {
  v = __builtin_bswap64(v);
  memcpy(p, &v, 8);
}

// Eight bytes of a key, the first one on top, as look-ups take them.
static inline uint64_t ss_key_word(uint64_t bytes) { return __builtin_bswap64(bytes); }

// The `bytes` (0 … 8) bytes at p as an unsigned number.
static inline uint64_t ss_load(const uint8_t *p, unsigned bytes) {
  switch (bytes) {
    case 0: return 0;
    case 1: return p[0];
    case 2: return ss_get16(p);
    case 3: return (uint64_t)ss_get16(p) << 8 | p[2];
    case 4: return ss_get32(p);
    case 5: return (uint64_t)ss_get32(p) << 8 | p[4];
    case 6: return (uint64_t)ss_get32(p) << 16 | ss_get16(p + 4);
    case 7: return (uint64_t)ss_get32(p) << 24 | (uint64_t)ss_get16(p + 4) << 8 | p[6];
    default: return ss_get64(p);
  }
}

// Stores the low `bytes` (0 … 8) bytes of v.
static inline void ss_store(uint8_t *p, unsigned bytes, uint64_t v) {
  switch (bytes) {
    case 0: break;
    case 1: p[0] = (uint8_t)v; break;
    case 2: ss_put16(p, (uint16_t)v); break;
    case 3:
      ss_put16(p, (uint16_t)(v >> 8));
      p[2] = (uint8_t)v;
      break;
    case 4: ss_put32(p, (uint32_t)v); break;
    case 5:
      ss_put32(p, (uint32_t)(v >> 8));
      p[4] = (uint8_t)v;
      break;
    case 6:
      ss_put32(p, (uint32_t)(v >> 16));
      ss_put16(p + 4, (uint16_t)v);
      break;
    case 7:
      ss_put32(p, (uint32_t)(v >> 24));
      ss_put16(p + 4, (uint16_t)(v >> 8));
      p[6] = (uint8_t)v;
      break;
    default: ss_put64(p, v); break;
  }
}

// As ss_load, for 0 … 16 bytes.
static inline ss_u128 ss_load128(const uint8_t *p, unsigned bytes) {
  if (bytes <= 8) return ss_load(p, bytes);
  return (ss_u128)ss_load(p, bytes - 8) << 64 | ss_get64(p + bytes - 8);
}

// As ss_store, for 0 … 16 bytes.
static inline void ss_store128(uint8_t *p, unsigned bytes, ss_u128 v) {
  if (bytes <= 8) {
    ss_store(p, bytes, (uint64_t)v);
    return;
  }
  ss_store(p, bytes - 8, (uint64_t)(v >> 64));
  ss_put64(p + bytes - 8, (uint64_t)v);
}

// `width` (1 … 64) bits that begin `bit` bits after p, most significant first.
static inline uint64_t ss_get_bits(const uint8_t *p, unsigned bit, unsigned width) {
  uint64_t v = 0;
  p += bit / 8;
  bit %= 8;
  unsigned bytes = (bit + width + 7) / 8;
  unsigned spare = bytes * 8 - bit - width;
  if (bytes <= 8) {
    v = ss_load(p, bytes) >> spare;
  } else {
    v = ss_get64(p) << (8 - spare) | p[8] >> spare;
  }
  return width == 64 ? v : v & ((UINT64_C(1) << width) - 1);
}

// Stores the low `width` (1 … 64) bits of v at `bit` bits after p; the bits around stay.
static inline void ss_put_bits(uint8_t *p, unsigned bit, unsigned width, uint64_t v) {
  while (width > 0) {
    unsigned in_byte = bit % 8;
    unsigned room = 8 - in_byte;
    unsigned take = width < room ? width : room;
    unsigned shift = room - take;
    uint8_t mask = (uint8_t)(((1u << take) - 1) << shift);
    uint8_t piece = (uint8_t)((v >> (width - take)) << shift);
    p[bit / 8] = (uint8_t)((p[bit / 8] & ~mask) | (piece & mask));
    bit += take;
    width -= take;
  }
}
#endif
