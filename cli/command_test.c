/* The command table and what is made from it. */
#include "cli/command.h"
#include "common/utf8.h"
#include "tests/unit.h"

#include <stdio.h>

enum {
    MAX_WORDS = 16
};

static struct ps_args args;
static struct ps_buf message;
/* The words of the last parse; args points into them. */
static char storage[MAX_WORDS][128];
static char *words[MAX_WORDS + 1];

static int
set_up(void **state)
{
    (void)state;
    ps_buf_init(&message, 65536);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    ps_buf_done(&message);
    return 0;
}

/* Parses a line, divided at blanks. */
static enum ps_exit
parse(const char *line)
{
    int n = 0;
    while (*line) {
        size_t len = strcspn(line, " ");
        assert_true(n < MAX_WORDS);
        snprintf(storage[n], sizeof(storage[n]), "%.*s", (int)len, line);
        words[n] = storage[n];
        n++;
        line += len + strspn(line + len, " ");
    }
    words[n] = NULL;
    ps_buf_clear(&message);
    enum ps_exit rc = ps_args_parse(&args, n, words, &message);
    ps_buf_append_char(&message, '\0');
    return rc;
}

static void
names_are_unique_and_grouped(void **state)
{
    const struct ps_command *a, *b;
    (void)state;
    for (size_t i = 0; (a = ps_command_at(i)) != NULL; i++) {
        for (size_t j = i + 1; (b = ps_command_at(j)) != NULL; j++)
            assert_string_not_equal(a->name, b->name);
        const char *blank = strchr(a->name, ' ');
        if (blank == NULL)
            continue;
        char group[32];
        snprintf(group, sizeof(group), "%.*s", (int)(blank - a->name), a->name);
        assert_true(ps_group_exists(group));
    }
    for (const char *const *g = ps_command_groups; *g; g++)
        assert_null(ps_command_find(*g));
}

static void
check_options(const struct ps_command *c)
{
    for (const struct ps_option *o = c->options; o && o->name; o++) {
        assert_non_null(o->help);
        assert_true(strlen(o->help) > 0);
        for (const struct ps_option *p = o + 1; p->name; p++)
            assert_string_not_equal(o->name, p->name);
        for (const struct ps_option *g = ps_global_options; g->name; g++)
            assert_string_not_equal(o->name, g->name);
        if (o->required)
            assert_non_null(strstr(c->synopsis, o->name));
    }
}

static void
every_command_is_complete(void **state)
{
    const struct ps_command *c;
    (void)state;
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++) {
        assert_non_null(c->synopsis);
        assert_non_null(c->summary);
        assert_true(strlen(c->summary) > 10);
        assert_non_null(c->run);
        assert_true(c->max_operands < 0 || c->max_operands >= c->min_operands);
        check_options(c);
    }
}

/* No line of a help text is wider than 80 columns. */
static void
check_width(const struct ps_buf *buf)
{
    size_t column = 0;
    for (size_t i = 0; i < buf->len; i++) {
        column = buf->data[i] == '\n' ? 0 : column + 1;
        assert_true(column <= 80);
    }
}

static void
every_command_has_help(void **state)
{
    const struct ps_command *c;
    struct ps_buf out;
    (void)state;
    ps_buf_init(&out, 65536);
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++) {
        ps_buf_clear(&out);
        ps_help_command(c, &out);
        check_width(&out);
        ps_buf_append_char(&out, '\0');
        assert_int_equal(ps_buf_rc(&out), PS_OK);
        assert_non_null(strstr(out.data, c->summary));
        assert_non_null(strstr(out.data, "Exit status:"));
        for (const struct ps_option *o = c->options; o && o->name; o++)
            assert_non_null(strstr(out.data, o->name));
    }
    ps_buf_clear(&out);
    ps_help_group("", &out);
    check_width(&out);
    ps_buf_append_char(&out, '\0');
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        assert_non_null(strstr(out.data, c->name));
    ps_buf_done(&out);
}

