/* Turns, breaker and slow start by the numbers; time is what the test says. */
#include "agent/pool/origin.h"
#include "tests/unit.h"

#define ID "0b0e5f2a-0000-4000-8000-00000000000a"

enum {
    SHARES = 4
};

struct fixture {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_origins *origins;
    struct ps_origin *origin;
    struct ps_cache_conf *conf;
    struct ps_origin_share shares[SHARES];
    unsigned woken[SHARES];
};

static struct fixture *the_fixture; /* wake has no argument */

static void
on_wake(struct ps_origin_share *share)
{
    the_fixture->woken[share - the_fixture->shares]++;
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    the_fixture = f;
    f->clock = ps_clock_virtual_new();
    f->loop = ps_loop_new(f->clock, "test");
    f->origins = ps_origins_new(1);
    f->origin = ps_origins_get(f->origins, PS_STR(ID));
    f->conf = ps_cache_conf_new(ID, "c", "h");
    f->conf->pool_cache_max = 4;
    f->conf->breaker_failures = 3;
    f->conf->breaker_open_ms = 1000;
    f->conf->slow_start_ms = 0;
    ps_origin_set_conf(f->origin, f->conf);
    for (size_t i = 0; i < SHARES; i++)
        ps_origin_share_init(&f->shares[i],
                             ps_origins_get(f->origins, PS_STR(ID)), f->loop,
                             on_wake);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SHARES; i++) {
        ps_origin_leave(&f->shares[i], 0);
        while (f->shares[i].held > 0)
            ps_origin_give(&f->shares[i], 0);
        ps_origin_leave(&f->shares[i], 0);
    }
    for (size_t i = 0; i < SHARES; i++) {
        ps_origin_leave(&f->shares[i], 0);
        ps_origin_share_done(&f->shares[i]);
    }
    ps_origin_unref(&f->origin);
    ps_origins_free(&f->origins);
    ps_cache_conf_unref(&f->conf);
    ps_loop_free(&f->loop);
    ps_clock_virtual_free(&f->clock);
    free(f);
    return 0;
}

static enum ps_origin_answer
take_at(struct fixture *f, size_t share, uint64_t now, uint64_t *retry)
{
    struct ps_origin_permit permit;
    return ps_origin_take(&f->shares[share], now, true, &permit, retry);
}

static enum ps_origin_answer
take(struct fixture *f, size_t share)
{
    uint64_t retry;
    return take_at(f, share, 0, &retry);
}

/* Has it got what it waited for? */
static bool
has_right(const struct fixture *f, size_t share)
{
    return f->shares[share].granted == 1;
}

/* ----------------------------------------------------------------- turns */

static void
what_is_given_back_goes_to_the_one_without(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(f, 0), PS_ORIGIN_GRANTED);
    assert_int_equal(take(f, 1), PS_ORIGIN_GRANTED);
    assert_false(ps_origin_pressed(f->origin));
    assert_int_equal(take(f, 0), PS_ORIGIN_LATER); /* first in line */
    assert_int_equal(take(f, 2), PS_ORIGIN_LATER);
    assert_int_equal(take(f, 3), PS_ORIGIN_LATER);
    assert_true(ps_origin_pressed(f->origin));
    ps_origin_give(&f->shares[0], 0);
    assert_true(has_right(f, 2)); /* has none, came before 3 */
    ps_origin_give(&f->shares[0], 0);
    assert_true(has_right(f, 3));
    /* Nobody without: the one with the fewest, 0 or 1 have one each. */
    ps_origin_give(&f->shares[1], 0);
    assert_true(has_right(f, 0));
    /* Not up for grabs: a newcomer does not get 2's. */
    assert_int_equal(take(f, 1), PS_ORIGIN_LATER);
    assert_int_equal(take(f, 2), PS_ORIGIN_GRANTED);
    assert_int_equal(take(f, 3), PS_ORIGIN_GRANTED);
    /* Those who may go on are told. */
    while (ps_loop_turn(f->loop) > 0)
        ;
    assert_true(f->woken[2] == 1 && f->woken[3] == 1 && f->woken[0] >= 1);
}

