/* One run of psctl. See ctl.h. */
#include "cli/ctl.h"

#include "cli/prompt.h"
#include "common/check.h"
#include "common/tls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    MAX_REPLY = 16 << 20
};

/* ---- failing and answering ---- */

enum ps_exit
ps_ctl_fail(struct ps_ctl *ctl, enum ps_exit rc, const char *code,
            const char *fmt, ...)
{
    va_list ap;
    snprintf(ctl->fault.code, sizeof(ctl->fault.code), "%s", code);
    va_start(ap, fmt);
    vsnprintf(ctl->fault.message, sizeof(ctl->fault.message), fmt, ap);
    va_end(ap);
    return rc;
}

enum ps_exit
ps_ctl_bad_value(struct ps_ctl *ctl, const char *option, const char *what)
{
    return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                       "`%s` is not right for --%s: give %s",
                       ps_ctl_value(ctl, option), option, what);
}

void
ps_ctl_print_json(struct ps_ctl *ctl, const json_t *json)
{
    struct ps_buf out;
    ps_buf_init(&out, PS_OUT_MAX);
    ps_json_render(json, 0, &out);
    ps_buf_append_char(&out, '\n');
    PS_CHECK(ps_buf_rc(&out) == PS_OK);
    ps_out_print(&out);
    ps_buf_done(&out);
    ctl->answered = true;
}

void
ps_ctl_print_table(struct ps_table *table)
{
    struct ps_buf out;
    ps_buf_init(&out, PS_OUT_MAX);
    ps_table_render(table, ps_out_colour(), &out);
    PS_CHECK(ps_buf_rc(&out) == PS_OK);
    ps_out_print(&out);
    ps_buf_done(&out);
}

/* "psctl: text" on standard error, cleaned. */
static void
say(const char *before, const char *text)
{
    struct ps_buf line;
    ps_buf_init(&line, 16384);
    ps_buf_append_c(&line, before);
    ps_text_clean(&line, ps_str_of(text));
    ps_buf_append_char(&line, '\n');
    fflush(stdout);
    fwrite(line.data, 1, line.len, stderr);
    ps_buf_done(&line);
}

void
ps_ctl_note(const struct ps_ctl *ctl, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (ctl->quiet || ctl->json)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say("", text);
}

bool
ps_ctl_print_list(struct ps_ctl *ctl, const json_t *items, const char *id_key)
{
    size_t n = json_array_size(items);
    if (ctl->json)
        ps_ctl_print_json(ctl, items);
    else if (ctl->quiet)
        for (size_t i = 0; i < n; i++)
            puts(ps_json_text(json_array_get(items, i), id_key));
    return ctl->json || ctl->quiet;
}

bool
ps_ctl_confirm(struct ps_ctl *ctl, const char *fmt, ...)
{
    char question[512];
    va_list ap;
    if (ps_ctl_value(ctl, "yes") || !ps_prompt_possible())
        return true;
    va_start(ap, fmt);
    vsnprintf(question, sizeof(question), fmt, ap);
    va_end(ap);
    if (ps_prompt_yes(question))
        return true;
    (void)ps_ctl_fail(ctl, PS_EXIT_FAILED, "cancelled", "nothing was changed");
    return false;
}

/* ---- JSON members ---- */

const char *
ps_json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t
ps_json_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool
ps_json_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

char *
ps_ctl_path(const char *before, const char *part, const char *after)
{
    static const char safe[] = "-._~";
    struct ps_buf path;
    ps_buf_init(&path, 65536);
    ps_buf_append_c(&path, before);
    for (; *part; part++) {
        unsigned char c = (unsigned char)*part;
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
            (c >= 'a' && c <= 'z') || strchr(safe, c))
            ps_buf_append_char(&path, (char)c);
        else
            ps_buf_printf(&path, "%%%02X", c);
    }
    ps_buf_append_c(&path, after);
    ps_buf_append_char(&path, '\0');
    PS_CHECK(ps_buf_rc(&path) == PS_OK);
    return ps_buf_take(&path, NULL);
}

/* ---- the control plane ---- */

