#include "agent/cache/flight.h"
#include "tests/unit.h"

#include <stdlib.h>

enum {
    MAX_WAITERS = 3
};

struct fixture {
    struct ps_flights *flights;
    struct ps_spaces *spaces;
    struct ps_space *space;
    struct ps_key key;
};

struct waiter {
    struct ps_flight_waiter waiter;
    unsigned calls;
    struct ps_entry *entry;
    enum ps_rc rc;
    struct ps_flight_waiter *leaves; /* in fn */
    struct fixture *enters;          /* in fn */
    struct ps_flight *led;
};

static void
on_answer(struct ps_flight_waiter *waiter, struct ps_entry *entry,
          enum ps_rc rc, const struct ps_err *err)
{
    struct waiter *w = PS_CONTAINER_OF(waiter, struct waiter, waiter);
    (void)err;
    w->calls++;
    w->entry = entry;
    w->rc = rc;
    if (w->leaves)
        ps_flight_leave(w->leaves);
    if (w->enters)
        assert_int_equal(ps_flight_enter(w->enters->flights, &w->enters->key,
                                         waiter, &w->led),
                         PS_FLIGHT_LEAD);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->flights = ps_flights_new(MAX_WAITERS);
    f->spaces = ps_spaces_new(2, UINT64_MAX);
    f->space = ps_space_get(f->spaces, PS_STR("c"), PS_STR("d"));
    ps_key_make(&f->key, 1, 1, PS_STR("select 1"), PS_STR("b"));
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ps_flights_count(f->flights), 0);
    ps_flights_free(&f->flights);
    ps_space_unref(&f->space);
    ps_spaces_free(&f->spaces);
    free(f);
    return 0;
}

static enum ps_flight_role
enter(struct fixture *f, struct waiter *w, struct ps_flight **flight)
{
    w->waiter.fn = on_answer;
    return ps_flight_enter(f->flights, &f->key, &w->waiter, flight);
}

static struct ps_entry *
make_entry(struct fixture *f)
{
    struct ps_entry_spec spec = {.key = &f->key, .body = PS_STR("[]")};
    struct ps_entry *entry = ps_entry_new(&spec);
    assert_non_null(entry);
    return entry;
}

static void
equal_reads_share_one_answer(void **state)
{
    struct fixture *f = *state;
    struct waiter lead = {.calls = 0}, w[MAX_WAITERS + 1] = {{.calls = 0}};
    struct ps_flight *flight = NULL, *none = NULL, *other = NULL;
    assert_int_equal(enter(f, &lead, &flight), PS_FLIGHT_LEAD);
    for (size_t i = 0; i < MAX_WAITERS; i++)
        assert_int_equal(enter(f, &w[i], &none), PS_FLIGHT_WAIT);
    assert_int_equal(enter(f, &w[MAX_WAITERS], &none), PS_FLIGHT_ALONE);
    assert_int_equal(ps_flight_waiters(flight), MAX_WAITERS);
    ps_flight_leave(&w[1].waiter);
    ps_flight_leave(&w[1].waiter);
    assert_int_equal(ps_flight_waiters(flight), MAX_WAITERS - 1);
    struct ps_entry *entry = make_entry(f);
    ps_flight_finish(&flight, entry, PS_OK, NULL);
    assert_null(flight);
    assert_int_equal(lead.calls, 0);
    assert_int_equal(w[0].calls, 1);
    assert_ptr_equal(w[0].entry, entry);
    assert_int_equal(w[1].calls, 0);
    assert_int_equal(w[2].calls, 1);
    ps_entry_unref(&entry);
    assert_int_equal(enter(f, &w[0], &other), PS_FLIGHT_LEAD);
    ps_flight_finish(&other, NULL, PS_OK, NULL);
}

static void
equal_hashes_of_other_keys_do_not_meet(void **state)
{
    struct fixture *f = *state;
    struct waiter a = {.calls = 0}, b = {.calls = 0};
    struct ps_flight *first = NULL, *second = NULL;
    assert_int_equal(enter(f, &a, &first), PS_FLIGHT_LEAD);
    struct ps_key other;
    ps_key_make(&other, 2, 1, PS_STR("select 1"), PS_STR("b"));
    other.hash = f->key.hash;
    assert_int_equal(ps_flight_enter(f->flights, &other, &b.waiter, &second),
                     PS_FLIGHT_LEAD);
    ps_flight_finish(&first, NULL, PS_OK, NULL);
    ps_flight_finish(&second, NULL, PS_OK, NULL);
}

