// SPDX-License-Identifier: Apache-2.0
// The packet replication engine: multicast groups and clone sessions. A group is replaced as a whole; packets
// see the old or the new.
#include "internal.h"
#include <stdlib.h>

int ss_pre_init(ss_switch *sw) {
  sw->multicast = calloc(SS_MULTICAST_GROUPS, sizeof *sw->multicast);
  sw->clones = calloc(SS_CLONE_SESSIONS, sizeof *sw->clones);
  return sw->multicast == NULL || sw->clones == NULL ? SS_RESOURCE_EXHAUSTED : SS_OK;
}

static void free_groups(_Atomic(ss_group *) *groups, uint32_t n) {
  if (groups == NULL) return;
  for (uint32_t i = 0; i < n; i++) free(atomic_load_explicit(&groups[i], memory_order_relaxed));
  free(groups);
}

void ss_pre_free(ss_switch *sw) {
  free_groups(sw->multicast, SS_MULTICAST_GROUPS);
  free_groups(sw->clones, SS_CLONE_SESSIONS);
}

static int set(ss_switch *sw, _Atomic(ss_group *) *place, const ss_replica_t *replicas, size_t n,
               uint32_t truncate_to) {
  ss_group *group = NULL;
  if (n > 0) {
    group = malloc(sizeof *group + n * sizeof group->replicas[0]);
    if (group == NULL) return SS_RESOURCE_EXHAUSTED;
    group->truncate_to = truncate_to;
    group->n = (uint32_t)n;
    memcpy(group->replicas, replicas, n * sizeof group->replicas[0]);
  }
  pthread_mutex_lock(&sw->control);
  ss_group *old = atomic_exchange(place, group);
  if (old != NULL) ss_retire(sw, old, ss_free_plain, NULL);
  pthread_mutex_unlock(&sw->control);
  return SS_OK;
}

static int check(const ss_replica_t *replicas, size_t n) {
  if (n > UINT16_MAX) return SS_RESOURCE_EXHAUSTED;
  for (size_t i = 0; i < n; i++) {
    if (replicas[i].port >= SS_DROP_PORT || replicas[i].instance > UINT16_MAX) return SS_INVALID_ARGUMENT;
  }
  return SS_OK;
}

int ss_multicast_set(ss_switch *sw, uint32_t group, const ss_replica_t *replicas, size_t n) {
  int error = check(replicas, n);
  if (error != SS_OK) return error;
  if (group == 0 || group >= SS_MULTICAST_GROUPS) return SS_INVALID_ARGUMENT;
  return set(sw, &sw->multicast[group], replicas, n, UINT32_MAX);
}

int ss_clone_set(ss_switch *sw, uint32_t session, const ss_replica_t *replicas, size_t n,
                 uint32_t packet_length_bytes) {
  int error = check(replicas, n);
  if (error != SS_OK) return error;
  if (session >= SS_CLONE_SESSIONS) return SS_INVALID_ARGUMENT;
  return set(sw, &sw->clones[session], replicas, n,
             packet_length_bytes == 0 ? UINT32_MAX : packet_length_bytes);
}
