// SPDX-License-Identifier: Apache-2.0
// Counts of a batch, kept by the worker and added to the counters at its end: most packets of a batch count in
// the same few places, and an addition that other threads must see costs as much as a look-up.
#include "internal.h"

static void add_to_cell(ss_tally *t) {
  atomic_fetch_add_explicit(&t->cell[0], t->packets, memory_order_relaxed);
  atomic_fetch_add_explicit(&t->cell[1], t->bytes, memory_order_relaxed);
}

// `cell` is packets, and bytes behind it. It stays valid until the flush: like every row that a packet finds.
void ss_tally_add(const ss_exec *x, _Atomic uint64_t *cell) {
  ss_worker *w = x->worker;
  unsigned at = (uintptr_t)cell / 16 * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (SS_TALLIES - 1);
  if (w->tallies[at].cell != cell) at ^= 1;  // two that share a place have two
  ss_tally *t = &w->tallies[at];
  uint64_t bit = UINT64_C(1) << at % 64;
  if (t->cell != cell || (w->tallied[at / 64] & bit) == 0) {
    if ((w->tallied[at / 64] & bit) != 0) add_to_cell(t);
    w->tallied[at / 64] |= bit;
    *t = (ss_tally){cell, 0, 0};
  }
  t->packets += x->super.segments;
  t->bytes += x->ingress_len;
}

void ss_tally_flush(ss_worker *w) {
  for (unsigned i = 0; i < SS_TALLIES / 64; i++) {
    for (uint64_t rest = w->tallied[i]; rest != 0; rest &= rest - 1) {
      add_to_cell(&w->tallies[i * 64 + (unsigned)__builtin_ctzll(rest)]);
    }
    w->tallied[i] = 0;
  }
}