/* C2: who asks after a write does not get an answer from before it. */
static void
a_newcomer_after_a_write_starts_its_own(void **state)
{
    struct fixture *f = *state;
    static const struct ps_table_name table = {PS_STR("s"), PS_STR("t")};
    struct waiter lead = {.calls = 0}, early = {.calls = 0},
                  sent = {.calls = 0}, late = {.calls = 0};
    struct ps_flight *first = NULL, *second = NULL, *none = NULL;
    struct ps_snapshot snapshot;
    assert_int_equal(enter(f, &lead, &first), PS_FLIGHT_LEAD);
    assert_int_equal(enter(f, &early, &none), PS_FLIGHT_WAIT);
    assert_int_equal(ps_snapshot_take(f->space, ps_space_catalog_gen(f->space),
                                      &table, 1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    ps_flight_sent(first, &snapshot);
    assert_int_equal(enter(f, &sent, &none), PS_FLIGHT_WAIT);
    ps_spaces_apply(f->spaces, &(struct ps_change){.cache_id = PS_STR("c"),
                                                   .database = PS_STR("d"),
                                                   .tables = &table,
                                                   .n_tables = 1});
    assert_int_equal(enter(f, &late, &second), PS_FLIGHT_LEAD);
    assert_int_equal(ps_flights_count(f->flights), 2);
    ps_flight_finish(&first, NULL, PS_ORIGIN_SQL, NULL);
    assert_int_equal(early.calls, 1);
    assert_int_equal(sent.calls, 1);
    assert_int_equal(sent.rc, PS_ORIGIN_SQL);
    assert_int_equal(late.calls, 0);
    /* the second flight is still found */
    assert_int_equal(enter(f, &early, &none), PS_FLIGHT_WAIT);
    ps_flight_finish(&second, NULL, PS_OK, NULL);
    assert_int_equal(early.calls, 2);
}

static void
without_a_snapshot_nobody_joins(void **state)
{
    struct fixture *f = *state;
    struct waiter lead = {.calls = 0}, before = {.calls = 0},
                  after = {.calls = 0};
    struct ps_flight *first = NULL, *second = NULL, *none = NULL;
    assert_int_equal(enter(f, &lead, &first), PS_FLIGHT_LEAD);
    assert_int_equal(enter(f, &before, &none), PS_FLIGHT_WAIT);
    ps_flight_sent(first, NULL);
    assert_int_equal(enter(f, &after, &second), PS_FLIGHT_LEAD);
    ps_flight_finish(&second, NULL, PS_OK, NULL);
    ps_flight_finish(&first, NULL, PS_OK, NULL);
    assert_int_equal(before.calls, 1);
}

static void
answers_may_make_others_leave_or_enter(void **state)
{
    struct fixture *f = *state;
    struct waiter lead = {.calls = 0}, a = {.calls = 0}, b = {.calls = 0},
                  c = {.calls = 0};
    struct ps_flight *flight = NULL, *none = NULL;
    a.leaves = &b.waiter;
    c.enters = f;
    assert_int_equal(enter(f, &lead, &flight), PS_FLIGHT_LEAD);
    assert_int_equal(enter(f, &a, &none), PS_FLIGHT_WAIT);
    assert_int_equal(enter(f, &b, &none), PS_FLIGHT_WAIT);
    assert_int_equal(enter(f, &c, &none), PS_FLIGHT_WAIT);
    ps_flight_finish(&flight, NULL, PS_OK, NULL);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    assert_int_equal(c.calls, 1);
    assert_non_null(c.led);
    ps_flight_finish(&c.led, NULL, PS_OK, NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_reads_share_one_answer),
        TEST(equal_hashes_of_other_keys_do_not_meet),
        TEST(a_newcomer_after_a_write_starts_its_own),
        TEST(without_a_snapshot_nobody_joins),
        TEST(answers_may_make_others_leave_or_enter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
