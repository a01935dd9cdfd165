// SPDX-License-Identifier: Apache-2.0
// The whole contract between the C that the code generator emits for one P4 program and the runtime.
// The generated file defines `ss_the_program`; the runtime calls its functions and offers those declared
// below.
#ifndef SYNCLINE_RUNTIME_H
#define SYNCLINE_RUNTIME_H
#include "arith.h"
#include "packet.h"
#include "switch.h"
#include "wide.h"
#include <stdatomic.h>
#include <stdbool.h>

enum { SS_DROP_PORT = 511 };  // BMv2's default drop port

// instance_type, as in BMv2
enum {
  SS_NORMAL = 0,
  SS_INGRESS_CLONE = 1,
  SS_EGRESS_CLONE = 2,
  SS_RECIRCULATED = 4,
  SS_REPLICATION = 5,
  SS_RESUBMITTED = 6
};

// v1model's standard_metadata_t. Every bit<W> lies in the smallest unsigned type that holds it.
typedef struct {
  uint16_t ingress_port, egress_spec, egress_port;
  uint32_t instance_type, packet_length;
  uint32_t enq_timestamp, enq_qdepth, deq_timedelta, deq_qdepth;
  uint64_t ingress_global_timestamp, egress_global_timestamp;  // µs since the switch was made
  uint16_t mcast_grp, egress_rid;
  uint8_t checksum_error;
  uint16_t parser_error;
  uint8_t priority;
} ss_standard_metadata;

// What stands for several frames on the wire: a kernel left it to its network card to cut it up (offload.c).
typedef struct {
  uint16_t size;      // payload bytes of each segment but the last; 0 = an ordinary frame
  uint16_t segments;  // 1 for an ordinary frame
  uint16_t headers;   // bytes of them, which every segment has
  uint16_t seed;      // of the checksum: what its field holds besides the pseudo header that is in sight
  bool ecn;
} ss_super;

// What the pipeline does with one packet. Generated code may use every member above `sw`.
typedef struct ss_exec {
  ss_standard_metadata std;
  const uint8_t *packet;        // being parsed
  uint32_t packet_len, cursor;  // bytes
  uint32_t ingress_len;         // bytes on the wire as it arrived: what counters and meters count
  uint32_t length_register;  // BMv2's packet length register: ingress_len, and setValid/setInvalid change it
  uint8_t *out;              // the deparser's headers
  uint32_t out_len, out_cap;
  uint32_t truncate_to;  // bytes; UINT32_MAX = whole
  uint32_t turns;        // of loops, so far
  uint32_t clone_session;
  uint8_t clone_list, resubmit_list, recirculate_list;  // field list to preserve; SS_NO_LIST = none
  bool clone, resubmit, recirculate, exited;
  uint32_t digest_id, digest_len;  // the last digest asked for; 0 = none
  uint8_t *digest;
  uint64_t now_ns;    // since the switch was made; read once per batch
  bool payload_read;  // by a checksum
  ss_super super;
  struct ss_switch *sw;
  struct ss_worker *worker;
  int colour;   // of the direct meter of the last entry that was hit; -1 after a miss
  void *state;  // the program's headers and metadata
} ss_exec;

enum { SS_NO_LIST = 255 };

// --- tables

enum { SS_EXACT, SS_LPM, SS_TERNARY, SS_RANGE, SS_OPTIONAL };  // match kinds of fields
enum { SS_TABLE_EXACT, SS_TABLE_LPM, SS_TABLE_TERNARY };       // kinds of tables; no key: EXACT

typedef struct {
  uint16_t bits;
  uint8_t match;
} ss_field_desc;

typedef struct {
  uint32_t id;
  uint16_t params;             // how many
  uint16_t params_len;         // bytes of all
  const uint16_t *param_bits;  // width of each
  uint8_t table_only, default_only;
} ss_action_desc;

// An entry of the program; layouts as in switch.h.
typedef struct {
  uint16_t action;  // index in the table's actions
  int32_t priority;
  bool is_const;
  const uint8_t *key, *mask, *params;
} ss_entry_desc;

// An action profile or selector. Its action list is that of every table that uses it.
typedef struct {
  uint32_t id;
  uint16_t actions;
  const ss_action_desc *action;
} ss_profile_desc;

enum { SS_UNMETERED, SS_METER_PACKETS, SS_METER_BYTES };  // direct meters

typedef struct {
  uint32_t id;
  const char *name;
  uint8_t kind;
  uint16_t fields, actions;
  const ss_field_desc *field;
  const ss_action_desc *action;
  uint64_t size;  // most entries
  bool const_entries, const_default, counted, idle;
  uint16_t default_action;  // index in `action`
  const uint8_t *default_params;
  uint32_t entries;
  const ss_entry_desc *entry;
  uint8_t metered;   // SS_UNMETERED, …
  uint16_t profile;  // place of its action profile, plus 1; 0 = none
} ss_table_desc;

// One entry (or a table's default action), immutable but for its counters and times: a change publishes a new
// one.
typedef struct ss_row {
  uint64_t idle_from_ns, idle_timeout_ns;  // control side: the idle timer's last restart
  uint64_t metadata;
  int32_t priority;
  uint32_t slot;  // in the table's registry
  uint32_t member_or_group;
  _Alignas(8) _Atomic uint64_t last_hit_ns;  // packets only store it
  // From here on: what packets read, and add to.
  _Atomic uint64_t packets;
  _Atomic uint64_t bytes;
  uint16_t action;         // index in the table's actions; UINT16_MAX: a profile's member or group decides
  uint16_t params_offset;  // in data
  uint8_t flags, hit;
  _Alignas(8) uint8_t data[];  // key, mask (padded to 8 bytes), pointers (see internal.h), params
} ss_row;

