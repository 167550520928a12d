/*
 * Settings of a program from one table: name, kind, default, help. The
 * table makes the parser of the file ("name = value" lines, # comments), of
 * the command line (--name value, --name=value, --flag) and of the
 * environment (PORTSIDE_NAME), and the text of --help. Later sources win:
 * default < file < environment < command line, so a program calls them in
 * that order. A source that fails may have set some of its settings.
 *
 * File: one setting per line; a value in double quotes keeps its spaces and
 * #, otherwise " #" begins a comment. --no-flag is --flag=false.
 */
#ifndef PS_COMMON_CONF_H
#define PS_COMMON_CONF_H

#include "common/buf.h"
#include "common/err.h"

enum ps_conf_kind {
    PS_CONF_TEXT,    /* char *, owned */
    PS_CONF_BOOL,    /* bool: true/false/yes/no/on/off/1/0 */
    PS_CONF_INT,     /* int64_t, min..max */
    PS_CONF_BYTES,   /* int64_t, with suffix k, M, G (1024s) */
    PS_CONF_DURATION /* int64_t milliseconds, with suffix ms, s, m, h, d */
};

struct ps_conf_item {
    const char *name; /* "pool-max"; dashes */
    enum ps_conf_kind kind;
    size_t offset;        /* of the member in the settings struct */
    const char *fallback; /* default as text; NULL: none */
    int64_t min, max;     /* for numbers; max 0: no upper bound (and with min 0
                             none at all). Sizes and times are never < 0 */
    const char *help;     /* one line, with the unit */
};

/* Fills settings, zeroed before, with the defaults. */
PS_MUST_USE enum ps_rc ps_conf_defaults(const struct ps_conf_item *items,
                                        size_t count, void *settings,
                                        struct ps_err *err);
/* Errors name file, line, setting and what would be right. */
PS_MUST_USE enum ps_rc ps_conf_file(const struct ps_conf_item *items,
                                    size_t count, void *settings,
                                    const char *path, struct ps_err *err);
/* The same for a text in memory; where names it in errors. */
PS_MUST_USE enum ps_rc ps_conf_text(const struct ps_conf_item *items,
                                    size_t count, void *settings,
                                    struct ps_str text, const char *where,
                                    struct ps_err *err);
PS_MUST_USE enum ps_rc ps_conf_environment(const struct ps_conf_item *items,
                                           size_t count, void *settings,
                                           struct ps_err *err);
/* Consumes options of argv[1..]; argv[0] stays, what is left (operands) is
 * moved to argv[1..] and *argc set. "--" ends options. An unknown option is an
 * error that names the nearest known one. */
PS_MUST_USE enum ps_rc ps_conf_arguments(const struct ps_conf_item *items,
                                         size_t count, void *settings,
                                         int *argc, char **argv,
                                         struct ps_err *err);
/* The list of options for --help, 80 columns wide; to standard output. */
void ps_conf_help(const struct ps_conf_item *items, size_t count);
void ps_conf_help_text(const struct ps_conf_item *items, size_t count,
                       struct ps_buf *out);
/* Frees the texts. */
void ps_conf_done(const struct ps_conf_item *items, size_t count,
                  void *settings);

#endif
