#include "agent/cache/store.h"
#include "tests/unit.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef __has_feature
#    define __has_feature(x) 0 /* clang's word for it */
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
/* sanitizer/allocator_interface.h, which GCC does not install */
size_t __sanitizer_get_current_allocated_bytes(void);

/* Its own blocks have other sizes than what it calls usable. */
#    define SLACK 0.30

static size_t
heap_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
#    define SLACK 0.02
static size_t
heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#endif

#define CACHE PS_STR("c")
#define DB    PS_STR("d")
enum {
    TTL_US = 1000000,
    NO_LIMIT = 1 << 30
};

static const struct ps_table_name TABLE = {PS_STR("s"), PS_STR("t")};

struct fixture {
    struct ps_store *store;
    struct ps_spaces *spaces;
    struct ps_space *space;
};

static struct fixture *
fixture_new(uint64_t max_bytes)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    struct ps_store_conf conf = {.max_bytes = max_bytes, .shards = 1};
    f->store = ps_store_new(&conf);
    f->spaces = ps_spaces_new(4, UINT64_MAX);
    f->space = ps_space_get(f->spaces, CACHE, DB);
    assert_non_null(f->store);
    assert_non_null(f->space);
    return f;
}

static int
setup(void **state)
{
    *state = fixture_new(1 << 20);
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ps_store_free(&f->store);
    ps_space_unref(&f->space);
    ps_spaces_free(&f->spaces);
    free(f);
    return 0;
}

struct query {
    char sql[64];
    struct ps_key key;
};

static void
query_make(struct query *q, const char *group, size_t i)
{
    int len = snprintf(q->sql, sizeof(q->sql), "select %s %zu", group, i);
    ps_key_make(&q->key, 1, 1, (struct ps_str){q->sql, (size_t)len},
                PS_STR(""));
}

static void
write_table(struct fixture *f)
{
    ps_spaces_apply(f->spaces, &(struct ps_change){.cache_id = CACHE,
                                                   .database = DB,
                                                   .tables = &TABLE,
                                                   .n_tables = 1});
}

