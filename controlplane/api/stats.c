/*
 * What was done with the queries: of one cache by time, region and template,
 * and of all caches at once. The figures are those of common/usage.h.
 */
#include "common/clock.h"
#include "controlplane/api/api_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LIMIT_DEFAULT = 20
};
#define HOUR_MS INT64_C(3600000)

/* What may be asked for. */
struct question {
    struct ps_rollup_query query;
    char region[64];
    bool by_time, by_region, by_template, cursor;
    enum ps_usage_counter order;
    int64_t limit;
};

static const struct {
    const char *name;
    enum ps_usage_counter counter;
} orders[] = {
    {"queries",  PS_USAGE_QUERIES  },
    {"hits",     PS_USAGE_HITS     },
    {"misses",   PS_USAGE_MISSES   },
    {"bypasses", PS_USAGE_BYPASSES },
    {"writes",   PS_USAGE_WRITES   },
    {"errors",   PS_USAGE_ERRORS   },
    {"rows",     PS_USAGE_ROWS     },
    {"bytes",    PS_USAGE_BYTES    },
    {"saved",    PS_USAGE_SAVED_US },
    {"origin",   PS_USAGE_ORIGIN_US},
    {"stale",    PS_USAGE_STALE    },
};

/* ------------------------------------------------------------- reading */

static enum ps_rc
read_range(const struct api_request *request, struct ps_rollup_query *q,
           struct ps_err *err)
{
    char text[64];
    bool since, from, to;
    int64_t length = HOUR_MS;
    q->to_ms = ps_wall_ms();
    enum ps_rc rc =
        api_param(request, "since", text, sizeof(text), &since, err);
    if (rc == PS_OK && since && !api_read_duration(text, &length))
        return ps_err_set(err, PS_BAD_FIELD,
                          "since must be a duration such as 15m, 1h or 7d");
    if (rc == PS_OK)
        rc = api_param(request, "to", text, sizeof(text), &to, err);
    if (rc == PS_OK && to && !api_read_time(text, &q->to_ms))
        return ps_err_set(err, PS_BAD_FIELD,
                          "to must be a time such as 2026-11-28T12:00:00Z");
    q->from_ms = q->to_ms - length;
    if (rc == PS_OK)
        rc = api_param(request, "from", text, sizeof(text), &from, err);
    if (rc == PS_OK && from && !api_read_time(text, &q->from_ms))
        return ps_err_set(err, PS_BAD_FIELD,
                          "from must be a time such as 2026-11-28T12:00:00Z");
    if (rc == PS_OK && from && since)
        return ps_err_set(err, PS_BAD_FIELD, "give from or since, not both");
    if (rc == PS_OK && (q->from_ms < 0 || q->from_ms >= q->to_ms))
        return ps_err_set(err, PS_BAD_FIELD, "from must be before to");
    if (rc == PS_OK)
        ps_rollup_choose(q);
    return rc;
}

static enum ps_rc
read_template(const struct api_request *request, struct ps_rollup_query *q,
              struct ps_err *err)
{
    char text[32], *end;
    enum ps_rc rc = api_param(request, "template", text, sizeof(text),
                              &q->has_template, err);
    if (rc != PS_OK || !q->has_template)
        return rc;
    q->fingerprint = strtoull(text, &end, 16);
    if (strlen(text) != 16 || *end)
        return ps_err_set(err, PS_BAD_FIELD,
                          "template must be 16 hexadecimal digits");
    return PS_OK;
}

static enum ps_rc
read_groups(const struct api_request *request, struct question *q,
            struct ps_err *err)
{
    char text[64], *at = text, *word;
    bool given;
    enum ps_rc rc = api_param(request, "by", text, sizeof(text), &given, err);
    if (rc != PS_OK || !given)
        return rc;
    while ((word = strsep(&at, ","))) {
        if (strcmp(word, "time") == 0)
            q->by_time = true;
        else if (strcmp(word, "region") == 0)
            q->by_region = true;
        else if (strcmp(word, "template") == 0)
            q->by_template = true;
        else
            return ps_err_set(err, PS_BAD_FIELD,
                              "by must be a list of: time, region, template");
    }
    return PS_OK;
}

