// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071).
#include "internal.h"

// Sum of big-endian 16-bit words, not yet folded to 16 bits. Words of 32 bits may be added just as well: 2^16
// ≡ 1 (mod 2^16 - 1).
static uint64_t sum(const uint8_t *data, size_t len) {
  uint64_t total = 0;
  size_t i = 0;
  for (; i + 4 <= len; i += 4) total += ss_get32(data + i);
  if (i + 2 <= len) {
    total += ss_get16(data + i);
    i += 2;
  }
  if (i < len) total += (uint64_t)data[i] << 8;
  return total;
}

static uint16_t finish(uint64_t total) {
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return (uint16_t)~total;
}

uint16_t ss_csum16(const uint8_t *data, size_t len) { return finish(sum(data, len)); }

uint16_t ss_csum16_more(const uint8_t *data, size_t len, const uint8_t *more, size_t more_len) {
  uint64_t tail = sum(more, more_len);
  if (len % 2 != 0) {  // the bytes of `more` stand in the other half of their words
    while (tail >> 16 != 0) tail = (tail & 0xffff) + (tail >> 16);
    tail = (tail & 0xff) << 8 | tail >> 8;
  }
  return finish(sum(data, len) + tail);
}
