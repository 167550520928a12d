/* Rows told apart: what a pinned read depends on, what a write moves. */
#include "agent/cache/spaces_private.h"
#include "tests/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CACHE PS_STR("c1")
#define DB    PS_STR("shop")

static const struct ps_table_name ITEMS = {PS_STR("public"), PS_STR("items")};
static const struct ps_table_name USERS = {PS_STR("public"), PS_STR("users")};

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

/* `name IN (value)`, for a read or a write. */
struct pinned {
    uint16_t value;
    struct ps_row_column column;
    struct ps_row_set set;
};

static const struct ps_row_set *
pin(struct pinned *p, const char *name, int64_t value)
{
    p->value = ps_row_digest_int(value);
    p->column = (struct ps_row_column){ps_str_of(name), &p->value, 1};
    p->set = (struct ps_row_set){&p->column, 1};
    return &p->set;
}

static enum ps_snapshot_rc
take(struct fixture *f, const struct ps_table_name *table,
     const struct ps_row_set *rows, struct ps_snapshot *out)
{
    return ps_snapshot_take(f->space, ps_space_catalog_gen(f->space), table, 1,
                            rows, out);
}

static struct ps_change
change_of(const struct ps_table_name *table, const struct ps_row_set *rows)
{
    return (struct ps_change){.cache_id = CACHE,
                              .database = DB,
                              .tables = table,
                              .n_tables = 1,
                              .rows = rows};
}

static void
write_rows(struct fixture *f, const struct ps_table_name *table,
           const struct ps_row_set *rows)
{
    struct ps_change change = change_of(table, rows);
    struct ps_write write;
    ps_write_begin(f->spaces, &change, ps_space_catalog_gen(f->space), &write);
    assert_false(ps_write_end(&write));
}

static void
apply_rows(struct fixture *f, const struct ps_table_name *table,
           const struct ps_row_set *rows)
{
    struct ps_change change = change_of(table, rows);
    ps_spaces_apply(f->spaces, &change);
}

static void
other_rows_stay(void **state)
{
    struct fixture *f = *state;
    struct pinned p, q;
    struct ps_snapshot one, two, whole;
    void (*const ways[])(struct fixture *, const struct ps_table_name *,
                         const struct ps_row_set *) = {write_rows, apply_rows};
    for (size_t i = 0; i < PS_ARRAY_LEN(ways); i++) {
        assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &one), 0);
        assert_int_equal(take(f, &ITEMS, pin(&q, "id", 2), &two), 0);
        assert_int_equal(take(f, &ITEMS, NULL, &whole), 0);
        ways[i](f, &ITEMS, pin(&p, "id", 1));
        assert_false(ps_snapshot_valid(&one));
        assert_true(ps_snapshot_valid(&two));
        assert_false(ps_snapshot_valid(&whole));
        ways[i](f, &USERS, pin(&q, "id", 2));
        assert_true(ps_snapshot_valid(&two));
    }
}

/* Hazard 25: of a column that the write says nothing about any row may have
 * moved into the read's rows or out of them. */
static void
unknown_values_move_every_row(void **state)
{
    struct fixture *f = *state;
    struct pinned p, q;
    struct ps_snapshot by_id, by_owner;
    void (*const ways[])(struct fixture *, const struct ps_table_name *,
                         const struct ps_row_set *) = {write_rows, apply_rows};
    for (size_t i = 0; i < PS_ARRAY_LEN(ways); i++) {
        assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &by_id), 0);
        assert_int_equal(take(f, &ITEMS, pin(&q, "owner", 9), &by_owner), 0);
        ways[i](f, &ITEMS, pin(&p, "id", 5));
        assert_true(ps_snapshot_valid(&by_id));
        assert_false(ps_snapshot_valid(&by_owner));
        ways[i](f, &ITEMS, NULL);
        assert_false(ps_snapshot_valid(&by_id));
    }
}

