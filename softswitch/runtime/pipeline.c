// SPDX-License-Identifier: Apache-2.0
// v1model's pipeline around a program's parser, ingress, egress and deparser, as BMv2's simple_switch runs
// it: clones, resubmission, multicast, recirculation. What has to pass again waits in a short queue of the
// worker until the frame itself is done.
#include "internal.h"
#include <stdlib.h>

// --- life of a worker's memory

static int exec_init(ss_exec *x, ss_worker *w) {
  const ss_program *p = w->sw->program;
  *x = (ss_exec){
      .sw = w->sw, .worker = w, .out = w->headers, .out_cap = (uint32_t)p->header_bytes, .digest = w->digest};
  x->state = aligned_alloc(64, (p->state_size + 64) / 64 * 64);
  if (x->state == NULL) return SS_RESOURCE_EXHAUSTED;
  memset(x->state, 0, p->state_size);
  return SS_OK;
}

int ss_worker_init(ss_worker *w, ss_switch *sw, unsigned index) {
  w->sw = sw;
  w->index = index;
  w->random_state = ss_random_seed();
  w->headers = malloc(sw->program->header_bytes + 1);
  w->digest = malloc(sw->program->digest_bytes + 1);
  w->segment = malloc(SS_MAX_FRAME);
  w->large = malloc((size_t)SS_LARGE_FRAMES * SS_LARGE_ROOM);
  if (w->headers == NULL || w->digest == NULL || w->segment == NULL || w->large == NULL)
    return SS_RESOURCE_EXHAUSTED;
  int error = exec_init(&w->main, w);
  if (error == SS_OK) error = exec_init(&w->clone, w);
  if (error == SS_OK) error = exec_init(&w->copy, w);
  for (unsigned i = 0; error == SS_OK && i < SS_PENDING; i++) {
    error = exec_init(&w->pending[i].x, w);
    w->pending[i].frame = malloc(SS_MAX_FRAME);
    if (w->pending[i].frame == NULL) error = SS_RESOURCE_EXHAUSTED;
  }
  if (error == SS_OK) error = ss_ring_init(&w->packet_ins, 1 << 22);
  if (error == SS_OK) error = ss_ring_init(&w->digests, 1 << 20);
  return error;
}

void ss_worker_free(ss_worker *w) {
  free(w->main.state);
  free(w->clone.state);
  free(w->copy.state);
  for (unsigned i = 0; i < SS_PENDING; i++) {
    free(w->pending[i].x.state);
    free(w->pending[i].frame);
  }
  free(w->headers);
  free(w->digest);
  free(w->segment);
  free(w->large);
  ss_ring_free(&w->packet_ins);
  ss_ring_free(&w->digests);
  free(w);
}

// --- one packet

static uint8_t *metadata_of(const ss_exec *x) {
  return (uint8_t *)x->state + x->sw->program->metadata_offset;
}

static void reset_metadata(ss_exec *x) {
  const ss_program *p = x->sw->program;
  x->std = (ss_standard_metadata){0};
  memset(metadata_of(x), 0, p->state_size - p->metadata_offset);
}

static void reset_effects(ss_exec *x) {
  x->truncate_to = UINT32_MAX;
  x->turns = 0;
  x->clone = x->resubmit = x->recirculate = x->exited = false;
  x->clone_list = x->resubmit_list = x->recirculate_list = SS_NO_LIST;
  x->digest_id = 0;
}

static void set_frame(ss_exec *x, const uint8_t *frame, uint32_t len) {
  x->packet = frame;
  x->packet_len = x->ingress_len = x->length_register = len;
  x->cursor = 0;
  x->super = (ss_super){.segments = 1};
}

// Everything but the state's own memory.
static void copy_exec(ss_exec *to, const ss_exec *from) {
  void *state = to->state;
  *to = *from;
  to->state = state;
  memcpy(state, from->state, from->sw->program->state_size);
}

