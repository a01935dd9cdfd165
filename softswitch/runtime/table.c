// SPDX-License-Identifier: Apache-2.0
// Tables: life, and writes by the control plane. An entry is one immutable row; a change publishes another in
// its place with a single store, and the old one is freed when no packet can hold it. Counts that packets in
// flight add to the old row are carried over.
#include "internal.h"
#include <stdlib.h>

ss_table *ss_table_by_id(ss_switch *sw, uint32_t id) {
  for (uint32_t i = 0; i < sw->program->tables; i++) {
    if (sw->tables[i].desc->id == id) return &sw->tables[i];
  }
  return NULL;
}

// --- the registry: a slot for every row, for scans

static int registry_reserve(ss_table *t) {
  if (t->free_count > 0 || t->slots < t->slots_cap) return SS_OK;
  uint32_t cap = t->slots_cap == 0 ? 16 : t->slots_cap * 2;
  ss_row **rows = realloc(t->rows, cap * sizeof *rows);
  if (rows == NULL) return SS_RESOURCE_EXHAUSTED;
  t->rows = rows;
  uint32_t *free_slots = realloc(t->free_slots, cap * sizeof *free_slots);
  if (free_slots == NULL) return SS_RESOURCE_EXHAUSTED;
  t->free_slots = free_slots;
  t->slots_cap = cap;
  return SS_OK;
}

static void registry_add(ss_table *t, ss_row *row) {
  row->slot = t->free_count > 0 ? t->free_slots[--t->free_count] : t->slots++;
  t->rows[row->slot] = row;
  t->count++;
}

static void registry_remove(ss_table *t, const ss_row *row) {
  t->rows[row->slot] = NULL;
  t->free_slots[t->free_count++] = row->slot;
  t->count--;
}

// --- rows

static ss_row *row_new(const ss_switch *sw, ss_table *t, uint16_t action, const uint64_t *key,
                       const ss_entry_t *e) {
  uint32_t params_len = action == UINT16_MAX ? 0 : t->desc->action[action].params_len;
  ss_row *row = ss_rows_take(&t->store);
  if (row == NULL) return NULL;
  row->action = action;
  row->params_offset = (uint16_t)t->params_offset;
  row->flags = (uint8_t)e->flags;
  row->hit = !(e->flags & SS_DEFAULT);
  row->priority = e->priority;
  row->member_or_group = e->member_or_group;
  row->metadata = e->metadata;
  row->idle_timeout_ns = e->idle_timeout_ns;
  row->idle_from_ns = ss_now(sw);
  atomic_init(&row->last_hit_ns, row->idle_from_ns);
  atomic_init(&row->packets, e->initial_packets < 0 ? 0 : (uint64_t)e->initial_packets);
  atomic_init(&row->bytes, e->initial_bytes < 0 ? 0 : (uint64_t)e->initial_bytes);
  if (key != NULL) memcpy(row->data, key, t->stored_words * 8);
  if (params_len > 0) memcpy(row->data + t->params_offset, e->params, params_len);
  return row;
}

static void give_row(void *object, void *arg) {
  ss_table *t = arg;
  ss_rows_give(&t->store, object);
}

static void free_with_meter(void *object, void *arg) {
  free(*ss_row_meter(arg, object));
  give_row(object, arg);
}

// A row that no packet has seen, or when none runs.
static void row_free(ss_table *t, ss_row *row) {
  if (row == NULL) return;
  if (t->meter_offset != 0) free(*ss_row_meter(t, row));
  give_row(row, t);
}

// What a new entry has of its own: a meter, a hold on its choice.
static int attach(const ss_switch *sw, const ss_table *t, ss_row *row) {
  if (t->meter_offset != 0) {
    *ss_row_meter(t, row) = ss_meter_cell_new();
    if (*ss_row_meter(t, row) == NULL) return SS_RESOURCE_EXHAUSTED;
  }
  if (t->choice_offset != 0) *ss_row_choice(t, row) = ss_choice_of(sw, t, row->member_or_group);
  return t->choice_offset != 0 && *ss_row_choice(t, row) == NULL ? SS_NOT_FOUND : SS_OK;
}

