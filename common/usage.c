/* See usage.h. */
#include "common/usage.h"

#include "common/varint.h"

/* Of what is not one number; beyond those of the table. */
enum {
    TAG_REASON = 64, /* length, code, n */
    TAG_MEMORY = 65, /* length, histogram */
    TAG_ORIGIN = 66,
    /* Tags from here on have a length behind them, so that they can be passed
     * over; those below, one number. */
    TAG_BLOCKS = 64,
    NO_COUNTER = -1
};

static const char other_reasons[] = "other_reasons";

static const unsigned char tags[PS_USAGE_COUNT] = {
#define X(name, tag, text) tag,
    PS_USAGE_TABLE(X)
#undef X
};

static bool
is_gauge(size_t counter)
{
    return counter == PS_USAGE_TTL_MS || counter == PS_USAGE_TTL_AUTO_MS;
}

static void
add(uint64_t n[PS_USAGE_COUNT], size_t counter, uint64_t value)
{
    if (!is_gauge(counter))
        n[counter] += value;
    else if (value > 0)
        n[counter] = value;
}

void
ps_usage_count_reason(struct ps_usage *usage, struct ps_str code, uint64_t n)
{
    struct ps_usage_reason *r = usage->reasons;
    struct ps_str other = PS_STR(other_reasons);
    if (code.len == 0 || code.len > PS_USAGE_REASON_MAX)
        code = other;
    for (size_t i = 0; i < PS_USAGE_REASONS; i++, r++) {
        if (r->code[0] == '\0') {
            memcpy(r->code, code.ptr, code.len);
            r->code[code.len] = '\0';
        }
        if (ps_str_eq(ps_str_of(r->code), code)) {
            r->n += n;
            return;
        }
    }
    memcpy(r->code, other.ptr, other.len + 1);
    r->n += n;
}

void
ps_usage_merge(struct ps_usage *into, const struct ps_usage *from)
{
    for (size_t i = 0; i < PS_USAGE_COUNT; i++)
        add(into->n, i, from->n[i]);
    for (size_t i = 0; i <= PS_USAGE_REASONS; i++)
        if (from->reasons[i].code[0])
            ps_usage_count_reason(into, ps_str_of(from->reasons[i].code),
                                  from->reasons[i].n);
    ps_hist_merge(&into->memory, &from->memory);
    ps_hist_merge(&into->origin, &from->origin);
}

/* ---- packed ---- */

static void
put_hist(struct ps_buf *out, uint64_t tag, const struct ps_hist *h)
{
    struct ps_buf packed;
    if (h->count == 0)
        return;
    ps_buf_init(&packed, 8192);
    ps_hist_pack(h, &packed);
    ps_varint_put(out, tag);
    ps_varint_put(out, packed.len);
    ps_buf_append_str(out, ps_buf_str(&packed));
    ps_buf_done(&packed);
}

static void
put_reason(struct ps_buf *out, const struct ps_usage_reason *r)
{
    struct ps_buf n;
    struct ps_str code = ps_str_of(r->code);
    ps_buf_init(&n, 16);
    ps_varint_put(&n, r->n);
    ps_varint_put(out, TAG_REASON);
    ps_varint_put(out, 1 + code.len + n.len);
    ps_varint_put(out, code.len);
    ps_buf_append_str(out, code);
    ps_buf_append_str(out, ps_buf_str(&n));
    ps_buf_done(&n);
}

void
ps_usage_pack(const struct ps_usage *usage, struct ps_buf *out)
{
    for (size_t i = 0; i < PS_USAGE_COUNT; i++) {
        if (usage->n[i] == 0)
            continue;
        ps_varint_put(out, tags[i]);
        ps_varint_put(out, usage->n[i]);
    }
    for (size_t i = 0; i <= PS_USAGE_REASONS; i++)
        if (usage->reasons[i].n > 0)
            put_reason(out, &usage->reasons[i]);
    put_hist(out, TAG_MEMORY, &usage->memory);
    put_hist(out, TAG_ORIGIN, &usage->origin);
}

static int
counter_of(uint64_t tag)
{
    for (int i = 0; i < PS_USAGE_COUNT; i++)
        if (tags[i] == tag)
            return i;
    return NO_COUNTER;
}

static bool
take(struct ps_str *in, uint64_t len, struct ps_str *out)
{
    if (len > in->len)
        return false;
    *out = (struct ps_str){in->ptr, (size_t)len};
    in->ptr += len;
    in->len -= (size_t)len;
    return true;
}

static bool
read_reason(struct ps_usage *usage, struct ps_str block)
{
    uint64_t len, n;
    struct ps_str code;
    if (!ps_varint_get(&block, &len) || !take(&block, len, &code) ||
        !ps_varint_get(&block, &n) || block.len > 0)
        return false;
    ps_usage_count_reason(usage, code, n);
    return true;
}

static bool
read_block(struct ps_usage *usage, uint64_t tag, struct ps_str block)
{
    switch (tag) {
    case TAG_REASON:
        return read_reason(usage, block);
    case TAG_MEMORY:
        return ps_hist_unpack(&usage->memory, block);
    case TAG_ORIGIN:
        return ps_hist_unpack(&usage->origin, block);
    default:
        return true; /* of a newer version */
    }
}

/* usage NULL: counters only. */
static bool
read_all(uint64_t n[PS_USAGE_COUNT], struct ps_usage *usage, struct ps_str in)
{
    uint64_t tag, value;
    struct ps_str block;
    while (in.len > 0) {
        if (!ps_varint_get(&in, &tag) || !ps_varint_get(&in, &value))
            return false;
        if (tag < TAG_BLOCKS) {
            int counter = counter_of(tag);
            if (counter != NO_COUNTER)
                add(n, (size_t)counter, value);
        } else if (!usage) {
            return true; /* counters come first */
        } else if (!take(&in, value, &block) ||
                   !read_block(usage, tag, block)) {
            return false;
        }
    }
    return true;
}

bool
ps_usage_unpack(struct ps_usage *usage, struct ps_str in)
{
    return read_all(usage->n, usage, in);
}

bool
ps_usage_unpack_counters(uint64_t n[PS_USAGE_COUNT], struct ps_str in)
{
    return read_all(n, NULL, in);
}

/* ---- figures ---- */

static double
share(double part, double whole)
{
    return whole > 0 ? PS_MIN(PS_MAX(part / whole, 0.0), 1.0) : 0;
}

double
ps_usage_hit_ratio(const uint64_t n[PS_USAGE_COUNT])
{
    return share((double)n[PS_USAGE_HITS],
                 (double)n[PS_USAGE_HITS] + (double)n[PS_USAGE_MISSES]);
}

double
ps_usage_stale_rate(const uint64_t n[PS_USAGE_COUNT])
{
    return share((double)n[PS_USAGE_STALE], (double)n[PS_USAGE_VERIFIED]);
}

double
ps_usage_cacheability(const uint64_t n[PS_USAGE_COUNT])
{
    double could = (double)n[PS_USAGE_HITS] + (double)n[PS_USAGE_CACHEABLE] -
                   (double)n[PS_USAGE_FIRST] - (double)n[PS_USAGE_CHANGED];
    return share(could, (double)n[PS_USAGE_QUERIES]) *
           (1 - ps_usage_stale_rate(n));
}

uint64_t
ps_usage_saved_us(const struct ps_usage *usage, double mean_origin_us)
{
    double without = (double)usage->memory.count * mean_origin_us;
    double saved = without - (double)usage->memory.sum_us;
    return saved > 0 ? (uint64_t)saved : 0;
}
