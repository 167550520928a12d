/*
 * Automatic mode against a world in which every write goes past Portside:
 * requests and changes come as Poisson processes on a virtual clock, and the
 * share of answers that were not the current ones is measured. No time passes
 * and no chance is left: the numbers are the same on every machine.
 */
#include "agent/cache/entry.h"
#include "agent/cache/policy.h"
#include "tests/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WORLDS = 8,
    QUERIES = 8, /* of one template, each with changes of its own */
    STALE_PERMILLE = 10
};

struct query {
    struct ps_key key;
    char sql[32];
    struct ps_entry *entry;
    uint64_t version; /* changes so far */
    double change_s;  /* when the next comes */
};

struct sim {
    struct ps_policy *policy;
    struct ps_spaces *spaces;
    struct ps_space *space;
    struct query queries[QUERIES];
    uint64_t random;
    double now_s, every_s; /* mean time between changes of a query */
    uint64_t asked, hits, stale;
};

/* xorshift64*, then (0, 1]. */
static double
uniform(struct sim *sim)
{
    sim->random ^= sim->random >> 12;
    sim->random ^= sim->random << 25;
    sim->random ^= sim->random >> 27;
    return ((double)((sim->random * 0x2545f4914f6cdd1dU) >> 11) + 1) *
           (1.0 / 9007199254740992.0);
}

static double
wait_s(struct sim *sim, double mean_s)
{
    return -log(uniform(sim)) * mean_s;
}

static void
open_sim(struct sim *sim, double every_s, uint64_t seed)
{
    memset(sim, 0, sizeof(*sim));
    sim->random = 88172645463325252U * (2 * seed + 1);
    sim->every_s = every_s;
    sim->now_s = 1;
    sim->policy = ps_policy_new(1024, 64, STALE_PERMILLE);
    sim->spaces = ps_spaces_new(4, UINT64_MAX);
    sim->space = ps_space_get(sim->spaces, PS_STR("c"), PS_STR("d"));
    for (int i = 0; i < QUERIES; i++) {
        struct query *q = &sim->queries[i];
        snprintf(q->sql, sizeof(q->sql), "select %d", i);
        ps_key_make(&q->key, 1, 1, ps_str_of(q->sql), PS_STR(""));
        q->change_s = wait_s(sim, every_s);
    }
}

static void
close_sim(struct sim *sim)
{
    for (int i = 0; i < QUERIES; i++)
        ps_entry_unref(&sim->queries[i].entry);
    ps_policy_free(&sim->policy);
    ps_space_unref(&sim->space);
    ps_spaces_free(&sim->spaces);
}

static uint64_t
version_of(const struct ps_entry *entry)
{
    uint64_t version;
    memcpy(&version, ps_entry_body(entry).ptr, sizeof(version));
    return version;
}

