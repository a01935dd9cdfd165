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

// Whether a piece goes on where the last one ends, in the frame and in its word of the key.
static bool goes_on(const ss_recipe *r, uint32_t from, uint32_t to) {
  if (r->pieces == 0 || to % 8 == 0) return false;
  const ss_piece_of_key *last = &r->piece[r->pieces - 1];
  return (uint32_t)last->from + last->size == from && (uint32_t)last->to + last->size == to;
}

// The bytes `from` on of a frame are those of the key `to` on: a piece for every word that they are in.
static bool add_pieces(ss_recipe *r, uint32_t from, uint32_t to, uint32_t size) {
  if (r->needed < from + size) r->needed = from + size;
  memset((uint8_t *)r->key + to, 0, size);
  for (uint32_t part; size > 0; from += part, to += part, size -= part) {
    part = size < 8 - to % 8 ? size : 8 - to % 8;
    if (goes_on(r, from, to)) {
      r->piece[r->pieces - 1].size = (uint8_t)(r->piece[r->pieces - 1].size + part);
    } else if (r->pieces < SS_KEY_PIECES) {
      r->piece[r->pieces++] = (ss_piece_of_key){(uint8_t)from, (uint8_t)to, (uint8_t)part};
    } else {
      return false;
    }
  }
  return true;
}

// A field that is not in the frame is taken for a constant.
static bool learn_pieces(ss_recipe *r, const ss_table *t, const uint8_t *frame, uint32_t len) {
  const uint8_t *key = (const uint8_t *)r->key;
  uint32_t at = 0;
  r->pieces = 0;
  for (unsigned f = 0; f < t->desc->fields; f++) {
    uint32_t size = (t->desc->field[f].bits + 7u) / 8u;
    int from = size < 2 ? -1 : find_bytes(frame, len, key + at, size);
    if (from >= 0 && !add_pieces(r, (uint32_t)from, at, size)) return false;
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
  if (t->key_words <= SS_KEY_WORDS) learn(w, x, t, key);
}

// --- guessing

// `size` (1 … 8) bytes as the first ones of a word in memory, by loads of just that size.
static inline uint64_t first_bytes(const uint8_t *from, unsigned size) {
  uint64_t eight, word = 0;
  uint32_t four;
  uint16_t two;
  switch (size) {
    case 2: memcpy(&two, from, sizeof two); return two;
    case 4: memcpy(&four, from, sizeof four); return four;
    case 8: memcpy(&eight, from, sizeof eight); return eight;
    default:
      for (unsigned i = 0; i < size; i++) word |= (uint64_t)from[i] << i * 8;
      return word;
  }
}

// The key is put together in words: see declare_key in codegen/packing.py.
static void guess(ss_guesses *g, const ss_recipe *r, const uint8_t *frame) {
  const ss_table *t = r->table;
  uint64_t key[SS_KEY_WORDS];
  memcpy(key, r->key, sizeof key);
  for (unsigned i = 0; i < r->pieces; i++) {
    const ss_piece_of_key *piece = &r->piece[i];
    key[piece->to / 8] |= first_bytes(frame + piece->from, piece->size) << piece->to % 8 * 8;
  }
  const ss_hash *h = atomic_load_explicit(&t->hash, memory_order_acquire);
  uint64_t hash = ss_hash_key(t->seed, key, t->key_words);
  const _Atomic uint64_t *slot = ss_hash_slot(h, hash);
  __builtin_prefetch((const void *)slot);
  g->hash[g->n] = hash;
  g->slot[g->n++] = slot;
}

void ss_foresee(ss_worker *w, unsigned place, uint32_t port, const uint8_t *frame, uint32_t len) {
  ss_guesses *g = &w->guesses[place % SS_FORESIGHT];
  g->n = 0;
  if (len < 14 || w->recipes[0].table == NULL) return;
  uint32_t kind = kind_of(port, frame);
  for (unsigned i = 0; i < SS_RECIPES && g->n < SS_GUESSES; i++) {
    const ss_recipe *r = &w->recipes[i];
    if (r->table != NULL && r->kind == kind && r->needed <= len) guess(g, r, frame);
  }
}

void ss_foresee_rows(ss_worker *w, unsigned place) {
  const ss_guesses *g = &w->guesses[place % SS_FORESIGHT];
  for (unsigned i = 0; i < g->n; i++) {
    const ss_row *row = ss_slot_row(g->slot[i], g->hash[i]);
    if (row == NULL) continue;
    __builtin_prefetch((const void *)&row->packets);
    __builtin_prefetch((const void *)&row->last_hit_ns, 1);
  }
}

void ss_foresee_nothing(ss_worker *w) {
  for (unsigned i = 0; i < SS_FORESIGHT; i++) w->guesses[i].n = 0;
  w->guessed = NULL;
}
