/*
 * Counting: what is done with the queries of each template, without a lock and
 * without a clock of its own on the way of a hit.
 *
 *   table (one lock, misses only): cache + fingerprint -> id -> text
 *   loop 0:  id -> cell {hits, rows, bytes, histogram} -> usage of the rest
 *   loop 1:  id -> cell ...
 *               \-- collect, on the loop itself, now and then --> bag
 *                          bags of all loops --merge--> pending of each id
 *
 * An entry in memory carries the id of its template, so that a hit finds its
 * cell by an index and adds to it; a cell belongs to one loop. Ids are places
 * in a table of fixed size, with a generation: a place that has been idle for
 * long is given to another template, and what still comes under the old id is
 * counted for none. Where no place is free a query counts for the "other"
 * template of its cache (fingerprint 0, no text).
 */
#ifndef PS_AGENT_TELEMETRY_TALLY_H
#define PS_AGENT_TELEMETRY_TALLY_H

#include "common/base.h"
#include "common/usage.h"

enum {
    PS_TALLY_NONE = 0,            /* an id: counted for no template */
    PS_TALLY_MAX = 1 << 16,       /* places at most */
    PS_TALLY_TEXT_MAX = 4096,     /* bytes of a template that are kept */
    PS_TALLY_IDLE_COLLECTS = 360, /* an hour, at one every 10 s */
    PS_TALLY_CACHE_ID_MAX = 36
};

struct ps_tally;

/* A loop's counters of one template. */
struct ps_tally_cell {
    uint32_t id;
    bool listed; /* has counted something since it was collected */
    uint64_t hits, rows, bytes, us;
    uint32_t memory[PS_HIST_BUCKETS];
    struct ps_usage *more; /* of what was no hit; NULL: nothing */
};

/* What a hit touches; the loop's own. */
struct ps_tally_loop {
    struct ps_tally *tally; /* NULL: nothing is counted */
    struct ps_tally_cell **cells;
    uint32_t mask;
    uint32_t *listed; /* places of cells with something to collect */
    uint32_t n_listed;
    uint64_t lost; /* requests that were counted for no template */
};

/* max_templates is rounded up to a power of two, at most PS_TALLY_MAX. NULL
 * without memory. */
struct ps_tally *ps_tally_new(size_t max_templates, unsigned n_loops);
/* The loops do not count any more. */
void ps_tally_free(struct ps_tally **tally);
struct ps_tally_loop *ps_tally_loop(struct ps_tally *tally, unsigned index);

/* The id of a template. fingerprint 0: the cache's "other". text is copied when
 * it is new, cut to PS_TALLY_TEXT_MAX bytes. PS_TALLY_NONE when there is no
 * place at all. Any thread. */
uint32_t ps_tally_id(struct ps_tally *tally, struct ps_str cache_id,
                     uint64_t fingerprint, struct ps_str text);

/* The cell of an id, which is made if need be; NULL for an id that is none any
 * more. */
struct ps_tally_cell *ps_tally_cell_make(struct ps_tally_loop *loop,
                                         uint32_t id);
void ps_tally_cell_list(struct ps_tally_loop *loop, struct ps_tally_cell *cell);

static inline struct ps_tally_cell *
ps_tally_cell(struct ps_tally_loop *loop, uint32_t id)
{
    struct ps_tally_cell *cell = loop->cells[id & loop->mask];
    if (PS_UNLIKELY(!cell || cell->id != id))
        cell = ps_tally_cell_make(loop, id);
    if (PS_UNLIKELY(cell && !cell->listed))
        ps_tally_cell_list(loop, cell);
    return cell;
}

/* A query that memory answered in us microseconds. */
static inline void
ps_tally_hit(struct ps_tally_loop *loop, uint32_t id, uint32_t rows,
             uint64_t bytes, uint64_t us)
{
    struct ps_tally_cell *cell = ps_tally_cell(loop, id);
    if (PS_UNLIKELY(!cell)) {
        loop->lost++;
        return;
    }
    cell->hits++;
    cell->rows += rows;
    cell->bytes += bytes;
    cell->us += us;
    cell->memory[ps_hist_bucket(us)]++;
}

/* Where everything else about this template is to be counted; NULL: nowhere
 * (then it is counted as lost). */
struct ps_usage *ps_tally_usage(struct ps_tally_loop *loop, uint32_t id);

/* ---- collecting ---- */

struct ps_tally_bag {
    struct ps_tally_item {
        uint32_t id;
        struct ps_usage *usage; /* owned */
    } * items;
    size_t n;
    uint64_t lost;
};
/* Takes what has been counted; on the loop's thread. Without memory for the
 * bag it is left for the next time. */
void ps_tally_collect(struct ps_tally_loop *loop, struct ps_tally_bag *bag);

/* The functions from here on: one thread, the collector's. */

/* Adds a bag to what is pending, and empties it. */
void ps_tally_merge(struct ps_tally *tally, struct ps_tally_bag *bag);
/* After the bags of all loops: time saved is known then. Ages what is idle. */
void ps_tally_merged(struct ps_tally *tally);

struct ps_tally_template {
    uint32_t id;
    char cache_id[PS_TALLY_CACHE_ID_MAX + 1];
    uint64_t fingerprint;
    bool told; /* its text is known where it is sent to */
};
/* Takes the next pending usage, owned by the caller; NULL: that was all.
 * *at begins with 0. text, emptied before, gets the template ("" for
 * "other"). */
struct ps_usage *ps_tally_take(struct ps_tally *tally, size_t *at,
                               struct ps_tally_template *out,
                               struct ps_buf *text);
/* Puts a usage that was taken and not sent back. */
void ps_tally_put_back(struct ps_tally *tally, uint32_t id,
                       struct ps_usage *usage);
/* Remembers whether a template's text is known at the other side. */
void ps_tally_told(struct ps_tally *tally, uint32_t id, bool told);
/* Of every template: the other side is a new one. */
void ps_tally_forget_told(struct ps_tally *tally);

/* What has been merged since the start, cache by cache; false at the end. *at
 * begins with 0; both outputs are valid until the next ps_tally_merged. */
bool ps_tally_total(struct ps_tally *tally, size_t *at, struct ps_str *cache_id,
                    const struct ps_usage **total);

/* Copies the template of an id, cut to size bytes; its length, 0 when the id is
 * none any more. Any thread. */
size_t ps_tally_text(struct ps_tally *tally, uint32_t id, uint64_t *fingerprint,
                     char *out, size_t size);

/* Since the start: requests counted for no template; places in use. */
uint64_t ps_tally_lost(const struct ps_tally *tally);
size_t ps_tally_used(struct ps_tally *tally);

#endif
