// SPDX-License-Identifier: Apache-2.0
// Shared by the runtime's own files. Threads: data-plane workers read tables without locks; control threads
// take `control` for every change and every scan; one thread at a time consumes events.
#ifndef SYNCLINE_INTERNAL_H
#define SYNCLINE_INTERNAL_H
#include "runtime.h"
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pthread.h>

// Return codes: minus the gRPC status code.
enum {
  SS_OK = 0,
  SS_INVALID_ARGUMENT = -3,
  SS_NOT_FOUND = -5,
  SS_ALREADY_EXISTS = -6,
  SS_PERMISSION_DENIED = -7,
  SS_RESOURCE_EXHAUSTED = -8,
  SS_FAILED_PRECONDITION = -9,
  SS_OUT_OF_RANGE = -11,
  SS_UNIMPLEMENTED = -12,
  SS_INTERNAL = -13
};

enum {
  SS_MAX_FRAME = 16384,  // longest frame that the pipeline takes, but for large frames
  SS_MAX_LARGE = 65535 + 22,  // longest large frame: an IP packet, behind Ethernet with two tags
  SS_LARGE_ROOM = 66 * 1024,  // for one of them
  SS_LARGE_FRAMES = 4,        // large frames between two quiescent states
  SS_PLAIN_FLOWS = 1024,
  SS_BATCH = 64,              // frames between two quiescent states
  SS_TALLIES = 512,           // a power of two, so many that hardly two of a batch's share a place
  SS_FORESIGHT = 16,          // frames of a batch that are looked at before their turn
  SS_HEADS_AHEAD = 20,        // so many frames before, their headers are fetched
  SS_SLOTS_AHEAD = 12,        // so many before, their slots are fetched
  SS_ROWS_AHEAD = 6,          // and so many before, their rows
  SS_RECIPES = 8,             // ways to make a key out of a frame
  SS_GUESSES = 2,             // keys per frame
  SS_KEY_PIECES = 16,
  SS_KEY_WORDS = 6,
  SS_MAX_WORKERS = 16,
  SS_MAX_PORTS = 256,
  SS_MAX_PASSES = 256,  // recirculations and clones that one frame may cause
  SS_PENDING = 64,      // of them waiting at the same time
  SS_CLONE_SESSIONS = 32768,
  SS_MULTICAST_GROUPS = 65536
};

// --- reclaim.c: freeing what readers may still hold

// Called when no reader can hold `object` any more.
typedef void ss_free_fn(void *object, void *arg);

typedef struct ss_retired {
  struct ss_retired *next;
  void *object, *arg;
  ss_free_fn *free_fn;
  uint64_t epoch;
} ss_retired;

typedef struct {
  _Atomic uint64_t epoch;
  ss_retired *head, *tail;
} ss_reclaim;

// --- tables

typedef struct ss_meter_cell ss_meter_cell;  // meter.c
typedef struct ss_choice ss_choice;          // profile.c: a member or group of an action profile
enum { SS_CHOICE_PAGE = 4096, SS_CHOICE_PAGES = SS_MAX_CHOICES / SS_CHOICE_PAGE };
typedef struct {
  ss_choice **pages[SS_CHOICE_PAGES];  // by handle
} ss_profile;
typedef struct ss_hash ss_hash;          // table_exact.c
typedef struct ss_prefixes ss_prefixes;  // table_lpm.c
typedef struct ss_vector ss_vector;      // table_ternary.c

typedef struct ss_chunk ss_chunk;        // memory.c

// Memory of a table's rows (memory.c).
typedef struct {
  size_t row_bytes, ahead, stride, chunk_bytes, left;
  uint8_t *fresh, *unused;
  ss_chunk *chunks;
} ss_rows;

typedef struct ss_table {
  const ss_table_desc *desc;
  uint32_t key_bytes, key_words;  // key as in switch.h; padded to words
  uint32_t stored_words;          // in a row: key_words, +1 for LPM (the prefix length)
  uint32_t meter_offset, choice_offset;  // in a row's data: pointers to its meter and choice; 0 = none
  uint32_t params_offset;
  uint64_t seed;
  _Atomic(ss_row *) default_row;
  _Atomic(ss_hash *) hash;          // exact and LPM
  _Atomic(ss_prefixes *) prefixes;  // LPM
  _Atomic(ss_vector *) vector;      // ternary
  uint64_t *range_mask;             // ternary: ones where a field is matched by mask, zeros in range fields
  ss_rows store;
  ss_row **rows;                    // registry for scans: slot → row or NULL
  uint32_t *free_slots;
  uint32_t slots, slots_cap, free_count;
  uint64_t count;
} ss_table;

