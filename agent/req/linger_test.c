/* Writes of unknown outcome: how long their windows are open, and that past
 * the bound they become wider, never fewer. */
#include "agent/req/linger.h"
#include "tests/unit.h"

#include <stdio.h>

struct rig {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_spaces *spaces;
    struct ps_publisher publisher;
    struct ps_lingers lingers;
    size_t told, told_wide, told_everything;
    uint64_t lingers_ms;
};

static void
publish(void *arg, const struct ps_change *change, struct ps_publish_wait *wait)
{
    struct rig *rig = arg;
    assert_null(wait);
    rig->told++;
    rig->told_wide += change->n_tables == 0 && change->cache_id.ptr;
    rig->told_everything += change->n_tables == 0 && !change->cache_id.ptr;
}

static void
write_lingers(void *arg, uint64_t for_ms)
{
    struct rig *rig = arg;
    rig->lingers_ms = for_ms;
}

static int
set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->clock = ps_clock_virtual_new();
    rig->loop = ps_loop_new(rig->clock, "test");
    rig->spaces = ps_spaces_new(512, UINT64_MAX);
    rig->publisher = (struct ps_publisher){
        .arg = rig, .publish = publish, .write_lingers = write_lingers};
    ps_lingers_init(&rig->lingers, rig->loop, rig->spaces, &rig->publisher);
    *state = rig;
    return 0;
}

static int
tear_down(void **state)
{
    struct rig *rig = *state;
    ps_lingers_done(&rig->lingers);
    ps_spaces_free(&rig->spaces);
    ps_loop_free(&rig->loop);
    ps_clock_virtual_free(&rig->clock);
    free(rig);
    return 0;
}

static void
advance(struct rig *rig, uint64_t ms)
{
    uint64_t until = ps_clock_now_us(rig->clock) + ms * 1000;
    for (;;) {
        while (ps_loop_turn(rig->loop) > 0)
            continue;
        uint64_t now = ps_clock_now_us(rig->clock);
        uint64_t due = ps_loop_next_due_us(rig->loop);
        if (now >= until)
            return;
        ps_clock_virtual_advance_us(rig->clock, PS_MIN(due, until) - now);
    }
}

/* A write to a table whose connection was lost. */
static void
lose(struct rig *rig, const char *database, const char *table,
     uint64_t limit_ms)
{
    struct ps_write write;
    struct ps_space *space =
        ps_space_get(rig->spaces, PS_STR("main"), ps_str_of(database));
    const struct ps_table_name name = {PS_STR("public"), ps_str_of(table)};
    const struct ps_change change = {.cache_id = PS_STR("main"),
                                     .database = ps_str_of(database),
                                     .tables = &name,
                                     .n_tables = 1};
    ps_write_begin(rig->spaces, &change, ps_space_catalog_gen(space), &write);
    ps_lingers_add(&rig->lingers, &write, &change, limit_ms);
    assert_false(write.open);
    ps_space_unref(&space);
}

/* May what is read from this table now be kept? */
static bool
may_keep(struct rig *rig, const char *database, const char *table)
{
    struct ps_space *space =
        ps_space_get(rig->spaces, PS_STR("main"), ps_str_of(database));
    const struct ps_table_name name = {PS_STR("public"), ps_str_of(table)};
    struct ps_snapshot snapshot;
    enum ps_snapshot_rc rc = ps_snapshot_take(
        space, ps_space_catalog_gen(space), &name, 1, NULL, &snapshot);
    ps_space_unref(&space);
    return rc == PS_SNAPSHOT_OK;
}

static void
a_window_lasts_for_the_time_limit_and_is_told(void **state)
{
    struct rig *rig = *state;
    lose(rig, "app", "items", 1000);
    assert_int_equal(rig->lingers_ms, 1000 + PS_LINGER_MARGIN_MS);
    assert_false(may_keep(rig, "app", "items"));
    assert_true(may_keep(rig, "app", "others"));
    advance(rig, 1000 + PS_LINGER_MARGIN_MS - 1);
    assert_int_equal(rig->told, (1000 + PS_LINGER_MARGIN_MS - 1) / 500);
    assert_false(may_keep(rig, "app", "items"));
    advance(rig, 1);
    assert_true(may_keep(rig, "app", "items"));
    assert_int_equal(rig->told, (1000 + PS_LINGER_MARGIN_MS) / 500);
    assert_int_equal(ps_lingers_count(&rig->lingers), 0);
    assert_int_equal(ps_loop_next_due_us(rig->loop), UINT64_MAX);
}

static void
a_moved_structure_makes_the_end_wide(void **state)
{
    struct rig *rig = *state;
    struct ps_space *space =
        ps_space_get(rig->spaces, PS_STR("main"), PS_STR("app"));
    lose(rig, "app", "items", 0);
    ps_space_structure_changed(space);
    ps_space_unref(&space);
    advance(rig, PS_LINGER_MARGIN_MS);
    assert_int_equal(rig->told_wide, 1);
}

static void
too_many_are_one_of_the_database(void **state)
{
    struct rig *rig = *state;
    char table[16];
    for (int i = 0; i < PS_LINGER_MAX; i++) {
        snprintf(table, sizeof(table), "t%d", i);
        lose(rig, "app", table, 1000);
    }
    assert_int_equal(rig->told, 0);
    assert_true(may_keep(rig, "app", "others"));
    lose(rig, "app", "one_more", 2000);
    assert_int_equal(rig->told_wide, 1); /* told more widely than by others */
    lose(rig, "app", "two_more", 1000);
    assert_int_equal(ps_lingers_count(&rig->lingers), PS_LINGER_MAX + 1);
    assert_false(may_keep(rig, "app", "others"));
    assert_true(may_keep(rig, "other", "others"));
    /* The latest end counts. */
    advance(rig, 1999 + PS_LINGER_MARGIN_MS);
    assert_int_equal(ps_lingers_count(&rig->lingers), 1);
    assert_false(may_keep(rig, "app", "one_more"));
    advance(rig, 1);
    assert_true(may_keep(rig, "app", "one_more"));
    assert_int_equal(rig->told_everything, 0);
}

static void
far_too_many_are_one_of_everything(void **state)
{
    struct rig *rig = *state;
    char name[16];
    for (int i = 0; i < 2 * PS_LINGER_MAX; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        lose(rig, name, "items", 1000);
    }
    assert_int_equal(ps_lingers_count(&rig->lingers), 2 * PS_LINGER_MAX);
    assert_true(may_keep(rig, "other", "items"));
    lose(rig, "one_more", "items", 1000);
    lose(rig, "two_more", "items", 2000);
    assert_int_equal(ps_lingers_count(&rig->lingers), 2 * PS_LINGER_MAX + 1);
    assert_false(may_keep(rig, "other", "items"));
    advance(rig, 1999 + PS_LINGER_MARGIN_MS);
    assert_int_equal(ps_lingers_count(&rig->lingers), 1);
    assert_false(may_keep(rig, "two_more", "items"));
    assert_true(rig->told_everything > 2);
    advance(rig, 1);
    assert_int_equal(ps_lingers_count(&rig->lingers), 0);
    assert_true(may_keep(rig, "two_more", "items"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_window_lasts_for_the_time_limit_and_is_told),
        T(a_moved_structure_makes_the_end_wide),
        T(too_many_are_one_of_the_database),
        T(far_too_many_are_one_of_everything),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
