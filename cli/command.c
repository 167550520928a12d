/*
 * Joins the nouns' tables and reads a command line against them:
 *
 *   psctl [global options] noun [verb] [options and operands in any order]
 *
 * "--" ends the options. Options take their value as --name value or
 * --name=value and may be given once.
 */
#include "cli/command.h"

#include "common/check.h"

#include <stdio.h>

/* clang-format off */
static const struct ps_command *const tables[] = {
    ps_login_commands,
    ps_context_commands,
    ps_cache_commands,
    ps_rule_commands,
    ps_purge_commands,
    ps_explain_commands,
    ps_declare_commands,
    ps_region_commands,
    ps_agent_commands,
    ps_token_commands,
    ps_query_commands,
    ps_stats_commands,
    ps_advise_commands,
    ps_audit_commands,
    ps_events_commands,
    ps_status_commands,
};
/* clang-format on */

const char *const ps_command_groups[] = {"context", "cache", "rule", "region",
                                         "agent",   "token", NULL};

/* clang-format off */
const struct ps_option ps_global_options[] = {
    {.name = "json", .help = "print one JSON document, for programs"},
    {.name = "quiet", .help = "print ids only, or nothing"},
    {.name = "timeout", .value = "DURATION",
     .help = "longest wait for one reply; default 30s"},
    {.name = "context", .value = "NAME",
     .help = "use this login, whatever the environment says"},
    {.name = "help", .help = "print this and stop"},
    {.name = NULL},
};
/* clang-format on */

