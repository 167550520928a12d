/* Durations, sizes and numbers: what is read, refused and written back. */
#include "cli/value.h"
#include "tests/unit.h"

static void
reads_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0",     0        },
        {"0s",    0        },
        {"500ms", 500      },
        {"1s",    1000     },
        {"5m",    300000   },
        {"1h",    3600000  },
        {"7d",    604800000},
        {"1h30m", 5400000  },
        {"1m1ms", 60001    },
        {"010s",  10000    },
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(good); i++) {
        int64_t ms = -1;
        assert_true(ps_value_duration_ms(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
}

static void
refuses_what_is_no_duration(void **state)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5x",
                                      "1.5s",
                                      "-1s",
                                      " 1s",
                                      "1s ",
                                      "1hour",
                                      "9223372036854775807d",
                                      "99999999999999999999s"};
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(bad); i++) {
        int64_t ms = -7;
        assert_false(ps_value_duration_ms(bad[i], &ms));
        assert_int_equal(ms, -7);
    }
}

static void
reads_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {
        {"0",    0         },
        {"4096", 4096      },
        {"64k",  65536     },
        {"64K",  65536     },
        {"10M",  10485760  },
        {"1G",   1073741824},
        {"1GiB", 1073741824},
        {"2kB",  2048      },
        {"7B",   7         },
    };
    static const char *const bad[] = {
        "", "k", "1T", "1.5M", "-1", "1kk", "1 k", "9223372036854775807k"};
    int64_t bytes;
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(good); i++) {
        assert_true(ps_value_bytes(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(bad); i++)
        assert_false(ps_value_bytes(bad[i], &bytes));
}

static void
writes_what_it_reads(void **state)
{
    static const char *const durations[] = {"0",  "500ms", "1500ms", "90s",
                                            "1m", "1h",    "25h",    "2d"};
    static const char *const sizes[] = {"0", "1000", "1k", "1536", "3M", "2G"};
    char text[PS_VALUE_MAX];
    int64_t value;
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(durations); i++) {
        assert_true(ps_value_duration_ms(durations[i], &value));
        ps_value_format_duration(value, text);
        assert_string_equal(text, durations[i]);
    }
    for (size_t i = 0; i < PS_ARRAY_LEN(sizes); i++) {
        assert_true(ps_value_bytes(sizes[i], &value));
        ps_value_format_bytes(value, text);
        assert_string_equal(text, sizes[i]);
    }
}

static void
writes_times(void **state)
{
    char text[PS_VALUE_MAX];
    (void)state;
    ps_value_format_ms(210, text);
    assert_string_equal(text, "0.21");
    ps_value_format_ms(12345, text);
    assert_string_equal(text, "12.3");
    ps_value_format_ms(1234567, text);
    assert_string_equal(text, "1235");
    ps_value_format_time("2026-11-24T04:16:59.123Z", text);
    assert_string_equal(text, "2026-11-24 04:16:59");
    ps_value_format_time(NULL, text);
    assert_string_equal(text, "-");
    ps_value_format_time("", text);
    assert_string_equal(text, "-");
}

static void
writes_reals_exactly(void **state)
{
    static const double values[] = {
        0.1, 1.0 / 3.0, 1e21, 5e-324, -2.5, 1e15, 123456789.123456789};
    char text[PS_VALUE_MAX];
    (void)state;
    ps_value_format_real(0.1, text);
    assert_string_equal(text, "0.1");
    for (size_t i = 0; i < PS_ARRAY_LEN(values); i++) {
        ps_value_format_real(values[i], text);
        assert_true(strtod(text, NULL) == values[i]);
    }
}

static void
reads_integers_and_switches(void **state)
{
    int64_t value;
    bool on;
    (void)state;
    assert_true(ps_value_int("5432", &value));
    assert_int_equal(value, 5432);
    assert_true(ps_value_int("-1", &value));
    assert_int_equal(value, -1);
    assert_false(ps_value_int("", &value));
    assert_false(ps_value_int("-", &value));
    assert_false(ps_value_int("1x", &value));
    assert_false(ps_value_int("99999999999999999999", &value));
    assert_true(ps_value_bool("on", &on));
    assert_true(on);
    assert_true(ps_value_bool("no", &on));
    assert_false(on);
    assert_false(ps_value_bool("maybe", &on));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(reads_sizes),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(writes_times),
        cmocka_unit_test(writes_reals_exactly),
        cmocka_unit_test(reads_integers_and_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
