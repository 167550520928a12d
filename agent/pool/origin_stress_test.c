/* Four loops and their principals at one origin at once: the bound holds,
 * nobody starves, nothing is left. For ThreadSanitizer above all. */
#include "agent/pool/origin.h"
#include "tests/unit.h"

#include <pthread.h>
#include <stdatomic.h>

#define ID "0b0e5f2a-0000-4000-8000-00000000000a"

enum {
    THREADS = 4,
    SHARES = 6, /* of a thread */
    BOUND = 5,
    ENOUGH = 20 /* turns of each share */
};

struct client {
    struct ps_origin_share share; /* first */
    unsigned held, turns;
    bool woken;
};

struct side {
    pthread_t thread;
    struct ps_origins *origins;
    struct ps_cache_conf *conf;
    struct ps_clock *clock;
    unsigned seed;
    struct client clients[SHARES];
};

static _Atomic unsigned in_use;
static _Atomic unsigned satisfied; /* clients that had enough */

static void
on_wake(struct ps_origin_share *share)
{
    struct client *client = PS_CONTAINER_OF(share, struct client, share);
    client->woken = true;
}

static void
take(struct client *client, uint64_t now_ms)
{
    struct ps_origin_permit permit;
    uint64_t retry_ms;
    if (ps_origin_take(&client->share, now_ms, true, &permit, &retry_ms) !=
        PS_ORIGIN_GRANTED)
        return;
    client->held++;
    assert_in_range(atomic_fetch_add(&in_use, 1) + 1, 1, BOUND);
    if (++client->turns == ENOUGH)
        atomic_fetch_add(&satisfied, 1);
}

static void
give(struct client *client, uint64_t now_ms)
{
    client->held--;
    atomic_fetch_sub(&in_use, 1); /* before another can have it */
    ps_origin_give(&client->share, now_ms);
}

static void
step(struct side *side, uint64_t now_ms)
{
    struct client *client = &side->clients[rand_r(&side->seed) % SHARES];
    unsigned dice = rand_r(&side->seed) % 16;
    if (client->held == 0 || dice < 2)
        take(client, now_ms);
    else if (dice < 8 ||
             ps_origin_must_yield(&client->share, now_ms, dice < 12, true))
        give(client, now_ms);
    if (dice == 15)
        ps_origin_leave(&client->share, now_ms);
    if (dice == 14)
        ps_origin_failed(client->share.origin, side->conf, PS_ORIGIN_REFUSED,
                         now_ms);
    else
        ps_origin_worked(client->share.origin, side->conf, now_ms);
}

static void *
run(void *arg)
{
    struct side *side = arg;
    struct ps_loop *loop = ps_loop_new(side->clock, "side");
    for (size_t i = 0; i < SHARES; i++) {
        struct ps_origin *origin = ps_origins_get(side->origins, PS_STR(ID));
        ps_origin_set_conf(origin, side->conf);
        ps_origin_share_init(&side->clients[i].share, origin, loop, on_wake);
    }
    while (atomic_load(&satisfied) < THREADS * SHARES) {
        step(side, 1000);
        while (ps_loop_turn(loop) > 0)
            ;
    }
    for (size_t i = 0; i < SHARES; i++) {
        struct client *client = &side->clients[i];
        ps_origin_leave(&client->share, 1000);
        while (client->held > 0)
            give(client, 1000);
        ps_origin_share_done(&client->share);
    }
    ps_loop_free(&loop);
    return NULL;
}

static void
the_bound_holds_and_nobody_starves(void **state)
{
    (void)state;
    static struct side sides[THREADS];
    struct ps_clock *clock = ps_clock_virtual_new();
    struct ps_origins *origins = ps_origins_new(1);
    struct ps_cache_conf *conf = ps_cache_conf_new(ID, "c", "h");
    conf->pool_cache_max = BOUND;
    conf->breaker_failures = 0; /* failures are noted, no more */
    for (unsigned i = 0; i < THREADS; i++) {
        sides[i] = (struct side){
            .origins = origins, .conf = conf, .clock = clock, .seed = i + 1};
        assert_int_equal(pthread_create(&sides[i].thread, NULL, run, &sides[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
    assert_int_equal(in_use, 0);
    ps_origins_free(&origins);
    ps_cache_conf_unref(&conf);
    ps_clock_virtual_free(&clock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_holds_and_nobody_starves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
