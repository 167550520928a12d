/* A loop that does not turn is found, and forgiven when it turns again. */
#include "agent/alive.h"
#include "tests/unit.h"

static void
finds_a_loop_that_hangs(PS_UNUSED void **state)
{
    struct ps_loop *loops[2];
    for (size_t i = 0; i < 2; i++) {
        loops[i] = ps_loop_new(ps_clock_real(), "test");
        assert_non_null(loops[i]);
    }
    struct ps_alive *alive = ps_alive_new(loops, 2);
    assert_non_null(alive);
    assert_true(ps_alive_ask(alive));
    ps_loop_turn(loops[0]);
    ps_loop_turn(loops[1]);
    assert_true(ps_alive_ask(alive));
    ps_loop_turn(loops[0]);
    assert_false(ps_alive_ask(alive)); /* loops[1] is silent */
    ps_loop_turn(loops[0]);
    assert_false(ps_alive_ask(alive));
    ps_loop_turn(loops[0]);
    ps_loop_turn(loops[1]);
    assert_true(ps_alive_ask(alive));
    for (size_t i = 0; i < 2; i++)
        ps_loop_free(&loops[i]);
    ps_alive_free(&alive);
    assert_null(alive);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_loop_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
