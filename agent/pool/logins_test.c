/* Failed logins per source: free, then slower and slower, then forgiven. */
#include "agent/pool/logins.h"
#include "tests/unit.h"

#include <stdio.h>

enum {
    FREE = 3
};

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
    struct ps_logins *logins = ps_logins_new(8, FREE);
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
    struct ps_logins *logins = ps_logins_new(8, FREE);
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
    struct ps_logins *logins = ps_logins_new(8, FREE);
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
    struct ps_logins *logins = ps_logins_new(4, FREE);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_further_failure_doubles_the_wait),
        cmocka_unit_test(a_quiet_minute_forgives),
        cmocka_unit_test(a_success_forgives_one_failure),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
