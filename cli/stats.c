/*
 * psctl stats | top: what was done with the queries, added up by the control
 * plane. stats answers once, top again and again; both make their tables of the
 * same rows.
 */
#include "cli/ctl.h"
#include "cli/spark.h"
#include "common/check.h"
#include "common/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SPARK_WIDTH = 60,
    SPARK_WIDTH_ROW = 20,
    STEPS_MAX = 400,
    TEXT_CUT = 96, /* characters of a template in a table */
    REASONS_SHOWN = 6
};

/* ---- cells ---- */

static double
real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void
add_int(struct ps_table *table, const json_t *row, const char *key)
{
    ps_table_addf(table, PS_TINT_NONE, "%" PRId64, ps_json_int(row, key));
}

static void
add_share(struct ps_table *table, const json_t *row, const char *key)
{
    ps_table_addf(table, PS_TINT_NONE, "%.1f %%", 100 * real(row, key));
}

/* A duration given in milliseconds; "-" when none was measured. */
static void
format_ms(double ms, char out[PS_VALUE_MAX])
{
    if (ms >= 100000)
        ps_value_format_duration((int64_t)(ms / 1000) * 1000, out);
    else
        ps_value_format_ms((uint64_t)(ms * 1000 + 0.5), out);
}

static void
add_p50(struct ps_table *table, const json_t *row, const char *which)
{
    char text[PS_VALUE_MAX];
    const json_t *durations = json_object_get(row, which);
    if (ps_json_int(durations, "count") == 0) {
        ps_table_add(table, PS_TINT_DIM, "-");
        return;
    }
    format_ms(real(durations, "p50Ms"), text);
    ps_table_add(table, PS_TINT_NONE, text);
}

static void
add_saved(struct ps_table *table, const json_t *row)
{
    ps_table_addf(table, PS_TINT_GOOD, "%.1f s",
                  real(row, "timeSavedMs") / 1000);
}

static void
add_ttl(struct ps_table *table, const json_t *row, const char *key)
{
    char text[PS_VALUE_MAX];
    int64_t ms = ps_json_int(row, key);
    if (ms == 0) {
        ps_table_add(table, PS_TINT_DIM, "-");
        return;
    }
    ps_value_format_duration(ms >= 1000 ? ms / 1000 * 1000 : ms, text);
    ps_table_add(table, PS_TINT_NONE, text);
}

/* In one line, cut between characters. */
static void
add_text(struct ps_table *table, const json_t *row)
{
    const char *text = ps_json_text(row, "text");
    size_t len = 0, n = 0;
    if (!text[0]) {
        bool other =
            strcmp(ps_json_text(row, "template"), "0000000000000000") == 0;
        ps_table_add(table, PS_TINT_DIM, other ? "(other)" : "(not told yet)");
        return;
    }
    while (text[len] && n < TEXT_CUT) {
        len++;
        while (((unsigned char)text[len] & 0xC0) == 0x80)
            len++;
        n++;
    }
    ps_table_addf(table, PS_TINT_NONE, "%.*s%s", (int)len, text,
                  text[len] ? "..." : "");
}

/* ---- series ---- */

static int64_t
wall_ms(const char *rfc3339)
{
    struct tm tm = {.tm_sec = 0};
    return strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm)
               ? (int64_t)timegm(&tm) * 1000
               : 0;
}

/* Every step of the range; those that are not in the series are 0. */
static size_t
fill(const json_t *reply, const json_t *series, const char *key,
     double values[STEPS_MAX])
{
    int64_t step = ps_json_int(reply, "stepMs");
    int64_t from = wall_ms(ps_json_text(reply, "from"));
    int64_t to = wall_ms(ps_json_text(reply, "to"));
    size_t n = 0;
    if (step <= 0 || to <= from)
        return 0;
    n = (size_t)PS_MIN((to - from) / step, (int64_t)STEPS_MAX);
    for (size_t i = 0; i < n; i++)
        values[i] = 0;
    for (size_t i = 0; i < json_array_size(series); i++) {
        const json_t *point = json_array_get(series, i);
        int64_t at = (wall_ms(ps_json_text(point, "start")) - from) / step;
        if (at >= 0 && (size_t)at < n)
            values[at] = real(point, key);
    }
    return n;
}

