// SPDX-License-Identifier: Apache-2.0
// Unsigned numbers of more than 128 bits: arrays of 64-bit limbs, least significant first. The generated code
// wraps them in a struct per limb count. Bits above a value's width are zero in every stored value (the
// generated code calls ss_wide_trim).
#ifndef SYNCLINE_WIDE_H
#define SYNCLINE_WIDE_H
#include "packet.h"
#include <stdbool.h>

static inline void ss_wide_trim(uint64_t *a, unsigned limbs, unsigned width) {
  for (unsigned i = 0; i < limbs; i++) {
    if (width >= (i + 1) * 64) continue;
    a[i] &= width > i * 64 ? (UINT64_C(1) << (width - i * 64)) - 1 : 0;
  }
}

// dst = a resized from `from` limbs to `to` limbs, filled with `fill` (0, or all ones to extend a sign).
static inline void ss_wide_resize(uint64_t *dst, unsigned to, const uint64_t *a, unsigned from,
                                  uint64_t fill) {
  for (unsigned i = 0; i < to; i++) dst[i] = i < from ? a[i] : fill;
}

static inline void ss_wide_set128(uint64_t *dst, unsigned limbs, ss_u128 v) {
  for (unsigned i = 0; i < limbs; i++) dst[i] = i == 0 ? (uint64_t)v : i == 1 ? (uint64_t)(v >> 64) : 0;
}

static inline ss_u128 ss_wide_get128(const uint64_t *a, unsigned limbs) {
  return limbs > 1 ? (ss_u128)a[1] << 64 | a[0] : a[0];
}

static inline void ss_wide_shl(uint64_t *dst, const uint64_t *a, unsigned limbs, uint64_t by) {
  if (by >= (uint64_t)limbs * 64) {
    memset(dst, 0, limbs * 8);
    return;
  }
  unsigned skip = (unsigned)(by / 64), bits = (unsigned)(by % 64);
  for (unsigned i = limbs; i-- > 0;) {
    uint64_t high = i >= skip ? a[i - skip] : 0;
    uint64_t low = i >= skip + 1 ? a[i - skip - 1] : 0;
    dst[i] = bits ? high << bits | low >> (64 - bits) : high;
  }
}

static inline void ss_wide_shr(uint64_t *dst, const uint64_t *a, unsigned limbs, uint64_t by) {
  if (by >= (uint64_t)limbs * 64) {
    memset(dst, 0, limbs * 8);
    return;
  }
  unsigned skip = (unsigned)(by / 64), bits = (unsigned)(by % 64);
  for (unsigned i = 0; i < limbs; i++) {
    uint64_t low = i + skip < limbs ? a[i + skip] : 0;
    uint64_t high = i + skip + 1 < limbs ? a[i + skip + 1] : 0;
    dst[i] = bits ? low >> bits | high << (64 - bits) : low;
  }
}

static inline void ss_wide_and(uint64_t *dst, const uint64_t *a, const uint64_t *b, unsigned limbs) {
  for (unsigned i = 0; i < limbs; i++) dst[i] = a[i] & b[i];
}

static inline void ss_wide_or(uint64_t *dst, const uint64_t *a, const uint64_t *b, unsigned limbs) {
  for (unsigned i = 0; i < limbs; i++) dst[i] = a[i] | b[i];
}

static inline void ss_wide_xor(uint64_t *dst, const uint64_t *a, const uint64_t *b, unsigned limbs) {
  for (unsigned i = 0; i < limbs; i++) dst[i] = a[i] ^ b[i];
}

static inline void ss_wide_not(uint64_t *dst, const uint64_t *a, unsigned limbs) {
  for (unsigned i = 0; i < limbs; i++) dst[i] = ~a[i];
}

static inline void ss_wide_add(uint64_t *dst, const uint64_t *a, const uint64_t *b, unsigned limbs) {
  uint64_t carry = 0;
  for (unsigned i = 0; i < limbs; i++) {
    ss_u128 sum = (ss_u128)a[i] + b[i] + carry;
    dst[i] = (uint64_t)sum;
    carry = (uint64_t)(sum >> 64);
  }
}

