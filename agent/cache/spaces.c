/*
 * Stamps and the table of spaces.
 *
 * Orders. A writer changes stamps by read-modify-writes that are sequentially
 * consistent: `committing` before `gen` on begin, `gen` before `committing` on
 * end. A reader loads gens with acquire, then `committing` with acquire. So:
 *
 *   1. The reader saw the gen of a begin: that begin's committing++ happened
 *      before the reader's load of `committing`, which therefore is not 0
 *      unless the write has ended too; then its end's gen++ happened before,
 *      and the sum just taken can never be valid again (if it misses that
 *      gen++) or is younger than the write (if it has it).
 *   2. The reader did not see it: the sum is too small as soon as anybody
 *      compares it after the begin.
 *
 * In both cases an answer whose query was sent before a write's begin or
 * during its window is worthless once begin, or end, is visible. The end
 * happens before the writer's reply is sent; whoever acts on that reply and
 * asks any thread of this process does so through system calls that order the
 * loads of that thread after it (C2).
 *
 * Locks: the mutex guards the table (which spaces and caches exist, the clock
 * of catalog gens). It is never held while another is taken. Stamps need
 * none.
 */
#include "agent/cache/spaces.h"

#include "common/check.h"
#include "common/hash.h"
#include "common/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    SPACES_MAGIC = 0x57ace501,
    SPACE_MAGIC = 0x57ace502,
    N_BUCKETS = 256
};

struct stamp {
    _Atomic uint64_t gen;
    _Atomic uint32_t committing;
};

/* Of all databases of one cache. refs by its spaces and by writes to all of
 * it, under the mutex. */
struct ps_cache_stamps {
    struct ps_link link;
    struct stamp all;
    size_t refs;
    struct ps_str id;
    char text[];
};

struct ps_space {
    uint32_t magic;
    _Atomic uint32_t refs; /* 0: idle; becomes more under the mutex only */
    struct ps_link link;   /* in its bucket */
    struct ps_spaces *spaces;
    struct ps_cache_stamps *cache;
    uint64_t id;
    uint64_t used; /* tick of the last get; mutex */
    struct ps_str database;
    _Atomic uint64_t catalog_gen;
    struct stamp all, any;
    struct stamp slots[PS_SPACE_SLOTS];
    char text[];
};

struct ps_spaces {
    uint32_t magic;
    struct stamp root;
    pthread_mutex_t mutex;
    size_t max_spaces, n_spaces;
    uint64_t tick;          /* of gets */
    uint64_t last_id;       /* of spaces */
    uint64_t catalog_clock; /* last catalog_gen given out */
    struct ps_list caches;
    struct ps_list buckets[N_BUCKETS];
    _Atomic uint64_t changes, whole;
};

static void
stamp_begin(struct stamp *stamp)
{
    atomic_fetch_add(&stamp->committing, 1);
    atomic_fetch_add(&stamp->gen, 1);
}

static void
stamp_bump(struct stamp *stamp)
{
    atomic_fetch_add(&stamp->gen, 1);
}

static void
stamp_end(struct stamp *stamp)
{
    atomic_fetch_add(&stamp->gen, 1);
    uint32_t before = atomic_fetch_sub(&stamp->committing, 1);
    PS_CHECK(before > 0);
}

static uint64_t
stamp_gen(const struct stamp *stamp)
{
    return atomic_load_explicit(&stamp->gen, memory_order_acquire);
}

static bool
stamp_committing(const struct stamp *stamp)
{
    return atomic_load_explicit(&stamp->committing, memory_order_acquire) != 0;
}

/* ---- the table ---- */

struct ps_spaces *
ps_spaces_new(size_t max_spaces)
{
    struct ps_spaces *spaces = calloc(1, sizeof(*spaces));
    if (!spaces)
        return NULL;
    spaces->magic = SPACES_MAGIC;
    spaces->max_spaces = PS_MAX(max_spaces, (size_t)1);
    pthread_mutex_init(&spaces->mutex, NULL);
    ps_list_init(&spaces->caches);
    for (size_t i = 0; i < N_BUCKETS; i++)
        ps_list_init(&spaces->buckets[i]);
    return spaces;
}

