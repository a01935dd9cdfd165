// SPDX-License-Identifier: Apache-2.0
// What a sending kernel leaves to its network card, and a veth never does: checksums, and cutting up what is
// larger than the MTU. Frames come with a virtio_net_hdr (PACKET_VNET_HDR) that says what is left to do.
//
// A large frame passes the pipeline as if it were one packet whose checksum is right. Its checksum field holds
// the sum of the pseudo header alone, and whoever cuts it up adds the rest; so whatever the program made of
// the field, it is written anew behind the pipeline, from the pseudo header as it is then.
#include "internal.h"

enum {
  TCP = 6,
  UDP = 17,
  IPV4 = 0x0800,
  IPV6 = 0x86dd,
  VLAN = 0x8100,
  SERVICE_VLAN = 0x88a8,
  HOP_BY_HOP = 0,
  ROUTING = 43,
  DESTINATION = 60,
  MAX_EXTENSIONS = 8,
  GSO_UDP = 5  // VIRTIO_NET_HDR_GSO_UDP_L4, which older headers do not have
};

// --- where the headers are

static bool locate_ipv4(const uint8_t *frame, uint32_t seen, uint32_t len, ss_layout *l) {
  if (seen < l->l3 + 20 || frame[l->l3] >> 4 != 4) return false;
  uint32_t header = (frame[l->l3] & 15u) * 4;
  if (header < 20 || ss_get16(frame + l->l3 + 2) != len - l->l3) return false;
  if ((ss_get16(frame + l->l3 + 6) & 0x3fff) != 0) return false;  // a fragment
  l->version = 4;
  l->protocol = frame[l->l3 + 9];
  l->l4 = l->l3 + header;
  return true;
}

static bool locate_ipv6(const uint8_t *frame, uint32_t seen, uint32_t len, ss_layout *l) {
  if (seen < l->l3 + 40 || frame[l->l3] >> 4 != 6) return false;
  if (ss_get16(frame + l->l3 + 4) != len - l->l3 - 40) return false;
  uint8_t next = frame[l->l3 + 6];
  l->version = 6;
  l->l4 = l->l3 + 40;
  for (int i = 0; next == HOP_BY_HOP || next == ROUTING || next == DESTINATION; i++) {
    if (i == MAX_EXTENSIONS || seen < l->l4 + 8) return false;
    next = frame[l->l4];
    l->l4 += 8 + frame[l->l4 + 1] * 8u;
  }
  l->protocol = next;
  return true;
}

static bool locate_segment(const uint8_t *frame, uint32_t seen, ss_layout *l) {
  if (l->protocol == TCP) {
    if (seen < l->l4 + 20) return false;
    uint32_t header = (frame[l->l4 + 12] >> 4) * 4u;
    l->payload = l->l4 + header;
    l->check = l->l4 + 16;
    return header >= 20 && seen >= l->payload;
  }
  l->payload = l->l4 + 8;
  l->check = l->l4 + 6;
  return l->protocol == UDP && seen >= l->payload;
}

bool ss_locate(const uint8_t *frame, uint32_t seen, uint32_t len, ss_layout *l) {
  uint32_t at = 12;
  while (seen >= at + 4 && (ss_get16(frame + at) == VLAN || ss_get16(frame + at) == SERVICE_VLAN)) at += 4;
  if (seen < at + 2 || len < at + 2) return false;
  uint16_t type = ss_get16(frame + at);
  l->l3 = at + 2;
  bool found = type == IPV4   ? locate_ipv4(frame, seen, len, l)
               : type == IPV6 ? locate_ipv6(frame, seen, len, l)
                              : false;
  return found && locate_segment(frame, seen, l);
}

// --- checksums

static uint16_t fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

uint16_t ss_pseudo_sum(const uint8_t *frame, const ss_layout *l, uint32_t len) {
  uint32_t from = l->l3 + (l->version == 4 ? 12 : 8), to = l->l3 + (l->version == 4 ? 20 : 40);
  uint64_t sum = (uint64_t)l->protocol + (len - l->l4);
  for (; from < to; from += 2) sum += ss_get16(frame + from);
  return fold(sum);
}