enum ps_exit
ps_ctl_login(struct ps_ctl *ctl)
{
    if (!ctl->settings_loaded) {
        enum ps_exit rc = ps_settings_load(
            &ctl->settings, ps_ctl_value(ctl, "context"), &ctl->fault);
        if (rc != PS_EXIT_OK)
            return rc;
        ctl->settings_loaded = true;
    }
    if (ctl->settings.url && ctl->settings.token)
        return PS_EXIT_OK;
    return ps_ctl_fail(ctl, PS_EXIT_CONNECT, "not_logged_in",
                       ctl->settings.url
                           ? "there is no token for %s; set PORTSIDE_TOKEN or "
                             "use `psctl login`"
                           : "not logged in; use `psctl login --url "
                             "https://HOST:7600 --token-file FILE`%s",
                       ctl->settings.url ? ctl->settings.url : "");
}

enum {
    TRIES = 5 /* of a POST whose connection breaks */
};

static enum ps_exit
send_once(struct ps_ctl *ctl, struct ps_rest_call *call, json_t **out,
          char etag[PS_ETAG_MAX])
{
    struct ps_rest_reply reply;
    enum ps_exit rc = ps_rest_send(ctl->rest, call, &reply, &ctl->fault);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_rest_judge(call, &reply, &ctl->fault);
    if (rc == PS_EXIT_OK && out && reply.json == NULL && reply.status != 204)
        rc = ps_ctl_fail(ctl, PS_EXIT_FAILED, "not_portside",
                         "%s%s did not answer with JSON; check the address",
                         call->base, call->path);
    if (rc == PS_EXIT_OK && out)
        *out = json_incref(reply.json);
    if (rc == PS_EXIT_OK && etag)
        snprintf(etag, PS_ETAG_MAX, "%s", reply.etag);
    ps_rest_reply_done(&reply);
    return rc;
}

static bool
is_fault(const struct ps_ctl *ctl, const char *code)
{
    return strcmp(ctl->fault.code, code) == 0;
}

/* A connection that broke says nothing of whether the request took effect. With
 * its key it is safe to ask again: what was done is not done twice. */
static enum ps_exit
send_safely(struct ps_ctl *ctl, struct ps_rest_call *call, json_t **out,
            char etag[PS_ETAG_MAX])
{
    bool cut = false;
    unsigned pause_ms = 100;
    enum ps_exit rc;
    for (int i = 1;; i++) {
        rc = send_once(ctl, call, out, etag);
        if (rc == PS_EXIT_OK || !call->idempotency_key)
            return rc;
        cut |= is_fault(ctl, "connection");
        bool again = is_fault(ctl, "connection") ||
                     (cut && is_fault(ctl, "cannot_connect"));
        if (!again || i == TRIES)
            break;
        nanosleep(&(struct timespec){.tv_sec = pause_ms / 1000,
                                     .tv_nsec = pause_ms % 1000 * 1000000L},
                  NULL);
        pause_ms *= 2;
    }
    if (cut && rc == PS_EXIT_CONNECT)
        return ps_ctl_fail(ctl, rc, "outcome_unknown",
                           "the connection to %s broke before the answer came, "
                           "%d times; the request may have taken effect: look "
                           "before you repeat it",
                           call->base, TRIES);
    return rc;
}

static enum ps_exit
send_call(struct ps_ctl *ctl, const char *method, const char *path,
          const json_t *body, const char *if_match, json_t **out,
          char etag[PS_ETAG_MAX])
{
    char key[37];
    enum ps_exit rc = ps_ctl_login(ctl);
    if (rc != PS_EXIT_OK)
        return rc;
    struct ps_rest_call call = {
        .method = method,
        .base = ctl->settings.url,
        .path = path,
        .token = ctl->settings.token,
        .ca_pem = ctl->settings.ca_pem,
        .body = body,
        .if_match = if_match,
        .timeout_ms = ctl->timeout_ms,
        .max_bytes = MAX_REPLY,
    };
    if (strcmp(method, "POST") == 0) {
        ps_uuid_make(key);
        call.idempotency_key = key;
    }
    return send_safely(ctl, &call, out, etag);
}

enum ps_exit
ps_ctl_call(struct ps_ctl *ctl, const char *method, const char *path,
            const json_t *body, json_t **out)
{
    return send_call(ctl, method, path, body, NULL, out, NULL);
}