static inline const uint8_t *ss_params(const ss_row *row) { return row->data + row->params_offset; }

// Finds the entry for a key (layout of switch.h, padded with zeros to 8 bytes) and accounts for the hit; a
// miss gives the default row. Never NULL. The row is valid until the packet is done.
const ss_row *ss_apply_exact(ss_exec *x, uint32_t table, const uint64_t *key);
const ss_row *ss_apply_lpm(ss_exec *x, uint32_t table, const uint64_t *key);
const ss_row *ss_apply_ternary(ss_exec *x, uint32_t table, const uint64_t *key);
const ss_row *ss_apply_keyless(ss_exec *x, uint32_t table);

// Whether an entry of a table with an action selector names a group: then a hash is needed to choose.
static inline bool ss_names_group(const ss_row *row) { return row->member_or_group & SS_GROUP; }
// The member that decides for an entry of a table with an action profile; a default entry decides itself.
const ss_row *ss_choose(const ss_exec *x, uint32_t table, const ss_row *row, uint64_t hash);

// --- counters, meters, registers

typedef struct {
  uint32_t id;
  uint64_t size;
} ss_counter_desc;

typedef struct {
  uint32_t id;
  uint64_t size;
  bool bytes;
} ss_meter_desc;

typedef struct {
  uint32_t id;
  uint64_t size;
  uint32_t bits;
} ss_register_desc;

void ss_count(ss_exec *x, uint32_t counter, uint64_t index);  // beyond the size: nothing, as BMv2
// 0 green, 1 yellow, 2 red (RFC 2698, colour-blind); -1 when the index is beyond the size: the result stays
// as it was.
int ss_meter_execute(ss_exec *x, uint32_t meter, uint64_t index);
bool ss_register_get(ss_exec *x, uint32_t reg, uint64_t index, uint64_t *limbs);  // false: beyond the size
void ss_register_put(ss_exec *x, uint32_t reg, uint64_t index, const uint64_t *limbs);

// --- hashes and checksums (over bytes; BMv2's definitions)

uint16_t ss_csum16(const uint8_t *data,
                   size_t len);  // ones' complement of the ones' complement sum (RFC 1071)
uint16_t ss_csum16_more(const uint8_t *data, size_t len, const uint8_t *more,
                        size_t more_len);  // of both, joined
uint16_t ss_crc16(const uint8_t *data, size_t len);
uint32_t ss_crc32(const uint8_t *data, size_t len);
uint16_t ss_xor16(const uint8_t *data, size_t len);
uint64_t ss_identity(const uint8_t *data, size_t len);  // the first 8 bytes as a number
uint64_t ss_random(ss_exec *x, uint64_t low, uint64_t high);

// --- the rest

// A line on stderr (log_msg); arguments as uint64_t, each "{}" of the format takes one.
void ss_log(ss_exec *x, const char *format, const uint64_t *args, unsigned n);
// assert and assume: says where on stderr and drops the packet. (BMv2 ends the process; a switch should not.)
void ss_assert_failed(ss_exec *x, const char *where);

// A parser that has gone through this many states without consuming anything is in a loop.
enum { SS_MAX_STEPS = 1024 };

static inline bool ss_stuck(const ss_exec *x, uint32_t *seen, uint32_t *steps) {
  if (x->cursor == *seen) return ++*steps > SS_MAX_STEPS;
  *seen = x->cursor;
  *steps = 0;
  return false;
}

// Loops of the program may turn this often for one pass of a packet; then all of them end.
enum { SS_MAX_TURNS = 1 << 16 };

static inline bool ss_turn(ss_exec *x) { return x->turns++ < SS_MAX_TURNS; }

// Of several calls the smallest length holds, as in BMv2.
static inline void ss_truncate(ss_exec *x, uint32_t length) {
  if (length < x->truncate_to) x->truncate_to = length;
}

// Bytes of the payload that BMv2's checksums cover: also cut by truncate().
static inline uint32_t ss_payload_len(ss_exec *x) {
  x->payload_read = true;
  uint32_t len = x->packet_len - x->cursor;
  return len < x->truncate_to ? len : x->truncate_to;
}

static inline void ss_mark_to_drop(ss_standard_metadata *std) {
  std->egress_spec = SS_DROP_PORT;
  std->mcast_grp = 0;
}

// --- the program

typedef struct {
  const char *name;
  size_t state_size;       // headers, then metadata
  size_t metadata_offset;  // of the metadata in the state
  size_t header_bytes;     // most that the deparser can emit
  size_t digest_bytes;     // longest digest
  uint32_t tables, profiles, counters, meters, registers;
  const ss_table_desc *table;
  const ss_profile_desc *profile;
  const ss_counter_desc *counter;
  const ss_meter_desc *meter;
  const ss_register_desc *reg;
  void (*parse)(ss_exec *x);  // resets the state but for its metadata, parses, verifies checksums
  void (*ingress)(ss_exec *x);
  void (*egress)(ss_exec *x);
  void (*deparse)(ss_exec *x);  // updates checksums, emits into out
  // Copies the metadata fields of one @field_list from one packet to another.
  void (*preserve)(uint8_t list, ss_exec *to, const ss_exec *from);
} ss_program;

extern const ss_program ss_the_program;
#endif