static void
a_right_not_used_goes_to_the_next(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(f, 0), PS_ORIGIN_GRANTED);
    assert_int_equal(take(f, 1), PS_ORIGIN_LATER);
    assert_int_equal(take(f, 2), PS_ORIGIN_LATER);
    ps_origin_give(&f->shares[0], 0);
    assert_true(has_right(f, 1));
    ps_origin_leave(&f->shares[1], 0);
    assert_false(has_right(f, 1));
    assert_true(has_right(f, 2));
}

static void
who_has_more_than_others_yields(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(f, 0), PS_ORIGIN_GRANTED);
    assert_false(ps_origin_must_yield(&f->shares[0], 0, true, true));
    assert_int_equal(take(f, 1), PS_ORIGIN_LATER);
    /* 4 : 0, 3 : 1, then 2 : 2, and that is fair. */
    for (int i = 0; i < 2; i++) {
        assert_true(ps_origin_must_yield(&f->shares[0], 0, false, false));
        ps_origin_give(&f->shares[0], 0);
        assert_int_equal(take(f, 1), PS_ORIGIN_GRANTED);
        assert_int_equal(take(f, 1), PS_ORIGIN_LATER);
    }
    assert_false(ps_origin_must_yield(&f->shares[0], 0, false, true));
    /* But what it has no use for it yields. */
    assert_true(ps_origin_must_yield(&f->shares[0], 0, true, false));
    /* Two without: each is helped once the others had their turns. */
    assert_int_equal(take(f, 2), PS_ORIGIN_LATER);
    assert_int_equal(take(f, 3), PS_ORIGIN_LATER);
    assert_true(ps_origin_must_yield(&f->shares[0], 0, false, false));
    ps_origin_give(&f->shares[0], 0);
    assert_true(ps_origin_must_yield(&f->shares[1], 0, false, false));
    ps_origin_give(&f->shares[1], 0);
    assert_true(has_right(f, 2) && has_right(f, 3));
    /* One each; who comes now waits for the end of somebody's turn. */
    assert_false(ps_origin_must_yield(&f->shares[0], 0, false, false));
}

static void
a_lower_bound_takes_back(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(f, 0), PS_ORIGIN_GRANTED);
    struct ps_cache_conf *lower = ps_cache_conf_new(ID, "c", "h");
    lower->pool_cache_max = 2;
    lower->revision = 2;
    ps_origin_set_conf(f->origin, lower);
    ps_cache_conf_unref(&lower);
    for (int i = 0; i < 2; i++) {
        assert_true(ps_origin_must_yield(&f->shares[0], 0, false, false));
        ps_origin_give(&f->shares[0], 0);
    }
    assert_false(ps_origin_must_yield(&f->shares[0], 0, true, true));
    assert_int_equal(take(f, 1), PS_ORIGIN_LATER);
    ps_origin_set_conf(f->origin, f->conf); /* older: has no say */
    assert_int_equal(take(f, 1), PS_ORIGIN_LATER);
}

static void
what_is_convenient_waits_for_nobody(void **state)
{
    struct fixture *f = *state;
    struct ps_origin_permit permit;
    uint64_t retry;
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(f, 0), PS_ORIGIN_GRANTED);
    assert_int_equal(ps_origin_take(&f->shares[1], 0, false, &permit, &retry),
                     PS_ORIGIN_LATER);
    assert_false(ps_origin_pressed(f->origin));
    ps_origin_give(&f->shares[0], 0);
    assert_false(has_right(f, 1));
    assert_int_equal(ps_origin_take(&f->shares[1], 0, false, &permit, &retry),
                     PS_ORIGIN_GRANTED);
}

/* --------------------------------------------------------------- breaker */

/* Did the last of them open the breaker? */
static bool
refuse(struct fixture *f, unsigned times, uint64_t now)
{
    bool opened = false;
    for (unsigned i = 0; i < times; i++)
        opened = ps_origin_failed(f->origin, f->conf, PS_ORIGIN_REFUSED, now);
    return opened;
}

/* It opens after so many in a row, for a second less at most a fifth, and
 * twice as long each time, 32 times at most. */
