/*
 * The command table: every verb of psctl with its synopsis, options, help and
 * handler. From it come the parser, --help, the messages about typing errors
 * and whatever else wants to know the commands (completion, manual pages).
 *
 * A command's name is one to three words ("cache create"). Each noun's file
 * has an array of its commands, ended by one without a name; command.c joins
 * them. Handlers ask for options by name; a name that is not in the table is
 * a fault of psctl and stops it.
 */
#ifndef PS_CLI_COMMAND_H
#define PS_CLI_COMMAND_H

#include "common/base.h"
#include "common/buf.h"

struct ps_ctl;

/* X(name, number, meaning): stable, scripts depend on them. */
#define PS_EXIT_TABLE(X)                                              \
    X(OK, 0, "done")                                                  \
    X(FAILED, 1, "refused or failed; the message says why")           \
    X(USAGE, 2, "the command line is wrong")                          \
    X(CONNECT, 3, "cannot connect, or not logged in")                 \
    X(NOT_FOUND, 4, "no such cache, region, agent, token or context") \
    X(TEST, 5, "the test or the query itself failed")                 \
    X(CHANGES, 6, "plan: what is there differs from the file")        \
    X(INTERRUPTED, 130, "stopped with Ctrl-C")

enum ps_exit {
#define X(name, number, meaning) PS_EXIT_##name = number,
    PS_EXIT_TABLE(X)
#undef X
};

struct ps_option {
    const char *name;  /* without the dashes */
    const char *value; /* what follows, "HOST"; NULL: a switch */
    const char *help;
    bool required;
};

struct ps_command {
    const char *name;
    const char *synopsis; /* after the name, "CACHE [options]" */
    const char *summary;  /* one line, no full stop */
    const char
        *details; /* paragraphs, one line each; " ..." lines stay; NULL */
    const struct ps_option *options; /* ended by one without a name; or NULL */
    int min_operands, max_operands;  /* max -1: any number */
    enum ps_exit (*run)(struct ps_ctl *ctl);
};

enum {
    PS_MAX_OPTIONS = 48
};

/* What was typed. Points into argv and the table. */
struct ps_args {
    const struct ps_command *command; /* NULL: help was asked for a group */
    const char *group;                /* "cache", "" for all of psctl */
    bool help;
    const struct ps_option *options[PS_MAX_OPTIONS];
    const char *values[PS_MAX_OPTIONS]; /* NULL: not given */
    size_t n_options;
    char **operands;
    int n_operands;
};

/* The i-th command of the whole table, NULL past the end. */
const struct ps_command *ps_command_at(size_t i);
/* By its full name; NULL: none. */
const struct ps_command *ps_command_find(const char *name);
/* Options that every command takes. */
extern const struct ps_option ps_global_options[];
/* What psctl reads from the environment, ended by one without a name. */
struct ps_variable {
    const char *name, *help;
};
extern const struct ps_variable ps_environment[];

/*
 * Reads argv (operands are moved to its front). PS_EXIT_USAGE with a message
 * that says what would have been right, or PS_EXIT_OK.
 */
PS_MUST_USE enum ps_exit ps_args_parse(struct ps_args *args, int argc,
                                       char **argv, struct ps_buf *message);
/* The option's text, NULL when it was not given. A switch has "". */
const char *ps_args_value(const struct ps_args *args, const char *name);

/* Has the command an option of this name? */
bool ps_command_takes(const struct ps_command *command, const char *option);

/* --help of one command, of a group of commands ("cache") or of all (""). */
void ps_help_command(const struct ps_command *command, struct ps_buf *out);
void ps_help_group(const char *group, struct ps_buf *out);
bool ps_group_exists(const char *group);
/* The nouns that have verbs, ended by NULL. */
extern const char *const ps_command_groups[];
/* The command or noun that was probably meant, or NULL. */
const char *ps_command_nearest(const char *typed);

/* The candidate nearest to what was typed, or NULL when none is near. */
struct ps_nearest {
    const char *typed, *best;
    size_t distance;
};
void ps_nearest_init(struct ps_nearest *nearest, const char *typed);
void ps_nearest_try(struct ps_nearest *nearest, const char *candidate);
const char *ps_nearest_take(const struct ps_nearest *nearest);

extern const struct ps_command ps_login_commands[];
extern const struct ps_command ps_context_commands[];
extern const struct ps_command ps_cache_commands[];
extern const struct ps_command ps_declare_commands[];
extern const struct ps_command ps_rule_commands[];
extern const struct ps_command ps_purge_commands[];
extern const struct ps_command ps_explain_commands[];
extern const struct ps_command ps_region_commands[];
extern const struct ps_command ps_agent_commands[];
extern const struct ps_command ps_token_commands[];
extern const struct ps_command ps_query_commands[];
extern const struct ps_command ps_stats_commands[];
extern const struct ps_command ps_audit_commands[];
extern const struct ps_command ps_advise_commands[];
extern const struct ps_command ps_events_commands[];
extern const struct ps_command ps_status_commands[];

#endif