static enum ps_rc
read_order(const struct api_request *request, struct question *q,
           struct ps_err *err)
{
    char text[32], *end;
    bool given;
    q->order = PS_USAGE_QUERIES;
    q->limit = LIMIT_DEFAULT;
    enum ps_rc rc =
        api_param(request, "limit", text, sizeof(text), &given, err);
    if (rc == PS_OK && given) {
        q->limit = strtol(text, &end, 10);
        if (*end || q->limit < 1 || q->limit > PS_ROLLUP_LIMIT_MAX)
            return ps_err_set(err, PS_BAD_FIELD, "limit must be from 1 to %d",
                              PS_ROLLUP_LIMIT_MAX);
    }
    if (rc == PS_OK)
        rc = api_param(request, "order", text, sizeof(text), &given, err);
    if (rc != PS_OK || !given)
        return rc;
    for (size_t i = 0; i < PS_ARRAY_LEN(orders); i++) {
        if (strcmp(text, orders[i].name) == 0) {
            q->order = orders[i].counter;
            return PS_OK;
        }
    }
    return ps_err_set(err, PS_BAD_FIELD,
                      "order must be one of: queries, hits, misses, bypasses, "
                      "writes, errors, rows, bytes, saved, origin, stale");
}

static enum ps_rc
read_question(const struct api_request *request, struct question *q,
              struct ps_err *err)
{
    static const char *const names[] = {"since",  "from",  "to",     "by",
                                        "order",  "limit", "region", "template",
                                        "cursor", NULL};
    char cursor[API_CURSOR_TEXT];
    bool given;
    *q = (struct question){.limit = LIMIT_DEFAULT};
    if (!request->api->conf.rollup)
        return ps_err_set(err, PS_UNSUPPORTED, NULL);
    enum ps_rc rc = api_only_params(request, names, err);
    if (rc == PS_OK)
        rc = read_range(request, &q->query, err);
    if (rc == PS_OK)
        rc = read_template(request, &q->query, err);
    if (rc == PS_OK)
        rc = read_groups(request, q, err);
    if (rc == PS_OK)
        rc = read_order(request, q, err);
    if (rc == PS_OK)
        rc = api_param(request, "region", q->region, sizeof(q->region), &given,
                       err);
    if (rc == PS_OK && given)
        q->query.region = q->region;
    if (rc == PS_OK)
        rc = api_param(request, "cursor", cursor, sizeof(cursor), &q->cursor,
                       err);
    return rc;
}

/* ------------------------------------------------------------- writing */

static void
put_number(struct ps_buf *out, const char *key, double value)
{
    char text[40];
    snprintf(text, sizeof(text), "%.6g", value);
    api_put_raw(out, key, text);
}

static void
put_or_null(struct ps_buf *out, const char *key, bool known, uint64_t value)
{
    if (known)
        api_put_int(out, key, (int64_t)value);
    else
        api_put_raw(out, key, "null");
}

static void
put_durations(struct ps_buf *out, const char *key, const struct ps_hist *h)
{
    api_open(out, key, '{');
    api_put_int(out, "count", (int64_t)h->count);
    put_number(out, "meanMs", ps_hist_mean_us(h) / 1000);
    put_number(out, "p50Ms", ps_hist_quantile_us(h, 0.5) / 1000);
    put_number(out, "p95Ms", ps_hist_quantile_us(h, 0.95) / 1000);
    put_number(out, "p99Ms", ps_hist_quantile_us(h, 0.99) / 1000);
    api_close(out, '}');
}

