// SPDX-License-Identifier: Apache-2.0
// Frames of real traffic, as capture.py has made them: the session's ones as they are, strangers' with new ports and, since
// the keys were others then, with right cookies.
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CAPTURED = 4096, FIRST_STRANGER = 50000 };

static packet *captured;
static uint32_t captured_count;

// Frames of a nanosecond pcap in this machine's order that came in at `port`.
bool load_capture(const char *path, uint32_t port) {
  uint32_t head[6], record[4];
  FILE *f = fopen(path, "rb");
  if (captured == NULL) captured = calloc(MAX_CAPTURED, sizeof *captured);
  if (f == NULL || captured == NULL || fread(head, sizeof head, 1, f) != 1 || head[0] != 0xa1b23c4d) return false;
  while (fread(record, sizeof record, 1, f) == 1) {
    packet *p = &captured[captured_count];
    if (captured_count == MAX_CAPTURED || record[2] > MAX_FRAME || fread(p->bytes, 1, record[2], f) != record[2]) {
      return false;
    }
    p->len = record[2];
    p->port = port;
    captured_count++;
  }
  fclose(f);
  return true;
}

void unload_captures(void) { free(captured); }

static void tag(packet *p) {
  if (p->len + 4 > MAX_FRAME) return;
  memmove(p->bytes + 16, p->bytes + 12, p->len - 12);
  put16(p->bytes + 12, 0x8100);
  put16(p->bytes + 14, random_word());
  p->len += 4;
}

// Another client's, and its acknowledgment a cookie.
static void of_another_stranger(packet *p) {
  view v = read_frame(p->bytes, p->len);
  bool to_service = v.tcp && is_server(&v, v.dst) && is_service(v.dport);
  if (!to_service || v.sport < FIRST_STRANGER) return;
  uint8_t *t = p->bytes + v.l4_at;
  uint16_t cport = (uint16_t)(FIRST_STRANGER + random_below(10000));
  put16(t, cport);
  if ((v.flags & SYN) == 0 && one_in(2)) {
    uint32_t isn = v.seq - !one_in(4), parity = random_below(2), claims = random_below(256);
    put32(t + 8, cookie(v.v6, v.src, v.dst, cport, v.dport, isn, parity, claims) + 1);
  }
  fix_checksums(p, true);
}

void captured_packet(packet *p) {
  *p = captured[random_below(captured_count)];
  of_another_stranger(p);
  if (one_in(4)) tag(p);
}
