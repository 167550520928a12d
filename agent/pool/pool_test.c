/* What the scenarios cannot see of the pool: waits that end in odd ways, its
 * end, its numbers. Scripted origin, virtual clock. */
#include "agent/backend/fake.h"
#include "agent/pool/pool.h"
#include "tests/unit.h"

struct fixture {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_fake *fake;
    struct ps_principals *principals;
    struct ps_pool *pool;
    struct ps_cache_conf *conf;
    struct ps_principal *principal;
};

struct wait {
    struct ps_pool_wait base; /* first */
    struct fixture *f;
    unsigned calls;
    struct ps_conn *conn;
    enum ps_rc rc;
    struct wait *cancels; /* from inside fn */
};

static struct ps_fake *the_fake;

static const struct ps_driver *
find_driver(enum ps_provider provider)
{
    (void)provider;
    return ps_fake_driver(the_fake);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->clock = ps_clock_virtual_new();
    f->loop = ps_loop_new(f->clock, "test");
    f->fake = the_fake = ps_fake_new();
    f->principals = ps_principals_new(1, 10, 60000);
    const struct ps_pool_conf conf = {.loop = f->loop,
                                      .principals = f->principals,
                                      .find_driver = find_driver};
    f->pool = ps_pool_new(&conf);
    f->conf =
        ps_cache_conf_new("0b0e5f2a-0000-4000-8000-00000000000a", "c", "h");
    f->conf->pool_max = 2;
    assert_int_equal(ps_principals_get(f->principals, f->conf, PS_STR("db"),
                                       PS_STR("user"), &f->principal),
                     PS_OK);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ps_pool_free(&f->pool);
    ps_principal_unref(&f->principal);
    ps_principals_free(&f->principals);
    ps_cache_conf_unref(&f->conf);
    ps_fake_free(&f->fake);
    ps_loop_free(&f->loop);
    ps_clock_virtual_free(&f->clock);
    free(f);
    return 0;
}

static void
settle(struct fixture *f)
{
    while (ps_loop_turn(f->loop) > 0)
        ;
}

static void
on_wait(struct ps_pool_wait *base, struct ps_conn *conn, enum ps_rc rc,
        const struct ps_err *err)
{
    struct wait *wait = PS_CONTAINER_OF(base, struct wait, base);
    assert_int_equal(rc, err->rc);
    wait->calls++;
    wait->conn = conn;
    wait->rc = rc;
    if (wait->cancels)
        ps_pool_cancel(wait->f->pool, &wait->cancels->base);
}

static void
acquire(struct fixture *f, struct wait *wait)
{
    memset(wait, 0, sizeof(*wait));
    wait->f = f;
    wait->base.principal = f->principal;
    wait->base.conf = f->conf;
    wait->base.password = PS_STR("pw");
    wait->base.fn = on_wait;
    ps_pool_acquire(f->pool, &wait->base);
    assert_int_equal(wait->calls, 0); /* never inside */
}

static struct ps_pool_stats
stats_of(struct fixture *f)
{
    struct ps_pool_stats stats;
    ps_pool_stats(f->pool, &stats);
    return stats;
}

static void
numbers_are_those_of_the_lists(void **state)
{
    struct fixture *f = *state;
    struct wait a, b, c;
    acquire(f, &a);
    assert_int_equal(stats_of(f).connecting, 1);
    settle(f);
    acquire(f, &b);
    settle(f);
    acquire(f, &c);
    settle(f);
    struct ps_pool_stats stats = stats_of(f);
    assert_int_equal(stats.leased, 2);
    assert_int_equal(stats.waiting, 1);
    assert_int_equal(stats.opened, 2);
    assert_true(a.base.fresh_login && b.base.fresh_login);
    ps_pool_release(f->pool, a.conn, PS_POOL_CLEAN);
    settle(f);
    assert_int_equal(c.calls, 1);
    assert_ptr_equal(c.conn, a.conn);
    assert_false(c.base.fresh_login);
    ps_pool_release(f->pool, b.conn, PS_POOL_RESET);
    assert_int_equal(stats_of(f).resetting, 1);
    ps_pool_release(f->pool, c.conn, PS_POOL_DISCARD);
    settle(f);
    stats = stats_of(f);
    assert_int_equal(stats.idle, 1);
    assert_int_equal(stats.discarded, 1);
    assert_int_equal(stats.closed, 1);
    assert_int_equal(stats.leased + stats.resetting + stats.waiting, 0);
}

/* A connection that was given to a wait which is cancelled before it heard of
 * it goes to the next one. */
static void
a_cancelled_wait_gives_its_connection_back(void **state)
{
    struct fixture *f = *state;
    struct wait a, b;
    f->conf->pool_max = 1;
    acquire(f, &a);
    settle(f);
    struct ps_conn *conn = a.conn;
    acquire(f, &b);
    settle(f);
    ps_pool_release(f->pool, conn, PS_POOL_CLEAN); /* b has it, unheard */
    ps_pool_cancel(f->pool, &b.base);
    assert_int_equal(stats_of(f).idle, 1);
    settle(f);
    assert_int_equal(b.calls, 0);
    ps_pool_cancel(f->pool, &b.base); /* again: nothing */
}