/* Of a tenant's rows all move often, this one seldom: the first time nobody
 * knows. */
static void
the_column_that_moved_least_is_relied_on(void **state)
{
    struct fixture *f = *state;
    const uint16_t tenant = ps_row_digest_int(1);
    uint16_t mine = ps_row_digest_int(7), other = ps_row_digest_int(8);
    struct ps_row_column columns[] = {
        {PS_STR("tenant"), &tenant, 1},
        {PS_STR("id"),     &mine,   1}
    };
    struct ps_row_column elsewhere[] = {
        {PS_STR("tenant"), &tenant, 1},
        {PS_STR("id"),     &other,  1}
    };
    const struct ps_row_set set = {columns, 2}, another = {elsewhere, 2};
    struct ps_snapshot kept;
    assert_int_equal(take(f, &ITEMS, &set, &kept), 0);
    write_rows(f, &ITEMS, &another);
    assert_false(ps_snapshot_valid(&kept));
    assert_int_equal(take(f, &ITEMS, &set, &kept), 0);
    write_rows(f, &ITEMS, &another);
    assert_true(ps_snapshot_valid(&kept));
    write_rows(f, &ITEMS, &set);
    assert_false(ps_snapshot_valid(&kept));
}

static void
wide_changes_reach_pinned_reads(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot one;
    struct ps_change wider[] = {
        {.cache_id = CACHE, .database = DB},
        {.cache_id = CACHE                },
        {.cache_id = PS_STR_NONE}
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(wider); i++) {
        assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &one), 0);
        ps_spaces_apply(f->spaces, &wider[i]);
        assert_false(ps_snapshot_valid(&one));
    }
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &one), 0);
    ps_space_structure_changed(f->space);
    assert_false(ps_snapshot_valid(&one));
}

static void
no_snapshot_of_a_row_inside_its_window(void **state)
{
    struct fixture *f = *state;
    struct pinned p, q;
    struct ps_snapshot s;
    struct ps_write write;
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    struct ps_change change = change_of(&ITEMS, pin(&p, "id", 1));
    ps_write_begin(f->spaces, &change, ps_space_catalog_gen(f->space), &write);
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 1), &s),
                     PS_SNAPSHOT_COMMITTING);
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 2), &s), PS_SNAPSHOT_OK);
    assert_false(ps_write_end(&write));
    assert_true(ps_snapshot_valid(&s));
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 1), &s), PS_SNAPSHOT_OK);
}

/* The handshake of columns.c: the write does not know of the column that the
 * read brings in, so the read must wait for it as for the whole table. */
static void
a_column_new_during_a_write_is_not_relied_on(void **state)
{
    struct fixture *f = *state;
    struct pinned p, q;
    struct ps_snapshot s;
    struct ps_write write;
    struct ps_change change = change_of(&ITEMS, pin(&p, "id", 1));
    ps_write_begin(f->spaces, &change, ps_space_catalog_gen(f->space), &write);
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 1), &s),
                     PS_SNAPSHOT_COMMITTING);
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 7), &s),
                     PS_SNAPSHOT_COMMITTING);
    assert_false(ps_write_end(&write));
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 7), &s), PS_SNAPSHOT_OK);
    write_rows(f, &ITEMS, pin(&p, "id", 1));
    assert_true(ps_snapshot_valid(&s));
}

/* More columns than there are places: those without one depend on the table,
 * and nobody loses a place that is in use. */
static void
too_many_columns_fall_back_to_the_table(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot first, last;
    char name[16];
    assert_int_equal(take(f, &ITEMS, pin(&p, "c0", 1), &first), 0);
    for (int i = 1; i < 200; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(take(f, &USERS, pin(&p, name, 1), &last), 0);
    }
    write_rows(f, &ITEMS, pin(&p, "c0", 2));
    assert_true(ps_snapshot_valid(&first));
    /* The last one has no column: any write to its table counts. */
    struct pinned q = {0};
    write_rows(f, &USERS, pin(&q, "c199", 2));
    assert_false(ps_snapshot_valid(&last));
}

