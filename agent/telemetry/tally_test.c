/* Counting per template: cells, places, generations, collecting from loops. */
#include "agent/telemetry/tally.h"
#include "tests/unit.h"

#include <pthread.h>
#include <stdio.h>

static const struct ps_str CACHE = {"11111111-1111-4111-8111-111111111111", 36};
static const struct ps_str OTHER = {"22222222-2222-4222-8222-222222222222", 36};

static void
collect(struct ps_tally *tally, unsigned n_loops)
{
    for (unsigned i = 0; i < n_loops; i++) {
        struct ps_tally_bag bag;
        ps_tally_collect(ps_tally_loop(tally, i), &bag);
        ps_tally_merge(tally, &bag);
    }
    ps_tally_merged(tally);
}

/* Takes all that is pending; the sum, and of what one fingerprint has. */
static struct ps_usage
take(struct ps_tally *tally, uint64_t fingerprint, size_t *n)
{
    struct ps_usage sum = {.n = {0}}, *usage;
    struct ps_tally_template t;
    struct ps_buf text;
    size_t at = 0;
    *n = 0;
    ps_buf_init(&text, PS_TALLY_TEXT_MAX);
    while ((usage = ps_tally_take(tally, &at, &t, &text))) {
        if (fingerprint == UINT64_MAX || t.fingerprint == fingerprint)
            ps_usage_merge(&sum, usage);
        ++*n;
        free(usage);
    }
    ps_buf_done(&text);
    return sum;
}

static void
hits_and_misses_of_all_loops_add_up(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(64, 2);
    uint32_t a = ps_tally_id(tally, CACHE, 7, PS_STR("select ?"));
    uint32_t b = ps_tally_id(tally, CACHE, 8, PS_STR("select ?, ?"));
    size_t n;
    assert_int_not_equal(a, b);
    assert_int_equal(a, ps_tally_id(tally, CACHE, 7, PS_STR("select ?")));
    assert_int_not_equal(a, ps_tally_id(tally, OTHER, 7, PS_STR("select ?")));
    for (unsigned i = 0; i < 10; i++) {
        ps_tally_hit(ps_tally_loop(tally, 0), a, 3, 100, 10);
        ps_tally_hit(ps_tally_loop(tally, 1), a, 3, 100, 20);
        ps_tally_hit(ps_tally_loop(tally, 1), b, 1, 1, 1);
    }
    struct ps_usage *miss = ps_tally_usage(ps_tally_loop(tally, 1), a);
    miss->n[PS_USAGE_QUERIES]++;
    miss->n[PS_USAGE_MISSES]++;
    ps_hist_add(&miss->origin, 1000);
    collect(tally, 2);
    struct ps_usage sum = take(tally, 7, &n);
    assert_int_equal(n, 2);
    assert_int_equal(sum.n[PS_USAGE_QUERIES], 21);
    assert_int_equal(sum.n[PS_USAGE_HITS], 20);
    assert_int_equal(sum.n[PS_USAGE_MISSES], 1);
    assert_int_equal(sum.n[PS_USAGE_ROWS], 60);
    assert_int_equal(sum.n[PS_USAGE_BYTES], 2000);
    assert_int_equal(sum.memory.sum_us, 300);
    assert_int_equal(sum.memory.n[ps_hist_bucket(20)], 10);
    /* 20 hits would have taken 1000 us each. */
    assert_int_equal(sum.n[PS_USAGE_SAVED_US], 20 * 1000 - 300);
    /* Nothing twice. */
    collect(tally, 2);
    take(tally, UINT64_MAX, &n);
    assert_int_equal(n, 0);
    /* The mean is remembered when there is no miss any more. */
    ps_tally_hit(ps_tally_loop(tally, 0), a, 3, 100, 10);
    collect(tally, 2);
    sum = take(tally, 7, &n);
    assert_int_equal(sum.n[PS_USAGE_SAVED_US], 990);
    ps_tally_free(&tally);
}

