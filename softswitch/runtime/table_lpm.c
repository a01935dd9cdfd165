// SPDX-License-Identifier: Apache-2.0
// The longest-prefix store: the exact store holds masked keys with the prefix length as one more word, and is
// asked once per length in use, the longest first. The list of lengths is published as a whole.
#include "internal.h"
#include <stdlib.h>

typedef struct {
  uint32_t n;
  uint16_t lengths[];  // longest first
} length_list;

struct ss_prefixes {
  _Atomic(length_list *) list;
  uint32_t width;   // of the LPM field, in bits
  uint32_t *count;  // entries per length
  uint64_t *masks;  // (width + 1) × key_words
};

// The mask of one length: ones in the other fields and in the first `length` bits of the LPM field.
static void fill_mask(const ss_table *t, uint32_t length, uint64_t *mask) {
  uint8_t *bytes = (uint8_t *)mask;
  memset(bytes, 0, t->key_words * 8);
  uint32_t at = 0;
  for (unsigned f = 0; f < t->desc->fields; f++) {
    const ss_field_desc *field = &t->desc->field[f];
    uint32_t size = (field->bits + 7u) / 8u;
    if (field->match == SS_LPM) {
      uint32_t spare = size * 8 - field->bits;
      for (uint32_t bit = 0; bit < length; bit++) ss_put_bits(bytes + at, spare + bit, 1, 1);
    } else {
      memset(bytes + at, 0xff, size);
    }
    at += size;
  }
}

static uint32_t lpm_width(const ss_table_desc *desc) {
  for (unsigned f = 0; f < desc->fields; f++) {
    if (desc->field[f].match == SS_LPM) return desc->field[f].bits;
  }
  return 0;
}

int ss_lpm_init(ss_table *t) {
  ss_prefixes *p = calloc(1, sizeof *p);
  if (p == NULL) return SS_RESOURCE_EXHAUSTED;
  atomic_store(&t->prefixes, p);
  p->width = lpm_width(t->desc);
  p->count = calloc(p->width + 1, sizeof *p->count);
  p->masks = calloc((size_t)(p->width + 1) * t->key_words, 8);
  length_list *list = calloc(1, sizeof *list);
  atomic_store(&p->list, list);
  if (p->count == NULL || p->masks == NULL || list == NULL) return SS_RESOURCE_EXHAUSTED;
  for (uint32_t length = 0; length <= p->width; length++)
    fill_mask(t, length, p->masks + length * t->key_words);
  return SS_OK;
}

void ss_lpm_free(ss_table *t) {
  ss_prefixes *p = atomic_load(&t->prefixes);
  if (p == NULL) return;
  free(atomic_load(&p->list));
  free(p->count);
  free(p->masks);
  free(p);
}

static int publish(ss_switch *sw, ss_prefixes *p) {
  length_list *list = malloc(sizeof *list + (p->width + 1) * sizeof list->lengths[0]);
  if (list == NULL) return SS_RESOURCE_EXHAUSTED;
  list->n = 0;
  for (uint32_t length = p->width + 1; length-- > 0;) {
    if (p->count[length] > 0) list->lengths[list->n++] = (uint16_t)length;
  }
  ss_retire(sw, atomic_exchange(&p->list, list), ss_free_plain, NULL);
  return SS_OK;
}

int ss_lpm_add_length(ss_switch *sw, ss_table *t, uint32_t length) {
  ss_prefixes *p = atomic_load(&t->prefixes);
  if (p->count[length]++ > 0) return SS_OK;
  int error = publish(sw, p);
  if (error != SS_OK) p->count[length]--;
  return error;
}

// A list that could not be shortened for lack of memory only costs a probe.
void ss_lpm_drop_length(ss_switch *sw, ss_table *t, uint32_t length) {
  ss_prefixes *p = atomic_load(&t->prefixes);
  if (--p->count[length] == 0) (void)publish(sw, p);
}

const ss_row *ss_apply_lpm(ss_exec *x, uint32_t table, const uint64_t *key) {
  const ss_table *t = &x->sw->tables[table];
  const ss_prefixes *p = atomic_load_explicit(&t->prefixes, memory_order_relaxed);
  const length_list *list = atomic_load_explicit(&p->list, memory_order_acquire);
  const ss_hash *h = atomic_load_explicit(&t->hash, memory_order_acquire);
  uint64_t masked[t->stored_words];
  for (uint32_t i = 0; i < list->n; i++) {
    const uint64_t *mask = p->masks + list->lengths[i] * t->key_words;
    for (uint32_t w = 0; w < t->key_words; w++) masked[w] = key[w] & mask[w];
    masked[t->key_words] = list->lengths[i];
    ss_row *row = ss_hash_find(h, masked, t->stored_words, ss_hash_key(t->seed, masked, t->stored_words));
    if (row != NULL) return ss_account(x, t, row, false);
  }
  return ss_account(x, t, NULL, false);
}
