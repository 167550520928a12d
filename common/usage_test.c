/* Histograms and usages: buckets, sums, the packed form, the figures. */
#include "common/hist.h"
#include "common/usage.h"
#include "common/varint.h"
#include "tests/unit.h"

#include <math.h>
#include <stdio.h>

/* ---- histograms ---- */

static void
every_value_is_in_the_bucket_whose_bounds_hold_it(PS_UNUSED void **state)
{
    for (unsigned b = 0; b < PS_HIST_BUCKETS; b++) {
        uint64_t from = ps_hist_lower_us(b), to = ps_hist_lower_us(b + 1);
        assert_true(to > from);
        assert_int_equal(ps_hist_bucket(from), b);
        assert_int_equal(ps_hist_bucket(to - 1), b);
        /* A quarter of the value at most, once it is more than a few. */
        assert_true(b < 4 || (to - from) * 4 <= from);
    }
    assert_int_equal(ps_hist_lower_us(PS_HIST_BUCKETS), 1 << 27);
    assert_int_equal(ps_hist_bucket(UINT64_MAX), PS_HIST_BUCKETS - 1);
}

static void
quantiles_are_within_an_eighth(PS_UNUSED void **state)
{
    struct ps_hist h = {.count = 0};
    assert_true(ps_hist_quantile_us(&h, 0.5) == 0);
    for (uint64_t us = 1; us <= 100000; us++)
        ps_hist_add(&h, us);
    for (double q = 0.05; q < 1; q += 0.05) {
        double exact = q * 100000;
        double error = ps_hist_quantile_us(&h, q) - exact;
        assert_true(fabs(error) <= exact / 8);
    }
    assert_true(fabs(ps_hist_mean_us(&h) - 50000.5) < 1e-6);
    assert_int_equal(ps_hist_below(&h, 1024), 1023);
}

static struct ps_hist
some_hist(uint64_t seed)
{
    struct ps_hist h = {.count = 0};
    for (int i = 0; i < 500; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ps_hist_add(&h, seed >> (20 + seed % 40));
    }
    return h;
}

static void
the_whole_is_the_sum_of_its_parts(PS_UNUSED void **state)
{
    struct ps_hist a = some_hist(1), b = some_hist(2), ab = a, ba = b;
    ps_hist_merge(&ab, &b);
    ps_hist_merge(&ba, &a);
    assert_memory_equal(&ab, &ba, sizeof(ab));
    assert_int_equal(ab.count, 1000);
    assert_int_equal(ab.sum_us, a.sum_us + b.sum_us);
}

static void
a_packed_histogram_comes_back(PS_UNUSED void **state)
{
    struct ps_hist a = some_hist(3), b = {.count = 0};
    struct ps_buf buf;
    ps_buf_init(&buf, 1 << 16);
    ps_hist_pack(&a, &buf);
    assert_true(ps_hist_unpack(&b, ps_buf_str(&buf)));
    assert_memory_equal(&a, &b, sizeof(a));
    /* Cut anywhere: refused, or fewer buckets; never half a change. */
    for (size_t len = 0; len < buf.len; len++) {
        struct ps_hist c = {.count = 7};
        if (!ps_hist_unpack(&c, (struct ps_str){buf.data, len}))
            assert_int_equal(c.count, 7);
    }
    /* A bucket that does not exist. */
    struct ps_hist c = {.count = 0};
    assert_false(ps_hist_unpack(&c, PS_STR("\x01\x68\x01")));
    assert_false(ps_hist_unpack(&c, PS_STR("\x01\x67\x01\x00\x01")));
    ps_buf_done(&buf);
}