/* A place is given to another column in the end; what relied on it ends. */
static void
a_column_that_loses_its_place_takes_its_answers_along(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot first, s;
    char name[16];
    assert_int_equal(take(f, &ITEMS, pin(&p, "old", 1), &first), 0);
    for (int i = 0; i < 127; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(take(f, &USERS, pin(&p, name, 1), &s), 0);
    }
    for (int i = 0; i < 100001; i++)
        assert_int_equal(take(f, &USERS, pin(&p, "c1", 1), &s), 0);
    assert_true(ps_snapshot_valid(&first));
    assert_int_equal(take(f, &USERS, pin(&p, "new", 1), &s), 0);
    assert_false(ps_snapshot_valid(&first));
    struct pinned q;
    write_rows(f, &USERS, pin(&q, "new", 2));
    assert_false(ps_snapshot_valid(&first));
}

static void
a_write_with_too_many_values_moves_the_column(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot one;
    uint16_t values[100];
    for (size_t i = 0; i < PS_ARRAY_LEN(values); i++)
        values[i] = ps_row_digest_int((int64_t)i + 1000);
    struct ps_row_column column = {PS_STR("id"), values, 100};
    struct ps_row_set many = {&column, 1};
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &one), 0);
    write_rows(f, &ITEMS, &many);
    assert_false(ps_snapshot_valid(&one));
}

/* ---- memory of rows ---- */

static uint64_t
row_bytes(const struct fixture *f)
{
    struct ps_spaces_stats stats;
    ps_spaces_stats(f->spaces, &stats);
    return stats.row_bytes;
}

/* The pages of the block that take memory. */
static size_t
resident(const struct fixture *f)
{
    unsigned char pages[ROWS_BYTES / 4096];
    size_t n = 0, size = (size_t)sysconf(_SC_PAGESIZE);
    void *rows = atomic_load(&f->space->rows);
    assert_int_equal(mincore(rows, ROWS_BYTES, pages), 0);
    for (size_t i = 0; i < ROWS_BYTES / size; i++)
        n += pages[i] & 1;
    return n;
}

/* None before a read needs it, one block whatever the number of columns and
 * values; it goes with its database. */
static void
buckets_appear_when_needed_and_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot s;
    char name[16];
    uint64_t others = ps_spaces_bytes(f->spaces);
    assert_int_equal(take(f, &ITEMS, NULL, &s), 0);
    write_rows(f, &ITEMS, pin(&p, "id", 1));
    assert_null(atomic_load(&f->space->rows));
    assert_int_equal(row_bytes(f), 0);
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    const struct stamp *rows = atomic_load(&f->space->rows);
    assert_non_null(rows);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(take(f, &USERS, pin(&p, name, i), &s), 0);
    }
    assert_ptr_equal(atomic_load(&f->space->rows), rows);
    assert_true(f->space->n_columns <= N_COLUMNS);
    assert_int_equal(row_bytes(f), ROWS_BYTES);
    assert_int_equal(ps_spaces_bytes(f->spaces), others + ROWS_BYTES);
}

