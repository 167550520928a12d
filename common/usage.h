/*
 * What was done with the queries of one template of one cache, in one region,
 * over some time: counters, reasons, two histograms. Agents count it, the
 * control plane adds it up over minutes, hours and days, both in this shape.
 *
 * Everything but the two times to live is a sum, so usages can be added in any
 * order and cut in any way; of those the later one counts. No literal, no
 * binding and no row is ever in it: numbers, and codes of our own tables.
 *
 * The packed form is a list of (tag, value); a reader passes over tags that it
 * does not know, so agents and control planes of neighbouring versions
 * understand each other. Values only; no locks.
 */
#ifndef PS_COMMON_USAGE_H
#define PS_COMMON_USAGE_H

#include "common/hist.h"

/* X(NAME, tag, text): the tag is in files and messages and never changes. */
#define PS_USAGE_TABLE(X)                                                 \
    X(QUERIES, 1, "requests")                                             \
    X(HITS, 2, "answered from memory")                                    \
    X(MISSES, 3, "cacheable reads that went to the origin")               \
    X(BYPASSES, 4, "reads that may not be kept")                          \
    X(WRITES, 5, "statements that may write")                             \
    X(ERRORS, 6, "of all of them, those that failed")                     \
    X(ROWS, 7, "rows in the replies")                                     \
    X(BYTES, 8, "bytes of the replies' bodies")                           \
    X(STORED, 9, "answers that were kept")                                \
    X(COALESCED, 10, "requests that shared another's query")              \
    X(CACHEABLE, 11, "reads that could be kept, beside the hits")         \
    X(FIRST, 12, "of them, those that did not repeat an earlier query")   \
    X(CHANGED, 13, "of them, those whose kept answer a write had ended")  \
    X(VERIFIED, 14, "kept answers that were checked at the origin")       \
    X(STALE, 15, "of them, those that were stale with no write seen")     \
    X(SAVED_US, 16, "time that the hits would have taken longer without") \
    X(TTL_MS, 17, "time to live of the last answer kept")                 \
    X(TTL_AUTO_MS, 18, "time to live that automatic mode would give")     \
    X(ORIGIN_US, 19, "time of the requests that memory did not answer")

enum ps_usage_counter {
#define X(name, tag, text) PS_USAGE_##name,
    PS_USAGE_TABLE(X)
#undef X
    PS_USAGE_COUNT
};

enum {
    PS_USAGE_REASONS = 15, /* by code; the rest is in "other_reasons" */
    PS_USAGE_REASON_MAX = 31
};

struct ps_usage_reason {
    char code[PS_USAGE_REASON_MAX + 1];
    uint64_t n;
};

struct ps_usage {
    uint64_t n[PS_USAGE_COUNT];
    /* Why queries were not answered from memory; as many as are not "". */
    struct ps_usage_reason reasons[PS_USAGE_REASONS + 1];
    /* Duration of requests from memory and of those the origin had to answer,
     * as the agent sees them: from received to answered. */
    struct ps_hist memory, origin;
};

void ps_usage_merge(struct ps_usage *into, const struct ps_usage *from);
/* code: of a table of reasons. */
void ps_usage_count_reason(struct ps_usage *usage, struct ps_str code,
                           uint64_t n);
/* Counters first, histograms last. */
void ps_usage_pack(const struct ps_usage *usage, struct ps_buf *out);
/* Adds what was packed; false when it is malformed: then usage holds part of
 * it and is of no use. */
PS_MUST_USE bool ps_usage_unpack(struct ps_usage *usage, struct ps_str in);
/* The same, but counters only: for ranking. */
PS_MUST_USE bool ps_usage_unpack_counters(uint64_t n[PS_USAGE_COUNT],
                                          struct ps_str in);

/* ---- figures, all from 0 to 1 (README.md has the reasons) ---- */

/* hits / (hits + misses) */
double ps_usage_hit_ratio(const uint64_t n[PS_USAGE_COUNT]);
/* stale / verified */
double ps_usage_stale_rate(const uint64_t n[PS_USAGE_COUNT]);
/*
 * The share of the queries that memory could have answered rightly if time to
 * live and rules were no limit:
 *   (hits + cacheable - first - changed) / queries * (1 - stale / verified)
 */
double ps_usage_cacheability(const uint64_t n[PS_USAGE_COUNT]);
/*
 * hits * mean duration at the origin - summed duration of the hits, never
 * below 0. mean_origin_us: of the template, over a longer time than this.
 */
uint64_t ps_usage_saved_us(const struct ps_usage *usage, double mean_origin_us);

#endif