static void
put_counters(struct ps_buf *out, const struct ps_usage *u)
{
    static const struct {
        const char *key;
        enum ps_usage_counter counter;
    } counters[] = {
        {"queries",   PS_USAGE_QUERIES  },
        {"hits",      PS_USAGE_HITS     },
        {"misses",    PS_USAGE_MISSES   },
        {"bypasses",  PS_USAGE_BYPASSES },
        {"writes",    PS_USAGE_WRITES   },
        {"errors",    PS_USAGE_ERRORS   },
        {"rows",      PS_USAGE_ROWS     },
        {"bytes",     PS_USAGE_BYTES    },
        {"stored",    PS_USAGE_STORED   },
        {"coalesced", PS_USAGE_COALESCED},
        {"verified",  PS_USAGE_VERIFIED },
        {"stale",     PS_USAGE_STALE    },
    };
    const uint64_t *n = u->n;
    for (size_t i = 0; i < PS_ARRAY_LEN(counters); i++)
        api_put_int(out, counters[i].key, (int64_t)n[counters[i].counter]);
    put_number(out, "hitRatio", ps_usage_hit_ratio(n));
    put_number(out, "cacheability", ps_usage_cacheability(n));
    if (n[PS_USAGE_VERIFIED] > 0)
        put_number(out, "staleRate", ps_usage_stale_rate(n));
    else
        api_put_raw(out, "staleRate", "null");
    put_number(out, "timeSavedMs", (double)n[PS_USAGE_SAVED_US] / 1000);
    put_number(out, "originTimeMs", (double)n[PS_USAGE_ORIGIN_US] / 1000);
    put_or_null(out, "ttlMs", n[PS_USAGE_TTL_MS] > 0, n[PS_USAGE_TTL_MS]);
    put_or_null(out, "recommendedTtlMs", n[PS_USAGE_TTL_AUTO_MS] > 0,
                n[PS_USAGE_TTL_AUTO_MS]);
}

static void
put_usage(struct ps_buf *out, const struct ps_usage *u)
{
    put_counters(out, u);
    api_open(out, "reasons", '{');
    for (size_t i = 0; i <= PS_USAGE_REASONS; i++)
        if (u->reasons[i].code[0])
            api_put_int(out, u->reasons[i].code, (int64_t)u->reasons[i].n);
    api_close(out, '}');
    put_durations(out, "memory", &u->memory);
    put_durations(out, "origin", &u->origin);
}

static void
put_total(void *arg, const struct ps_rollup_row *row)
{
    struct ps_buf *out = arg;
    api_open(out, "total", '{');
    put_usage(out, row->usage);
    api_close(out, '}');
}

static void
put_point(void *arg, const struct ps_rollup_row *row)
{
    struct ps_buf *out = arg;
    api_open(out, NULL, '{');
    api_put_time(out, "start", row->start_ms);
    put_usage(out, row->usage);
    api_close(out, '}');
}

static void
put_region(void *arg, const struct ps_rollup_row *row)
{
    struct ps_buf *out = arg;
    api_open(out, NULL, '{');
    api_put_text(out, "region", row->region);
    put_usage(out, row->usage);
    api_close(out, '}');
}

static void
put_template(void *arg, const struct ps_rollup_row *row)
{
    struct ps_buf *out = arg;
    char text[24];
    snprintf(text, sizeof(text), "%016" PRIx64, row->fingerprint);
    api_open(out, NULL, '{');
    api_put_text(out, "template", text);
    /* Of "other", or not told yet. */
    api_put_text_or_null(out, "text", row->text);
    put_usage(out, row->usage);
    api_close(out, '}');
}

static void
put_range(struct ps_buf *out, const struct ps_rollup_query *q)
{
    int64_t ms = ps_rollup_period_ms(q->period);
    api_put_time(out, "from", q->from_ms / ms * ms);
    api_put_time(out, "to", (q->to_ms + ms - 1) / ms * ms);
    api_put_int(out, "stepMs", ms);
}

/* A list of one kind of rows. */
static enum ps_rc
put_group(struct api_request *request, const struct question *q,
          const char *key, enum ps_rollup_group group, ps_rollup_fn *fn,
          struct ps_err *err)
{
    api_open(&request->out, key, '[');
    enum ps_rc rc = ps_rollup_totals(request->api->conf.rollup, &q->query,
                                     group, fn, &request->out, err);
    api_close(&request->out, ']');
    return rc;
}

