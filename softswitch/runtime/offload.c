// SPDX-License-Identifier: Apache-2.0
// What a sending kernel leaves to its network card and a veth never does: TCP and UDP checksums
// (TP_STATUS_CSUMNOTREADY).
#include "internal.h"

enum { TCP = 6, UDP = 17, IPV4 = 0x0800, IPV6 = 0x86dd, VLAN = 0x8100, SERVICE_VLAN = 0x88a8 };

typedef struct {
  uint8_t protocol;
  uint32_t addresses, addresses_len;  // offset and length of source and destination
  uint32_t start, end;                // of the segment
} segment;

static bool find_ipv4(const uint8_t *frame, uint32_t len, uint32_t at, segment *s) {
  if (len < at + 20 || frame[at] >> 4 != 4) return false;
  uint32_t header = (frame[at] & 15u) * 4, total = ss_get16(frame + at + 2);
  if (header < 20 || total < header || at + total > len) return false;
  if ((ss_get16(frame + at + 6) & 0x3fff) != 0) return false;  // a fragment
  *s = (segment){frame[at + 9], at + 12, 8, at + header, at + total};
  return true;
}

static bool find_ipv6(const uint8_t *frame, uint32_t len, uint32_t at, segment *s) {
  if (len < at + 40 || frame[at] >> 4 != 6) return false;
  uint32_t payload = ss_get16(frame + at + 4);
  if (at + 40 + payload > len) return false;
  *s = (segment){frame[at + 6], at + 8, 32, at + 40, at + 40 + payload};
  return true;
}

static bool find_segment(const uint8_t *frame, uint32_t len, segment *s) {
  uint32_t at = 12;
  while (len >= at + 4 && (ss_get16(frame + at) == VLAN || ss_get16(frame + at) == SERVICE_VLAN)) at += 4;
  if (len < at + 2) return false;
  uint16_t type = ss_get16(frame + at);
  if (type == IPV4) return find_ipv4(frame, len, at + 2, s);
  return type == IPV6 && find_ipv6(frame, len, at + 2, s);
}

void ss_finish_checksum(uint8_t *frame, uint32_t len) {
  segment s;
  uint8_t pseudo[40] = {0};
  if (!find_segment(frame, len, &s) || (s.protocol != TCP && s.protocol != UDP)) return;
  uint32_t field = s.start + (s.protocol == TCP ? 16 : 6);
  if (field + 2 > s.end) return;
  memcpy(pseudo, frame + s.addresses, s.addresses_len);
  ss_put32(pseudo + s.addresses_len, s.end - s.start);
  pseudo[s.addresses_len + 7] = s.protocol;
  ss_put16(frame + field, 0);
  uint16_t sum = ss_csum16_more(pseudo, s.addresses_len + 8, frame + s.start, s.end - s.start);
  ss_put16(frame + field, sum == 0 && s.protocol == UDP ? 0xffff : sum);
}
