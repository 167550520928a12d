/*
 * What an entry looks like inside; for entry.c and store.c only.
 *
 *   [ header | slots (2 bytes each) | sql | bindings | body ]   one block
 */
#ifndef PS_AGENT_CACHE_ENTRY_H
#define PS_AGENT_CACHE_ENTRY_H

#include "agent/cache/store.h"
#include "common/list.h"

enum {
    PS_ENTRY_MAGIC = 0x57ace503
};

enum ps_entry_queue {
    PS_QUEUE_NONE, /* not in a store */
    PS_QUEUE_SMALL,
    PS_QUEUE_MAIN
};

struct ps_entry {
    uint32_t magic;
    _Atomic uint32_t refs;
    /* Of the store, under the shard's lock: */
    struct ps_entry *chain; /* next in its bucket */
    struct ps_link link;    /* in its queue */
    uint64_t hash;          /* key's hash.lo */
    /* Never changed: */
    struct ps_space *space; /* reference or NULL */
    uint64_t sum;           /* of the snapshot */
    uint64_t born_us, expires_us;
    uint64_t principal;
    uint32_t revision; /* the bottom half */
    uint32_t stale_while_revalidate_ms;
    uint32_t sql_len, bindings_len, body_len;
    uint32_t tally, rows;
    uint16_t n_slots;
    uint8_t format : 7;
    uint8_t every_table : 1;
    /* Of the store again, under the shard's lock. (Bits side by side are one
     * place in memory, for threads too; a width of 0 parts them.) */
    uint8_t : 0;
    uint8_t queue : 2; /* enum ps_entry_queue */
    uint8_t freq : 2;  /* hits since it entered its queue, at most 3 */
    uint16_t tenant;   /* its place among the shard's tenants */
    /* Of whoever serves it: */
    _Atomic bool claimed;            /* a newer answer is being fetched */
    _Alignas(uint16_t) char bytes[]; /* slots first */
};

static inline const uint16_t *
ps_entry_slots(const struct ps_entry *entry)
{
    return (const uint16_t *)(const void *)entry->bytes;
}

static inline const char *
ps_entry_key_bytes(const struct ps_entry *entry)
{
    return entry->bytes + entry->n_slots * sizeof(uint16_t);
}

/* Is it the answer to exactly this key? */
static inline bool
ps_entry_has_key(const struct ps_entry *entry, const struct ps_key *key)
{
    if (entry->principal != key->principal || entry->format != key->format ||
        entry->sql_len != key->sql.len ||
        entry->bindings_len != key->bindings.len)
        return false;
    const char *bytes = ps_entry_key_bytes(entry);
    return memcmp(bytes, key->sql.ptr, entry->sql_len) == 0 &&
           (entry->bindings_len == 0 ||
            memcmp(bytes + entry->sql_len, key->bindings.ptr,
                   entry->bindings_len) == 0);
}

/* The key of an entry, with the half of its hash that the store uses; borrows
 * from the entry. */
static inline struct ps_key
ps_entry_key(const struct ps_entry *entry)
{
    const char *bytes = ps_entry_key_bytes(entry);
    return (struct ps_key){
        .hash = {.lo = entry->hash   },
        .principal = entry->principal,
        .format = entry->format,
        .sql = { bytes,      entry->sql_len},
        .bindings = { bytes + entry->sql_len, entry->bindings_len},
    };
}

/* No write has begun since its query was sent. */
static inline bool
ps_entry_valid(const struct ps_entry *entry)
{
    return entry->space &&
           ps_space_sum(entry->space, entry->every_table, ps_entry_slots(entry),
                        entry->n_slots) == entry->sum;
}

#endif
