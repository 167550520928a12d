/*
 * Writing stamps: the commit window of a write of this agent, and changes
 * that other agents told.
 */
#include "agent/cache/spaces_private.h"

static void
write_move_catalog(struct ps_write *write)
{
    struct ps_spaces *spaces = write->spaces;
    pthread_mutex_lock(&spaces->mutex);
    if (write->space)
        space_move_catalog(write->space);
    else
        spaces_move_catalogs(spaces, write->cache);
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
        write->space = spaces_get(spaces, change->cache_id, change->database);
    if (!write->space)
        write->cache = spaces_get_cache(spaces, change->cache_id);
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

static void
begin_slots(struct ps_write *write, size_t end)
{
    while (write->n_slots < end)
        stamp_begin(space_stamp(write->space, write->slots[write->n_slots++]));
}

/* The table's own slot first: columns.c says why. */
static void
begin_table(struct ps_write *write, const struct ps_table_name *table,
            const struct ps_row_set *rows)
{
    struct touched touched = {.slots = write->slots,
                              .room = PS_SPACE_MAX_TABLES,
                              .n = write->n_slots,
                              .holds = write->holds_rows};
    bool complete = touched.n < touched.room;
    if (complete) {
        write->slots[touched.n++] = table_slot(table_hash(table));
        begin_slots(write, touched.n);
        complete = columns_touched(write->space, table, rows, &touched);
        write->holds_rows = touched.holds;
        begin_slots(write, touched.n);
    }
    if (!complete && !write->all) {
        write->all = true;
        stamp_begin(&write->space->all);
    }
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
    write->listed = false;
    write->holds_rows = false;
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
    write->listed = true;
    stamp_begin(&write->space->any);
    for (size_t i = 0; i < change->n_tables; i++)
        begin_table(write, &change->tables[i],
                    change->rows ? &change->rows[i] : NULL);
}

void
ps_write_move(struct ps_write *from, struct ps_write *to)
{
    PS_CHECK(from->open);
    *to = *from;
    from->open = false;
    from->space = NULL;
    from->cache = NULL;
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
    if (!write->all &&
        ps_space_catalog_gen(write->space) != write->catalog_gen) {
        /* The tables were worked out from a structure that has changed since:
         * a trigger may have written elsewhere. */
        stamp_bump(&write->space->all);
        whole = true;
    }
    for (size_t i = 0; i < write->n_slots; i++)
        stamp_end(space_stamp(write->space, write->slots[i]));
    if (write->holds_rows)
        rows_let_go(write->space);
    if (write->listed)
        stamp_end(&write->space->any);
    if (write->all)
        stamp_end(write_wide_stamp(write));
    atomic_fetch_add_explicit(&spaces->changes, 1, memory_order_relaxed);
    if (whole)
        atomic_fetch_add_explicit(&spaces->whole, 1, memory_order_relaxed);
    ps_space_unref(&write->space);
    if (write->cache) {
        pthread_mutex_lock(&spaces->mutex);
        spaces_release_cache(spaces, write->cache);
        pthread_mutex_unlock(&spaces->mutex);
        write->cache = NULL;
    }
    return whole;
}

/* The table's own slot first, as in begin_table(). */
static void
bump_table(struct ps_space *space, const struct ps_table_name *table,
           const struct ps_row_set *rows)
{
    uint16_t slots[N_COLUMNS];
    struct touched touched = {.slots = slots, .room = PS_ARRAY_LEN(slots)};
    stamp_bump(space_stamp(space, table_slot(table_hash(table))));
    if (!columns_touched(space, table, rows, &touched))
        stamp_bump(&space->all);
    for (size_t i = 0; i < touched.n; i++)
        stamp_bump(space_stamp(space, slots[i]));
    if (touched.holds)
        rows_let_go(space);
}

static void
apply_to_space(struct ps_space *space, const struct ps_change *change)
{
    if (change->catalog || change->n_tables == 0) {
        stamp_bump(&space->all);
        return;
    }
    stamp_bump(&space->any);
    for (size_t i = 0; i < change->n_tables; i++)
        bump_table(space, &change->tables[i],
                   change->rows ? &change->rows[i] : NULL);
}

/*
 * What has no space or cache here has no answers and no reads under way
 * either: there is nothing to invalidate. What is one database's is left to
 * the caller: a reference to its space, or NULL. Mutex.
 */
static struct ps_space *
apply_locked(struct ps_spaces *spaces, const struct ps_change *change)
{
    if (!change->cache_id.ptr) {
        if (change->catalog)
            spaces_move_catalogs(spaces, NULL);
        stamp_bump(&spaces->root);
        return NULL;
    }
    if (!change->database.ptr) {
        struct ps_cache_stamps *cache =
            spaces_find_cache(spaces, change->cache_id);
        if (!cache)
            return NULL;
        if (change->catalog)
            spaces_move_catalogs(spaces, cache);
        stamp_bump(&cache->all);
        return NULL;
    }
    if (!spaces_find(spaces, change->cache_id, change->database))
        return NULL;
    struct ps_space *space =
        spaces_get(spaces, change->cache_id, change->database);
    if (change->catalog)
        space_move_catalog(space);
    return space;
}

void
ps_spaces_apply(struct ps_spaces *spaces, const struct ps_change *change)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    pthread_mutex_lock(&spaces->mutex);
    struct ps_space *space = apply_locked(spaces, change);
    pthread_mutex_unlock(&spaces->mutex);
    if (space)
        apply_to_space(space, change);
    ps_space_unref(&space);
    atomic_fetch_add_explicit(&spaces->changes, 1, memory_order_relaxed);
    if (!change->cache_id.ptr || !change->database.ptr ||
        change->n_tables == 0 || change->catalog)
        atomic_fetch_add_explicit(&spaces->whole, 1, memory_order_relaxed);
}

/* ---- purges ---- */

/* A cache that is not here has no answers and no reads under way. */
static void
purge_slot(struct ps_spaces *spaces, struct ps_str cache_id, uint16_t slot)
{
    PS_CHECK_OBJ(spaces, SPACES_MAGIC);
    pthread_mutex_lock(&spaces->mutex);
    struct ps_cache_stamps *cache = spaces_find_cache(spaces, cache_id);
    if (cache)
        stamp_bump(&cache->statements[slot - FIRST_STATEMENT]);
    pthread_mutex_unlock(&spaces->mutex);
    atomic_fetch_add_explicit(&spaces->changes, 1, memory_order_relaxed);
}

void
ps_spaces_purge_template(struct ps_spaces *spaces, struct ps_str cache_id,
                         uint64_t template)
{
    purge_slot(spaces, cache_id, template_slot(template));
}

void
ps_spaces_purge_query(struct ps_spaces *spaces, struct ps_str cache_id,
                      uint64_t query)
{
    purge_slot(spaces, cache_id, query_slot(query));
}
