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

struct ps_str
ps_query_text(struct ps_str text)
{
    static const char blanks[] = " \t\r\n;";
    while (text.len > 0 && strchr(blanks, text.ptr[text.len - 1]))
        text.len--;
    while (text.len > 0 && strchr(blanks, text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    return text;
}

uint64_t
ps_query_id(struct ps_str sql)
{
    struct ps_str text = ps_query_text(sql);
    uint64_t id = ps_fingerprint64(text.ptr, text.len);
    return id ? id : 1;
}
