// SPDX-License-Identifier: Apache-2.0
// Indirect counters: packets and bytes (as the packet arrived) per index.
#include "internal.h"
#include <stdlib.h>

int ss_counters_init(ss_switch *sw) {
  sw->counters = calloc(sw->program->counters + 1, sizeof *sw->counters);
  if (sw->counters == NULL) return SS_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < sw->program->counters; i++) {
    sw->counters[i] = calloc(sw->program->counter[i].size + 1, sizeof(ss_counter_cell));
    if (sw->counters[i] == NULL) return SS_RESOURCE_EXHAUSTED;
  }
  return SS_OK;
}

void ss_counters_free(ss_switch *sw) {
  if (sw->counters == NULL) return;
  for (uint32_t i = 0; i < sw->program->counters; i++) free(sw->counters[i]);
  free(sw->counters);
}

void ss_count(ss_exec *x, uint32_t counter, uint64_t index) {
  if (index >= x->sw->program->counter[counter].size) return;
  ss_tally_add(x, &x->sw->counters[counter][index].packets);
}

static int cell_of(ss_switch *sw, uint32_t id, uint64_t index, ss_counter_cell **cell) {
  for (uint32_t i = 0; i < sw->program->counters; i++) {
    if (sw->program->counter[i].id != id) continue;
    if (index >= sw->program->counter[i].size) return SS_OUT_OF_RANGE;
    *cell = &sw->counters[i][index];
    return SS_OK;
  }
  return SS_NOT_FOUND;
}

int ss_counter_read(ss_switch *sw, uint32_t id, uint64_t index, uint64_t *packets, uint64_t *bytes) {
  ss_counter_cell *cell;
  int error = cell_of(sw, id, index, &cell);
  if (error != SS_OK) return error;
  *packets = atomic_load(&cell->packets);
  *bytes = atomic_load(&cell->bytes);
  return SS_OK;
}

int ss_counter_write(ss_switch *sw, uint32_t id, uint64_t index, uint64_t packets, uint64_t bytes) {
  ss_counter_cell *cell;
  int error = cell_of(sw, id, index, &cell);
  if (error != SS_OK) return error;
  atomic_store(&cell->packets, packets);
  atomic_store(&cell->bytes, bytes);
  return SS_OK;
}
