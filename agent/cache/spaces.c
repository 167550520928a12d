/*
 * The table of spaces: which databases and caches have stamps, for how long,
 * and the clock of catalog gens.
 *
 * Locks: the mutex guards the table. It is never held while another is taken.
 * Stamps need none (stamps.c).
 */
#include "agent/cache/spaces_private.h"

#include <malloc.h>
#include <stdlib.h>

/* ---- the table ---- */

struct ps_spaces *
ps_spaces_new(size_t max_spaces, uint64_t max_row_bytes)
{
    struct ps_spaces *spaces = calloc(1, sizeof(*spaces));
    if (!spaces)
        return NULL;
    spaces->magic = SPACES_MAGIC;
    spaces->max_spaces = PS_MAX(max_spaces, (size_t)1);
    spaces->max_row_bytes = max_row_bytes;
    pthread_mutex_init(&spaces->mutex, NULL);
    ps_list_init(&spaces->caches);
    for (size_t i = 0; i < N_BUCKETS; i++)
        ps_list_init(&spaces->buckets[i]);
    return spaces;
}

/* With the allocator's own word. */
static size_t
block_bytes(void *block)
{
    return malloc_usable_size(block) + sizeof(size_t);
}

void
spaces_release_cache(struct ps_spaces *spaces, struct ps_cache_stamps *cache)
{
    if (--cache->refs > 0)
        return;
    ps_list_remove(&spaces->caches, &cache->link);
    atomic_fetch_sub(&spaces->space_bytes, block_bytes(cache));
    free(cache);
}

struct ps_cache_stamps *
spaces_find_cache(struct ps_spaces *spaces, struct ps_str id)
{
    PS_LIST_FOREACH_SAFE(&spaces->caches, it, next) {
        struct ps_cache_stamps *cache =
            PS_CONTAINER_OF(it, struct ps_cache_stamps, link);
        if (ps_str_eq(cache->id, id))
            return cache;
    }
    return NULL;
}

struct ps_cache_stamps *
spaces_get_cache(struct ps_spaces *spaces, struct ps_str id)
{
    struct ps_cache_stamps *cache = spaces_find_cache(spaces, id);
    if (!cache) {
        cache = calloc(1, sizeof(*cache) + id.len + 1);
        if (!cache)
            return NULL;
        memcpy(cache->text, id.ptr, id.len);
        cache->id = (struct ps_str){cache->text, id.len};
        ps_list_push_back(&spaces->caches, &cache->link);
        atomic_fetch_add(&spaces->space_bytes, block_bytes(cache));
    }
    cache->refs++;
    return cache;
}

static struct ps_list *
space_bucket(struct ps_spaces *spaces, struct ps_str cache_id,
             struct ps_str database)
{
    uint64_t seed = ps_hash64(cache_id.ptr, cache_id.len, 0);
    uint64_t hash = ps_hash64(database.ptr, database.len, seed);
    return &spaces->buckets[hash % N_BUCKETS];
}

static void
space_remove(struct ps_spaces *spaces, struct ps_space *space)
{
    ps_list_remove(space_bucket(spaces, space->cache->id, space->database),
                   &space->link);
    spaces->n_spaces--;
    atomic_fetch_sub(&spaces->space_bytes, block_bytes(space));
    rows_free(space);
    spaces_release_cache(spaces, space->cache);
    space->magic = 0;
    pthread_mutex_destroy(&space->columns_lock);
    free(space);
}

void
ps_spaces_free(struct ps_spaces **spacesp)
{
    struct ps_spaces *spaces = *spacesp;
    if (!spaces)
        return;
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    *spacesp = NULL;
    for (size_t i = 0; i < N_BUCKETS; i++) {
        PS_LIST_FOREACH_SAFE(&spaces->buckets[i], it, next) {
            struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
            PS_CHECK(atomic_load(&space->refs) == 0);
            space_remove(spaces, space);
        }
    }
    PS_CHECK(ps_list_first(&spaces->caches) == NULL);
    pthread_mutex_destroy(&spaces->mutex);
    spaces->magic = 0;
    free(spaces);
}

struct ps_space *
spaces_find(struct ps_spaces *spaces, struct ps_str cache_id,
            struct ps_str database)
{
    PS_LIST_FOREACH_SAFE(space_bucket(spaces, cache_id, database), it, next) {
        struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
        if (ps_str_eq(space->database, database) &&
            ps_str_eq(space->cache->id, cache_id))
            return space;
    }
    return NULL;
}

/* Nothing refers to an idle space, so forgetting its gens loses nothing. False
 * when all are in use. */
static bool
evict_idle(struct ps_spaces *spaces)
{
    struct ps_space *oldest = NULL;
    for (size_t i = 0; i < N_BUCKETS; i++) {
        PS_LIST_FOREACH_SAFE(&spaces->buckets[i], it, next) {
            struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
            if (atomic_load(&space->refs) == 0 &&
                (!oldest || space->used < oldest->used))
                oldest = space;
        }
    }
    if (oldest)
        space_remove(spaces, oldest);
    return oldest != NULL;
}