enum ps_exit
ps_ctl_read(struct ps_ctl *ctl, const char *path, json_t **out,
            char etag[PS_ETAG_MAX])
{
    return send_call(ctl, "GET", path, NULL, NULL, out, etag);
}

enum ps_exit
ps_ctl_change(struct ps_ctl *ctl, const char *method, const char *path,
              const json_t *body, const char *etag, const char *what,
              json_t **out)
{
    enum ps_exit rc =
        send_call(ctl, method, path, body, etag[0] ? etag : NULL, out, NULL);
    if (rc == PS_EXIT_FAILED && is_fault(ctl, "precondition_failed"))
        return ps_ctl_fail(ctl, rc, "precondition_failed",
                           "somebody else changed %s meanwhile, so nothing was "
                           "changed now; look at it and try again",
                           what);
    return rc;
}

enum {
    PAGE = 500,
    CURSOR_MAX = 2048,
    ITEMS_MAX = 1000000
};

/* "PATH?limit=N&cursor=..." */
static char *
page_path(const char *path, size_t limit, const char *cursor)
{
    char *text = NULL;
    PS_CHECK(asprintf(&text, "%s%climit=%zu%s%s", path,
                      strchr(path, '?') ? '&' : '?', limit,
                      *cursor ? "&cursor=" : "", cursor) >= 0);
    return text;
}

/* Bare arrays are what control planes before pages answer. */
static json_t *
items_of(json_t *reply)
{
    return json_is_array(reply) ? reply : json_object_get(reply, "items");
}

/* One more page behind the cursor, its items added to *all; *cursor becomes
 * that of the next, or "". */
static enum ps_exit
add_page(struct ps_ctl *ctl, const char *path, size_t limit, json_t **all,
         char cursor[CURSOR_MAX])
{
    json_auto_t *page = NULL;
    char *text = page_path(path, limit, cursor);
    enum ps_exit rc = ps_ctl_call(ctl, "GET", text, NULL, &page);
    free(text);
    if (rc != PS_EXIT_OK)
        return rc;
    if (!json_is_array(items_of(page)))
        return ps_ctl_fail(ctl, PS_EXIT_FAILED, "not_portside",
                           "the reply of %s has no items; check the address",
                           path);
    snprintf(cursor, CURSOR_MAX, "%s",
             json_is_object(page) ? ps_json_text(page, "next") : "");
    if (*all)
        PS_CHECK(json_array_extend(items_of(*all), items_of(page)) == 0);
    else
        *all = json_incref(page);
    return PS_EXIT_OK;
}

enum ps_exit
ps_ctl_pages(struct ps_ctl *ctl, const char *path, size_t max, json_t **out)
{
    json_t *all = NULL;
    char cursor[CURSOR_MAX] = "";
    size_t have = 0;
    do {
        enum ps_exit rc =
            add_page(ctl, path, PS_MIN((size_t)PAGE, max - have), &all, cursor);
        if (rc != PS_EXIT_OK) {
            json_decref(all);
            return rc;
        }
        have = json_array_size(items_of(all));
    } while (have < max && cursor[0]);
    if (json_is_object(all))
        json_object_del(all, "next");
    *out = all;
    return PS_EXIT_OK;
}

enum ps_exit
ps_ctl_list(struct ps_ctl *ctl, const char *path, json_t **items)
{
    json_t *reply;
    enum ps_exit rc = ps_ctl_pages(ctl, path, ITEMS_MAX, &reply);
    if (rc != PS_EXIT_OK)
        return rc;
    *items = json_incref(items_of(reply));
    json_decref(reply);
    return PS_EXIT_OK;
}

static enum ps_exit
not_found(struct ps_ctl *ctl, const json_t *items, const char *what,
          const char *which)
{
    struct ps_nearest nearest;
    size_t n = json_array_size(items);
    ps_nearest_init(&nearest, which);
    for (size_t i = 0; i < n; i++)
        ps_nearest_try(&nearest,
                       ps_json_text(json_array_get(items, i), "name"));
    const char *best = ps_nearest_take(&nearest);
    if (best && *best)
        return ps_ctl_fail(ctl, PS_EXIT_NOT_FOUND, "not_found",
                           "there is no %s `%s`; did you mean `%s`?", what,
                           which, best);
    return ps_ctl_fail(ctl, PS_EXIT_NOT_FOUND, "not_found",
                       "there is no %s `%s`; see `psctl %s list`", what, which,
                       strcmp(what, "join token") == 0 ? "agent join-token"
                                                       : what);
}