static void
add_spark(struct ps_table *table, const json_t *reply, const json_t *series,
          const char *key, size_t width, double top)
{
    double values[STEPS_MAX];
    size_t n = fill(reply, series, key, values);
    struct ps_buf line;
    ps_buf_init(&line, 4096);
    ps_spark(values, n, width, n > width ? 0 : top, &line);
    ps_buf_append_char(&line, '\0');
    PS_CHECK(ps_buf_rc(&line) == PS_OK);
    ps_table_add(table, PS_TINT_GOOD, line.data);
    ps_buf_done(&line);
}

/* ---- tables ---- */

static int
by_count(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    json_int_t n = json_integer_value(*x), m = json_integer_value(*y);
    return n < m ? 1 : n > m ? -1 : 0;
}

/* "first_seen 12, expired 3": the most frequent ones. */
static void
add_reasons(struct ps_table *table, const json_t *total)
{
    json_t *reasons = json_object_get(total, "reasons"), *value;
    const json_t *counts[64];
    const char *key;
    size_t n = 0;
    struct ps_buf text;
    ps_buf_init(&text, 8192);
    json_object_foreach(reasons, key, value)
    {
        if (n < PS_ARRAY_LEN(counts))
            counts[n++] = value;
    }
    qsort(counts, n, sizeof(counts[0]), by_count);
    for (size_t i = 0; i < PS_MIN(n, (size_t)REASONS_SHOWN); i++) {
        json_object_foreach(reasons, key, value)
        {
            if (value == counts[i])
                ps_buf_printf(&text, "%s%s %" JSON_INTEGER_FORMAT,
                              i ? ", " : "", key, json_integer_value(value));
        }
    }
    ps_buf_append_c(&text, n > REASONS_SHOWN ? ", ..." : n ? "" : "-");
    ps_buf_append_char(&text, '\0');
    ps_table_add(table, PS_TINT_NONE, text.data ? text.data : "-");
    ps_buf_done(&text);
}

static void
add_durations(struct ps_table *table, const json_t *total, const char *which)
{
    char p50[PS_VALUE_MAX], p95[PS_VALUE_MAX], p99[PS_VALUE_MAX];
    const json_t *d = json_object_get(total, which);
    if (ps_json_int(d, "count") == 0) {
        ps_table_add(table, PS_TINT_DIM, "-");
        return;
    }
    format_ms(real(d, "p50Ms"), p50);
    format_ms(real(d, "p95Ms"), p95);
    format_ms(real(d, "p99Ms"), p99);
    ps_table_addf(table, PS_TINT_NONE, "p50 %s ms, p95 %s ms, p99 %s ms", p50,
                  p95, p99);
}

static void
add_range(struct ps_table *table, const json_t *reply)
{
    char from[PS_VALUE_MAX], to[PS_VALUE_MAX], step[PS_VALUE_MAX];
    ps_value_format_time(ps_json_text(reply, "from"), from);
    ps_value_format_time(ps_json_text(reply, "to"), to);
    ps_value_format_duration(ps_json_int(reply, "stepMs"), step);
    ps_table_add(table, PS_TINT_DIM, "time");
    ps_table_addf(table, PS_TINT_NONE, "%s to %s UTC, by %s", from, to, step);
}

