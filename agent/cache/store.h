/*
 * Answers in memory: a hash index in shards, bounded by bytes, S3-FIFO.
 *
 *   key --top bits of hash.lo--> shard --bottom bits--> chain
 *       --hash.lo and every byte of the key equal--> entry
 *
 *   shard:  small FIFO --hit--------> main FIFO --not hit--> out, remembered
 *                \--not hit--> out, remembered
 *           a key that comes back while it is remembered goes to main, and the
 *           queue that it had left gets more of the room
 *
 * Both queues exist once per cache (tenant). Room is taken from the tenant
 * that holds most: no cache is pushed below an equal share by others.
 *
 * An entry is immutable, refcounted and one block of memory: header, slots,
 * key, body. Bytes are counted as the allocator counts them, index and ghost
 * included. A hit takes the shard's mutex for a few tens of nanoseconds,
 * compares the key and takes a reference; it allocates and copies nothing.
 *
 * The store never decides whether an answer may be served: the caller asks
 * ps_entry_check with the time and its cache's revision, and the lease.
 * Any thread; time is passed in (monotonic microseconds).
 */
#ifndef PS_AGENT_CACHE_STORE_H
#define PS_AGENT_CACHE_STORE_H

#include "agent/cache/key.h"
#include "agent/cache/spaces.h"
#include "common/base.h"

struct ps_store;

struct ps_store_conf {
    uint64_t max_bytes; /* of everything; at least 1 MiB */
    unsigned shards;    /* 0: chosen by max_bytes; a power of two */
    /* What they take is part of max_bytes; a quarter is left for answers
     * whatever they take. Outlive the store. NULL: none */
    const struct ps_spaces *spaces;
};
/* NULL without memory. */
struct ps_store *ps_store_new(const struct ps_store_conf *conf);
/* Entries that others still hold live on until they let go. */
void ps_store_free(struct ps_store **store);

/* ---- entries ---- */

struct ps_entry; /* immutable; made from: */
struct ps_entry_spec {
    const struct ps_key *key;           /* copied */
    const struct ps_snapshot *snapshot; /* copied; a reference on its space
                                           is taken. NULL: never to be put
                                           into the store (an answer shared
                                           by coalesced requests only) */
    struct ps_str body;                 /* copied */
    uint64_t born_us;                   /* when its query was sent */
    uint64_t expires_us;                /* ps_policy_expires_us */
    uint64_t revision; /* of the cache's definition (ps_cache_conf) */
    uint32_t tally;    /* what its hits count for (ps_tally_id) */
    uint32_t rows;     /* in body, for that count */
    uint64_t stale_while_revalidate_ms; /* of its rule; 49 days at most */
};
/* A reference; NULL without memory (or a body above 4 GiB). */
struct ps_entry *ps_entry_new(const struct ps_entry_spec *spec);
struct ps_entry *ps_entry_ref(struct ps_entry *entry);
void ps_entry_unref(struct ps_entry **entry);

struct ps_str ps_entry_body(const struct ps_entry *entry);
uint64_t ps_entry_born_us(const struct ps_entry *entry);
uint64_t ps_entry_expires_us(const struct ps_entry *entry);
uint32_t ps_entry_tally(const struct ps_entry *entry);
uint32_t ps_entry_rows(const struct ps_entry *entry);
/* How long after its time it may be served while a newer one is fetched. */
uint64_t ps_entry_stale_while_revalidate_us(const struct ps_entry *entry);
/* One of those who serve it may fetch a newer answer: true for the first, until
 * that one gives it back. */
PS_MUST_USE bool ps_entry_claim(struct ps_entry *entry);
void ps_entry_unclaim(struct ps_entry *entry);
/* What it costs the budget. */
size_t ps_entry_bytes(const struct ps_entry *entry);