static void
reads_a_command_line(void **state)
{
    (void)state;
    assert_int_equal(parse("psctl --json cache update shop --ttl-min=5s "
                           "--pool-max 3 --quiet"),
                     PS_EXIT_OK);
    assert_string_equal(args.command->name, "cache update");
    assert_int_equal(args.n_operands, 1);
    assert_string_equal(args.operands[0], "shop");
    assert_string_equal(ps_args_value(&args, "ttl-min"), "5s");
    assert_string_equal(ps_args_value(&args, "pool-max"), "3");
    assert_non_null(ps_args_value(&args, "json"));
    assert_non_null(ps_args_value(&args, "quiet"));
    assert_null(ps_args_value(&args, "ttl-max"));
}

static void
takes_the_longest_name(void **state)
{
    (void)state;
    assert_int_equal(parse("psctl agent join-token --region eu"), PS_EXIT_OK);
    assert_string_equal(args.command->name, "agent join-token");
    assert_int_equal(parse("psctl agent join-token list"), PS_EXIT_OK);
    assert_string_equal(args.command->name, "agent join-token list");
    assert_int_equal(args.n_operands, 0);
}

static void
two_dashes_end_options(void **state)
{
    (void)state;
    assert_int_equal(parse("psctl query --cache c --user u --database d -- "
                           "--json -1 -"),
                     PS_EXIT_OK);
    assert_null(ps_args_value(&args, "json"));
    assert_int_equal(args.n_operands, 3);
    assert_string_equal(args.operands[0], "--json");
    assert_string_equal(args.operands[2], "-");
}

static void
asks_for_help(void **state)
{
    (void)state;
    assert_int_equal(parse("psctl cache create --help"), PS_EXIT_OK);
    assert_true(args.help);
    assert_string_equal(args.command->name, "cache create");
    assert_int_equal(parse("psctl cache -h"), PS_EXIT_OK);
    assert_true(args.help);
    assert_null(args.command);
    assert_string_equal(args.group, "cache");
    assert_int_equal(parse("psctl"), PS_EXIT_OK);
    assert_null(args.command);
    assert_false(args.help);
}

static void
says_what_would_be_right(void **state)
{
    static const struct {
        const char *line, *hint;
    } wrong[] = {
        {"psctl cache creat",                      "psctl cache create"},
        {"psctl create cache",                     "psctl cache create"},
        {"psctl cahce",                            "psctl cache"       },
        {"psctl statuss",                          "psctl status"      },
        {"psctl frobnicate",                       "psctl --help"      },
        {"psctl cache frobnicate",                 "psctl cache --help"},
        {"psctl cache list --jsn",                 "--json"            },
        {"psctl cache update a --tll-min 5s",      "--ttl-min"         },
        {"psctl cache update a --ttl-min",         "--ttl-min DURATION"},
        {"psctl cache update a --port 1 --port 2", "twice"             },
        {"psctl cache list --json=yes",            "takes no value"    },
        {"psctl cache show",                       "cache show CACHE"  },
        {"psctl cache show a b",                   "`b`"               },
        {"psctl agent join-token",                 "--region REGION"   },
        {"psctl cache list -x",                    "no option --x"     },
        {"psctl --nonsense",                       "psctl --help"      },
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(wrong); i++) {
        assert_int_equal(parse(wrong[i].line), PS_EXIT_USAGE);
        if (!strstr(message.data, wrong[i].hint))
            fail_msg("`%s`: `%s` does not contain `%s`", wrong[i].line,
                     message.data, wrong[i].hint);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(names_are_unique_and_grouped),
        TEST(every_command_is_complete),
        TEST(every_command_has_help),
        TEST(reads_a_command_line),
        TEST(takes_the_longest_name),
        TEST(two_dashes_end_options),
        TEST(asks_for_help),
        TEST(says_what_would_be_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
