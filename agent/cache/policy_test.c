#include "agent/cache/policy.h"
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct ps_policy *policy;
    struct ps_spaces *spaces;
    struct ps_space *space;
    struct ps_key key;
    struct ps_policy_ask ask;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->policy = ps_policy_new(1024, 64, 10);
    f->spaces = ps_spaces_new(4, UINT64_MAX);
    f->space = ps_space_get(f->spaces, PS_STR("c"), PS_STR("d"));
    assert_non_null(f->policy);
    assert_non_null(f->space);
    ps_key_make(&f->key, 1, 1, PS_STR("select * from a where id = 1"),
                PS_STR(""));
    f->ask = (struct ps_policy_ask){
        .key = &f->key,
        .space_id = ps_space_id(f->space),
        .fingerprint = 42,
        .caching_enabled = true,
        .auto_cached = true,
        .ttl_min_ms = 1000,
        .ttl_max_ms = 3600 * 1000,
        .now_us = 1000000,
    };
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ps_policy_free(&f->policy);
    ps_space_unref(&f->space);
    ps_spaces_free(&f->spaces);
    free(f);
    return 0;
}

static enum ps_policy_verdict
ask(struct fixture *f, uint64_t *ttl_ms)
{
    return ps_policy_ask(f->policy, &f->ask, ttl_ms);
}

/* The old answer was born at born_us. */
static void
learn_from(struct fixture *f, uint64_t born_us, struct ps_str old_body,
           struct ps_str body, bool written)
{
    static const struct ps_table_name table = {PS_STR("s"), PS_STR("t")};
    struct ps_snapshot snapshot;
    assert_int_equal(ps_snapshot_take(f->space, ps_space_catalog_gen(f->space),
                                      &table, 1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    struct ps_entry_spec spec = {.key = &f->key,
                                 .snapshot = &snapshot,
                                 .body = old_body,
                                 .born_us = born_us};
    struct ps_entry *old = ps_entry_new(&spec);
    assert_non_null(old);
    if (written)
        ps_spaces_apply(f->spaces, &(struct ps_change){.cache_id = PS_STR("c"),
                                                       .database = PS_STR("d"),
                                                       .tables = &table,
                                                       .n_tables = 1});
    ps_policy_learn(f->policy, &f->ask, old, body);
    ps_entry_unref(&old);
}

static void
learn(struct fixture *f, struct ps_str old_body, struct ps_str body,
      bool written)
{
    learn_from(f, f->ask.now_us, old_body, body, written);
}

static void
kept_on_the_second_execution_then_on_the_first(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 30000);
    /* another query of the template: at once */
    struct ps_key other;
    ps_key_make(&other, 1, 1, PS_STR("select * from a where id = 2"),
                PS_STR(""));
    f->ask.key = &other;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    /* the same text on another database is another template */
    struct ps_key third;
    ps_key_make(&third, 1, 1, PS_STR("select * from a where id = 3"),
                PS_STR(""));
    f->ask.key = &third;
    f->ask.space_id++;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
}

static void
never_when_switched_off(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0;
    f->ask.caching_enabled = false;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_OFF);
    f->ask.caching_enabled = true;
    f->ask.auto_cached = false;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_OFF);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_OFF);
}

static void
bounds_of_the_operator_hold(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0;
    f->ask.ttl_max_ms = 5000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 5000);
    learn(f, PS_STR("x"), PS_STR("x"), false);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 5000);
    f->ask.ttl_min_ms = 60000;
    f->ask.ttl_max_ms = 120000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 60000);
}

/* A refetch as soon as the time to live is over. */
static void
refetch(struct fixture *f, uint64_t ttl_ms, bool same)
{
    uint64_t born_us = f->ask.now_us;
    f->ask.now_us += ttl_ms * 1000;
    learn_from(f, born_us, PS_STR("old"), same ? PS_STR("old") : PS_STR("new"),
               false);
}

static void
equal_refetches_let_the_ttl_grow(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0, before = 0;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 30000);
    /* 1 % of (1500 s for the start + what was watched) / 0.5 */
    refetch(f, ttl_ms, true);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 30600);
    for (int i = 0; i < 500 && ttl_ms != before; i++) {
        before = ttl_ms;
        refetch(f, ttl_ms, true);
        assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
        assert_true(ttl_ms >= before);
    }
    assert_int_equal(ttl_ms, 3600 * 1000);
}

