/* Sparklines. */
#include "cli/spark.h"
#include "tests/unit.h"

static char text[512];

static const char *
drawn(const double *values, size_t n, size_t width, double top)
{
    struct ps_buf out;
    ps_buf_init(&out, sizeof(text));
    ps_spark(values, n, width, top, &out);
    ps_buf_append_char(&out, '\0');
    memcpy(text, out.data, out.len);
    ps_buf_done(&out);
    return text;
}

static void
nothing_is_blank_and_the_most_is_full(PS_UNUSED void **state)
{
    static const double values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, -1};
    assert_string_equal(drawn(values, 10, 60, 0), " ▁▂▃▄▅▆▇█ ");
    assert_string_equal(drawn(values, 0, 60, 0), "");
    assert_string_equal(drawn(values, 1, 60, 0), " ");
}

static void
a_little_shows_and_too_much_does_not_overflow(PS_UNUSED void **state)
{
    static const double values[] = {0.0001, 1000, 2000};
    assert_string_equal(drawn(values, 3, 60, 1000), "▁██");
}

static void
many_values_are_added_up(PS_UNUSED void **state)
{
    static const double values[] = {1, 1, 0, 0, 2, 2};
    assert_string_equal(drawn(values, 6, 3, 0), "▄ █");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_blank_and_the_most_is_full),
        cmocka_unit_test(a_little_shows_and_too_much_does_not_overflow),
        cmocka_unit_test(many_values_are_added_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
