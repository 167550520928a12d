/*
 * What a space looks like inside; for spaces.c, stamps.c, window.c, columns.c
 * and rows.c only.
 *
 * Slots are numbered through: those of tables, then the `any` of each column
 * that reads pin rows by, then the buckets of values, which all columns share,
 * then those of statements, which all databases of the cache share.
 */
#ifndef PS_AGENT_CACHE_SPACES_PRIVATE_H
#define PS_AGENT_CACHE_SPACES_PRIVATE_H

#include "agent/cache/broken.h"
#include "agent/cache/spaces.h"
#include "common/check.h"
#include "common/hash.h"
#include "common/list.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    SPACES_MAGIC = 0x57ace501,
    SPACE_MAGIC = 0x57ace502,
    N_BUCKETS = 256,
    /* Columns of one database that reads may pin rows by at a time. */
    N_COLUMNS = 128,
    FIRST_COLUMN = PS_SPACE_SLOTS,
    FIRST_ROW = FIRST_COLUMN + N_COLUMNS,
    N_ROWS = 16384,
    /* More values of a column than this pin nothing. */
    MAX_VALUES = 32,
    /* Of a cache: its templates, then its queries, by hash. */
    FIRST_STATEMENT = FIRST_ROW + N_ROWS,
    N_STATEMENTS = 512
};
_Static_assert((PS_SPACE_SLOTS & (PS_SPACE_SLOTS - 1)) == 0 &&
                   (N_ROWS & (N_ROWS - 1)) == 0 &&
                   (N_STATEMENTS & (N_STATEMENTS - 1)) == 0 &&
                   FIRST_STATEMENT + 2 * N_STATEMENTS <= UINT16_MAX,
               "slots are masked and kept in 16 bits");

struct stamp {
    _Atomic uint64_t gen;
    _Atomic uint32_t committing;
};

/* Of all databases of one cache. refs by its spaces and by writes to all of
 * it, under the mutex. */
struct ps_cache_stamps {
    struct ps_link link;
    struct stamp all;
    struct stamp statements[2 * N_STATEMENTS]; /* only purges move them */
    size_t refs;
    struct ps_str id;
    char text[];
};

/* A column that reads pin rows by (columns.c). */
struct column {
    _Atomic uint64_t owner; /* hash of table and column; 0: free */
    uint64_t table;         /* the table's hash */
    uint64_t used;          /* tick of the last read that pinned by it */
    bool ready;             /* every open write to the table knows of it */
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

    pthread_mutex_t columns_lock;
    struct column columns[N_COLUMNS];
    size_t n_columns;
    uint64_t pins; /* tick of the columns */
    /* rows.c: */
    _Atomic(struct stamp *) rows; /* N_ROWS; mapped by the first pin */
    bool rows_live;               /* they take memory */
    unsigned rows_idle;           /* sweeps since a read relied on them */
    _Atomic bool rows_used;       /* one did since the last sweep */
    _Atomic uint32_t rows_life;   /* how often they have gone */
    _Atomic uint32_t rows_held;   /* writes that move some */

    struct stamp all, any;
    struct stamp slots[FIRST_ROW];
    char text[];
};

struct ps_spaces {
    uint32_t magic;
    struct stamp root;
    pthread_mutex_t mutex;
    size_t max_spaces, n_spaces;
    uint64_t max_row_bytes;
    _Atomic uint64_t space_bytes, row_bytes;
    uint64_t tick;          /* of gets */
    uint64_t last_id;       /* of spaces */
    uint64_t catalog_clock; /* last catalog_gen given out */
    struct ps_list caches;
    struct ps_list buckets[N_BUCKETS];
    _Atomic uint64_t changes, whole;
};

/* ---- stamps ---- */

static inline void
stamp_begin(struct stamp *stamp)
{
    if (PS_BROKEN(first_bump))
        return;
    if (!PS_BROKEN(second_bump))
        atomic_fetch_add(&stamp->committing, 1);
    atomic_fetch_add(&stamp->gen, 1);
}

static inline void
stamp_bump(struct stamp *stamp)
{
    atomic_fetch_add(&stamp->gen, 1);
}

static inline void
stamp_end(struct stamp *stamp)
{
    if (PS_BROKEN(second_bump))
        return;
    atomic_fetch_add(&stamp->gen, 1);
    if (PS_BROKEN(first_bump))
        return;
    uint32_t before = atomic_fetch_sub(&stamp->committing, 1);
    PS_CHECK(before > 0);
}

static inline uint64_t
stamp_gen(const struct stamp *stamp)
{
    return atomic_load_explicit(&stamp->gen, memory_order_acquire);
}

static inline bool
stamp_committing(const struct stamp *stamp)
{
    return atomic_load_explicit(&stamp->committing, memory_order_acquire) != 0;
}

/* A slot of a row is taken only once there are rows; they may be read for as
 * long as there is the space (rows.c). */
