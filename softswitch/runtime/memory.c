// SPDX-License-Identifier: Apache-2.0
// Memory for what packets look up. Large pieces lie in huge pages where the kernel has them: with a million
// entries, most look-ups would else wait for the page tables, too.
#include "internal.h"
#include <stdlib.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, bytes) ((void)(start), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes) ((void)(start), (void)(bytes))
#endif

static const size_t HUGE_PAGE = (size_t)1 << 21;

static bool in_pages(size_t bytes) { return bytes >= HUGE_PAGE / 2; }

static size_t page_bytes(size_t bytes) { return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; }

// Mapped with a page to spare, and trimmed, so that it begins where a huge page can.
static void *map_pages(size_t bytes) {
  size_t all = bytes + HUGE_PAGE;
  uint8_t *start = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return NULL;
  size_t before = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE, after = all - before - bytes;
  if (before > 0) munmap(start, before);
  if (after > 0) munmap(start + before + bytes, after);
  (void)madvise(start + before, bytes, MADV_HUGEPAGE);
  return start + before;
}

void *ss_large_new(size_t bytes) {
  if (in_pages(bytes)) return map_pages(page_bytes(bytes));
  void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
  return p == NULL ? NULL : memset(p, 0, bytes);
}

void ss_large_free(void *p, size_t bytes) {
  if (p != NULL && in_pages(bytes)) {
    munmap(p, page_bytes(bytes));
  } else {
    free(p);
  }
}

// --- rows: pieces of one size per table, side by side. Those that are given back are used again.

enum { FIRST_CHUNK = 1 << 12, LARGEST_CHUNK = 1 << 21, LINE = 64 };

struct ss_chunk {
  struct ss_chunk *next;
  size_t bytes;
};

void ss_rows_init(ss_rows *rows, size_t row_bytes) {
  // What packets read of a row begins with a cache line.
  rows->ahead = (LINE - offsetof(ss_row, packets) % LINE) % LINE;
  rows->stride = (rows->ahead + row_bytes + LINE - 1) / LINE * LINE;
  rows->row_bytes = row_bytes;
  rows->chunk_bytes = FIRST_CHUNK;
}

static bool add_chunk(ss_rows *rows) {
  size_t bytes = rows->chunk_bytes < rows->stride + LINE ? rows->stride + LINE : rows->chunk_bytes;
  ss_chunk *chunk = ss_large_new(bytes);
  if (chunk == NULL) return false;
  *chunk = (ss_chunk){rows->chunks, bytes};
  rows->chunks = chunk;
  rows->fresh = (uint8_t *)chunk + LINE;
  rows->left = (bytes - LINE) / rows->stride;
  ASAN_POISON_MEMORY_REGION(rows->fresh, bytes - LINE);
  if (rows->chunk_bytes < LARGEST_CHUNK) rows->chunk_bytes *= 2;
  return true;
}

ss_row *ss_rows_take(ss_rows *rows) {
  uint8_t *piece = rows->unused;
  if (piece != NULL) {
    ASAN_UNPOISON_MEMORY_REGION(piece, rows->ahead + rows->row_bytes);
    memcpy(&rows->unused, piece + rows->ahead, sizeof rows->unused);
  } else {
    if (rows->left == 0 && !add_chunk(rows)) return NULL;
    piece = rows->fresh;
    rows->fresh += rows->stride;
    rows->left--;
    ASAN_UNPOISON_MEMORY_REGION(piece, rows->ahead + rows->row_bytes);
  }
  return memset(piece + rows->ahead, 0, rows->row_bytes);
}

void ss_rows_give(ss_rows *rows, ss_row *row) {
  uint8_t *piece = (uint8_t *)row - rows->ahead;
  memcpy(row, &rows->unused, sizeof rows->unused);
  rows->unused = piece;
  ASAN_POISON_MEMORY_REGION(piece, rows->ahead + rows->row_bytes);
}

void ss_rows_free(ss_rows *rows) {
  for (ss_chunk *chunk = rows->chunks; chunk != NULL;) {
    ss_chunk *next = chunk->next;
    ASAN_UNPOISON_MEMORY_REGION(chunk, chunk->bytes);
    ss_large_free(chunk, chunk->bytes);
    chunk = next;
  }
}