static void
the_breaker_opens_for_longer_and_longer(void **state)
{
    struct fixture *f = *state;
    struct ps_origin_permit permit;
    uint64_t now = 5000, retry, usual = 1000;
    refuse(f, 2, now);
    ps_origin_worked(f->origin, f->conf, now);
    assert_false(refuse(f, 2, now));
    assert_int_equal(take_at(f, 0, now, &retry), PS_ORIGIN_GRANTED);
    assert_true(refuse(f, 1, now));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(take_at(f, 1, now, &retry), PS_ORIGIN_NOT_NOW);
        assert_in_range(retry, usual * 4 / 5, usual);
        assert_int_equal(take_at(f, 1, now + retry - 1, &retry),
                         PS_ORIGIN_NOT_NOW);
        assert_int_equal(retry, 1);
        now += usual;
        assert_int_equal(
            ps_origin_take(&f->shares[1], now, true, &permit, &retry),
            PS_ORIGIN_GRANTED);
        assert_true(permit.probe);
        assert_int_equal(take_at(f, 2, now, &retry), PS_ORIGIN_NOT_NOW);
        refuse(f, 1, now);
        ps_origin_give(&f->shares[1], now);
        usual = PS_MIN(2 * usual, 32000u);
    }
    now += usual;
    assert_int_equal(take_at(f, 1, now, &retry), PS_ORIGIN_GRANTED);
    ps_origin_worked(f->origin, f->conf, now);
    assert_int_equal(take_at(f, 2, now, &retry), PS_ORIGIN_GRANTED);
    /* It starts from the beginning. */
    refuse(f, 3, now);
    assert_int_equal(take_at(f, 3, now, &retry), PS_ORIGIN_NOT_NOW);
    assert_in_range(retry, 800, 1000);
}

/* What is shown of it: of all, or of those that are not closed. */
static void
the_breaker_shows(void **state)
{
    struct fixture *f = *state;
    struct ps_breaker_state states[2] = {{.cache_id = "unset"}};
    uint64_t retry;
    assert_int_equal(ps_origins_breakers(f->origins, false, states, 2), 0);
    assert_string_equal(states[0].cache_id, "unset");
    assert_int_equal(ps_origins_breakers(f->origins, true, states, 2), 1);
    assert_string_equal(states[0].cache_id, ID);
    assert_int_equal(states[0].breaker, PS_BREAKER_CLOSED);
    refuse(f, 3, 0);
    assert_int_equal(ps_origins_breakers(f->origins, false, NULL, 0), 1);
    assert_int_equal(ps_origins_breakers(f->origins, false, states, 2), 1);
    assert_string_equal(states[0].cache_id, ID);
    assert_int_equal(states[0].breaker, PS_BREAKER_OPEN);
    assert_int_equal(take_at(f, 0, 1000, &retry), PS_ORIGIN_GRANTED);
    assert_int_equal(ps_origins_breakers(f->origins, false, states, 2), 1);
    assert_int_equal(states[0].breaker, PS_BREAKER_HALF_OPEN);
    ps_origin_worked(f->origin, f->conf, 1000);
    assert_int_equal(ps_origins_breakers(f->origins, false, states, 2), 0);
}

static void
a_probe_given_up_lets_the_next_try(void **state)
{
    struct fixture *f = *state;
    uint64_t retry;
    refuse(f, 3, 0);
    assert_int_equal(take_at(f, 0, 1000, &retry), PS_ORIGIN_GRANTED);
    assert_int_equal(take_at(f, 1, 1000, &retry), PS_ORIGIN_NOT_NOW);
    ps_origin_probe_lost(f->origin, 1000);
    assert_int_equal(take_at(f, 1, 1000, &retry), PS_ORIGIN_GRANTED);
}

static void
failures_that_do_not_count(void **state)
{
    struct fixture *f = *state;
    uint64_t retry;
    for (int i = 0; i < 10; i++) {
        ps_origin_failed(f->origin, f->conf, PS_LOGIN_FAILED, 0);
        ps_origin_failed(f->origin, f->conf, PS_ORIGIN_TOO_MANY, 0);
        ps_origin_failed(f->origin, f->conf, PS_NO_MEMORY, 0);
    }
    /* Nor do those of an origin that is no longer this cache's. */
    struct ps_cache_conf *elsewhere = ps_cache_conf_new(ID, "c", "elsewhere");
    for (int i = 0; i < 10; i++)
        ps_origin_failed(f->origin, elsewhere, PS_ORIGIN_REFUSED, 0);
    ps_cache_conf_unref(&elsewhere);
    assert_int_equal(take_at(f, 0, 0, &retry), PS_ORIGIN_GRANTED);
}

