/*
 * psctl context list | use | set | delete | show: logins by name. Nothing here
 * asks a server, and no token is printed.
 */
#include "cli/ctl.h"
#include "common/check.h"
#include "common/file.h"
#include "common/tls.h"

#include <stdlib.h>

enum {
    MAX_CA = 1 << 20
};

/* The file of logins while a command works with it. */
struct logins {
    char *path;
    json_t *file, *contexts;
};

static enum ps_exit
logins_open(struct ps_ctl *ctl, struct logins *logins)
{
    enum ps_exit rc = ps_logins_open(&logins->path, &logins->file, &ctl->fault);
    if (rc == PS_EXIT_OK)
        logins->contexts = json_object_get(logins->file, "contexts");
    return rc;
}

static void
logins_done(struct logins *logins)
{
    free(logins->path);
    json_decref(logins->file);
}

/* {name, current, url, token, tokenFile, caFingerprint} without the token. */
static json_t *
describe(const struct logins *logins, const char *name, const json_t *context)
{
    char fingerprint[65];
    const char *ca = ps_json_text(context, "ca");
    const char *file = json_string_value(json_object_get(context, "tokenFile"));
    bool current = strcmp(name, ps_logins_current(logins->file)) == 0;
    const char *token = file                              ? "file"
                        : *ps_json_text(context, "token") ? "kept"
                                                          : "none";
    bool pinned = *ca && ps_tls_fingerprint(ca, fingerprint, NULL) == PS_OK;
    json_t *out = json_pack(
        "{s:s,s:b,s:s,s:s,s:s?,s:s?}", "name", name, "current", (int)current,
        "url", ps_json_text(context, "url"), "token", token, "tokenFile", file,
        "caFingerprint", pinned ? fingerprint : NULL);
    PS_CHECK(out);
    return out;
}

static const char *
token_words(const json_t *described, char out[512])
{
    const char *token = ps_json_text(described, "token");
    if (strcmp(token, "file") == 0)
        snprintf(out, 512, "in %s", ps_json_text(described, "tokenFile"));
    else
        snprintf(out, 512, "%s", token);
    return out;
}

static int
by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* Every context, by name. */
static json_t *
describe_all(const struct logins *logins)
{
    size_t n = json_object_size(logins->contexts), i = 0;
    const char **names = calloc(n + 1, sizeof(*names));
    json_t *items = json_array();
    PS_CHECK(names && items);
    for (void *it = json_object_iter(logins->contexts); it;
         it = json_object_iter_next(logins->contexts, it))
        names[i++] = json_object_iter_key(it);
    qsort(names, n, sizeof(*names), by_name);
    for (i = 0; i < n; i++)
        json_array_append_new(
            items, describe(logins, names[i],
                            json_object_get(logins->contexts, names[i])));
    free(names);
    return items;
}

static void
print_table(const json_t *items)
{
    static const struct ps_column columns[] = {PS_LEFT("CURRENT"),
                                               PS_LEFT("NAME"), PS_LEFT("URL"),
                                               PS_LEFT("TOKEN"), PS_LEFT("CA")};
    char text[512];
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *c = json_array_get(items, i);
        bool pinned = *ps_json_text(c, "caFingerprint") != '\0';
        ps_table_add(table, PS_TINT_GOOD,
                     ps_json_bool(c, "current") ? "*" : "");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(c, "name"));
        ps_table_add(table, PS_TINT_NONE, ps_json_text(c, "url"));
        ps_table_add(table, PS_TINT_NONE, token_words(c, text));
        ps_table_add(table, PS_TINT_NONE, pinned ? "pinned" : "the system's");
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

static enum ps_exit
context_list(struct ps_ctl *ctl)
{
    struct logins logins = {.path = NULL};
    enum ps_exit rc = logins_open(ctl, &logins);
    if (rc != PS_EXIT_OK)
        return rc;
    json_auto_t *items = describe_all(&logins);
    if (!ps_ctl_print_list(ctl, items, "name")) {
        print_table(items);
        if (json_array_size(items) == 0)
            ps_ctl_note(ctl, "There is no login yet; use `psctl login`.");
    }
    logins_done(&logins);
    return PS_EXIT_OK;
}

static enum ps_exit
use(struct ps_ctl *ctl, const struct logins *logins, const char *name)
{
    if (ps_logins_find(logins->file, name, &ctl->fault) == NULL)
        return PS_EXIT_NOT_FOUND;
    json_object_set_new(logins->file, "current", json_string(name));
    enum ps_exit rc = ps_logins_write(logins->path, logins->file, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done =
            describe(logins, name, json_object_get(logins->contexts, name));
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "`%s` is the current context.", name);
    return PS_EXIT_OK;
}