/* As the engine does on a miss. */
static void
fetch(struct sim *sim, struct query *q, uint64_t now_us)
{
    struct ps_str body = {(const char *)&q->version, sizeof(q->version)};
    const struct ps_policy_ask ask = {.key = &q->key,
                                      .space_id = ps_space_id(sim->space),
                                      .fingerprint = 42,
                                      .caching_enabled = true,
                                      .auto_cached = true,
                                      .ttl_min_ms = 1000,
                                      .ttl_max_ms = 3600 * 1000,
                                      .now_us = now_us};
    static const struct ps_table_name table = {PS_STR("s"), PS_STR("t")};
    struct ps_snapshot snapshot;
    uint64_t ttl_ms = 0;
    enum ps_policy_verdict verdict = ps_policy_ask(sim->policy, &ask, &ttl_ms);
    if (q->entry)
        ps_policy_learn(sim->policy, &ask, q->entry, body);
    if (verdict != PS_POLICY_STORE)
        return;
    assert_int_equal(ps_snapshot_take(sim->space,
                                      ps_space_catalog_gen(sim->space), &table,
                                      1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    const struct ps_entry_spec spec = {
        .key = &q->key,
        .snapshot = &snapshot,
        .body = body,
        .born_us = now_us,
        .expires_us = ps_policy_expires_us(&q->key, now_us, ttl_ms)};
    ps_entry_unref(&q->entry);
    q->entry = ps_entry_new(&spec);
    assert_non_null(q->entry);
}

static void
request(struct sim *sim)
{
    struct query *q = &sim->queries[(size_t)(uniform(sim) * QUERIES) % QUERIES];
    uint64_t now_us = (uint64_t)(sim->now_s * 1e6);
    for (; q->change_s <= sim->now_s; q->version++)
        q->change_s += wait_s(sim, sim->every_s);
    sim->asked++;
    if (!q->entry || now_us >= ps_entry_expires_us(q->entry)) {
        fetch(sim, q, now_us);
        return;
    }
    sim->hits++;
    sim->stale += version_of(q->entry) != q->version;
}

/* Requests for all queries together. */
static void
run(struct sim *sim, double per_s, double for_s)
{
    double until_s = sim->now_s + for_s;
    while ((sim->now_s += wait_s(sim, 1 / per_s)) < until_s)
        request(sim);
}

static double
percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* Any pace of changes, many requests and few. Where changes are rare a world
 * sees a handful of them, so several worlds are added up. */
static void
the_budget_holds_at(double every_s, double per_s)
{
    uint64_t asked = 0, hits = 0, stale = 0;
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        struct sim sim;
        open_sim(&sim, every_s, seed);
        run(&sim, per_s, 200000 / per_s);
        asked += sim.asked;
        hits += sim.hits;
        stale += sim.stale;
        close_sim(&sim);
    }
    print_message("change every %6.0f s, %4.1f requests/s: %5.2f %% hits, "
                  "%.3f %% stale\n",
                  every_s, per_s, percent(hits, asked), percent(stale, asked));
    assert_true(asked > WORLDS * 190000);
    assert_true(stale * 1000 <= asked * STALE_PERMILLE);
}

static void
the_budget_holds_at_every_pace(void **state)
{
    (void)state;
    static const double every_s[] = {1, 10, 60, 600, 3600, 36000, 360000};
    static const double per_s[] = {0.2, 2, 20};
    for (size_t i = 0; i < PS_ARRAY_LEN(every_s); i++)
        for (size_t j = 0; j < PS_ARRAY_LEN(per_s); j++)
            the_budget_holds_at(every_s[i], per_s[j]);
}

/* A budget is easily held by one who keeps nothing. */
static void
what_hardly_changes_is_kept(void **state)
{
    (void)state;
    struct sim sim;
    open_sim(&sim, 360000, 1);
    run(&sim, 20, 36000);
    assert_true(percent(sim.hits, sim.asked) > 98);
    close_sim(&sim);
}

/* A template that begins to change all the time stops being kept, and is kept
 * again when it has come to rest. */
static void
it_follows_a_change_of_pace(void **state)
{
    (void)state;
    struct sim sim;
    open_sim(&sim, 1e9, 1);
    run(&sim, 20, 20000);
    assert_true(percent(sim.hits, sim.asked) > 95);
    sim.every_s = 2;
    for (int i = 0; i < QUERIES; i++)
        sim.queries[i].change_s = sim.now_s;
    run(&sim, 20, 4000); /* what is kept runs out, and it learns */
    sim.asked = sim.hits = sim.stale = 0;
    run(&sim, 20, 20000);
    print_message("after the change of pace: %5.2f %% hits, %.3f %% stale\n",
                  percent(sim.hits, sim.asked), percent(sim.stale, sim.asked));
    assert_true(percent(sim.hits, sim.asked) < 5);
    assert_true(sim.stale * 1000 <= sim.asked * STALE_PERMILLE);
    for (int i = 0; i < QUERIES; i++)
        sim.queries[i].change_s = 1e9;
    run(&sim, 20, 20000);
    sim.asked = sim.hits = sim.stale = 0;
    run(&sim, 20, 20000);
    assert_true(percent(sim.hits, sim.asked) > 90);
    close_sim(&sim);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_budget_holds_at_every_pace),
        cmocka_unit_test(what_hardly_changes_is_kept),
        cmocka_unit_test(it_follows_a_change_of_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
