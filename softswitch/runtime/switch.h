// SPDX-License-Identifier: Apache-2.0
// The control API of a compiled P4 program: everything that the Python side (softswitch/engine.py,
// ctypes.CDLL) may call. Implemented by softswitch/runtime/*.c together with the generated C of one program,
// linked into one shared object. No global mutable state: several switches may live in one process. Ids are
// P4Info ids.
//
// Byte layouts (all big-endian, as on the wire):
//   key     the table's match fields in P4Info order (id 1..n), each in ceil(bitwidth/8) bytes, concatenated
//   mask    same layout: exact = all ones (or NULL); LPM = prefix mask; ternary = mask;
//           range: key = low, mask = high; optional: all ones or all zeros
//   params  the action's parameters in P4Info order, each in ceil(bitwidth/8) bytes, concatenated
// Return codes: 0 = OK, otherwise minus a gRPC status code:
//   -3 INVALID_ARGUMENT, -5 NOT_FOUND, -6 ALREADY_EXISTS, -7 PERMISSION_DENIED, -8 RESOURCE_EXHAUSTED,
//   -9 FAILED_PRECONDITION, -11 OUT_OF_RANGE, -12 UNIMPLEMENTED, -13 INTERNAL
#ifndef SYNCLINE_SWITCH_H
#define SYNCLINE_SWITCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ss_switch ss_switch;

// --- life
ss_switch *ss_new(uint32_t device_id, uint32_t cpu_port);  // NULL when out of memory
void ss_free(ss_switch *sw);                               // stops threads, closes ports

// --- ports (AF_PACKET rings, batched)
// pcap_dir NULL or a folder: writes IFACE_in.pcap and IFACE_out.pcap (nanosecond pcap).
// On failure fills err with one line ("interface s1-eth1 does not exist", "… permission denied: needs
// CAP_NET_RAW").
int ss_port_add(ss_switch *sw, uint32_t port, const char *iface, const char *pcap_dir, char *err,
                size_t err_len);
// Starts data-plane threads; `realtime`: before all else that runs on the machine, if that is allowed.
int ss_start(ss_switch *sw, uint32_t threads, bool realtime, char *err, size_t err_len);
void ss_stop(ss_switch *sw);
typedef struct {
  uint32_t port;
  uint32_t up;
  uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
} ss_port_stats_t;
int ss_port_stats(ss_switch *sw, uint32_t port, ss_port_stats_t *out);

// --- packets from the control plane
// A packet-out: `frame` begins with the serialised packet_out controller header; it enters ingress from the
// CPU port.
int ss_packet_out(ss_switch *sw, const uint8_t *frame, size_t len);
// Data-plane threads hear of packet-outs with this, of all that were given before; without it perhaps later.
void ss_packet_outs_go(ss_switch *sw);

// Synchronous processing without ports or threads (tests, STF, benchmarks): runs the pipeline on one frame as
// if it had arrived on `port`; results wait in an output queue of records {u32 port; u32 len; bytes}, native
// endian, taken with ss_take_output. Frames for the CPU port go to the event queue as usual.
int ss_process(ss_switch *sw, uint32_t port, const uint8_t *frame, size_t len);
size_t ss_take_output(ss_switch *sw, uint8_t *buf, size_t buf_len);  // whole records only; 0 = empty

// --- tables
enum { SS_DEFAULT = 1, SS_CONST = 2 };                 // flags in records
enum { SS_INSERT = 1, SS_MODIFY = 2, SS_DELETE = 3 };  // P4Runtime's update types
static const uint32_t SS_GROUP = 0x80000000u;
typedef struct {  // an entry, for writing
  uint32_t table_id;
  // 0 with SS_DELETE; 0 with SS_MODIFY of a default entry: back to the program's own default
  uint32_t action_id;
  int32_t priority;          // ternary/range/optional tables: higher wins (P4Runtime)
  uint32_t member_or_group;  // action profiles: a member's handle, or SS_GROUP | a group's; else 0
  uint64_t idle_timeout_ns;  // 0 = none
  uint64_t metadata;         // opaque to the switch, returned by reads
  uint32_t flags;            // SS_DEFAULT
  const uint8_t *key, *mask, *params;
  uint32_t params_len;
  // Direct counter data; -1 = not given (0 on INSERT, as it was on MODIFY).
  int64_t initial_packets, initial_bytes;
} ss_entry_t;
int ss_table_write(ss_switch *sw, uint32_t op, const ss_entry_t *entry);
// Full scan: *cursor 0 at first; fills buf with whole records
//   {u32 record_len; u32 table_id; u32 action_id; i32 priority; u32 flags; u32 member_or_group;
//    u64 idle_timeout_ns; u64 since_last_hit_ns; u64 metadata; u64 packets; u64 bytes;
//    u32 key_len; u32 params_len; key; mask; params}
// in native byte order, unpadded ("=" in Python's struct).
//
// Returns bytes written, 0 at the end. Inserts and deletes in between never repeat or crash; they may or may
// not be seen.
size_t ss_table_read(ss_switch *sw, uint32_t table_id, uint64_t *cursor, uint8_t *buf, size_t buf_len);
// One entry by key (mask/priority as for writes); with SS_DEFAULT in probe->flags, the default entry. Same
// record; 0 = not found.
size_t ss_table_lookup(ss_switch *sw, const ss_entry_t *probe, uint8_t *buf, size_t buf_len);
uint64_t ss_table_count(ss_switch *sw, uint32_t table_id);

