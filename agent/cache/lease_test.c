#include "agent/cache/lease.h"
#include "tests/unit.h"

static void
nothing_is_served_without_a_lease(void **state)
{
    (void)state;
    struct ps_lease lease;
    ps_lease_init(&lease);
    assert_false(ps_lease_held(&lease, 0));
    assert_false(ps_lease_allows(&lease, 0, 0, false));
    ps_lease_renew(&lease, 1000, UINT64_MAX);
    assert_true(ps_lease_held(&lease, 999));
    assert_false(ps_lease_held(&lease, 1000));
    assert_true(ps_lease_allows(&lease, 999, 1, true));
    assert_false(ps_lease_allows(&lease, 1000, 999, false));
    ps_lease_drop(&lease);
    assert_false(ps_lease_allows(&lease, 10, 9, false));
}

static void
a_lease_may_be_for_ever(void **state)
{
    (void)state;
    struct ps_lease lease;
    ps_lease_init(&lease);
    ps_lease_renew(&lease, PS_LEASE_FOR_EVER, UINT64_MAX);
    assert_true(ps_lease_allows(&lease, UINT64_MAX - 1, 0, true));
}

static void
restriction_bounds_age_and_excludes_global_writes(void **state)
{
    (void)state;
    struct ps_lease lease;
    ps_lease_init(&lease);
    ps_lease_renew(&lease, 100000, 500);
    assert_true(ps_lease_allows(&lease, 10000, 9500, false));
    assert_false(ps_lease_allows(&lease, 10000, 9499, false));
    assert_false(ps_lease_allows(&lease, 10000, 10000, true));
    ps_lease_renew(&lease, 200000, UINT64_MAX);
    assert_true(ps_lease_allows(&lease, 10000, 1, true));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_served_without_a_lease),
        cmocka_unit_test(a_lease_may_be_for_ever),
        cmocka_unit_test(restriction_bounds_age_and_excludes_global_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