enum ps_entry_state {
    PS_ENTRY_FRESH,
    PS_ENTRY_EXPIRED,     /* time to live is over, no write was seen */
    PS_ENTRY_INVALIDATED, /* a write to a table it depends on has begun */
    PS_ENTRY_COMMITTING,  /* the same, and that write is still under way */
    PS_ENTRY_REDEFINED    /* the cache's definition is another one now */
};
/* May it be served (lease aside)? Only FRESH may. */
enum ps_entry_state ps_entry_check(const struct ps_entry *entry,
                                   uint64_t now_us, uint64_t revision);

/* ---- the store ---- */

/* A reference or NULL. Says nothing about freshness. */
struct ps_entry *ps_store_find(struct ps_store *store,
                               const struct ps_key *key);

enum ps_put {
    PS_PUT_STORED,
    PS_PUT_INVALID, /* a write began since its query was sent (hazard 1) */
    PS_PUT_OLDER,   /* a valid answer to a later query is there (hazard 34) */
    PS_PUT_TOO_BIG  /* for max_entry_bytes, its cache's share or a shard */
};
/* What the entry's cache may take. */
struct ps_put_bounds {
    uint64_t max_entry_bytes; /* counts key, body and overhead */
    unsigned share_percent;   /* of the store, all its entries together */
};
/*
 * Takes its own reference when stored. Replaces an entry of the same key. The
 * snapshot is checked under the shard's lock. *evicted (may be NULL): entries
 * that went because the cache held its share. (Caches beyond those a shard
 * tells apart share a place, and a share.)
 */
enum ps_put ps_store_put_within(struct ps_store *store, struct ps_entry *entry,
                                const struct ps_put_bounds *bounds,
                                uint64_t now_us, uint64_t *evicted);
/* The same without a bound for the cache as a whole. */
enum ps_put ps_store_put(struct ps_store *store, struct ps_entry *entry,
                         uint64_t max_entry_bytes, uint64_t now_us);
/* What the entries of a cache take. */
uint64_t ps_store_cache_bytes(struct ps_store *store, struct ps_str cache_id);
/* The origin was asked this key at born_us and answered with a body that is
 * not kept: an older answer that could still be served (also one that has
 * expired) and says something else goes, so that what a client has seen is not
 * taken back. */
void ps_store_supersede(struct ps_store *store, const struct ps_key *key,
                        uint64_t born_us, struct ps_str body);
/* Every minute or so: gives back what the spaces have taken meanwhile, where
 * no put came by to do it. */
void ps_store_trim(struct ps_store *store, uint64_t now_us);
/* Gives the memory of a cache's (absent: every cache's) answers back. Makes
 * nothing invalid: ps_spaces_apply does. */
void ps_store_drop(struct ps_store *store, struct ps_str cache_id);
/* The same with those of a cache that a write or a purge has ended already: how
 * many they were. */
uint64_t ps_store_sweep(struct ps_store *store, struct ps_str cache_id);

/* What is in memory for one text of SQL, whoever asked with whatever bindings.
 * Looks at every entry, some at a time: for a person's question. */
struct ps_store_look {
    struct ps_str cache_id;
    struct ps_str database; /* absent: any */
    struct ps_str sql;      /* as ps_query_text() gives it of a key's */
    struct ps_str bindings; /* as in a key */
    uint64_t now_us, revision;
    /* out: */
    uint64_t entries, fresh;      /* fresh: that could be served */
    uint64_t bound;               /* of the fresh ones, with these bindings */
    uint64_t born_us, expires_us; /* of the youngest fresh one */
};
void ps_store_look(struct ps_store *store, struct ps_store_look *look);

struct ps_store_stats {
    /* bytes include index, ghosts and the spaces' stamps */
    uint64_t bytes, entries, max_bytes;
    uint64_t stored, replaced, evicted, dropped;
    uint64_t refused_invalid, refused_older, refused_size;
};
void ps_store_stats(struct ps_store *store, struct ps_store_stats *out);

#endif