// --- counters, meters, registers (indirect: index; direct ones are addressed by entry)
int ss_counter_read(ss_switch *sw, uint32_t id, uint64_t index, uint64_t *packets, uint64_t *bytes);
int ss_counter_write(ss_switch *sw, uint32_t id, uint64_t index, uint64_t packets, uint64_t bytes);
int ss_direct_counter_write(ss_switch *sw, const ss_entry_t *probe, uint64_t packets, uint64_t bytes);
typedef struct {
  uint64_t cir, cburst, pir, pburst;  // per second; packets or bytes
  uint32_t configured;                // 0 = always green
} ss_meter_config_t;
int ss_meter_read(ss_switch *sw, uint32_t id, uint64_t index, ss_meter_config_t *out);
int ss_meter_write(ss_switch *sw, uint32_t id, uint64_t index, const ss_meter_config_t *config);
int ss_register_read(ss_switch *sw, uint32_t id, uint64_t index, uint8_t *value);  // ceil(w/8) bytes
int ss_register_write(ss_switch *sw, uint32_t id, uint64_t index, const uint8_t *value);

// The direct meter of one entry.
int ss_direct_meter_read(ss_switch *sw, const ss_entry_t *probe, ss_meter_config_t *out);
int ss_direct_meter_write(ss_switch *sw, const ss_entry_t *probe, const ss_meter_config_t *config);

// --- action profiles and selectors
// Members and groups have handles that the caller chooses: 1 … SS_MAX_CHOICES - 1, unique within the profile. A
// member or group that an entry or a group names cannot be deleted (-9).
enum { SS_MAX_CHOICES = 1 << 22 };
int ss_member_write(ss_switch *sw, uint32_t op, uint32_t profile_id, uint32_t handle, uint32_t action_id,
                    const uint8_t *params, uint32_t params_len);
// `members`: handles of members; one that stands there more than once gets a larger share.
int ss_group_write(ss_switch *sw, uint32_t op, uint32_t profile_id, uint32_t handle, const uint32_t *members,
                   size_t n);

// --- packet replication
typedef struct {
  uint32_t port;
  uint32_t instance;
} ss_replica_t;
int ss_multicast_set(ss_switch *sw, uint32_t group, const ss_replica_t *replicas, size_t n);  // n = 0 removes
int ss_clone_set(ss_switch *sw, uint32_t session, const ss_replica_t *replicas, size_t n,
                 uint32_t packet_length_bytes);

// --- events
// Blocks up to timeout_ms (Python's lock is released by ctypes), then fills buf with whole records
//   {u32 type; u32 len; payload}
//   SS_EV_PACKET_IN  payload: the frame as the deparser emitted it, packet_in header first
//   SS_EV_DIGEST     payload: u32 digest_id; the members in order, each in ceil(w/8) bytes, big-endian
//   SS_EV_IDLE       payload: one table record as in ss_table_read
//
// Returns bytes, 0 on timeout or after ss_stop. Queues are bounded; what does not fit is dropped and
// counted.
enum { SS_EV_PACKET_IN = 1, SS_EV_DIGEST = 2, SS_EV_IDLE = 3 };
size_t ss_wait_events(ss_switch *sw, uint32_t timeout_ms, uint8_t *buf, size_t buf_len);
// For a consumer that waits for other things, too: it is readable when there may be something to take, with
// ss_wait_events and no time. Call that four times a second all the same: idle entries are looked for in it.
int ss_events_fd(ss_switch *sw);
// Whether frames wait for a data-plane thread: who has time should leave it the processor.
bool ss_behind(ss_switch *sw);
typedef struct {
  uint64_t packet_in_dropped, digest_dropped, idle_dropped, packet_out_dropped, processed;
} ss_stats_t;
void ss_stats(ss_switch *sw, ss_stats_t *out);
#endif