// What a replaced row had counted when its successor took over.
typedef struct {
  ss_table *table;
  ss_row *successor;
  uint64_t packets, bytes;
} handover;

static void free_replaced(void *object, void *arg) {
  ss_row *old = object;
  handover *h = arg;
  uint64_t last = atomic_load(&old->last_hit_ns);
  atomic_fetch_add(&h->successor->packets, atomic_load(&old->packets) - h->packets);
  atomic_fetch_add(&h->successor->bytes, atomic_load(&old->bytes) - h->bytes);
  if (atomic_load(&h->successor->last_hit_ns) < last) atomic_store(&h->successor->last_hit_ns, last);
  give_row(old, h->table);
  free(h);
}

// Takes over counts (unless given anew) and the time of the last hit.
static handover *take_over(ss_table *t, ss_row *row, ss_row *old, const ss_entry_t *e) {
  handover *h = malloc(sizeof *h);
  if (h == NULL) return NULL;
  h->table = t;
  h->successor = row;
  h->packets = atomic_load(&old->packets);
  h->bytes = atomic_load(&old->bytes);
  if (e->initial_packets < 0) atomic_store(&row->packets, h->packets);
  if (e->initial_bytes < 0) atomic_store(&row->bytes, h->bytes);
  atomic_store(&row->last_hit_ns, atomic_load(&old->last_hit_ns));
  row->slot = old->slot;
  return h;
}

// --- insert, modify, delete

static ss_row *find(ss_table *t, const uint64_t *stored, int32_t priority) {
  if (t->desc->kind == SS_TABLE_TERNARY) return ss_vector_find(t, stored, priority);
  return ss_hash_find(atomic_load(&t->hash), stored, t->stored_words,
                      ss_hash_key(t->seed, stored, t->stored_words));
}

static int insert(ss_switch *sw, ss_table *t, const uint64_t *key, const ss_entry_t *e, uint16_t action) {
  if (find(t, key, e->priority) != NULL) return SS_ALREADY_EXISTS;
  if (t->count >= t->desc->size) return SS_RESOURCE_EXHAUSTED;
  ss_row *row = row_new(sw, t, action, key, e);
  if (row == NULL) return SS_RESOURCE_EXHAUSTED;
  int error = attach(sw, t, row);
  if (error == SS_OK) error = registry_reserve(t);
  if (error == SS_OK && t->desc->kind == SS_TABLE_LPM)
    error = ss_lpm_add_length(sw, t, (uint32_t)key[t->key_words]);
  if (error == SS_OK) {
    error = t->desc->kind == SS_TABLE_TERNARY ? ss_vector_insert(sw, t, row) : ss_hash_insert(sw, t, row);
    if (error != SS_OK && t->desc->kind == SS_TABLE_LPM)
      ss_lpm_drop_length(sw, t, (uint32_t)key[t->key_words]);
  }
  if (error != SS_OK) {
    row_free(t, row);
    return error;
  }
  if (t->choice_offset != 0) ss_choice_hold(*ss_row_choice(t, row));
  registry_add(t, row);
  return SS_OK;
}

static int modify(ss_switch *sw, ss_table *t, ss_row *old, const uint64_t *key, const ss_entry_t *e,
                  uint16_t action) {
  if (old == NULL) return SS_NOT_FOUND;
  if (old->flags & SS_CONST) return SS_PERMISSION_DENIED;
  ss_choice *choice = t->choice_offset == 0 ? NULL : ss_choice_of(sw, t, e->member_or_group);
  if (t->choice_offset != 0 && choice == NULL) return SS_NOT_FOUND;
  ss_row *row = row_new(sw, t, action, key, e);
  handover *h = row == NULL ? NULL : take_over(t, row, old, e);
  int error = h == NULL ? SS_RESOURCE_EXHAUSTED : SS_OK;
  if (error == SS_OK && t->meter_offset != 0) *ss_row_meter(t, row) = *ss_row_meter(t, old);
  if (error == SS_OK && choice != NULL) *ss_row_choice(t, row) = choice;
  if (error == SS_OK && t->desc->kind == SS_TABLE_TERNARY) {
    error = ss_vector_replace(sw, t, old, row);
  } else if (error == SS_OK) {
    ss_hash_replace(t, old, row);
  }
  if (error != SS_OK) {
    if (row != NULL) give_row(row, t);
    free(h);
    return error;
  }
  if (choice != NULL) {
    ss_choice_hold(choice);
    ss_choice_drop(*ss_row_choice(t, old));
  }
  t->rows[row->slot] = row;
  ss_retire(sw, old, free_replaced, h);
  return SS_OK;
}

