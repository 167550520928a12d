/*
 * What is old goes: first by age, then for want of room, the oldest start of
 * the finest period first, of the cache that has the oldest. Each call deletes
 * one start of one cache at most, so that the loop is not held up.
 */
#include "controlplane/rollup/rollup_private.h"

#include <stdlib.h>

enum {
    TEMPLATES_AT_A_TIME = 64,
    TEMPLATE_DAYS = 400,     /* not seen for so long: forgotten */
    TEMPLATE_DAYS_SHORT = 7, /* the same where there are very many */
    STREAM_DAYS = 30,
    TOTAL_AS_LONG = 4 /* totals by the minute: so much longer than the rest */
};

static const struct {
    int64_t ms, kept_ms, least_ms;
} periods[PS_ROLLUP_PERIODS] = {
#define X(NAME, text, ms, kept, least) {ms, kept, least},
    PS_ROLLUP_PERIOD_TABLE(X)
#undef X
};

/* The oldest start of a cache's rows; INT64_MAX: it has none. */
static enum ps_rc
oldest(struct ps_rollup *r, int64_t period, int64_t cache, int64_t *start,
       struct ps_err *err)
{
    sqlite3_stmt *stmt = ROLLUP_STMT(r, STMT_USAGE_OLDEST, period, cache);
    if (!stmt)
        return rollup_failed(r, err);
    int step = sqlite3_step(stmt);
    *start = step == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : INT64_MAX;
    sqlite3_reset(stmt);
    return step == SQLITE_ROW || step == SQLITE_DONE ? PS_OK
                                                     : rollup_failed(r, err);
}

/* Deletes the oldest start of a period if it is older than limit. */
static enum ps_rc
delete_oldest(struct ps_rollup *r, int64_t period, int64_t limit, bool *did,
              struct ps_err *err)
{
    size_t at = 0;
    struct ps_str text;
    void *value;
    int64_t first = INT64_MAX, cache = 0, start;
    *did = false;
    while (ps_map_next(r->caches, &at, &text, &value)) {
        const struct rollup_name *name = value;
        enum ps_rc rc = oldest(r, period, name->key, &start, err);
        if (rc != PS_OK)
            return rc;
        if (start < first) {
            first = start;
            cache = name->key;
        }
    }
    if (first >= limit)
        return PS_OK;
    *did = true;
    return rollup_run(
        r, ROLLUP_STMT(r, STMT_USAGE_DELETE, period, cache, first), err);
}

static enum ps_rc
prune_by_age(struct ps_rollup *r, int64_t wall_ms, bool *did,
             struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    *did = false;
    for (int64_t p = 0; p < PS_ROLLUP_PERIODS && rc == PS_OK && !*did; p++)
        rc = delete_oldest(r, p, (wall_ms - periods[p].kept_ms) / periods[p].ms,
                           did, err);
    return rc;
}

static enum ps_rc
prune_for_room(struct ps_rollup *r, int64_t wall_ms, bool *did,
               struct ps_err *err)
{
    enum ps_rc rc = PS_OK;
    *did = false;
    if (rollup_bytes(r) <= r->max_bytes)
        return PS_OK;
    for (int64_t p = 0; p < PS_ROLLUP_PERIODS && rc == PS_OK && !*did; p++)
        rc = delete_oldest(
            r, p, (wall_ms - periods[p].least_ms) / periods[p].ms, did, err);
    /* All that may stay is more than there is room for: less of it, then. */
    for (int64_t p = 0; p < PS_ROLLUP_PERIODS && rc == PS_OK && !*did; p++)
        rc = delete_oldest(r, p, wall_ms / periods[p].ms, did, err);
    return rc;
}

static enum ps_rc
prune_totals(struct ps_rollup *r, int64_t wall_ms, struct ps_err *err)
{
    size_t at = 0;
    struct ps_str text;
    void *value;
    enum ps_rc rc = PS_OK;
    while (rc == PS_OK && ps_map_next(r->caches, &at, &text, &value)) {
        int64_t cache = ((const struct rollup_name *)value)->key;
        for (int64_t p = 0; p < PS_ROLLUP_PERIODS && rc == PS_OK; p++) {
            int64_t kept_ms =
                periods[p].kept_ms * (p == PS_ROLLUP_DAY ? 1 : TOTAL_AS_LONG);
            rc = rollup_run(r,
                            ROLLUP_STMT(r, STMT_TOTAL_DELETE, p, cache,
                                        (wall_ms - kept_ms) / periods[p].ms),
                            err);
        }
    }
    return rc;
}