static void
buckets_go_when_no_read_relies_on_them(void **state)
{
    struct fixture *f = *state;
    struct pinned p, q;
    struct ps_snapshot s, whole;
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    for (int i = 0; i < 1000; i++)
        write_rows(f, &ITEMS, pin(&q, "id", 2 + i));
    assert_true(resident(f) > 1);
    assert_int_equal(take(f, &ITEMS, NULL, &whole), 0);
    for (int i = 0; i < 5 * ROWS_IDLE_SWEEPS; i++) {
        ps_spaces_sweep(f->spaces);
        /* As a hit does. */
        if (i % (ROWS_IDLE_SWEEPS / 2) == 0)
            assert_true(ps_snapshot_valid(&s));
    }
    assert_int_equal(row_bytes(f), ROWS_BYTES);
    for (int i = 0; i < ROWS_IDLE_SWEEPS; i++) {
        ps_spaces_sweep(f->spaces);
        assert_true(ps_snapshot_valid(&whole));
        write_rows(f, &USERS, pin(&q, "id", 1));
    }
    assert_int_equal(row_bytes(f), 0);
    assert_int_equal(resident(f), 0);
    assert_false(ps_snapshot_valid(&s));
    assert_true(ps_snapshot_valid(&whole));
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    assert_int_equal(row_bytes(f), ROWS_BYTES);
    write_rows(f, &ITEMS, pin(&q, "id", 2));
    assert_true(ps_snapshot_valid(&s));
    write_rows(f, &ITEMS, pin(&q, "id", 1));
    assert_false(ps_snapshot_valid(&s));
}

/* Bucket and `any` begin anew, or not quite: whatever moves afterwards, no sum
 * from before comes back. */
static void
an_old_answer_never_becomes_right_again(void **state)
{
    struct fixture *f = *state;
    const uint16_t values[] = {ps_row_digest_int(1), ps_row_digest_int(2),
                               ps_row_digest_int(3)};
    struct ps_row_column column = {PS_STR("id"), values, 3};
    const struct ps_row_set three = {&column, 1};
    struct pinned p;
    struct ps_snapshot one, all, again;
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &one), 0);
    for (int i = 0; i < 20; i++)
        write_rows(f, &ITEMS, &three);
    for (int life = 0; life < 3; life++) {
        assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &one), 0);
        assert_int_equal(take(f, &ITEMS, &three, &all), 0);
        assert_true(rows_go(f->space));
        assert_false(ps_snapshot_valid(&one));
        assert_false(ps_snapshot_valid(&all));
        assert_int_equal(take(f, &ITEMS, &three, &again), 0);
        for (int i = 0; i < 500; i++) {
            apply_rows(f, &ITEMS, i % 2 ? pin(&p, "id", 1) : &three);
            assert_false(ps_snapshot_valid(&one));
            assert_false(ps_snapshot_valid(&all));
        }
    }
}

/* A write under way will move its buckets once more. */
static void
buckets_of_a_write_under_way_stay(void **state)
{
    struct fixture *f = *state;
    struct pinned p, q;
    struct ps_snapshot s;
    struct ps_write write, moved;
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    struct ps_change change = change_of(&ITEMS, pin(&p, "id", 1));
    ps_write_begin(f->spaces, &change, ps_space_catalog_gen(f->space), &write);
    assert_false(rows_go(f->space));
    ps_write_move(&write, &moved);
    assert_false(rows_go(f->space));
    assert_int_equal(take(f, &ITEMS, pin(&q, "id", 1), &s),
                     PS_SNAPSHOT_COMMITTING);
    assert_false(ps_write_end(&moved));
    assert_true(rows_go(f->space));
    /* It is none of the rows' business any more. */
    struct ps_change other = change_of(&USERS, NULL);
    ps_write_begin(f->spaces, &other, ps_space_catalog_gen(f->space), &write);
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    assert_true(rows_go(f->space));
    assert_false(ps_write_end(&write));
}

/* A snapshot that had chosen its slots when the rows went: the column's place
 * and name are the same ones again, and still it is not relied on. */
static void
a_pin_does_not_outlive_its_rows(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot s;
    uint16_t slots[4];
    struct pin old, new;
    const struct ps_row_set *rows = pin(&p, "id", 1);
    assert_int_equal(columns_pin(f->space, &ITEMS, rows, slots, 4, &old), 2);
    assert_true(column_is(f->space, &old));
    assert_true(rows_go(f->space));
    assert_false(column_is(f->space, &old));
    assert_int_equal(take(f, &ITEMS, rows, &s), 0);
    assert_int_equal(columns_pin(f->space, &ITEMS, rows, slots, 4, &new), 2);
    assert_int_equal(new.index, old.index);
    assert_int_equal(new.owner, old.owner);
    assert_true(column_is(f->space, &new));
    assert_false(column_is(f->space, &old));
}

