/* See hist.h. */
#include "common/hist.h"

#include "common/check.h"
#include "common/varint.h"

uint64_t
ps_hist_lower_us(unsigned bucket)
{
    PS_CHECK(bucket <= PS_HIST_BUCKETS);
    if (bucket < 4)
        return bucket;
    unsigned e = bucket / 4 + 1;
    return (UINT64_C(1) << e) +
           (uint64_t)(bucket % 4) * (UINT64_C(1) << (e - 2));
}

void
ps_hist_merge(struct ps_hist *into, const struct ps_hist *from)
{
    if (from->count == 0)
        return;
    into->count += from->count;
    into->sum_us += from->sum_us;
    for (unsigned i = 0; i < PS_HIST_BUCKETS; i++)
        into->n[i] += from->n[i];
}

double
ps_hist_quantile_us(const struct ps_hist *h, double q)
{
    double rank = PS_MIN(PS_MAX(q, 0.0), 1.0) * (double)h->count;
    double before = 0;
    for (unsigned i = 0; i < PS_HIST_BUCKETS; i++) {
        double n = (double)h->n[i];
        if (n > 0 && before + n >= rank) {
            double from = (double)ps_hist_lower_us(i);
            double width = (double)ps_hist_lower_us(i + 1) - from;
            return from + width * PS_MAX(rank - before, 0.0) / n;
        }
        before += n;
    }
    return 0;
}

double
ps_hist_mean_us(const struct ps_hist *h)
{
    return h->count ? (double)h->sum_us / (double)h->count : 0;
}

uint64_t
ps_hist_below(const struct ps_hist *h, uint64_t us)
{
    uint64_t n = 0;
    for (unsigned i = 0, end = ps_hist_bucket(us); i < end; i++)
        n += h->n[i];
    return n;
}

void
ps_hist_pack(const struct ps_hist *h, struct ps_buf *out)
{
    unsigned next = 0;
    ps_varint_put(out, h->sum_us);
    for (unsigned i = 0; i < PS_HIST_BUCKETS; i++) {
        if (h->n[i] == 0)
            continue;
        ps_varint_put(out, i - next);
        ps_varint_put(out, h->n[i]);
        next = i + 1;
    }
}

static bool
read_all(struct ps_hist *h, struct ps_str in)
{
    uint64_t next = 0, gap, n;
    if (!ps_varint_get(&in, &h->sum_us))
        return false;
    while (in.len > 0) {
        if (!ps_varint_get(&in, &gap) || !ps_varint_get(&in, &n) ||
            gap >= PS_HIST_BUCKETS || next + gap >= PS_HIST_BUCKETS)
            return false;
        h->n[next + gap] = n;
        h->count += n;
        next += gap + 1;
    }
    return true;
}

bool
ps_hist_unpack(struct ps_hist *h, struct ps_str in)
{
    struct ps_hist read = {.count = 0};
    if (!read_all(&read, in))
        return false;
    ps_hist_merge(h, &read);
    return true;
}