static void
print_total(const json_t *reply)
{
    struct ps_table *table = ps_table_new(NULL, 2);
    const json_t *t = json_object_get(reply, "total");
    const json_t *series = json_object_get(reply, "series");
    ps_table_add(table, PS_TINT_DIM, "cache");
    ps_table_add(table, PS_TINT_NONE, ps_json_text(reply, "cacheName"));
    add_range(table, reply);
    ps_table_add(table, PS_TINT_DIM, "queries");
    ps_table_addf(table, PS_TINT_NONE,
                  "%" PRId64 ": %" PRId64 " hits, %" PRId64 " misses, %" PRId64
                  " bypasses, %" PRId64 " writes; %" PRId64 " errors",
                  ps_json_int(t, "queries"), ps_json_int(t, "hits"),
                  ps_json_int(t, "misses"), ps_json_int(t, "bypasses"),
                  ps_json_int(t, "writes"), ps_json_int(t, "errors"));
    ps_table_add(table, PS_TINT_DIM, "hit ratio");
    add_share(table, t, "hitRatio");
    ps_table_add(table, PS_TINT_DIM, "cacheability");
    ps_table_addf(table, PS_TINT_NONE, "%.2f", real(t, "cacheability"));
    ps_table_add(table, PS_TINT_DIM, "from memory");
    add_durations(table, t, "memory");
    ps_table_add(table, PS_TINT_DIM, "from the origin");
    add_durations(table, t, "origin");
    ps_table_add(table, PS_TINT_DIM, "time saved");
    add_saved(table, t);
    ps_table_add(table, PS_TINT_DIM, "stale");
    ps_table_addf(table, ps_json_int(t, "stale") ? PS_TINT_WARN : PS_TINT_NONE,
                  "%" PRId64 " of %" PRId64 " that were checked",
                  ps_json_int(t, "stale"), ps_json_int(t, "verified"));
    ps_table_add(table, PS_TINT_DIM, "why no hits");
    add_reasons(table, t);
    if (series && ps_out_terminal()) {
        ps_table_add(table, PS_TINT_DIM, "queries");
        add_spark(table, reply, series, "queries", SPARK_WIDTH, 0);
        ps_table_add(table, PS_TINT_DIM, "hit ratio");
        add_spark(table, reply, series, "hitRatio", SPARK_WIDTH, 1);
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

static void
print_regions(const json_t *reply)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"),         PS_RIGHT("QUERIES"),
        PS_RIGHT("HIT RATIO"),     PS_RIGHT("MEMORY P50 MS"),
        PS_RIGHT("ORIGIN P50 MS"), PS_RIGHT("SAVED"),
        PS_RIGHT("ERRORS")};
    const json_t *rows = json_object_get(reply, "regions");
    if (json_array_size(rows) == 0)
        return;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        ps_table_add(table, PS_TINT_NONE, ps_json_text(row, "region"));
        add_int(table, row, "queries");
        add_share(table, row, "hitRatio");
        add_p50(table, row, "memory");
        add_p50(table, row, "origin");
        add_saved(table, row);
        add_int(table, row, "errors");
    }
    putchar('\n');
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

static void
print_templates(const json_t *reply)
{
    static const struct ps_column columns[] = {
        PS_LEFT("TEMPLATE"),       PS_RIGHT("QUERIES"),
        PS_RIGHT("HIT RATIO"),     PS_RIGHT("CACHEABLE"),
        PS_RIGHT("MEMORY P50 MS"), PS_RIGHT("ORIGIN P50 MS"),
        PS_RIGHT("SAVED"),         PS_RIGHT("TTL"),
        PS_RIGHT("ADVISED"),       PS_LEFT("TEXT")};
    const json_t *rows = json_object_get(reply, "templates");
    if (json_array_size(rows) == 0)
        return;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        ps_table_add(table, PS_TINT_DIM, ps_json_text(row, "template"));
        add_int(table, row, "queries");
        add_share(table, row, "hitRatio");
        ps_table_addf(table, PS_TINT_NONE, "%.2f", real(row, "cacheability"));
        add_p50(table, row, "memory");
        add_p50(table, row, "origin");
        add_saved(table, row);
        add_ttl(table, row, "ttlMs");
        add_ttl(table, row, "recommendedTtlMs");
        add_text(table, row);
    }
    putchar('\n');
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

static void
print_caches(const json_t *reply)
{
    static const struct ps_column columns[] = {
        PS_LEFT("CACHE"),          PS_RIGHT("QUERIES"),
        PS_RIGHT("PER SECOND"),    PS_RIGHT("HIT RATIO"),
        PS_RIGHT("MEMORY P50 MS"), PS_RIGHT("ORIGIN P50 MS"),
        PS_RIGHT("SAVED"),         PS_RIGHT("ERRORS"),
        PS_LEFT("QUERIES BY TIME")};
    size_t n = PS_ARRAY_LEN(columns) - (ps_out_terminal() ? 0 : 1);
    const json_t *rows = json_object_get(reply, "items");
    double seconds = (double)(wall_ms(ps_json_text(reply, "to")) -
                              wall_ms(ps_json_text(reply, "from"))) /
                     1000;
    struct ps_table *table = ps_table_new(columns, n);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *total = json_object_get(row, "total");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(row, "cacheName"));
        add_int(table, total, "queries");
        ps_table_addf(table, PS_TINT_NONE, "%.1f",
                      seconds > 0 ? real(total, "queries") / seconds : 0);
        add_share(table, total, "hitRatio");
        add_p50(table, total, "memory");
        add_p50(table, total, "origin");
        add_saved(table, total);
        add_int(table, total, "errors");
        if (n == PS_ARRAY_LEN(columns))
            add_spark(table, reply, json_object_get(row, "series"), "queries",
                      SPARK_WIDTH_ROW, 0);
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

