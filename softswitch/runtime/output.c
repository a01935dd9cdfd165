// SPDX-License-Identifier: Apache-2.0
// Where a packet goes that has left the deparser: to a port, to the control plane, or to the output queue of
// ss_process.
#include "internal.h"

enum { FRONT = 512 };  // bytes of a large frame in which its headers are looked for

static void to_control_plane(ss_worker *w, const ss_piece *pieces) {
  w->produced = w->noticed = true;
  if (!ss_ring_put(&w->packet_ins, SS_EV_PACKET_IN, pieces, 2)) {
    atomic_fetch_add_explicit(&w->packet_in_dropped, 1, memory_order_relaxed);
  }
}

static ss_socket *socket_of(const ss_worker *w, uint32_t port) {
  int place = port < 512 ? w->sw->port_index[port] : -1;
  return place < 0 ? NULL : w->sockets[place];
}

// Of a large frame the control plane gets the segments: it comes again, cut up. If it has left by a port, this
// copy is lost, and those of the flow's next frames are not.
static void large_to_control_plane(ss_worker *w) {
  w->noticed = true;
  if (w->sent == 0) {
    w->cut_up = true;
  } else {
    atomic_fetch_add_explicit(&w->packet_in_dropped, 1, memory_order_relaxed);
  }
}

// False when the kernel could not cut up what has become of a large frame.
static bool large_to_port(const ss_exec *x, ss_socket *s, ss_piece head, ss_piece payload) {
  uint8_t front[FRONT];
  struct virtio_net_hdr h;
  ss_layout l;
  if (head.len > FRONT) return false;
  uint32_t more = payload.len < FRONT - head.len ? payload.len : FRONT - head.len;
  memcpy(front, head.data, head.len);
  memcpy(front + head.len, payload.data, more);
  if (!ss_super_out(&x->super, front, head.len + more, head.len + payload.len, &h, &l)) return false;
  if (l.payload - l.l3 + x->super.size > ss_socket_mtu(s)) {
    ss_socket_refuse(s);
    return true;
  }
  ss_piece rest = {(const uint8_t *)payload.data + more, payload.len - more};
  ss_socket_send(s, &h, (ss_piece){front, head.len + more}, rest, true);
  return true;
}

static void to_port(ss_worker *w, const ss_exec *x, ss_socket *s, const ss_piece *pieces, bool whole) {
  if (s == NULL) return;
  if (x->super.size == 0 || !whole) {
    ss_socket_send(s, NULL, pieces[0], pieces[1], false);
  } else if (!large_to_port(x, s, pieces[0], pieces[1])) {
    w->cut_up = true;
    return;
  }
  w->sent++;
}

void ss_output(ss_worker *w, const ss_exec *x, uint32_t port, const uint8_t *payload, uint32_t payload_len) {
  uint32_t head = x->out_len < x->truncate_to ? x->out_len : x->truncate_to;
  uint32_t tail = payload_len < x->truncate_to - head ? payload_len : x->truncate_to - head;
  ss_piece pieces[2] = {{x->out, head}, {payload, tail}};
  if (w->cut_up) return;
  if (port == w->sw->cpu_port && x->super.size != 0) {
    large_to_control_plane(w);
  } else if (port == w->sw->cpu_port) {
    to_control_plane(w, pieces);
  } else if (w->sink != NULL) {
    w->sink(w, port, pieces);
  } else {
    to_port(w, x, socket_of(w, port), pieces, tail == payload_len);
  }
}

void ss_output_digest(ss_worker *w, const ss_exec *x) {
  ss_piece pieces[2] = {{&x->digest_id, 4}, {x->digest, x->digest_len}};
  w->produced = w->noticed = true;
  if (!ss_ring_put(&w->digests, SS_EV_DIGEST, pieces, 2)) {
    atomic_fetch_add_explicit(&w->digest_dropped, 1, memory_order_relaxed);
  }
}