static struct ps_entry *
entry_make(struct ps_space *space, const struct ps_key *key, struct ps_str body,
           uint64_t born_us)
{
    struct ps_snapshot snapshot;
    assert_int_equal(ps_snapshot_take(space, ps_space_catalog_gen(space),
                                      &TABLE, 1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    struct ps_entry_spec spec = {
        .key = key,
        .snapshot = &snapshot,
        .body = body,
        .born_us = born_us,
        .expires_us = born_us + TTL_US,
        .revision = 3,
    };
    struct ps_entry *entry = ps_entry_new(&spec);
    assert_non_null(entry);
    return entry;
}

static enum ps_put
put(struct fixture *f, const struct ps_key *key, struct ps_str body,
    uint64_t born_us)
{
    struct ps_entry *entry = entry_make(f->space, key, body, born_us);
    enum ps_put got = ps_store_put(f->store, entry, NO_LIMIT, born_us);
    ps_entry_unref(&entry);
    return got;
}

static bool
has(struct fixture *f, const struct ps_key *key)
{
    struct ps_entry *entry = ps_store_find(f->store, key);
    bool found = entry != NULL;
    ps_entry_unref(&entry);
    return found;
}

static void
what_is_put_is_found_with_all_it_knows(void **state)
{
    struct fixture *f = *state;
    struct ps_key key;
    ps_key_make(&key, 5, 1, PS_STR("select $1"), PS_STR("\1\0\0x"));
    assert_false(has(f, &key));
    assert_int_equal(put(f, &key, PS_STR("[{\"a\":1}]"), 100), PS_PUT_STORED);
    struct ps_entry *entry = ps_store_find(f->store, &key);
    assert_non_null(entry);
    assert_true(ps_str_eq(ps_entry_body(entry), PS_STR("[{\"a\":1}]")));
    assert_int_equal(ps_entry_born_us(entry), 100);
    assert_int_equal(ps_entry_expires_us(entry), 100 + TTL_US);
    assert_int_equal(ps_entry_check(entry, 200, 3), PS_ENTRY_FRESH);
    assert_int_equal(ps_entry_check(entry, 200, 4), PS_ENTRY_REDEFINED);
    assert_int_equal(ps_entry_check(entry, 100 + TTL_US, 3), PS_ENTRY_EXPIRED);
    struct ps_write write;
    struct ps_change change = {
        .cache_id = CACHE, .database = DB, .tables = &TABLE, .n_tables = 1};
    ps_write_begin(f->spaces, &change, ps_space_catalog_gen(f->space), &write);
    assert_int_equal(ps_entry_check(entry, 200, 3), PS_ENTRY_COMMITTING);
    assert_false(ps_write_end(&write));
    assert_int_equal(ps_entry_check(entry, 200, 3), PS_ENTRY_INVALIDATED);
    ps_entry_unref(&entry);
}

/* Hazard 20: the same 128 bits, other bytes: each its own answer. */
static void
keys_with_equal_hashes_are_never_mixed(void **state)
{
    struct fixture *f = *state;
    struct ps_key keys[5];
    const char *bodies[5] = {"sql", "principal", "format", "bindings", "x"};
    ps_key_make(&keys[0], 1, 1, PS_STR("select 1"), PS_STR("b"));
    ps_key_make(&keys[1], 2, 1, PS_STR("select 1"), PS_STR("b"));
    ps_key_make(&keys[2], 1, 2, PS_STR("select 1"), PS_STR("b"));
    ps_key_make(&keys[3], 1, 1, PS_STR("select 1"), PS_STR("c"));
    ps_key_make(&keys[4], 1, 1, PS_STR("select 2"), PS_STR("b"));
    for (size_t i = 0; i < 5; i++) {
        keys[i].hash = keys[0].hash;
        assert_false(has(f, &keys[i]));
        assert_int_equal(put(f, &keys[i], ps_str_of(bodies[i]), 1),
                         PS_PUT_STORED);
    }
    for (size_t i = 0; i < 5; i++) {
        struct ps_entry *entry = ps_store_find(f->store, &keys[i]);
        assert_non_null(entry);
        assert_true(ps_str_eq(ps_entry_body(entry), ps_str_of(bodies[i])));
        ps_entry_unref(&entry);
    }
}

/* Hazards 1 and 34. */
static void
old_answers_do_not_replace_newer_ones(void **state)
{
    struct fixture *f = *state;
    struct query q;
    query_make(&q, "q", 1);
    struct ps_entry *slow = entry_make(f->space, &q.key, PS_STR("old"), 10);
    write_table(f);
    assert_int_equal(ps_store_put(f->store, slow, NO_LIMIT, 20),
                     PS_PUT_INVALID);
    assert_false(has(f, &q.key));
    assert_int_equal(put(f, &q.key, PS_STR("new"), 30), PS_PUT_STORED);
    assert_int_equal(ps_store_put(f->store, slow, NO_LIMIT, 40),
                     PS_PUT_INVALID);
    ps_entry_unref(&slow);
    /* no write between them: the later query wins */
    assert_int_equal(put(f, &q.key, PS_STR("late"), 29), PS_PUT_OLDER);
    struct ps_entry *entry = ps_store_find(f->store, &q.key);
    assert_true(ps_str_eq(ps_entry_body(entry), PS_STR("new")));
    ps_entry_unref(&entry);
    /* but an invalid one protects nothing */
    write_table(f);
    assert_int_equal(put(f, &q.key, PS_STR("fresh"), 29), PS_PUT_STORED);
    entry = ps_store_find(f->store, &q.key);
    assert_true(ps_str_eq(ps_entry_body(entry), PS_STR("fresh")));
    ps_entry_unref(&entry);
    struct ps_store_stats stats;
    ps_store_stats(f->store, &stats);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(stats.refused_invalid, 2);
    assert_int_equal(stats.refused_older, 1);
}

static void
an_answer_not_kept_ends_an_older_one(void **state)
{
    struct fixture *f = *state;
    struct query q;
    query_make(&q, "q", 1);
    assert_int_equal(put(f, &q.key, PS_STR("a"), 30), PS_PUT_STORED);
    ps_store_supersede(f->store, &q.key, 29, PS_STR("b"));
    ps_store_supersede(f->store, &q.key, 31, PS_STR("a"));
    struct ps_entry *entry = ps_store_find(f->store, &q.key);
    assert_non_null(entry);
    ps_entry_unref(&entry);
    ps_store_supersede(f->store, &q.key, 31, PS_STR("b"));
    assert_null(ps_store_find(f->store, &q.key));
    ps_store_supersede(f->store, &q.key, 32, PS_STR("c"));
}

static void
an_answer_without_a_snapshot_is_never_kept(void **state)
{
    struct fixture *f = *state;
    struct query q;
    query_make(&q, "q", 1);
    struct ps_entry_spec spec = {
        .key = &q.key, .body = PS_STR("x"), .expires_us = UINT64_MAX};
    struct ps_entry *entry = ps_entry_new(&spec);
    assert_int_equal(ps_store_put(f->store, entry, NO_LIMIT, 1),
                     PS_PUT_INVALID);
    assert_int_equal(ps_entry_check(entry, 1, 0), PS_ENTRY_INVALIDATED);
    ps_entry_unref(&entry);
}

static void
large_entries_are_refused(void **state)
{
    struct fixture *f = *state;
    struct query q;
    query_make(&q, "q", 1);
    static char big[700 * 1024];
    struct ps_entry *entry =
        entry_make(f->space, &q.key, (struct ps_str){big, 4096}, 1);
    assert_int_equal(ps_store_put(f->store, entry, 4096, 1), PS_PUT_TOO_BIG);
    assert_int_equal(ps_store_put(f->store, entry, ps_entry_bytes(entry), 1),
                     PS_PUT_STORED);
    ps_entry_unref(&entry);
    assert_int_equal(put(f, &q.key, (struct ps_str){big, sizeof(big)}, 2),
                     PS_PUT_TOO_BIG);
}

static void
an_entry_outlives_its_eviction_and_the_store(void **state)
{
    struct fixture *f = *state;
    struct query q;
    query_make(&q, "q", 1);
    assert_int_equal(put(f, &q.key, PS_STR("kept"), 1), PS_PUT_STORED);
    struct ps_entry *entry = ps_store_find(f->store, &q.key);
    ps_store_drop(f->store, PS_STR_NONE);
    assert_false(has(f, &q.key));
    ps_store_free(&f->store);
    assert_true(ps_str_eq(ps_entry_body(entry), PS_STR("kept")));
    ps_entry_unref(&entry);
}

static void
drop_takes_one_cache_only(void **state)
{
    struct fixture *f = *state;
    struct ps_space *other = ps_space_get(f->spaces, PS_STR("o"), DB);
    struct query q[200];
    for (size_t i = 0; i < 200; i++) {
        query_make(&q[i], "q", i);
        struct ps_entry *entry =
            entry_make(i % 2 ? other : f->space, &q[i].key, PS_STR("x"), 1);
        assert_int_equal(ps_store_put(f->store, entry, NO_LIMIT, 1),
                         PS_PUT_STORED);
        ps_entry_unref(&entry);
    }
    ps_store_drop(f->store, PS_STR("o"));
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(has(f, &q[i].key), i % 2 == 0);
    struct ps_store_stats stats;
    ps_store_stats(f->store, &stats);
    assert_int_equal(stats.dropped, 100);
    ps_space_unref(&other);
}

/* A hot set that is asked for all the time survives a scan of many times the
 * budget; plain FIFO or LRU would lose it. */
static void
a_scan_does_not_wash_out_the_hot_set(void **state)
{
    struct fixture *f = *state;
    enum {
        HOT = 200,
        SCAN = 20000
    };
    static struct query hot[HOT];
    static char body[1000];
    struct ps_str text = {body, sizeof(body)};
    struct query cold;
    for (size_t i = 0; i < HOT; i++) {
        query_make(&hot[i], "hot", i);
        assert_int_equal(put(f, &hot[i].key, text, 1), PS_PUT_STORED);
        assert_true(has(f, &hot[i].key) && has(f, &hot[i].key));
    }
    for (size_t i = 0; i < SCAN; i++) {
        query_make(&cold, "cold", i);
        assert_int_equal(put(f, &cold.key, text, 1), PS_PUT_STORED);
    }
    size_t survivors = 0;
    for (size_t i = 0; i < HOT; i++)
        survivors += has(f, &hot[i].key);
    assert_true(survivors == HOT);
}

static void
a_key_that_comes_back_from_the_ghost_stays(void **state)
{
    struct fixture *f = *state;
    static char body[1000];
    struct ps_str text = {body, sizeof(body)};
    struct query q, filler;
    /* a main queue, so that the ghost has a window */
    for (size_t i = 0; i < 500; i++) {
        query_make(&filler, "main", i);
        assert_int_equal(put(f, &filler.key, text, 1), PS_PUT_STORED);
        assert_true(has(f, &filler.key) && has(f, &filler.key));
    }
    query_make(&q, "q", 0);
    assert_int_equal(put(f, &q.key, text, 1), PS_PUT_STORED);
    size_t n = 0;
    for (uint64_t gone = 0; gone == 0; n++) {
        query_make(&filler, "a", n);
        assert_int_equal(put(f, &filler.key, text, 1), PS_PUT_STORED);
        struct ps_store_stats stats;
        ps_store_stats(f->store, &stats);
        gone = stats.evicted;
    }
    assert_false(has(f, &q.key)); /* the oldest in small */
    assert_int_equal(put(f, &q.key, text, 1), PS_PUT_STORED);
    for (size_t end = n + 2000; n < end; n++) {
        query_make(&filler, "a", n);
        assert_int_equal(put(f, &filler.key, text, 1), PS_PUT_STORED);
    }
    assert_true(has(f, &q.key));
}

static void
dead_entries_get_no_second_chance(void **state)
{
    struct fixture *f = *state;
    static char body[1000];
    struct ps_str text = {body, sizeof(body)};
    struct query q;
    for (size_t i = 0; i < 100; i++) {
        query_make(&q, "dead", i);
        assert_int_equal(put(f, &q.key, text, 1), PS_PUT_STORED);
        assert_true(has(f, &q.key) && has(f, &q.key));
    }
    write_table(f);
    for (size_t i = 0; i < 1000; i++) {
        query_make(&q, "live", i);
        assert_int_equal(put(f, &q.key, text, 2), PS_PUT_STORED);
    }
    for (size_t i = 0; i < 100; i++) {
        query_make(&q, "dead", i);
        assert_false(has(f, &q.key));
    }
}

enum {
    TENANT_BODY = 1000
};

static void
put_of(struct fixture *f, struct ps_space *space, const char *group, size_t i)
{
    static char body[TENANT_BODY];
    struct query q;
    query_make(&q, group, i);
    struct ps_entry *entry =
        entry_make(space, &q.key, (struct ps_str){body, sizeof(body)}, 1);
    assert_int_equal(ps_store_put(f->store, entry, NO_LIMIT, 1), PS_PUT_STORED);
    ps_entry_unref(&entry);
}

static size_t
count_of(struct fixture *f, const char *group, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        struct query q;
        query_make(&q, group, i);
        found += has(f, &q.key);
    }
    return found;
}

static void
a_tenant_takes_nothing_from_anothers_share(void **state)
{
    struct fixture *f = *state;
    struct ps_space *other = ps_space_get(f->spaces, PS_STR("o"), DB);
    enum {
        QUIET = 300, /* of about 850 that fit */
        FLOOD = 20000
    };
    put_of(f, other, "quiet", 0);
    for (size_t i = 0; i < FLOOD; i++)
        put_of(f, f->space, "flood", i);
    for (size_t i = 0; i < QUIET; i++)
        put_of(f, other, "quiet", i);
    assert_int_equal(count_of(f, "quiet", QUIET), QUIET);
    for (size_t i = FLOOD; i < 2 * FLOOD; i++)
        put_of(f, f->space, "flood", i);
    assert_int_equal(count_of(f, "quiet", QUIET), QUIET);
    /* a second database of the flooding cache gets no share of its own */
    struct ps_space *more = ps_space_get(f->spaces, CACHE, PS_STR("d2"));
    for (size_t i = 0; i < FLOOD; i++)
        put_of(f, more, "more", i);
    assert_int_equal(count_of(f, "quiet", QUIET), QUIET);
    ps_space_unref(&more);
    ps_space_unref(&other);
}

/* Puts the i-th answer of a cache that may take so many percent. */
static uint64_t
put_within(struct fixture *f, size_t i, unsigned percent)
{
    static char body[TENANT_BODY];
    struct query q;
    uint64_t evicted;
    query_make(&q, "within", i);
    struct ps_entry *entry =
        entry_make(f->space, &q.key, (struct ps_str){body, sizeof(body)}, 1);
    const struct ps_put_bounds bounds = {.max_entry_bytes = NO_LIMIT,
                                         .share_percent = percent};
    assert_int_equal(ps_store_put_within(f->store, entry, &bounds, 1, &evicted),
                     PS_PUT_STORED);
    ps_entry_unref(&entry);
    return evicted;
}

static void
a_bound_holds_though_there_is_room(void **state)
{
    struct fixture *f = *state;
    struct ps_store_stats stats;
    ps_store_stats(f->store, &stats);
    uint64_t limit = stats.max_bytes / 100 * 20, evicted = 0;
    for (size_t i = 0; i < 5000; i++) {
        evicted += put_within(f, i, 20);
        assert_in_range(ps_store_cache_bytes(f->store, CACHE), 1, limit);
    }
    ps_store_stats(f->store, &stats);
    assert_int_equal(evicted, stats.evicted);
    assert_int_equal(evicted, 5000 - stats.entries);
    assert_in_range(ps_store_cache_bytes(f->store, CACHE), limit / 10 * 9,
                    limit);
    assert_int_equal(ps_store_cache_bytes(f->store, PS_STR("o")), 0);
    /* lower: what is too much goes with the next answer; higher: no more */
    assert_in_range(put_within(f, 5000, 10), 2, 5000);
    assert_in_range(ps_store_cache_bytes(f->store, CACHE), 1, limit / 2);
    assert_int_equal(put_within(f, 5001, 100), 0);
    assert_int_equal(put_within(f, 5002, 50), 0);
}

static void
a_share_that_is_not_used_is_lent(void **state)
{
    struct fixture *f = *state;
    struct ps_space *other = ps_space_get(f->spaces, PS_STR("o"), DB);
    for (size_t i = 0; i < 2000; i++)
        put_of(f, f->space, "first", i);
    struct ps_store_stats stats;
    ps_store_stats(f->store, &stats);
    size_t all = count_of(f, "first", 2000);
    assert_true(stats.bytes > stats.max_bytes / 100 * 95);
    /* and taken back, up to the half */
    for (size_t i = 0; i < 5000; i++)
        put_of(f, other, "second", i);
    size_t left = count_of(f, "first", 2000);
    assert_true(left > all * 45 / 100 && left < all * 55 / 100);
    assert_true(count_of(f, "second", 5000) > all * 45 / 100);
    /* an owner that is gone leaves its share to the others */
    ps_store_drop(f->store, CACHE);
    for (size_t i = 5000; i < 10000; i++)
        put_of(f, other, "second", i);
    assert_true(count_of(f, "second", 10000) > all * 95 / 100);
    ps_space_unref(&other);
}

/* More caches than a shard has places: they share, nothing is lost or mixed. */
static void
many_tenants_share_places(void **state)
{
    struct fixture *f = *state;
    enum {
        MANY = 200
    };
    struct ps_spaces *spaces = ps_spaces_new(MANY, UINT64_MAX);
    struct ps_space *space[MANY];
    for (size_t i = 0; i < MANY; i++) {
        char id[16];
        int len = snprintf(id, sizeof(id), "c%zu", i);
        space[i] = ps_space_get(spaces, (struct ps_str){id, (size_t)len}, DB);
        assert_non_null(space[i]);
        put_of(f, space[i], "many", i);
        put_of(f, space[i], "many", i + MANY);
    }
    assert_int_equal(count_of(f, "many", 2 * MANY), 2 * MANY);
    for (size_t i = 0; i < 20000; i++)
        put_of(f, space[i % MANY], "more", i);
    ps_store_drop(f->store, PS_STR("c7"));
    ps_store_drop(f->store, PS_STR_NONE);
    struct ps_store_stats stats;
    ps_store_stats(f->store, &stats);
    assert_int_equal(stats.entries, 0);
    for (size_t i = 0; i < MANY; i++)
        ps_space_unref(&space[i]);
    ps_spaces_free(&spaces);
}

/* What the caches that are asked no more have kept goes when it is dead. */
static void
dead_entries_of_idle_tenants_make_room(void **state)
{
    struct fixture *f = *state;
    struct ps_space *other = ps_space_get(f->spaces, PS_STR("o"), DB);
    for (size_t i = 0; i < 100; i++)
        put_of(f, other, "idle", i);
    ps_spaces_apply(f->spaces, &(struct ps_change){.cache_id = PS_STR("o")});
    for (size_t i = 0; i < 20000; i++)
        put_of(f, f->space, "busy", i);
    assert_int_equal(count_of(f, "idle", 100), 0);
    ps_space_unref(&other);
}

/* What the statistics say is what the process really holds, and it never
 * exceeds the budget. */
static void
the_budget_is_honest(void **state)
{
    (void)state;
    static char body[64 * 1024];
    const uint64_t budget = 8 << 20;
    size_t before = heap_bytes();
    struct ps_store_conf conf = {.max_bytes = budget, .shards = 4};
    struct ps_store *store = ps_store_new(&conf);
    assert_non_null(store);
    struct ps_spaces *spaces = ps_spaces_new(4, UINT64_MAX);
    struct ps_space *space = ps_space_get(spaces, CACHE, DB);
    size_t aside = heap_bytes();
    struct ps_store_stats stats;
    ps_store_stats(store, &stats);
    aside -= before + stats.bytes; /* of the spaces */
    uint64_t random = 1;
    for (size_t i = 0; i < 60000; i++) {
        struct query q;
        random = random * 6364136223846793005u + 1442695040888963407u;
        query_make(&q, "q", i);
        size_t len = (random >> 33) % (i % 100 == 0 ? sizeof(body) : 600);
        struct ps_entry *entry =
            entry_make(space, &q.key, (struct ps_str){body, len}, 1);
        assert_int_equal(ps_store_put(store, entry, NO_LIMIT, 1),
                         PS_PUT_STORED);
        ps_entry_unref(&entry);
        if (i % 1000 == 0) {
            ps_store_stats(store, &stats);
            assert_true(stats.bytes <= budget);
        }
    }
    ps_store_stats(store, &stats);
    assert_true(stats.evicted > 1000);
    assert_true(stats.bytes > budget / 10 * 9);
    double real = (double)(heap_bytes() - before - aside);
    double told = (double)stats.bytes;
    print_message("counted %.0f, in use %.0f\n", told, real);
    assert_true(real < told * (1 + SLACK) && real > told * (1 - SLACK));
    ps_store_free(&store);
    ps_space_unref(&space);
    ps_spaces_free(&spaces);
}

/* The spaces' stamps are part of the budget: answers make room for them, with
 * the next put or without. */
static void
stamps_are_part_of_the_budget(void **state)
{
    (void)state;
    static char body[1000];
    enum {
        BUDGET = 4 << 20
    };
    struct ps_spaces *spaces = ps_spaces_new(64, UINT64_MAX);
    struct ps_store_conf conf = {
        .max_bytes = BUDGET, .shards = 2, .spaces = spaces};
    struct ps_store *store = ps_store_new(&conf);
    struct ps_space *space[30] = {ps_space_get(spaces, CACHE, DB)};
    struct ps_store_stats full, stats;
    for (size_t i = 0; i < 10000; i++) {
        struct query q;
        query_make(&q, "q", i);
        struct ps_entry *entry = entry_make(
            space[0], &q.key, (struct ps_str){body, sizeof(body)}, 1);
        assert_int_equal(ps_store_put(store, entry, NO_LIMIT, 1),
                         PS_PUT_STORED);
        ps_entry_unref(&entry);
    }
    ps_store_stats(store, &full);
    assert_true(full.bytes <= BUDGET && full.bytes > BUDGET / 10 * 9);
    const uint16_t value = 1;
    const struct ps_row_column column = {PS_STR("id"), &value, 1};
    const struct ps_row_set rows = {&column, 1};
    const struct ps_table_name name = {PS_STR("s"), PS_STR("t")};
    struct ps_snapshot snapshot;
    assert_int_equal(ps_snapshot_take(space[0], ps_space_catalog_gen(space[0]),
                                      &name, 1, &rows, &snapshot),
                     PS_SNAPSHOT_OK);
    for (size_t i = 1; i < 8; i++) {
        char database[8];
        snprintf(database, sizeof(database), "n%zu", i);
        space[i] = ps_space_get(spaces, CACHE, ps_str_of(database));
    }
    ps_store_trim(store, 1);
    ps_store_stats(store, &stats);
    assert_true(stats.bytes <= BUDGET && stats.bytes > BUDGET / 10 * 9);
    /* 256 KiB and 7 times 64 KiB in the place of answers. */
    assert_true(stats.entries < full.entries - (704 << 10) / 1200);
    /* However many spaces: a quarter is left. */
    for (size_t i = 8; i < PS_ARRAY_LEN(space); i++) {
        char database[8];
        snprintf(database, sizeof(database), "n%zu", i);
        space[i] = ps_space_get(spaces, CACHE, ps_str_of(database));
    }
    ps_store_trim(store, 1);
    ps_store_stats(store, &stats);
    assert_true(stats.entries > full.entries / 8);
    ps_store_free(&store);
    for (size_t i = 0; i < PS_ARRAY_LEN(space); i++)
        ps_space_unref(&space[i]);
    ps_spaces_free(&spaces);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_found_with_all_it_knows),
        TEST(keys_with_equal_hashes_are_never_mixed),
        TEST(old_answers_do_not_replace_newer_ones),
        TEST(an_answer_not_kept_ends_an_older_one),
        TEST(an_answer_without_a_snapshot_is_never_kept),
        TEST(large_entries_are_refused),
        TEST(an_entry_outlives_its_eviction_and_the_store),
        TEST(drop_takes_one_cache_only),
        TEST(a_scan_does_not_wash_out_the_hot_set),
        TEST(a_key_that_comes_back_from_the_ghost_stays),
        TEST(dead_entries_get_no_second_chance),
        TEST(a_tenant_takes_nothing_from_anothers_share),
        TEST(a_bound_holds_though_there_is_room),
        TEST(a_share_that_is_not_used_is_lent),
        TEST(many_tenants_share_places),
        TEST(dead_entries_of_idle_tenants_make_room),
        cmocka_unit_test(the_budget_is_honest),
        cmocka_unit_test(stamps_are_part_of_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