static enum ps_exit
context_use(struct ps_ctl *ctl)
{
    struct logins logins = {.path = NULL};
    enum ps_exit rc = logins_open(ctl, &logins);
    if (rc == PS_EXIT_OK)
        rc = use(ctl, &logins, ps_ctl_operand(ctl, 0));
    logins_done(&logins);
    return rc;
}

static void
line(struct ps_table *table, const char *name, const char *text)
{
    ps_table_add(table, PS_TINT_DIM, name);
    ps_table_add(table, PS_TINT_NONE, text);
}

static enum ps_exit
show(struct ps_ctl *ctl, const struct logins *logins)
{
    char text[512];
    const char *name = ctl->args.n_operands ? ps_ctl_operand(ctl, 0)
                                            : ps_ctl_value(ctl, "context");
    if (name == NULL)
        name = ps_context_of_environment();
    if (name == NULL)
        name = ps_logins_current(logins->file);
    const json_t *context = ps_logins_find(logins->file, name, &ctl->fault);
    if (context == NULL)
        return PS_EXIT_NOT_FOUND;
    json_auto_t *described = describe(logins, name, context);
    if (ctl->json)
        ps_ctl_print_json(ctl, described);
    if (ctl->json || ctl->quiet)
        return PS_EXIT_OK;
    const char *ca = ps_json_text(described, "caFingerprint");
    struct ps_table *table = ps_table_new(NULL, 2);
    line(table, "name", name);
    line(table, "current", ps_json_bool(described, "current") ? "yes" : "no");
    line(table, "url", ps_json_text(described, "url"));
    line(table, "token", token_words(described, text));
    line(table, "CA", *ca ? ca : "the system's");
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static enum ps_exit
context_show(struct ps_ctl *ctl)
{
    struct logins logins = {.path = NULL};
    enum ps_exit rc = logins_open(ctl, &logins);
    if (rc == PS_EXIT_OK)
        rc = show(ctl, &logins);
    logins_done(&logins);
    return rc;
}

/* ---- set ---- */

/* A token belongs to the URL that it was given for: with another one, token
 * and CA must be given anew. */
static enum ps_exit
set_url(struct ps_ctl *ctl, json_t *context)
{
    const char *typed = ps_ctl_value(ctl, "url");
    if (typed == NULL)
        return *ps_json_text(context, "url")
                   ? PS_EXIT_OK
                   : ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                                 "--url URL is missing: a new context needs "
                                 "one");
    char *url = ps_url_normal(typed);
    bool good = strncmp(url, "https://", 8) == 0 && url[8];
    if (good && strcmp(url, ps_json_text(context, "url")) != 0) {
        json_object_clear(context);
        json_object_set_new(context, "url", json_string(url));
    }
    free(url);
    return good ? PS_EXIT_OK
                : ps_ctl_bad_value(ctl, "url", "https://HOST:7600");
}

static enum ps_exit
set_token(struct ps_ctl *ctl, json_t *context)
{
    const char *file = ps_ctl_value(ctl, "token-file");
    const char *path = ps_ctl_value(ctl, "token-path");
    if (file && path)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "give --token-file or --token-path, not both");
    if (path) {
        char *whole = realpath(path, NULL);
        if (whole == NULL)
            return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                               "there is no file %s", path);
        json_object_del(context, "token");
        json_object_set_new(context, "tokenFile", json_string(whole));
        free(whole);
    }
    if (file) {
        char *token;
        enum ps_exit rc = ps_secret_read(file, &token, &ctl->fault);
        if (rc != PS_EXIT_OK)
            return rc;
        json_object_del(context, "tokenFile");
        json_object_set_new(context, "token", json_string(token));
        ps_secret_free(&token);
    }
    return PS_EXIT_OK;
}

static enum ps_exit
set_ca(struct ps_ctl *ctl, json_t *context)
{
    char fingerprint[65], *pem;
    struct ps_err err;
    const char *file = ps_ctl_value(ctl, "ca-file");
    if (file == NULL)
        return PS_EXIT_OK;
    if (ps_file_read(file, MAX_CA, &pem, &(size_t){0}, &err) != PS_OK)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage", "%s", err.message);
    bool good = ps_tls_fingerprint(pem, fingerprint, &err) == PS_OK;
    if (good)
        json_object_set_new(context, "ca", json_string(pem));
    free(pem);
    return good ? PS_EXIT_OK
                : ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                              "%s holds no certificate in PEM form", file);
}

