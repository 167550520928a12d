/*
 * Readers and writers at full speed against an origin made of atomics: no
 * reader is ever served a value older than what had been acknowledged before
 * it asked (contract C1, C2, hazard 1). Meant for the thread sanitizer, and
 * true without it.
 *
 *   writer: write_begin, commit value, write_end, acknowledge value
 *   reader: floor = acknowledged; look up: fresh => value >= floor; else
 *           snapshot, read the origin, put
 *
 * Some reads are of one row of a table, and some writes know which row of it
 * they change; the memory that tells rows apart comes and goes meanwhile.
 */
#include "agent/cache/spaces_private.h"
#include "agent/cache/store.h"
#include "common/io/loop.h"
#include "tests/unit.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CACHE PS_STR("c")
#define DB    PS_STR("d")
enum {
    TABLES = 6,
    ROWS = 4,
    READERS = 3,
    WRITERS = 2,
    ROUNDS = 30000,
    WRITE_ROUNDS = 6000,
    ROWS_GONE = 20 /* times at least, while there are writes */
};

static char names[TABLES][8];

struct origin {
    struct ps_store *store;
    struct ps_spaces *spaces;
    struct ps_space *space;
    _Atomic uint64_t committed[TABLES], acknowledged[TABLES];
    _Atomic uint64_t row_committed[TABLES][ROWS],
        row_acknowledged[TABLES][ROWS];
    _Atomic uint64_t row_hits, rows_gone;
    _Atomic uint64_t hits, misses, wrong, refused;
    _Atomic unsigned writers;
};

struct worker {
    struct origin *origin;
    uint64_t random;
};

static uint64_t
next_random(struct worker *w)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return w->random >> 33;
}

static struct ps_table_name
table(size_t i)
{
    return (struct ps_table_name){PS_STR("s"), ps_str_of(names[i])};
}

/* Answers are the values of two tables, read one after the other. */
static void
fetch(struct worker *w, const struct ps_key *key, size_t a, size_t b)
{
    struct origin *o = w->origin;
    struct ps_table_name tables[] = {table(a), table(b)};
    struct ps_snapshot snapshot;
    enum ps_snapshot_rc rc = ps_snapshot_take(
        o->space, ps_space_catalog_gen(o->space), tables, 2, NULL, &snapshot);
    uint64_t values[2];
    values[0] = atomic_load(&o->committed[a]);
    if (next_random(w) % 4 == 0)
        sched_yield();
    values[1] = atomic_load(&o->committed[b]);
    if (rc != PS_SNAPSHOT_OK) {
        atomic_fetch_add(&o->refused, 1);
        return;
    }
    struct ps_entry_spec spec = {
        .key = key,
        .snapshot = &snapshot,
        .body = {(const char *)values, sizeof(values)},
        .expires_us = UINT64_MAX,
    };
    struct ps_entry *entry = ps_entry_new(&spec);
    if (!entry)
        return;
    if (next_random(w) % 4 == 0)
        sched_yield();
    if (ps_store_put(o->store, entry, 1 << 20, 1) != PS_PUT_STORED)
        atomic_fetch_add(&o->refused, 1);
    ps_entry_unref(&entry);
}

static void
read_once(struct worker *w)
{
    struct origin *o = w->origin;
    size_t a = next_random(w) % TABLES, b = next_random(w) % TABLES;
    char sql[32];
    int len = snprintf(sql, sizeof(sql), "select %zu, %zu", a, b);
    struct ps_key key;
    ps_key_make(&key, 1, 1, (struct ps_str){sql, (size_t)len}, PS_STR(""));
    uint64_t floor_a = atomic_load(&o->acknowledged[a]);
    uint64_t floor_b = atomic_load(&o->acknowledged[b]);
    struct ps_entry *entry = ps_store_find(o->store, &key);
    if (entry && ps_entry_check(entry, 1, 0) == PS_ENTRY_FRESH) {
        uint64_t values[2];
        memcpy(values, ps_entry_body(entry).ptr, sizeof(values));
        if (values[0] < floor_a || values[1] < floor_b)
            atomic_fetch_add(&o->wrong, 1);
        atomic_fetch_add(&o->hits, 1);
    } else {
        fetch(w, &key, a, b);
        atomic_fetch_add(&o->misses, 1);
    }
    ps_entry_unref(&entry);
}