static int delete(ss_switch *sw, ss_table *t, ss_row *old, const uint64_t *key) {
  if (old == NULL) return SS_NOT_FOUND;
  if (old->flags & SS_CONST) return SS_PERMISSION_DENIED;
  if (t->desc->kind == SS_TABLE_TERNARY) {
    int error = ss_vector_replace(sw, t, old, NULL);
    if (error != SS_OK) return error;
  } else {
    ss_hash_replace(t, old, NULL);
  }
  if (t->desc->kind == SS_TABLE_LPM) ss_lpm_drop_length(sw, t, (uint32_t)key[t->key_words]);
  if (t->choice_offset != 0) ss_choice_drop(*ss_row_choice(t, old));
  registry_remove(t, old);
  ss_retire(sw, old, t->meter_offset != 0 ? free_with_meter : give_row, t);
  return SS_OK;
}

static int write_entry(ss_switch *sw, ss_table *t, uint32_t op, const ss_entry_t *e) {
  uint64_t key[t->stored_words + 1], mask[t->key_words + 1];
  uint16_t action = 0;
  if (t->desc->const_entries) return SS_PERMISSION_DENIED;
  int error = ss_check_key(t, e, key, mask);
  if (error != SS_OK) return error;
  if (op == SS_DELETE) return delete (sw, t, find(t, key, e->priority), key);
  if (e->idle_timeout_ns != 0 && !t->desc->idle) return SS_INVALID_ARGUMENT;
  error = ss_check_action(t, e, &action);
  if (error != SS_OK) return error;
  if (op == SS_INSERT) return insert(sw, t, key, e, action);
  return modify(sw, t, find(t, key, e->priority), key, e, action);
}

// --- the default entry

static int set_default(ss_switch *sw, ss_table *t, uint16_t action, const ss_entry_t *e) {
  ss_row *row = row_new(sw, t, action, NULL, e);
  if (row == NULL) return SS_RESOURCE_EXHAUSTED;
  ss_row *old = atomic_exchange(&t->default_row, row);
  if (old != NULL) ss_retire(sw, old, give_row, t);
  return SS_OK;
}

static int reset_default(ss_switch *sw, ss_table *t) {
  const ss_action_desc *action = &t->desc->action[t->desc->default_action];
  ss_entry_t e = {.flags = SS_DEFAULT,
                  .params = t->desc->default_params,
                  .params_len = action->params_len,
                  .initial_packets = -1,
                  .initial_bytes = -1};
  return set_default(sw, t, t->desc->default_action, &e);
}

static int write_default(ss_switch *sw, ss_table *t, uint32_t op, const ss_entry_t *e) {
  uint16_t action = 0;
  if (op != SS_MODIFY) return SS_INVALID_ARGUMENT;
  if (t->desc->const_default) return SS_PERMISSION_DENIED;
  if (e->action_id == 0) return reset_default(sw, t);
  int error = ss_check_action(t, e, &action);
  if (error != SS_OK) return error;
  if (e->idle_timeout_ns != 0 || e->priority != 0) return SS_INVALID_ARGUMENT;
  return set_default(sw, t, action, e);
}

int ss_table_write(ss_switch *sw, uint32_t op, const ss_entry_t *entry) {
  ss_table *t = ss_table_by_id(sw, entry->table_id);
  ss_entry_t e = *entry;
  if (t == NULL) return SS_NOT_FOUND;
  if (op < SS_INSERT || op > SS_DELETE) return SS_INVALID_ARGUMENT;
  e.flags &= SS_DEFAULT;
  pthread_mutex_lock(&sw->control);
  int error = e.flags ? write_default(sw, t, op, &e) : write_entry(sw, t, op, &e);
  ss_reclaim_some(sw);
  pthread_mutex_unlock(&sw->control);
  return error;
}

