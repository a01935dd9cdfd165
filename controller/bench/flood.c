// SPDX-License-Identifier: Apache-2.0
// A bounded sender of spoofed SYNs and random ACKs for use inside a lab's own network namespaces; with --complete also of bots, which
// answer each SYN/ACK that comes for their SYNs, as real clients do.
// Every packet has a random source address within a given prefix, a random source port and a random sequence number; checksums are
// right, so nothing but the cookie tells an ACK from an honest one. The counts and the time are always bounded; it prints one JSON line
// of what it really sent. Sent with sendmmsg(2) over AF_PACKET, past the queueing discipline (packet(7), PACKET_QDISC_BYPASS).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, LONGEST = 94, SYN_LENGTH = 40, ACK_LENGTH = 20, IP = 14, FLAG_SYN = 0x02, FLAG_ACK = 0x10, SNAP = 256 };

// Where the parts of a frame lie, by version of IP.
typedef struct {
  size_t source, destination, address_length, tcp;
} layout_t;

static const layout_t V4 = {IP + 12, IP + 16, 4, IP + 20}, V6 = {IP + 8, IP + 24, 16, IP + 40};

typedef struct {
  const char *interface;
  uint8_t source_mac[6], destination_mac[6];
  const layout_t *layout;
  uint8_t sources[16], target[16];
  int source_prefix, source_family, target_family;
  uint16_t port;
  uint64_t syns, acks, rate, seed;
  double deadline;
  bool complete, steady;
} options_t;

typedef struct {
  uint64_t syns, acks, completed;
} sent_t;

// Where the answers to the bots' SYNs come in, and how they are answered.
typedef struct {
  int in, out;  // in: -1 without bots
  uint64_t completed;
  uint8_t ack[LONGEST];
} bots_t;

static const double LAST_ANSWERS = 0.5;  // seconds that bots wait for the last SYN/ACKs

static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
  (void)signal_number;
  stopped = 1;
}

static void fail(const char *what, const char *value) {
  fprintf(stderr, "flood: %s: %s\n", what, value);
  exit(2);
}

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static uint32_t sum_words(const uint8_t *data, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < length; i += 2) sum += (uint32_t)data[i] << 8 | data[i + 1];
  return sum;
}

