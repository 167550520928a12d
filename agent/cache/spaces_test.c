#include "agent/cache/spaces.h"
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define CACHE PS_STR("c1")
#define DB    PS_STR("shop")

static const struct ps_table_name A = {PS_STR("public"), PS_STR("a")};
static const struct ps_table_name B = {PS_STR("public"), PS_STR("b")};
static const struct ps_table_name AB[] = {
    {PS_STR("public"), PS_STR("a")},
    {PS_STR("public"), PS_STR("b")},
};

struct fixture {
    struct ps_spaces *spaces;
    struct ps_space *space;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->spaces = ps_spaces_new(4, UINT64_MAX);
    assert_non_null(f->spaces);
    f->space = ps_space_get(f->spaces, CACHE, DB);
    assert_non_null(f->space);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ps_space_unref(&f->space);
    ps_spaces_free(&f->spaces);
    free(f);
    return 0;
}

static struct ps_change
change_of(const struct ps_table_name *tables, size_t n)
{
    return (struct ps_change){
        .cache_id = CACHE, .database = DB, .tables = tables, .n_tables = n};
}

static enum ps_snapshot_rc
take(struct fixture *f, const struct ps_table_name *tables, size_t n,
     struct ps_snapshot *out)
{
    return ps_snapshot_take(f->space, ps_space_catalog_gen(f->space), tables, n,
                            NULL, out);
}

static void
begin(struct fixture *f, const struct ps_change *change, struct ps_write *write)
{
    ps_write_begin(f->spaces, change, ps_space_catalog_gen(f->space), write);
}

static void
a_write_invalidates_what_it_touches_only(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot a, b, ab, none;
    struct ps_write write;
    assert_int_equal(take(f, &A, 1, &a), PS_SNAPSHOT_OK);
    assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
    assert_int_equal(take(f, AB, 2, &ab), PS_SNAPSHOT_OK);
    assert_int_equal(take(f, NULL, 0, &none), PS_SNAPSHOT_OK);
    struct ps_change change = change_of(&A, 1);
    begin(f, &change, &write);
    assert_false(ps_snapshot_valid(&a));
    assert_false(ps_snapshot_valid(&ab));
    assert_true(ps_snapshot_valid(&b));
    assert_true(ps_snapshot_valid(&none));
    assert_false(ps_write_end(&write));
    assert_false(ps_snapshot_valid(&a));
    assert_true(ps_snapshot_valid(&b));
}

static void
no_snapshot_inside_the_commit_window(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot snapshot;
    struct ps_write first, second;
    struct ps_change change = change_of(&A, 1);
    begin(f, &change, &first);
    begin(f, &change, &second);
    assert_int_equal(take(f, AB, 2, &snapshot), PS_SNAPSHOT_COMMITTING);
    assert_int_equal(take(f, &B, 1, &snapshot), PS_SNAPSHOT_OK);
    assert_false(ps_write_end(&first));
    assert_int_equal(take(f, AB, 2, &snapshot), PS_SNAPSHOT_COMMITTING);
    assert_false(ps_write_end(&second));
    assert_int_equal(take(f, AB, 2, &snapshot), PS_SNAPSHOT_OK);
    assert_true(ps_snapshot_valid(&snapshot));
}

/* Hazard 1: whatever was sent while the write was under way is worthless
 * after it, even with a sum forged from inside the window. */
static void
a_sum_from_inside_the_window_dies_with_it(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot snapshot;
    struct ps_write write;
    struct ps_change change = change_of(&A, 1);
    assert_int_equal(take(f, &A, 1, &snapshot), PS_SNAPSHOT_OK);
    begin(f, &change, &write);
    snapshot.sum = ps_space_sum(f->space, false, snapshot.slots, 1);
    assert_false(ps_write_end(&write));
    assert_false(ps_snapshot_valid(&snapshot));
}

