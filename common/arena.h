/*
 * Memory that is freed all at once: one arena per request, per analysis. Born
 * with a maximum. Allocation failure returns NULL and is sticky
 * (ps_arena_failed), so that builders of trees check once at the end.
 * Not thread safe: an arena belongs to whoever owns the request.
 */
#ifndef PS_COMMON_ARENA_H
#define PS_COMMON_ARENA_H

#include "common/base.h"

struct ps_arena;

enum {
    /* What an arena holds before it allocates anew after a reset. */
    PS_ARENA_FIRST_BYTES = 8192
};

/* Allocates the first chunk; NULL without memory. */
struct ps_arena *ps_arena_new(size_t max_bytes);
void ps_arena_free(struct ps_arena **arena);
/* Forgets everything, keeps the first chunk; clears the failure. */
void ps_arena_reset(struct ps_arena *arena);
/* 16-byte aligned, not cleared. n = 0 gives a valid pointer. */
void *ps_arena_alloc(struct ps_arena *arena, size_t n);
void *ps_arena_zalloc(struct ps_arena *arena, size_t n);
/* A copy with a NUL behind it. */
struct ps_str ps_arena_str(struct ps_arena *arena, struct ps_str s);
char *ps_arena_printf(struct ps_arena *arena, const char *fmt, ...)
    PS_PRINTF(2, 3);
bool ps_arena_failed(const struct ps_arena *arena);
/* Bytes handed out since the last reset. */
size_t ps_arena_used(const struct ps_arena *arena);

#endif
