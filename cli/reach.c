/* The reachability table, live. See reach.h. */
#include "cli/reach.h"

#include "common/check.h"
#include "common/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    POLL_MS = 200,
    PATIENCE_MS = 60000 /* the control plane itself gives up after 20 s */
};

static const char *const stages[] = {"resolve", "connect", "greeting", "tls"};

/* ---- the table ---- */

static const json_t *
find_stage(const json_t *result, const char *name)
{
    const json_t *list = json_object_get(result, "stages");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *stage = json_array_get(list, i);
        if (strcmp(ps_json_text(stage, "stage"), name) == 0)
            return stage;
    }
    return NULL;
}

/* TLS that did not take place, and rightly: the detail is the reason. */
static bool
was_skipped(const json_t *stage)
{
    return strcmp(ps_json_text(stage, "code"), "skipped") == 0;
}

static void
add_stage(struct ps_table *table, const json_t *result, const char *name)
{
    char text[PS_VALUE_MAX];
    const json_t *stage = find_stage(result, name);
    if (stage == NULL) {
        ps_table_add(table, PS_TINT_DIM,
                     ps_json_bool(result, "done") ? "-" : "...");
    } else if (was_skipped(stage)) {
        ps_table_add(table, PS_TINT_WARN, "none");
    } else if (strcmp(ps_json_text(stage, "code"), "ok") != 0) {
        ps_table_add(table, PS_TINT_BAD, ps_json_text(stage, "code"));
    } else {
        ps_value_format_ms((uint64_t)ps_json_int(stage, "timeUs"), text);
        ps_table_add(table, PS_TINT_NONE, text);
    }
}

static const char *
dash_if_empty(const char *text)
{
    return *text ? text : "-";
}

static void
add_result(struct ps_table *table, const json_t *result)
{
    ps_table_add(table, PS_TINT_NONE, ps_json_text(result, "region"));
    ps_table_add(table, PS_TINT_NONE, ps_json_text(result, "agentName"));
    for (size_t i = 0; i < PS_ARRAY_LEN(stages); i++)
        add_stage(table, result, stages[i]);
    ps_table_add(table, PS_TINT_NONE,
                 dash_if_empty(ps_json_text(result, "sourceAddress")));
    ps_table_add(table, PS_TINT_NONE,
                 dash_if_empty(ps_json_text(result, "targetAddress")));
    if (!ps_json_bool(result, "done"))
        ps_table_add(table, PS_TINT_DIM, "testing");
    else if (ps_json_bool(result, "ok"))
        ps_table_add(table, PS_TINT_GOOD, "reachable");
    else
        ps_table_add(table, PS_TINT_BAD, ps_json_text(result, "code"));
}

struct ps_table *
ps_reach_table(const json_t *run)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"),   PS_LEFT("AGENT"),     PS_RIGHT("RESOLVE"),
        PS_RIGHT("CONNECT"), PS_RIGHT("GREETING"), PS_RIGHT("TLS"),
        PS_LEFT("SOURCE"),   PS_LEFT("ADDRESS"),   PS_LEFT("RESULT")};
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    const json_t *results = json_object_get(run, "results");
    for (size_t i = 0; i < json_array_size(results); i++)
        add_result(table, json_array_get(results, i));
    return table;
}

/* ---- the live view ---- */

static volatile bool stopped;

static void
on_interrupt(int signal_number)
{
    (void)signal_number;
    stopped = true;
}

struct view {
    struct ps_ctl *ctl;
    bool silent, live;
    size_t lines; /* of the table that is on the screen */
    size_t *seen; /* stages already printed, per result */
    size_t n_seen;
    struct ps_buf out;
    struct sigaction before;
};

static void
view_open(struct view *view, struct ps_ctl *ctl)
{
    struct sigaction stop = {.sa_handler = on_interrupt};
    memset(view, 0, sizeof(*view));
    view->ctl = ctl;
    view->silent = ctl->json || ctl->quiet;
    const char *term = getenv("TERM");
    view->live =
        !view->silent && ps_out_terminal() && term && strcmp(term, "dumb") != 0;
    ps_buf_init(&view->out, PS_OUT_MAX);
    stopped = false;
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, &view->before);
    ps_rest_set_stop(ctl->rest, &stopped);
    if (view->live) /* no cursor; long lines are cut, not wrapped */
        ps_buf_append_c(&view->out, "\033[?25l\033[?7l");
}

static void
view_close(struct view *view)
{
    if (view->live) {
        ps_buf_append_c(&view->out, "\033[?7h\033[?25h");
        ps_out_print(&view->out);
        fflush(stdout);
    }
    ps_rest_set_stop(view->ctl->rest, NULL);
    sigaction(SIGINT, &view->before, NULL);
    ps_buf_done(&view->out);
    free(view->seen);
}

static size_t
screen_rows(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
        return 24;
    return size.ws_row;
}

/* Draws over the last table. One that is higher than the screen cannot be
 * drawn over; it appears once, at the end. */
static void
redraw(struct view *view, const json_t *run, bool last)
{
    struct ps_table *table = ps_reach_table(run);
    size_t lines = ps_table_rows(table) + 1;
    if (last || lines < screen_rows()) {
        if (view->lines > 0)
            ps_buf_printf(&view->out, "\033[%zuA\r\033[J", view->lines);
        ps_table_render(table, ps_out_colour(), &view->out);
        view->lines = lines;
        ps_out_print(&view->out);
        fflush(stdout);
    }
    ps_table_free(&table);
}