static inline void ss_wide_sub(uint64_t *dst, const uint64_t *a, const uint64_t *b, unsigned limbs) {
  uint64_t borrow = 0;
  for (unsigned i = 0; i < limbs; i++) {
    ss_u128 difference = (ss_u128)a[i] - b[i] - borrow;
    dst[i] = (uint64_t)difference;
    borrow = (uint64_t)(difference >> 64) & 1;
  }
}

// dst must not overlap a or b.
static inline void ss_wide_mul(uint64_t *dst, const uint64_t *a, const uint64_t *b, unsigned limbs) {
  memset(dst, 0, limbs * 8);
  for (unsigned i = 0; i < limbs; i++) {
    uint64_t carry = 0;
    for (unsigned j = 0; i + j < limbs; j++) {
      ss_u128 t = (ss_u128)a[i] * b[j] + dst[i + j] + carry;
      dst[i + j] = (uint64_t)t;
      carry = (uint64_t)(t >> 64);
    }
  }
}

// -1, 0, 1 as a is below, equal to, above b.
static inline int ss_wide_compare(const uint64_t *a, const uint64_t *b, unsigned limbs) {
  for (unsigned i = limbs; i-- > 0;) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

static inline bool ss_wide_bit(const uint64_t *a, unsigned bit) { return a[bit / 64] >> (bit % 64) & 1; }

// `width` (1 … 64) bits from bit `low` on.
static inline uint64_t ss_wide_slice(const uint64_t *a, unsigned limbs, unsigned low, unsigned width) {
  unsigned limb = low / 64, bits = low % 64;
  uint64_t v = a[limb] >> bits;
  if (bits != 0 && limb + 1 < limbs) v |= a[limb + 1] << (64 - bits);
  return width == 64 ? v : v & ((UINT64_C(1) << width) - 1);
}

// Replaces `width` bits from bit `low` on by those of v.
static inline void ss_wide_insert(uint64_t *a, unsigned low, unsigned width, const uint64_t *v) {
  for (unsigned done = 0; done < width;) {
    unsigned at = low + done, room = 64 - at % 64;
    unsigned take = width - done < room ? width - done : room;
    if (take > 64 - done % 64) take = 64 - done % 64;
    uint64_t mask = (take == 64 ? UINT64_MAX : (UINT64_C(1) << take) - 1) << (at % 64);
    a[at / 64] = (a[at / 64] & ~mask) | (v[done / 64] >> (done % 64) << (at % 64) & mask);
    done += take;
  }
}

// Arithmetic shift right of a number of `width` bits in two's complement.
static inline void ss_wide_sar(uint64_t *dst, const uint64_t *a, unsigned limbs, unsigned width,
                               uint64_t by) {
  bool negative = ss_wide_bit(a, width - 1);
  if (by > width) by = width;
  ss_wide_shr(dst, a, limbs, by);
  for (unsigned bit = width - (unsigned)by; negative && bit < width; bit++)
    dst[bit / 64] |= UINT64_C(1) << (bit % 64);
}

// `width` bits that begin `bit` bits after p, most significant first.
static inline void ss_wide_load(uint64_t *dst, unsigned limbs, const uint8_t *p, unsigned bit,
                                unsigned width) {
  for (unsigned i = 0; i < limbs; i++) {
    unsigned low = i * 64;
    if (low >= width) {
      dst[i] = 0;
      continue;
    }
    unsigned take = width - low < 64 ? width - low : 64;
    dst[i] = ss_get_bits(p, bit + width - low - take, take);
  }
}

static inline void ss_wide_store(uint8_t *p, unsigned bit, unsigned width, const uint64_t *a) {
  for (unsigned low = 0; low < width; low += 64) {
    unsigned take = width - low < 64 ? width - low : 64;
    ss_put_bits(p, bit + width - low - take, take, a[low / 64]);
  }
}
#endif