static void
no_tables_means_the_whole_database(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot a, none, other;
    struct ps_write write;
    struct ps_space *elsewhere =
        ps_space_get(f->spaces, CACHE, PS_STR("other"));
    assert_int_equal(take(f, &A, 1, &a), PS_SNAPSHOT_OK);
    assert_int_equal(take(f, NULL, 0, &none), PS_SNAPSHOT_OK);
    assert_int_equal(ps_snapshot_take(elsewhere,
                                      ps_space_catalog_gen(elsewhere), &A, 1,
                                      NULL, &other),
                     PS_SNAPSHOT_OK);
    struct ps_change change = change_of(NULL, 0);
    ps_write_begin(f->spaces, &change, 0, &write);
    struct ps_snapshot inside;
    assert_int_equal(take(f, &B, 1, &inside), PS_SNAPSHOT_COMMITTING);
    assert_true(ps_write_end(&write));
    assert_false(ps_snapshot_valid(&a));
    assert_false(ps_snapshot_valid(&none));
    assert_true(ps_snapshot_valid(&other));
    ps_space_unref(&elsewhere);
}

static void
wide_writes_reach_spaces_made_during_the_window(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot snapshot;
    struct ps_write cache_wide, everything;
    struct ps_change change = {.cache_id = CACHE};
    ps_write_begin(f->spaces, &change, 0, &cache_wide);
    struct ps_space *made = ps_space_get(f->spaces, CACHE, PS_STR("new"));
    struct ps_space *foreign =
        ps_space_get(f->spaces, PS_STR("c2"), PS_STR("new"));
    assert_int_equal(ps_snapshot_take(made, ps_space_catalog_gen(made), &A, 1,
                                      NULL, &snapshot),
                     PS_SNAPSHOT_COMMITTING);
    assert_int_equal(ps_snapshot_take(foreign, ps_space_catalog_gen(foreign),
                                      &A, 1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    assert_true(ps_write_end(&cache_wide));
    change.cache_id = PS_STR_NONE;
    ps_write_begin(f->spaces, &change, 0, &everything);
    assert_false(ps_snapshot_valid(&snapshot));
    assert_true(ps_write_end(&everything));
    assert_int_equal(ps_snapshot_take(foreign, ps_space_catalog_gen(foreign),
                                      &A, 1, NULL, &snapshot),
                     PS_SNAPSHOT_OK);
    ps_space_unref(&made);
    ps_space_unref(&foreign);
}

static void
remote_changes_are_applied_at_every_width(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot a, b;
    struct ps_change change = change_of(&A, 1);
    assert_int_equal(take(f, &A, 1, &a), PS_SNAPSHOT_OK);
    assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
    ps_spaces_apply(f->spaces, &change);
    assert_false(ps_snapshot_valid(&a));
    assert_true(ps_snapshot_valid(&b));
    struct ps_change wider[] = {
        change_of(NULL, 0), {.cache_id = CACHE}, {.cache_id = PS_STR_NONE}};
    for (size_t i = 0; i < PS_ARRAY_LEN(wider); i++) {
        assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
        ps_spaces_apply(f->spaces, &wider[i]);
        assert_false(ps_snapshot_valid(&b));
    }
    /* Unknown names are no error and change nothing. */
    assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
    change.cache_id = PS_STR("unknown");
    ps_spaces_apply(f->spaces, &change);
    change = change_of(&B, 1);
    change.database = PS_STR("unknown");
    ps_spaces_apply(f->spaces, &change);
    assert_true(ps_snapshot_valid(&b));
}

static void
a_moved_catalogue_refuses_snapshots(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot snapshot;
    uint64_t gen = ps_space_catalog_gen(f->space);
    struct ps_change change = change_of(&B, 1);
    change.catalog = true;
    assert_int_equal(take(f, &A, 1, &snapshot), PS_SNAPSHOT_OK);
    ps_spaces_apply(f->spaces, &change);
    assert_false(ps_snapshot_valid(&snapshot));
    assert_int_equal(ps_snapshot_take(f->space, gen, &A, 1, NULL, &snapshot),
                     PS_SNAPSHOT_CATALOG_MOVED);
    assert_int_equal(take(f, &A, 1, &snapshot), PS_SNAPSHOT_OK);

    /* DDL from here: the gen moves at begin and at end, so that a catalogue
     * read in between is not believed either. */
    struct ps_write write;
    gen = ps_space_catalog_gen(f->space);
    begin(f, &change, &write);
    uint64_t inside = ps_space_catalog_gen(f->space);
    assert_true(inside != gen);
    assert_true(ps_write_end(&write));
    assert_true(ps_space_catalog_gen(f->space) != inside);
}

static void
a_write_under_a_moved_catalogue_is_one_of_everything(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot b;
    struct ps_write write;
    struct ps_change change = change_of(&A, 1);
    uint64_t gen = ps_space_catalog_gen(f->space);
    /* moved before it began */
    ps_space_structure_changed(f->space);
    assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
    ps_write_begin(f->spaces, &change, gen, &write);
    assert_false(ps_snapshot_valid(&b));
    assert_true(ps_write_end(&write));
    /* moves while it runs */
    begin(f, &change, &write);
    ps_space_structure_changed(f->space);
    assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
    assert_true(ps_snapshot_valid(&b));
    assert_true(ps_write_end(&write));
    assert_false(ps_snapshot_valid(&b));
}

static void
too_many_tables_depend_on_every_table(void **state)
{
    struct fixture *f = *state;
    enum {
        MANY = PS_SPACE_MAX_TABLES + 1
    };
    static struct ps_table_name many[MANY];
    static char names[MANY][16];
    for (int i = 0; i < MANY; i++) {
        int len = snprintf(names[i], sizeof(names[i]), "t%d", i);
        many[i] = (struct ps_table_name){
            PS_STR("public"), {names[i], (size_t)len}
        };
    }
    struct ps_snapshot wide, b;
    struct ps_write write;
    assert_int_equal(take(f, many, MANY, &wide), PS_SNAPSHOT_OK);
    assert_true(wide.every_table);
    struct ps_change change = change_of(&A, 1);
    begin(f, &change, &write);
    assert_false(ps_snapshot_valid(&wide));
    assert_int_equal(take(f, many, MANY, &wide), PS_SNAPSHOT_COMMITTING);
    assert_false(ps_write_end(&write));
    assert_int_equal(take(f, many, MANY, &wide), PS_SNAPSHOT_OK);
    assert_int_equal(take(f, &B, 1, &b), PS_SNAPSHOT_OK);
    ps_spaces_apply(f->spaces, &change);
    assert_false(ps_snapshot_valid(&wide));
    change = change_of(many, MANY);
    begin(f, &change, &write);
    assert_false(ps_snapshot_valid(&b));
    assert_true(ps_write_end(&write));
}

static void
spaces_are_bounded_and_idle_ones_make_room(void **state)
{
    struct fixture *f = *state; /* max 4, one is held */
    struct ps_space *held[3];
    const char *names[] = {"d1", "d2", "d3"};
    for (size_t i = 0; i < 3; i++) {
        held[i] = ps_space_get(f->spaces, CACHE, ps_str_of(names[i]));
        assert_non_null(held[i]);
    }
    assert_null(ps_space_get(f->spaces, CACHE, PS_STR("d4")));
    /* Its writes are taken for writes of the whole cache. */
    struct ps_snapshot a;
    struct ps_write write;
    assert_int_equal(take(f, &A, 1, &a), PS_SNAPSHOT_OK);
    struct ps_change change = change_of(&A, 1);
    change.database = PS_STR("d4");
    ps_write_begin(f->spaces, &change, 1, &write);
    assert_false(ps_snapshot_valid(&a));
    assert_true(ps_write_end(&write));
    /* A forgotten space comes back with another id and another catalog_gen,
     * so that nothing learned about its past is believed. */
    uint64_t id = ps_space_id(held[0]), gen = ps_space_catalog_gen(held[0]);
    ps_space_unref(&held[0]);
    struct ps_space *d4 = ps_space_get(f->spaces, CACHE, PS_STR("d4"));
    assert_non_null(d4);
    ps_space_unref(&d4);
    held[0] = ps_space_get(f->spaces, CACHE, PS_STR("d1"));
    assert_non_null(held[0]);
    assert_true(ps_space_id(held[0]) != id);
    assert_true(ps_space_catalog_gen(held[0]) != gen);
    struct ps_spaces_stats stats;
    ps_spaces_stats(f->spaces, &stats);
    assert_int_equal(stats.spaces, 4);
    for (size_t i = 0; i < 3; i++)
        ps_space_unref(&held[i]);
}

/* A purge of a statement ends what depends on it, in every database of its
 * cache, also with too many tables, and nothing else. */
static void
a_purge_ends_a_template_or_a_query(void **state)
{
    struct fixture *f = *state;
    struct ps_snapshot one, two, plain, wide;
    struct ps_table_name many[PS_SPACE_MAX_TABLES + 1];
    for (size_t i = 0; i < PS_ARRAY_LEN(many); i++)
        many[i] = A;
    for (int by_query = 0; by_query < 2; by_query++) {
        assert_int_equal(take(f, &A, 1, &one), PS_SNAPSHOT_OK);
        assert_int_equal(take(f, &A, 1, &two), PS_SNAPSHOT_OK);
        assert_int_equal(take(f, &A, 1, &plain), PS_SNAPSHOT_OK);
        assert_int_equal(take(f, many, PS_ARRAY_LEN(many), &wide),
                         PS_SNAPSHOT_OK);
        ps_snapshot_add_statement(&one, 7, 70);
        ps_snapshot_add_statement(&two, 8, 80);
        ps_snapshot_add_statement(&wide, 7, 70);
        assert_true(ps_snapshot_valid(&one) && ps_snapshot_valid(&wide));
        ps_spaces_purge_template(f->spaces, PS_STR("c2"), 7);
        assert_true(ps_snapshot_valid(&one));
        if (by_query)
            ps_spaces_purge_query(f->spaces, CACHE, 70);
        else
            ps_spaces_purge_template(f->spaces, CACHE, 7);
        assert_false(ps_snapshot_valid(&one));
        assert_false(ps_snapshot_valid(&wide));
        assert_true(ps_snapshot_valid(&two) && ps_snapshot_valid(&plain));
    }
    /* It depends on its tables as before. */
    const struct ps_change change = change_of(&A, 1);
    ps_spaces_apply(f->spaces, &change);
    assert_false(ps_snapshot_valid(&two));
}

static void
a_caches_spaces_are_listed(void **state)
{
    struct fixture *f = *state;
    size_t n;
    struct ps_space *other = ps_space_get(f->spaces, PS_STR("c2"), DB);
    struct ps_space *more = ps_space_get(f->spaces, CACHE, PS_STR("d2"));
    struct ps_space **list = ps_spaces_of_cache(f->spaces, CACHE, &n);
    assert_non_null(list);
    assert_int_equal(n, 2);
    assert_true((list[0] == f->space && list[1] == more) ||
                (list[1] == f->space && list[0] == more));
    for (size_t i = 0; i < n; i++)
        ps_space_unref(&list[i]);
    free(list);
    ps_space_unref(&other);
    ps_space_unref(&more);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_invalidates_what_it_touches_only),
        TEST(no_snapshot_inside_the_commit_window),
        TEST(a_sum_from_inside_the_window_dies_with_it),
        TEST(no_tables_means_the_whole_database),
        TEST(wide_writes_reach_spaces_made_during_the_window),
        TEST(remote_changes_are_applied_at_every_width),
        TEST(a_moved_catalogue_refuses_snapshots),
        TEST(a_write_under_a_moved_catalogue_is_one_of_everything),
        TEST(too_many_tables_depend_on_every_table),
        TEST(a_purge_ends_a_template_or_a_query),
        TEST(a_caches_spaces_are_listed),
        TEST(spaces_are_bounded_and_idle_ones_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