enum ps_exit
ps_ctl_find(struct ps_ctl *ctl, const char *path, const char *what,
            const char *which, json_t **item)
{
    json_t *items, *found = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, path, &items);
    if (rc != PS_EXIT_OK)
        return rc;
    size_t n = json_array_size(items), hits = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_array_get(items, i);
        if (strcmp(ps_json_text(one, "id"), which) == 0) {
            found = one;
            hits = 1;
            break;
        }
        if (strcmp(ps_json_text(one, "name"), which) == 0) {
            found = one;
            hits++;
        }
    }
    if (hits == 0)
        rc = not_found(ctl, items, what, which);
    else if (hits > 1)
        rc = ps_ctl_fail(ctl, PS_EXIT_FAILED, "ambiguous",
                         "%zu %ss are called `%s`; give the id instead", hits,
                         what, which);
    else
        *item = json_incref(found);
    json_decref(items);
    return rc;
}

enum ps_exit
ps_ctl_find_cache(struct ps_ctl *ctl, const char *which, json_t **cache)
{
    return ps_ctl_find(ctl, "/v1/caches", "cache", which, cache);
}

/* ---- the program ---- */

static void
print_fault(struct ps_ctl *ctl, enum ps_exit rc)
{
    say("psctl: ", ctl->fault.message);
    if (!ctl->json || ctl->answered)
        return;
    json_t *json =
        json_pack("{s:{s:s,s:s,s:i}}", "error", "code", ctl->fault.code,
                  "message", ctl->fault.message, "exitCode", (int)rc);
    if (json)
        ps_ctl_print_json(ctl, json);
    json_decref(json);
}

static enum ps_exit
print_help(const struct ps_args *args)
{
    struct ps_buf out;
    ps_buf_init(&out, PS_OUT_MAX);
    if (args->command)
        ps_help_command(args->command, &out);
    else
        ps_help_group(args->group, &out);
    ps_out_print(&out);
    ps_buf_done(&out);
    return PS_EXIT_OK;
}

static enum ps_exit
dispatch(struct ps_ctl *ctl)
{
    int64_t ms;
    const char *timeout = ps_ctl_value(ctl, "timeout");
    ctl->timeout_ms = 30000;
    if (timeout) {
        if (!ps_value_duration_ms(timeout, &ms) || ms < 1 || ms > 86400000)
            return ps_ctl_bad_value(ctl, "timeout",
                                    "a duration up to 1d, like 30s");
        ctl->timeout_ms = (uint64_t)ms;
    }
    if (ctl->args.help)
        return print_help(&ctl->args);
    if (ctl->args.command == NULL)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "which command? See `psctl%s%s --help`",
                           ctl->args.group[0] ? " " : "", ctl->args.group);
    return ctl->args.command->run(ctl);
}

static bool
json_wanted(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int
ps_ctl_main(int argc, char **argv)
{
    struct ps_ctl ctl = {.json = json_wanted(argc, argv)};
    struct ps_buf message;
    ps_out_start();
    ps_buf_init(&message, sizeof(ctl.fault.message));
    ctl.rest = ps_rest_new();
    enum ps_exit rc = ps_args_parse(&ctl.args, argc, argv, &message);
    if (rc != PS_EXIT_OK) {
        (void)ps_ctl_fail(&ctl, rc, "usage", "%.*s",
                          PS_STR_ARG(ps_buf_str(&message)));
    } else {
        ctl.json = ps_ctl_value(&ctl, "json") != NULL;
        ctl.quiet = ps_ctl_value(&ctl, "quiet") != NULL;
        rc = dispatch(&ctl);
    }
    if (rc != PS_EXIT_OK && ctl.fault.message[0])
        print_fault(&ctl, rc);
    ps_buf_done(&message);
    ps_rest_free(&ctl.rest);
    ps_settings_done(&ctl.settings);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "psctl: the output cannot be written: %s\n",
                strerror(errno));
        return rc == PS_EXIT_OK ? PS_EXIT_FAILED : (int)rc;
    }
    return (int)rc;
}
