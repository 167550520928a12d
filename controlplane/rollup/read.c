/*
 * Answers: totals come from the rows without template, which are few. The
 * templates of a cache are ranked by their counters alone, and only of those
 * that are shown the rest is read.
 */
#include "controlplane/rollup/rollup_private.h"

#include <stdlib.h>

enum {
    PIECES_MAX = 200,
    ROWS_MAX = 60000 /* of a ranking; beyond it a coarser period is taken */
};

void
ps_rollup_choose(struct ps_rollup_query *q)
{
    int64_t length = PS_MAX(q->to_ms - q->from_ms, INT64_C(1));
    int period = PS_ROLLUP_MINUTE;
    while (period < PS_ROLLUP_DAY &&
           length / ps_rollup_period_ms((enum ps_rollup_period)period) >
               PIECES_MAX)
        period++;
    q->period = (enum ps_rollup_period)period;
}

static void
widen(struct ps_rollup_query *q)
{
    int64_t ms = ps_rollup_period_ms(q->period);
    q->from_ms = q->from_ms / ms * ms;
    q->to_ms = (q->to_ms + ms - 1) / ms * ms;
    if (q->to_ms <= q->from_ms)
        q->to_ms = q->from_ms + ms;
}

/* ------------------------------------------------------------- totals */

struct totals {
    struct ps_rollup *r;
    const struct ps_rollup_query *q;
    enum ps_rollup_group group;
    ps_rollup_fn *fn;
    void *arg;
    /* What the rows so far add up to: by region or start. */
    struct part {
        int64_t key;
        struct ps_usage usage;
    } * parts;
    size_t n, cap;
};

static struct part *
part_of(struct totals *t, int64_t key)
{
    /* Starts come in order: the last one first. */
    for (size_t i = t->n; i-- > 0;)
        if (t->parts[i].key == key)
            return &t->parts[i];
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        struct part *grown = realloc(t->parts, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        t->parts = grown;
        t->cap = cap;
    }
    t->parts[t->n] = (struct part){.key = key};
    return &t->parts[t->n++];
}

static enum ps_rc
add_row(struct totals *t, int64_t start, int64_t region, struct ps_str usage)
{
    int64_t key = 0;
    if (t->group == PS_ROLLUP_TIME)
        key = start;
    else if (t->group == PS_ROLLUP_REGION)
        key = region;
    struct part *part = part_of(t, key);
    if (!part)
        return PS_NO_MEMORY;
    struct ps_usage one = {.n = {0}};
    if (ps_usage_unpack(&one, usage))
        ps_usage_merge(&part->usage, &one);
    return PS_OK;
}

/* 0: every region; -1: none is called that. */
static int64_t
wanted_region(struct ps_rollup *r, const struct ps_rollup_query *q)
{
    if (!q->region)
        return 0;
    const struct rollup_name *name =
        ps_map_find(r->regions, ps_str_of(q->region));
    return name ? name->key : -1;
}

static int64_t
wanted_template(struct ps_rollup *r, const struct rollup_name *cache,
                const struct ps_rollup_query *q)
{
    const struct {
        int64_t cache;
        uint64_t fingerprint;
    } key = {cache->key, q->fingerprint};
    const struct rollup_template *t = ps_map_find(
        r->templates, (struct ps_str){(const char *)&key, sizeof(key)});
    return t ? t->key : -1;
}

static enum ps_rc
scan_totals(struct totals *t, const struct rollup_name *cache,
            struct ps_err *err)
{
    int64_t ms = ps_rollup_period_ms(t->q->period);
    int64_t region = wanted_region(t->r, t->q);
    enum ps_rc rc = PS_OK;
    int step;
    sqlite3_stmt *stmt =
        ROLLUP_STMT(t->r, STMT_TOTAL_SCAN, (int64_t)t->q->period, cache->key,
                    t->q->from_ms / ms, t->q->to_ms / ms);
    if (!stmt)
        return rollup_failed(t->r, err);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW && rc == PS_OK) {
        int64_t row_region = sqlite3_column_int64(stmt, 1);
        if (region == 0 || region == row_region)
            rc = add_row(t, sqlite3_column_int64(stmt, 0), row_region,
                         rollup_blob(stmt, 2));
    }
    sqlite3_reset(stmt);
    if (rc != PS_OK)
        return ps_err_set(err, rc, NULL);
    return step == SQLITE_DONE ? PS_OK : rollup_failed(t->r, err);
}

