// SPDX-License-Identifier: Apache-2.0
// Data-plane threads: each polls its sockets on all ports, in batches; when nothing comes it sleeps in poll.
#include "internal.h"
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IDLE_ROUNDS = 2, SLEEP_MS = 200, NICE = -5 };

static unsigned take_packet_outs(ss_worker *w) {
  uint8_t record[8 + SS_MAX_FRAME];
  uint64_t dropped = 0;
  unsigned n = 0;
  if (w->index != 0) return 0;
  while (n < SS_BATCH && !ss_ring_empty(&w->sw->packet_outs)) {
    size_t used = ss_ring_take(&w->sw->packet_outs, record, sizeof record, &dropped);
    for (size_t at = 0; at < used; n++) {
      uint32_t len;
      memcpy(&len, record + at + 4, sizeof len);
      ss_pipeline(w, w->sw->cpu_port, record + at + 8, len, NULL);
      at += 8 + len;
    }
  }
  return n;
}

static unsigned one_round(ss_worker *w) {
  const uint32_t ports = w->sw->n_ports;
  bool behind = false;
  unsigned n = 0;
  w->now_ns = ss_now(w->sw);
  ss_go_online(w);
  n += take_packet_outs(w);
  // Room for large frames is scarce; every port is the first to find it in its turn.
  for (uint32_t i = 0, at = w->first_port; i < ports; i++, at = at + 1 < ports ? at + 1 : 0) {
    unsigned taken = ss_socket_receive(w->sockets[at], w);
    behind |= taken == SS_BATCH;
    n += taken;
  }
  atomic_store_explicit(&w->behind, behind, memory_order_relaxed);
  w->first_port = w->first_port + 1 < ports ? w->first_port + 1 : 0;
  if (n > 0) {
    ss_tally_flush(w);
    for (uint32_t i = 0; i < ports; i++) ss_socket_flush(w->sockets[i]);
    w->large_used = 0;
    ss_events_flush(w);
  }
  return n;
}

// A packet-out that is put into the ring before this is seen here; one that is put there later wakes.
static bool may_sleep(ss_worker *w) {
  if (w->index != 0) return true;
  (void)atomic_exchange(&w->sw->asleep, true);
  return ss_ring_empty(&w->sw->packet_outs);
}

static void sleep_in_poll(ss_worker *w, struct pollfd *fds) {
  uint32_t n = w->sw->n_ports;
  uint64_t count;
  if (!may_sleep(w)) return;
  ss_go_offline(w);
  if (poll(fds, n + 1, SLEEP_MS) <= 0) return;
  for (uint32_t i = 0; i < n; i++) {
    if (fds[i].revents & (POLLERR | POLLHUP | POLLNVAL)) ss_socket_error(w->sockets[i]);
  }
  if (fds[n].revents && w->index == 0 && read(w->sw->wake_workers, &count, sizeof count) < 0) return;
}

