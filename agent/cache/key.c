/*
 * Keys: parts are hashed one by one where they lie, then their hashes and
 * lengths together, all under the process's secret. Lengths are part of what
 * is hashed, so no two different splits of the same bytes share an input.
 */
#include "agent/cache/key.h"

void
ps_key_make(struct ps_key *key, uint64_t principal, uint32_t format,
            struct ps_str sql, struct ps_str bindings)
{
    const struct ps_hash_secret *secret = ps_hash_process_secret();
    struct {
        uint64_t principal, format, sql_len, bindings_len;
        struct ps_hash128 sql, bindings;
    } parts = {
        .principal = principal,
        .format = format,
        .sql_len = sql.len,
        .bindings_len = bindings.len,
        .sql = ps_hash128_keyed(sql.ptr, sql.len, secret),
    };
    _Static_assert(sizeof(parts) == 64, "hashed as bytes: no padding");

    if (bindings.len)
        parts.bindings = ps_hash128_keyed(bindings.ptr, bindings.len, secret);
    *key = (struct ps_key){
        .hash = ps_hash128_keyed(&parts, sizeof(parts), secret),
        .principal = principal,
        .format = format,
        .sql = sql,
        .bindings = bindings,
    };
}

bool
ps_key_equal(const struct ps_key *a, const struct ps_key *b)
{
    return a->principal == b->principal && a->format == b->format &&
           ps_str_eq(a->sql, b->sql) && ps_str_eq(a->bindings, b->bindings);
}
