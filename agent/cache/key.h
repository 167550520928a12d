/*
 * The key of an answer: who asks (principal), for which bytes of SQL and
 * bindings, in which result format. Two keys are equal only if all of these
 * are equal byte for byte; the 128-bit keyed hash finds candidates and never
 * decides (hazard 20).
 *
 *   hash = H(principal, format, |sql|, H(sql), |bindings|, H(bindings))
 *
 * Parts are hashed where they lie: making a key copies and allocates nothing.
 */
#ifndef PS_AGENT_CACHE_KEY_H
#define PS_AGENT_CACHE_KEY_H

#include "common/base.h"
#include "common/hash.h"

struct ps_key {
    struct ps_hash128 hash;
    uint64_t principal;     /* ps_principal.id */
    uint32_t format;        /* enum ps_result_format */
    struct ps_str sql;      /* without plain comments; borrowed */
    struct ps_str bindings; /* type and bytes of each; borrowed */
};

/* sql and bindings are borrowed and must live as long as the key is used. */
void ps_key_make(struct ps_key *key, uint64_t principal, uint32_t format,
                 struct ps_str sql, struct ps_str bindings);
/* sql without blanks and semicolons at its ends: what a rule or a purge means
 * by a query. */
struct ps_str ps_query_text(struct ps_str sql);
/* Of a query, whoever asks it with whatever bindings: the same on every agent.
 * sql: without plain comments, as in a key. Not 0. */
uint64_t ps_query_id(struct ps_str sql);
/* All parts equal; does not look at the hash. */
bool ps_key_equal(const struct ps_key *a, const struct ps_key *b);

#endif
