/*
 * What agents have counted, added up over minutes, hours and days, in a SQLite
 * file of its own beside the store: it may be deleted at any time, is written
 * without waiting for the disk, and its size is bounded.
 *
 *   agents --batches--> ps_rollup_add --+-> usage: period, cache, start,
 *                                       |   template, region -> packed usage
 *                                       +-> total: period, cache, start, region
 *   ps_rollup_prune, once a minute: retention, then the bound on the size
 *   REST <-- ps_rollup_totals, _templates ...
 *
 * A batch is added whole or not at all, and once however often it is sent: its
 * number is written in the same transaction. Totals are kept for as long as
 * their period says; of the rows by template the oldest of the finest period
 * go first when there is no room.
 *
 * One connection, one thread (the control plane's loop). Times are wall-clock
 * milliseconds; starts are multiples of their period since 1970, in UTC.
 */
#ifndef PS_CONTROLPLANE_ROLLUP_ROLLUP_H
#define PS_CONTROLPLANE_ROLLUP_ROLLUP_H

#include "common/err.h"
#include "common/usage.h"

struct ps_rollup;

/* X(NAME, text, milliseconds, kept_ms, kept_least_ms): rows by template go
 * after kept_ms, and before that, down to kept_least_ms, for want of room. */
#define PS_ROLLUP_PERIOD_TABLE(X)                              \
    X(MINUTE, "minute", INT64_C(60000), 24 * INT64_C(3600000), \
      15 * INT64_C(60000))                                     \
    X(HOUR, "hour", INT64_C(3600000), 31 * INT64_C(86400000),  \
      48 * INT64_C(3600000))                                   \
    X(DAY, "day", INT64_C(86400000), 400 * INT64_C(86400000),  \
      8 * INT64_C(86400000))

enum ps_rollup_period {
#define X(NAME, text, ms, kept, least) PS_ROLLUP_##NAME,
    PS_ROLLUP_PERIOD_TABLE(X)
#undef X
    PS_ROLLUP_PERIODS
};
int64_t ps_rollup_period_ms(enum ps_rollup_period period);

enum {
    PS_ROLLUP_ITEMS_MAX = 2000,      /* of one batch */
    PS_ROLLUP_TEXT_MAX = 4096,       /* bytes of a template */
    PS_ROLLUP_TEMPLATES_MAX = 20000, /* per cache; the rest is its "other" */
    PS_ROLLUP_LIMIT_MAX = 500        /* templates of one answer */
};

/* max_bytes: of the file; above it what is old makes room. PS_CONFIG when it
 * was written by a newer version. */
PS_MUST_USE enum ps_rc ps_rollup_open(struct ps_rollup **rollup,
                                      const char *path, int64_t max_bytes,
                                      struct ps_err *err);
void ps_rollup_close(struct ps_rollup **rollup);

/* ---- in ---- */

struct ps_rollup_item {
    const char *cache_id;
    uint64_t fingerprint; /* 0: the cache's "other" */
    const char *text;     /* of the template; "": told before */
    struct ps_str usage;  /* packed */
    bool unknown;         /* set: its text is not known and must be told */
};
struct ps_rollup_batch {
    const char *agent_id, *region;
    const char *stream; /* one life of the agent */
    uint64_t number;    /* within it, growing */
    int64_t wall_ms;    /* when it was counted */
    struct ps_rollup_item *items;
    size_t n;
};
/* *again: it was there already and nothing was added. PS_BAD_FIELD when a
 * usage cannot be read. */
PS_MUST_USE enum ps_rc ps_rollup_add(struct ps_rollup *rollup,
                                     struct ps_rollup_batch *batch, bool *again,
                                     struct ps_err *err);
/* Its rows go little by little, by pruning; its id is forgotten at once. */
PS_MUST_USE enum ps_rc ps_rollup_drop_cache(struct ps_rollup *rollup,
                                            const char *cache_id,
                                            struct ps_err *err);
/* A bounded piece of work; *more: there is more of it to do. */
PS_MUST_USE enum ps_rc ps_rollup_prune(struct ps_rollup *rollup,
                                       int64_t wall_ms, bool *more,
                                       struct ps_err *err);

/* ---- out ---- */

struct ps_rollup_query {
    const char *cache_id; /* NULL: every cache */
    const char *region;   /* NULL: every region */
    bool has_template;    /* only this one: */
    uint64_t fingerprint;
    /* Widened to whole periods. */
    int64_t from_ms, to_ms;
    enum ps_rollup_period period;
};
/* The finest period that cuts the time into at most 200 pieces; and widens
 * from_ms and to_ms. */
void ps_rollup_choose(struct ps_rollup_query *query);

struct ps_rollup_row {
    const char *cache_id;
    const char *region; /* "" where regions are added up */
    const char *text;   /* of the template, "" where there is none */
    uint64_t fingerprint;
    int64_t start_ms;
    const struct ps_usage *usage;
};
typedef void ps_rollup_fn(void *arg, const struct ps_rollup_row *row);

enum ps_rollup_group {
    PS_ROLLUP_ALL,    /* one row */
    PS_ROLLUP_TIME,   /* one per period that has something, in order */
    PS_ROLLUP_REGION, /* one per region, by name */
    PS_ROLLUP_CACHE   /* one per cache */
};
PS_MUST_USE enum ps_rc ps_rollup_totals(struct ps_rollup *rollup,
                                        const struct ps_rollup_query *query,
                                        enum ps_rollup_group group,
                                        ps_rollup_fn *fn, void *arg,
                                        struct ps_err *err);
/*
 * The templates of a cache (query->cache_id is set) of which `order` is
 * greatest, most first, at most limit. To bound the work a coarser period is
 * taken where there may be many rows: query is what was really asked then.
 * Where days have too many, templates are ranked by some of them; the figures
 * of those that are handed out are of all.
 */
PS_MUST_USE enum ps_rc ps_rollup_templates(struct ps_rollup *rollup,
                                           struct ps_rollup_query *query,
                                           enum ps_usage_counter order,
                                           size_t limit, ps_rollup_fn *fn,
                                           void *arg, struct ps_err *err);

struct ps_rollup_stats {
    int64_t bytes, max_bytes; /* in use; of the bound */
    uint64_t batches, again, items;
    size_t templates;
};
void ps_rollup_stats(struct ps_rollup *rollup, struct ps_rollup_stats *out);

#endif