/* ---- asking ---- */

/* Parameters from options; a value is checked by the control plane. one: of one
 * cache, where a limit is one of templates. */
static void
add_params(struct ps_ctl *ctl, struct ps_buf *path, const char *by, bool one)
{
    static const char *const names[] = {"since",    "from",  "to",   "region",
                                        "template", "order", "limit"};
    ps_buf_printf(path, "?by=%s", by);
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        /* top has fewer of them. */
        if ((!one && strcmp(names[i], "limit") == 0) ||
            !ps_command_takes(ctl->args.command, names[i]) ||
            !ps_ctl_value(ctl, names[i]))
            continue;
        char *escaped = ps_ctl_path("", ps_ctl_value(ctl, names[i]), "");
        ps_buf_printf(path, "&%s=%s", names[i], escaped);
        free(escaped);
    }
    ps_buf_append_char(path, '\0');
    PS_CHECK(ps_buf_rc(path) == PS_OK);
}

static enum ps_exit
ask_cache(struct ps_ctl *ctl, const char *id, const char *by, json_t **reply)
{
    struct ps_buf path;
    char *start = ps_ctl_path("/v1/caches/", id, "/stats");
    ps_buf_init(&path, 1 << 16);
    ps_buf_append_c(&path, start);
    add_params(ctl, &path, by, true);
    enum ps_exit rc = ps_ctl_call(ctl, "GET", path.data, NULL, reply);
    free(start);
    ps_buf_done(&path);
    return rc;
}

enum {
    CACHES_MAX = 100000
};

static enum ps_exit
ask_caches(struct ps_ctl *ctl, json_t **reply)
{
    struct ps_buf path;
    ps_buf_init(&path, 1 << 16);
    ps_buf_append_c(&path, "/v1/stats");
    add_params(ctl, &path, "time", false);
    enum ps_exit rc = ps_ctl_pages(ctl, path.data, CACHES_MAX, reply);
    ps_buf_done(&path);
    return rc;
}

/* The id of the cache that was named; "": none was. Owned by the caller. */
static enum ps_exit
find_cache(struct ps_ctl *ctl, char **id)
{
    json_auto_t *cache = NULL;
    if (ctl->args.n_operands == 0) {
        *id = strdup("");
        return PS_EXIT_OK;
    }
    enum ps_exit rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &cache);
    if (rc == PS_EXIT_OK)
        *id = strdup(ps_json_text(cache, "id"));
    return rc;
}

static enum ps_exit
stats(struct ps_ctl *ctl)
{
    json_auto_t *reply = NULL;
    const char *by = ps_ctl_value(ctl, "by");
    char *id = NULL;
    enum ps_exit rc = find_cache(ctl, &id);
    if (rc == PS_EXIT_OK && !id[0] && (by || ps_ctl_value(ctl, "template")))
        rc = ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                         "--by and --template are for one cache; name it");
    else if (rc == PS_EXIT_OK && !id[0])
        rc = ask_caches(ctl, &reply);
    else if (rc == PS_EXIT_OK)
        rc = ask_cache(ctl, id, by ? by : "time,region,template", &reply);
    if (rc == PS_EXIT_OK && ctl->json) {
        ps_ctl_print_json(ctl, reply);
    } else if (rc == PS_EXIT_OK && !ctl->quiet && !id[0]) {
        print_caches(reply);
    } else if (rc == PS_EXIT_OK && !ctl->quiet) {
        print_total(reply);
        print_regions(reply);
        print_templates(reply);
    }
    free(id);
    return rc;
}

/* ---- live ---- */

static volatile bool stopped;

static void
on_interrupt(int signal_number)
{
    (void)signal_number;
    stopped = true;
}

static enum ps_exit
show_once(struct ps_ctl *ctl, const char *id, bool live)
{
    json_auto_t *reply = NULL;
    enum ps_exit rc = id[0] ? ask_cache(ctl, id, "time,template", &reply)
                            : ask_caches(ctl, &reply);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        ps_ctl_print_json(ctl, reply);
        return rc;
    }
    if (live)
        fputs("\033[H\033[J", stdout); /* the screen, from its beginning */
    if (id[0]) {
        print_total(reply);
        print_templates(reply);
    } else {
        print_caches(reply);
    }
    fflush(stdout);
    return rc;
}