/* ---- reads and writes of one row ---- */

struct row {
    size_t table, row;
    unsigned column; /* each table has two: reads pin by either */
    uint16_t value;
    struct ps_row_column columns[2];
    struct ps_row_set set;
};

static void
pick_row(struct worker *w, struct row *r)
{
    r->table = next_random(w) % TABLES;
    r->row = next_random(w) % ROWS;
    r->column = next_random(w) % 2;
    r->value = (uint16_t)r->row;
    for (size_t i = 0; i < 2; i++)
        r->columns[i] = (struct ps_row_column){
            .name = i == r->column ? PS_STR("a") : PS_STR("b"),
            .values = &r->value,
            .n_values = 1};
    r->set = (struct ps_row_set){.columns = r->columns, .n_columns = 1};
}

static void
fetch_row(struct worker *w, const struct ps_key *key, const struct row *r)
{
    struct origin *o = w->origin;
    struct ps_table_name name = table(r->table);
    struct ps_snapshot snapshot;
    if (ps_snapshot_take(o->space, ps_space_catalog_gen(o->space), &name, 1,
                         &r->set, &snapshot) != PS_SNAPSHOT_OK)
        return;
    uint64_t value = atomic_load(&o->row_committed[r->table][r->row]);
    if (next_random(w) % 4 == 0)
        sched_yield();
    struct ps_entry_spec spec = {
        .key = key,
        .snapshot = &snapshot,
        .body = {(const char *)&value, sizeof(value)},
        .expires_us = UINT64_MAX,
    };
    struct ps_entry *entry = ps_entry_new(&spec);
    if (entry)
        (void)ps_store_put(o->store, entry, 1 << 20, 1);
    ps_entry_unref(&entry);
}

static void
read_row(struct worker *w)
{
    struct origin *o = w->origin;
    struct row r;
    char sql[48];
    struct ps_key key;
    pick_row(w, &r);
    int len = snprintf(sql, sizeof(sql), "row %zu, %zu, %u", r.table, r.row,
                       r.column);
    ps_key_make(&key, 1, 1, (struct ps_str){sql, (size_t)len}, PS_STR(""));
    uint64_t floor = atomic_load(&o->row_acknowledged[r.table][r.row]);
    struct ps_entry *entry = ps_store_find(o->store, &key);
    if (entry && ps_entry_check(entry, 1, 0) == PS_ENTRY_FRESH) {
        uint64_t value;
        memcpy(&value, ps_entry_body(entry).ptr, sizeof(value));
        if (value < floor)
            atomic_fetch_add(&o->wrong, 1);
        atomic_fetch_add(&o->row_hits, 1);
    } else {
        fetch_row(w, &key, &r);
    }
    ps_entry_unref(&entry);
}

static void
run_reader(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS || atomic_load(&w->origin->writers) > 0; i++) {
        read_once(w);
        read_row(w);
    }
}

static void
raise_to(_Atomic uint64_t *value, uint64_t to)
{
    uint64_t now = atomic_load(value);
    while (now < to && !atomic_compare_exchange_weak(value, &now, to))
        ;
}

static void
write_once(struct worker *w)
{
    struct origin *o = w->origin;
    struct row r;
    pick_row(w, &r);
    size_t i = r.table;
    struct ps_table_name name = table(i);
    /* Both columns known, or one: then the other one's `any` moves. */
    r.set.n_columns = 1 + next_random(w) % 2;
    struct ps_change change = {
        .cache_id = CACHE, .database = DB, .tables = &name, .n_tables = 1};
    if (next_random(w) % 4 != 0)
        change.rows = &r.set;
    unsigned kind = next_random(w) % 64;
    if (kind == 0)
        change.n_tables = 0;
    if (kind == 1)
        change.catalog = true;
    if (kind == 2)
        change.database = PS_STR_NONE;
    struct ps_write write;
    ps_write_begin(o->spaces, &change, ps_space_catalog_gen(o->space), &write);
    if (next_random(w) % 4 == 0)
        sched_yield();
    uint64_t value = atomic_fetch_add(&o->committed[i], 1) + 1;
    uint64_t row_value = atomic_fetch_add(&o->row_committed[i][r.row], 1) + 1;
    if (next_random(w) % 4 == 0)
        sched_yield();
    (void)!ps_write_end(&write);
    raise_to(&o->acknowledged[i], value);
    raise_to(&o->row_acknowledged[i][r.row], row_value);
    if (next_random(w) % 8 == 0)
        sched_yield();
}

