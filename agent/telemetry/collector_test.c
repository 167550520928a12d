/* Rounds over two loops that are turned by hand. */
#include "agent/telemetry/collector.h"
#include "common/clock.h"
#include "tests/unit.h"

static const struct ps_str CACHE = {"11111111-1111-4111-8111-111111111111", 36};

struct waiter {
    struct ps_collect_wait wait;
    struct ps_tally *tally;
    unsigned ran;
    uint64_t hits;
};

static void
on_collected(struct ps_collect_wait *wait)
{
    struct waiter *w = PS_CONTAINER_OF(wait, struct waiter, wait);
    const struct ps_usage *total = NULL;
    struct ps_str id;
    size_t at = 0;
    w->ran++;
    if (ps_tally_total(w->tally, &at, &id, &total))
        w->hits = total->n[PS_USAGE_HITS];
}

static void
a_round_brings_what_all_loops_have_counted(PS_UNUSED void **state)
{
    struct ps_clock *clock = ps_clock_virtual_new();
    struct ps_loop *loops[2] = {ps_loop_new(clock, "a"),
                                ps_loop_new(clock, "b")};
    struct ps_loop *home = ps_loop_new(clock, "home");
    struct ps_tally *tally = ps_tally_new(8, 2);
    struct ps_collector *c = ps_collector_new(tally, home, loops, 2);
    struct waiter first = {.wait.fn = on_collected, .tally = tally};
    struct waiter second = first, third = first;
    uint32_t id = ps_tally_id(tally, CACHE, 1, PS_STR("a"));
    ps_tally_hit(ps_tally_loop(tally, 0), id, 1, 1, 1);
    ps_tally_hit(ps_tally_loop(tally, 1), id, 1, 1, 1);
    ps_collector_collect(c, &first.wait);
    ps_loop_turn(loops[0]);
    /* Too late for this round, whose first loop has been asked. */
    ps_tally_hit(ps_tally_loop(tally, 0), id, 1, 1, 1);
    ps_collector_collect(c, &second.wait);
    ps_collector_collect(c, &third.wait);
    ps_collector_cancel(c, &third.wait);
    ps_loop_turn(home);
    assert_int_equal(first.ran, 0);
    ps_loop_turn(loops[1]);
    ps_loop_turn(home);
    assert_int_equal(first.ran, 1);
    assert_int_equal(first.hits, 2);
    assert_int_equal(second.ran, 0);
    ps_loop_turn(loops[0]);
    ps_loop_turn(loops[1]);
    ps_loop_turn(home);
    assert_int_equal(second.ran, 1);
    assert_int_equal(second.hits, 3);
    assert_int_equal(third.ran, 0);
    /* Freed in the middle of a round. */
    ps_tally_hit(ps_tally_loop(tally, 0), id, 1, 1, 1);
    ps_collector_collect(c, &first.wait);
    ps_loop_turn(loops[0]);
    ps_loop_free(&loops[0]);
    ps_loop_free(&loops[1]);
    ps_collector_free(&c);
    assert_int_equal(first.ran, 1);
    ps_loop_free(&home);
    ps_tally_free(&tally);
    ps_clock_virtual_free(&clock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_brings_what_all_loops_have_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