static enum ps_rc
put_templates(struct api_request *request, const struct question *q,
              struct ps_err *err)
{
    struct ps_buf *out = &request->out;
    struct ps_rollup_query query = q->query;
    api_open(out, "templates", '[');
    enum ps_rc rc =
        ps_rollup_templates(request->api->conf.rollup, &query, q->order,
                            (size_t)q->limit, put_template, out, err);
    api_close(out, ']');
    /* It may be coarser than what was asked for. */
    api_open(out, "templatesRange", '{');
    put_range(out, &query);
    api_close(out, '}');
    return rc;
}

/* ------------------------------------------------------------ handlers */

enum ps_rc
api_get_stats(struct api_request *request, struct ps_err *err)
{
    struct ps_rollup *rollup = request->api->conf.rollup;
    struct ps_buf *out = &request->out;
    struct ps_cache_def def;
    struct question q;
    enum ps_rc rc =
        ps_db_cache_get(request->api->conf.db, request->param, &def, err);
    if (rc != PS_OK)
        return rc;
    rc = read_question(request, &q, err);
    if (rc == PS_OK && q.cursor)
        rc = ps_err_set(err, PS_BAD_FIELD,
                        "there is no such parameter of this path");
    if (rc == PS_OK) {
        q.query.cache_id = def.id;
        api_open(out, NULL, '{');
        api_put_text(out, "cacheId", def.id);
        api_put_text(out, "cacheName", def.name);
        put_range(out, &q.query);
        rc = ps_rollup_totals(rollup, &q.query, PS_ROLLUP_ALL, put_total, out,
                              err);
    }
    if (rc == PS_OK && q.by_time)
        rc = put_group(request, &q, "series", PS_ROLLUP_TIME, put_point, err);
    if (rc == PS_OK && q.by_region)
        rc = put_group(request, &q, "regions", PS_ROLLUP_REGION, put_region,
                       err);
    if (rc == PS_OK && q.by_template)
        rc = put_templates(request, &q, err);
    api_close(out, '}');
    ps_def_done(&def);
    return rc;
}

struct listing {
    struct api_list list; /* first: the rest is ours */
    struct question *q;
    struct ps_err *err;
};

static enum ps_rc
put_cache(void *arg, const struct ps_cache_def *def)
{
    struct listing *l = arg;
    struct api_request *request = l->list.request;
    struct ps_buf *out = &request->out;
    struct question one = *l->q;
    const char *name = def->name;
    if (!api_list_row(&l->list, &name))
        return PS_OK;
    one.query.cache_id = def->id;
    if (one.query.region)
        one.query.region = one.region;
    api_open(out, NULL, '{');
    api_put_text(out, "cacheId", def->id);
    api_put_text(out, "cacheName", def->name);
    enum ps_rc rc = ps_rollup_totals(request->api->conf.rollup, &one.query,
                                     PS_ROLLUP_ALL, put_total, out, l->err);
    if (rc == PS_OK && one.by_time)
        rc = put_group(request, &one, "series", PS_ROLLUP_TIME, put_point,
                       l->err);
    api_close(out, '}');
    return rc;
}

enum ps_rc
api_list_stats(struct api_request *request, struct ps_err *err)
{
    struct question q;
    struct listing listing = {
        .list = {.name = "stats", .keys = 1, .more_params = true},
        .q = &q,
        .err = err
    };
    struct ps_buf *out = &request->out;
    enum ps_rc rc = read_question(request, &q, err);
    if (rc == PS_OK)
        rc = api_list_begin(request, &listing.list, err);
    if (rc == PS_OK && (q.by_region || q.by_template || q.query.has_template))
        return ps_err_set(err, PS_BAD_FIELD,
                          "of all caches there is `by=time` only; ask for the "
                          "statistics of one of them");
    if (rc != PS_OK)
        return rc;
    api_open(out, NULL, '{');
    put_range(out, &q.query);
    api_open(out, "items", '[');
    rc = ps_db_cache_each(request->api->conf.db, &listing.list.page,
                          request->token.caches, put_cache, &listing, err);
    api_list_close(&listing.list);
    return rc;
}
