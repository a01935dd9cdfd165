// SPDX-License-Identifier: Apache-2.0
// One worker's socket on one interface: an AF_PACKET receive ring, and sendmmsg in batches.
//
// The ring is TPACKET_V2: a frame is visible as soon as it has arrived. TPACKET_V3 hands over blocks, at low
// rates only when a timer of at least a millisecond retires them, which every segment of a TCP connection
// would pay at every switch. The queueing discipline of the interface is not bypassed (PACKET_QDISC_BYPASS):
// a veth has none, and where there is one it is meant (netem).
//
// Every frame has a virtio_net_hdr before it (PACKET_VNET_HDR), in the ring and in what is sent. A frame that
// is too long for its slot in the ring, which keeps only its beginning, waits in the socket's queue besides
// (PACKET_COPY_THRESH), in the same order: so large frames need no large slots.
#include "internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  MIN_SLOTS = 64,
  TAG = 4,  // bytes of an 802.1Q tag
  SEND_BYTES = 1 << 18,
  SOCKET_BUFFER = 1 << 25,  // bytes of frames under way, in and out
  LASTING = 512             // payloads of at least so many bytes are sent from where they are, if they last
};

struct ss_socket {
  ss_port *port;
  int fd;
  uint8_t *ring;
  size_t ring_bytes;
  uint32_t slot_bytes, slots, next;
  uint32_t queued;
  size_t send_used;
  struct mmsghdr messages[SS_BATCH];
  struct iovec vectors[SS_BATCH][2];
  uint8_t *send;
  uint32_t mtu;  // 0: to be asked for
};

// --- opening

static bool fail(char *err, size_t err_len, const ss_port *port, const char *what) {
  if (errno == EPERM || errno == EACCES) {
    snprintf(err, err_len, "interface %s: permission denied: needs CAP_NET_RAW", port->iface);
  } else {
    snprintf(err, err_len, "interface %s: %s: %s", port->iface, what, strerror(errno));
  }
  return false;
}

static int mtu_of(int fd, const char *iface) {
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", iface);
  return ioctl(fd, SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : 1500;
}

bool ss_iface_up(const char *iface) {
  struct ifreq request = {0};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", iface);
  bool up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
            (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
  close(fd);
  return up;
}

static bool set_option(int fd, int option, const void *value, socklen_t len) {
  return setsockopt(fd, SOL_PACKET, option, value, len) == 0;
}

// A slot holds the longest ordinary frame of the interface.
static bool map_ring(ss_socket *s, size_t bytes) {
  uint32_t need = (uint32_t)mtu_of(s->fd, s->port->iface) + 256;
  if (need > SS_MAX_FRAME) need = SS_MAX_FRAME;
  s->slot_bytes = 2048;
  while (s->slot_bytes < need) s->slot_bytes *= 2;
  s->slots = (uint32_t)(bytes / s->slot_bytes);
  uint32_t block = s->slot_bytes < 65536 ? 65536 : s->slot_bytes;
  struct tpacket_req request = {.tp_block_size = block,
                                .tp_block_nr = (uint32_t)(bytes / block),
                                .tp_frame_size = s->slot_bytes,
                                .tp_frame_nr = s->slots};
  if (!set_option(s->fd, PACKET_RX_RING, &request, sizeof request)) return false;
  void *ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
  if (ring == MAP_FAILED) return false;
  s->ring = ring;
  s->ring_bytes = bytes;
  return true;
}

// Beyond the system's limit if the process may.
static void set_buffer(int fd, int force, int ask) {
  int bytes = SOCKET_BUFFER;
  if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) != 0)
    (void)setsockopt(fd, SOL_SOCKET, ask, &bytes, sizeof bytes);
}