// --- rings (ring.c): one producer, one consumer

typedef struct {
  uint8_t *data;
  uint64_t size;                       // power of two
  _Alignas(64) _Atomic uint64_t head;  // bytes ever written
  _Alignas(64) _Atomic uint64_t tail;  // bytes ever read
} ss_ring;

typedef struct {
  const void *data;
  uint32_t len;
} ss_piece;

int ss_ring_init(ss_ring *ring, uint64_t size);
void ss_ring_free(ss_ring *ring);
// Appends a record {u32 tag; u32 len; pieces}; false when it does not fit.
bool ss_ring_put(ss_ring *ring, uint32_t tag, const ss_piece *pieces, unsigned n);
// Moves whole records to buf; a record longer than buf alone is dropped. Returns bytes.
size_t ss_ring_take(ss_ring *ring, uint8_t *buf, size_t buf_len, uint64_t *dropped);
bool ss_ring_empty(const ss_ring *ring);

// --- ports

typedef struct ss_pcap ss_pcap;      // pcap.c
typedef struct ss_socket ss_socket;  // port_afpacket.c: one worker's ring on one port

typedef struct {
  uint32_t id;
  char iface[IF_NAMESIZE];
  ss_pcap *pcap_in, *pcap_out;
  _Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
} ss_port;

// --- workers

// A packet that waits for another pass: a clone for egress, or a frame for ingress.
typedef struct {
  ss_exec x;
  bool to_egress;
  uint32_t instance;  // to ingress
  uint8_t list;       // field list to preserve; the source's metadata are in the state
  uint32_t port;      // to egress: egress port and replica
  uint16_t rid;
  uint8_t *state, *frame;
  uint32_t frame_len, cursor;
} ss_pending;

// What a batch has counted in one place (tally.c).
typedef struct {
  _Atomic uint64_t *cell;
  uint64_t packets, bytes;
} ss_tally;

// How a table's key is made of the bytes of a frame (foresight.c). Each piece lies in one word of the key.
typedef struct {
  uint8_t from, to, size;
} ss_piece_of_key;

typedef struct {
  const ss_table *table;  // NULL: none
  uint32_t kind;          // ingress port and EtherType
  uint32_t needed;        // bytes of a frame
  unsigned pieces;
  ss_piece_of_key piece[SS_KEY_PIECES];
  uint64_t key[SS_KEY_WORDS];  // the constant fields in their places, zeros in the others
} ss_recipe;

typedef struct {
  unsigned n;
  uint64_t hash[SS_GUESSES];
  const _Atomic uint64_t *slot[SS_GUESSES];
} ss_guesses;

typedef struct ss_worker {
  struct ss_switch *sw;
  unsigned index;
  pthread_t thread;
  _Atomic uint64_t seen;  // epoch of the last quiescent state; 0 = offline (holds nothing)
  _Atomic uint64_t processed;
  _Atomic bool behind;    // its last round left frames waiting, as far as it knows
  uint64_t now_ns, random_state;
  ss_exec main, clone, copy;  // the packet; its clone as parsed; one replica
  uint8_t *headers, *digest;
  ss_pending pending[SS_PENDING];
  unsigned pending_first, pending_count, passes;
  ss_tally tallies[SS_TALLIES];
  uint64_t tallied[SS_TALLIES / 64];  // a bit for each that is in use
  ss_recipe recipes[SS_RECIPES];
  unsigned next_recipe, not_foreseen;
  ss_guesses guesses[SS_FORESIGHT];
  const ss_guesses *guessed;  // for the frame that is being processed, or NULL
  ss_ring packet_ins, digests;
  bool produced;     // events since the consumer was last woken
  void (*sink)(struct ss_worker *w, uint32_t port, const ss_piece *pieces);  // in place of ports, if not NULL
  // What became of a frame: how many left by a port; whether the control plane had a part in it, or it passed
  // again; whether a large frame has to be cut up and sent through again.
  unsigned sent;
  bool noticed, cut_up;
  uint8_t *segment;       // SS_MAX_FRAME bytes
  uint8_t *large;         // SS_LARGE_FRAMES of them, lasting until the flush
  unsigned large_used;
  unsigned first_port;    // of the next round
  uint64_t plain_flows[SS_PLAIN_FLOWS];  // hashes of the flows whose large frames may go whole
  _Atomic uint64_t packet_in_dropped, digest_dropped;
  ss_socket *sockets[SS_MAX_PORTS];  // by the port's place in sw->ports
} ss_worker;