static enum ps_rc
scan_template(struct totals *t, const struct rollup_name *cache,
              struct ps_err *err)
{
    int64_t ms = ps_rollup_period_ms(t->q->period);
    int64_t region = wanted_region(t->r, t->q);
    int64_t template = wanted_template(t->r, cache, t->q);
    enum ps_rc rc = PS_OK;
    for (int64_t start = t->q->from_ms / ms; start < t->q->to_ms / ms;
         start++) {
        int step = SQLITE_DONE;
        sqlite3_stmt *stmt =
            ROLLUP_STMT(t->r, STMT_USAGE_OF, (int64_t)t->q->period, cache->key,
                        start, template);
        if (!stmt)
            return rollup_failed(t->r, err);
        while (rc == PS_OK && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
            int64_t row_region = sqlite3_column_int64(stmt, 0);
            if (region == 0 || region == row_region)
                rc = add_row(t, start, row_region, rollup_blob(stmt, 1));
        }
        sqlite3_reset(stmt);
        if (rc != PS_OK)
            return ps_err_set(err, rc, NULL);
        if (step != SQLITE_DONE)
            return rollup_failed(t->r, err);
    }
    return PS_OK;
}

static int
by_region(const void *a, const void *b)
{
    const struct ps_rollup_row *x = a, *y = b;
    return strcmp(x->region, y->region);
}

static enum ps_rc
hand_out(struct totals *t, const char *cache_id)
{
    int64_t ms = ps_rollup_period_ms(t->q->period);
    struct ps_rollup_row *rows = calloc(t->n + 1, sizeof(*rows));
    if (!rows)
        return PS_NO_MEMORY;
    for (size_t i = 0; i < t->n; i++) {
        const struct rollup_name *region =
            t->group == PS_ROLLUP_REGION ? rollup_region(t->r, t->parts[i].key)
                                         : NULL;
        rows[i] = (struct ps_rollup_row){.cache_id = cache_id,
                                         .region = region ? region->text : "",
                                         .text = "",
                                         .start_ms = t->group == PS_ROLLUP_TIME
                                                         ? t->parts[i].key * ms
                                                         : t->q->from_ms,
                                         .usage = &t->parts[i].usage};
    }
    if (t->group == PS_ROLLUP_REGION)
        qsort(rows, t->n, sizeof(*rows), by_region);
    for (size_t i = 0; i < t->n; i++)
        t->fn(t->arg, &rows[i]);
    free(rows);
    return PS_OK;
}

static enum ps_rc
one_cache(struct totals *t, const struct rollup_name *cache, struct ps_err *err)
{
    return t->q->has_template ? scan_template(t, cache, err)
                              : scan_totals(t, cache, err);
}

static enum ps_rc
every_cache(struct totals *t, struct ps_err *err)
{
    size_t at = 0;
    struct ps_str text;
    void *value;
    enum ps_rc rc = PS_OK;
    while (rc == PS_OK && ps_map_next(t->r->caches, &at, &text, &value)) {
        const struct rollup_name *cache = value;
        rc = one_cache(t, cache, err);
        if (rc == PS_OK && t->group == PS_ROLLUP_CACHE) {
            rc = hand_out(t, cache->text);
            t->n = 0;
        }
    }
    return rc;
}

static int
by_start(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

enum ps_rc
ps_rollup_totals(struct ps_rollup *r, const struct ps_rollup_query *query,
                 enum ps_rollup_group group, ps_rollup_fn *fn, void *arg,
                 struct ps_err *err)
{
    struct ps_rollup_query q = *query;
    PS_CHECK_OBJ(r, ROLLUP_MAGIC);
    widen(&q);
    struct totals t = {.r = r, .q = &q, .group = group, .fn = fn, .arg = arg};
    const struct rollup_name *cache =
        q.cache_id ? ps_map_find(r->caches, ps_str_of(q.cache_id)) : NULL;
    enum ps_rc rc = PS_OK;
    if (!q.cache_id)
        rc = every_cache(&t, err);
    else if (cache)
        rc = one_cache(&t, cache, err);
    /* One row even of nothing. */
    if (rc == PS_OK && group == PS_ROLLUP_ALL && t.n == 0 && !part_of(&t, 0))
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK && group == PS_ROLLUP_TIME && t.n > 0)
        qsort(t.parts, t.n, sizeof(*t.parts), by_start);
    if (rc == PS_OK && !(group == PS_ROLLUP_CACHE && !q.cache_id) &&
        hand_out(&t, q.cache_id ? q.cache_id : "") != PS_OK)
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    free(t.parts);
    return rc;
}