static bool configure(ss_socket *s, size_t ring_bytes, char *err, size_t err_len) {
  int version = TPACKET_V2, reserve = TAG, one = 1;
  s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                 0);  // protocol 0: nothing arrives before the bind
  if (s->fd < 0) return fail(err, err_len, s->port, "packet socket");
  if (!set_option(s->fd, PACKET_VERSION, &version, sizeof version))
    return fail(err, err_len, s->port, "TPACKET_V2");
  if (!set_option(s->fd, PACKET_RESERVE, &reserve, sizeof reserve))
    return fail(err, err_len, s->port, "PACKET_RESERVE");
  if (!set_option(s->fd, PACKET_IGNORE_OUTGOING, &one, sizeof one)) {
    return fail(err, err_len, s->port, "PACKET_IGNORE_OUTGOING");
  }
  if (!set_option(s->fd, PACKET_VNET_HDR, &one, sizeof one))
    return fail(err, err_len, s->port, "PACKET_VNET_HDR");
  if (!set_option(s->fd, PACKET_COPY_THRESH, &one, sizeof one))
    return fail(err, err_len, s->port, "PACKET_COPY_THRESH");
  set_buffer(s->fd, SO_SNDBUFFORCE, SO_SNDBUF);
  set_buffer(s->fd, SO_RCVBUFFORCE, SO_RCVBUF);
  if (!map_ring(s, ring_bytes)) return fail(err, err_len, s->port, "receive ring");
  return true;
}

static bool bind_to(ss_socket *s, unsigned workers, uint16_t fanout, char *err, size_t err_len) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL),
                                .sll_ifindex = (int)if_nametoindex(s->port->iface)};
  struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  int group = fanout | PACKET_FANOUT_HASH << 16;
  if (address.sll_ifindex == 0) {
    snprintf(err, err_len, "interface %s does not exist", s->port->iface);
    return false;
  }
  if (bind(s->fd, (struct sockaddr *)&address, sizeof address) != 0)
    return fail(err, err_len, s->port, "bind");
  if (!set_option(s->fd, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous)) {
    return fail(err, err_len, s->port, "promiscuous mode");
  }
  if (workers > 1 && !set_option(s->fd, PACKET_FANOUT, &group, sizeof group))
    return fail(err, err_len, s->port, "fanout");
  return true;
}

static void lay_out_messages(ss_socket *s) {
  for (unsigned i = 0; i < SS_BATCH; i++) {
    s->messages[i].msg_hdr.msg_iov = s->vectors[i];
  }
}

ss_socket *ss_socket_open(ss_port *port, unsigned workers, uint16_t fanout, size_t ring_bytes, char *err,
                          size_t err_len) {
  ss_socket *s = calloc(1, sizeof *s);
  if (s == NULL || (s->send = malloc(SEND_BYTES)) == NULL) {
    snprintf(err, err_len, "interface %s: out of memory", port->iface);
    free(s);
    return NULL;
  }
  s->port = port;
  s->fd = -1;
  lay_out_messages(s);
  if (configure(s, ring_bytes, err, err_len) && bind_to(s, workers, fanout, err, err_len)) return s;
  ss_socket_close(s);
  return NULL;
}

void ss_socket_close(ss_socket *s) {
  if (s == NULL) return;
  if (s->ring != NULL) munmap(s->ring, s->ring_bytes);
  if (s->fd >= 0) close(s->fd);
  free(s->send);
  free(s);
}

int ss_socket_fd(const ss_socket *s) { return s->fd; }

