/* Settings from a table: ranges. (Any text at all: conf_fuzz.c.) */
#include "common/conf.h"
#include "tests/unit.h"

struct settings {
    int64_t wait_ms, bytes, number;
};

static const struct ps_conf_item items[] = {
    {"wait",   PS_CONF_DURATION, offsetof(struct settings, wait_ms), "10s", 1, 0,
     "at least 1 ms"},
    {"bytes",  PS_CONF_BYTES,    offsetof(struct settings, bytes),   "4k",  0, 0,
     "any size"     },
    {"number", PS_CONF_INT,      offsetof(struct settings, number),  "-7",  0, 0,
     "any number"   },
};

static enum ps_rc
read_text(struct settings *s, const char *text, struct ps_err *err)
{
    *s = (struct settings){0};
    assert_int_equal(ps_conf_defaults(items, PS_ARRAY_LEN(items), s, err),
                     PS_OK);
    return ps_conf_text(items, PS_ARRAY_LEN(items), s, ps_str_of(text), "test",
                        err);
}

static void
a_lower_bound_alone_leaves_the_top_open(void **state)
{
    struct settings s;
    struct ps_err err;
    (void)state;
    assert_int_equal(read_text(&s, "", &err), PS_OK);
    assert_int_equal(s.wait_ms, 10000);
    assert_int_equal(read_text(&s, "wait = 7d", &err), PS_OK);
    assert_int_equal(s.wait_ms, 7 * 86400000);
    assert_int_equal(read_text(&s, "wait = 0s", &err), PS_CONFIG);
    assert_non_null(strstr(err.message, "1 ms or more"));
}

static void
sizes_and_times_are_not_negative(void **state)
{
    struct settings s;
    struct ps_err err;
    (void)state;
    assert_int_equal(read_text(&s, "wait = -5s", &err), PS_CONFIG);
    assert_int_equal(read_text(&s, "bytes = -1", &err), PS_CONFIG);
    assert_int_equal(read_text(&s, "number = -1", &err), PS_OK);
    assert_int_equal(s.number, -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lower_bound_alone_leaves_the_top_open),
        cmocka_unit_test(sizes_and_times_are_not_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