static enum ps_exit
follow(struct ps_ctl *ctl, const char *id, int64_t every_ms)
{
    struct sigaction stop = {.sa_handler = on_interrupt}, before;
    enum ps_exit rc = PS_EXIT_OK;
    stopped = false;
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, &before);
    ps_rest_set_stop(ctl->rest, &stopped);
    fputs("\033[?25l\033[?7l", stdout); /* no cursor, no wrapped lines */
    while (!stopped && rc == PS_EXIT_OK) {
        rc = show_once(ctl, id, true);
        if (rc == PS_EXIT_OK && !stopped)
            poll(NULL, 0, (int)every_ms);
    }
    fputs("\033[?25h\033[?7h", stdout);
    fflush(stdout);
    ps_rest_set_stop(ctl->rest, NULL);
    sigaction(SIGINT, &before, NULL);
    /* Ctrl-C is how one leaves it. */
    return stopped ? PS_EXIT_OK : rc;
}

static enum ps_exit
top(struct ps_ctl *ctl)
{
    const char *term = getenv("TERM"), *text = ps_ctl_value(ctl, "every");
    bool live = !ctl->json && !ctl->quiet && ps_out_terminal() && term &&
                strcmp(term, "dumb") != 0 && !ps_ctl_value(ctl, "once");
    int64_t every_ms = 2000;
    char *id = NULL;
    if (text && (!ps_value_duration_ms(text, &every_ms) || every_ms < 100 ||
                 every_ms > 3600000))
        return ps_ctl_bad_value(ctl, "every", "a duration from 100ms to 1h");
    enum ps_exit rc = find_cache(ctl, &id);
    if (rc == PS_EXIT_OK)
        rc = live ? follow(ctl, id, every_ms) : show_once(ctl, id, false);
    free(id);
    return rc;
}

/* clang-format off */
static const struct ps_option stats_options[] = {
    {.name = "since", .value = "DURATION",
     .help = "so far back: 90s, 15m, 24h, 7d; default 1h"},
    {.name = "from", .value = "TIME", .help = "from 2026-11-28T12:00:00Z on, instead of --since"},
    {.name = "to", .value = "TIME", .help = "until then; default now"},
    {.name = "by", .value = "LIST", .help = "of time, region, template; default all"},
    {.name = "region", .value = "REGION", .help = "of the agents of this region only"},
    {.name = "template", .value = "ID", .help = "of this template only, as the table shows it"},
    {.name = "order", .value = "WHAT",
     .help = "templates by queries (default), hits, misses, bypasses, writes, errors, rows, bytes, saved, origin, stale"},
    {.name = "limit", .value = "N", .help = "so many templates at most; default 20"},
    {.name = NULL},
};
static const struct ps_option top_options[] = {
    {.name = "since", .value = "DURATION", .help = "figures of so far back; default 1h"},
    {.name = "region", .value = "REGION", .help = "of the agents of this region only"},
    {.name = "order", .value = "WHAT", .help = "as for `psctl stats`"},
    {.name = "limit", .value = "N", .help = "so many templates at most; default 20"},
    {.name = "every", .value = "DURATION", .help = "time between two looks; default 2s"},
    {.name = "once", .help = "look once and stop; so it is without a terminal"},
    {.name = NULL},
};

const struct ps_command ps_stats_commands[] = {
    {
        .name = "stats",
        .synopsis = "[CACHE] [options]",
        .summary = "show what was done with the queries",
        .details =
            "Hits, misses and why, durations with and without memory, time saved, by\n"
            "region, time and template. Without CACHE a line for each cache.\n"
            "cacheability: the share of the queries that memory could have answered\n"
            "if times to live and rules were no limit. ADVISED: the time to live that\n"
            "automatic mode has learned.",
        .options = stats_options,
        .max_operands = 1,
        .run = stats,
    },
    {
        .name = "top",
        .synopsis = "[CACHE] [options]",
        .summary = "watch the caches, or the templates of one, live",
        .details = "Ctrl-C ends it. Agents tell their figures every ten seconds.",
        .options = top_options,
        .max_operands = 1,
        .run = top,
    },
    {.name = NULL},
};
/* clang-format on */