void ss_finish_checksum(uint8_t *frame, uint32_t len, uint32_t start, uint32_t field) {
  if (start > len || field < start || len < 2 || field > len - 2) return;
  uint16_t sum = ss_csum16(frame + start, len - start);
  // RFC 768: a checksum of zero goes out as all ones; for TCP both are the same number.
  ss_put16(frame + field, sum == 0 ? 0xffff : sum);
}

// --- large frames

static uint32_t segments_of(uint32_t bytes, uint32_t size) { return (bytes + size - 1) / size; }

bool ss_super_in(const uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h, ss_layout *l,
                 ss_super *super) {
  uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
  if (!ss_locate(frame, len, len, l) || h->gso_size == 0 || len <= l->payload) return false;
  bool tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
  if (!(tcp && l->protocol == TCP) && !(type == GSO_UDP && l->protocol == UDP)) return false;
  *super = (ss_super){.size = h->gso_size,
                      .segments = (uint16_t)segments_of(len - l->payload, h->gso_size),
                      .headers = (uint16_t)l->payload,
                      .ecn = (h->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0};
  if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
    uint16_t visible = ss_pseudo_sum(frame, l, len);
    super->seed = fold((uint64_t)ss_get16(frame + l->check) + (uint16_t)~visible);
  }
  return true;
}

bool ss_super_out(const ss_super *super, uint8_t *front, uint32_t seen, uint32_t len, struct virtio_net_hdr *h,
                  ss_layout *l) {
  if (!ss_locate(front, seen, len, l) || l->protocol != TCP || len <= l->payload) return false;
  ss_put16(front + l->check, fold((uint64_t)super->seed + ss_pseudo_sum(front, l, len)));
  uint8_t type = l->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  *h = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                               .gso_type = (uint8_t)(type | (super->ecn ? VIRTIO_NET_HDR_GSO_ECN : 0)),
                               .hdr_len = (uint16_t)l->payload,
                               .gso_size = super->size,
                               .csum_start = (uint16_t)l->l4,
                               .csum_offset = 16};
  if (len - l->payload <= super->size) h->gso_type = VIRTIO_NET_HDR_GSO_NONE;
  return true;
}

static void write_ip(uint8_t *to, const ss_layout *l, uint32_t len, uint32_t number) {
  uint8_t *ip = to + l->l3;
  if (l->version == 6) {
    ss_put16(ip + 4, (uint16_t)(len - l->l3 - 40));
    return;
  }
  ss_put16(ip + 2, (uint16_t)(len - l->l3));
  ss_put16(ip + 4, (uint16_t)(ss_get16(ip + 4) + number));
  ss_put16(ip + 10, 0);
  ss_put16(ip + 10, ss_csum16(ip, l->l4 - l->l3));
}

// As RFC 9293 and RFC 3168, section 6.1.2, would have it had the sender cut it up: FIN and PSH are the last
// segment's, CWR is the first one's.
static void write_tcp(uint8_t *to, const ss_layout *l, uint32_t offset, bool last) {
  enum { FIN = 1, PSH = 8, CWR = 128 };
  uint8_t *tcp = to + l->l4;
  ss_put32(tcp + 4, ss_get32(tcp + 4) + offset);
  if (!last) tcp[13] &= (uint8_t)~(FIN | PSH);
  if (offset > 0) tcp[13] &= (uint8_t)~CWR;
}

uint32_t ss_super_segment(const ss_super *super, const ss_layout *l, const uint8_t *frame, uint32_t len,
                          uint32_t number, uint8_t *to) {
  uint32_t offset = number * super->size, left = len - l->payload - offset;
  uint32_t bytes = left < super->size ? left : super->size, total = l->payload + bytes;
  memcpy(to, frame, l->payload);
  memcpy(to + l->payload, frame + l->payload + offset, bytes);
  write_ip(to, l, total, number);
  if (l->protocol == TCP) {
    write_tcp(to, l, offset, left <= super->size);
  } else {
    ss_put16(to + l->l4 + 4, (uint16_t)(total - l->l4));
  }
  ss_put16(to + l->check, fold((uint64_t)super->seed + ss_pseudo_sum(to, l, total)));
  ss_finish_checksum(to, total, l->l4, l->check);
  return total;
}
