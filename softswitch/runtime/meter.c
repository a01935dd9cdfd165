// SPDX-License-Identifier: Apache-2.0
// Two-rate three-colour meters, colour-blind (RFC 2698, section 3). A cell that was never configured is
// green, as in BMv2. Like BMv2, only packets that are not red take committed tokens, and the peak bucket is
// asked first.
#include "internal.h"
#include <stdlib.h>

enum { GREEN, YELLOW, RED };

// A bucket in units of 1e-9 tokens: rate × nanoseconds needs no division.
typedef struct {
  uint64_t rate;  // tokens per second
  ss_u128 burst, tokens;
} bucket;

struct ss_meter_cell {
  atomic_flag busy;  // a few instructions long; workers and the control plane
  _Atomic bool configured;
  ss_meter_config_t config;
  uint64_t filled_ns;
  bucket committed, peak;
};

static const ss_u128 TOKEN = 1000000000;

int ss_meters_init(ss_switch *sw) {
  sw->meters = calloc(sw->program->meters + 1, sizeof *sw->meters);
  if (sw->meters == NULL) return SS_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < sw->program->meters; i++) {
    sw->meters[i] = calloc(sw->program->meter[i].size + 1, sizeof(ss_meter_cell));
    if (sw->meters[i] == NULL) return SS_RESOURCE_EXHAUSTED;
  }
  return SS_OK;
}

void ss_meters_free(ss_switch *sw) {
  if (sw->meters == NULL) return;
  for (uint32_t i = 0; i < sw->program->meters; i++) free(sw->meters[i]);
  free(sw->meters);
}

static void enter(ss_meter_cell *cell) {
  while (atomic_flag_test_and_set_explicit(&cell->busy, memory_order_acquire)) {
  }
}

static void leave(ss_meter_cell *cell) { atomic_flag_clear_explicit(&cell->busy, memory_order_release); }

static void fill(bucket *b, uint64_t elapsed_ns) {
  b->tokens += (ss_u128)b->rate * elapsed_ns;
  if (b->tokens > b->burst) b->tokens = b->burst;
}

static bool take(bucket *b, uint64_t amount) {
  if (b->tokens < amount * TOKEN) return false;
  b->tokens -= amount * TOKEN;
  return true;
}

static int colour(ss_meter_cell *cell, uint64_t now_ns, uint64_t amount) {
  if (!cell->configured) return GREEN;
  uint64_t elapsed = now_ns > cell->filled_ns ? now_ns - cell->filled_ns : 0;
  cell->filled_ns += elapsed;
  fill(&cell->committed, elapsed);
  fill(&cell->peak, elapsed);
  if (!take(&cell->peak, amount)) return RED;
  return take(&cell->committed, amount) ? GREEN : YELLOW;
}

int ss_meter_colour(const ss_exec *x, ss_meter_cell *cell, bool bytes) {
  if (!atomic_load_explicit(&cell->configured, memory_order_relaxed)) return GREEN;
  enter(cell);
  int result = colour(cell, x->now_ns, bytes ? x->ingress_len : x->super.segments);
  leave(cell);
  return result;
}

ss_meter_cell *ss_meter_cell_new(void) { return calloc(1, sizeof(ss_meter_cell)); }

int ss_meter_execute(ss_exec *x, uint32_t meter, uint64_t index) {
  const ss_meter_desc *desc = &x->sw->program->meter[meter];
  if (index >= desc->size) return -1;
  return ss_meter_colour(x, &x->sw->meters[meter][index], desc->bytes);
}

static int cell_of(ss_switch *sw, uint32_t id, uint64_t index, ss_meter_cell **cell) {
  for (uint32_t i = 0; i < sw->program->meters; i++) {
    if (sw->program->meter[i].id != id) continue;
    if (index >= sw->program->meter[i].size) return SS_OUT_OF_RANGE;
    *cell = &sw->meters[i][index];
    return SS_OK;
  }
  return SS_NOT_FOUND;
}

static void get(ss_meter_cell *cell, ss_meter_config_t *out) {
  enter(cell);
  *out = cell->config;
  leave(cell);
}

static int set(ss_switch *sw, ss_meter_cell *cell, const ss_meter_config_t *config) {
  if (config->configured && config->pir < config->cir) return SS_INVALID_ARGUMENT;  // RFC 2698, section 2
  enter(cell);
  cell->config = *config;
  cell->configured = config->configured;
  cell->filled_ns = ss_now(sw);
  cell->committed = (bucket){config->cir, config->cburst * TOKEN, config->cburst * TOKEN};
  cell->peak = (bucket){config->pir, config->pburst * TOKEN, config->pburst * TOKEN};
  leave(cell);
  return SS_OK;
}

int ss_meter_read(ss_switch *sw, uint32_t id, uint64_t index, ss_meter_config_t *out) {
  ss_meter_cell *cell;
  int error = cell_of(sw, id, index, &cell);
  if (error == SS_OK) get(cell, out);
  return error;
}

int ss_meter_write(ss_switch *sw, uint32_t id, uint64_t index, const ss_meter_config_t *config) {
  ss_meter_cell *cell;
  int error = cell_of(sw, id, index, &cell);
  return error == SS_OK ? set(sw, cell, config) : error;
}

// The meter of the entry that a probe names; the control lock is held.
static int direct_cell(ss_switch *sw, const ss_entry_t *probe, ss_meter_cell **cell) {
  int error;
  ss_table *t = ss_table_by_id(sw, probe->table_id);
  if (t == NULL) return SS_NOT_FOUND;
  if (t->meter_offset == 0 || probe->flags & SS_DEFAULT) return SS_INVALID_ARGUMENT;
  const ss_row *row = ss_row_probe(t, probe, &error);
  if (row != NULL) *cell = *ss_row_meter(t, row);
  return error;
}

int ss_direct_meter_read(ss_switch *sw, const ss_entry_t *probe, ss_meter_config_t *out) {
  ss_meter_cell *cell;
  pthread_mutex_lock(&sw->control);
  int error = direct_cell(sw, probe, &cell);
  if (error == SS_OK) get(cell, out);
  pthread_mutex_unlock(&sw->control);
  return error;
}

int ss_direct_meter_write(ss_switch *sw, const ss_entry_t *probe, const ss_meter_config_t *config) {
  ss_meter_cell *cell;
  pthread_mutex_lock(&sw->control);
  int error = direct_cell(sw, probe, &cell);
  if (error == SS_OK) error = set(sw, cell, config);
  pthread_mutex_unlock(&sw->control);
  return error;
}
