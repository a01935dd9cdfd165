// SPDX-License-Identifier: Apache-2.0
// v1model's hash algorithms, as BMv2 computes them.
#include "internal.h"
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

// CRC-32 (ISO-HDLC): polynomial 0x04c11db7 reflected, initial and final value all ones.
uint32_t ss_crc32(const uint8_t *data, size_t len) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < len; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// CRC-16/ARC: polynomial 0x8005 reflected, initial and final value 0.
uint16_t ss_crc16(const uint8_t *data, size_t len) {
  uint16_t crc = 0;
  for (size_t i = 0; i < len; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc >> 1 ^ (crc & 1 ? 0xa001u : 0));
  }
  return crc;
}

// Exclusive or of 16-bit words; an odd last byte is the high half of a word.
uint16_t ss_xor16(const uint8_t *data, size_t len) {
  uint16_t result = 0;
  for (size_t i = 0; i + 1 < len; i += 2) result ^= ss_get16(data + i);
  if (len % 2 != 0) result ^= (uint16_t)(data[len - 1] << 8);
  return result;
}

// The first 8 bytes (BMv2's identity hash: later ones are ignored).
uint64_t ss_identity(const uint8_t *data, size_t len) { return ss_load(data, len < 8 ? (unsigned)len : 8); }

static uint64_t next_random(uint64_t *state) {  // xorshift64*
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t ss_random(ss_exec *x, uint64_t low, uint64_t high) {
  uint64_t span = high - low + 1;
  uint64_t value = next_random(&x->worker->random_state);
  if (span == 0) return value;
  return low + (uint64_t)((ss_u128)value * span >> 64);
}

uint64_t ss_random_seed(void) {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed || seed == 0) seed = ss_clock_ns() | 1;
  return seed;
}
