// SPDX-License-Identifier: Apache-2.0
// Runs a file of commands against the program it is linked with; built with sanitizers by the tests.
//   driver FILE          all commands, in order
//   driver FILE SECONDS  packets in one thread, writes and reads in another, over and over
// A command is {u32 kind; u32 a; u32 b; u32 c; u32 len; bytes}, native endian:
//   0  a packet on port a
//   1  a table write: op a, table b, action c, bytes = {i32 priority; u32 flags, key_len, params_len;
//      key; mask; params}
//   2  a read of table b
//   3  multicast group a, clone session b: replicas to the ports in the bytes
#include "switch.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
  uint32_t kind, a, b, c, len;
  const uint8_t *bytes;
} command;

typedef struct {
  ss_switch *sw;
  const uint8_t *file;
  size_t size;
  atomic_bool stop;
} job;

static size_t next_command(const uint8_t *file, size_t size, size_t at, command *c) {
  if (size - at < 20) return 0;
  memcpy(c, file + at, 20);
  if (size - at - 20 < c->len) return 0;
  c->bytes = file + at + 20;
  return 20 + c->len;
}

// In memory of its exact size, so that a read beyond the end is seen.
static uint8_t *exact_copy(const uint8_t *bytes, size_t len) {
  uint8_t *copy = malloc(len == 0 ? 1 : len);
  memcpy(copy, bytes, len);
  return copy;
}

static void packet(ss_switch *sw, const command *c) {
  static _Thread_local uint8_t out[1 << 16];
  uint8_t *frame = exact_copy(c->bytes, c->len);
  ss_process(sw, c->a % 512, frame, c->len);
  while (ss_take_output(sw, out, sizeof out) > 0) {
  }
  free(frame);
}

static void table_write(ss_switch *sw, const command *c) {
  uint32_t head[4];
  if (c->len < 16) return;
  memcpy(head, c->bytes, 16);
  if (c->len != 16 + 2 * (size_t)head[2] + head[3]) return;
  const uint8_t *data = c->bytes + 16;
  uint8_t *key = exact_copy(data, head[2]), *mask = exact_copy(data + head[2], head[2]);
  uint8_t *params = exact_copy(data + 2 * head[2], head[3]);
  ss_entry_t e = {.table_id = c->b,
                  .action_id = c->c,
                  .priority = (int32_t)head[0],
                  .flags = head[1],
                  .key = key,
                  .mask = mask,
                  .params = params,
                  .params_len = head[3],
                  .initial_packets = -1,
                  .initial_bytes = -1};
  uint8_t record[4096];
  ss_table_write(sw, c->a, &e);
  ss_table_lookup(sw, &e, record, sizeof record);
  free(key);
  free(mask);
  free(params);
}

static void table_read(ss_switch *sw, const command *c) {
  static _Thread_local uint8_t buf[1 << 16];
  uint64_t cursor = 0;
  while (ss_table_read(sw, c->b, &cursor, buf, sizeof buf) > 0) {
  }
  ss_wait_events(sw, 0, buf, sizeof buf);
}

static void replicate(ss_switch *sw, const command *c) {
  ss_replica_t replicas[16];
  size_t n = c->len < 16 ? c->len : 16;
  for (size_t i = 0; i < n; i++) replicas[i] = (ss_replica_t){c->bytes[i], (uint32_t)i};
  ss_multicast_set(sw, c->a, replicas, n);
  ss_clone_set(sw, c->b, replicas, n, c->c);
}

static void run(ss_switch *sw, const command *c) {
  switch (c->kind) {
    case 0: packet(sw, c); break;
    case 1: table_write(sw, c); break;
    case 2: table_read(sw, c); break;
    default: replicate(sw, c); break;
  }
}

static void run_all(job *j, int packets_only) {
  command c;
  size_t step;
  for (size_t at = 0; (step = next_command(j->file, j->size, at, &c)) > 0; at += step) {
    if (packets_only < 0 || (c.kind == 0) == packets_only) run(j->sw, &c);
  }
}

static void *data_plane(void *arg) {
  job *j = arg;
  while (!atomic_load(&j->stop)) run_all(j, 1);
  return NULL;
}

static void *control_plane(void *arg) {
  job *j = arg;
  while (!atomic_load(&j->stop)) run_all(j, 0);
  return NULL;
}

static void race(job *j, int seconds) {
  pthread_t a, b;
  pthread_create(&a, NULL, data_plane, j);
  pthread_create(&b, NULL, control_plane, j);
  struct timespec t = {seconds, 0};
  nanosleep(&t, NULL);
  atomic_store(&j->stop, 1);
  pthread_join(a, NULL);
  pthread_join(b, NULL);
}

static uint8_t *read_file(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (f == NULL) return NULL;
  fseek(f, 0, SEEK_END);
  *size = (size_t)ftell(f);
  rewind(f);
  uint8_t *data = malloc(*size + 1);
  if (fread(data, 1, *size, f) != *size) *size = 0;
  fclose(f);
  return data;
}

int main(int argc, char **argv) {
  size_t size = 0;
  uint8_t *file = argc > 1 ? read_file(argv[1], &size) : NULL;
  job j = {.sw = ss_new(1, 510), .file = file, .size = size};
  if (file == NULL || j.sw == NULL) return 2;
  if (argc > 2) {
    race(&j, atoi(argv[2]));
  } else {
    run_all(&j, -1);
  }
  ss_stats_t stats;
  ss_stats(j.sw, &stats);
  printf("%llu\n", (unsigned long long)stats.processed);
  ss_free(j.sw);
  free(file);
  return 0;
}
