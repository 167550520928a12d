/* What shells are told, and the manual page. */
#include "cli/command.h"
#include "cli/complete.h"
#include "cli/manual.h"
#include "tests/unit.h"

#include <stdio.h>

static struct ps_buf out;

/* The words of line, divided at blanks; a blank at its end begins an empty
 * one. Returns the candidates. */
static const char *
complete(const char *line)
{
    static char storage[16][64];
    char *words[16];
    int n = 0;
    for (;;) {
        size_t len = strcspn(line, " ");
        snprintf(storage[n], sizeof(storage[n]), "%.*s", (int)len, line);
        words[n] = storage[n];
        n++;
        if (!line[len])
            break;
        line += len + 1;
    }
    ps_buf_clear(&out);
    ps_complete(words, n, &out);
    ps_buf_append_char(&out, '\0');
    return out.data;
}

static void
words_of_commands(PS_UNUSED void **state)
{
    assert_non_null(strstr(complete(""), "cache\t\n"));
    assert_non_null(strstr(out.data, "login\tlog in"));
    assert_string_equal(complete("reg"), "region\t\n");
    assert_non_null(strstr(complete("cache "), "create\tdefine a cache"));
    assert_null(strstr(out.data, "region"));
    assert_string_equal(complete("cache crea"),
                        "create\tdefine a cache for a database\n");
    assert_string_equal(complete("cache create x"), "");
    assert_non_null(strstr(complete("agent join-token "), "list\t"));
}

static void
options_and_their_values(PS_UNUSED void **state)
{
    assert_non_null(strstr(complete("cache create --na"), "--name\t"));
    assert_null(strstr(out.data, "--host"));
    assert_non_null(strstr(complete("cache create --"), "--json\t"));
    assert_null(strstr(complete("cache list --"), "--host"));
    assert_string_equal(complete("cache create --write-ack "),
                        "local\t\nglobal\t\n");
    assert_string_equal(complete("cache create --write-ack g"), "global\t\n");
    assert_string_equal(complete("cache create --host "), "");
    assert_non_null(strstr(complete("--json cache cr"), "create\t"));
    assert_non_null(strstr(complete("cache create --host db --na"), "--name"));
}

static void
every_command_can_be_reached(PS_UNUSED void **state)
{
    const struct ps_command *c;
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++) {
        const char *last = strrchr(c->name, ' ');
        const char *found =
            strstr(complete(c->name), last ? last + 1 : c->name);
        assert_non_null(found);
    }
}

static void
scripts_for_three_shells(PS_UNUSED void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < PS_ARRAY_LEN(shells); i++)
        assert_non_null(
            strstr(ps_complete_script(shells[i]), "psctl completion words --"));
    assert_null(ps_complete_script("tcsh"));
}

static void
the_manual_has_every_command(PS_UNUSED void **state)
{
    const struct ps_command *c;
    ps_buf_clear(&out);
    ps_manual(&out);
    assert_int_equal(ps_buf_rc(&out), PS_OK);
    ps_buf_append_char(&out, '\0');
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        assert_non_null(strstr(out.data, c->summary[0] ? ".SS" : c->name));
    assert_non_null(strstr(out.data, ".SS \"cache create\""));
    assert_non_null(strstr(out.data, "\\fB\\-\\-write\\-ack\\fR"));
}

static int
set_up(PS_UNUSED void **state)
{
    ps_buf_init(&out, 1 << 20);
    return 0;
}

static int
tear_down(PS_UNUSED void **state)
{
    ps_buf_done(&out);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_commands),
        cmocka_unit_test(options_and_their_values),
        cmocka_unit_test(every_command_can_be_reached),
        cmocka_unit_test(scripts_for_three_shells),
        cmocka_unit_test(the_manual_has_every_command),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
