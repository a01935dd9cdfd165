// SPDX-License-Identifier: Apache-2.0
// Reading tables: records of switch.h.
#include "internal.h"

// Ones for the first `ones` bits of a field, which lies in the last of the bits of its bytes.
static void write_ones(uint8_t *to, uint32_t bits, uint32_t ones) {
  const uint32_t size = (bits + 7) / 8, spare = size * 8 - bits;
  if (ones == bits) {
    memset(to, 0xff, size);
    to[0] = (uint8_t)(0xff >> spare);
    return;
  }
  for (uint32_t bit = 0; bit < ones; bit++) ss_put_bits(to, spare + bit, 1, 1);
}

// The mask of a stored row, in the layout of switch.h.
static void write_mask(const ss_table *t, const ss_row *row, uint8_t *to) {
  const uint64_t *key = ss_row_key_const(row);
  uint32_t at = 0;
  if (t->desc->kind == SS_TABLE_TERNARY) {
    memcpy(to, key + t->key_words, t->key_bytes);
    return;
  }
  memset(to, 0, t->key_bytes);
  for (unsigned f = 0; f < t->desc->fields; f++) {
    const ss_field_desc *field = &t->desc->field[f];
    uint32_t size = (field->bits + 7u) / 8u;
    uint32_t ones = field->match == SS_LPM ? (uint32_t)key[t->key_words] : field->bits;
    write_ones(to + at, field->bits, ones);
    at += size;
  }
}

typedef struct {
  uint32_t record_len, table_id, action_id;
  int32_t priority;
  uint32_t flags, member_or_group;
  uint64_t idle_timeout_ns, since_last_hit_ns, metadata, packets, bytes;
  uint32_t key_len, params_len;
} record_head;

_Static_assert(sizeof(record_head) == 72, "the record's head has no padding");

// 0 when it does not fit.
size_t ss_row_record(const ss_switch *sw, const ss_table *t, const ss_row *row, uint8_t *buf,
                     size_t buf_len) {
  static const ss_action_desc indirect = {0};
  const ss_action_desc *action = row->action == UINT16_MAX ? &indirect : &t->desc->action[row->action];
  uint32_t key_len = row->flags & SS_DEFAULT ? 0 : t->key_bytes;
  size_t len = sizeof(record_head) + 2 * (size_t)key_len + action->params_len;
  if (len > buf_len) return 0;
  uint64_t now = ss_now(sw), last = atomic_load(&row->last_hit_ns);
  record_head head = {.record_len = (uint32_t)len,
                      .table_id = t->desc->id,
                      .action_id = action->id,
                      .priority = row->priority,
                      .flags = row->flags,
                      .member_or_group = row->member_or_group,
                      .idle_timeout_ns = row->idle_timeout_ns,
                      .since_last_hit_ns = now > last ? now - last : 0,
                      .metadata = row->metadata,
                      .packets = atomic_load(&row->packets),
                      .bytes = atomic_load(&row->bytes),
                      .key_len = key_len,
                      .params_len = action->params_len};
  memcpy(buf, &head, sizeof head);
  if (key_len > 0) {
    memcpy(buf + sizeof head, row->data, key_len);
    write_mask(t, row, buf + sizeof head + key_len);
  }
  memcpy(buf + sizeof head + 2 * (size_t)key_len, ss_params(row), action->params_len);
  return len;
}

size_t ss_table_read(ss_switch *sw, uint32_t table_id, uint64_t *cursor, uint8_t *buf, size_t buf_len) {
  ss_table *t = ss_table_by_id(sw, table_id);
  size_t used = 0;
  if (t == NULL) return 0;
  pthread_mutex_lock(&sw->control);
  for (; *cursor < t->slots; ++*cursor) {
    const ss_row *row = t->rows[*cursor];
    if (row == NULL) continue;
    size_t len = ss_row_record(sw, t, row, buf + used, buf_len - used);
    if (len == 0) break;
    used += len;
  }
  pthread_mutex_unlock(&sw->control);
  return used;
}

size_t ss_table_lookup(ss_switch *sw, const ss_entry_t *probe, uint8_t *buf, size_t buf_len) {
  ss_table *t = ss_table_by_id(sw, probe->table_id);
  int error;
  if (t == NULL) return 0;
  pthread_mutex_lock(&sw->control);
  const ss_row *row = ss_row_probe(t, probe, &error);
  size_t len = row == NULL ? 0 : ss_row_record(sw, t, row, buf, buf_len);
  pthread_mutex_unlock(&sw->control);
  return len;
}

uint64_t ss_table_count(ss_switch *sw, uint32_t table_id) {
  const ss_table *t = ss_table_by_id(sw, table_id);
  if (t == NULL) return 0;
  pthread_mutex_lock(&sw->control);
  uint64_t count = t->count;
  pthread_mutex_unlock(&sw->control);
  return count;
}

int ss_direct_counter_write(ss_switch *sw, const ss_entry_t *probe, uint64_t packets, uint64_t bytes) {
  ss_table *t = ss_table_by_id(sw, probe->table_id);
  int error;
  if (t == NULL) return SS_NOT_FOUND;
  if (!t->desc->counted) return SS_INVALID_ARGUMENT;
  pthread_mutex_lock(&sw->control);
  ss_row *row = ss_row_probe(t, probe, &error);
  if (row != NULL) {
    atomic_store(&row->packets, packets);
    atomic_store(&row->bytes, bytes);
  }
  pthread_mutex_unlock(&sw->control);
  return error;
}