/* Of caches that are no more: one start, or at the end the cache itself. */
static enum ps_rc
prune_dropped(struct ps_rollup *r, bool *did, struct ps_err *err)
{
    size_t at = 0;
    struct ps_str text;
    void *value = NULL;
    *did = ps_map_next(r->dropped, &at, &text, &value);
    if (!*did)
        return PS_OK;
    const struct rollup_name *cache = value;
    for (int64_t p = 0; p < PS_ROLLUP_PERIODS; p++) {
        int64_t start;
        enum ps_rc rc = oldest(r, p, cache->key, &start, err);
        if (rc == PS_OK)
            rc = rollup_run(
                r, ROLLUP_STMT(r, STMT_TOTAL_DELETE, p, cache->key, INT64_MAX),
                err);
        if (rc != PS_OK || start == INT64_MAX) {
            if (rc != PS_OK)
                return rc;
            continue;
        }
        return rollup_run(
            r, ROLLUP_STMT(r, STMT_USAGE_DELETE, p, cache->key, start), err);
    }
    return rollup_drop_row(r, cache, err);
}

/* ----------------------------------------------------------- templates */

static struct rollup_name *
cache_of(struct ps_rollup *r, int64_t key)
{
    size_t at = 0;
    struct ps_str text;
    void *value;
    while (ps_map_next(r->caches, &at, &text, &value))
        if (((struct rollup_name *)value)->key == key)
            return value;
    return NULL;
}

static bool
forgotten(struct ps_rollup *r, const struct rollup_template *t, int64_t today)
{
    const struct rollup_name *cache = cache_of(r, t->cache);
    bool many = cache && cache->n_templates > PS_ROLLUP_TEMPLATES_MAX / 4 * 3;
    return t->seen_day < today - (many ? TEMPLATE_DAYS_SHORT : TEMPLATE_DAYS);
}

struct victim {
    int64_t cache;
    uint64_t fingerprint;
};

static enum ps_rc
prune_templates(struct ps_rollup *r, int64_t wall_ms, bool *more,
                struct ps_err *err)
{
    struct victim victims[TEMPLATES_AT_A_TIME];
    size_t n = 0, at = 0;
    struct ps_str key;
    void *value;
    int64_t today = wall_ms / periods[PS_ROLLUP_DAY].ms;
    enum ps_rc rc = PS_OK;
    while (n < PS_ARRAY_LEN(victims) &&
           ps_map_next(r->templates, &at, &key, &value)) {
        const struct rollup_template *t = value;
        if (forgotten(r, t, today))
            victims[n++] = (struct victim){t->cache, t->fingerprint};
    }
    for (size_t i = 0; i < n && rc == PS_OK; i++) {
        key = (struct ps_str){(const char *)&victims[i], sizeof(victims[i])};
        struct rollup_template *t = ps_map_remove(r->templates, key);
        struct rollup_name *cache = cache_of(r, t->cache);
        if (cache)
            cache->n_templates--;
        rc = rollup_run(r, ROLLUP_STMT(r, STMT_TEMPLATE_DELETE, t->key), err);
        free(t);
    }
    *more |= n == PS_ARRAY_LEN(victims);
    return rc;
}

enum ps_rc
ps_rollup_prune(struct ps_rollup *r, int64_t wall_ms, bool *more,
                struct ps_err *err)
{
    bool did = false;
    PS_CHECK_OBJ(r, ROLLUP_MAGIC);
    *more = false;
    enum ps_rc rc = prune_dropped(r, &did, err);
    if (rc == PS_OK && !did)
        rc = prune_by_age(r, wall_ms, &did, err);
    if (rc == PS_OK && !did)
        rc = prune_for_room(r, wall_ms, &did, err);
    *more = did;
    if (rc == PS_OK && !did)
        rc = prune_totals(r, wall_ms, err);
    if (rc == PS_OK && !did)
        rc = prune_templates(r, wall_ms, more, err);
    if (rc == PS_OK && !*more)
        rc = rollup_run(r,
                        ROLLUP_STMT(r, STMT_STREAM_PRUNE,
                                    wall_ms - STREAM_DAYS * INT64_C(86400000)),
                        err);
    /* Pages that are free go back to the system, a few at a time. */
    if (rc == PS_OK)
        rc = rollup_exec(r, "PRAGMA incremental_vacuum(512)", err);
    return rc;
}