static uint16_t fold(uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

// What does not change from packet to packet. A SYN carries the options of a Linux client: MSS 1460, SACK-permitted, TS, WS 7.
static void prepare(uint8_t *frame, const options_t *o, uint8_t flags) {
  static const uint8_t syn_options[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 1, 3, 3, 7};
  const layout_t *at = o->layout;
  size_t length = flags == FLAG_SYN ? SYN_LENGTH : ACK_LENGTH;
  memset(frame, 0, at->tcp + length);
  memcpy(frame, o->destination_mac, 6);
  memcpy(frame + 6, o->source_mac, 6);
  if (at == &V6) {
    put16(frame + 12, ETHERTYPE_IPV6);
    frame[IP] = 0x60;
    put16(frame + IP + 4, (uint32_t)length);
    frame[IP + 6] = IPPROTO_TCP;
    frame[IP + 7] = 64;
  } else {
    put16(frame + 12, ETHERTYPE_IP);
    frame[IP] = 0x45;
    put16(frame + IP + 2, 20 + (uint32_t)length);
    put16(frame + IP + 6, 0x4000);
    frame[IP + 8] = 64;
    frame[IP + 9] = IPPROTO_TCP;
  }
  memcpy(frame + at->destination, o->target, at->address_length);
  uint8_t *tcp = frame + at->tcp;
  put16(tcp + 2, o->port);
  tcp[12] = (uint8_t)(length / 4 << 4);
  tcp[13] = flags;
  put16(tcp + 14, 64240);
  if (flags == FLAG_SYN) memcpy(tcp + 20, syn_options, sizeof syn_options);
}

// The bits of an address's i-th byte that are the sources' prefix.
static uint8_t prefix_mask(const options_t *o, int i) {
  int fixed = o->source_prefix - 8 * i;
  return fixed >= 8 ? 0xff : fixed <= 0 ? 0 : (uint8_t)(0xff << (8 - fixed));
}

// The prefix, and behind it random bits.
static void random_source(uint8_t *address, const options_t *o, uint64_t *random) {
  uint64_t bits = 0;
  for (int i = 0; i < (int)o->layout->address_length; i++) {
    if (i % 8 == 0) bits = next_random(random);
    uint8_t mask = prefix_mask(o, i);
    address[i] = (uint8_t)((o->sources[i] & mask) | ((bits >> i % 8 * 8) & (uint8_t)~mask));
  }
}

static bool is_source(const uint8_t *address, const options_t *o) {
  for (int i = 0; i < (int)o->layout->address_length; i++) {
    if ((address[i] ^ o->sources[i]) & prefix_mask(o, i)) return false;
  }
  return true;
}

// `length`: of the TCP header.
static void put_checksums(uint8_t *frame, size_t length, const layout_t *at) {
  if (at == &V4) {
    put16(frame + IP + 10, 0);
    put16(frame + IP + 10, fold(sum_words(frame + IP, 20)));
  }
  uint8_t *tcp = frame + at->tcp;
  put16(tcp + 16, 0);
  uint32_t pseudo = sum_words(frame + at->source, 2 * at->address_length) + IPPROTO_TCP + (uint32_t)length;
  put16(tcp + 16, fold(pseudo + sum_words(tcp, length)));
}

static void randomise(uint8_t *frame, size_t length, const options_t *o, uint64_t *random) {
  const layout_t *at = o->layout;
  uint8_t *tcp = frame + at->tcp;
  uint64_t ports = next_random(random), numbers = next_random(random);
  random_source(frame + at->source, o, random);
  put16(tcp, 1024 + (uint32_t)(ports >> 32) % 64512);
  put32(tcp + 4, (uint32_t)numbers);
  if (tcp[13] == FLAG_ACK) put32(tcp + 8, (uint32_t)(numbers >> 32));
  put_checksums(frame, length, at);
}

static int open_socket(const char *interface) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0);  // protocol 0: sends only, receives nothing
  if (fd < 0) fail("cannot open a packet socket (needs CAP_NET_RAW)", strerror(errno));
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
  if (address.sll_ifindex == 0) fail("no such interface", interface);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("cannot bind", strerror(errno));
  int on = 1;
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  return fd;
}

// Sees the packets of the target's version of IP that arrive at any interface of this namespace.
static int open_receiver(const layout_t *at) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(at == &V4 ? ETH_P_IP : ETH_P_IPV6));
  if (fd < 0) fail("cannot open a packet socket (needs CAP_NET_RAW)", strerror(errno));
  int on = 1, buffer = 16 << 20;
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  return fd;
}

// Packets of another machine would not wait for a processor of this one: nor do those of a steady sender, where that is allowed.
static void come_first(void) {
  struct sched_param lowest = {.sched_priority = 1};
  (void)sched_setscheduler(0, SCHED_RR, &lowest);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t get32(const uint8_t *at) { return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]; }

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static bool is_answer(const uint8_t *frame, ssize_t length, const options_t *o) {
  const layout_t *at = o->layout;
  const uint8_t *tcp = frame + at->tcp;
  if (length < (ssize_t)at->tcp + ACK_LENGTH) return false;
  if (at == &V4 ? frame[IP] != 0x45 || frame[IP + 9] != IPPROTO_TCP : frame[IP + 6] != IPPROTO_TCP) return false;
  return tcp[13] == (FLAG_SYN | FLAG_ACK) && get16(tcp) == o->port && memcmp(frame + at->source, o->target, at->address_length) == 0 &&
         is_source(frame + at->destination, o);
}

// Answers what has come by now.
static void answer(bots_t *bots, const options_t *o) {
  const layout_t *at = o->layout;
  ssize_t ack_length = (ssize_t)at->tcp + ACK_LENGTH;
  uint8_t frame[SNAP], *ack = bots->ack;
  for (ssize_t length; (length = recv(bots->in, frame, sizeof frame, 0)) >= 0;) {
    if (!is_answer(frame, length, o)) continue;
    memcpy(ack + at->source, frame + at->destination, at->address_length);
    memcpy(ack + at->tcp, frame + at->tcp + 2, 2);
    memcpy(ack + at->tcp + 4, frame + at->tcp + 8, 4);
    put32(ack + at->tcp + 8, get32(frame + at->tcp + 4) + 1);
    put_checksums(ack, ACK_LENGTH, at);
    if (send(bots->out, ack, (size_t)ack_length, 0) == ack_length) bots->completed++;
  }
}