static void
run_writer(void *arg)
{
    struct worker *w = arg;
    for (int i = 0;
         i < WRITE_ROUNDS || atomic_load(&w->origin->rows_gone) < ROWS_GONE;
         i++)
        write_once(w);
    atomic_fetch_sub(&w->origin->writers, 1);
}

/* Makes other entries come and go, so that shards evict all the time, drops,
 * and spaces that are made and forgotten. */
static void
run_churn(void *arg)
{
    struct worker *w = arg;
    struct origin *o = w->origin;
    static char body[2000];
    for (int i = 0; i < ROUNDS; i++) {
        char sql[32];
        int len = snprintf(sql, sizeof(sql), "churn %d", i);
        struct ps_key key;
        ps_key_make(&key, 2, 1, (struct ps_str){sql, (size_t)len}, PS_STR(""));
        struct ps_space *space = ps_space_get(
            o->spaces, PS_STR("churn"), (struct ps_str){sql, (size_t)len});
        if (!space)
            continue;
        struct ps_snapshot snapshot;
        if (ps_snapshot_take(space, ps_space_catalog_gen(space), NULL, 0, NULL,
                             &snapshot) == PS_SNAPSHOT_OK) {
            struct ps_entry_spec spec = {
                .key = &key,
                .snapshot = &snapshot,
                .body = {body, 1 + next_random(w) % sizeof(body)},
                .expires_us = UINT64_MAX,
            };
            struct ps_entry *entry = ps_entry_new(&spec);
            if (entry)
                (void)ps_store_put(o->store, entry, 1 << 20, 1);
            ps_entry_unref(&entry);
        }
        ps_space_unref(&space);
        if (i % 1024 == 0)
            ps_store_drop(o->store, PS_STR("churn"));
    }
}

/* Far more often than they ever would. */
static void
run_rows_away(void *arg)
{
    struct worker *w = arg;
    struct origin *o = w->origin;
    while (atomic_load(&o->writers) > 0) {
        if (rows_go(o->space))
            atomic_fetch_add(&o->rows_gone, 1);
        ps_spaces_sweep(o->spaces);
        for (uint64_t n = next_random(w) % 64; n > 0; n--)
            sched_yield();
    }
}

static void
nothing_acknowledged_is_ever_missing(void **state)
{
    (void)state;
    static struct origin o;
    struct ps_store_conf conf = {.max_bytes = 1 << 20, .shards = 2};
    for (size_t i = 0; i < TABLES; i++)
        snprintf(names[i], sizeof(names[i]), "t%zu", i);
    o.store = ps_store_new(&conf);
    o.spaces = ps_spaces_new(64, UINT64_MAX);
    o.space = ps_space_get(o.spaces, CACHE, DB);
    atomic_store(&o.writers, WRITERS);
    struct worker workers[READERS + WRITERS + 2];
    struct ps_thread *threads[READERS + WRITERS + 2];
    for (size_t i = 0; i < PS_ARRAY_LEN(workers); i++) {
        workers[i] = (struct worker){&o, i + 1};
        void (*fn)(void *) = i < READERS             ? run_reader
                             : i < READERS + WRITERS ? run_writer
                             : i > READERS + WRITERS ? run_rows_away
                                                     : run_churn;
        assert_int_equal(
            ps_thread_start(&threads[i], "stress", fn, &workers[i]), PS_OK);
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(threads); i++)
        ps_thread_join(&threads[i]);
    assert_int_equal(atomic_load(&o.wrong), 0);
    /* It was a contest at all. How hard a one is the scheduler's choice, so
     * this asks for little. */
    assert_true(atomic_load(&o.hits) > 100);
    assert_true(atomic_load(&o.row_hits) > 100);
    assert_true(atomic_load(&o.misses) > 100);
    assert_true(atomic_load(&o.refused) > 0);
    ps_store_free(&o.store);
    ps_space_unref(&o.space);
    ps_spaces_free(&o.spaces);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_ever_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