static void add(_Atomic uint64_t *counter, uint64_t n) {
  atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

// --- receiving

// Puts the tag that the kernel took out back behind the addresses, into the room that PACKET_RESERVE keeps.
static uint8_t *restore_tag(uint8_t *frame, uint32_t *len, const struct tpacket2_hdr *head) {
  uint16_t type = head->tp_status & TP_STATUS_VLAN_TPID_VALID ? head->tp_vlan_tpid : ETH_P_8021Q;
  uint8_t *start = frame - TAG;
  memmove(start, frame, 12);
  ss_put16(start + 12, type);
  ss_put16(start + 14, head->tp_vlan_tci);
  *len += TAG;
  return start;
}

static void arrive(ss_socket *s, ss_worker *w, const struct tpacket2_hdr *head, struct virtio_net_hdr *h,
                   uint8_t *frame, uint32_t len) {
  if ((head->tp_status & TP_STATUS_VLAN_VALID) != 0) {
    frame = restore_tag(frame, &len, head);
    h->csum_start = (uint16_t)(h->csum_start + TAG);
  }
  if (len < 14 || !ss_arrive(w, s->port, frame, len, h)) {
    add(&s->port->rx_dropped, 1);
    return;
  }
  add(&s->port->rx_packets, 1);
  add(&s->port->rx_bytes, len);
}

// The frame that the slot has no room for, out of the socket's queue.
static void receive_large(ss_socket *s, ss_worker *w, const struct tpacket2_hdr *head) {
  struct virtio_net_hdr h;
  uint8_t *frame = w->large + (size_t)w->large_used * SS_LARGE_ROOM + TAG;
  struct iovec vectors[2] = {{&h, sizeof h}, {frame, SS_LARGE_ROOM - TAG}};
  struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
  ssize_t n = recvmsg(s->fd, &message, MSG_DONTWAIT | MSG_TRUNC);
  if (n != (ssize_t)(sizeof h + head->tp_len) || head->tp_len > SS_MAX_LARGE - TAG) {
    add(&s->port->rx_dropped, 1);
    return;
  }
  w->large_used++;
  arrive(s, w, head, &h, frame, head->tp_len);
}

static void receive_one(ss_socket *s, ss_worker *w, struct tpacket2_hdr *head) {
  struct virtio_net_hdr h;
  uint8_t *frame = (uint8_t *)head + head->tp_mac;
  if ((head->tp_status & TP_STATUS_COPY) != 0) {
    receive_large(s, w, head);
  } else if (head->tp_len != head->tp_snaplen || head->tp_len + TAG > SS_MAX_FRAME) {
    add(&s->port->rx_dropped, 1);
  } else {
    memcpy(&h, frame - sizeof h, sizeof h);
    arrive(s, w, head, &h, frame, head->tp_len);
  }
}

// Frames that found the ring full.
static void count_lost(ss_socket *s) {
  struct tpacket_stats stats;
  socklen_t len = sizeof stats;
  if (getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
    add(&s->port->rx_dropped, stats.tp_drops);
}

static struct tpacket2_hdr *slot_at(const ss_socket *s, uint32_t further) {
  uint32_t slot = s->next + further;
  if (slot >= s->slots) slot -= s->slots;
  return (struct tpacket2_hdr *)(void *)(s->ring + (size_t)slot * s->slot_bytes);
}

static uint32_t status_of(struct tpacket2_hdr *head) {
  return __atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE);
}

// A frame that comes `further` behind the next one, and in that place of the batch.
static void foresee(ss_socket *s, ss_worker *w, unsigned place, unsigned further) {
  struct tpacket2_hdr *head = slot_at(s, further);
  const uint8_t *later = (const uint8_t *)slot_at(s, further + SS_HEADS_AHEAD - SS_SLOTS_AHEAD);
  __builtin_prefetch(later);
  __builtin_prefetch(later + 64);
  if (place < SS_BATCH && (status_of(head) & TP_STATUS_USER) != 0)
    ss_foresee(w, place, s->port->id, (uint8_t *)head + head->tp_mac, head->tp_snaplen);
}

// The frames whose slots and rows are fetched before the first one's turn comes.
static void foresee_first(ss_socket *s, ss_worker *w) {
  ss_foresee_nothing(w);
  for (unsigned i = 0; i < SS_SLOTS_AHEAD; i++) foresee(s, w, i, i);
  for (unsigned i = 0; i < SS_ROWS_AHEAD; i++) ss_foresee_rows(w, i);
}

unsigned ss_socket_receive(ss_socket *s, ss_worker *w) {
  unsigned n = 0;
  bool losing = false;
  for (; n < SS_BATCH; n++) {
    struct tpacket2_hdr *head = slot_at(s, 0);
    uint32_t status = status_of(head);
    if ((status & TP_STATUS_USER) == 0) break;
    if ((status & TP_STATUS_COPY) != 0 && w->large_used == SS_LARGE_FRAMES) break;
    if (n == 0) foresee_first(s, w);
    foresee(s, w, n + SS_SLOTS_AHEAD, SS_SLOTS_AHEAD);
    ss_foresee_rows(w, n + SS_ROWS_AHEAD);
    w->guessed = &w->guesses[n % SS_FORESIGHT];
    losing |= (status & TP_STATUS_LOSING) != 0;
    receive_one(s, w, head);
    __atomic_store_n(&head->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    s->next = s->next + 1 == s->slots ? 0 : s->next + 1;
  }
  w->guessed = NULL;
  if (losing) count_lost(s);
  return n;
}

// --- sending

void ss_socket_refuse(ss_socket *s) { add(&s->port->tx_dropped, 1); }

uint32_t ss_socket_mtu(ss_socket *s) {
  if (s->mtu == 0) s->mtu = (uint32_t)mtu_of(s->fd, s->port->iface);
  return s->mtu;
}

static uint8_t *append(ss_socket *s, const void *data, uint32_t len) {
  uint8_t *to = s->send + s->send_used;
  if (len > 0) memcpy(to, data, len);
  s->send_used += len;
  return to;
}

void ss_socket_send(ss_socket *s, const struct virtio_net_hdr *h, ss_piece head, ss_piece payload, bool lasting) {
  static const struct virtio_net_hdr ordinary;
  lasting &= payload.len >= LASTING;
  size_t len = sizeof ordinary + head.len + (lasting ? 0 : payload.len);
  if (len > SEND_BYTES) {
    ss_socket_refuse(s);
    return;
  }
  if (s->queued == SS_BATCH || s->send_used + len > SEND_BYTES) ss_socket_flush(s);
  struct iovec *v = s->vectors[s->queued];
  v[0] = (struct iovec){append(s, h == NULL ? &ordinary : h, sizeof ordinary), len};
  append(s, head.data, head.len);
  if (lasting) {
    v[1] = (struct iovec){(void *)(uintptr_t)payload.data, payload.len};
  } else {
    append(s, payload.data, payload.len);
  }
  s->messages[s->queued++].msg_hdr.msg_iovlen = lasting ? 2 : 1;
}

static void count_sent(ss_socket *s, unsigned from, unsigned to) {
  uint64_t bytes = 0;
  for (unsigned i = from; i < to; i++) {
    const struct iovec *v = s->vectors[i];
    const uint32_t head = sizeof(struct virtio_net_hdr);
    ss_piece pieces[2] = {{(uint8_t *)v[0].iov_base + head, (uint32_t)v[0].iov_len - head},
                          {v[1].iov_base, (uint32_t)v[1].iov_len}};
    unsigned n = (unsigned)s->messages[i].msg_hdr.msg_iovlen;
    bytes += pieces[0].len + (n == 2 ? pieces[1].len : 0);
    ss_pcap_write(s->port->pcap_out, pieces, n);
  }
  add(&s->port->tx_packets, to - from);
  add(&s->port->tx_bytes, bytes);
}

// A frame that the interface refuses (down, too long, no buffer) is dropped and counted; the others still go.
void ss_socket_flush(ss_socket *s) {
  unsigned done = 0;
  while (done < s->queued) {
    int sent = sendmmsg(s->fd, s->messages + done, s->queued - done, MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) {
      add(&s->port->tx_dropped, 1);
      done++;
      continue;
    }
    count_sent(s, done, done + (unsigned)sent);
    done += (unsigned)sent;
  }
  s->queued = 0;
  s->send_used = 0;
  s->mtu = 0;
  ss_pcap_flush(s->port->pcap_in);
  ss_pcap_flush(s->port->pcap_out);
}

// Takes the pending error (ENETDOWN: the interface went down or vanished), or poll would return for ever.
// When it comes up again the kernel delivers again.
void ss_socket_error(ss_socket *s) {
  int error;
  socklen_t len = sizeof error;
  (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
}
