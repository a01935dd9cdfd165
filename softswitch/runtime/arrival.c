// SPDX-License-Identifier: Apache-2.0
// From a port into the pipeline. Large frames (what a sending kernel leaves to its card to cut up) go whole
// where that makes no difference: when the flow's last large frame, cut up here, left segment by segment
// through a port, and nothing else happened. Whatever the control plane gets, and whatever a program clones,
// recirculates or reads to its last byte, is therefore a packet as the wire would have carried it.
#include "internal.h"

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
  return h ^ h >> 29;
}

// Never 0.
static uint64_t flow_hash(uint32_t port, const uint8_t *frame, const ss_layout *l) {
  uint64_t h = mix(port, ss_get32(frame + l->l4));
  for (uint32_t at = 12; at < l->l3; at += 2) h = mix(h, ss_get16(frame + at));  // tags
  for (uint32_t at = l->l3 + (l->version == 4 ? 12 : 8), n = l->version == 4 ? 1 : 4; n > 0; n--, at += 8)
    h = mix(h, ss_get64(frame + at));
  return h | 1;
}

static void before_pipeline(ss_worker *w) {
  w->sent = 0;
  w->noticed = w->cut_up = false;
}

static bool was_plain(const ss_worker *w) { return w->sent == 1 && !w->noticed && !w->main.payload_read; }

static void capture(const ss_port *port, const uint8_t *frame, uint32_t len) {
  ss_piece piece = {frame, len};
  ss_pcap_write(port->pcap_in, &piece, 1);
}

// True if every segment went its way and nothing else happened.
static bool segment_by_segment(ss_worker *w, const ss_port *port, const uint8_t *frame, uint32_t len,
                               const ss_layout *l, const ss_super *super) {
  bool plain = true;
  for (uint32_t i = 0; i < super->segments; i++) {
    uint32_t bytes = ss_super_segment(super, l, frame, len, i, w->segment);
    capture(port, w->segment, bytes);
    before_pipeline(w);
    ss_pipeline(w, port->id, w->segment, bytes, NULL);
    plain &= was_plain(w);
  }
  return plain;
}

static void large(ss_worker *w, const ss_port *port, const uint8_t *frame, uint32_t len, const ss_layout *l,
                  const ss_super *super) {
  uint64_t hash = flow_hash(port->id, frame, l);
  uint64_t *flow = &w->plain_flows[hash / 2 % SS_PLAIN_FLOWS];
  if (*flow == hash && port->pcap_in == NULL) {
    before_pipeline(w);
    ss_pipeline(w, port->id, frame, len, super);
    if (!was_plain(w)) *flow = 0;
    if (!w->cut_up) return;
  }
  if (segment_by_segment(w, port, frame, len, l, super)) *flow = hash;
}

bool ss_arrive(ss_worker *w, ss_port *port, uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h) {
  ss_layout l;
  ss_super super;
  if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
    if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
      ss_finish_checksum(frame, len, h->csum_start, (uint32_t)h->csum_start + h->csum_offset);
    capture(port, frame, len);
    ss_pipeline(w, port->id, frame, len, NULL);
    return true;
  }
  if (!ss_super_in(frame, len, h, &l, &super) || l.payload + super.size > SS_MAX_FRAME) return false;
  large(w, port, frame, len, &l, &super);
  return true;
}
