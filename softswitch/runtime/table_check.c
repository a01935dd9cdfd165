// SPDX-License-Identifier: Apache-2.0
// Validation of what the control plane writes into tables, after the rules of P4Runtime (sections 9.1
// and 9.1.1), and the form in which keys are stored.
#include "internal.h"

typedef struct {
  const ss_field_desc *field;
  const uint8_t *key, *mask;  // mask may be NULL: exact
  uint32_t size;              // bytes
} field_value;

static bool fits(const uint8_t *value, uint32_t bytes, uint32_t bits) {
  return bits % 8 == 0 || bytes == 0 || value[0] >> (bits % 8) == 0;
}

static bool all_ones(const field_value *v) {
  for (uint32_t bit = 0; bit < v->field->bits; bit++) {
    if (!ss_get_bits(v->mask, v->size * 8 - v->field->bits + bit, 1)) return false;
  }
  return true;
}

static bool all_zeros(const uint8_t *value, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) {
    if (value[i] != 0) return false;
  }
  return true;
}

static bool within_mask(const field_value *v) {
  for (uint32_t i = 0; i < v->size; i++) {
    if (v->key[i] & ~v->mask[i]) return false;
  }
  return true;
}

// Length of the prefix, or -1 when the mask is none.
static int prefix_length(const field_value *v) {
  uint32_t spare = v->size * 8 - v->field->bits, length = 0;
  while (length < v->field->bits && ss_get_bits(v->mask, spare + length, 1)) length++;
  for (uint32_t bit = length; bit < v->field->bits; bit++) {
    if (ss_get_bits(v->mask, spare + bit, 1)) return -1;
  }
  return (int)length;
}

static int check_masked(const field_value *v) {
  switch (v->field->match) {
    case SS_EXACT: return v->mask == NULL || all_ones(v) ? SS_OK : SS_INVALID_ARGUMENT;
    case SS_RANGE:
      return v->mask != NULL && memcmp(v->key, v->mask, v->size) <= 0 ? SS_OK : SS_INVALID_ARGUMENT;
    case SS_LPM:
      if (v->mask == NULL) return SS_OK;
      return prefix_length(v) >= 0 && within_mask(v) ? SS_OK : SS_INVALID_ARGUMENT;
    case SS_OPTIONAL:
      if (v->mask == NULL || all_ones(v)) return SS_OK;
      return all_zeros(v->mask, v->size) && within_mask(v) ? SS_OK : SS_INVALID_ARGUMENT;
    default: return v->mask == NULL || within_mask(v) ? SS_OK : SS_INVALID_ARGUMENT;
  }
}

static void store_ones(uint8_t *to, const ss_field_desc *field, uint32_t size) {
  memset(to, 0xff, size);
  if (field->bits % 8 != 0) to[0] = (uint8_t)(0xff >> (8 - field->bits % 8));
}

// key[] gets the stored form: the key, then for LPM the prefix length, for ternary the mask; mask[] the mask
// of all fields.
int ss_check_key(const ss_table *t, const ss_entry_t *entry, uint64_t *key, uint64_t *mask) {
  uint32_t at = 0;
  bool prioritised = t->desc->kind == SS_TABLE_TERNARY;
  memset(key, 0, t->stored_words * 8);
  memset(mask, 0, t->key_words * 8);
  if (t->desc->fields == 0 || entry->key == NULL) return SS_INVALID_ARGUMENT;
  if (prioritised ? entry->priority <= 0 : entry->priority != 0) return SS_INVALID_ARGUMENT;
  for (unsigned f = 0; f < t->desc->fields; f++) {
    const ss_field_desc *field = &t->desc->field[f];
    field_value v = {field, entry->key + at, entry->mask == NULL ? NULL : entry->mask + at,
                     (field->bits + 7u) / 8u};
    if (!fits(v.key, v.size, field->bits)) return SS_OUT_OF_RANGE;
    if (v.mask != NULL && field->match != SS_EXACT && !fits(v.mask, v.size, field->bits))
      return SS_OUT_OF_RANGE;
    int error = check_masked(&v);
    if (error != SS_OK) return error;
    memcpy((uint8_t *)key + at, v.key, v.size);
    if (v.mask == NULL || field->match == SS_EXACT) {
      store_ones((uint8_t *)mask + at, field, v.size);
    } else {
      memcpy((uint8_t *)mask + at, v.mask, v.size);
    }
    if (field->match == SS_LPM && t->desc->kind == SS_TABLE_LPM) {
      key[t->key_words] = v.mask == NULL ? field->bits : (uint64_t)prefix_length(&v);
    }
    at += v.size;
  }
  if (prioritised) memcpy(key + t->key_words, mask, t->key_words * 8);
  return SS_OK;
}

int ss_check_params(const ss_action_desc *action, const uint8_t *params, uint32_t params_len) {
  uint32_t at = 0;
  if (params_len != action->params_len) return SS_INVALID_ARGUMENT;
  if (params_len > 0 && params == NULL) return SS_INVALID_ARGUMENT;
  for (unsigned p = 0; p < action->params; p++) {
    uint32_t size = (action->param_bits[p] + 7u) / 8u;
    if (!fits(params + at, size, action->param_bits[p])) return SS_OUT_OF_RANGE;
    at += size;
  }
  return SS_OK;
}

int ss_check_action(const ss_table *t, const ss_entry_t *entry, uint16_t *action) {
  bool is_default = entry->flags & SS_DEFAULT, indirect = t->choice_offset != 0 && !is_default;
  if (indirect != (entry->member_or_group != 0)) return SS_INVALID_ARGUMENT;
  if (indirect) {
    *action = UINT16_MAX;
    return SS_OK;
  }
  for (uint16_t a = 0; a < t->desc->actions; a++) {
    const ss_action_desc *desc = &t->desc->action[a];
    if (desc->id != entry->action_id) continue;
    if (is_default ? desc->table_only : desc->default_only) return SS_PERMISSION_DENIED;
    *action = a;
    return ss_check_params(desc, entry->params, entry->params_len);
  }
  return SS_INVALID_ARGUMENT;
}