/* ------------------------------------------------------------ templates */

struct rank {
    int64_t template; /* 0: free */
    uint64_t n[PS_USAGE_COUNT];
};

/* Open addressing; grows. */
struct ranking {
    struct rank *slots;
    size_t mask, used;
};

static struct rank *
slot_of(struct ranking *ranking, int64_t template)
{
    size_t i = (size_t) template * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    for (;; i++) {
        struct rank *rank = &ranking->slots[i & ranking->mask];
        if (rank->template == 0 || rank->template == template)
            return rank;
    }
}

static bool
grow(struct ranking *ranking)
{
    struct ranking bigger = {.mask =
                                 ranking->mask ? 2 * ranking->mask + 1 : 1023};
    bigger.slots = calloc(bigger.mask + 1, sizeof(*bigger.slots));
    if (!bigger.slots)
        return false;
    for (size_t i = 0; ranking->slots && i <= ranking->mask; i++)
        if (ranking->slots[i].template)
            *slot_of(&bigger, ranking->slots[i].template) = ranking->slots[i];
    bigger.used = ranking->used;
    free(ranking->slots);
    *ranking = bigger;
    return true;
}

static bool
count_row(struct ranking *ranking, int64_t template, struct ps_str usage)
{
    if (!ranking->slots || ranking->used * 2 > ranking->mask) {
        if (!grow(ranking))
            return false;
    }
    struct rank *rank = slot_of(ranking, template);
    if (rank->template == 0) {
        rank->template = template;
        ranking->used++;
    }
    /* One that cannot be read counts for as much as was understood. */
    (void)!ps_usage_unpack_counters(rank->n, usage);
    return true;
}

/* How many rows a ranking would read at most. */
static size_t
rows_at_most(struct ps_rollup *r, const struct ps_rollup_query *q,
             const struct rollup_name *cache)
{
    int64_t ms = ps_rollup_period_ms(q->period);
    size_t starts = (size_t)((q->to_ms - q->from_ms) / ms);
    return starts * cache->n_templates * ps_map_count(r->regions);
}

