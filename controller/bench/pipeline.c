// SPDX-License-Identifier: Apache-2.0
// Runs frames from memory through the pipeline of a switch, with no port: what `pipeline.py` measures. Every
// thread has a worker of its own, as the data-plane threads have, takes frames in batches, and writes the
// headers that come out into a buffer, as a port does.
#include "internal.h"
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

typedef struct {
  uint32_t port, len;
  const uint8_t *bytes;
} bench_frame;

typedef struct {
  uint64_t packets, outputs;   // processed, and sent
  uint64_t cpu_ns, wall_ns;    // of the thread
} bench_result;

// Where the thread was each time that the clock asked.
typedef struct {
  uint32_t n, most;
  uint64_t *at;
} bench_samples;

typedef struct {
  ss_switch *sw;
  const bench_frame *frames;
  uint32_t n, first;
  uint64_t packets;
  unsigned index;
  bench_samples *samples;  // or NULL
  bench_result result;
  pthread_t thread;
} job;

enum { OUT_BYTES = 1 << 18, ROOM = 256 };

static _Thread_local uint64_t outputs;
static _Thread_local uint8_t *out;
static _Thread_local uint32_t out_used;

static void sink(ss_worker *w, uint32_t port, const ss_piece *pieces) {
  (void)w;
  (void)port;
  uint32_t len = pieces[0].len < ROOM ? pieces[0].len : ROOM;
  memcpy(out + out_used, pieces[0].data, len);
  out_used = (out_used + ROOM) % OUT_BYTES;
  outputs++;
}

static uint64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// --- sampling

enum { SAMPLE_NS = 199000 };

static bench_samples *sampled;  // by the one thread that is sampled

static void sample(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  if (sampled->n == sampled->most) return;
  const mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
  sampled->at[sampled->n++] = (uint64_t)m->gregs[REG_RIP];
#elif defined(__aarch64__)
  sampled->at[sampled->n++] = m->pc;
#else
  (void)m;
#endif
}

static bool begin_sampling(bench_samples *samples, timer_t *timer) {
  struct sigaction action = {.sa_sigaction = sample, .sa_flags = SA_SIGINFO | SA_RESTART};
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
  struct itimerspec every = {{0, SAMPLE_NS}, {0, SAMPLE_NS}};
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  sampled = samples;
  return sigaction(SIGPROF, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, timer) == 0 &&
         timer_settime(*timer, 0, &every, NULL) == 0;
}

// Addresses become offsets in the program's library; UINT64_MAX: elsewhere.
static void relocate(bench_samples *samples) {
  Dl_info own, info;
  if (dladdr((void *)(uintptr_t)ss_pipeline, &own) == 0) return;
  for (uint32_t i = 0; i < samples->n; i++) {
    bool known = dladdr((void *)samples->at[i], &info) != 0 && info.dli_fbase == own.dli_fbase;
    samples->at[i] = known ? samples->at[i] - (uintptr_t)own.dli_fbase : UINT64_MAX;
  }
}

// --- running

static void run_batches(job *j, ss_worker *w) {
  // As a port does with the frames of its ring.
  uint32_t at = j->first;
  for (uint64_t done = 0; done < j->packets; done += SS_BATCH) {
    w->now_ns = ss_now(j->sw);
    ss_go_online(w);
    ss_foresee_nothing(w);
    for (unsigned i = 0; i < SS_BATCH; i++) {
      const bench_frame *f = &j->frames[at], *later = &j->frames[(at + SS_SLOTS_AHEAD) % j->n];
      __builtin_prefetch(j->frames[(at + SS_HEADS_AHEAD) % j->n].bytes);
      ss_foresee(w, i + SS_SLOTS_AHEAD, later->port, later->bytes, later->len);
      ss_foresee_rows(w, i + SS_ROWS_AHEAD);
      w->guessed = &w->guesses[i % SS_FORESIGHT];
      ss_pipeline(w, f->port, f->bytes, f->len, NULL);
      at = at + 1 == j->n ? 0 : at + 1;
    }
    ss_tally_flush(w);
  }
  ss_go_offline(w);
}

static void *run(void *arg) {
  job *j = arg;
  ss_worker *w = aligned_alloc(64, sizeof *w);
  memset(w, 0, sizeof *w);
  out = malloc(OUT_BYTES);
  if (ss_worker_init(w, j->sw, j->index) == SS_OK) {
    w->sink = sink;
    timer_t timer;
    bool sampling = j->samples != NULL && begin_sampling(j->samples, &timer);
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    run_batches(j, w);
    j->result = (bench_result){j->packets, outputs, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu,
                               clock_ns(CLOCK_MONOTONIC) - wall};
    if (sampling) timer_delete(timer);
  }
  ss_worker_free(w);
  free(out);
  return NULL;
}

// Entries whose keys differ in their first four bytes, counted up from `first`. 0, or what the table said.
int bench_insert(ss_switch *sw, const ss_entry_t *entry, uint8_t *key, uint32_t first, uint32_t n) {
  ss_entry_t e = *entry;
  e.key = key;
  for (uint32_t i = 0; i < n; i++) {
    ss_put32(key, first + i);
    int error = ss_table_write(sw, SS_INSERT, &e);
    if (error != 0) return error;
  }
  return 0;
}

// Every thread processes `packets` frames (a multiple of a batch is made of it), beginning at different ones. No
// table may be written meanwhile: the workers are not known to those who write.
// With `samples`, the first thread is sampled.
void bench_run(ss_switch *sw, const bench_frame *frames, uint32_t n, uint64_t packets, uint32_t threads,
               bench_result *results, bench_samples *samples) {
  job jobs[SS_MAX_WORKERS];
  for (uint32_t i = 0; i < threads; i++) {
    jobs[i] = (job){.sw = sw,
                    .frames = frames,
                    .n = n,
                    .first = n / threads * i,
                    .packets = packets,
                    .index = i,
                    .samples = i == 0 ? samples : NULL};
    pthread_create(&jobs[i].thread, NULL, run, &jobs[i]);
  }
  for (uint32_t i = 0; i < threads; i++) {
    pthread_join(jobs[i].thread, NULL);
    results[i] = jobs[i].result;
  }
  if (samples != NULL) relocate(samples);
}