// Lets time pass; bots answer meanwhile.
static void pass_seconds(double seconds, bots_t *bots, const options_t *o) {
  for (double end = now() + seconds; !stopped; ) {
    double left = end - now();
    if (left <= 0) break;
    struct timespec t = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
    struct pollfd wanted = {.fd = bots->in, .events = POLLIN};
    if (ppoll(&wanted, bots->in >= 0, &t, NULL) > 0) answer(bots, o);
  }
}

// A steady sender that had to wait for a processor all the same catches up by no more than half as fast again as it was told: what is
// to be a rate must not become a burst as fast as it can.
static const double CATCH_UP = 1.5;

// When the packets behind the first `n` are due, the last `batch` of which were begun at `began`.
static double next_due(const options_t *o, double start, uint64_t n, unsigned batch, double began) {
  double by_rate = start + (double)n / (double)o->rate, soonest = began + (double)batch / (CATCH_UP * (double)o->rate);
  return o->steady && soonest > by_rate ? soonest : by_rate;
}

// ACKs are spread evenly among the SYNs: the n-th packet is an ACK whenever n * acks / total steps up.
static bool is_ack(const options_t *o, uint64_t n) {
  uint64_t total = o->syns + o->acks;
  return (n + 1) * o->acks / total != n * o->acks / total;
}

// Sends all `n` messages or gives up at the deadline; returns how many went out.
static unsigned send_batch(int fd, struct mmsghdr *messages, unsigned n, double end) {
  unsigned done = 0;
  while (done < n && !stopped) {
    int sent = sendmmsg(fd, messages + done, n - done, 0);
    if (sent > 0) {
      done += (unsigned)sent;
    } else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
      fail("cannot send", strerror(errno));
    } else if (now() > end) {
      break;
    }
  }
  return done;
}

