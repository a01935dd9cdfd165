// SPDX-License-Identifier: Apache-2.0
// Runs a file of commands against the program it is linked with; built with sanitizers by the tests.
//   driver FILE          all commands, in order
//   driver FILE SECONDS [IFACE PEER]…  packets in one thread, writes and reads in another, events in a third,
//                                      over and over. With interfaces, which become ports 1, 2, …, packets are
//                                      also sent on their peers, to two data-plane threads.
// A command is {u32 kind; u32 a; u32 b; u32 c; u32 len; bytes}, native endian:
//   0  a packet on port a
//   1  a table write: op a, table b, action c, bytes = {i32 priority; u32 flags, member_or_group, key_len,
//      params_len; key; mask; params}
//   2  a read of table b
//   3  multicast group a, clone session b: replicas to the ports in the bytes
//   4  counter a, meter b, register c: the cell of the first byte is written and read
//   5  member of profile b: op a, action c, bytes = {u32 handle; params}
//   6  group c of profile b: op a, bytes = {u32 handles}
#include "switch.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LINKS = 8 };

typedef struct {
  uint32_t kind, a, b, c, len;
  const uint8_t *bytes;
} command;

typedef struct {
  ss_switch *sw;
  const uint8_t *file;
  size_t size;
  atomic_bool stop;
  int links[MOST_LINKS];  // where packets are sent besides ss_process
  unsigned n_links;
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

static void packet(job *j, const command *c) {
  ss_switch *sw = j->sw;
  static _Thread_local uint8_t out[1 << 16];
  uint8_t *frame = exact_copy(c->bytes, c->len);
  if (j->n_links > 0) {
    (void)!send(j->links[c->a % j->n_links], frame, c->len, MSG_DONTWAIT);
    if (c->a % 16 == 0) {
      ss_packet_out(sw, frame, c->len);
      ss_packet_outs_go(sw);
    }
  }
  ss_process(sw, c->a % 512, frame, c->len);
  while (ss_take_output(sw, out, sizeof out) > 0) {
  }
  free(frame);
}

static void table_write(ss_switch *sw, const command *c) {
  uint32_t head[5];
  if (c->len < sizeof head) return;
  memcpy(head, c->bytes, sizeof head);
  if (c->len != sizeof head + 2 * (size_t)head[3] + head[4]) return;
  const uint8_t *data = c->bytes + sizeof head;
  uint8_t *key = exact_copy(data, head[3]), *mask = exact_copy(data + head[3], head[3]);
  uint8_t *params = exact_copy(data + 2 * head[3], head[4]);
  ss_entry_t e = {.table_id = c->b,
                  .action_id = c->c,
                  .priority = (int32_t)head[0],
                  .flags = head[1],
                  .member_or_group = head[2],
                  .key = key,
                  .mask = mask,
                  .params = params,
                  .params_len = head[4],
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

static void cells(ss_switch *sw, const command *c) {
  uint64_t index = c->len > 0 ? c->bytes[0] : 0, packets, bytes;
  ss_meter_config_t config = {.cir = 1000, .cburst = 10, .pir = 2000, .pburst = index, .configured = index & 1};
  uint8_t value[512] = {1};
  ss_stats_t stats;
  ss_counter_write(sw, c->a, index, index, 1);
  ss_counter_read(sw, c->a, index, &packets, &bytes);
  ss_meter_write(sw, c->b, index, &config);
  ss_meter_read(sw, c->b, index, &config);
  ss_register_write(sw, c->c, index, value);
  ss_register_read(sw, c->c, index, value);
  ss_stats(sw, &stats);
}

static void member(ss_switch *sw, const command *c) {
  uint32_t handle;
  if (c->len < sizeof handle) return;
  memcpy(&handle, c->bytes, sizeof handle);
  uint8_t *params = exact_copy(c->bytes + sizeof handle, c->len - sizeof handle);
  ss_member_write(sw, c->a, c->b, handle, c->c, params, c->len - (uint32_t)sizeof handle);
  free(params);
}

static void group(ss_switch *sw, const command *c) {
  uint32_t handles[16];
  size_t n = c->len / sizeof handles[0];
  if (n > 16) return;
  memcpy(handles, c->bytes, n * sizeof handles[0]);
  ss_group_write(sw, c->a, c->b, c->c, handles, n);
}

static void run(job *j, const command *c) {
  switch (c->kind) {
    case 0: packet(j, c); break;
    case 1: table_write(j->sw, c); break;
    case 2: table_read(j->sw, c); break;
    case 3: replicate(j->sw, c); break;
    case 4: cells(j->sw, c); break;
    case 5: member(j->sw, c); break;
    default: group(j->sw, c); break;
  }
}

static void run_all(job *j, int packets_only) {
  command c;
  size_t step;
  for (size_t at = 0; (step = next_command(j->file, j->size, at, &c)) > 0; at += step) {
    if (packets_only < 0 || (c.kind == 0) == packets_only) run(j, &c);
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

static void *consumer(void *arg) {
  static uint8_t buf[1 << 16];
  job *j = arg;
  while (!atomic_load(&j->stop)) ss_wait_events(j->sw, 20, buf, sizeof buf);
  return NULL;
}

static void race(job *j, int seconds) {
  void *(*const roles[])(void *) = {data_plane, control_plane, consumer};
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, roles[i], j);
  struct timespec t = {seconds, 0};
  nanosleep(&t, NULL);
  atomic_store(&j->stop, 1);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

static int raw_socket(const char *interface) {
  struct sockaddr_ll to = {.sll_family = AF_PACKET,
                           .sll_protocol = htons(ETH_P_ALL),
                           .sll_ifindex = (int)if_nametoindex(interface)};
  int s = socket(AF_PACKET, SOCK_RAW, 0);
  if (s >= 0 && bind(s, (struct sockaddr *)&to, sizeof to) == 0) return s;
  perror(interface);
  exit(2);
}

// `names`: an interface of the switch, its peer, and so on.
static void plug(job *j, char **names, int n) {
  char err[200] = "";
  for (int i = 0; i + 1 < n && j->n_links < MOST_LINKS; i += 2) {
    if (ss_port_add(j->sw, j->n_links + 1, names[i], NULL, err, sizeof err) != 0) break;
    j->links[j->n_links++] = raw_socket(names[i + 1]);
  }
  if (err[0] == 0) ss_start(j->sw, 2, false, err, sizeof err);
  if (err[0] == 0) return;
  fprintf(stderr, "%s\n", err);
  exit(2);
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
  if (argc > 3) plug(&j, argv + 3, argc - 3);
  if (argc > 2) {
    race(&j, atoi(argv[2]));
  } else {
    run_all(&j, -1);
  }
  for (uint32_t port = 1; port <= j.n_links; port++) {
    ss_port_stats_t counted;
    if (ss_port_stats(j.sw, port, &counted) != 0 || counted.rx_packets < 100) return 3;
  }
  ss_stop(j.sw);
  ss_stats_t stats;
  ss_stats(j.sw, &stats);
  printf("%llu\n", (unsigned long long)stats.processed);
  ss_free(j.sw);
  free(file);
  return 0;
}