const struct ps_command *
ps_command_at(size_t i)
{
    for (size_t t = 0; t < PS_ARRAY_LEN(tables); t++)
        for (const struct ps_command *c = tables[t]; c->name; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

const struct ps_command *
ps_command_find(const char *name)
{
    const struct ps_command *c;
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

bool
ps_command_takes(const struct ps_command *command, const char *option)
{
    for (const struct ps_option *o = command->options; o && o->name; o++)
        if (strcmp(o->name, option) == 0)
            return true;
    return false;
}

bool
ps_group_exists(const char *group)
{
    for (const char *const *g = ps_command_groups; *g; g++)
        if (strcmp(*g, group) == 0)
            return true;
    return false;
}

const char *
ps_command_nearest(const char *typed)
{
    struct ps_nearest nearest;
    const struct ps_command *c;
    ps_nearest_init(&nearest, typed);
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        ps_nearest_try(&nearest, c->name);
    for (const char *const *g = ps_command_groups; *g; g++)
        ps_nearest_try(&nearest, *g);
    return ps_nearest_take(&nearest);
}

/* Joins n words with blanks. */
static void
join(char *out, size_t size, char **words, int n)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, i ? " %s" : "%s", words[i]);
}

static int
count_words(char **argv, int n)
{
    int words = 0;
    while (words < n && words < 3 && argv[words][0] != '-')
        words++;
    return words;
}

/* The longest name that the words begin with; *used of them. */
static const struct ps_command *
match(char **argv, int n, int *used)
{
    char name[128];
    for (int words = count_words(argv, n); words > 0; words--) {
        join(name, sizeof(name), argv, words);
        const struct ps_command *c = ps_command_find(name);
        if (c) {
            *used = words;
            return c;
        }
    }
    return NULL;
}

static enum ps_exit
unknown_command(char **argv, int n, struct ps_buf *message)
{
    char typed[128], swapped[128];
    int words = PS_MIN(count_words(argv, n), 2);
    join(typed, sizeof(typed), argv, words);
    snprintf(swapped, sizeof(swapped), "%s %s", words > 1 ? argv[1] : "",
             argv[0]);
    const char *best = ps_command_nearest(typed);
    if (best == NULL)
        best = ps_command_nearest(swapped);
    ps_buf_printf(message, "there is no command `%s`", typed);
    if (best)
        ps_buf_printf(message, "; did you mean `psctl %s`?", best);
    else
        ps_buf_printf(message, "; see `psctl%s%s --help`",
                      ps_group_exists(argv[0]) ? " " : "",
                      ps_group_exists(argv[0]) ? argv[0] : "");
    return PS_EXIT_USAGE;
}

static void
add_options(struct ps_args *args, const struct ps_option *options)
{
    for (; options && options->name; options++) {
        PS_CHECK(args->n_options < PS_MAX_OPTIONS);
        args->options[args->n_options] = options;
        args->values[args->n_options++] = NULL;
    }
}

static enum ps_exit
unknown_option(const struct ps_args *args, const char *typed,
               struct ps_buf *message)
{
    struct ps_nearest nearest;
    ps_nearest_init(&nearest, typed);
    for (size_t i = 0; i < args->n_options; i++)
        ps_nearest_try(&nearest, args->options[i]->name);
    const char *best = ps_nearest_take(&nearest);
    const char *command = args->command ? args->command->name : "";
    ps_buf_printf(message, "psctl%s%s has no option --%s", *command ? " " : "",
                  command, typed);
    if (best)
        ps_buf_printf(message, "; did you mean --%s?", best);
    else
        ps_buf_printf(message, "; see `psctl%s%s --help`", *command ? " " : "",
                      command);
    return PS_EXIT_USAGE;
}

/* Takes the option at argv[*at] and its value; *at is its last word then. */
static enum ps_exit
take_option(struct ps_args *args, char **argv, int argc, int *at,
            struct ps_buf *message)
{
    char name[64];
    const char *word = argv[*at];
    if (strcmp(word, "-h") == 0)
        word = "--help";
    if (strcmp(word, "-q") == 0)
        word = "--quiet";
    if (strcmp(word, "-f") == 0)
        word = "--file";
    const char *text = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(name, sizeof(name), "%.*s", (int)PS_MIN(len, (size_t)60), text);
    size_t i = 0;
    while (i < args->n_options && strcmp(args->options[i]->name, name) != 0)
        i++;
    if (i == args->n_options || word[1] != '-')
        return unknown_option(args, name, message);
    const struct ps_option *option = args->options[i];
    if (args->values[i]) {
        ps_buf_printf(message, "--%s is given twice", name);
        return PS_EXIT_USAGE;
    }
    if (option->value == NULL && equals) {
        ps_buf_printf(message, "--%s takes no value", name);
        return PS_EXIT_USAGE;
    }
    if (option->value && equals == NULL && ++*at >= argc) {
        ps_buf_printf(message, "--%s needs a value: --%s %s", name, name,
                      option->value);
        return PS_EXIT_USAGE;
    }
    args->values[i] = option->value == NULL ? ""
                      : equals              ? equals + 1
                                            : argv[*at];
    return PS_EXIT_OK;
}

static enum ps_exit
check_operands(const struct ps_args *args, struct ps_buf *message)
{
    const struct ps_command *c = args->command;
    bool many = c->max_operands >= 0 && args->n_operands > c->max_operands;
    if (args->n_operands < c->min_operands || many) {
        if (many)
            ps_buf_printf(message, "`%s` is one argument too many",
                          args->operands[c->max_operands]);
        else
            ps_buf_printf(message, "something is missing");
        ps_buf_printf(message, "; usage: psctl %s %s", c->name, c->synopsis);
        return PS_EXIT_USAGE;
    }
    for (size_t i = 0; i < args->n_options; i++) {
        const struct ps_option *option = args->options[i];
        if (option->required && args->values[i] == NULL) {
            ps_buf_printf(message, "--%s %s is missing; usage: psctl %s %s",
                          option->name, option->value, c->name, c->synopsis);
            return PS_EXIT_USAGE;
        }
    }
    return PS_EXIT_OK;
}

/* Finds the command that the words name; false: only a group or nothing. */
static enum ps_exit
find_command(struct ps_args *args, char **argv, int n, int *used,
             struct ps_buf *message)
{
    *used = 0;
    if (n == 0)
        return PS_EXIT_OK;
    args->command = match(argv, n, used);
    if (args->command)
        return PS_EXIT_OK;
    bool alone = n == 1 || argv[1][0] == '-';
    if (!ps_group_exists(argv[0]) || !alone)
        return unknown_command(argv, n, message);
    args->group = argv[0];
    *used = 1;
    return PS_EXIT_OK;
}

enum ps_exit
ps_args_parse(struct ps_args *args, int argc, char **argv,
              struct ps_buf *message)
{
    enum ps_exit rc = PS_EXIT_OK;
    int used, at = 1;
    memset(args, 0, sizeof(*args));
    args->group = "";
    args->operands = argv + 1;
    add_options(args, ps_global_options);
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        rc = take_option(args, argv, argc, &at, message);
        if (rc != PS_EXIT_OK)
            return rc;
    }
    rc = find_command(args, argv + at, argc - at, &used, message);
    if (rc != PS_EXIT_OK)
        return rc;
    at += used;
    if (args->command)
        add_options(args, args->command->options);
    bool ended = false;
    for (; at < argc; at++) {
        if (!ended && strcmp(argv[at], "--") == 0)
            ended = true;
        else if (ended || argv[at][0] != '-' || argv[at][1] == '\0')
            args->operands[args->n_operands++] = argv[at];
        else if ((rc = take_option(args, argv, argc, &at, message)) !=
                 PS_EXIT_OK)
            return rc;
    }
    args->help = ps_args_value(args, "help") != NULL;
    if (args->command && !args->help)
        rc = check_operands(args, message);
    return rc;
}

const char *
ps_args_value(const struct ps_args *args, const char *name)
{
    for (size_t i = 0; i < args->n_options; i++)
        if (strcmp(args->options[i]->name, name) == 0)
            return args->values[i];
    PS_CHECK(!"an option that is not in the command's table");
    return NULL;
}
