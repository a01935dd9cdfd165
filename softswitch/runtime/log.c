// SPDX-License-Identifier: Apache-2.0
// log_msg, assert and assume of v1model: lines on stderr.
#include "internal.h"
#include <stdio.h>

void ss_log(ss_exec *x, const char *format, const uint64_t *args, unsigned n) {
  char line[512];
  size_t used = (size_t)snprintf(line, sizeof line, "%s: ", x->sw->program->name);
  unsigned taken = 0;
  if (used >= sizeof line) used = sizeof line - 1;
  for (const char *c = format; *c != 0 && used + 24 < sizeof line; c++) {
    if (c[0] == '{' && c[1] == '}' && taken < n) {
      used += (size_t)snprintf(line + used, sizeof line - used, "%llu", (unsigned long long)args[taken++]);
      c++;
    } else {
      line[used++] = *c;
    }
  }
  line[used] = 0;
  fprintf(stderr, "%s\n", line);
}

void ss_assert_failed(ss_exec *x, const char *where) {
  fprintf(stderr, "%s: %s: assertion failed, packet dropped\n", x->sw->program->name, where);
  ss_mark_to_drop(&x->std);
  x->exited = true;
}