static sent_t flood(int fd, const options_t *o, double start, bots_t *bots) {
  static uint8_t syns[BATCH][LONGEST], acks[BATCH][LONGEST];
  struct iovec vectors[BATCH];
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  for (unsigned i = 0; i < BATCH; i++) {
    prepare(syns[i], o, FLAG_SYN);
    prepare(acks[i], o, FLAG_ACK);
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  uint64_t total = o->syns + o->acks, random = o->seed;
  double end = start + o->deadline, began = start;
  sent_t sent = {0, 0, 0};
  for (uint64_t n = 0; n < total && !stopped && (began = now()) < end;) {
    unsigned batch = total - n < BATCH ? (unsigned)(total - n) : BATCH;
    for (unsigned i = 0; i < batch; i++) {
      bool ack = is_ack(o, n + i);
      vectors[i].iov_base = ack ? acks[i] : syns[i];
      size_t length = ack ? ACK_LENGTH : SYN_LENGTH;
      vectors[i].iov_len = o->layout->tcp + length;
      randomise(vectors[i].iov_base, length, o, &random);
    }
    unsigned done = send_batch(fd, messages, batch, end);
    for (unsigned i = 0; i < done; i++) *(is_ack(o, n + i) ? &sent.acks : &sent.syns) += 1;
    if (done < batch) break;
    n += batch;
    if (bots->in >= 0) answer(bots, o);
    if (o->rate) pass_seconds(next_due(o, start, n, batch, began) - now(), bots, o);
  }
  if (bots->in >= 0) pass_seconds(LAST_ANSWERS, bots, o);
  sent.completed = bots->completed;
  return sent;
}

static uint64_t parse_count(const char *what, const char *text) {
  char *rest;
  errno = 0;
  unsigned long long value = strtoull(text, &rest, 10);
  if (errno || rest == text || *rest || *text == '-') fail(what, text);
  return value;
}

static void parse_mac(const char *text, uint8_t *mac) {
  unsigned b[6];
  char rest;
  if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", b, b + 1, b + 2, b + 3, b + 4, b + 5, &rest) != 6) fail("not a MAC address", text);
  for (int i = 0; i < 6; i++) mac[i] = (uint8_t)b[i];
}

// ADDRESS and the number behind it: ADDRESS/LENGTH, ADDRESS:PORT or [ADDRESS]:PORT. Returns the address family.
static int parse_address(const char *text, char separator, uint8_t address[16], uint64_t *suffix) {
  char copy[64];
  snprintf(copy, sizeof copy, "%s", text);
  char *mark = strrchr(copy, separator), *begin = copy;
  if (!mark) fail("not an address with a suffix", text);
  *mark = 0;
  if (*begin == '[' && mark > begin && mark[-1] == ']') {
    mark[-1] = 0;
    begin++;
  }
  *suffix = parse_count("not a number behind the address", mark + 1);
  if (inet_pton(AF_INET, begin, address) == 1) return AF_INET;
  if (inet_pton(AF_INET6, begin, address) != 1) fail("not an address", text);
  return AF_INET6;
}

static options_t parse_options(int argc, char **argv) {
  static const struct option known[] = {
      {"interface", required_argument, 0, 'i'},   {"source-mac", required_argument, 0, 'm'}, {"destination-mac", required_argument, 0, 'd'},
      {"sources", required_argument, 0, 's'},     {"target", required_argument, 0, 't'},     {"syns", required_argument, 0, 'S'},
      {"acks", required_argument, 0, 'A'},        {"rate", required_argument, 0, 'r'},       {"seed", required_argument, 0, 'x'},
      {"deadline", required_argument, 0, 'e'},    {"complete", no_argument, 0, 'c'},         {"steady", no_argument, 0, 'y'},
      {0, 0, 0, 0},
  };
  options_t o = {.deadline = 60, .seed = 1, .port = 0};
  uint64_t suffix;
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (c) {
      case 'i': o.interface = optarg; break;
      case 'm': parse_mac(optarg, o.source_mac); break;
      case 'd': parse_mac(optarg, o.destination_mac); break;
      case 's':
        o.source_family = parse_address(optarg, '/', o.sources, &suffix);
        if (suffix < 8 || suffix > (o.source_family == AF_INET ? 31 : 127)) {
          fail("a prefix length from 8 to 31, or to 127 for IPv6, is wanted", optarg);
        }
        o.source_prefix = (int)suffix;
        break;
      case 't':
        o.target_family = parse_address(optarg, ':', o.target, &suffix);
        o.port = (uint16_t)suffix;
        o.layout = o.target_family == AF_INET ? &V4 : &V6;
        break;
      case 'S': o.syns = parse_count("not a count", optarg); break;
      case 'A': o.acks = parse_count("not a count", optarg); break;
      case 'r': o.rate = parse_count("not a rate", optarg); break;
      case 'x': o.seed = parse_count("not a seed", optarg); break;
      case 'e': o.deadline = (double)parse_count("not a number of seconds", optarg); break;
      case 'c': o.complete = true; break;
      case 'y': o.steady = true; break;
      default: exit(2);
    }
  }
  if (o.source_family != o.target_family) fail("--sources and --target", "not of the same version of IP");
  if (!o.interface || !o.source_prefix || !o.port) fail("missing option", "--interface, --sources and --target are needed");
  if (o.syns + o.acks == 0 || o.syns + o.acks > 100000000) fail("packets", "from 1 to 100000000 in all");
  if (o.steady && !o.rate) fail("--steady", "--rate is needed");
  if (o.deadline > 600) fail("deadline", "at most 600 seconds");
  return o;
}

int main(int argc, char **argv) {
  options_t options = parse_options(argc, argv);
  int fd = open_socket(options.interface);
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  if (options.steady) come_first();
  double start = now();
  bots_t bots = {.in = options.complete ? open_receiver(options.layout) : -1, .out = fd};
  prepare(bots.ack, &options, FLAG_ACK);
  sent_t sent = flood(fd, &options, start, &bots);
  printf("{\"syns\": %llu, \"acks\": %llu, \"completed\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent.syns,
         (unsigned long long)sent.acks, (unsigned long long)sent.completed, now() - start);
  close(fd);
  return 0;
}