static void preserve(ss_exec *to, const ss_exec *from, uint8_t list) {
  if (list != SS_NO_LIST) to->sw->program->preserve(list, to, from);
}

// A free place in the queue; NULL when the frame has caused too much work already. A large frame has no place
// there: it is cut up, and its segments come again.
static ss_pending *enqueue(ss_worker *w) {
  w->noticed = true;
  w->cut_up |= w->main.super.size != 0;
  if (w->cut_up) return NULL;
  if (w->pending_count == SS_PENDING || ++w->passes > SS_MAX_PASSES) return NULL;
  return &w->pending[(w->pending_first + w->pending_count++) % SS_PENDING];
}

// --- egress

static void clone_egress(const ss_exec *x) {
  if (x->clone_session >= SS_CLONE_SESSIONS) return;
  const ss_group *g = atomic_load_explicit(&x->sw->clones[x->clone_session], memory_order_acquire);
  for (uint32_t i = 0; g != NULL && i < g->n; i++) {
    ss_pending *p = enqueue(x->worker);
    if (p == NULL) return;
    copy_exec(&p->x, x);
    reset_metadata(&p->x);
    preserve(&p->x, x, x->clone_list);
    p->x.std.instance_type = SS_EGRESS_CLONE;
    p->x.std.egress_rid = (uint16_t)g->replicas[i].instance;
    reset_effects(&p->x);
    p->x.truncate_to = g->truncate_to;
    p->to_egress = true;
    p->port = g->replicas[i].port;
    // The payload's bytes lie in the arriving frame, or in a queue place that may be reused before this
    // clone's turn.
    memcpy(p->frame, x->packet, x->packet_len);
    p->x.packet = p->frame;
  }
}

// The whole packet: truncate() holds for what leaves the switch.
static void recirculate(const ss_exec *x) {
  const uint32_t payload = x->packet_len - x->cursor;
  uint32_t len = x->out_len + payload;
  ss_pending *p = len > SS_MAX_FRAME ? NULL : enqueue(x->worker);
  if (p == NULL) return;
  memcpy(p->frame, x->out, x->out_len);
  memcpy(p->frame + x->out_len, x->packet + x->cursor, payload);
  copy_exec(&p->x, x);
  p->to_egress = false;
  p->instance = SS_RECIRCULATED;
  p->list = x->recirculate_list;
  p->frame_len = len;
}

// Egress, deparser and what follows, for the packet in x, whose state is used up.
static void egress(ss_exec *x, uint32_t port) {
  const ss_program *p = x->sw->program;
  x->std.egress_port = (uint16_t)port;
  x->std.egress_spec = 0;  // any value but the drop port
  x->std.egress_global_timestamp = x->now_ns / 1000 & ((UINT64_C(1) << 48) - 1);
  x->std.enq_timestamp = (uint32_t)x->std.egress_global_timestamp;  // its queue has no length
  x->std.enq_qdepth = x->std.deq_timedelta = x->std.deq_qdepth = 0;
  x->std.packet_length = x->length_register;
  x->exited = false;
  p->egress(x);
  if (x->clone) clone_egress(x);
  if (x->std.egress_spec == SS_DROP_PORT) return;
  x->out_len = 0;
  p->deparse(x);
  if (x->recirculate) {
    recirculate(x);
    return;
  }
  ss_output(x->worker, x, port, x->packet + x->cursor, x->packet_len - x->cursor);
}

// Egress for every replica of the packet in x, which stays.
static void egress_replicas(ss_worker *w, const ss_exec *x, const ss_group *g) {
  w->noticed = true;
  for (uint32_t i = 0; g != NULL && i < g->n; i++) {
    copy_exec(&w->copy, x);
    w->copy.std.egress_rid = (uint16_t)g->replicas[i].instance;
    reset_effects(&w->copy);  // as BMv2: a copy forgets truncate() and recirculate() of ingress
    w->copy.truncate_to = g->truncate_to;
    egress(&w->copy, g->replicas[i].port);
  }
}