static void
totals_stay_when_what_is_pending_is_taken(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(64, 1);
    struct ps_tally_loop *loop = ps_tally_loop(tally, 0);
    const struct ps_usage *total = NULL;
    struct ps_str id;
    size_t n, at = 0;
    for (unsigned round = 0; round < 3; round++) {
        ps_tally_hit(loop, ps_tally_id(tally, CACHE, 7, PS_STR("a")), 1, 1, 1);
        ps_tally_hit(loop, ps_tally_id(tally, CACHE, 8, PS_STR("b")), 1, 1, 1);
        collect(tally, 1);
        take(tally, UINT64_MAX, &n);
    }
    assert_true(ps_tally_total(tally, &at, &id, &total));
    assert_true(ps_str_eq(id, CACHE));
    assert_int_equal(total->n[PS_USAGE_HITS], 6);
    assert_false(ps_tally_total(tally, &at, &id, &total));
    ps_tally_free(&tally);
}

static void
what_is_put_back_comes_again_with_what_came_meanwhile(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(64, 1);
    uint32_t a = ps_tally_id(tally, CACHE, 7, PS_STR("a"));
    struct ps_tally_template t;
    struct ps_buf text;
    size_t at = 0, n;
    ps_buf_init(&text, PS_TALLY_TEXT_MAX);
    ps_tally_hit(ps_tally_loop(tally, 0), a, 1, 1, 1);
    collect(tally, 1);
    struct ps_usage *usage = ps_tally_take(tally, &at, &t, &text);
    assert_int_equal(t.fingerprint, 7);
    assert_string_equal(t.cache_id, CACHE.ptr);
    assert_true(ps_str_eq(ps_buf_str(&text), PS_STR("a")));
    assert_false(t.told);
    ps_tally_hit(ps_tally_loop(tally, 0), a, 1, 1, 1);
    collect(tally, 1);
    ps_tally_put_back(tally, t.id, usage);
    ps_tally_told(tally, t.id, true);
    struct ps_usage sum = take(tally, 7, &n);
    assert_int_equal(sum.n[PS_USAGE_HITS], 2);
    ps_buf_done(&text);
    ps_tally_free(&tally);
}

static void
where_all_places_are_taken_the_cache_s_other_counts(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(8, 1);
    struct ps_tally_loop *loop = ps_tally_loop(tally, 0);
    size_t n;
    for (uint64_t f = 1; f <= 100; f++)
        ps_tally_hit(loop, ps_tally_id(tally, CACHE, f, PS_STR("x")), 1, 1, 1);
    assert_int_equal(ps_tally_used(tally), 8);
    /* A cache that came too late has not even an "other". */
    assert_int_equal(ps_tally_id(tally, OTHER, 1, PS_STR("x")), PS_TALLY_NONE);
    assert_null(ps_tally_usage(loop, PS_TALLY_NONE));
    ps_tally_hit(loop, PS_TALLY_NONE, 1, 1, 1);
    collect(tally, 1);
    struct ps_usage other = take(tally, 0, &n);
    assert_int_equal(n, 8);
    assert_int_equal(other.n[PS_USAGE_HITS], 100 - 7);
    assert_int_equal(ps_tally_lost(tally), 2);
    ps_tally_free(&tally);
}

static void
a_place_that_is_idle_for_long_is_given_away(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(2, 1);
    struct ps_tally_loop *loop = ps_tally_loop(tally, 0);
    uint32_t old = ps_tally_id(tally, CACHE, 1, PS_STR("old"));
    size_t n;
    ps_tally_hit(loop, old, 1, 1, 1);
    uint32_t other = ps_tally_id(tally, CACHE, 2, PS_STR("new"));
    assert_int_equal(other, ps_tally_id(tally, CACHE, 0, PS_STR("")));
    for (unsigned i = 0; i < PS_TALLY_IDLE_COLLECTS; i++) {
        collect(tally, 1);
        take(tally, UINT64_MAX, &n);
        ps_tally_id(tally, CACHE, 0, PS_STR("")); /* not idle */
    }
    /* Still: what is idle is one collect short of it. */
    collect(tally, 1);
    uint32_t new = ps_tally_id(tally, CACHE, 2, PS_STR("new"));
    assert_int_not_equal(new, other);
    assert_int_not_equal(new, old);
    assert_int_equal(new & 1, old & 1);
    ps_tally_hit(loop, new, 1, 1, 1);
    /* An answer in memory that has the old id counts for nobody. */
    ps_tally_hit(loop, old, 1, 1, 1);
    collect(tally, 1);
    struct ps_usage sum = take(tally, 2, &n);
    assert_int_equal(n, 1);
    assert_int_equal(sum.n[PS_USAGE_HITS], 1);
    assert_int_equal(ps_tally_lost(tally), 1);
    ps_tally_free(&tally);
}

