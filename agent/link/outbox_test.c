/* Changes leave in order, in batches, and are told until they are heard. */
#include "agent/link/outbox.h"
#include "tests/unit.h"

#include <stdio.h>

#define CACHE "0b0e5f2a-0000-4000-8000-00000000000a"

struct waiter {
    struct ps_publish_wait wait;
    int calls;
    enum ps_rc rc;
};

static void
on_wait(struct ps_publish_wait *wait, enum ps_rc rc)
{
    struct waiter *w = PS_CONTAINER_OF(wait, struct waiter, wait);
    w->calls++;
    w->rc = rc;
}

static void
put_wait(struct ps_outbox *outbox, const char *table, struct waiter *w,
         bool logged)
{
    const struct ps_table_name name = {PS_STR("public"), ps_str_of(table)};
    const struct ps_change change = {.cache_id = PS_STR(CACHE),
                                     .database = PS_STR("app"),
                                     .tables = &name,
                                     .n_tables = 1};
    if (w)
        *w = (struct waiter){
            .wait = {.fn = on_wait, .logged = logged}
        };
    ps_outbox_put(outbox, &change, w ? &w->wait : NULL);
}

static void
put(struct ps_outbox *outbox, const char *table, struct waiter *w)
{
    put_wait(outbox, table, w, false);
}

/* Who waits for the log only does so in the local lane, and no longer than
 * there is hope; the change is told in any case. */
static void
waits_for_the_log(void **state)
{
    (void)state;
    struct ps_outbox *o = ps_outbox_new();
    struct waiter w, given_up;
    put_wait(o, "a", &w, true);
    assert_null(ps_outbox_take(o, PS_LANE_GLOBAL));
    struct ps_outbox_batch *b = ps_outbox_take(o, PS_LANE_LOCAL);
    assert_int_equal(b->count, 1);
    ps_outbox_settle_at(b, "epoch", 42);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.rc, PS_OK);
    assert_string_equal(w.wait.position.epoch, "epoch");
    assert_int_equal(w.wait.position.number, 42);
    ps_outbox_batch_free(&b);
    put_wait(o, "b", &given_up, true);
    ps_outbox_give_up_waits(o, PS_LANE_LOCAL);
    assert_int_equal(given_up.calls, 1);
    assert_int_equal(given_up.rc, PS_FABRIC);
    b = ps_outbox_take(o, PS_LANE_LOCAL);
    assert_string_equal(b->changes[0]->tables[0]->name, "b");
    ps_outbox_settle(b, PS_OK);
    assert_int_equal(given_up.calls, 1);
    ps_outbox_batch_free(&b);
    ps_outbox_free(&o);
}

static void
changes_come_out_in_order(void **state)
{
    (void)state;
    struct ps_outbox *o = ps_outbox_new();
    put(o, "a", NULL);
    put(o, "b", NULL);
    assert_false(ps_outbox_empty(o));
    struct ps_outbox_batch *b = ps_outbox_take(o, PS_LANE_LOCAL);
    assert_int_equal(b->count, 2);
    assert_string_equal(b->changes[0]->tables[0]->name, "a");
    assert_string_equal(b->changes[1]->tables[0]->name, "b");
    assert_string_equal(b->changes[1]->cache_id, CACHE);
    assert_true(ps_outbox_empty(o));
    assert_null(ps_outbox_take(o, PS_LANE_LOCAL));
    ps_outbox_batch_free(&b);
    ps_outbox_free(&o);
}

static void
an_unheard_batch_comes_first_again(void **state)
{
    (void)state;
    struct ps_outbox *o = ps_outbox_new();
    char id[37];
    put(o, "a", NULL);
    struct ps_outbox_batch *b = ps_outbox_take(o, PS_LANE_LOCAL);
    memcpy(id, b->request_id, sizeof(id));
    put(o, "b", NULL);
    ps_outbox_put_back(o, b);
    b = ps_outbox_take(o, PS_LANE_LOCAL);
    assert_string_equal(b->request_id, id);
    assert_string_equal(b->changes[0]->tables[0]->name, "a");
    ps_outbox_batch_free(&b);
    b = ps_outbox_take(o, PS_LANE_LOCAL);
    assert_string_not_equal(b->request_id, id);
    ps_outbox_batch_free(&b);
    ps_outbox_free(&o);
}

static void
waits_have_a_lane_of_their_own_and_end_once(void **state)
{
    (void)state;
    struct ps_outbox *o = ps_outbox_new();
    struct waiter w, left;
    put(o, "a", &w);
    put(o, "b", NULL);
    struct ps_outbox_batch *b = ps_outbox_take(o, PS_LANE_GLOBAL);
    assert_int_equal(b->count, 1);
    assert_int_equal(w.calls, 0);
    ps_outbox_settle(b, PS_OK);
    ps_outbox_settle(b, PS_FABRIC);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.rc, PS_OK);
    ps_outbox_batch_free(&b);
    put(o, "c", &left);
    ps_outbox_free(&o);
    assert_int_equal(left.calls, 1);
    assert_int_equal(left.rc, PS_SHUTTING_DOWN);
}

static void
a_full_lane_becomes_everything(void **state)
{
    (void)state;
    struct ps_outbox *o = ps_outbox_new();
    size_t total = 0, everything = 0;
    for (int i = 0; i < PS_OUTBOX_LANE_MAX + 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%d", i);
        put(o, name, NULL);
    }
    struct ps_outbox_batch *b;
    while ((b = ps_outbox_take(o, PS_LANE_LOCAL)) != NULL) {
        for (size_t i = 0; i < b->count; i++)
            everything += b->changes[i]->cache_id[0] == '\0' &&
                          b->changes[i]->n_tables == 0;
        total += b->count;
        ps_outbox_batch_free(&b);
    }
    assert_int_equal(everything, 1);
    assert_true(total < PS_OUTBOX_LANE_MAX);
    ps_outbox_free(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_come_out_in_order),
        cmocka_unit_test(waits_for_the_log),
        cmocka_unit_test(an_unheard_batch_comes_first_again),
        cmocka_unit_test(waits_have_a_lane_of_their_own_and_end_once),
        cmocka_unit_test(a_full_lane_becomes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