// --- replication (pre.c)

typedef struct {
  uint32_t truncate_to;  // clone sessions; UINT32_MAX = whole
  uint32_t n;
  ss_replica_t replicas[];
} ss_group;

// --- the switch

typedef struct {
  _Atomic uint64_t packets, bytes;
} ss_counter_cell;

struct ss_switch {
  const ss_program *program;
  uint32_t device_id, cpu_port;
  uint64_t start_ns;
  pthread_mutex_t control;  // tables, groups, meters, reclaim; never taken by workers
  ss_reclaim reclaim;
  ss_table *tables;
  ss_profile *profiles;
  ss_counter_cell **counters;
  ss_meter_cell **meters;
  _Atomic uint64_t **registers;     // where the cells of each begin
  _Atomic uint64_t *register_cells;  // of all
  _Atomic(ss_group *) *multicast;
  _Atomic(ss_group *) *clones;

  ss_port ports[SS_MAX_PORTS];
  uint32_t n_ports;
  int16_t port_index[512];  // port id → place in `ports`, -1

  ss_worker *workers[SS_MAX_WORKERS + 1];  // the last is the synchronous one
  unsigned n_workers;                      // running
  bool realtime;                           // they are to be
  _Atomic bool stopping;
  int wake_workers;       // eventfd: packet-outs and stop
  _Atomic bool asleep;    // worker 0 must be woken for a packet-out

  pthread_mutex_t packet_out_lock;  // among producers
  ss_ring packet_outs;
  _Atomic uint64_t packet_out_dropped;

  pthread_mutex_t process_lock;  // the synchronous worker
  ss_ring outputs;

  pthread_mutex_t consumer;  // events
  int wake_consumer;         // eventfd
  _Atomic bool woken;
  ss_ring idle_events;
  _Atomic uint64_t idle_dropped;
  uint64_t idle_due_ns;
  uint32_t idle_table, idle_slot;  // where the sweep goes on
};

// switch.c
uint64_t ss_clock_ns(void);
uint64_t ss_now(const ss_switch *sw);  // ns since the switch was made
uint64_t ss_random_seed(void);         // never 0
static inline ss_worker *ss_sync_worker(ss_switch *sw) { return sw->workers[SS_MAX_WORKERS]; }

// reclaim.c; the control lock is held in all of them
void ss_retire(ss_switch *sw, void *object, ss_free_fn *free_fn, void *arg);
void ss_reclaim_some(ss_switch *sw);
void ss_reclaim_all(ss_switch *sw);  // no worker runs
void ss_free_plain(void *object, void *arg);
void ss_go_online(ss_worker *w);  // a quiescent state: nothing from before is held
void ss_go_offline(ss_worker *w);

// table.c, table_read.c
int ss_tables_init(ss_switch *sw);
void ss_tables_free(ss_switch *sw);
ss_table *ss_table_by_id(ss_switch *sw, uint32_t id);
size_t ss_row_record(const ss_switch *sw, const ss_table *t, const ss_row *row, uint8_t *buf, size_t buf_len);
ss_row *ss_row_probe(ss_table *t, const ss_entry_t *probe, int *error);  // the row an entry names
static inline uint64_t *ss_row_key(ss_row *row) { return (uint64_t *)(void *)row->data; }
static inline const uint64_t *ss_row_key_const(const ss_row *row) {
  return (const uint64_t *)(const void *)row->data;
}

// profile.c
int ss_profiles_init(ss_switch *sw);
void ss_profiles_free(ss_switch *sw);
// The choice of an entry's `member_or_group`, NULL when there is none.
ss_choice *ss_choice_of(const ss_switch *sw, const ss_table *t, uint32_t member_or_group);
void ss_choice_hold(ss_choice *choice);
void ss_choice_drop(ss_choice *choice);

static inline ss_choice **ss_row_choice(const ss_table *t, ss_row *row) {
  return (ss_choice **)(void *)(row->data + t->choice_offset);
}
static inline ss_meter_cell **ss_row_meter(const ss_table *t, const ss_row *row) {
  return (ss_meter_cell **)(uintptr_t)(row->data + t->meter_offset);
}
int ss_meter_colour(const ss_exec *x, ss_meter_cell *cell, bool bytes);
ss_meter_cell *ss_meter_cell_new(void);  // NULL when out of memory

