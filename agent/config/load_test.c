/* The token bucket by its numbers, the count of those at the origin, and that
 * neither is forgotten with a definition. */
#include "agent/config/config.h"
#include "tests/unit.h"

#define ID "0b0e5f2a-0000-4000-8000-00000000000a"

static void
tokens_come_back_at_the_rate(void **state)
{
    (void)state;
    struct ps_cache_load *load = ps_cache_load_new();
    uint64_t now = 5000000;
    for (int i = 0; i < 10; i++)
        assert_int_equal(ps_cache_load_admit(load, 100, 10, now), 0);
    assert_int_equal(ps_cache_load_admit(load, 100, 10, now), 10000);
    assert_int_equal(ps_cache_load_admit(load, 100, 10, now + 9999), 1);
    now += 10000;
    assert_int_equal(ps_cache_load_admit(load, 100, 10, now), 0);
    assert_int_equal(ps_cache_load_admit(load, 100, 10, now), 10000);
    now += 10000000; /* never more than the burst */
    for (int i = 0; i < 10; i++)
        assert_int_equal(ps_cache_load_admit(load, 100, 10, now), 0);
    assert_int_equal(ps_cache_load_admit(load, 100, 10, now), 10000);
    ps_cache_load_unref(&load);
}

/* Over ten seconds of asking every 100 us it is the rate, and the burst. */
static void
the_rate_is_kept(void **state)
{
    (void)state;
    static const uint32_t rates[] = {1, 3, 7, 333, 5000, 9999};
    for (size_t i = 0; i < PS_ARRAY_LEN(rates); i++) {
        struct ps_cache_load *load = ps_cache_load_new();
        uint64_t passed = 0;
        for (uint64_t now = 1000000; now <= 11000000; now += 100)
            passed += ps_cache_load_admit(load, rates[i], 5, now) == 0;
        assert_in_range(passed, 10 * rates[i] + 4, 10 * rates[i] + 5);
        ps_cache_load_unref(&load);
    }
}

static void
so_many_at_a_time(void **state)
{
    (void)state;
    struct ps_cache_load *load = ps_cache_load_new();
    assert_true(ps_cache_load_enter(load, 2));
    assert_true(ps_cache_load_enter(load, 2));
    assert_false(ps_cache_load_enter(load, 2));
    assert_true(ps_cache_load_enter(load, 3));
    ps_cache_load_leave(load);
    assert_false(ps_cache_load_enter(load, 2));
    ps_cache_load_leave(load);
    assert_true(ps_cache_load_enter(load, 2));
    ps_cache_load_leave(load);
    ps_cache_load_leave(load);
    ps_cache_load_unref(&load);
}

static void
a_new_definition_forgives_nothing(void **state)
{
    (void)state;
    struct ps_config *config = ps_config_new();
    struct ps_cache_conf *first[] = {ps_cache_conf_new(ID, "a", "h")};
    assert_int_equal(ps_config_replace(config, 1, first, 1), PS_OK);
    struct ps_cache_conf *old = ps_config_find(config, PS_STR(ID));
    assert_int_equal(ps_cache_load_admit(old->load, 1, 1, 1000000), 0);
    struct ps_cache_conf *second[] = {ps_cache_conf_new(ID, "b", "h")};
    assert_int_equal(ps_config_replace(config, 2, second, 1), PS_OK);
    struct ps_cache_conf *now = ps_config_find(config, PS_STR(ID));
    assert_ptr_not_equal(now, old);
    assert_ptr_equal(now->load, old->load);
    assert_int_equal(ps_cache_load_admit(now->load, 1, 1, 1500000), 500000);
    ps_cache_conf_unref(&old);
    ps_cache_conf_unref(&now);
    ps_config_free(&config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_back_at_the_rate),
        cmocka_unit_test(the_rate_is_kept),
        cmocka_unit_test(so_many_at_a_time),
        cmocka_unit_test(a_new_definition_forgives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