/* Counts the rows of the starts from..to. */
static enum ps_rc
scan_usage(struct ps_rollup *r, const struct ps_rollup_query *q,
           const struct rollup_name *cache, int64_t from, int64_t to,
           struct ranking *ranking, struct ps_err *err)
{
    int64_t region = wanted_region(r, q);
    enum ps_rc rc = PS_OK;
    int step;
    sqlite3_stmt *stmt = ROLLUP_STMT(r, STMT_USAGE_SCAN, (int64_t)q->period,
                                     cache->key, from, to);
    if (!stmt)
        return rollup_failed(r, err);
    while (rc == PS_OK && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if ((region == 0 || region == sqlite3_column_int64(stmt, 1)) &&
            !count_row(ranking, sqlite3_column_int64(stmt, 0),
                       rollup_blob(stmt, 2)))
            rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    sqlite3_reset(stmt);
    if (rc != PS_OK)
        return rc;
    return step == SQLITE_DONE ? PS_OK : rollup_failed(r, err);
}

/* Of every start, or, where even days have too many rows, of some: the newest
 * one and each so far before it. */
static enum ps_rc
rank_templates(struct ps_rollup *r, const struct ps_rollup_query *q,
               const struct rollup_name *cache, struct ranking *ranking,
               struct ps_err *err)
{
    int64_t ms = ps_rollup_period_ms(q->period);
    int64_t from = q->from_ms / ms, to = q->to_ms / ms;
    int64_t stride = (int64_t)(rows_at_most(r, q, cache) / ROWS_MAX) + 1;
    enum ps_rc rc = PS_OK;
    if (stride == 1)
        return scan_usage(r, q, cache, from, to, ranking, err);
    for (int64_t at = to - 1; at >= from && rc == PS_OK; at -= stride)
        rc = scan_usage(r, q, cache, at, at + 1, ranking, err);
    return rc;
}

struct best {
    int64_t template;
    uint64_t value;
};

static int
by_value(const void *a, const void *b)
{
    const struct best *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? 1 : -1;
    return x->template <y->template ? -1 : x->template > y->template;
}

static enum ps_rc
hand_out_template(struct ps_rollup *r, const struct ps_rollup_query *q,
                  const struct rollup_name *cache, int64_t template,
                  ps_rollup_fn *fn, void *arg, struct ps_err *err)
{
    char text[PS_ROLLUP_TEXT_MAX + 1] = "";
    struct ps_rollup_row row = {.cache_id = cache->text,
                                .region = "",
                                .text = text,
                                .start_ms = q->from_ms};
    struct ps_rollup_query one = *q;
    struct totals t = {.r = r, .q = &one, .group = PS_ROLLUP_ALL};
    sqlite3_stmt *stmt = ROLLUP_STMT(r, STMT_TEMPLATE_GET, template);
    if (!stmt)
        return rollup_failed(r, err);
    bool known = sqlite3_step(stmt) == SQLITE_ROW;
    if (known) {
        struct ps_str s = rollup_blob(stmt, 1);
        row.fingerprint = (uint64_t)sqlite3_column_int64(stmt, 0);
        s.len = PS_MIN(s.len, sizeof(text) - 1);
        if (s.len)
            memcpy(text, s.ptr, s.len);
        text[s.len] = '\0';
    }
    sqlite3_reset(stmt);
    if (!known)
        return PS_OK; /* not seen for very long */
    one.has_template = true;
    one.fingerprint = row.fingerprint;
    enum ps_rc rc = scan_template(&t, cache, err);
    if (rc == PS_OK && t.n > 0) {
        row.usage = &t.parts[0].usage;
        fn(arg, &row);
    }
    free(t.parts);
    return rc;
}

static enum ps_rc
show_best(struct ps_rollup *r, const struct ps_rollup_query *q,
          const struct rollup_name *cache, const struct ranking *ranking,
          enum ps_usage_counter order, size_t limit, ps_rollup_fn *fn,
          void *arg, struct ps_err *err)
{
    struct best *best = calloc(ranking->used + 1, sizeof(*best));
    size_t n = 0;
    enum ps_rc rc = PS_OK;
    if (!best)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    for (size_t i = 0; ranking->slots && i <= ranking->mask; i++)
        if (ranking->slots[i].template)
            best[n++] = (struct best){ranking->slots[i].template,
                                      ranking->slots[i].n[order]};
    qsort(best, n, sizeof(*best), by_value);
    for (size_t i = 0; i < PS_MIN(n, limit) && rc == PS_OK; i++)
        rc = hand_out_template(r, q, cache, best[i].template, fn, arg, err);
    free(best);
    return rc;
}

enum ps_rc
ps_rollup_templates(struct ps_rollup *r, struct ps_rollup_query *q,
                    enum ps_usage_counter order, size_t limit, ps_rollup_fn *fn,
                    void *arg, struct ps_err *err)
{
    struct ranking ranking = {.slots = NULL};
    PS_CHECK_OBJ(r, ROLLUP_MAGIC);
    PS_CHECK(q->cache_id && limit <= PS_ROLLUP_LIMIT_MAX);
    const struct rollup_name *cache =
        ps_map_find(r->caches, ps_str_of(q->cache_id));
    widen(q);
    if (!cache)
        return PS_OK;
    while (q->period < PS_ROLLUP_DAY && rows_at_most(r, q, cache) > ROWS_MAX) {
        q->period = (enum ps_rollup_period)(q->period + 1);
        widen(q);
    }
    enum ps_rc rc = rank_templates(r, q, cache, &ranking, err);
    if (rc == PS_OK)
        rc = show_best(r, q, cache, &ranking, order, limit, fn, arg, err);
    free(ranking.slots);
    return rc;
}