// table_check.c: validates an entry and brings key and mask to their stored form (zero-padded words)
int ss_check_key(const ss_table *t, const ss_entry_t *entry, uint64_t *key, uint64_t *mask);
int ss_check_action(const ss_table *t, const ss_entry_t *entry, uint16_t *action);
int ss_check_params(const ss_action_desc *action, const uint8_t *params, uint32_t params_len);

// memory.c
void *ss_large_new(size_t bytes);  // zeros; NULL when there is no memory
void ss_large_free(void *p, size_t bytes);
void ss_rows_init(ss_rows *rows, size_t row_bytes);
ss_row *ss_rows_take(ss_rows *rows);  // zeros, or NULL; the control lock is held
void ss_rows_give(ss_rows *rows, ss_row *row);
void ss_rows_free(ss_rows *rows);  // with all rows in it

// tally.c
void ss_tally_add(const ss_exec *x, _Atomic uint64_t *cell);
void ss_tally_flush(ss_worker *w);  // before anybody can have seen what the packets became

// foresight.c. A batch: nothing; then, for the frame in each place, its slots and later its rows.
void ss_foresee_nothing(ss_worker *w);
void ss_foresee(ss_worker *w, unsigned place, uint32_t port, const uint8_t *frame, uint32_t len);
void ss_foresee_rows(ss_worker *w, unsigned place);
void ss_not_foreseen(const ss_exec *x, const ss_table *t, const uint64_t *key);

// Accounts for a hit; no row = a miss. `scattered`: of many rows, so that few packets of a batch find the same.
static inline const ss_row *ss_account(ss_exec *x, const ss_table *t, ss_row *row, bool scattered) {
  if (t->meter_offset != 0) {
    const bool bytes = t->desc->metered == SS_METER_BYTES;
    x->colour = row == NULL ? -1 : ss_meter_colour(x, *ss_row_meter(t, row), bytes);
  }
  if (row == NULL) return atomic_load_explicit(&t->default_row, memory_order_acquire);
  if (t->desc->counted && scattered) {
    atomic_fetch_add_explicit(&row->packets, x->super.segments, memory_order_relaxed);
    atomic_fetch_add_explicit(&row->bytes, x->ingress_len, memory_order_relaxed);
  } else if (t->desc->counted) {
    ss_tally_add(x, &row->packets);
  }
  if (t->desc->idle) atomic_store_explicit(&row->last_hit_ns, x->now_ns, memory_order_relaxed);
  return row;
}

// the three stores: table_exact.c, table_lpm.c, table_ternary.c
// Of a key of at least one word. The product's halves, folded, have all bits of the word in all of theirs.
static inline uint64_t ss_hash_key(uint64_t seed, const uint64_t *key, unsigned words) {
  uint64_t h = seed;
  for (unsigned i = 0; i < words; i++) {
    ss_u128 product = (ss_u128)(h ^ key[i]) * UINT64_C(0x9e3779b97f4a7c15);
    h = (uint64_t)product ^ (uint64_t)(product >> 64);
  }
  return h;
}
ss_hash *ss_hash_new(uint64_t slots);
const _Atomic uint64_t *ss_hash_slot(const ss_hash *h, uint64_t hash);        // where a search begins
// The row that a search from there very likely finds; NULL if it is not near.
const ss_row *ss_slot_row(const _Atomic uint64_t *slot, uint64_t hash);
void ss_hash_free(void *hash, void *arg);
ss_row *ss_hash_find(const ss_hash *h, const uint64_t *key, unsigned words, uint64_t hash);
int ss_hash_insert(ss_switch *sw, ss_table *t, ss_row *row);
void ss_hash_replace(ss_table *t, ss_row *old, ss_row *row);  // row NULL removes
int ss_lpm_add_length(ss_switch *sw, ss_table *t, uint32_t length);
void ss_lpm_drop_length(ss_switch *sw, ss_table *t, uint32_t length);
int ss_lpm_init(ss_table *t);
void ss_lpm_free(ss_table *t);
int ss_vector_init(ss_table *t);
void ss_vector_free(ss_table *t);
ss_row *ss_vector_find(ss_table *t, const uint64_t *key_mask, int32_t priority);
int ss_vector_insert(ss_switch *sw, ss_table *t, ss_row *row);
int ss_vector_replace(ss_switch *sw, ss_table *t, ss_row *old, ss_row *row);

// counter.c, meter.c, register.c, pre.c
int ss_counters_init(ss_switch *sw);
void ss_counters_free(ss_switch *sw);
int ss_meters_init(ss_switch *sw);
void ss_meters_free(ss_switch *sw);
int ss_registers_init(ss_switch *sw);
void ss_registers_free(ss_switch *sw);
int ss_pre_init(ss_switch *sw);
void ss_pre_free(ss_switch *sw);

