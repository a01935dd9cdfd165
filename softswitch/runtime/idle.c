// SPDX-License-Identifier: Apache-2.0
// Idle timeouts: a sweep over the entries that have one emits SS_EV_IDLE for those not hit for that long, and
// restarts their timer. It goes in slices, so that writers never wait long, and goes on where it was when the
// event ring is full.
#include "internal.h"

enum { SLICE = 4096, MAX_RECORD = 4096 };

static bool is_idle(const ss_row *row, uint64_t now) {
  uint64_t from = atomic_load_explicit(&row->last_hit_ns, memory_order_relaxed);
  if (row->idle_from_ns > from) from = row->idle_from_ns;
  return row->idle_timeout_ns != 0 && now >= from && now - from >= row->idle_timeout_ns;
}

static bool notify(ss_switch *sw, const ss_table *t, ss_row *row, uint64_t now) {
  uint8_t record[MAX_RECORD];
  ss_piece piece = {record, (uint32_t)ss_row_record(sw, t, row, record, sizeof record)};
  if (!ss_ring_put(&sw->idle_events, SS_EV_IDLE, &piece, 1)) return false;
  row->idle_from_ns = now;
  return true;
}

// One slice; false when the sweep is over, or has to wait for the consumer.
static bool sweep_slice(ss_switch *sw, uint64_t now) {
  const ss_table *t = &sw->tables[sw->idle_table];
  uint32_t end = sw->idle_slot + SLICE;
  for (; t->desc->idle && sw->idle_slot < t->slots && sw->idle_slot < end; sw->idle_slot++) {
    ss_row *row = t->rows[sw->idle_slot];
    if (row != NULL && is_idle(row, now) && !notify(sw, t, row, now)) return false;
  }
  if (t->desc->idle && sw->idle_slot < t->slots) return true;
  sw->idle_slot = 0;
  if (++sw->idle_table < sw->program->tables) return true;
  sw->idle_table = 0;
  return false;
}

void ss_idle_sweep(ss_switch *sw) {
  uint64_t now = ss_now(sw);
  bool more = sw->program->tables > 0;
  while (more) {
    pthread_mutex_lock(&sw->control);
    more = sweep_slice(sw, now);
    ss_reclaim_some(sw);
    pthread_mutex_unlock(&sw->control);
  }
}
