/* Failed logins per source: free, then slower and slower, then forgiven. */
#include "agent/pool/logins.h"
#include "tests/unit.h"

#include <stdio.h>

enum {
    FREE = 3
};

static struct ps_logins *
table_of(size_t max_sources)
{
    const struct ps_logins_conf conf = {.max_sources = max_sources,
                                        .free_failures = FREE,
                                        .wait_max_ms = 60000,
                                        .under_way_max = 16};
    return ps_logins_new(&conf);
}

static uint64_t
wait_of(struct ps_logins *logins, const char *source, uint64_t now)
{
    return ps_logins_wait_ms(logins, ps_str_of(source), now);
}

static void
fail_times(struct ps_logins *logins, const char *source, int n, uint64_t now)
{
    while (n-- > 0)
        ps_logins_failed(logins, ps_str_of(source), now);
}

static void
each_further_failure_doubles_the_wait(void **state)
{
    (void)state;
    struct ps_logins *logins = table_of(8);
    fail_times(logins, "a", FREE, 1000);
    assert_int_equal(wait_of(logins, "a", 1000), 0);
    for (uint64_t want = 250, i = 0; i < 12; i++, want *= 2) {
        fail_times(logins, "a", 1, 1000);
        assert_int_equal(wait_of(logins, "a", 1000), PS_MIN(want, 60000u));
    }
    assert_int_equal(wait_of(logins, "b", 1000), 0);
    assert_int_equal(wait_of(logins, "a", 60999), 1);
    assert_int_equal(wait_of(logins, "a", 61000), 0);
    ps_logins_free(&logins);
}

static void
a_quiet_minute_forgives(void **state)
{
    (void)state;
    struct ps_logins *logins = table_of(8);
    fail_times(logins, "a", FREE + 1, 1000); /* until 1250 */
    fail_times(logins, "a", 1, 61249);       /* not a minute of quiet yet */
    assert_int_equal(wait_of(logins, "a", 61249), 500);
    fail_times(logins, "a", FREE, 121749); /* a minute after that wait */
    assert_int_equal(wait_of(logins, "a", 121749), 0);
    ps_logins_free(&logins);
}

/* One good account must not buy unlimited guesses at others. */
static void
a_success_forgives_one_failure(void **state)
{
    (void)state;
    struct ps_logins *logins = table_of(8);
    fail_times(logins, "a", FREE, 1000);
    ps_logins_succeeded(logins, PS_STR("a"));
    fail_times(logins, "a", 1, 1000);
    assert_int_equal(wait_of(logins, "a", 1000), 0);
    fail_times(logins, "a", 1, 1000);
    assert_int_equal(wait_of(logins, "a", 1000), 250);
    ps_logins_succeeded(logins, PS_STR("nobody"));
    ps_logins_free(&logins);
}

static void
the_table_is_bounded(void **state)
{
    (void)state;
    struct ps_logins *logins = table_of(4);
    fail_times(logins, "old", FREE + 1, 1000);
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        fail_times(logins, name, FREE + 1, 1001);
    }
    fail_times(logins, "old", 1, 1002); /* the newest now */
    fail_times(logins, "more", FREE + 1, 1003);
    assert_true(wait_of(logins, "old", 1003) > 0);
    assert_int_equal(wait_of(logins, "0", 1003), 0); /* forgotten */
    assert_true(wait_of(logins, "1", 1003) > 0);
    ps_logins_free(&logins);
}

/* How many logins pass before one of them has ended. */
static unsigned
pass_at_once(struct ps_logins *logins, const char *source)
{
    unsigned n = 0;
    while (ps_logins_begin(logins, ps_str_of(source), 1000) == 0)
        n++;
    for (unsigned i = 0; i < n; i++)
        ps_logins_end(logins, ps_str_of(source));
    return n;
}

static void
a_flood_does_not_pass(void **state)
{
    (void)state;
    struct ps_logins *logins = table_of(8);
    assert_int_equal(pass_at_once(logins, "a"), 16);
    fail_times(logins, "a", 1, 1000);
    assert_int_equal(pass_at_once(logins, "a"), 8);
    fail_times(logins, "a", 1, 1000);
    assert_int_equal(pass_at_once(logins, "a"), 4);
    assert_int_equal(pass_at_once(logins, "b"), 16);
    ps_logins_succeeded(logins, PS_STR("a"));
    assert_int_equal(pass_at_once(logins, "a"), 8);
    fail_times(logins, "a", 2, 1000); /* 3 in all: the last free one */
    assert_int_equal(pass_at_once(logins, "a"), 2);
    fail_times(logins, "a", 1, 1000);
    assert_int_equal(pass_at_once(logins, "a"), 0);
    assert_int_equal(ps_logins_begin(logins, PS_STR("a"), 1000), 250);
    ps_logins_free(&logins);
}

/* One with a login under way is not forgotten: rather a new one waits. */
static void
a_full_table_lets_no_one_new_in(void **state)
{
    (void)state;
    struct ps_logins *logins = table_of(2);
    assert_int_equal(ps_logins_begin(logins, PS_STR("a"), 0), 0);
    assert_int_equal(ps_logins_begin(logins, PS_STR("b"), 0), 0);
    assert_true(ps_logins_begin(logins, PS_STR("c"), 0) > 0);
    ps_logins_failed(logins, PS_STR("c"), 0); /* not noted */
    ps_logins_end(logins, PS_STR("a"));
    assert_int_equal(ps_logins_begin(logins, PS_STR("c"), 0), 0);
    ps_logins_end(logins, PS_STR("b"));
    ps_logins_end(logins, PS_STR("c"));
    ps_logins_free(&logins);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_further_failure_doubles_the_wait),
        cmocka_unit_test(a_quiet_minute_forgives),
        cmocka_unit_test(a_success_forgives_one_failure),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(a_flood_does_not_pass),
        cmocka_unit_test(a_full_table_lets_no_one_new_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
