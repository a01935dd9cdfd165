// SPDX-License-Identifier: Apache-2.0
// Captures in the pcap format with nanosecond timestamps (magic 0xa1b23c4d), Ethernet link type. Written to
// the file at the end of every batch, so that a reader sees packets while the switch runs.
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 17, LINKTYPE_ETHERNET = 1 };

struct ss_pcap {
  int fd;
  pthread_mutex_t lock;  // workers share the file; only taken when captures were asked for
  size_t used;
  uint8_t buffer[BUFFER];
};

typedef struct {
  uint32_t magic;
  uint16_t major, minor;
  int32_t zone;
  uint32_t accuracy, longest, link;
} file_head;

typedef struct {
  uint32_t seconds, nanoseconds, captured, length;
} record_head;

static void write_out(ss_pcap *p) {
  size_t done = 0;
  while (done < p->used) {
    ssize_t n = write(p->fd, p->buffer + done, p->used - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // disk full: this part of the capture is lost
    done += (size_t)n;
  }
  p->used = 0;
}

ss_pcap *ss_pcap_open(const char *dir, const char *iface, const char *suffix, char *err, size_t err_len) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s_%s.pcap", dir, iface, suffix);
  ss_pcap *p = malloc(sizeof *p);
  int fd = p == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    snprintf(err, err_len, "capture file %s: %s", path, strerror(errno));
    free(p);
    return NULL;
  }
  p->fd = fd;
  pthread_mutex_init(&p->lock, NULL);
  file_head head = {0xa1b23c4d, 2, 4, 0, 0, 65535, LINKTYPE_ETHERNET};
  memcpy(p->buffer, &head, sizeof head);
  p->used = sizeof head;
  write_out(p);
  return p;
}

void ss_pcap_write(ss_pcap *p, const ss_piece *pieces, unsigned n) {
  struct timespec now;
  uint32_t len = 0;
  if (p == NULL) return;
  for (unsigned i = 0; i < n; i++) len += pieces[i].len;
  clock_gettime(CLOCK_REALTIME, &now);
  record_head head = {(uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, len, len};
  pthread_mutex_lock(&p->lock);
  if (p->used + sizeof head + len > BUFFER) write_out(p);
  if (sizeof head + len <= BUFFER) {
    memcpy(p->buffer + p->used, &head, sizeof head);
    p->used += sizeof head;
    for (unsigned i = 0; i < n; i++) {
      if (pieces[i].len > 0) memcpy(p->buffer + p->used, pieces[i].data, pieces[i].len);
      p->used += pieces[i].len;
    }
  }
  pthread_mutex_unlock(&p->lock);
}

void ss_pcap_flush(ss_pcap *p) {
  if (p == NULL) return;
  pthread_mutex_lock(&p->lock);
  write_out(p);
  pthread_mutex_unlock(&p->lock);
}

void ss_pcap_close(ss_pcap *p) {
  if (p == NULL) return;
  ss_pcap_flush(p);
  close(p->fd);
  free(p);
}
