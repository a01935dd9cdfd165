// SPDX-License-Identifier: Apache-2.0
// A switch: one instance of the program with its tables, ports and workers; and processing without ports.
#include "internal.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_OUT_RING = 1 << 22, OUTPUT_RING = 1 << 24 };

uint64_t ss_clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t ss_now(const ss_switch *sw) { return ss_clock_ns() - sw->start_ns; }

static void to_output_queue(ss_worker *w, uint32_t port, const ss_piece *pieces) {
  (void)ss_ring_put(&w->sw->outputs, port, pieces, 2);
}

static int init(ss_switch *sw) {
  sw->wake_workers = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (sw->wake_workers < 0) return SS_INTERNAL;
  int error = ss_events_init(sw);
  if (error == SS_OK) error = ss_pre_init(sw);
  if (error == SS_OK) error = ss_counters_init(sw);
  if (error == SS_OK) error = ss_meters_init(sw);
  if (error == SS_OK) error = ss_registers_init(sw);
  if (error == SS_OK) error = ss_profiles_init(sw);
  if (error == SS_OK) error = ss_tables_init(sw);
  if (error == SS_OK) error = ss_ring_init(&sw->packet_outs, PACKET_OUT_RING);
  if (error == SS_OK) error = ss_ring_init(&sw->outputs, OUTPUT_RING);
  if (error != SS_OK) return error;
  ss_worker *w = aligned_alloc(64, sizeof *w);
  if (w == NULL) return SS_RESOURCE_EXHAUSTED;
  memset(w, 0, sizeof *w);
  sw->workers[SS_MAX_WORKERS] = w;
  w->sink = to_output_queue;
  return ss_worker_init(w, sw, SS_MAX_WORKERS);
}

ss_switch *ss_new(uint32_t device_id, uint32_t cpu_port) {
  ss_switch *sw = aligned_alloc(64, sizeof *sw);
  if (sw == NULL) return NULL;
  memset(sw, 0, sizeof *sw);
  sw->program = &ss_the_program;
  sw->device_id = device_id;
  sw->cpu_port = cpu_port;
  sw->start_ns = ss_clock_ns();
  atomic_store(&sw->reclaim.epoch, 1);
  memset(sw->port_index, 0xff, sizeof sw->port_index);
  sw->wake_consumer = sw->wake_workers = -1;
  pthread_mutex_init(&sw->control, NULL);
  pthread_mutex_init(&sw->packet_out_lock, NULL);
  pthread_mutex_init(&sw->process_lock, NULL);
  pthread_mutex_init(&sw->consumer, NULL);
  if (init(sw) == SS_OK) return sw;
  ss_free(sw);
  return NULL;
}

void ss_free(ss_switch *sw) {
  if (sw == NULL) return;
  ss_stop(sw);
  ss_ports_free(sw);
  ss_reclaim_all(sw);
  for (unsigned i = 0; i <= SS_MAX_WORKERS; i++) {
    if (sw->workers[i] != NULL) ss_worker_free(sw->workers[i]);
  }
  ss_tables_free(sw);
  ss_profiles_free(sw);
  ss_registers_free(sw);
  ss_meters_free(sw);
  ss_counters_free(sw);
  ss_pre_free(sw);
  ss_events_free(sw);
  ss_ring_free(&sw->packet_outs);
  ss_ring_free(&sw->outputs);
  if (sw->wake_workers >= 0) close(sw->wake_workers);
  free(sw);
}

int ss_process(ss_switch *sw, uint32_t port, const uint8_t *frame, size_t len) {
  ss_worker *w = ss_sync_worker(sw);
  if (len > SS_MAX_FRAME || port >= 512) return SS_INVALID_ARGUMENT;
  pthread_mutex_lock(&sw->process_lock);
  w->now_ns = ss_now(sw);
  ss_go_online(w);
  ss_pipeline(w, port, frame, (uint32_t)len, NULL);
  ss_tally_flush(w);
  ss_go_offline(w);
  ss_events_flush(w);
  pthread_mutex_unlock(&sw->process_lock);
  return SS_OK;
}

size_t ss_take_output(ss_switch *sw, uint8_t *buf, size_t buf_len) {
  uint64_t dropped = 0;
  pthread_mutex_lock(&sw->process_lock);
  size_t used = ss_ring_take(&sw->outputs, buf, buf_len, &dropped);
  pthread_mutex_unlock(&sw->process_lock);
  return used;
}

int ss_packet_out(ss_switch *sw, const uint8_t *frame, size_t len) {
  if (len > SS_MAX_FRAME) return SS_INVALID_ARGUMENT;
  pthread_mutex_lock(&sw->packet_out_lock);
  bool running = sw->n_workers > 0;
  ss_piece piece = {frame, (uint32_t)len};
  bool taken = running && ss_ring_put(&sw->packet_outs, 0, &piece, 1);
  pthread_mutex_unlock(&sw->packet_out_lock);
  if (!running) return ss_process(sw, sw->cpu_port, frame, len);
  if (!taken) {
    atomic_fetch_add(&sw->packet_out_dropped, 1);
    return SS_RESOURCE_EXHAUSTED;
  }
  return SS_OK;
}

void ss_packet_outs_go(ss_switch *sw) {
  if (atomic_exchange(&sw->asleep, false)) ss_signal(sw->wake_workers);
}

bool ss_behind(ss_switch *sw) {
  bool behind = false;
  pthread_mutex_lock(&sw->control);
  for (unsigned i = 0; i < SS_MAX_WORKERS; i++)
    behind |= sw->workers[i] != NULL && atomic_load_explicit(&sw->workers[i]->behind, memory_order_relaxed);
  pthread_mutex_unlock(&sw->control);
  return behind;
}

void ss_stats(ss_switch *sw, ss_stats_t *out) {
  *out = (ss_stats_t){.idle_dropped = atomic_load(&sw->idle_dropped),
                      .packet_out_dropped = atomic_load(&sw->packet_out_dropped)};
  for (unsigned i = 0; i <= SS_MAX_WORKERS; i++) {
    const ss_worker *w = sw->workers[i];
    if (w == NULL) continue;
    out->packet_in_dropped += atomic_load(&w->packet_in_dropped);
    out->digest_dropped += atomic_load(&w->digest_dropped);
    out->processed += atomic_load(&w->processed);
  }
}
