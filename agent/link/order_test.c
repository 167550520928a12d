/* The log's order: what is applied, what is a gap, what an epoch means. */
#include "agent/link/order.h"
#include "tests/unit.h"

#define A PS_STR("epoch-a")
#define B PS_STR("epoch-b")

static struct ps_order
at(uint64_t newest)
{
    struct ps_order o;
    ps_order_init(&o);
    assert_true(ps_order_hello(&o, A, newest));
    return o;
}

static void
entries_in_order_are_applied(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    assert_int_equal(ps_order_entry(&o, A, 8), PS_ORDER_APPLY);
    assert_int_equal(ps_order_entry(&o, A, 9), PS_ORDER_APPLY);
    assert_int_equal(o.applied, 9);
}

static void
doubled_entries_are_seen(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    assert_int_equal(ps_order_entry(&o, A, 8), PS_ORDER_APPLY);
    assert_int_equal(ps_order_entry(&o, A, 8), PS_ORDER_SEEN);
    assert_int_equal(ps_order_entry(&o, A, 3), PS_ORDER_SEEN);
    assert_int_equal(o.applied, 8);
}

static void
a_lost_entry_is_a_gap_until_fetched(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    assert_int_equal(ps_order_entry(&o, A, 9), PS_ORDER_GAP);
    o.fetching = true;
    assert_int_equal(ps_order_entry(&o, A, 10), PS_ORDER_WAIT);
    assert_int_equal(o.applied, 7);
    /* The fetch brings them in order. */
    assert_int_equal(ps_order_entry(&o, A, 8), PS_ORDER_APPLY);
    assert_int_equal(ps_order_entry(&o, A, 9), PS_ORDER_APPLY);
    assert_int_equal(ps_order_entry(&o, A, 10), PS_ORDER_APPLY);
    o.fetching = false;
    assert_int_equal(ps_order_newest(&o, A, 10), PS_ORDER_SEEN);
}

static void
a_tick_shows_what_was_lost_last(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    assert_int_equal(ps_order_newest(&o, A, 7), PS_ORDER_SEEN);
    assert_int_equal(ps_order_newest(&o, A, 8), PS_ORDER_GAP);
    /* An older tick that comes late changes nothing. */
    assert_int_equal(ps_order_newest(&o, A, 5), PS_ORDER_GAP);
}

static void
another_epoch_starts_anew(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    assert_int_equal(ps_order_entry(&o, B, 8), PS_ORDER_EPOCH);
    assert_int_equal(ps_order_newest(&o, B, 1), PS_ORDER_EPOCH);
    assert_int_equal(o.applied, 7);
    assert_true(ps_order_hello(&o, B, 2));
    assert_int_equal(o.applied, 2);
    assert_int_equal(ps_order_entry(&o, B, 3), PS_ORDER_APPLY);
}

static void
the_same_epoch_goes_on_where_it_was(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    o.fetching = true;
    assert_false(ps_order_hello(&o, A, 9));
    assert_false(o.fetching);
    assert_int_equal(o.applied, 7);
    assert_int_equal(ps_order_newest(&o, A, 9), PS_ORDER_GAP);
}

static void
nothing_counts_before_hello(void **state)
{
    (void)state;
    struct ps_order o;
    ps_order_init(&o);
    assert_int_equal(ps_order_entry(&o, PS_STR(""), 1), PS_ORDER_EPOCH);
    assert_int_equal(ps_order_entry(&o, A, 1), PS_ORDER_EPOCH);
}

static void
a_reset_goes_on_from_the_newest(void **state)
{
    (void)state;
    struct ps_order o = at(7);
    assert_int_equal(ps_order_entry(&o, A, 70), PS_ORDER_GAP);
    ps_order_reset_to(&o, 80);
    assert_int_equal(ps_order_newest(&o, A, 80), PS_ORDER_SEEN);
    assert_int_equal(ps_order_entry(&o, A, 81), PS_ORDER_APPLY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_in_order_are_applied),
        cmocka_unit_test(doubled_entries_are_seen),
        cmocka_unit_test(a_lost_entry_is_a_gap_until_fetched),
        cmocka_unit_test(a_tick_shows_what_was_lost_last),
        cmocka_unit_test(another_epoch_starts_anew),
        cmocka_unit_test(the_same_epoch_goes_on_where_it_was),
        cmocka_unit_test(nothing_counts_before_hello),
        cmocka_unit_test(a_reset_goes_on_from_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