static void
long_texts_are_cut_between_characters(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(8, 1);
    static char text[PS_TALLY_TEXT_MAX + 100];
    struct ps_tally_template t;
    struct ps_buf out;
    size_t at = 0;
    memset(text, 'x', sizeof(text));
    memcpy(text + PS_TALLY_TEXT_MAX - 1, "\xc3\xa4", 2);
    ps_tally_hit(
        ps_tally_loop(tally, 0),
        ps_tally_id(tally, CACHE, 1, (struct ps_str){text, sizeof(text)}), 1, 1,
        1);
    collect(tally, 1);
    ps_buf_init(&out, PS_TALLY_TEXT_MAX);
    struct ps_usage *usage = ps_tally_take(tally, &at, &t, &out);
    assert_non_null(usage);
    assert_int_equal(out.len, PS_TALLY_TEXT_MAX - 1);
    free(usage);
    ps_buf_done(&out);
    ps_tally_free(&tally);
}

/* ---- threads ---- */

enum {
    LOOPS = 3,
    ROUNDS = 20000,
    TEMPLATES = 40
};

struct worker {
    struct ps_tally *tally;
    unsigned index;
    struct ps_tally_bag bags[ROUNDS / 1000];
    size_t n_bags;
};

/* Counts, takes ids, and collects now and then, as a loop does. */
static void *
work(void *arg)
{
    struct worker *w = arg;
    struct ps_tally_loop *loop = ps_tally_loop(w->tally, w->index);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t f = 1 + (i * 7 + w->index) % TEMPLATES;
        uint32_t id = ps_tally_id(w->tally, CACHE, f, PS_STR("t"));
        ps_tally_hit(loop, id, 1, 2, i % 100);
        struct ps_usage *u = ps_tally_usage(loop, id);
        if (u)
            u->n[PS_USAGE_QUERIES]++;
        if (i % 1000 == 999)
            ps_tally_collect(loop, &w->bags[w->n_bags++]);
    }
    return NULL;
}

static void
loops_count_side_by_side(PS_UNUSED void **state)
{
    struct ps_tally *tally = ps_tally_new(32, LOOPS);
    static struct worker workers[LOOPS];
    pthread_t threads[LOOPS];
    size_t n;
    for (unsigned i = 0; i < LOOPS; i++) {
        workers[i] = (struct worker){.tally = tally, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < LOOPS; i++)
        for (size_t b = 0; b < workers[i].n_bags; b++)
            ps_tally_merge(tally, &workers[i].bags[b]);
    ps_tally_merged(tally);
    struct ps_usage sum = take(tally, UINT64_MAX, &n);
    assert_int_equal(n, 32);
    assert_int_equal(sum.n[PS_USAGE_HITS], LOOPS * ROUNDS);
    assert_int_equal(sum.n[PS_USAGE_QUERIES], 2 * LOOPS * ROUNDS);
    ps_tally_free(&tally);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hits_and_misses_of_all_loops_add_up),
        cmocka_unit_test(totals_stay_when_what_is_pending_is_taken),
        cmocka_unit_test(what_is_put_back_comes_again_with_what_came_meanwhile),
        cmocka_unit_test(where_all_places_are_taken_the_cache_s_other_counts),
        cmocka_unit_test(a_place_that_is_idle_for_long_is_given_away),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(loops_count_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