static void
print_stage(const json_t *result, const json_t *stage)
{
    char time[PS_VALUE_MAX];
    ps_value_format_ms((uint64_t)ps_json_int(stage, "timeUs"), time);
    const char *code = ps_json_text(stage, "code");
    const char *detail = ps_json_text(stage, "detail");
    struct ps_buf line;
    ps_buf_init(&line, 8192);
    ps_buf_printf(&line, "%s %s: ", ps_json_text(result, "region"),
                  ps_json_text(result, "agentName"));
    ps_buf_printf(&line, "%s %s", ps_json_text(stage, "stage"), code);
    if (!was_skipped(stage))
        ps_buf_printf(&line, " %s ms", time);
    if (*detail)
        ps_buf_printf(&line, " (%s)", detail);
    struct ps_buf clean;
    ps_buf_init(&clean, 32768);
    ps_text_clean(&clean, ps_buf_str(&line));
    ps_buf_append_char(&clean, '\n');
    ps_out_print(&clean);
    ps_buf_done(&clean);
    ps_buf_done(&line);
}

/* Prints the stages that have been added since the last look. */
static void
print_news(struct view *view, const json_t *run)
{
    const json_t *results = json_object_get(run, "results");
    size_t n = json_array_size(results);
    if (n > view->n_seen) {
        view->seen = reallocarray(view->seen, n, sizeof(*view->seen));
        PS_CHECK(view->seen);
        for (size_t i = view->n_seen; i < n; i++)
            view->seen[i] = 0;
        view->n_seen = n;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *result = json_array_get(results, i);
        const json_t *list = json_object_get(result, "stages");
        for (; view->seen[i] < json_array_size(list); view->seen[i]++)
            print_stage(result, json_array_get(list, view->seen[i]));
    }
    fflush(stdout);
}

static void
show(struct view *view, const json_t *run, bool last)
{
    if (view->silent)
        return;
    if (view->live) {
        redraw(view, run, last);
        return;
    }
    print_news(view, run);
    if (last) {
        struct ps_table *table = ps_reach_table(run);
        putchar('\n');
        ps_ctl_print_table(table);
        ps_table_free(&table);
    }
}

static void
print_advice(const json_t *run)
{
    const json_t *results = json_object_get(run, "results");
    struct ps_buf out;
    ps_buf_init(&out, PS_OUT_MAX);
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        bool ok = ps_json_bool(result, "ok");
        enum ps_tint tint = ok ? PS_TINT_GOOD : PS_TINT_BAD;
        const char *advice = ps_json_text(result, "advice");
        if (*advice == '\0')
            continue;
        ps_buf_append_c(&out, i ? "" : "\n");
        ps_tint_begin(&out, tint, ps_out_colour());
        ps_text_clean(&out, ps_str_of(ps_json_text(result, "region")));
        ps_buf_append_char(&out, ' ');
        ps_text_clean(&out, ps_str_of(ps_json_text(result, "agentName")));
        ps_tint_end(&out, tint, ps_out_colour());
        ps_buf_append_c(&out, ": ");
        ps_text_clean(&out, ps_str_of(advice));
        ps_buf_append_char(&out, '\n');
    }
    ps_out_print(&out);
    ps_buf_done(&out);
}

/* ---- following ---- */

static enum ps_exit
judge(struct ps_ctl *ctl, const json_t *run)
{
    const json_t *results = json_object_get(run, "results");
    size_t n = json_array_size(results), failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += !ps_json_bool(json_array_get(results, i), "ok");
    if (failed > 0)
        ps_ctl_note(ctl, "%zu of %zu agents do not reach the database.", failed,
                    n);
    return failed > 0 ? PS_EXIT_TEST : PS_EXIT_OK;
}

static enum ps_exit
watch(struct view *view, const char *path, json_t **run)
{
    struct ps_ctl *ctl = view->ctl;
    uint64_t until = ps_clock_now_ms(ps_clock_real()) + PATIENCE_MS;
    for (;;) {
        json_t *now = NULL;
        enum ps_exit rc = ps_ctl_call(ctl, "GET", path, NULL, &now);
        if (rc != PS_EXIT_OK)
            return rc;
        json_decref(*run);
        *run = now;
        bool done = strcmp(ps_json_text(now, "state"), "done") == 0;
        if (!done || json_array_size(json_object_get(now, "results")) > 0)
            show(view, now, done);
        if (done)
            return PS_EXIT_OK;
        if (ps_clock_now_ms(ps_clock_real()) > until)
            return ps_ctl_fail(ctl, PS_EXIT_TEST, "request_timeout",
                               "the reachability test did not end within 60 "
                               "s; see `psctl status`");
        poll(NULL, 0, POLL_MS);
        if (stopped)
            return ps_ctl_fail(ctl, PS_EXIT_INTERRUPTED, "interrupted",
                               "interrupted; the test itself goes on");
    }
}

enum ps_exit
ps_reach_follow(struct ps_ctl *ctl, const char *cache_id, const char *run_id,
                json_t **run)
{
    struct view view;
    *run = NULL;
    char *path = ps_ctl_path("/v1/caches/", cache_id, "/reachability");
    if (run_id) {
        char *with = NULL;
        PS_CHECK(asprintf(&with, "%s?run=%s", path, run_id) >= 0);
        free(path);
        path = with;
    }
    view_open(&view, ctl);
    enum ps_exit rc = watch(&view, path, run);
    view_close(&view);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (!view.silent)
        print_advice(*run);
    return judge(ctl, *run);
}