// The row that a probe names (by key and priority, or the default one); NULL with *error set. The control
// lock is held.
ss_row *ss_row_probe(ss_table *t, const ss_entry_t *probe, int *error) {
  uint64_t key[t->stored_words + 1], mask[t->key_words + 1];
  *error = SS_OK;
  if (probe->flags & SS_DEFAULT) return atomic_load(&t->default_row);
  *error = ss_check_key(t, probe, key, mask);
  if (*error != SS_OK) return NULL;
  ss_row *row = find(t, key, probe->priority);
  if (row == NULL) *error = SS_NOT_FOUND;
  return row;
}

// --- life

static int add_program_entry(ss_switch *sw, ss_table *t, const ss_entry_desc *d) {
  uint64_t key[t->stored_words + 1], mask[t->key_words + 1];
  ss_entry_t e = {.priority = d->priority,
                  .flags = d->is_const ? SS_CONST : 0,
                  .key = d->key,
                  .mask = d->mask,
                  .params = d->params,
                  .initial_packets = -1,
                  .initial_bytes = -1};
  int error = ss_check_key(t, &e, key, mask);
  if (error != SS_OK) return error;
  error = insert(sw, t, key, &e, d->action);
  return error == SS_ALREADY_EXISTS ? SS_OK : error;  // the first of two equal entries wins
}

static size_t longest_params(const ss_table_desc *desc) {
  size_t longest = 0;
  for (unsigned i = 0; i < desc->actions; i++) {
    if (desc->action[i].params_len > longest) longest = desc->action[i].params_len;
  }
  return longest;
}

static int table_init(ss_switch *sw, ss_table *t, const ss_table_desc *desc, uint64_t seed) {
  int error = SS_OK;
  t->desc = desc;
  t->seed = seed;
  for (unsigned f = 0; f < desc->fields; f++) t->key_bytes += (desc->field[f].bits + 7u) / 8u;
  t->key_words = (t->key_bytes + 7) / 8;
  t->stored_words = t->key_words * (desc->kind == SS_TABLE_TERNARY ? 2 : 1) + (desc->kind == SS_TABLE_LPM);
  t->params_offset = t->stored_words * 8;
  // An entry's pointers begin behind its key; a table without a key has no entries, and so none of them.
  if (desc->fields > 0 && desc->metered != SS_UNMETERED) {
    t->meter_offset = t->params_offset;
    t->params_offset += 8;
  }
  if (desc->fields > 0 && desc->profile != 0) {
    t->choice_offset = t->params_offset;
    t->params_offset += 8;
  }
  ss_rows_init(&t->store, sizeof(ss_row) + t->params_offset + longest_params(desc));
  if (desc->kind == SS_TABLE_TERNARY) {
    error = ss_vector_init(t);
  } else {
    atomic_store(&t->hash, ss_hash_new(16));
    if (atomic_load(&t->hash) == NULL) return SS_RESOURCE_EXHAUSTED;
    if (desc->kind == SS_TABLE_LPM) error = ss_lpm_init(t);
  }
  if (error == SS_OK) error = reset_default(sw, t);
  for (uint32_t i = 0; error == SS_OK && i < desc->entries; i++)
    error = add_program_entry(sw, t, &desc->entry[i]);
  return error;
}

int ss_tables_init(ss_switch *sw) {
  sw->tables = calloc(sw->program->tables + 1, sizeof *sw->tables);
  if (sw->tables == NULL) return SS_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < sw->program->tables; i++) {
    uint64_t seed = ss_random_seed();
    int error = table_init(sw, &sw->tables[i], &sw->program->table[i], seed);
    if (error != SS_OK) return error;
  }
  return SS_OK;
}

static void table_free(ss_table *t) {
  for (uint32_t i = 0; i < t->slots; i++) row_free(t, t->rows[i]);
  free(t->rows);
  free(t->free_slots);
  ss_rows_free(&t->store);
  ss_hash_free(atomic_load(&t->hash), NULL);
  ss_lpm_free(t);
  ss_vector_free(t);
}

void ss_tables_free(ss_switch *sw) {
  if (sw->tables == NULL) return;
  for (uint32_t i = 0; i < sw->program->tables; i++) table_free(&sw->tables[i]);
  free(sw->tables);
}
