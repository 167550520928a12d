/*
 * Log-linear histograms of durations: each power of two of microseconds is cut
 * into four, so a value is known to within a quarter of itself (a quantile,
 * taken in the middle of its bucket, to within an eighth), from 1 us to more
 * than two minutes, in 104 buckets.
 *
 *   us      0 1 2 3 | 4 5 6 7 | 8-9 10-11 12-13 14-15 | 16-19 ... |
 * 2^26+3*2^24- bucket  0 1 2 3 | 4 5 6 7 | 8   9     10    11    | 12        |
 * 103
 *
 * The buckets are the same everywhere and for ever, so that histograms of
 * loops, agents, regions and hours can be added up. Values only; no locks.
 */
#ifndef PS_COMMON_HIST_H
#define PS_COMMON_HIST_H

#include "common/buf.h"

enum {
    PS_HIST_BUCKETS = 104
};

struct ps_hist {
    uint64_t count, sum_us;
    uint64_t n[PS_HIST_BUCKETS];
};

/* Which one; what is longer than the last goes there too. */
static inline unsigned
ps_hist_bucket(uint64_t us)
{
    if (us < 4)
        return (unsigned)us;
    unsigned e = 63 - (unsigned)__builtin_clzll(us);
    if (e > 26)
        return PS_HIST_BUCKETS - 1;
    return 4 * (e - 1) + ((unsigned)(us >> (e - 2)) & 3);
}
/* The smallest value of a bucket; of PS_HIST_BUCKETS: what is behind the
 * last, 2^27. */
uint64_t ps_hist_lower_us(unsigned bucket);

static inline void
ps_hist_add(struct ps_hist *h, uint64_t us)
{
    h->count++;
    h->sum_us += us;
    h->n[ps_hist_bucket(us)]++;
}
void ps_hist_merge(struct ps_hist *into, const struct ps_hist *from);
/* The duration that a share q (0..1) of the values do not exceed, in us: as
 * far into its bucket as the rank is. 0 when there are none. */
double ps_hist_quantile_us(const struct ps_hist *h, double q);
double ps_hist_mean_us(const struct ps_hist *h);
/* How many are below us, which is rounded down to a bucket's begin. */
uint64_t ps_hist_below(const struct ps_hist *h, uint64_t us);

/* Sum, then a gap and a count for each bucket that is not empty. */
void ps_hist_pack(const struct ps_hist *h, struct ps_buf *out);
/* Adds what was packed to h; false, and h as it was, when it is malformed. */
PS_MUST_USE bool ps_hist_unpack(struct ps_hist *h, struct ps_str in);

#endif