static enum ps_exit
set(struct ps_ctl *ctl, const struct logins *logins)
{
    const char *name = ps_ctl_operand(ctl, 0);
    enum ps_exit rc = ps_context_name_check(name, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    json_t *context = json_object_get(logins->contexts, name);
    bool fresh = context == NULL;
    bool first = json_object_get(logins->contexts,
                                 ps_logins_current(logins->file)) == NULL;
    if (fresh) {
        context = json_object();
        json_object_set_new(logins->contexts, name, context);
    }
    rc = set_url(ctl, context);
    if (rc == PS_EXIT_OK)
        rc = set_token(ctl, context);
    if (rc == PS_EXIT_OK)
        rc = set_ca(ctl, context);
    if (rc != PS_EXIT_OK)
        return rc;
    if (first)
        json_object_set_new(logins->file, "current", json_string(name));
    rc = ps_logins_write(logins->path, logins->file, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    json_auto_t *described = describe(logins, name, context);
    if (ctl->json)
        ps_ctl_print_json(ctl, described);
    ps_ctl_note(ctl, "The context `%s` is %s.", name,
                fresh ? "added" : "changed");
    if (strcmp(ps_json_text(described, "token"), "none") == 0)
        ps_ctl_note(ctl, "It has no token: give --token-file or --token-path.");
    return PS_EXIT_OK;
}

static enum ps_exit
context_set(struct ps_ctl *ctl)
{
    struct logins logins = {.path = NULL};
    enum ps_exit rc = logins_open(ctl, &logins);
    if (rc == PS_EXIT_OK)
        rc = set(ctl, &logins);
    logins_done(&logins);
    return rc;
}

/* ---- delete ---- */

static enum ps_exit
forget(struct ps_ctl *ctl, const struct logins *logins, const char *name)
{
    if (ps_logins_find(logins->file, name, &ctl->fault) == NULL)
        return PS_EXIT_NOT_FOUND;
    bool current = strcmp(name, ps_logins_current(logins->file)) == 0;
    if (!ps_ctl_confirm(ctl, "Forget the context `%s` and its token?", name))
        return PS_EXIT_FAILED;
    json_object_del(logins->contexts, name);
    enum ps_exit rc = ps_logins_write(logins->path, logins->file, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "name", name, "deleted", 1);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "The context `%s` is forgotten.%s", name,
                current ? " It was the current one: choose another with "
                          "`psctl context use`."
                        : "");
    return PS_EXIT_OK;
}

static enum ps_exit
context_delete(struct ps_ctl *ctl)
{
    struct logins logins = {.path = NULL};
    enum ps_exit rc = logins_open(ctl, &logins);
    if (rc == PS_EXIT_OK)
        rc = forget(ctl, &logins, ps_ctl_operand(ctl, 0));
    logins_done(&logins);
    return rc;
}

/* clang-format off */
#define PRECEDENCE                                                           \
    "Which login a command uses, the first that is there: --context NAME, "  \
    "and then nothing of the environment; PORTSIDE_URL, PORTSIDE_TOKEN and " \
    "PORTSIDE_CA, each in place of what the login says; the context that "   \
    "PORTSIDE_CONTEXT names; the current context."

static const struct ps_option set_options[] = {
    {.name = "url", .value = "URL",
     .help = "the control plane, https://HOST:7600; another URL than before "
             "drops token and CA"},
    {.name = "token-file", .value = "FILE",
     .help = "take the API token from this file and keep it; - is standard "
             "input"},
    {.name = "token-path", .value = "FILE",
     .help = "leave the API token in this file and read it when it is needed"},
    {.name = "ca-file", .value = "FILE",
     .help = "the control plane's CA certificate, PEM; default: the system's "
             "bundle"},
    {.name = NULL},
};
static const struct ps_option delete_options[] = {
    {.name = "yes", .help = "do not ask"},
    {.name = NULL},
};

const struct ps_command ps_context_commands[] = {
    {
        .name = "context list",
        .synopsis = "",
        .summary = "list the logins kept on this machine",
        .details = PRECEDENCE "\n\nTokens are never printed.",
        .run = context_list,
    },
    {
        .name = "context use",
        .synopsis = "NAME",
        .summary = "make a login the current one",
        .details = PRECEDENCE,
        .min_operands = 1,
        .max_operands = 1,
        .run = context_use,
    },
    {
        .name = "context set",
        .synopsis = "NAME [--url URL] [--token-file FILE | --token-path FILE] "
                    "[--ca-file FILE]",
        .summary = "add or change a login without asking the server",
        .details =
            "What is not given stays. `psctl login --context NAME` does the "
            "same and checks CA and token at the server before it keeps them."
            "\n\n" PRECEDENCE,
        .options = set_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = context_set,
    },
    {
        .name = "context delete",
        .synopsis = "NAME [--yes]",
        .summary = "forget a login and its token",
        .options = delete_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = context_delete,
    },
    {
        .name = "context show",
        .synopsis = "[NAME]",
        .summary = "show a login, by default the one in use",
        .details = PRECEDENCE,
        .max_operands = 1,
        .run = context_show,
    },
    {.name = NULL},
};
/* clang-format on */