/* What is known of an origin survives those who used it, not the cache. */
static void
the_breaker_stays_open_when_nobody_is_left(void **state)
{
    struct fixture *f = *state;
    (void)f;
    struct ps_origins *origins = ps_origins_new(1);
    for (int round = 0; round < 3; round++) {
        struct ps_origin_share share;
        struct ps_origin_permit permit;
        uint64_t retry;
        struct ps_origin *origin = ps_origins_get(origins, PS_STR(ID));
        ps_origin_set_conf(origin, f->conf);
        ps_origin_share_init(&share, origin, f->loop, on_wake);
        enum ps_origin_answer answer =
            ps_origin_take(&share, 0, true, &permit, &retry);
        assert_int_equal(answer,
                         round == 1 ? PS_ORIGIN_NOT_NOW : PS_ORIGIN_GRANTED);
        if (answer == PS_ORIGIN_GRANTED)
            ps_origin_give(&share, 0);
        for (int i = 0; round == 0 && i < 3; i++)
            ps_origin_failed(origin, f->conf, PS_ORIGIN_REFUSED, 0);
        ps_origin_share_done(&share);
        if (round == 1)
            ps_origins_forget(origins, PS_STR(ID));
    }
    ps_origins_free(&origins);
}

/* ------------------------------------------------------------ slow start */

static void
connections_come_back_slowly(void **state)
{
    struct fixture *f = *state;
    struct ps_cache_conf *conf = ps_cache_conf_new(ID, "c", "h");
    conf->revision = 2;
    conf->pool_cache_max = 11;
    conf->breaker_failures = 1;
    conf->slow_start_ms = 1000;
    ps_origin_set_conf(f->origin, conf);
    refuse(f, 1, 0);
    uint64_t retry, now = 1000;
    assert_int_equal(take_at(f, 0, now, &retry), PS_ORIGIN_GRANTED);
    ps_origin_worked(f->origin, conf, now);
    for (unsigned i = 1; i < 11; i++) {
        assert_int_equal(take_at(f, 1 + i % 2, now, &retry), PS_ORIGIN_LATER);
        assert_in_range(retry, 1, 100);
        assert_int_equal(take_at(f, 1 + i % 2, now + retry - 1, &retry),
                         PS_ORIGIN_LATER);
        now += 100; /* a tenth of the time, a tenth of the connections */
        assert_int_equal(take_at(f, 1 + i % 2, now, &retry), PS_ORIGIN_GRANTED);
    }
    assert_int_equal(take_at(f, 0, now, &retry), PS_ORIGIN_LATER);
    assert_int_equal(retry, 0); /* from now on it is the usual bound */
    ps_cache_conf_unref(&conf);
}

/* The same seed, the same numbers; all of the range. */
static void
jitter_is_spread(void **state)
{
    struct fixture *f = *state;
    struct ps_origin_permit permit;
    uint64_t retry;
    unsigned low = 0, high = 0;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(
            ps_origin_take(&f->shares[0], 0, true, &permit, &retry),
            PS_ORIGIN_GRANTED);
        ps_origin_give(&f->shares[0], 0);
        assert_in_range(permit.jitter, 0, 1023);
        low += permit.jitter < 256;
        high += permit.jitter >= 768;
    }
    assert_in_range(low, 150, 350);
    assert_in_range(high, 150, 350);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_given_back_goes_to_the_one_without),
        TEST(a_right_not_used_goes_to_the_next),
        TEST(who_has_more_than_others_yields),
        TEST(a_lower_bound_takes_back),
        TEST(what_is_convenient_waits_for_nobody),
        TEST(the_breaker_opens_for_longer_and_longer),
        TEST(the_breaker_shows),
        TEST(a_probe_given_up_lets_the_next_try),
        TEST(failures_that_do_not_count),
        TEST(the_breaker_stays_open_when_nobody_is_left),
        TEST(connections_come_back_slowly),
        TEST(jitter_is_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
