// SPDX-License-Identifier: Apache-2.0
// Quiescent-state based reclamation. What a control thread unlinks is freed once every worker has passed a
// quiescent state (the end of a batch) or is offline. Objects are freed in the order in which they were
// retired.
#include "internal.h"
#include <stdlib.h>

void ss_free_plain(void *object, void *arg) {
  (void)arg;
  free(object);
}

// Readers that came online after the increment see what was unlinked before it.
void ss_retire(ss_switch *sw, void *object, ss_free_fn *free_fn, void *arg) {
  ss_retired *r = malloc(sizeof *r);
  atomic_thread_fence(memory_order_seq_cst);
  uint64_t epoch = atomic_fetch_add(&sw->reclaim.epoch, 1) + 1;
  if (r == NULL) return;  // out of memory: a leak is the lesser evil
  *r = (ss_retired){.object = object, .arg = arg, .free_fn = free_fn, .epoch = epoch};
  if (sw->reclaim.tail != NULL) {
    sw->reclaim.tail->next = r;
  } else {
    sw->reclaim.head = r;
  }
  sw->reclaim.tail = r;
  ss_reclaim_some(sw);
}

static uint64_t oldest_reader(const ss_switch *sw) {
  uint64_t oldest = UINT64_MAX;
  atomic_thread_fence(memory_order_seq_cst);
  for (unsigned i = 0; i <= SS_MAX_WORKERS; i++) {
    if (sw->workers[i] == NULL) continue;
    uint64_t seen = atomic_load(&sw->workers[i]->seen);
    if (seen != 0 && seen < oldest) oldest = seen;
  }
  return oldest;
}

static void free_until(ss_switch *sw, uint64_t epoch) {
  while (sw->reclaim.head != NULL && sw->reclaim.head->epoch <= epoch) {
    ss_retired *r = sw->reclaim.head;
    sw->reclaim.head = r->next;
    if (r->next == NULL) sw->reclaim.tail = NULL;
    r->free_fn(r->object, r->arg);
    free(r);
  }
}

void ss_reclaim_some(ss_switch *sw) {
  if (sw->reclaim.head != NULL) free_until(sw, oldest_reader(sw));
}

void ss_reclaim_all(ss_switch *sw) { free_until(sw, UINT64_MAX); }

void ss_go_online(ss_worker *w) {
  atomic_store(&w->seen, atomic_load(&w->sw->reclaim.epoch));
  atomic_thread_fence(memory_order_seq_cst);
}

void ss_go_offline(ss_worker *w) { atomic_store_explicit(&w->seen, 0, memory_order_release); }
