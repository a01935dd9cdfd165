// SPDX-License-Identifier: Apache-2.0
// Action profiles and selectors: members (an action with its parameters) and groups of them, that table
// entries name. Entries point to them; a member's row and a group's list are replaced as a whole by a change.
#include "internal.h"
#include <stdlib.h>

typedef struct {
  uint32_t n;
  ss_choice *members[];
} share_list;

struct ss_choice {
  bool is_group;
  uint32_t holds;  // entries and groups that name it; control side
  _Atomic(ss_row *) row;
  _Atomic(share_list *) shares;
};

int ss_profiles_init(ss_switch *sw) {
  sw->profiles = calloc(sw->program->profiles + 1, sizeof *sw->profiles);
  return sw->profiles == NULL ? SS_RESOURCE_EXHAUSTED : SS_OK;
}

static void choice_free(ss_choice *choice) {
  if (choice == NULL) return;
  free(atomic_load(&choice->row));
  free(atomic_load(&choice->shares));
  free(choice);
}

static void free_page(ss_choice **page) {
  for (uint32_t c = 0; page != NULL && c < SS_CHOICE_PAGE; c++) choice_free(page[c]);
  free(page);
}

void ss_profiles_free(ss_switch *sw) {
  for (uint32_t i = 0; sw->profiles != NULL && i < sw->program->profiles; i++) {
    for (uint32_t page = 0; page < SS_CHOICE_PAGES; page++) free_page(sw->profiles[i].pages[page]);
  }
  free(sw->profiles);
}

// --- packets

static const ss_row *row_of(ss_choice *member) {
  return atomic_load_explicit(&member->row, memory_order_acquire);
}

const ss_row *ss_choose(const ss_exec *x, uint32_t table, const ss_row *row, uint64_t hash) {
  static const ss_row nothing = {.action = UINT16_MAX, .hit = 1};  // an empty group: no action runs
  const ss_table *t = &x->sw->tables[table];
  if (!row->hit || t->choice_offset == 0) return row;
  ss_choice *choice = *(ss_choice *const *)(const void *)(row->data + t->choice_offset);
  if (!choice->is_group) return row_of(choice);
  const share_list *list = atomic_load_explicit(&choice->shares, memory_order_acquire);
  return list->n == 0 ? &nothing : row_of(list->members[hash % list->n]);
}

// --- control

// Where the choice of a handle stands; one without a page has none.
static ss_choice **place(const ss_profile *p, uint32_t handle) {
  static ss_choice *none;
  ss_choice **page = handle < SS_MAX_CHOICES ? p->pages[handle / SS_CHOICE_PAGE] : NULL;
  return page == NULL ? &none : &page[handle % SS_CHOICE_PAGE];
}

static ss_choice *find(const ss_profile *p, uint32_t handle, bool is_group) {
  ss_choice *choice = *place(p, handle);
  return choice != NULL && choice->is_group == is_group ? choice : NULL;
}

ss_choice *ss_choice_of(const ss_switch *sw, const ss_table *t, uint32_t member_or_group) {
  return find(&sw->profiles[t->desc->profile - 1], member_or_group & ~SS_GROUP, member_or_group & SS_GROUP);
}

void ss_choice_hold(ss_choice *choice) { choice->holds++; }
void ss_choice_drop(ss_choice *choice) { choice->holds--; }

static ss_profile *profile_of(ss_switch *sw, uint32_t id, const ss_profile_desc **desc) {
  for (uint32_t i = 0; i < sw->program->profiles; i++) {
    *desc = &sw->program->profile[i];
    if ((*desc)->id == id) return &sw->profiles[i];
  }
  return NULL;
}

// Makes room for a handle.
static int reserve(ss_profile *p, uint32_t handle) {
  if (handle == 0 || handle >= SS_MAX_CHOICES) return SS_INVALID_ARGUMENT;
  if (p->pages[handle / SS_CHOICE_PAGE] != NULL) return SS_OK;
  ss_choice **page = calloc(SS_CHOICE_PAGE, sizeof(ss_choice *));
  if (page == NULL) return SS_RESOURCE_EXHAUSTED;
  p->pages[handle / SS_CHOICE_PAGE] = page;
  return SS_OK;
}

static void retire_choice(void *object, void *arg) {
  (void)arg;
  choice_free(object);
}

static int delete(ss_switch *sw, ss_profile *p, uint32_t handle, ss_choice *choice) {
  if (choice->holds > 0) return SS_FAILED_PRECONDITION;
  share_list *list = atomic_load(&choice->shares);
  for (uint32_t i = 0; list != NULL && i < list->n; i++) ss_choice_drop(list->members[i]);
  *place(p, handle) = NULL;
  ss_retire(sw, choice, retire_choice, NULL);
  return SS_OK;
}

