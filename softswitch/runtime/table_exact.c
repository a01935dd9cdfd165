// SPDX-License-Identifier: Apache-2.0
// The exact store: open addressing over 64-bit slots, each a row's address with 16 bits of its hash on top, so
// that a probe touches a row only when it is very likely the right one. A search goes round its cache line
// before it goes on to the next one: so nearly all end where they begin, in what was fetched. Readers take no
// lock: slots change by single stores; when it fills up the writer builds a larger array beside it and publishes
// that with one store.
#include "internal.h"

struct ss_hash {
  uint64_t mask;  // slots - 1
  uint64_t used;  // rows and tombstones; writer only
  uint64_t rows;
  _Alignas(64) _Atomic uint64_t slots[];
};

enum {
  TOMBSTONE = 1,   // no tag, so that no key ever matches it
  LARGE = 1 << 14  // slots beyond which look-ups are worth foreseeing
};
static const uint64_t ADDRESS = (UINT64_C(1) << 48) - 1;

// Slots of a cache line. Every array is whole lines.
enum { LINE = 8 };

static uint64_t tag_of(uint64_t hash) { return (hash >> 48 | 1) << 48; }

static ss_row *row_of(uint64_t slot) {
  uint64_t address = slot & ADDRESS;
  return address == TOMBSTONE ? NULL : (ss_row *)(uintptr_t)address;
}

static size_t bytes_of(uint64_t slots) { return sizeof(ss_hash) + slots * sizeof(uint64_t); }

ss_hash *ss_hash_new(uint64_t slots) {
  ss_hash *h = ss_large_new(bytes_of(slots));
  if (h != NULL) h->mask = slots - 1;
  return h;
}

void ss_hash_free(void *hash, void *arg) {
  ss_hash *h = hash;
  (void)arg;
  if (h != NULL) ss_large_free(h, bytes_of(h->mask + 1));
}

static bool same_key(const ss_row *row, const uint64_t *key, unsigned words) {
  const uint64_t *own = ss_row_key_const(row);
  uint64_t difference = 0;
  for (unsigned i = 0; i < words; i++) difference |= own[i] ^ key[i];
  return difference == 0;
}

// Where a search that began at `begin` goes on.
static inline uint64_t next_slot(const ss_hash *h, uint64_t i, uint64_t begin) {
  uint64_t next = (i & ~(uint64_t)(LINE - 1)) | ((i + 1) % LINE);
  return (next - begin) % LINE != 0 ? next : (next + LINE) & h->mask;
}

static inline __attribute__((always_inline)) ss_row *find(const ss_hash *h, const uint64_t *key, unsigned words,
                                                          uint64_t hash) {
  const uint64_t tag = tag_of(hash), begin = hash & h->mask;
  for (uint64_t i = begin;; i = next_slot(h, i, begin)) {
    uint64_t slot = atomic_load_explicit(&h->slots[i], memory_order_acquire);
    if (slot == 0) return NULL;
    if ((slot & ~ADDRESS) == tag && same_key(row_of(slot), key, words)) return row_of(slot);
  }
}

ss_row *ss_hash_find(const ss_hash *h, const uint64_t *key, unsigned words, uint64_t hash) {
  return find(h, key, words, hash);
}

const _Atomic uint64_t *ss_hash_slot(const ss_hash *h, uint64_t hash) { return &h->slots[hash & h->mask]; }

const ss_row *ss_slot_row(const _Atomic uint64_t *slot, uint64_t hash) {
  const uint64_t tag = tag_of(hash);
  const _Atomic uint64_t *line = slot - (uintptr_t)slot / sizeof *slot % LINE;
  for (unsigned i = 0; i < LINE; i++) {
    uint64_t value = atomic_load_explicit(&line[(slot - line + i) % LINE], memory_order_relaxed);
    if (value == 0) break;
    if ((value & ~ADDRESS) == tag) return row_of(value);
  }
  return NULL;
}