static void
a_wait_cancelled_by_the_one_before(void **state)
{
    struct fixture *f = *state;
    struct wait a, b;
    acquire(f, &a);
    acquire(f, &b);
    a.cancels = &b;
    settle(f);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    ps_pool_release(f->pool, a.conn, PS_POOL_CLEAN);
    settle(f);
    assert_int_equal(stats_of(f).leased, 0);
}

static void
the_end_tells_everybody(void **state)
{
    struct fixture *f = *state;
    struct wait leased, ready, queued;
    f->conf->pool_max = 1;
    acquire(f, &leased);
    settle(f);
    acquire(f, &ready);
    acquire(f, &queued);
    settle(f);
    ps_pool_release(f->pool, leased.conn, PS_POOL_CLEAN); /* ready has it */
    ps_pool_free(&f->pool);
    assert_int_equal(ready.calls, 1);
    assert_int_equal(ready.rc, PS_SHUTTING_DOWN);
    assert_null(ready.conn);
    assert_int_equal(queued.calls, 1);
    assert_int_equal(queued.rc, PS_SHUTTING_DOWN);
    struct ps_fake_stats stats;
    ps_fake_stats(f->fake, &stats);
    assert_int_equal(stats.closes, stats.opens);
}

/* The definition moves to another origin while a connection is leased. */
static void
a_leased_connection_that_no_longer_fits_is_closed(void **state)
{
    struct fixture *f = *state;
    struct wait a;
    acquire(f, &a);
    settle(f);
    struct ps_cache_conf *moved =
        ps_cache_conf_new(f->conf->id, "c", "elsewhere");
    moved->revision = f->conf->revision + 1;
    ps_pool_reconfigure(f->pool, f->conf->id, moved);
    assert_int_equal(stats_of(f).leased, 1);
    ps_pool_release(f->pool, a.conn, PS_POOL_CLEAN);
    settle(f);
    assert_int_equal(stats_of(f).idle, 0);
    assert_int_equal(stats_of(f).closed, 1);
    ps_cache_conf_unref(&moved);
}

/* After a failed connect, while another connection works, attempts keep a
 * distance; the waiter gets what comes back. */
static void
attempts_keep_a_distance(void **state)
{
    struct fixture *f = *state;
    struct wait a, b;
    acquire(f, &a);
    settle(f);
    ps_fake_down(f->fake, PS_ORIGIN_REFUSED);
    acquire(f, &b);
    settle(f);
    struct ps_fake_stats stats;
    ps_fake_stats(f->fake, &stats);
    assert_int_equal(stats.opens, 2);
    ps_clock_virtual_advance_us(f->clock, 99000);
    settle(f);
    ps_fake_stats(f->fake, &stats);
    assert_int_equal(stats.opens, 2);
    ps_clock_virtual_advance_us(f->clock, 1000);
    settle(f);
    ps_fake_stats(f->fake, &stats);
    assert_int_equal(stats.opens, 3);
    ps_clock_virtual_advance_us(f->clock, 199000); /* twice as far now */
    settle(f);
    ps_fake_stats(f->fake, &stats);
    assert_int_equal(stats.opens, 3);
    assert_int_equal(b.calls, 0);
    ps_pool_release(f->pool, a.conn, PS_POOL_CLEAN);
    settle(f);
    assert_int_equal(b.rc, PS_OK);
    ps_pool_release(f->pool, b.conn, PS_POOL_CLEAN);
}

/* Connections that were opened together are not closed together. */
static void
ages_are_spread(void **state)
{
    enum {
        N = 16,
        AGE_MS = 100000
    };
    struct fixture *f = *state;
    struct wait waits[N];
    f->conf->pool_max = N;
    f->conf->pool_max_age_ms = AGE_MS;
    f->conf->pool_idle_timeout_ms = 10 * AGE_MS;
    for (size_t i = 0; i < N; i++)
        acquire(f, &waits[i]);
    settle(f);
    for (size_t i = 0; i < N; i++)
        ps_pool_release(f->pool, waits[i].conn, PS_POOL_CLEAN);
    assert_int_equal(stats_of(f).idle, N);
    ps_clock_virtual_advance_us(f->clock, (AGE_MS - AGE_MS / 10 - 1) * 1000);
    settle(f);
    assert_int_equal(stats_of(f).idle, N);
    /* In each quarter of the last tenth at least one, in none all. */
    for (uint64_t quarter = 0, left = N; quarter < 4; quarter++) {
        ps_clock_virtual_advance_us(f->clock, AGE_MS / 40 * 1000 + 250);
        settle(f);
        uint64_t now = stats_of(f).idle;
        assert_in_range(now, quarter == 3 ? 0 : 1, left - 1);
        left = now;
    }
    assert_int_equal(stats_of(f).idle, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_those_of_the_lists),
        TEST(a_cancelled_wait_gives_its_connection_back),
        TEST(a_wait_cancelled_by_the_one_before),
        TEST(the_end_tells_everybody),
        TEST(a_leased_connection_that_no_longer_fits_is_closed),
        TEST(attempts_keep_a_distance),
        TEST(ages_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
