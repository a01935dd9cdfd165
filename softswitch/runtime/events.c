// SPDX-License-Identifier: Apache-2.0
// Events for the control plane. Every worker has rings of its own for packet-ins and digests, so that a flood
// of the one does not push out the other; idle notifications have a third. The consumer sleeps on an eventfd,
// and runs the idle sweep when it is due.
#include "internal.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { IDLE_RING = 1 << 20, SWEEP_EVERY_NS = 250000000, LONGEST_RECORD = 8 + 2 * SS_MAX_FRAME };

int ss_events_init(ss_switch *sw) {
  sw->wake_consumer = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (sw->wake_consumer < 0) return SS_INTERNAL;
  return ss_ring_init(&sw->idle_events, IDLE_RING);
}

void ss_events_free(ss_switch *sw) {
  if (sw->wake_consumer >= 0) close(sw->wake_consumer);
  ss_ring_free(&sw->idle_events);
}

void ss_signal(int eventfd) {
  uint64_t one = 1;
  if (write(eventfd, &one, sizeof one) < 0)
    return;  // the counter is at its top: the sleeper is awake already
}

void ss_events_flush(ss_worker *w) {
  if (!w->produced) return;
  w->produced = false;
  ss_signal(w->sw->wake_consumer);
}

void ss_wake(ss_switch *sw) {
  atomic_store(&sw->woken, true);
  ss_signal(sw->wake_consumer);
}

static size_t take_all(ss_switch *sw, uint8_t *buf, size_t buf_len) {
  size_t used = 0;
  uint64_t dropped = 0;
  for (unsigned i = 0; i <= SS_MAX_WORKERS; i++) {
    ss_worker *w = sw->workers[i];
    if (w == NULL) continue;
    used += ss_ring_take(&w->digests, buf + used, buf_len - used, &dropped);
    atomic_fetch_add(&w->digest_dropped, dropped);
    dropped = 0;
    used += ss_ring_take(&w->packet_ins, buf + used, buf_len - used, &dropped);
    atomic_fetch_add(&w->packet_in_dropped, dropped);
    dropped = 0;
  }
  used += ss_ring_take(&sw->idle_events, buf + used, buf_len - used, &dropped);
  atomic_fetch_add(&sw->idle_dropped, dropped);
  return used;
}

static void sleep_until(ss_switch *sw, uint64_t until_ns) {
  uint64_t now = ss_clock_ns();
  struct pollfd fd = {.fd = sw->wake_consumer, .events = POLLIN};
  int timeout = until_ns <= now ? 0 : (int)((until_ns - now) / 1000000 + 1);
  (void)poll(&fd, 1, timeout);
}

// Before the rings are looked at: whoever puts something there afterwards wakes the consumer again.
static void forget_wakes(ss_switch *sw) {
  uint64_t count;
  if (read(sw->wake_consumer, &count, sizeof count) < 0) return;  // nobody has woken it
}

static void sweep_when_due(ss_switch *sw) {
  uint64_t now = ss_clock_ns();
  if (now < sw->idle_due_ns) return;
  sw->idle_due_ns = now + SWEEP_EVERY_NS;
  ss_idle_sweep(sw);
}

size_t ss_wait_events(ss_switch *sw, uint32_t timeout_ms, uint8_t *buf, size_t buf_len) {
  uint64_t deadline = ss_clock_ns() + (uint64_t)timeout_ms * 1000000;
  size_t used;
  pthread_mutex_lock(&sw->consumer);
  for (;;) {
    sweep_when_due(sw);
    forget_wakes(sw);
    used = take_all(sw, buf, buf_len);
    if (used > 0 || atomic_exchange(&sw->woken, false) || ss_clock_ns() >= deadline) break;
    sleep_until(sw, deadline < sw->idle_due_ns ? deadline : sw->idle_due_ns);
  }
  pthread_mutex_unlock(&sw->consumer);
  if (buf_len - used < LONGEST_RECORD) ss_signal(sw->wake_consumer);  // there may be more
  return used;
}

int ss_events_fd(ss_switch *sw) { return sw->wake_consumer; }
