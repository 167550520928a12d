/*
 * One run of psctl: what was typed, where the control plane is, and how to
 * answer. The nouns' files use this and nothing below it.
 *
 * A handler returns its exit status. When it fails it has set the fault with
 * ps_ctl_fail() or got it from a call; ps_ctl_main() prints it once, as one
 * line on standard error and, with --json, as {"error": ...} on standard
 * output. Results go to standard output, notes to standard error.
 *
 * Single-threaded. Memory that cannot be had ends the program (PS_CHECK).
 */
#ifndef PS_CLI_CTL_H
#define PS_CLI_CTL_H

#include "cli/command.h"
#include "cli/output.h"
#include "cli/rest.h"
#include "cli/settings.h"
#include "cli/value.h"

#include <jansson.h>

struct ps_ctl {
    struct ps_args args;
    bool json, quiet;
    bool answered; /* the JSON document has been printed */
    uint64_t timeout_ms;
    struct ps_rest *rest;
    struct ps_settings settings;
    bool settings_loaded;
    struct ps_fault fault; /* message "" until something failed */
};

/* The whole program. */
int ps_ctl_main(int argc, char **argv);

/* ---- what was typed ---- */
static inline const char *
ps_ctl_value(const struct ps_ctl *ctl, const char *option)
{
    return ps_args_value(&ctl->args, option);
}
static inline const char *
ps_ctl_operand(const struct ps_ctl *ctl, int i)
{
    return ctl->args.operands[i];
}

/* ---- failing ---- */
/* Sets the fault and returns rc. */
enum ps_exit ps_ctl_fail(struct ps_ctl *ctl, enum ps_exit rc, const char *code,
                         const char *fmt, ...) PS_PRINTF(4, 5);
/* "--NAME VALUE is not WHAT" as a usage error. */
enum ps_exit ps_ctl_bad_value(struct ps_ctl *ctl, const char *option,
                              const char *what);

/* ---- the control plane ---- */
/* Loads the login; PS_EXIT_CONNECT when there is none. */
PS_MUST_USE enum ps_exit ps_ctl_login(struct ps_ctl *ctl);
/* One call as the logged-in user. *out (may be NULL) gets the reply, owned by
 * the caller; NULL for a reply without body. Takes no ownership of body. A POST
 * has a new Idempotency-Key and is sent again when the connection breaks. */
PS_MUST_USE enum ps_exit ps_ctl_call(struct ps_ctl *ctl, const char *method,
                                     const char *path, const json_t *body,
                                     json_t **out);
enum {
    PS_ETAG_MAX = 80
};
/* GET of one object, and its version ("" if it has none). */
PS_MUST_USE enum ps_exit ps_ctl_read(struct ps_ctl *ctl, const char *path,
                                     json_t **out, char etag[PS_ETAG_MAX]);
/* A change of what is still of that version; else the fault's code is
 * precondition_failed, and what says what it is about ("the rule"). */
PS_MUST_USE enum ps_exit ps_ctl_change(struct ps_ctl *ctl, const char *method,
                                       const char *path, const json_t *body,
                                       const char *etag, const char *what,
                                       json_t **out);
/* A list with the items of all its pages, at most max: the first page's reply
 * without "next". */
PS_MUST_USE enum ps_exit ps_ctl_pages(struct ps_ctl *ctl, const char *path,
                                      size_t max, json_t **reply);
/* The "items" of a list resource, of all its pages, owned by the caller. */
PS_MUST_USE enum ps_exit ps_ctl_list(struct ps_ctl *ctl, const char *path,
                                     json_t **items);
/* The cache with this id or this name, owned by the caller. */
PS_MUST_USE enum ps_exit ps_ctl_find_cache(struct ps_ctl *ctl,
                                           const char *which, json_t **cache);
/* The one item of a list whose id or name this is; what: "agent". A name that
 * several have is refused. Owned by the caller. */
PS_MUST_USE enum ps_exit ps_ctl_find(struct ps_ctl *ctl, const char *path,
                                     const char *what, const char *which,
                                     json_t **item);

/* ---- answering ---- */
/* A JSON document on standard output. */
void ps_ctl_print_json(struct ps_ctl *ctl, const json_t *json);
void ps_ctl_print_table(struct ps_table *table);
/* A line on standard error for people; not with --quiet or --json. */
void ps_ctl_note(const struct ps_ctl *ctl, const char *fmt, ...)
    PS_PRINTF(2, 3);
/* With --json the document, with --quiet one id per line; true if it was one
 * of them. id_key is the member that names an item. */
bool ps_ctl_print_list(struct ps_ctl *ctl, const json_t *items,
                       const char *id_key);
/* Asks "[y/N]" on a terminal unless --yes was given (the command must have
 * that option); true: go on. */
bool ps_ctl_confirm(struct ps_ctl *ctl, const char *fmt, ...) PS_PRINTF(2, 3);

/* Members of JSON objects, "" or 0 when absent or null. */
const char *ps_json_text(const json_t *object, const char *key);
int64_t ps_json_int(const json_t *object, const char *key);
bool ps_json_bool(const json_t *object, const char *key);

/* "/v1/caches/" + escaped part + rest; static storage is not used: the text
 * is owned by the caller. */
char *ps_ctl_path(const char *before, const char *part, const char *after);

#endif