static void
cache_release(struct ps_spaces *spaces, struct ps_cache_stamps *cache)
{
    if (--cache->refs > 0)
        return;
    ps_list_remove(&spaces->caches, &cache->link);
    free(cache);
}

static struct ps_cache_stamps *
cache_find(struct ps_spaces *spaces, struct ps_str id)
{
    PS_LIST_FOREACH_SAFE(&spaces->caches, it, next) {
        struct ps_cache_stamps *cache =
            PS_CONTAINER_OF(it, struct ps_cache_stamps, link);
        if (ps_str_eq(cache->id, id))
            return cache;
    }
    return NULL;
}

/* A reference, or NULL without memory. */
static struct ps_cache_stamps *
cache_get(struct ps_spaces *spaces, struct ps_str id)
{
    struct ps_cache_stamps *cache = cache_find(spaces, id);
    if (!cache) {
        cache = calloc(1, sizeof(*cache) + id.len + 1);
        if (!cache)
            return NULL;
        memcpy(cache->text, id.ptr, id.len);
        cache->id = (struct ps_str){cache->text, id.len};
        ps_list_push_back(&spaces->caches, &cache->link);
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
    cache_release(spaces, space->cache);
    space->magic = 0;
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

static struct ps_space *
space_find(struct ps_spaces *spaces, struct ps_str cache_id,
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
    space->cache = cache_get(spaces, cache_id);
    if (!space->cache) {
        free(space);
        return NULL;
    }
    space->magic = SPACE_MAGIC;
    space->spaces = spaces;
    space->id = ++spaces->last_id;
    memcpy(space->text, database.ptr, database.len);
    space->database = (struct ps_str){space->text, database.len};
    atomic_init(&space->catalog_gen, ++spaces->catalog_clock);
    ps_list_push_back(space_bucket(spaces, cache_id, database), &space->link);
    spaces->n_spaces++;
    return space;
}

static struct ps_space *
space_get_locked(struct ps_spaces *spaces, struct ps_str cache_id,
                 struct ps_str database)
{
    struct ps_space *space = space_find(spaces, cache_id, database);
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
    struct ps_space *space = space_get_locked(spaces, cache_id, database);
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

/* ---- reading ---- */

/* Stable within the process's life and the same for reader and writer. The
 * schema's hash seeds the name's, so "a"."bc" and "ab"."c" differ. */
static uint16_t
table_slot(const struct ps_table_name *table)
{
    uint64_t seed = ps_hash64(table->schema.ptr, table->schema.len, 1);
    uint64_t hash = ps_hash64(table->name.ptr, table->name.len, seed);
    _Static_assert((PS_SPACE_SLOTS & (PS_SPACE_SLOTS - 1)) == 0 &&
                       PS_SPACE_SLOTS <= UINT16_MAX,
                   "slots are masked and kept in 16 bits");
    return (uint16_t)(hash & (PS_SPACE_SLOTS - 1));
}

uint64_t
ps_space_sum(const struct ps_space *space, bool every_table,
             const uint16_t *slots, size_t n_slots)
{
    uint64_t sum = stamp_gen(&space->spaces->root) +
                   stamp_gen(&space->cache->all) + stamp_gen(&space->all);
    if (every_table)
        return sum + stamp_gen(&space->any);
    for (size_t i = 0; i < n_slots; i++)
        sum += stamp_gen(&space->slots[slots[i]]);
    return sum;
}

bool
ps_space_committing(const struct ps_space *space, bool every_table,
                    const uint16_t *slots, size_t n_slots)
{
    if (stamp_committing(&space->spaces->root) ||
        stamp_committing(&space->cache->all) || stamp_committing(&space->all))
        return true;
    if (every_table)
        return stamp_committing(&space->any);
    for (size_t i = 0; i < n_slots; i++) {
        if (stamp_committing(&space->slots[slots[i]]))
            return true;
    }
    return false;
}

enum ps_snapshot_rc
ps_snapshot_take(struct ps_space *space, uint64_t catalog_gen,
                 const struct ps_table_name *tables, size_t n,
                 struct ps_snapshot *out)
{
    PS_CHECK_OBJ(space, SPACE_MAGIC);
    out->space = space;
    out->every_table = n > PS_SPACE_MAX_TABLES;
    out->n_slots = out->every_table ? 0 : (uint16_t)n;
    for (size_t i = 0; i < out->n_slots; i++)
        out->slots[i] = table_slot(&tables[i]);
    out->sum = ps_space_sum(space, out->every_table, out->slots, out->n_slots);
    if (ps_space_committing(space, out->every_table, out->slots, out->n_slots))
        return PS_SNAPSHOT_COMMITTING;
    /* Last: a change of structure sets catalog_gen before it moves gens, so
     * a sum that includes the change is refused here. */
    if (ps_space_catalog_gen(space) != catalog_gen)
        return PS_SNAPSHOT_CATALOG_MOVED;
    return PS_SNAPSHOT_OK;
}

bool
ps_snapshot_valid(const struct ps_snapshot *snapshot)
{
    return ps_space_sum(snapshot->space, snapshot->every_table, snapshot->slots,
                        snapshot->n_slots) == snapshot->sum;
}

/* ---- writing ---- */

/* Everything of the database must be looked at anew. Mutex. */
static void
space_move_catalog(struct ps_spaces *spaces, struct ps_space *space)
{
    atomic_store_explicit(&space->catalog_gen, ++spaces->catalog_clock,
                          memory_order_release);
}

/* cache NULL: of every cache. Mutex. */
static void
move_catalogs(struct ps_spaces *spaces, const struct ps_cache_stamps *cache)
{
    for (size_t i = 0; i < N_BUCKETS; i++) {
        PS_LIST_FOREACH_SAFE(&spaces->buckets[i], it, next) {
            struct ps_space *space = PS_CONTAINER_OF(it, struct ps_space, link);
            if (!cache || space->cache == cache)
                space_move_catalog(spaces, space);
        }
    }
}

static void
write_move_catalog(struct ps_write *write)
{
    struct ps_spaces *spaces = write->spaces;
    pthread_mutex_lock(&spaces->mutex);
    if (write->space)
        space_move_catalog(spaces, write->space);
    else
        move_catalogs(spaces, write->cache);
    pthread_mutex_unlock(&spaces->mutex);
}

/* The narrowest of space, cache and root that covers the change. */
static void
write_find_target(struct ps_write *write, const struct ps_change *change)
{
    struct ps_spaces *spaces = write->spaces;
    if (!change->cache_id.ptr)
        return;
    pthread_mutex_lock(&spaces->mutex);
    if (change->database.ptr)
        write->space =
            space_get_locked(spaces, change->cache_id, change->database);
    if (!write->space)
        write->cache = cache_get(spaces, change->cache_id);
    pthread_mutex_unlock(&spaces->mutex);
}

/* The one stamp of a write that is not a list of tables. */
static struct stamp *
write_wide_stamp(struct ps_write *write)
{
    if (write->space)
        return &write->space->all;
    return write->cache ? &write->cache->all : &write->spaces->root;
}

void
ps_write_begin(struct ps_spaces *spaces, const struct ps_change *change,
               uint64_t catalog_gen, struct ps_write *write)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    write->spaces = spaces;
    write->space = NULL;
    write->cache = NULL;
    write->catalog = change->catalog;
    write->open = true;
    write->n_slots = 0;
    write_find_target(write, change);
    write->catalog_gen = write->space ? ps_space_catalog_gen(write->space) : 0;
    write->all = !write->space || change->n_tables == 0 || change->catalog ||
                 change->n_tables > PS_SPACE_MAX_TABLES ||
                 write->catalog_gen != catalog_gen;
    if (write->catalog) {
        write_move_catalog(write);
        if (write->space)
            write->catalog_gen = ps_space_catalog_gen(write->space);
    }
    if (write->all) {
        stamp_begin(write_wide_stamp(write));
        return;
    }
    stamp_begin(&write->space->any);
    for (size_t i = 0; i < change->n_tables; i++) {
        uint16_t slot = table_slot(&change->tables[i]);
        write->slots[write->n_slots++] = slot;
        stamp_begin(&write->space->slots[slot]);
    }
}

bool
ps_write_end(struct ps_write *write)
{
    PS_CHECK(write->open);
    struct ps_spaces *spaces = write->spaces;
    bool whole = write->all;
    write->open = false;
    if (write->catalog)
        write_move_catalog(write);
    if (write->all) {
        stamp_end(write_wide_stamp(write));
    } else {
        /* The tables were worked out from a structure that has changed since:
         * a trigger may have written elsewhere. */
        if (ps_space_catalog_gen(write->space) != write->catalog_gen) {
            stamp_bump(&write->space->all);
            whole = true;
        }
        for (size_t i = 0; i < write->n_slots; i++)
            stamp_end(&write->space->slots[write->slots[i]]);
        stamp_end(&write->space->any);
    }
    atomic_fetch_add_explicit(&spaces->changes, 1, memory_order_relaxed);
    if (whole)
        atomic_fetch_add_explicit(&spaces->whole, 1, memory_order_relaxed);
    ps_space_unref(&write->space);
    if (write->cache) {
        pthread_mutex_lock(&spaces->mutex);
        cache_release(spaces, write->cache);
        pthread_mutex_unlock(&spaces->mutex);
        write->cache = NULL;
    }
    return whole;
}

/* What has no space or cache here has no answers and no reads under way
 * either: there is nothing to invalidate. Mutex. */
static void
apply_locked(struct ps_spaces *spaces, const struct ps_change *change)
{
    if (!change->cache_id.ptr) {
        if (change->catalog)
            move_catalogs(spaces, NULL);
        stamp_bump(&spaces->root);
        return;
    }
    if (!change->database.ptr) {
        struct ps_cache_stamps *cache = cache_find(spaces, change->cache_id);
        if (!cache)
            return;
        if (change->catalog)
            move_catalogs(spaces, cache);
        stamp_bump(&cache->all);
        return;
    }
    struct ps_space *space =
        space_find(spaces, change->cache_id, change->database);
    if (!space)
        return;
    if (change->catalog)
        space_move_catalog(spaces, space);
    if (change->catalog || change->n_tables == 0) {
        stamp_bump(&space->all);
        return;
    }
    stamp_bump(&space->any);
    for (size_t i = 0; i < change->n_tables; i++)
        stamp_bump(&space->slots[table_slot(&change->tables[i])]);
}

void
ps_spaces_apply(struct ps_spaces *spaces, const struct ps_change *change)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    pthread_mutex_lock(&spaces->mutex);
    apply_locked(spaces, change);
    pthread_mutex_unlock(&spaces->mutex);
    atomic_fetch_add_explicit(&spaces->changes, 1, memory_order_relaxed);
    if (!change->cache_id.ptr || !change->database.ptr ||
        change->n_tables == 0 || change->catalog)
        atomic_fetch_add_explicit(&spaces->whole, 1, memory_order_relaxed);
}

void
ps_space_structure_changed(struct ps_space *space)
{
    PS_CHECK_OBJ(space, SPACE_MAGIC);
    struct ps_spaces *spaces = space->spaces;
    pthread_mutex_lock(&spaces->mutex);
    space_move_catalog(spaces, space);
    pthread_mutex_unlock(&spaces->mutex);
    stamp_bump(&space->all);
}

void
ps_spaces_stats(struct ps_spaces *spaces, struct ps_spaces_stats *out)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    pthread_mutex_lock(&spaces->mutex);
    out->spaces = spaces->n_spaces;
    out->caches = spaces->caches.count;
    pthread_mutex_unlock(&spaces->mutex);
    out->changes = atomic_load_explicit(&spaces->changes, memory_order_relaxed);
    out->whole = atomic_load_explicit(&spaces->whole, memory_order_relaxed);
}
