// SPDX-License-Identifier: Apache-2.0
// The store for ternary, range and optional matches: rows in order of falling priority, equal ones in order
// of insertion, in an array that is replaced as a whole by each change. A lookup takes the first that
// matches.
#include "internal.h"
#include <stdlib.h>

struct ss_vector {
  uint32_t n;
  ss_row *rows[];
};

static const ss_vector *current(const ss_table *t) {
  return atomic_load_explicit(&t->vector, memory_order_acquire);
}

static bool in_ranges(const ss_table *t, const ss_row *row, const uint8_t *key) {
  const uint8_t *low = row->data, *high = row->data + t->key_words * 8;
  uint32_t at = 0;
  for (unsigned f = 0; f < t->desc->fields; f++) {
    uint32_t size = (t->desc->field[f].bits + 7u) / 8u;
    if (t->desc->field[f].match == SS_RANGE &&
        (memcmp(key + at, low + at, size) < 0 || memcmp(key + at, high + at, size) > 0)) {
      return false;
    }
    at += size;
  }
  return true;
}

static bool matches(const ss_table *t, const ss_row *row, const uint64_t *key) {
  const uint64_t *value = ss_row_key_const(row);
  const uint64_t *mask = value + t->key_words;
  uint64_t difference = 0;
  if (t->range_mask == NULL) {
    for (uint32_t w = 0; w < t->key_words; w++) difference |= (key[w] ^ value[w]) & mask[w];
    return difference == 0;
  }
  for (uint32_t w = 0; w < t->key_words; w++) difference |= (key[w] ^ value[w]) & mask[w] & t->range_mask[w];
  return difference == 0 && in_ranges(t, row, (const uint8_t *)key);
}

const ss_row *ss_apply_ternary(ss_exec *x, uint32_t table, const uint64_t *key) {
  const ss_table *t = &x->sw->tables[table];
  const ss_vector *v = current(t);
  for (uint32_t i = 0; i < v->n; i++) {
    if (matches(t, v->rows[i], key)) return ss_account(x, t, v->rows[i], false);
  }
  return ss_account(x, t, NULL, false);
}

// The place of the first row with a priority below the given one.
static uint32_t first_below(const ss_vector *v, int32_t priority) {
  uint32_t low = 0, high = v->n;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (v->rows[middle]->priority >= priority) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

ss_row *ss_vector_find(ss_table *t, const uint64_t *key_mask, int32_t priority) {
  const ss_vector *v = current(t);
  for (uint32_t i = first_below(v, priority); i-- > 0 && v->rows[i]->priority == priority;) {
    if (memcmp(ss_row_key(v->rows[i]), key_mask, t->stored_words * 8) == 0) return v->rows[i];
  }
  return NULL;
}

static ss_vector *vector_new(uint32_t n) {
  ss_vector *v = malloc(sizeof *v + n * sizeof v->rows[0]);
  if (v != NULL) v->n = n;
  return v;
}

static void publish(ss_switch *sw, ss_table *t, ss_vector *v) {
  ss_retire(sw, atomic_exchange(&t->vector, v), ss_free_plain, NULL);
}

static bool has_ranges(const ss_table *t) {
  for (unsigned f = 0; f < t->desc->fields; f++) {
    if (t->desc->field[f].match == SS_RANGE) return true;
  }
  return false;
}

int ss_vector_init(ss_table *t) {
  atomic_store(&t->vector, vector_new(0));
  if (atomic_load(&t->vector) == NULL) return SS_RESOURCE_EXHAUSTED;
  if (!has_ranges(t)) return SS_OK;
  t->range_mask = calloc(t->key_words, 8);
  if (t->range_mask == NULL) return SS_RESOURCE_EXHAUSTED;
  uint32_t at = 0;
  for (unsigned f = 0; f < t->desc->fields; f++) {
    uint32_t size = (t->desc->field[f].bits + 7u) / 8u;
    if (t->desc->field[f].match != SS_RANGE) memset((uint8_t *)t->range_mask + at, 0xff, size);
    at += size;
  }
  return SS_OK;
}

void ss_vector_free(ss_table *t) {
  free(atomic_load(&t->vector));
  free(t->range_mask);
}

int ss_vector_insert(ss_switch *sw, ss_table *t, ss_row *row) {
  const ss_vector *old = current(t);
  ss_vector *v = vector_new(old->n + 1);
  if (v == NULL) return SS_RESOURCE_EXHAUSTED;
  uint32_t at = first_below(old, row->priority);
  memcpy(v->rows, old->rows, at * sizeof v->rows[0]);
  v->rows[at] = row;
  memcpy(v->rows + at + 1, old->rows + at, (old->n - at) * sizeof v->rows[0]);
  publish(sw, t, v);
  return SS_OK;
}

int ss_vector_replace(ss_switch *sw, ss_table *t, ss_row *old_row, ss_row *row) {
  const ss_vector *old = current(t);
  ss_vector *v = vector_new(row == NULL ? old->n - 1 : old->n);
  if (v == NULL) return SS_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0, to = 0; i < old->n; i++) {
    ss_row *each = old->rows[i] == old_row ? row : old->rows[i];
    if (each != NULL) v->rows[to++] = each;
  }
  publish(sw, t, v);
  return SS_OK;
}
