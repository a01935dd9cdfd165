// SPDX-License-Identifier: Apache-2.0
// A byte ring of records between one producer and one consumer, without locks.
#include "internal.h"
#include <stdlib.h>

int ss_ring_init(ss_ring *ring, uint64_t size) {
  ring->data = malloc(size);
  ring->size = size;
  atomic_init(&ring->head, 0);
  atomic_init(&ring->tail, 0);
  return ring->data == NULL ? SS_RESOURCE_EXHAUSTED : SS_OK;
}

void ss_ring_free(ss_ring *ring) {
  free(ring->data);
  ring->data = NULL;
}

static uint64_t copy_in(ss_ring *ring, uint64_t at, const void *data, uint32_t len) {
  uint64_t start = at & (ring->size - 1);
  uint64_t first = ring->size - start < len ? ring->size - start : len;
  if (len > 0) {
    memcpy(ring->data + start, data, first);
    memcpy(ring->data, (const uint8_t *)data + first, len - first);
  }
  return at + len;
}

static void copy_out(const ss_ring *ring, uint64_t at, void *data, uint64_t len) {
  uint64_t start = at & (ring->size - 1);
  uint64_t first = ring->size - start < len ? ring->size - start : len;
  memcpy(data, ring->data + start, first);
  memcpy((uint8_t *)data + first, ring->data, len - first);
}

bool ss_ring_put(ss_ring *ring, uint32_t tag, const ss_piece *pieces, unsigned n) {
  uint32_t len = 0;
  for (unsigned i = 0; i < n; i++) len += pieces[i].len;
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
  if (ring->size - (head - tail) < 8 + (uint64_t)len) return false;
  uint32_t prefix[2] = {tag, len};
  head = copy_in(ring, head, prefix, sizeof prefix);
  for (unsigned i = 0; i < n; i++) head = copy_in(ring, head, pieces[i].data, pieces[i].len);
  atomic_store_explicit(&ring->head, head, memory_order_release);
  return true;
}

size_t ss_ring_take(ss_ring *ring, uint8_t *buf, size_t buf_len, uint64_t *dropped) {
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
  size_t used = 0;
  while (head - tail >= 8) {
    uint32_t prefix[2];
    copy_out(ring, tail, prefix, sizeof prefix);
    size_t record = 8 + (size_t)prefix[1];
    if (record > buf_len - used) {
      if (used > 0 || record <= buf_len) break;
      tail += record;
      (*dropped)++;
      continue;
    }
    copy_out(ring, tail, buf + used, record);
    used += record;
    tail += record;
  }
  atomic_store_explicit(&ring->tail, tail, memory_order_release);
  return used;
}

bool ss_ring_empty(const ss_ring *ring) {
  return atomic_load_explicit(&ring->head, memory_order_acquire) ==
         atomic_load_explicit(&ring->tail, memory_order_relaxed);
}