// INSERT and MODIFY: the choice to change, a new one not yet known to the profile for INSERT.
static int open_choice(ss_profile *p, uint32_t op, uint32_t handle, bool is_group, ss_choice **choice) {
  if (op == SS_MODIFY) {
    *choice = find(p, handle, is_group);
    return *choice == NULL ? SS_NOT_FOUND : SS_OK;
  }
  if (*place(p, handle) != NULL) return SS_ALREADY_EXISTS;
  *choice = calloc(1, sizeof **choice);
  if (*choice == NULL) return SS_RESOURCE_EXHAUSTED;
  (*choice)->is_group = is_group;
  return SS_OK;
}

static int member_row(const ss_profile_desc *desc, uint32_t action_id, const uint8_t *params,
                      uint32_t params_len, ss_row **row) {
  for (uint16_t a = 0; a < desc->actions; a++) {
    if (desc->action[a].id != action_id) continue;
    int error = ss_check_params(&desc->action[a], params, params_len);
    if (error != SS_OK) return error;
    *row = calloc(1, sizeof **row + params_len);
    if (*row == NULL) return SS_RESOURCE_EXHAUSTED;
    (*row)->action = a;
    (*row)->hit = 1;
    if (params_len > 0) memcpy((*row)->data, params, params_len);
    return SS_OK;
  }
  return SS_INVALID_ARGUMENT;
}

static int write_member(ss_switch *sw, ss_profile *p, uint32_t op, uint32_t handle, ss_row *row) {
  ss_choice *choice;
  int error = open_choice(p, op, handle, false, &choice);
  if (error != SS_OK) return error;
  ss_row *old = atomic_exchange(&choice->row, row);
  if (old != NULL) ss_retire(sw, old, ss_free_plain, NULL);
  *place(p, handle) = choice;
  return SS_OK;
}

int ss_member_write(ss_switch *sw, uint32_t op, uint32_t profile_id, uint32_t handle, uint32_t action_id,
                    const uint8_t *params, uint32_t params_len) {
  const ss_profile_desc *desc;
  ss_profile *p = profile_of(sw, profile_id, &desc);
  ss_row *row = NULL;
  int error = p == NULL ? SS_NOT_FOUND : SS_OK;
  if (error == SS_OK && op != SS_DELETE) error = member_row(desc, action_id, params, params_len, &row);
  if (error != SS_OK) return error;
  pthread_mutex_lock(&sw->control);
  if (op == SS_DELETE) {
    ss_choice *choice = find(p, handle, false);
    error = choice == NULL ? SS_NOT_FOUND : delete (sw, p, handle, choice);
  } else {
    error = reserve(p, handle);
    if (error == SS_OK) error = write_member(sw, p, op, handle, row);
    if (error != SS_OK) free(row);
  }
  ss_reclaim_some(sw);
  pthread_mutex_unlock(&sw->control);
  return error;
}

static int make_list(const ss_profile *p, const uint32_t *members, size_t n, share_list **list) {
  *list = malloc(sizeof **list + n * sizeof(ss_choice *));
  if (*list == NULL) return SS_RESOURCE_EXHAUSTED;
  (*list)->n = (uint32_t)n;
  for (size_t i = 0; i < n; i++) {
    (*list)->members[i] = find(p, members[i], false);
    if ((*list)->members[i] == NULL) return SS_NOT_FOUND;
  }
  return SS_OK;
}

static int write_group(ss_switch *sw, ss_profile *p, uint32_t op, uint32_t handle, share_list *list) {
  ss_choice *choice;
  int error = open_choice(p, op, handle, true, &choice);
  if (error != SS_OK) return error;
  for (uint32_t i = 0; i < list->n; i++) ss_choice_hold(list->members[i]);
  share_list *old = atomic_exchange(&choice->shares, list);
  for (uint32_t i = 0; old != NULL && i < old->n; i++) ss_choice_drop(old->members[i]);
  if (old != NULL) ss_retire(sw, old, ss_free_plain, NULL);
  *place(p, handle) = choice;
  return SS_OK;
}

int ss_group_write(ss_switch *sw, uint32_t op, uint32_t profile_id, uint32_t handle, const uint32_t *members,
                   size_t n) {
  const ss_profile_desc *desc;
  ss_profile *p = profile_of(sw, profile_id, &desc);
  if (p == NULL) return SS_NOT_FOUND;
  if (n > UINT16_MAX) return SS_RESOURCE_EXHAUSTED;
  share_list *list = NULL;
  pthread_mutex_lock(&sw->control);
  int error = SS_OK;
  if (op == SS_DELETE) {
    ss_choice *choice = find(p, handle, true);
    error = choice == NULL ? SS_NOT_FOUND : delete (sw, p, handle, choice);
  } else {
    error = reserve(p, handle);
    if (error == SS_OK) error = make_list(p, members, n, &list);
    if (error == SS_OK) error = write_group(sw, p, op, handle, list);
    if (error != SS_OK) free(list);
  }
  ss_reclaim_some(sw);
  pthread_mutex_unlock(&sw->control);
  return error;
}