static void place(ss_hash *h, const ss_row *row, uint64_t hash) {
  const uint64_t begin = hash & h->mask;
  uint64_t i = begin, slot;
  while ((slot = atomic_load_explicit(&h->slots[i], memory_order_relaxed)) > TOMBSTONE)
    i = next_slot(h, i, begin);
  if (slot == 0) h->used++;
  h->rows++;
  atomic_store_explicit(&h->slots[i], (uint64_t)(uintptr_t)row | tag_of(hash), memory_order_release);
}

static uint64_t hash_of(const ss_table *t, const ss_row *row) {
  return ss_hash_key(t->seed, ss_row_key_const(row), t->stored_words);
}

// A new array with room for as many rows again; tombstones are left behind.
static int grow(ss_switch *sw, ss_table *t, ss_hash *old) {
  uint64_t slots = 16;
  while (slots < (old->rows + 1) * 2) slots *= 2;
  ss_hash *h = ss_hash_new(slots);
  if (h == NULL) return SS_RESOURCE_EXHAUSTED;
  for (uint64_t i = 0; i <= old->mask; i++) {
    ss_row *row = row_of(atomic_load_explicit(&old->slots[i], memory_order_relaxed));
    if (row != NULL) place(h, row, hash_of(t, row));
  }
  atomic_store_explicit(&t->hash, h, memory_order_release);
  ss_retire(sw, old, ss_hash_free, NULL);
  return SS_OK;
}

int ss_hash_insert(ss_switch *sw, ss_table *t, ss_row *row) {
  ss_hash *h = atomic_load_explicit(&t->hash, memory_order_relaxed);
  if (((uint64_t)(uintptr_t)row & ~ADDRESS) != 0) return SS_INTERNAL;
  if ((h->used + 1) * 4 > (h->mask + 1) * 3) {
    int error = grow(sw, t, h);
    if (error != SS_OK) return error;
    h = atomic_load_explicit(&t->hash, memory_order_relaxed);
  }
  place(h, row, hash_of(t, row));
  return SS_OK;
}

void ss_hash_replace(ss_table *t, ss_row *old, ss_row *row) {
  ss_hash *h = atomic_load_explicit(&t->hash, memory_order_relaxed);
  uint64_t hash = hash_of(t, old);
  const uint64_t begin = hash & h->mask;
  uint64_t i = begin;
  while (row_of(atomic_load_explicit(&h->slots[i], memory_order_relaxed)) != old) i = next_slot(h, i, begin);
  if (row == NULL) h->rows--;
  atomic_store_explicit(&h->slots[i], row == NULL ? TOMBSTONE : (uint64_t)(uintptr_t)row | tag_of(hash),
                        memory_order_release);
}

static bool foreseen(const ss_worker *w, uint64_t hash) {
  for (unsigned i = 0; w->guessed != NULL && i < w->guessed->n; i++) {
    if (w->guessed->hash[i] == hash) return true;
  }
  return false;
}

static inline __attribute__((always_inline)) const ss_row *apply(ss_exec *x, const ss_table *t,
                                                                const uint64_t *key, unsigned words) {
  const ss_hash *h = atomic_load_explicit(&t->hash, memory_order_acquire);
  uint64_t hash = ss_hash_key(t->seed, key, words);
  bool large = h->mask >= LARGE;
  if (large && !foreseen(x->worker, hash)) ss_not_foreseen(x, t, key);
  return ss_account(x, t, find(h, key, words, hash), large);
}

const ss_row *ss_apply_exact(ss_exec *x, uint32_t table, const uint64_t *key) {
  const ss_table *t = &x->sw->tables[table];
  switch (t->key_words) {
    case 1: return apply(x, t, key, 1);
    case 2: return apply(x, t, key, 2);
    default: return apply(x, t, key, t->key_words);
  }
}

const ss_row *ss_apply_keyless(ss_exec *x, uint32_t table) {
  return ss_account(x, &x->sw->tables[table], NULL, false);
}