static void
unexplained_change_shrinks_then_stops_then_tries_again(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0, before = UINT64_MAX;
    int refetches = 0;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    while (ask(f, &ttl_ms) == PS_POLICY_STORE) {
        assert_true(ttl_ms < before);
        before = ttl_ms;
        refetch(f, ttl_ms, false);
        assert_true(++refetches < 6);
    }
    assert_true(refetches > 1);
    f->ask.now_us += 59 * 1000000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_TTL_SHORT);
    f->ask.now_us += 1000000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 1000);
    /* falls again, though it held once: twice the pause */
    refetch(f, ttl_ms, true);
    refetch(f, ttl_ms, false);
    f->ask.now_us += 119 * 1000000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_TTL_SHORT);
    f->ask.now_us += 1000000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    struct ps_policy_stats stats;
    ps_policy_stats(f->policy, &stats);
    assert_int_equal(stats.switched_off, 2);
}

/* One change in a long time is what the TTL is made for; two are another pace,
 * whatever was seen before. */
static void
a_new_pace_is_noticed_at_once(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0, long_ms;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
        refetch(f, ttl_ms, true);
    }
    assert_int_equal(ask(f, &long_ms), PS_POLICY_STORE);
    assert_int_equal(long_ms, 3600 * 1000);
    for (int i = 0; i < 3; i++)
        refetch(f, 60000, false);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_true(ttl_ms < long_ms / 10);
}

/* The answer it fell for stays in memory; whoever asks meanwhile finds that it
 * changed, again and again. */
static void
a_fall_is_counted_once(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0;
    f->ask.ttl_min_ms = f->ask.ttl_max_ms = 30000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    uint64_t fell_us = f->ask.now_us;
    learn_from(f, fell_us, PS_STR("old"), PS_STR("new"), false);
    for (int i = 1; i < 60; i++) {
        f->ask.now_us += 1000000;
        assert_int_equal(ask(f, &ttl_ms), PS_POLICY_TTL_SHORT);
        learn_from(f, fell_us, PS_STR("old"), PS_STR("new"), false);
    }
    f->ask.now_us += 1000000;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    learn_from(f, fell_us, PS_STR("old"), PS_STR("new"), false);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    /* what was kept after the pause counts again */
    learn(f, PS_STR("new"), PS_STR("newer"), false);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_TTL_SHORT);
}

static void
a_change_explained_by_a_write_teaches_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    learn(f, PS_STR("old"), PS_STR("new"), true);
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    assert_int_equal(ttl_ms, 30000);
}

static void
expiry_is_spread_and_never_late(void **state)
{
    struct fixture *f = *state;
    (void)f;
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < 200; i++) {
        char sql[32];
        int len = snprintf(sql, sizeof(sql), "select %d", i);
        struct ps_key key;
        ps_key_make(&key, 1, 1, (struct ps_str){sql, (size_t)len}, PS_STR(""));
        uint64_t at = ps_policy_expires_us(&key, 5, 10000);
        least = PS_MIN(least, at);
        most = PS_MAX(most, at);
    }
    assert_true(most <= 5 + 10000000);
    assert_true(least > 5 + 9000000);
    assert_true(most - least > 500000);
}

/* Far more templates and queries than there is room for. */
static void
tables_are_bounded(void **state)
{
    struct fixture *f = *state;
    uint64_t ttl_ms = 0;
    for (int i = 0; i < 20000; i++) {
        char sql[32];
        int len = snprintf(sql, sizeof(sql), "select %d", i);
        struct ps_key key;
        ps_key_make(&key, 1, 1, (struct ps_str){sql, (size_t)len}, PS_STR(""));
        f->ask.key = &key;
        f->ask.fingerprint = (uint64_t)i;
        (void)ask(f, &ttl_ms);
        assert_int_equal(ask(f, &ttl_ms), PS_POLICY_STORE);
    }
    /* the first is forgotten: learned again from the start */
    f->ask.key = &f->key;
    f->ask.fingerprint = 0;
    assert_int_equal(ask(f, &ttl_ms), PS_POLICY_FIRST_SEEN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kept_on_the_second_execution_then_on_the_first),
        TEST(never_when_switched_off),
        TEST(bounds_of_the_operator_hold),
        TEST(equal_refetches_let_the_ttl_grow),
        TEST(unexplained_change_shrinks_then_stops_then_tries_again),
        TEST(a_new_pace_is_noticed_at_once),
        TEST(a_fall_is_counted_once),
        TEST(a_change_explained_by_a_write_teaches_nothing),
        TEST(expiry_is_spread_and_never_late),
        TEST(tables_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
