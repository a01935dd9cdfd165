// SPDX-License-Identifier: Apache-2.0
// Registers: arrays of numbers of any width, stored as 64-bit limbs, least significant first.
#include "internal.h"
#include <stdlib.h>

static uint32_t limbs_of(const ss_register_desc *desc) { return (desc->bits + 63) / 64; }

static size_t cells_of(const ss_register_desc *desc) { return desc->size * limbs_of(desc); }

static size_t bytes_of_all(const ss_program *p) {
  size_t cells = 1;
  for (uint32_t i = 0; i < p->registers; i++) cells += cells_of(&p->reg[i]);
  return cells * sizeof(uint64_t);
}

// All lie side by side, so that together they may fill huge pages.
int ss_registers_init(ss_switch *sw) {
  const ss_program *p = sw->program;
  sw->registers = calloc(p->registers + 1, sizeof *sw->registers);
  sw->register_cells = ss_large_new(bytes_of_all(p));
  if (sw->registers == NULL || sw->register_cells == NULL) return SS_RESOURCE_EXHAUSTED;
  _Atomic uint64_t *cells = sw->register_cells;
  for (uint32_t i = 0; i < p->registers; i++) {
    sw->registers[i] = cells;
    cells += cells_of(&p->reg[i]);
  }
  return SS_OK;
}

void ss_registers_free(ss_switch *sw) {
  ss_large_free(sw->register_cells, bytes_of_all(sw->program));
  free(sw->registers);
}

static void get(const _Atomic uint64_t *cells, uint32_t limbs, uint64_t *to) {
  for (uint32_t i = 0; i < limbs; i++) to[i] = atomic_load_explicit(&cells[i], memory_order_relaxed);
}

static void put(_Atomic uint64_t *cells, uint32_t limbs, const uint64_t *from) {
  for (uint32_t i = 0; i < limbs; i++) atomic_store_explicit(&cells[i], from[i], memory_order_relaxed);
}

bool ss_register_get(ss_exec *x, uint32_t reg, uint64_t index, uint64_t *limbs) {
  const ss_register_desc *desc = &x->sw->program->reg[reg];
  if (index >= desc->size) return false;
  get(x->sw->registers[reg] + index * limbs_of(desc), limbs_of(desc), limbs);
  return true;
}

void ss_register_put(ss_exec *x, uint32_t reg, uint64_t index, const uint64_t *limbs) {
  const ss_register_desc *desc = &x->sw->program->reg[reg];
  if (index < desc->size) put(x->sw->registers[reg] + index * limbs_of(desc), limbs_of(desc), limbs);
}

static int find(ss_switch *sw, uint32_t id, uint64_t index, uint32_t *reg) {
  for (uint32_t i = 0; i < sw->program->registers; i++) {
    if (sw->program->reg[i].id != id) continue;
    *reg = i;
    return index < sw->program->reg[i].size ? SS_OK : SS_OUT_OF_RANGE;
  }
  return SS_NOT_FOUND;
}

int ss_register_read(ss_switch *sw, uint32_t id, uint64_t index, uint8_t *value) {
  uint32_t reg;
  int error = find(sw, id, index, &reg);
  if (error != SS_OK) return error;
  const ss_register_desc *desc = &sw->program->reg[reg];
  uint64_t limbs[limbs_of(desc)];
  get(sw->registers[reg] + index * limbs_of(desc), limbs_of(desc), limbs);
  ss_wide_store(value, 0, (desc->bits + 7) / 8 * 8, limbs);
  return SS_OK;
}

int ss_register_write(ss_switch *sw, uint32_t id, uint64_t index, const uint8_t *value) {
  uint32_t reg;
  int error = find(sw, id, index, &reg);
  if (error != SS_OK) return error;
  const ss_register_desc *desc = &sw->program->reg[reg];
  if (desc->bits % 8 != 0 && value[0] >> (desc->bits % 8) != 0) return SS_OUT_OF_RANGE;
  uint64_t limbs[limbs_of(desc)];
  ss_wide_load(limbs, limbs_of(desc), value, 0, (desc->bits + 7) / 8 * 8);
  put(sw->registers[reg] + index * limbs_of(desc), limbs_of(desc), limbs);
  return SS_OK;
}