// Where the process may: packets come before what the control plane has to do.
static void come_first(const ss_worker *w) {
  struct sched_param lowest = {.sched_priority = 1};
  if (w->sw->realtime && sched_setscheduler(0, SCHED_RR, &lowest) == 0) return;
  (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
}

static void *run(void *arg) {
  ss_worker *w = arg;
  struct pollfd fds[SS_MAX_PORTS + 1];
  unsigned idle = 0;
  come_first(w);
  for (uint32_t i = 0; i < w->sw->n_ports; i++) {
    fds[i] = (struct pollfd){.fd = ss_socket_fd(w->sockets[i]), .events = POLLIN};
  }
  // Packet-outs wake worker 0 alone; the others look at `stopping` when their sleep ends.
  fds[w->sw->n_ports] = (struct pollfd){.fd = w->index == 0 ? w->sw->wake_workers : -1, .events = POLLIN};
  while (!atomic_load_explicit(&w->sw->stopping, memory_order_relaxed)) {
    idle = one_round(w) > 0 ? 0 : idle + 1;
    if (idle >= IDLE_ROUNDS) sleep_in_poll(w, fds);
  }
  atomic_store_explicit(&w->behind, false, memory_order_relaxed);
  ss_go_offline(w);
  return NULL;
}

static bool open_sockets(ss_worker *w, unsigned workers, char *err, size_t err_len) {
  uint16_t fanout = (uint16_t)(getpid() * 31);
  size_t ring = workers * w->sw->n_ports <= SS_FEW_SOCKETS ? SS_RING : SS_RING_OF_MANY;
  for (uint32_t i = 0; i < w->sw->n_ports; i++) {
    w->sockets[i] = ss_socket_open(&w->sw->ports[i], workers, (uint16_t)(fanout + i), ring, err, err_len);
    if (w->sockets[i] == NULL) return false;
  }
  return true;
}

static ss_worker *worker_new(ss_switch *sw, unsigned index, unsigned workers, char *err, size_t err_len) {
  ss_worker *w = sw->workers[index];
  if (w == NULL) {
    w = aligned_alloc(64, sizeof *w);
    if (w == NULL) return NULL;
    memset(w, 0, sizeof *w);
    if (ss_worker_init(w, sw, index) != SS_OK) {
      ss_worker_free(w);
      return NULL;
    }
    pthread_mutex_lock(&sw->consumer);  // who takes events and reclaims goes through the workers
    pthread_mutex_lock(&sw->control);
    sw->workers[index] = w;
    pthread_mutex_unlock(&sw->control);
    pthread_mutex_unlock(&sw->consumer);
  }
  return open_sockets(w, workers, err, err_len) ? w : NULL;
}

static void close_sockets(ss_worker *w) {
  for (uint32_t i = 0; w != NULL && i < w->sw->n_ports; i++) {
    ss_socket_close(w->sockets[i]);
    w->sockets[i] = NULL;
  }
}

// Signals are the business of the process's other threads: a worker's poll is not to be interrupted by them.
static int create_thread(ss_worker *w) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&w->thread, NULL, run, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

int ss_start(ss_switch *sw, uint32_t threads, bool realtime, char *err, size_t err_len) {
  if (err_len > 0) snprintf(err, err_len, "out of memory");
  if (sw->n_workers > 0 || threads == 0 || threads > SS_MAX_WORKERS) {
    if (err_len > 0) snprintf(err, err_len, "1 to %d threads, once", SS_MAX_WORKERS);
    return SS_INVALID_ARGUMENT;
  }
  atomic_store(&sw->stopping, false);
  sw->realtime = realtime;
  for (unsigned i = 0; i < threads; i++) {
    if (worker_new(sw, i, threads, err, err_len) == NULL) {
      for (unsigned j = 0; j <= i; j++) close_sockets(sw->workers[j]);
      return SS_INTERNAL;
    }
  }
  for (unsigned i = 0; i < threads; i++) {
    if (create_thread(sw->workers[i]) != 0) {
      ss_stop(sw);
      for (unsigned j = i; j < threads; j++) close_sockets(sw->workers[j]);
      if (err_len > 0) snprintf(err, err_len, "cannot create a thread");
      return SS_INTERNAL;
    }
    pthread_mutex_lock(&sw->packet_out_lock);
    sw->n_workers = i + 1;
    pthread_mutex_unlock(&sw->packet_out_lock);
  }
  if (err_len > 0) err[0] = 0;
  return SS_OK;
}

void ss_stop(ss_switch *sw) {
  unsigned n = sw->n_workers;
  if (n > 0) {
    atomic_store(&sw->stopping, true);
    ss_signal(sw->wake_workers);
    for (unsigned i = 0; i < n; i++) {
      pthread_join(sw->workers[i]->thread, NULL);
      close_sockets(sw->workers[i]);
    }
    pthread_mutex_lock(&sw->packet_out_lock);
    sw->n_workers = 0;
    pthread_mutex_unlock(&sw->packet_out_lock);
  }
  ss_wake(sw);
}
