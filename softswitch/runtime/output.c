// SPDX-License-Identifier: Apache-2.0
// Where a packet goes that has left the deparser: to a port, to the control plane, or to the output queue of
// ss_process.
#include "internal.h"

static void to_control_plane(ss_worker *w, const ss_piece *pieces) {
  w->produced = true;
  if (!ss_ring_put(&w->packet_ins, SS_EV_PACKET_IN, pieces, 2)) {
    atomic_fetch_add_explicit(&w->packet_in_dropped, 1, memory_order_relaxed);
  }
}

static void to_port(ss_worker *w, uint32_t port, const ss_piece *pieces) {
  int place = port < 512 ? w->sw->port_index[port] : -1;
  if (place >= 0 && w->sockets[place] != NULL) ss_socket_send(w->sockets[place], pieces[0], pieces[1]);
}

void ss_output(ss_worker *w, const ss_exec *x, uint32_t port, const uint8_t *payload, uint32_t payload_len) {
  uint32_t head = x->out_len < x->truncate_to ? x->out_len : x->truncate_to;
  uint32_t tail = payload_len < x->truncate_to - head ? payload_len : x->truncate_to - head;
  ss_piece pieces[2] = {{x->out, head}, {payload, tail}};
  if (port == w->sw->cpu_port) {
    to_control_plane(w, pieces);
  } else if (w->synchronous) {
    (void)ss_ring_put(&w->sw->outputs, port, pieces, 2);
  } else {
    to_port(w, port, pieces);
  }
}

void ss_output_digest(ss_worker *w, const ss_exec *x) {
  ss_piece pieces[2] = {{&x->digest_id, 4}, {x->digest, x->digest_len}};
  w->produced = true;
  if (!ss_ring_put(&w->digests, SS_EV_DIGEST, pieces, 2)) {
    atomic_fetch_add_explicit(&w->digest_dropped, 1, memory_order_relaxed);
  }
}
