/*
 * Chunks in a list, bump allocation in the newest one. The first chunk stays
 * over a reset, so that a request after the first costs no malloc. What does
 * not fit the current chunk opens the next: at least twice the size of the
 * last, at most as much as the maximum leaves.
 */
#include "common/arena.h"

#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_MAGIC = 0x6172656e,
    LARGEST_CHUNK = 256 << 10,
    ALIGN = 16
};

struct chunk {
    struct chunk *older;
    size_t cap, used;
    _Alignas(ALIGN) char data[];
};

struct ps_arena {
    unsigned magic;
    bool failed;
    size_t max, total; /* bytes handed out, rounded up to ALIGN */
    struct chunk *newest;
};

static struct chunk *
chunk_new(size_t cap, struct chunk *older)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + cap);
    if (!chunk)
        return NULL;
    chunk->older = older;
    chunk->cap = cap;
    chunk->used = 0;
    return chunk;
}

struct ps_arena *
ps_arena_new(size_t max_bytes)
{
    struct ps_arena *arena = calloc(1, sizeof(*arena));
    if (!arena)
        return NULL;
    arena->newest = chunk_new(PS_ARENA_FIRST_BYTES, NULL);
    if (!arena->newest) {
        free(arena);
        return NULL;
    }
    arena->magic = ARENA_MAGIC;
    arena->max = max_bytes;
    return arena;
}

/* Frees all chunks but the first. */
static void
drop_newer(struct ps_arena *arena)
{
    while (arena->newest->older) {
        struct chunk *chunk = arena->newest;
        arena->newest = chunk->older;
        free(chunk);
    }
}

void
ps_arena_free(struct ps_arena **arena)
{
    struct ps_arena *a = *arena;
    if (!a)
        return;
    PS_CHECK_OBJ(a, ARENA_MAGIC);
    drop_newer(a);
    free(a->newest);
    a->magic = 0;
    free(a);
    *arena = NULL;
}

void
ps_arena_reset(struct ps_arena *arena)
{
    PS_CHECK_OBJ(arena, ARENA_MAGIC);
    drop_newer(arena);
    arena->newest->used = 0;
    arena->total = 0;
    arena->failed = false;
}

static void *
fail(struct ps_arena *arena)
{
    arena->failed = true;
    return NULL;
}

void *
ps_arena_alloc(struct ps_arena *arena, size_t n)
{
    PS_CHECK_OBJ(arena, ARENA_MAGIC);
    if (n > SIZE_MAX - ALIGN)
        return fail(arena);
    size_t size = (PS_MAX(n, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (arena->failed || size > arena->max - arena->total)
        return fail(arena);

    struct chunk *chunk = arena->newest;
    if (size > chunk->cap - chunk->used) {
        size_t cap = PS_MIN(chunk->cap * 2, (size_t)LARGEST_CHUNK);
        chunk = chunk_new(PS_MAX(cap, size), chunk);
        if (!chunk)
            return fail(arena);
        arena->newest = chunk;
    }
    void *p = chunk->data + chunk->used;
    chunk->used += size;
    arena->total += size;
    return p;
}

void *
ps_arena_zalloc(struct ps_arena *arena, size_t n)
{
    void *p = ps_arena_alloc(arena, n);
    if (p)
        memset(p, 0, n);
    return p;
}

struct ps_str
ps_arena_str(struct ps_arena *arena, struct ps_str s)
{
    char *copy = s.len < SIZE_MAX ? ps_arena_alloc(arena, s.len + 1) : NULL;
    if (!copy)
        return PS_STR_NONE;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct ps_str){copy, s.len};
}

char *
ps_arena_printf(struct ps_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? fail(arena) : ps_arena_alloc(arena, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

bool
ps_arena_failed(const struct ps_arena *arena)
{
    PS_CHECK_OBJ(arena, ARENA_MAGIC);
    return arena->failed;
}

size_t
ps_arena_used(const struct ps_arena *arena)
{
    PS_CHECK_OBJ(arena, ARENA_MAGIC);
    return arena->total;
}
