/*
 * Is the store ever worse than LRU when not everything fits? A small one
 * answers traces of requests, beside an LRU with as many places as the store
 * had at most. (tests/bench/run evict does the same at full size, with the best
 * possible beside them.)
 */
#include "agent/cache/store.h"
#include "tests/unit.h"

#include <math.h>
#include <stdio.h>

enum {
    BUDGET = 1 << 20,
    BODY = 200,
    OBJECTS = 50000,
    REQUESTS = 300000,
    PHASES = 10,
    IDS = OBJECTS + REQUESTS,
    NONE = UINT32_MAX
};

static const struct ps_table_name TABLE = {PS_STR("s"), PS_STR("t")};
static double sums[OBJECTS];
static uint32_t trace[REQUESTS];
static uint32_t older[IDS], newer[IDS], oldest, newest;
static bool in[IDS];

/* ---- traces ---- */

static uint32_t
chance(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static uint32_t
zipf(uint64_t *state)
{
    double at = chance(state) / 2147483648.0 * sums[OBJECTS - 1];
    uint32_t from = 0, to = OBJECTS - 1;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (sums[middle] < at)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static int
setup(void **state)
{
    double sum = 0;
    (void)state;
    for (size_t i = 0; i < OBJECTS; i++)
        sums[i] = sum += pow((double)(i + 1), -0.9);
    return 0;
}

/* ---- the two ---- */

static size_t
run_store(size_t *places)
{
    const struct ps_store_conf conf = {.max_bytes = BUDGET, .shards = 1};
    static char body[BODY];
    struct ps_store *store = ps_store_new(&conf);
    struct ps_spaces *spaces = ps_spaces_new(1, UINT64_MAX);
    struct ps_space *space = ps_space_get(spaces, PS_STR("c"), PS_STR("d"));
    struct ps_snapshot snapshot;
    assert_int_equal(ps_snapshot_take(space, ps_space_catalog_gen(space),
                                      &TABLE, 1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    size_t hits = 0;
    *places = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        char sql[32];
        struct ps_key key;
        int len = snprintf(sql, sizeof(sql), "select %u", trace[i]);
        ps_key_make(&key, 1, 1, (struct ps_str){sql, (size_t)len}, PS_STR(""));
        struct ps_entry *entry = ps_store_find(store, &key);
        hits += entry != NULL;
        if (!entry) {
            struct ps_entry_spec spec = {
                .key = &key,
                .snapshot = &snapshot,
                .body = {body, BODY},
                .expires_us = UINT64_MAX
            };
            entry = ps_entry_new(&spec);
            assert_int_equal(ps_store_put(store, entry, UINT64_MAX, 1),
                             PS_PUT_STORED);
        }
        ps_entry_unref(&entry);
        struct ps_store_stats stats;
        if (i % 64 == 0) {
            ps_store_stats(store, &stats);
            *places = PS_MAX(*places, stats.entries);
            assert_true(stats.bytes <= BUDGET);
        }
    }
    ps_store_free(&store);
    ps_space_unref(&space);
    ps_spaces_free(&spaces);
    return hits;
}

static void
lru_add(uint32_t id)
{
    older[id] = newest;
    newer[id] = NONE;
    *(newest == NONE ? &oldest : &newer[newest]) = id;
    newest = id;
    in[id] = true;
}

static void
lru_remove(uint32_t id)
{
    *(older[id] == NONE ? &oldest : &newer[older[id]]) = newer[id];
    *(newer[id] == NONE ? &newest : &older[newer[id]]) = older[id];
    in[id] = false;
}

static size_t
run_lru(size_t places)
{
    size_t hits = 0, used = 0;
    memset(in, 0, sizeof(in));
    oldest = newest = NONE;
    for (size_t i = 0; i < REQUESTS; i++) {
        hits += in[trace[i]];
        if (in[trace[i]])
            lru_remove(trace[i]);
        else if (used < places)
            used++;
        else
            lru_remove(oldest);
        lru_add(trace[i]);
    }
    return hits;
}

static void
hold(const char *name)
{
    size_t places;
    size_t store = run_store(&places), lru = run_lru(places);
    print_message("%s: %.4f, LRU %.4f, %zu places\n", name,
                  (double)store / REQUESTS, (double)lru / REQUESTS, places);
    assert_true(store >= lru);
}

/* ---- */

static void
what_is_popular_stays_so(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++)
        trace[i] = zipf(&seed);
    hold("zipf");
}

static void
one_in_three_is_of_a_scan(void **state)
{
    uint64_t seed = 2;
    uint32_t next = OBJECTS;
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++)
        trace[i] = i / 1000 % 3 == 2 ? next++ : zipf(&seed);
    hold("scan");
}

static void
what_is_popular_changes_at_once(void **state)
{
    uint64_t seed = 3;
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++) {
        size_t phase = i / (REQUESTS / PHASES);
        trace[i] =
            (uint32_t)((zipf(&seed) + phase * (OBJECTS / PHASES)) % OBJECTS);
    }
    hold("shift");
}

static void
what_is_popular_changes_slowly(void **state)
{
    uint64_t seed = 4;
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++)
        trace[i] = (uint32_t)((zipf(&seed) + i / 20) % OBJECTS);
    hold("drift");
}

static void
everything_in_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++)
        trace[i] = (uint32_t)(i % 2500);
    hold("loop");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_popular_stays_so),
        cmocka_unit_test(one_in_three_is_of_a_scan),
        cmocka_unit_test(what_is_popular_changes_at_once),
        cmocka_unit_test(what_is_popular_changes_slowly),
        cmocka_unit_test(everything_in_turn),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
