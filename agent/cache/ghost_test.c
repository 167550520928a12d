#include "agent/cache/ghost.h"
#include "tests/unit.h"

enum {
    PLACES = 1 << 16
};

/* Spread like a hash. */
static uint64_t
hash(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 27);
}

static void
remembers_the_last_ones(void **state)
{
    struct ps_ghost ghost;
    (void)state;
    assert_true(ps_ghost_init(&ghost, PLACES));
    assert_true(ps_ghost_bytes(&ghost) < PLACES * 4 + 8192);
    size_t old = 0, young = 0, strange = 0;
    for (uint64_t i = 0; i < PLACES; i++)
        ps_ghost_add(&ghost, hash(i));
    for (uint64_t i = 0; i < PLACES / 4; i++) {
        young += ps_ghost_has(&ghost, hash(PLACES - 1 - i), PLACES / 4);
        old += ps_ghost_has(&ghost, hash(i), PLACES / 4);
        strange += ps_ghost_has(&ghost, hash(10 * PLACES + i), PLACES);
    }
    /* Sets fill unevenly, ticks are coarse, tags are short. */
    assert_true(young > PLACES / 4 * 95 / 100);
    assert_true(old < PLACES / 4 / 100);
    assert_true(strange < PLACES / 4 / 1000);
    ps_ghost_done(&ghost);
}

/* The coarse clock comes round: what is old stays old. */
static void
nothing_becomes_young_again(void **state)
{
    struct ps_ghost ghost;
    (void)state;
    assert_true(ps_ghost_init(&ghost, PLACES));
    for (uint64_t i = 0; i < 40 * (uint64_t)PLACES; i++)
        ps_ghost_add(&ghost, hash(i));
    size_t old = 0;
    for (uint64_t i = 0; i < 30 * (uint64_t)PLACES; i++)
        old += ps_ghost_has(&ghost, hash(i), PLACES / 4);
    assert_true(old < 30 * (uint64_t)PLACES / 1000);
    ps_ghost_done(&ghost);
}

static void
a_small_one_works(void **state)
{
    struct ps_ghost ghost;
    (void)state;
    assert_true(ps_ghost_init(&ghost, 1));
    assert_false(ps_ghost_has(&ghost, 0, 100));
    ps_ghost_add(&ghost, 0);
    assert_true(ps_ghost_has(&ghost, 0, 0));
    ps_ghost_add(&ghost, hash(1));
    assert_false(ps_ghost_has(&ghost, 0, 0));
    assert_true(ps_ghost_has(&ghost, 0, 1));
    ps_ghost_done(&ghost);
    assert_null(ghost.slots);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_the_last_ones),
        cmocka_unit_test(nothing_becomes_young_again),
        cmocka_unit_test(a_small_one_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