static void
numbers_of_any_size_come_back(PS_UNUSED void **state)
{
    static const uint64_t numbers[] = {
        0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    struct ps_buf buf;
    uint64_t value = 5;
    ps_buf_init(&buf, 256);
    for (size_t i = 0; i < PS_ARRAY_LEN(numbers); i++)
        ps_varint_put(&buf, numbers[i]);
    struct ps_str in = ps_buf_str(&buf);
    for (size_t i = 0; i < PS_ARRAY_LEN(numbers); i++) {
        assert_true(ps_varint_get(&in, &value));
        assert_true(value == numbers[i]);
    }
    assert_false(ps_varint_get(&in, &value));
    in = PS_STR("\x80\x80");
    assert_false(ps_varint_get(&in, &value));
    in = PS_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    assert_false(ps_varint_get(&in, &value));
    ps_buf_done(&buf);
}

/* ---- usages ---- */

static struct ps_usage
some_usage(uint64_t seed)
{
    struct ps_usage u = {.memory = some_hist(seed),
                         .origin = some_hist(seed + 1)};
    for (size_t i = 0; i < PS_USAGE_COUNT; i++)
        u.n[i] = seed * 1000 + i;
    ps_usage_count_reason(&u, PS_STR("first_seen"), seed);
    ps_usage_count_reason(&u, PS_STR("writes"), 2 * seed);
    return u;
}

static void
a_packed_usage_comes_back(PS_UNUSED void **state)
{
    struct ps_usage a = some_usage(4), b = {.n = {0}};
    uint64_t n[PS_USAGE_COUNT] = {0};
    struct ps_buf buf;
    ps_buf_init(&buf, 1 << 16);
    ps_usage_pack(&a, &buf);
    assert_true(ps_usage_unpack(&b, ps_buf_str(&buf)));
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(ps_usage_unpack_counters(n, ps_buf_str(&buf)));
    assert_memory_equal(n, a.n, sizeof(n));
    for (size_t len = 0; len < buf.len; len++) {
        struct ps_usage c = {.n = {0}};
        if (ps_usage_unpack(&c, (struct ps_str){buf.data, len}))
            assert_true(c.n[PS_USAGE_HITS] <= a.n[PS_USAGE_HITS]);
    }
    ps_buf_done(&buf);
}

static void
what_a_newer_version_adds_is_passed_over(PS_UNUSED void **state)
{
    struct ps_usage u = {.n = {0}};
    struct ps_buf buf;
    ps_buf_init(&buf, 256);
    ps_varint_put(&buf, 2); /* hits */
    ps_varint_put(&buf, 9);
    ps_varint_put(&buf, 60); /* a counter of the future */
    ps_varint_put(&buf, 1234567);
    ps_varint_put(&buf, 90); /* a block of the future */
    ps_varint_put(&buf, 3);
    ps_buf_append_c(&buf, "abc");
    ps_varint_put(&buf, 3);
    ps_varint_put(&buf, 5); /* misses */
    assert_true(ps_usage_unpack(&u, ps_buf_str(&buf)));
    assert_int_equal(u.n[PS_USAGE_HITS], 9);
    assert_int_equal(u.n[PS_USAGE_MISSES], 5);
    ps_buf_done(&buf);
}

static void
sums_add_up_and_the_later_time_to_live_counts(PS_UNUSED void **state)
{
    struct ps_usage a = some_usage(1), b = some_usage(2);
    uint64_t hits = a.n[PS_USAGE_HITS] + b.n[PS_USAGE_HITS];
    b.n[PS_USAGE_TTL_AUTO_MS] = 0; /* not known: the one before counts */
    ps_usage_merge(&a, &b);
    assert_int_equal(a.n[PS_USAGE_HITS], hits);
    assert_int_equal(a.n[PS_USAGE_TTL_MS], b.n[PS_USAGE_TTL_MS]);
    assert_int_equal(a.n[PS_USAGE_TTL_AUTO_MS], 1000 + PS_USAGE_TTL_AUTO_MS);
    assert_string_equal(a.reasons[0].code, "first_seen");
    assert_int_equal(a.reasons[0].n, 3);
    assert_int_equal(a.reasons[1].n, 6);
    assert_int_equal(a.memory.count, 1000);
}

static void
reasons_are_bounded(PS_UNUSED void **state)
{
    struct ps_usage u = {.n = {0}};
    char code[64];
    uint64_t sum = 0;
    for (unsigned i = 0; i < 100; i++) {
        snprintf(code, sizeof(code), "reason_%u", i);
        ps_usage_count_reason(&u, ps_str_of(code), 1);
    }
    memset(code, 'x', sizeof(code));
    ps_usage_count_reason(&u, (struct ps_str){code, sizeof(code)}, 1);
    for (size_t i = 0; i <= PS_USAGE_REASONS; i++)
        sum += u.reasons[i].n;
    assert_int_equal(sum, 101);
    assert_string_equal(u.reasons[PS_USAGE_REASONS].code, "other_reasons");
    assert_int_equal(u.reasons[PS_USAGE_REASONS].n, 101 - PS_USAGE_REASONS);
}

static void
the_figures_are_those_of_the_formulas(PS_UNUSED void **state)
{
    struct ps_usage u = {
        .n = {[PS_USAGE_QUERIES] = 100,
              [PS_USAGE_HITS] = 60,
              [PS_USAGE_MISSES] = 20,
              [PS_USAGE_BYPASSES] = 20,
              [PS_USAGE_CACHEABLE] = 30,
              [PS_USAGE_FIRST] = 5,
              [PS_USAGE_CHANGED] = 5,
              [PS_USAGE_VERIFIED] = 10,
              [PS_USAGE_STALE] = 1}
    };
    assert_true(fabs(ps_usage_hit_ratio(u.n) - 0.75) < 1e-9);
    assert_true(fabs(ps_usage_stale_rate(u.n) - 0.1) < 1e-9);
    /* (60 + 30 - 5 - 5) / 100 * 0.9 */
    assert_true(fabs(ps_usage_cacheability(u.n) - 0.72) < 1e-9);
    u.n[PS_USAGE_CHANGED] = 1000;
    assert_true(ps_usage_cacheability(u.n) == 0);
    u.n[PS_USAGE_CACHEABLE] = 100000;
    u.n[PS_USAGE_STALE] = 0;
    assert_true(ps_usage_cacheability(u.n) == 1);
    for (int i = 0; i < 10; i++)
        ps_hist_add(&u.memory, 100);
    assert_int_equal(ps_usage_saved_us(&u, 2100), 20000);
    assert_int_equal(ps_usage_saved_us(&u, 50), 0);
    const struct ps_usage none = {.n = {0}};
    assert_true(ps_usage_hit_ratio(none.n) == 0);
    assert_true(ps_usage_cacheability(none.n) == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_in_the_bucket_whose_bounds_hold_it),
        cmocka_unit_test(quantiles_are_within_an_eighth),
        cmocka_unit_test(the_whole_is_the_sum_of_its_parts),
        cmocka_unit_test(a_packed_histogram_comes_back),
        cmocka_unit_test(numbers_of_any_size_come_back),
        cmocka_unit_test(a_packed_usage_comes_back),
        cmocka_unit_test(what_a_newer_version_adds_is_passed_over),
        cmocka_unit_test(sums_add_up_and_the_later_time_to_live_counts),
        cmocka_unit_test(reasons_are_bounded),
        cmocka_unit_test(the_figures_are_those_of_the_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
