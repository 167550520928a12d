/* The encoder of rows: order and merging of keys, sets, limits. */
#include "agent/result/result.h"
#include "tests/unit.h"

#include <stdio.h>

static enum ps_rc
set(struct ps_rows_json *rows, const char *const *names, size_t n)
{
    struct ps_column columns[16];
    memset(columns, 0, sizeof(columns));
    for (size_t i = 0; i < n; i++) {
        columns[i].name = ps_str_of(names[i]);
        columns[i].type = 25;
    }
    struct ps_sink *sink = ps_rows_json_sink(rows);
    return sink->columns(sink, columns, n);
}

static enum ps_rc
row(struct ps_rows_json *rows, const char *const *values, size_t n)
{
    struct ps_cell cells[16];
    for (size_t i = 0; i < n; i++)
        cells[i] =
            (struct ps_cell){values[i], values[i] ? strlen(values[i]) : 0};
    struct ps_sink *sink = ps_rows_json_sink(rows);
    return sink->row(sink, cells, n);
}

#define SET(rows, ...)                            \
    set(rows, (const char *const[]){__VA_ARGS__}, \
        PS_ARRAY_LEN(((const char *const[]){__VA_ARGS__})))
#define ROW(rows, ...)                            \
    row(rows, (const char *const[]){__VA_ARGS__}, \
        PS_ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static void
expect(struct ps_rows_json **rows, const char *want)
{
    char *body = NULL;
    size_t len = 0;
    assert_int_equal(ps_rows_json_take(*rows, &body, &len), PS_OK);
    if (!ps_str_eq((struct ps_str){body, len}, ps_str_of(want)))
        fail_msg("%.*s", (int)len, body);
    free(body);
    ps_rows_json_free(rows);
}

static void
keys_in_the_order_of_a_javascript_object(void **state)
{
    (void)state;
    struct ps_rows_json *rows = ps_rows_json_new(1 << 20);
    assert_int_equal(
        SET(rows, "b", "10", "a", "9", "01", "4294967294", "4294967295", ""),
        PS_OK);
    assert_int_equal(ROW(rows, "1", "2", "3", "4", "5", "6", "7", "8"), PS_OK);
    expect(&rows, "[{\"9\":\"4\",\"10\":\"2\",\"4294967294\":\"6\",\"b\":\"1\","
                  "\"a\":\"3\",\"01\":\"5\",\"4294967295\":\"7\",\"\":\"8\"}]");
}

static void
of_equal_names_the_last_value_at_the_first_place(void **state)
{
    (void)state;
    struct ps_rows_json *rows = ps_rows_json_new(1 << 20);
    assert_int_equal(SET(rows, "a", "b", "a", "a\"\n"), PS_OK);
    assert_int_equal(ROW(rows, "1", "2", NULL, "4"), PS_OK);
    assert_int_equal(ROW(rows, "1", NULL, "3", ""), PS_OK);
    assert_int_equal(ps_rows_json_count(rows), 2);
    expect(&rows, "[{\"a\":null,\"b\":\"2\",\"a\\\"\\n\":\"4\"},"
                  "{\"a\":\"3\",\"b\":null,\"a\\\"\\n\":\"\"}]");
}

static void
without_rows_or_columns(void **state)
{
    (void)state;
    struct ps_rows_json *rows = ps_rows_json_new(1 << 20);
    expect(&rows, "[]");
    rows = ps_rows_json_new(1 << 20);
    assert_int_equal(SET(rows, "a"), PS_OK);
    expect(&rows, "[]");
    rows = ps_rows_json_new(1 << 20);
    assert_int_equal(set(rows, NULL, 0), PS_OK);
    assert_int_equal(row(rows, NULL, 0), PS_OK);
    expect(&rows, "[{}]");
}

static void
the_last_result_set_is_the_answer(void **state)
{
    (void)state;
    struct ps_rows_json *rows = ps_rows_json_new(1 << 20);
    assert_int_equal(SET(rows, "a", "b"), PS_OK);
    assert_int_equal(ROW(rows, "1", "2"), PS_OK);
    assert_int_equal(SET(rows, "c"), PS_OK);
    assert_int_equal(ROW(rows, "3"), PS_OK);
    assert_int_equal(ps_rows_json_count(rows), 1);
    expect(&rows, "[{\"c\":\"3\"}]");
}

static void
a_limit_is_a_limit(void **state)
{
    (void)state;
    /* [{"a":"1"}] has 11 bytes */
    for (size_t max = 1; max <= 12; max++) {
        struct ps_rows_json *rows = ps_rows_json_new(max);
        char *body = NULL;
        size_t len = 0;
        enum ps_rc rc = SET(rows, "a");
        if (rc == PS_OK)
            rc = ROW(rows, "1");
        if (rc == PS_OK)
            rc = ps_rows_json_take(rows, &body, &len);
        if (max >= 11)
            assert_int_equal(rc, PS_OK);
        else
            assert_true(rc == PS_RESULT_TOO_BIG || rc == PS_TOO_BIG);
        free(body);
        ps_rows_json_free(&rows);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_in_the_order_of_a_javascript_object),
        cmocka_unit_test(of_equal_names_the_last_value_at_the_first_place),
        cmocka_unit_test(without_rows_or_columns),
        cmocka_unit_test(the_last_result_set_is_the_answer),
        cmocka_unit_test(a_limit_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