// pipeline.c
int ss_worker_init(ss_worker *w, ss_switch *sw, unsigned index);
void ss_worker_free(ss_worker *w);
// `super` NULL: an ordinary frame.
void ss_pipeline(ss_worker *w, uint32_t port, const uint8_t *frame, uint32_t len, const ss_super *super);

// arrival.c
// A frame as a socket delivered it; `frame` is changed. False: it cannot be taken.
bool ss_arrive(ss_worker *w, ss_port *port, uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h);

// output.c: where a finished packet goes
void ss_output(ss_worker *w, const ss_exec *x, uint32_t port, const uint8_t *payload, uint32_t payload_len);
void ss_output_digest(ss_worker *w, const ss_exec *x);

// events.c, idle.c
int ss_events_init(ss_switch *sw);
void ss_events_free(ss_switch *sw);
void ss_wake(ss_switch *sw);         // has a consumer that waits return
void ss_events_flush(ss_worker *w);  // wakes the consumer if the worker produced something
void ss_idle_sweep(ss_switch *sw);   // takes the control lock

void ss_signal(int eventfd);

// port.c
void ss_ports_free(ss_switch *sw);

// port_afpacket.c
// Bytes of a receive ring, which is memory of the kernel that is never swapped out. Frames wait in it while their
// thread waits for a processor: 8192 ordinary ones, 40 ms of 200,000 a second; half of that where there are many.
enum { SS_RING = 1 << 24, SS_RING_OF_MANY = 1 << 23, SS_FEW_SOCKETS = 16 };
// err gets one line when NULL is returned.
ss_socket *ss_socket_open(ss_port *port, unsigned workers, uint16_t fanout, size_t ring_bytes, char *err,
                          size_t err_len);
void ss_socket_close(ss_socket *s);
int ss_socket_fd(const ss_socket *s);
// Hands up to SS_BATCH frames to the pipeline; returns how many.
unsigned ss_socket_receive(ss_socket *s, ss_worker *w);
// Queues a frame; flushes when full. `h` NULL: an ordinary frame. A `lasting` payload stays where it is until
// the flush.
void ss_socket_send(ss_socket *s, const struct virtio_net_hdr *h, ss_piece head, ss_piece payload, bool lasting);
void ss_socket_refuse(ss_socket *s);       // counts a frame that cannot leave
uint32_t ss_socket_mtu(ss_socket *s);  // as of the last flush
void ss_socket_flush(ss_socket *s);
void ss_socket_error(ss_socket *s);  // after poll said POLLERR
bool ss_iface_up(const char *iface);

// pcap.c
ss_pcap *ss_pcap_open(const char *dir, const char *iface, const char *suffix, char *err, size_t err_len);
void ss_pcap_write(ss_pcap *p, const ss_piece *pieces, unsigned n);
void ss_pcap_flush(ss_pcap *p);
void ss_pcap_close(ss_pcap *p);

// offload.c
typedef struct {
  uint32_t l3, l4, payload, check;  // offsets in the frame; check: the checksum field of TCP or UDP
  uint8_t version, protocol;
} ss_layout;

// Finds TCP or UDP over IP in a frame of `len` bytes whose first `seen` bytes are there. False: something else, a
// fragment, or lengths that do not fit.
bool ss_locate(const uint8_t *frame, uint32_t seen, uint32_t len, ss_layout *l);
uint16_t ss_pseudo_sum(const uint8_t *frame, const ss_layout *l, uint32_t len);
// Puts the checksum of all bytes from `start` on in the field, which holds what is to be added.
void ss_finish_checksum(uint8_t *frame, uint32_t len, uint32_t start, uint32_t field);
// A large frame as it arrived; false: of a kind that is not taken.
bool ss_super_in(const uint8_t *frame, uint32_t len, const struct virtio_net_hdr *h, ss_layout *l,
                 ss_super *super);
// A large frame as it leaves, its first `seen` bytes in `front`: writes the checksum field and `h`. False: it
// cannot be left to the kernel to cut it up.
bool ss_super_out(const ss_super *super, uint8_t *front, uint32_t seen, uint32_t len, struct virtio_net_hdr *h,
                  ss_layout *l);
// Writes one segment, checksums and all; returns its length.
uint32_t ss_super_segment(const ss_super *super, const ss_layout *l, const uint8_t *frame, uint32_t len,
                          uint32_t number, uint8_t *to);
#endif
