// SPDX-License-Identifier: Apache-2.0
// fuzz SETUP CAPTURE CAPTURE SEED FIRST COUNT FOLDER: makes packets FIRST … FIRST + COUNT - 1 of a seed, many of them out of the
// captures at the client's and the server's port, lets the program process them, and judges what comes out. The first failure
// ends it: the packet is in FOLDER, exit code 1.
#include "fuzz.h"
#include "switch.h"
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

network net;
session *sessions;

static struct {
  uint64_t seed, index;
  const char *folder;
  packet current;
  uint64_t outcomes[OUTCOMES], digests;
} run;

static const char *const names[OUTCOMES] = {
    "dropped",          "routed",        "to server",      "to client",     "SYN answered",
    "SYN/ACK acknowledged", "RST sent",  "ICMP translated", "ARP/ND answered", "emitted",
    "routed by packet-out", "PROVEN",    "SYN/ACK punted", "early return",  "following"};

static FILE *open_file(const char *suffix, char *path, size_t size) {
  snprintf(path, size, "%s/fuzz-%llu-%llu.%s", run.folder, (unsigned long long)run.seed,
           (unsigned long long)run.index, suffix);
  return fopen(path, "wb");
}

static void save_pcap(void) {
  char path[512];
  FILE *f = open_file("pcap", path, sizeof path);
  size_t skip = run.current.port == CPU && run.current.len >= PACKET_OUT ? PACKET_OUT : 0;
  uint32_t len = (uint32_t)(run.current.len - skip);
  uint32_t head[10] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1, 0, 0, len, len};
  if (f == NULL) return;
  fwrite(head, sizeof head, 1, f);
  fwrite(run.current.bytes + skip, len, 1, f);
  fclose(f);
}

static void save(const char *what, const uint8_t *out, size_t out_len) {
  char path[512];
  FILE *f = open_file("txt", path, sizeof path);
  if (f != NULL) {
    fprintf(f, "%s\nseed %llu, packet %llu, port %u\nin  ", what, (unsigned long long)run.seed,
            (unsigned long long)run.index, run.current.port);
    for (size_t i = 0; i < run.current.len; i++) fprintf(f, "%02x", run.current.bytes[i]);
    fprintf(f, "\nout ");
    for (size_t i = 0; i < out_len; i++) fprintf(f, "%02x", out[i]);
    fprintf(f, "\n");
    fclose(f);
  }
  save_pcap();
  fprintf(stderr, "packet %llu of seed %llu: %s; see %s; again with --seed %llu --first %llu --count 1\n",
          (unsigned long long)run.index, (unsigned long long)run.seed, what, path, (unsigned long long)run.seed,
          (unsigned long long)run.index);
}

static void on_death(void) { save("sanitizer report", NULL, 0); }

static void check(const char *wrong, const uint8_t *out, size_t len) {
  if (wrong == NULL) return;
  save(wrong, out, len);
  exit(1);
}

static bool read_setup(ss_switch *sw, const char *path) {
  uint32_t head[6];
  FILE *f = fopen(path, "rb");
  if (f == NULL || fread(&net, sizeof net, 1, f) != 1) return false;
  sessions = calloc(net.session_count, sizeof *sessions);
  if (fread(sessions, sizeof *sessions, net.session_count, f) != net.session_count) return false;
  while (fread(head, sizeof head, 1, f) == 1) {  // op, table, action, flags, key bytes, parameter bytes
    uint8_t data[512];
    if (2 * (size_t)head[4] + head[5] > sizeof data) return false;
    if (fread(data, 1, 2 * head[4] + head[5], f) != 2 * head[4] + head[5]) return false;
    ss_entry_t e = {.table_id = head[1], .action_id = head[2], .flags = head[3], .key = data, .mask = data + head[4],
                    .params = data + 2 * head[4], .params_len = head[5], .initial_packets = -1, .initial_bytes = -1};
    if (ss_table_write(sw, head[0], &e) != 0) return false;
  }
  fclose(f);
  return true;
}

static int take_frames(ss_switch *sw, int *outcome) {
  static uint8_t buf[1 << 16];
  int n = 0;
  for (size_t got; (got = ss_take_output(sw, buf, sizeof buf)) > 0;) {
    for (size_t at = 0; at < got; n++) {
      uint32_t head[2];
      memcpy(head, buf + at, sizeof head);
      check(judge_output(&run.current, head[0], buf + at + 8, head[1], outcome), buf + at + 8, head[1]);
      at += 8 + head[1];
    }
  }
  return n;
}

static int take_events(ss_switch *sw, int *outcome) {
  static uint8_t buf[1 << 16];
  int n = 0;
  for (size_t got; (got = ss_wait_events(sw, 0, buf, sizeof buf)) > 0;) {
    for (size_t at = 0; at < got;) {
      uint32_t head[2];
      memcpy(head, buf + at, sizeof head);
      if (head[0] == SS_EV_PACKET_IN) {
        check(judge_punt(&run.current, buf + at + 8, head[1], outcome), buf + at + 8, head[1]);
        n++;
      } else {
        note_end(buf + at + 8, head[1]);
        run.digests++;
      }
      at += 8 + head[1];
    }
  }
  return n;
}

// In memory of its exact size, so that a read beyond the end is seen.
static void process(ss_switch *sw) {
  int outcome = DROPPED;
  uint8_t *frame = malloc(run.current.len + (run.current.len == 0));
  memcpy(frame, run.current.bytes, run.current.len);
  ss_process(sw, run.current.port, frame, run.current.len);
  free(frame);
  int n = take_frames(sw, &outcome) + take_events(sw, &outcome);
  check(n > 1 ? "more than one packet for one" : NULL, NULL, 0);
  run.outcomes[outcome]++;
}

static void report(uint64_t count, struct timespec begin) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  double s = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
  for (int i = 0; i < OUTCOMES; i++) printf("%-22s %10llu\n", names[i], (unsigned long long)run.outcomes[i]);
  printf("%-22s %10llu\n", "digests", (unsigned long long)run.digests);
  printf("%llu packets of seed %llu in %.1f s: %.0f per second; nothing wrong\n", (unsigned long long)count,
         (unsigned long long)run.seed, s, (double)count / s);
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  ss_switch *sw = ss_new(1, CPU);
  if (sw == NULL || !read_setup(sw, argv[1])) {
    fprintf(stderr, "%s: no setup that this program takes\n", argv[1]);
    return 2;
  }
  if (!load_capture(argv[2], CLIENT_LINK) || !load_capture(argv[3], SERVER_LINK)) {
    fprintf(stderr, "%s, %s: no captures\n", argv[2], argv[3]);
    return 2;
  }
  uint64_t first = strtoull(argv[5], NULL, 10), count = strtoull(argv[6], NULL, 10);
  run.seed = strtoull(argv[4], NULL, 10);
  run.folder = argv[7];
  __sanitizer_set_death_callback(on_death);
  struct timespec begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (run.index = first; run.index < first + count; run.index++) {
    packet last;
    random_seed(run.seed, run.index ^ 1ull << 63);
    make_packet(&last);
    random_seed(run.seed, run.index);
    make_packet(&run.current);
    mutate(&run.current, &last);
    process(sw);
  }
  report(count, begin);
  ss_free(sw);
  free(sessions);
  unload_captures();
  return 0;
}
