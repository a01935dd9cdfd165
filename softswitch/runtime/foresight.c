// SPDX-License-Identifier: Apache-2.0
// A look-up in a table of a million entries waits for memory, twice: for the slot and for the row. Most keys are
// made of bytes of the packet, though, so they can be made while the packet still waits in its batch, and what
// they lead to be fetched meanwhile. Where in the packet a key's fields stand is learned from look-ups that had
// not been foreseen. A guess may be wrong or out of date: it is only ever a hint to the cache.
#include "internal.h"

enum {
  SEEN = 96,          // bytes of a frame in which fields are looked for
  LEARN_EVERY = 16    // of the look-ups that were not foreseen
};

static uint32_t kind_of(uint32_t port, const uint8_t *frame) { return port << 16 | ss_get16(frame + 12); }

// --- learning

static int find_bytes(const uint8_t *frame, uint32_t len, const uint8_t *value, uint32_t size) {
  uint32_t seen = len < SEEN ? len : SEEN;
  for (uint32_t at = 14; at + size <= seen; at++) {
    if (memcmp(frame + at, value, size) == 0) return (int)at;
  }
  return -1;
}

// A field that is not in the frame is taken for a constant.
static bool learn_pieces(ss_recipe *r, const ss_table *t, const uint8_t *frame, uint32_t len) {
  const uint8_t *key = (const uint8_t *)r->key;
  uint32_t at = 0;
  r->pieces = 0;
  for (unsigned f = 0; f < t->desc->fields; f++) {
    uint32_t size = (t->desc->field[f].bits + 7u) / 8u;
    int from = size < 2 ? -1 : find_bytes(frame, len, key + at, size);
    if (from >= 0) {
      r->piece[r->pieces++] = (ss_piece_of_key){(uint8_t)from, (uint8_t)at, (uint8_t)size};
      if (r->needed < (uint32_t)from + size) r->needed = (uint32_t)from + size;
    }
    at += size;
  }
  return r->pieces > 0;
}

static void learn(ss_worker *w, const ss_exec *x, const ss_table *t, const uint64_t *key) {
  ss_recipe r = {.table = t, .kind = kind_of(x->std.ingress_port, x->packet)};
  memcpy(r.key, key, t->key_bytes);
  if (!learn_pieces(&r, t, x->packet, x->packet_len)) return;
  w->recipes[w->next_recipe] = r;
  w->next_recipe = (w->next_recipe + 1) % SS_RECIPES;
}

void ss_not_foreseen(const ss_exec *x, const ss_table *t, const uint64_t *key) {
  ss_worker *w = x->worker;
  if (++w->not_foreseen % LEARN_EVERY != 0 || x->packet_len < 14) return;
  if (t->key_bytes <= sizeof w->recipes[0].key && t->desc->fields <= SS_KEY_PIECES) learn(w, x, t, key);
}

// --- guessing

static inline void copy_field(uint8_t *to, const uint8_t *from, unsigned size) {
  switch (size) {
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, size);
  }
}

static void guess(ss_guesses *g, ss_recipe *r, const uint8_t *frame) {
  const ss_table *t = r->table;
  uint8_t *key = (uint8_t *)r->key;
  for (unsigned i = 0; i < r->pieces; i++)
    copy_field(key + r->piece[i].to, frame + r->piece[i].from, r->piece[i].size);
  const ss_hash *h = atomic_load_explicit(&t->hash, memory_order_acquire);
  uint64_t hash = ss_hash_key(t->seed, r->key, t->key_words);
  g->hash[g->n] = hash;
  g->slot[g->n] = ss_hash_slot(h, hash);
  __builtin_prefetch((const void *)g->slot[g->n++]);
}

void ss_foresee(ss_worker *w, unsigned place, uint32_t port, const uint8_t *frame, uint32_t len) {
  ss_guesses *g = &w->guesses[place % SS_FORESIGHT];
  g->n = 0;
  if (len < 14 || w->recipes[0].table == NULL) return;
  uint32_t kind = kind_of(port, frame);
  for (unsigned i = 0; i < SS_RECIPES && g->n < SS_GUESSES; i++) {
    ss_recipe *r = &w->recipes[i];
    if (r->table != NULL && r->kind == kind && r->needed <= len) guess(g, r, frame);
  }
}

void ss_foresee_rows(ss_worker *w, unsigned place) {
  const ss_guesses *g = &w->guesses[place % SS_FORESIGHT];
  for (unsigned i = 0; i < g->n; i++) {
    const void *row = ss_slot_row(g->slot[i], g->hash[i]);
    if (row != NULL) __builtin_prefetch(row);
  }
}

void ss_foresee_nothing(ss_worker *w) {
  for (unsigned i = 0; i < SS_FORESIGHT; i++) w->guesses[i].n = 0;
  w->guessed = NULL;
}