static struct ps_space *
space_make(struct ps_spaces *spaces, struct ps_str cache_id,
           struct ps_str database)
{
    if (spaces->n_spaces >= spaces->max_spaces && !evict_idle(spaces))
        return NULL;
    struct ps_space *space = calloc(1, sizeof(*space) + database.len + 1);
    if (!space)
        return NULL;
    space->cache = spaces_get_cache(spaces, cache_id);
    if (!space->cache) {
        free(space);
        return NULL;
    }
    space->magic = SPACE_MAGIC;
    pthread_mutex_init(&space->columns_lock, NULL);
    space->spaces = spaces;
    space->id = ++spaces->last_id;
    memcpy(space->text, database.ptr, database.len);
    space->database = (struct ps_str){space->text, database.len};
    atomic_init(&space->catalog_gen, ++spaces->catalog_clock);
    ps_list_push_back(space_bucket(spaces, cache_id, database), &space->link);
    spaces->n_spaces++;
    atomic_fetch_add(&spaces->space_bytes, block_bytes(space));
    return space;
}

struct ps_space *
spaces_get(struct ps_spaces *spaces, struct ps_str cache_id,
           struct ps_str database)
{
    struct ps_space *space = spaces_find(spaces, cache_id, database);
    if (!space)
        space = space_make(spaces, cache_id, database);
    if (!space)
        return NULL;
    space->used = ++spaces->tick;
    atomic_fetch_add(&space->refs, 1);
    return space;
}

struct ps_space *
ps_space_get(struct ps_spaces *spaces, struct ps_str cache_id,
             struct ps_str database)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    pthread_mutex_lock(&spaces->mutex);
    struct ps_space *space = spaces_get(spaces, cache_id, database);
    pthread_mutex_unlock(&spaces->mutex);
    return space;
}

struct ps_space *
ps_space_ref(struct ps_space *space)
{
    PS_CHECK_OBJ(space, SPACE_MAGIC);
    uint32_t before =
        atomic_fetch_add_explicit(&space->refs, 1, memory_order_relaxed);
    PS_CHECK(before > 0);
    return space;
}

struct ps_space **
ps_spaces_of_cache(struct ps_spaces *spaces, struct ps_str cache_id, size_t *n)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    *n = 0;
    pthread_mutex_lock(&spaces->mutex);
    struct ps_space **list = calloc(spaces->n_spaces + 1, sizeof(*list));
    for (size_t i = 0; list && i < N_BUCKETS; i++) {
        PS_LIST_FOREACH_SAFE(&spaces->buckets[i], it, next) {
            struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
            if (!ps_str_eq(space->cache->id, cache_id))
                continue;
            atomic_fetch_add(&space->refs, 1);
            list[(*n)++] = space;
        }
    }
    pthread_mutex_unlock(&spaces->mutex);
    return list;
}

void
ps_space_unref(struct ps_space **spacep)
{
    struct ps_space *space = *spacep;
    if (!space)
        return;
    PS_CHECK_OBJ(space, SPACE_MAGIC);
    *spacep = NULL;
    /* The last touch: an idle space may be freed by whoever holds the mutex. */
    uint32_t before = atomic_fetch_sub(&space->refs, 1);
    PS_CHECK(before > 0);
}

uint64_t
ps_space_id(const struct ps_space *space)
{
    return space->id;
}

const struct ps_cache_stamps *
ps_space_cache(const struct ps_space *space)
{
    return space->cache;
}

struct ps_str
ps_space_cache_id(const struct ps_space *space)
{
    return space->cache->id;
}

struct ps_str
ps_space_database(const struct ps_space *space)
{
    return space->database;
}

uint64_t
ps_space_catalog_gen(const struct ps_space *space)
{
    return atomic_load_explicit(&space->catalog_gen, memory_order_acquire);
}

/* ---- structure ---- */

void
space_move_catalog(struct ps_space *space)
{
    atomic_store_explicit(&space->catalog_gen, ++space->spaces->catalog_clock,
                          memory_order_release);
}

void
spaces_move_catalogs(struct ps_spaces *spaces,
                     const struct ps_cache_stamps *cache)
{
    for (size_t i = 0; i < N_BUCKETS; i++) {
        PS_LIST_FOREACH_SAFE(&spaces->buckets[i], it, next) {
            struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
            if (!cache || space->cache == cache)
                space_move_catalog(space);
        }
    }
}

void
ps_space_structure_changed(struct ps_space *space)
{
    PS_CHECK_OBJ(space, SPACE_MAGIC);
    struct ps_spaces *spaces = space->spaces;
    pthread_mutex_lock(&spaces->mutex);
    space_move_catalog(space);
    pthread_mutex_unlock(&spaces->mutex);
    stamp_bump(&space->all);
}

uint64_t
ps_spaces_bytes(const struct ps_spaces *spaces)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    return atomic_load_explicit(&spaces->space_bytes, memory_order_relaxed) +
           atomic_load_explicit(&spaces->row_bytes, memory_order_relaxed);
}

size_t
ps_space_bytes(void)
{
    return sizeof(struct ps_space) + sizeof(struct ps_cache_stamps);
}

void
ps_spaces_stats(struct ps_spaces *spaces, struct ps_spaces_stats *out)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    pthread_mutex_lock(&spaces->mutex);
    out->spaces = spaces->n_spaces;
    out->caches = spaces->caches.count;
    pthread_mutex_unlock(&spaces->mutex);
    out->row_bytes =
        atomic_load_explicit(&spaces->row_bytes, memory_order_relaxed);
    out->changes = atomic_load_explicit(&spaces->changes, memory_order_relaxed);
    out->whole = atomic_load_explicit(&spaces->whole, memory_order_relaxed);
}