static inline struct stamp *
space_stamp(const struct ps_space *space, uint16_t slot)
{
    union {
        const struct stamp *in;
        struct stamp *out;
    } fixed = {.in = space->slots};
    if (slot < FIRST_ROW)
        return &fixed.out[slot];
    if (slot >= FIRST_STATEMENT)
        return &space->cache->statements[slot - FIRST_STATEMENT];
    return &atomic_load_explicit(&space->rows,
                                 memory_order_acquire)[slot - FIRST_ROW];
}

/* The same for reader and writer, on every agent. The schema's hash seeds the
 * name's, so "a"."bc" and "ab"."c" differ. */
static inline uint64_t
table_hash(const struct ps_table_name *table)
{
    uint64_t seed = ps_hash64(table->schema.ptr, table->schema.len, 1);
    return ps_hash64(table->name.ptr, table->name.len, seed);
}

static inline uint16_t
table_slot(uint64_t hash)
{
    return (uint16_t)(hash & (PS_SPACE_SLOTS - 1));
}

static inline bool
is_row(uint16_t slot)
{
    return slot >= FIRST_ROW && slot < FIRST_STATEMENT;
}

static inline uint16_t
template_slot(uint64_t fingerprint)
{
    return (uint16_t)(FIRST_STATEMENT + (fingerprint & (N_STATEMENTS - 1)));
}

static inline uint16_t
query_slot(uint64_t id)
{
    return (uint16_t)(FIRST_STATEMENT + N_STATEMENTS +
                      (id & (N_STATEMENTS - 1)));
}

/* ---- the table of spaces (spaces.c); the mutex is held ---- */

struct ps_cache_stamps *spaces_find_cache(struct ps_spaces *spaces,
                                          struct ps_str id);
/* A reference, or NULL without memory. */
struct ps_cache_stamps *spaces_get_cache(struct ps_spaces *spaces,
                                         struct ps_str id);
void spaces_release_cache(struct ps_spaces *spaces,
                          struct ps_cache_stamps *cache);
/* No reference. */
struct ps_space *spaces_find(struct ps_spaces *spaces, struct ps_str cache_id,
                             struct ps_str database);
/* A reference, or NULL. */
struct ps_space *spaces_get(struct ps_spaces *spaces, struct ps_str cache_id,
                            struct ps_str database);
/* Everything of the database must be looked at anew. */
void space_move_catalog(struct ps_space *space);
/* cache NULL: of every cache. */
void spaces_move_catalogs(struct ps_spaces *spaces,
                          const struct ps_cache_stamps *cache);

/* ---- rows.c ---- */

enum {
    ROWS_BYTES = N_ROWS * sizeof(struct stamp),
    /* Sweeps in which nothing relied on them before the rows go. */
    ROWS_IDLE_SWEEPS = 10
};

/* A read relies on rows. Any thread, no lock. */
static inline void
rows_use(struct ps_space *space)
{
    if (!atomic_load_explicit(&space->rows_used, memory_order_relaxed))
        atomic_store_explicit(&space->rows_used, true, memory_order_relaxed);
}

/* Under columns_lock. False: no memory, or no room for them. */
PS_MUST_USE bool rows_appear(struct ps_space *space);
/* Under columns_lock: a write has taken slots of rows and will move them. */
void rows_hold(struct ps_space *space);
/* It has moved them for the last time; no lock needed. */
void rows_let_go(struct ps_space *space);
/* Takes columns_lock. The columns and their rows go, whether they are used or
 * not; every answer that relied on them ends. False: a write holds them. */
bool rows_go(struct ps_space *space);
/* The space is being freed. */
void rows_free(struct ps_space *space);

/* ---- columns.c; any thread, takes the space's columns_lock ---- */

/* A column that a snapshot depends on. */
struct pin {
    uint16_t index;
    uint32_t life; /* of the rows */
    uint64_t owner;
};
/*
 * The slots that a read of these rows depends on: the `any` of one of its
 * columns, that which moved least so far, and the bucket of each value. Returns
 * how many were put into slots, of which there are room; 0: the rows cannot be
 * told apart now, depend on the table.
 */
size_t columns_pin(struct ps_space *space, const struct ps_table_name *table,
                   const struct ps_row_set *rows, uint16_t *slots, size_t room,
                   struct pin *pin);
/* Is the column still the same one? After the sum was taken. */
bool column_is(const struct ps_space *space, const struct pin *pin);
/* What a write moves. */
struct touched {
    uint16_t *slots;
    size_t room, n;
    bool holds; /* rows: rows_let_go() once all have been moved */
};
/*
 * Adds the slots that a write of these rows (NULL: any) of a table moves,
 * beside the table's own, which must have been moved before. True: all of them;
 * false: there was no room.
 */
PS_MUST_USE bool columns_touched(struct ps_space *space,
                                 const struct ps_table_name *table,
                                 const struct ps_row_set *rows,
                                 struct touched *touched);

#endif