// --- ingress

// Parsed again from the frame as it came; metadata are zero but for the fields of the list.
static void clone_ingress(ss_worker *w, const ss_exec *x) {
  if (x->clone_session >= SS_CLONE_SESSIONS) return;
  const ss_group *g = atomic_load_explicit(&w->sw->clones[x->clone_session], memory_order_acquire);
  if (g == NULL) return;
  ss_exec *c = &w->clone;
  c->now_ns = x->now_ns;
  set_frame(c, x->packet, x->packet_len);
  c->super = x->super;
  c->ingress_len = x->ingress_len;
  reset_metadata(c);
  reset_effects(c);
  c->std.ingress_port = x->std.ingress_port;
  w->sw->program->parse(c);
  reset_metadata(c);
  preserve(c, x, x->clone_list);
  c->std.instance_type = SS_INGRESS_CLONE;
  egress_replicas(w, c, g);
}

static void resubmit(const ss_exec *x) {
  ss_pending *p = enqueue(x->worker);
  if (p == NULL) return;
  memcpy(p->frame, x->packet, x->packet_len);
  copy_exec(&p->x, x);
  p->to_egress = false;
  p->instance = SS_RESUBMITTED;
  p->list = x->resubmit_list;
  p->frame_len = x->packet_len;
}

static void after_ingress(ss_worker *w, ss_exec *x) {
  bool cloned = x->clone;
  x->clone = false;
  if (cloned) clone_ingress(w, x);
  if (x->digest_id != 0) ss_output_digest(w, x);
  if (x->resubmit) {
    resubmit(x);
  } else if (x->std.mcast_grp != 0) {
    x->std.instance_type = SS_REPLICATION;
    egress_replicas(w, x, atomic_load_explicit(&w->sw->multicast[x->std.mcast_grp], memory_order_acquire));
  } else if (x->std.egress_spec != SS_DROP_PORT) {
    x->std.instance_type = SS_NORMAL;
    egress(x, x->std.egress_spec);
  }
}

static void ingress(ss_worker *w, ss_exec *x) {
  const ss_program *p = w->sw->program;
  x->std.packet_length = x->packet_len;
  x->std.ingress_global_timestamp = x->now_ns / 1000 & ((UINT64_C(1) << 48) - 1);
  p->parse(x);
  x->exited = false;
  p->ingress(x);
  after_ingress(w, x);
}

static void pass_again(ss_worker *w, ss_pending *p) {
  if (p->to_egress) {
    copy_exec(&w->copy, &p->x);
    egress(&w->copy, p->port);
    return;
  }
  ss_exec *x = &w->main;
  x->now_ns = w->now_ns;
  set_frame(x, p->frame, p->frame_len);
  reset_metadata(x);
  reset_effects(x);
  preserve(x, &p->x, p->list);
  x->std.instance_type = p->instance;
  ingress(w, x);
}

static void set_super(ss_exec *x, const ss_super *super) {
  x->super = *super;
  x->ingress_len += super->headers * (super->segments - 1u);
}

void ss_pipeline(ss_worker *w, uint32_t port, const uint8_t *frame, uint32_t len, const ss_super *super) {
  ss_exec *x = &w->main;
  x->now_ns = w->now_ns;
  x->payload_read = false;
  w->passes = 0;
  set_frame(x, frame, len);
  if (super != NULL) set_super(x, super);
  reset_metadata(x);
  reset_effects(x);
  x->std.ingress_port = (uint16_t)port;
  ingress(w, x);
  while (w->pending_count > 0) {
    ss_pending *p = &w->pending[w->pending_first];
    pass_again(w, p);
    w->pending_first = (w->pending_first + 1) % SS_PENDING;
    w->pending_count--;
  }
  atomic_store_explicit(&w->processed, atomic_load_explicit(&w->processed, memory_order_relaxed) + 1,
                        memory_order_relaxed);
}