/* The rows go when a thread is in the middle of a sum: at its first look at a
 * bucket. */
static struct ps_space *going;

static void
on_fault(int signal)
{
    (void)signal;
    void *rows = atomic_load(&going->rows);
    if (mprotect(rows, ROWS_BYTES, PROT_READ | PROT_WRITE) != 0 ||
        !rows_go(going))
        abort();
}

static void
rows_that_go_within_a_sum_bring_no_answer_back(void **state)
{
    struct fixture *f = *state;
    struct pinned p;
    struct ps_snapshot s;
    struct sigaction action = {.sa_handler = on_fault}, before;
    assert_int_equal(take(f, &ITEMS, pin(&p, "id", 1), &s), 0);
    write_rows(f, &ITEMS, pin(&p, "id", 1));
    assert_false(ps_snapshot_valid(&s));
    going = f->space;
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    assert_int_equal(
        mprotect(atomic_load(&f->space->rows), ROWS_BYTES, PROT_NONE), 0);
    bool valid = ps_snapshot_valid(&s);
    sigaction(SIGSEGV, &before, NULL);
    assert_int_equal(row_bytes(f), 0);
    assert_false(valid);
}

/* Rows of one database at a time: the others depend on tables until these
 * have gone. */
static void
rows_are_told_apart_where_there_is_room(void **state)
{
    (void)state;
    struct ps_spaces *spaces = ps_spaces_new(4, ROWS_BYTES);
    struct fixture one = {spaces, ps_space_get(spaces, CACHE, DB)};
    struct fixture two = {spaces, ps_space_get(spaces, CACHE, PS_STR("two"))};
    struct pinned p;
    struct ps_snapshot s;
    assert_int_equal(take(&one, &ITEMS, pin(&p, "id", 1), &s), 0);
    assert_int_equal(s.n_slots, 2);
    assert_int_equal(take(&two, &ITEMS, pin(&p, "id", 1), &s), 0);
    assert_int_equal(s.n_slots, 1);
    assert_int_equal(row_bytes(&two), ROWS_BYTES);
    assert_true(rows_go(one.space));
    assert_int_equal(take(&two, &ITEMS, pin(&p, "id", 1), &s), 0);
    assert_int_equal(s.n_slots, 2);
    ps_space_unref(&one.space);
    ps_space_unref(&two.space);
    /* They go with their space, too. */
    struct ps_space *space;
    char name[16];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        space = ps_space_get(spaces, CACHE, ps_str_of(name));
        ps_space_unref(&space);
    }
    assert_int_equal(row_bytes(&two), 0);
    ps_spaces_free(&spaces);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_rows_stay),
        TEST(the_column_that_moved_least_is_relied_on),
        TEST(unknown_values_move_every_row),
        TEST(wide_changes_reach_pinned_reads),
        TEST(no_snapshot_of_a_row_inside_its_window),
        TEST(a_column_new_during_a_write_is_not_relied_on),
        TEST(too_many_columns_fall_back_to_the_table),
        TEST(a_column_that_loses_its_place_takes_its_answers_along),
        TEST(a_write_with_too_many_values_moves_the_column),
        TEST(buckets_appear_when_needed_and_are_bounded),
        TEST(buckets_go_when_no_read_relies_on_them),
        TEST(an_old_answer_never_becomes_right_again),
        TEST(buckets_of_a_write_under_way_stay),
        TEST(a_pin_does_not_outlive_its_rows),
        TEST(rows_that_go_within_a_sum_bring_no_answer_back),
        cmocka_unit_test(rows_are_told_apart_where_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
