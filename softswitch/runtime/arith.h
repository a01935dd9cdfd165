// SPDX-License-Identifier: Apache-2.0
// P4's arithmetic where C's own operators would differ: shifts by any amount, signs, saturation. Numbers of W
// bits (W up to 128) come and go as unsigned values with zeros above bit W; int<W> as its two's complement.
#ifndef SYNCLINE_ARITH_H
#define SYNCLINE_ARITH_H
#include "packet.h"
#include <stdbool.h>

static inline uint64_t ss_mask64(unsigned width) {
  return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

static inline ss_u128 ss_mask128(unsigned width) {
  return width >= 128 ? ~(ss_u128)0 : ((ss_u128)1 << width) - 1;
}

static inline int64_t ss_sign64(uint64_t v, unsigned width) {
  return (int64_t)(v << (64 - width)) >> (64 - width);
}

static inline ss_i128 ss_sign128(ss_u128 v, unsigned width) {
  return (ss_i128)(v << (128 - width)) >> (128 - width);
}

static inline uint64_t ss_shl64(uint64_t v, uint64_t by) { return by < 64 ? v << by : 0; }

static inline ss_u128 ss_shl128(ss_u128 v, uint64_t by) { return by < 128 ? v << by : 0; }

static inline uint64_t ss_shr64(uint64_t v, uint64_t by) { return by < 64 ? v >> by : 0; }

static inline ss_u128 ss_shr128(ss_u128 v, uint64_t by) { return by < 128 ? v >> by : 0; }

// P4 leaves division by zero open, and BMv2 stops there; here it gives 0.
static inline uint64_t ss_div64(uint64_t a, uint64_t b) { return b == 0 ? 0 : a / b; }

static inline ss_u128 ss_div128(ss_u128 a, ss_u128 b) { return b == 0 ? 0 : a / b; }

static inline uint64_t ss_mod64(uint64_t a, uint64_t b) { return b == 0 ? 0 : a % b; }

static inline ss_u128 ss_mod128(ss_u128 a, ss_u128 b) { return b == 0 ? 0 : a % b; }

// For shift amounts and indices: what does not fit becomes the largest number.
static inline uint64_t ss_at_most64(ss_u128 v) { return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v; }

// Arithmetic shift of int<width>.
static inline uint64_t ss_sar64(uint64_t v, unsigned width, uint64_t by) {
  return (uint64_t)(ss_sign64(v, width) >> (by < 63 ? by : 63)) & ss_mask64(width);
}

static inline ss_u128 ss_sar128(ss_u128 v, unsigned width, uint64_t by) {
  return (ss_u128)(ss_sign128(v, width) >> (by < 127 ? by : 127)) & ss_mask128(width);
}

static inline ss_u128 ss_sat_add(ss_u128 a, ss_u128 b, unsigned width) {
  ss_u128 sum;
  bool over = __builtin_add_overflow(a, b, &sum);
  return over || sum > ss_mask128(width) ? ss_mask128(width) : sum;
}

static inline ss_u128 ss_sat_sub(ss_u128 a, ss_u128 b) { return a > b ? a - b : 0; }

static inline ss_u128 ss_clamp(ss_i128 v, bool over, bool negative, unsigned width) {
  ss_i128 high = (ss_i128)(ss_mask128(width) >> 1), low = -high - 1;
  if (over) v = negative ? low : high;
  if (v > high) v = high;
  if (v < low) v = low;
  return (ss_u128)v & ss_mask128(width);
}

// Saturating operators of int<width>.
static inline ss_u128 ss_sat_add_signed(ss_u128 a, ss_u128 b, unsigned width) {
  ss_i128 x = ss_sign128(a, width), y = ss_sign128(b, width), sum;
  bool over = __builtin_add_overflow(x, y, &sum);
  return ss_clamp(sum, over, x < 0, width);
}

static inline ss_u128 ss_sat_sub_signed(ss_u128 a, ss_u128 b, unsigned width) {
  ss_i128 x = ss_sign128(a, width), y = ss_sign128(b, width), difference;
  bool over = __builtin_sub_overflow(x, y, &difference);
  return ss_clamp(difference, over, x < 0, width);
}
#endif
