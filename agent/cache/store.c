/*
 * The shards: index, two queues per tenant and two ghosts each, under one
 * mutex.
 *
 * A tenant is a cache. Room is always taken from the tenant that holds most,
 * so all of the budget is used whoever is there, and nobody is ever pushed
 * below an equal share. (Caches beyond TENANTS share their places.)
 *
 * A put makes room before it links the new entry, so a shard's bytes
 * never exceed its share of the budget. Entries that leave are collected while
 * the lock is held and let go of after it. A dead entry (invalid or expired)
 * gets no second chance in the queues.
 *
 * What is counted: the shard, its buckets, its ghosts and its entries, each by
 * the allocator's own size, and all stamps, which the shards leave room for in
 * equal parts. An evicted entry that a reply is still being sent from is not.
 */
#include "agent/cache/store.h"

#include "agent/cache/entry.h"
#include "agent/cache/ghost.h"
#include "common/check.h"
#include "common/list.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    STORE_MAGIC = 0x57ace504,
    MAX_SHARDS = 64,
    SHARD_BYTES = 4 << 20, /* at least, when the number is chosen */
    STORE_MIN_BYTES = 1 << 20,
    FIRST_BUCKETS = 64,
    GHOST_SHARE = 2, /* a place in each ghost for so many buckets */
    TENANTS = 64,    /* places in a shard */
    MAX_FREQ = 2,
    /* The share of a tenant's bytes that small may have before it must give:
     * at first, bounds, and by how many of its entries it moves each time. */
    SHARE_ONE = 1 << 16,
    SHARE_FIRST = SHARE_ONE / 10,
    SHARE_MIN = SHARE_ONE / 50,
    SHARE_MAX = SHARE_ONE / 10 * 9,
    SHARE_STEP = 12,
    SHARE_STEP_MAX = SHARE_ONE / 32,
    DROP_STRIDE = 1024 /* buckets looked at under one hold of the lock */
};

struct tenant {
    const struct ps_cache_stamps *cache; /* NULL: free; the entries keep it */
    size_t n_entries;
    uint64_t bytes, small_bytes; /* of the entries; of those in small */
    struct ps_list small, main;
    uint32_t small_share;  /* of SHARE_ONE */
    uint64_t main_evicted; /* so far, since it came */
};

struct shard {
    _Alignas(64) pthread_mutex_t mutex;
    struct ps_entry **buckets;
    size_t n_buckets, n_entries;
    uint64_t max_bytes, bytes;               /* bytes: everything counted */
    struct ps_ghost small_ghost, main_ghost; /* what left them */
    size_t n_main;   /* entries in all the main queues */
    unsigned reaper; /* the place to look at next for dead entries */
    struct tenant tenants[TENANTS];
    struct ps_store_stats counts; /* stored .. refused_size only */
};

struct ps_store {
    uint32_t magic;
    unsigned n_shards;
    uint64_t max_bytes;
    const struct ps_spaces *spaces;
    struct shard *shards;
};

static size_t
block_bytes(void *block)
{
    return malloc_usable_size(block) + sizeof(size_t);
}

/* ---- life cycle ---- */

static bool
shard_init(struct shard *shard, uint64_t max_bytes)
{
    pthread_mutex_init(&shard->mutex, NULL);
    for (size_t i = 0; i < TENANTS; i++) {
        ps_list_init(&shard->tenants[i].small);
        ps_list_init(&shard->tenants[i].main);
    }
    shard->max_bytes = max_bytes;
    shard->n_buckets = FIRST_BUCKETS;
    shard->buckets = calloc(shard->n_buckets, sizeof(struct ps_entry *));
    size_t places = FIRST_BUCKETS / GHOST_SHARE;
    if (!ps_ghost_init(&shard->small_ghost, places) ||
        !ps_ghost_init(&shard->main_ghost, places) || !shard->buckets)
        return false;
    shard->bytes = sizeof(*shard) + block_bytes(shard->buckets) +
                   ps_ghost_bytes(&shard->small_ghost) +
                   ps_ghost_bytes(&shard->main_ghost);
    return true;
}

static unsigned
choose_shards(uint64_t max_bytes)
{
    unsigned n = 1;
    while (n < MAX_SHARDS && max_bytes / n >= 2 * SHARD_BYTES)
        n *= 2;
    return n;
}

struct ps_store *
ps_store_new(const struct ps_store_conf *conf)
{
    unsigned n = conf->shards ? conf->shards : choose_shards(conf->max_bytes);
    PS_CHECK((n & (n - 1)) == 0 && n <= MAX_SHARDS);
    struct ps_store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->magic = STORE_MAGIC;
    store->max_bytes = PS_MAX(conf->max_bytes, (uint64_t)STORE_MIN_BYTES);
    store->spaces = conf->spaces;
    store->shards = aligned_alloc(64, n * sizeof(struct shard));
    if (!store->shards) {
        ps_store_free(&store);
        return NULL;
    }
    memset(store->shards, 0, n * sizeof(struct shard));
    bool good = true;
    for (unsigned i = 0; i < n; i++) {
        good = shard_init(&store->shards[i], store->max_bytes / n) && good;
        store->n_shards++;
    }
    if (!good)
        ps_store_free(&store);
    return store;
}

static void
release_all(struct ps_entry *victims)
{
    while (victims) {
        struct ps_entry *next = victims->chain;
        ps_entry_unref(&victims);
        victims = next;
    }
}

/* ---- tenants and their queues ---- */

static size_t
tenant_place(const struct shard *shard, const struct ps_cache_stamps *cache)
{
    size_t vacant = TENANTS;
    for (size_t i = 0; i < TENANTS; i++) {
        if (shard->tenants[i].cache == cache)
            return i;
        if (vacant == TENANTS && !shard->tenants[i].cache)
            vacant = i;
    }
    return vacant < TENANTS ? vacant : ((uintptr_t)cache >> 6) % TENANTS;
}

/* Counts the entry as its tenant's, so that the place stays its while room is
 * made; it is linked later. */
static void
tenant_join(struct shard *shard, struct ps_entry *entry)
{
    const struct ps_cache_stamps *cache = ps_space_cache(entry->space);
    size_t place = tenant_place(shard, cache);
    struct tenant *tenant = &shard->tenants[place];
    if (!tenant->cache) {
        tenant->cache = cache;
        tenant->small_share = SHARE_FIRST;
        tenant->main_evicted = 0;
    }
    tenant->n_entries++;
    entry->tenant = (uint16_t)place;
}

static void
tenant_leave(struct tenant *tenant)
{
    if (--tenant->n_entries == 0)
        tenant->cache = NULL;
}

static struct tenant *
tenant_of(struct shard *shard, const struct ps_entry *entry)
{
    return &shard->tenants[entry->tenant];
}

static void
queue_push(struct shard *shard, struct ps_entry *entry,
           enum ps_entry_queue queue)
{
    struct tenant *tenant = tenant_of(shard, entry);
    size_t bytes = ps_entry_bytes(entry);
    entry->queue = queue;
    tenant->bytes += bytes;
    if (queue == PS_QUEUE_SMALL) {
        tenant->small_bytes += bytes;
        ps_list_push_back(&tenant->small, &entry->link);
    } else {
        shard->n_main++;
        ps_list_push_back(&tenant->main, &entry->link);
    }
}

static void
queue_remove(struct shard *shard, struct ps_entry *entry)
{
    struct tenant *tenant = tenant_of(shard, entry);
    size_t bytes = ps_entry_bytes(entry);
    tenant->bytes -= bytes;
    if (entry->queue == PS_QUEUE_SMALL) {
        tenant->small_bytes -= bytes;
        ps_list_remove(&tenant->small, &entry->link);
    } else {
        shard->n_main--;
        ps_list_remove(&tenant->main, &entry->link);
    }
    entry->queue = PS_QUEUE_NONE;
}

/* ---- index ---- */

static struct ps_entry **
bucket_of(const struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (shard->n_buckets - 1)];
}

static struct ps_entry *
index_find(const struct shard *shard, const struct ps_key *key)
{
    struct ps_entry *at = *bucket_of(shard, key->hash.lo);
    while (at && (at->hash != key->hash.lo || !ps_entry_has_key(at, key)))
        at = at->chain;
    return at;
}

/* Unlinks from index and queue; the store's reference goes to *victims. */
static void
shard_remove(struct shard *shard, struct ps_entry *entry,
             struct ps_entry **victims)
{
    struct ps_entry **at = bucket_of(shard, entry->hash);
    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    shard->n_entries--;
    queue_remove(shard, entry);
    tenant_leave(tenant_of(shard, entry));
    shard->bytes -= ps_entry_bytes(entry);
    entry->chain = *victims;
    *victims = entry;
}

/* What it remembered is gone: it grows while the shard fills, when little has
 * left. Without memory it stays as it is. */
static void
ghost_grow(struct shard *shard, struct ps_ghost *ghost, size_t places)
{
    struct ps_ghost grown;
    if (!ps_ghost_init(&grown, places))
        return;
    shard->bytes += ps_ghost_bytes(&grown);
    shard->bytes -= ps_ghost_bytes(ghost);
    ps_ghost_done(ghost);
    *ghost = grown;
}

/* Doubles the buckets when there are more entries than buckets. Without memory
 * the chains get longer and nothing else happens. */
static void
index_grow(struct shard *shard)
{
    size_t n = shard->n_buckets * 2;
    if (shard->n_entries < shard->n_buckets)
        return;
    struct ps_entry **buckets = calloc(n, sizeof(struct ps_entry *));
    if (!buckets)
        return;
    struct ps_entry **old = shard->buckets;
    size_t n_old = shard->n_buckets;
    shard->bytes += block_bytes(buckets);
    shard->bytes -= block_bytes(old);
    shard->buckets = buckets;
    shard->n_buckets = n;
    for (size_t i = 0; i < n_old; i++) {
        for (struct ps_entry *at = old[i], *next; at; at = next) {
            next = at->chain;
            struct ps_entry **to = bucket_of(shard, at->hash);
            at->chain = *to;
            *to = at;
        }
    }
    free(old);
    ghost_grow(shard, &shard->small_ghost, n / GHOST_SHARE);
    ghost_grow(shard, &shard->main_ghost, n / GHOST_SHARE);
}

/* ---- S3-FIFO ---- */

static struct ps_entry *
queue_oldest(const struct ps_list *queue)
{
    struct ps_link *link = ps_list_first(queue);
    PS_CHECK(link != NULL);
    return PS_CONTAINER_OF(link, struct ps_entry, link);
}

static uint64_t
useful_until_us(const struct ps_entry *entry)
{
    uint64_t stale_us = ps_entry_stale_while_revalidate_us(entry);
    return entry->expires_us > UINT64_MAX - stale_us
               ? UINT64_MAX
               : entry->expires_us + stale_us;
}

static bool
entry_dead(const struct ps_entry *entry, uint64_t now_us)
{
    return now_us >= useful_until_us(entry) || !ps_entry_valid(entry);
}

static void
evict(struct shard *shard, struct ps_entry *entry, struct ps_entry **victims)
{
    shard_remove(shard, entry, victims);
    shard->counts.evicted++;
}

static void
evict_from_small(struct shard *shard, struct tenant *tenant, uint64_t now_us,
                 struct ps_entry **victims)
{
    struct ps_entry *entry = queue_oldest(&tenant->small);
    if (entry->freq > 0 && !entry_dead(entry, now_us)) {
        queue_remove(shard, entry);
        entry->freq = 0;
        queue_push(shard, entry, PS_QUEUE_MAIN);
        return;
    }
    ps_ghost_add(&shard->small_ghost, entry->hash);
    evict(shard, entry, victims);
}

static void
evict_from_main(struct shard *shard, struct tenant *tenant, uint64_t now_us,
                struct ps_entry **victims)
{
    struct ps_entry *entry = queue_oldest(&tenant->main);
    if (entry->freq > 0 && !entry_dead(entry, now_us)) {
        queue_remove(shard, entry);
        entry->freq--;
        queue_push(shard, entry, PS_QUEUE_MAIN);
        return;
    }
    ps_ghost_add(&shard->main_ghost, entry->hash);
    tenant->main_evicted++;
    evict(shard, entry, victims);
}

/* Whom room is taken from: it holds its fair share at least. */
static struct tenant *
tenant_to_shrink(struct shard *shard)
{
    struct tenant *most = &shard->tenants[0];
    for (size_t i = 1; i < TENANTS; i++) {
        if (shard->tenants[i].bytes > most->bytes)
            most = &shard->tenants[i];
    }
    return most;
}

/* A tenant that is asked no more would keep its dead entries: each put that
 * needs room looks at the oldest of one tenant in turn. */
static void
reap(struct shard *shard, uint64_t now_us, struct ps_entry **victims)
{
    struct tenant *tenant = &shard->tenants[shard->reaper++ % TENANTS];
    struct ps_list *queues[] = {&tenant->small, &tenant->main};
    for (size_t i = 0; i < PS_ARRAY_LEN(queues); i++) {
        if (ps_list_first(queues[i]) &&
            entry_dead(queue_oldest(queues[i]), now_us))
            evict(shard, queue_oldest(queues[i]), victims);
    }
}

/* Takes the next entry of a tenant's turn out, or lets it go round once more.
 */
static void
shrink(struct shard *shard, struct tenant *tenant, uint64_t now_us,
       struct ps_entry **victims)
{
    bool small_full =
        tenant->small_bytes > tenant->bytes / SHARE_ONE * tenant->small_share;
    if (ps_list_first(&tenant->small) &&
        (small_full || !ps_list_first(&tenant->main)))
        evict_from_small(shard, tenant, now_us, victims);
    else
        evict_from_main(shard, tenant, now_us, victims);
}

/* The tenant stays within limit once need is added; how many had to go. */
static uint64_t
keep_share(struct shard *shard, struct tenant *tenant, uint64_t limit,
           size_t need, uint64_t now_us, struct ps_entry **victims)
{
    uint64_t before = shard->counts.evicted;
    while (tenant->bytes > 0 && tenant->bytes + need > limit)
        shrink(shard, tenant, now_us, victims);
    return shard->counts.evicted - before;
}

static void
make_room(struct shard *shard, size_t need, uint64_t now_us,
          struct ps_entry **victims)
{
    if (shard->bytes + need > shard->max_bytes)
        reap(shard, now_us, victims);
    while (shard->bytes + need > shard->max_bytes && shard->n_entries > 0) {
        shrink(shard, tenant_to_shrink(shard), now_us, victims);
    }
}

/* Of the budget, now: the spaces take their part first. */
static void
shard_share(const struct ps_store *store, struct shard *shard)
{
    uint64_t aside = store->spaces ? ps_spaces_bytes(store->spaces) : 0;
    aside = PS_MIN(aside, store->max_bytes / 4 * 3);
    shard->max_bytes = (store->max_bytes - aside) / store->n_shards;
}

/* ---- the store ---- */

void
ps_store_free(struct ps_store **storep)
{
    struct ps_store *store = *storep;
    if (!store)
        return;
    PS_CHECK_OBJ(store, STORE_MAGIC);
    *storep = NULL;
    if (store->n_shards)
        ps_store_drop(store, PS_STR_NONE);
    for (unsigned i = 0; i < store->n_shards; i++) {
        struct shard *shard = &store->shards[i];
        free(shard->buckets);
        ps_ghost_done(&shard->small_ghost);
        ps_ghost_done(&shard->main_ghost);
        pthread_mutex_destroy(&shard->mutex);
    }
    free(store->shards);
    store->magic = 0;
    free(store);
}

/* By the top bits; buckets go by the bottom ones. */
static struct shard *
shard_of(struct ps_store *store, uint64_t hash)
{
    return &store->shards[(hash >> 56) & (store->n_shards - 1)];
}

struct ps_entry *
ps_store_find(struct ps_store *store, const struct ps_key *key)
{
    struct shard *shard = shard_of(store, key->hash.lo);
    pthread_mutex_lock(&shard->mutex);
    struct ps_entry *entry = index_find(shard, key);
    if (entry) {
        if (entry->freq < MAX_FREQ)
            entry->freq++;
        ps_entry_ref(entry);
    }
    pthread_mutex_unlock(&shard->mutex);
    return entry;
}

/* Under the lock: a valid entry has the newest stamps there are, so of two
 * valid ones the later query wins, and an invalid one never replaces any. */
static enum ps_put
put_allowed(struct shard *shard, const struct ps_entry *entry,
            const struct ps_entry *old)
{
    if (!ps_entry_valid(entry)) {
        shard->counts.refused_invalid++;
        return PS_PUT_INVALID;
    }
    if (old && old->born_us > entry->born_us &&
        old->revision >= entry->revision && ps_entry_valid(old)) {
        shard->counts.refused_older++;
        return PS_PUT_OLDER;
    }
    return PS_PUT_STORED;
}

/*
 * A key that comes back soon goes to main, and says which of the queues it left
 * too early: that one gets more room. (Before main has turned over, all that
 * comes back comes from small, and says nothing.)
 */
static enum ps_entry_queue
queue_of_newcomer(struct shard *shard, const struct ps_entry *entry)
{
    struct tenant *tenant = tenant_of(shard, entry);
    uint32_t step = PS_MIN(SHARE_ONE * SHARE_STEP / tenant->n_entries,
                           (size_t)SHARE_STEP_MAX);
    if (ps_ghost_has(&shard->small_ghost, entry->hash, shard->n_main)) {
        if (tenant->main_evicted >= tenant->n_entries / 8)
            tenant->small_share =
                PS_MIN(tenant->small_share + step, (uint32_t)SHARE_MAX);
        return PS_QUEUE_MAIN;
    }
    if (ps_ghost_has(&shard->main_ghost, entry->hash, shard->n_entries)) {
        tenant->small_share = PS_MAX(tenant->small_share, step + SHARE_MIN);
        tenant->small_share -= step;
        return PS_QUEUE_MAIN;
    }
    return PS_QUEUE_SMALL;
}

static enum ps_put
shard_put(struct shard *shard, struct ps_entry *entry, uint64_t limit,
          uint64_t now_us, uint64_t *evicted, struct ps_entry **victims)
{
    struct ps_key key = ps_entry_key(entry);
    struct ps_entry *old = index_find(shard, &key);
    enum ps_put put = put_allowed(shard, entry, old);
    if (put != PS_PUT_STORED)
        return put;
    enum ps_entry_queue queue = PS_QUEUE_SMALL;
    tenant_join(shard, entry);
    if (old) {
        queue = old->queue;
        entry->freq = old->freq;
        shard_remove(shard, old, victims);
        shard->counts.replaced++;
    } else {
        queue = queue_of_newcomer(shard, entry);
    }
    index_grow(shard);
    *evicted = keep_share(shard, tenant_of(shard, entry), limit,
                          ps_entry_bytes(entry), now_us, victims);
    make_room(shard, ps_entry_bytes(entry), now_us, victims);
    struct ps_entry **bucket = bucket_of(shard, entry->hash);
    entry->chain = *bucket;
    *bucket = entry;
    shard->n_entries++;
    shard->bytes += ps_entry_bytes(entry);
    queue_push(shard, ps_entry_ref(entry), queue);
    shard->counts.stored++;
    return PS_PUT_STORED;
}

enum ps_put
ps_store_put(struct ps_store *store, struct ps_entry *entry,
             uint64_t max_entry_bytes, uint64_t now_us)
{
    const struct ps_put_bounds bounds = {.max_entry_bytes = max_entry_bytes,
                                         .share_percent = 100};
    return ps_store_put_within(store, entry, &bounds, now_us, NULL);
}

enum ps_put
ps_store_put_within(struct ps_store *store, struct ps_entry *entry,
                    const struct ps_put_bounds *bounds, uint64_t now_us,
                    uint64_t *evicted)
{
    PS_CHECK_OBJ(store, STORE_MAGIC);
    PS_CHECK_OBJ(entry, PS_ENTRY_MAGIC);
    PS_CHECK(entry->queue == PS_QUEUE_NONE);
    struct shard *shard = shard_of(store, entry->hash);
    struct ps_entry *victims = NULL;
    enum ps_put put;
    uint64_t gone = 0;
    pthread_mutex_lock(&shard->mutex);
    shard_share(store, shard);
    uint64_t limit = shard->max_bytes / 100 * bounds->share_percent;
    uint64_t most =
        PS_MIN(bounds->max_entry_bytes, PS_MIN(shard->max_bytes / 2, limit));
    if (ps_entry_bytes(entry) > most) {
        shard->counts.refused_size++;
        put = PS_PUT_TOO_BIG;
    } else {
        put = shard_put(shard, entry,
                        bounds->share_percent < 100 ? limit : UINT64_MAX,
                        now_us, &gone, &victims);
    }
    pthread_mutex_unlock(&shard->mutex);
    release_all(victims);
    if (evicted)
        *evicted = gone;
    return put;
}

/* Any entry of the tenant, or NULL. */
static const struct ps_entry *
tenant_entry(const struct tenant *tenant)
{
    const struct ps_list *queue =
        ps_list_first(&tenant->small) ? &tenant->small : &tenant->main;
    return ps_list_first(queue) ? queue_oldest(queue) : NULL;
}

uint64_t
ps_store_cache_bytes(struct ps_store *store, struct ps_str cache_id)
{
    uint64_t bytes = 0;
    PS_CHECK_OBJ(store, STORE_MAGIC);
    for (unsigned i = 0; i < store->n_shards; i++) {
        struct shard *shard = &store->shards[i];
        pthread_mutex_lock(&shard->mutex);
        for (size_t t = 0; t < TENANTS; t++) {
            const struct ps_entry *entry = tenant_entry(&shard->tenants[t]);
            if (entry && ps_str_eq(ps_space_cache_id(entry->space), cache_id))
                bytes += shard->tenants[t].bytes;
        }
        pthread_mutex_unlock(&shard->mutex);
    }
    return bytes;
}

void
ps_store_supersede(struct ps_store *store, const struct ps_key *key,
                   uint64_t born_us, struct ps_str body)
{
    PS_CHECK_OBJ(store, STORE_MAGIC);
    struct shard *shard = shard_of(store, key->hash.lo);
    struct ps_entry *victims = NULL;
    pthread_mutex_lock(&shard->mutex);
    struct ps_entry *old = index_find(shard, key);
    if (old && old->born_us <= born_us && ps_entry_valid(old) &&
        !ps_str_eq(ps_entry_body(old), body)) {
        shard_remove(shard, old, &victims);
        shard->counts.dropped++;
    }
    pthread_mutex_unlock(&shard->mutex);
    release_all(victims);
}

void
ps_store_trim(struct ps_store *store, uint64_t now_us)
{
    PS_CHECK_OBJ(store, STORE_MAGIC);
    for (unsigned i = 0; i < store->n_shards; i++) {
        struct shard *shard = &store->shards[i];
        struct ps_entry *victims = NULL;
        pthread_mutex_lock(&shard->mutex);
        shard_share(store, shard);
        make_room(shard, 0, now_us, &victims);
        pthread_mutex_unlock(&shard->mutex);
        release_all(victims);
    }
}

/* What ps_store_drop and ps_store_sweep take, and how much it was. */
struct drop {
    struct ps_str cache_id; /* absent: of every cache */
    bool invalid_only;
    uint64_t dropped;
};

static bool
is_dropped(const struct ps_entry *entry, const struct drop *drop)
{
    return (!drop->cache_id.ptr ||
            ps_str_eq(ps_space_cache_id(entry->space), drop->cache_id)) &&
           !(drop->invalid_only && ps_entry_valid(entry));
}

/* Buckets [from, from + DROP_STRIDE). False at the end of the index. */
static bool
shard_drop(struct shard *shard, struct drop *drop, size_t from)
{
    struct ps_entry *victims = NULL;
    pthread_mutex_lock(&shard->mutex);
    size_t end = PS_MIN(from + DROP_STRIDE, shard->n_buckets);
    for (size_t i = from; i < end; i++) {
        for (struct ps_entry *at = shard->buckets[i], *next; at; at = next) {
            next = at->chain;
            if (is_dropped(at, drop)) {
                shard_remove(shard, at, &victims);
                shard->counts.dropped++;
                drop->dropped++;
            }
        }
    }
    bool more = end < shard->n_buckets;
    pthread_mutex_unlock(&shard->mutex);
    release_all(victims);
    return more;
}

static uint64_t
store_drop(struct ps_store *store, struct drop drop)
{
    PS_CHECK_OBJ(store, STORE_MAGIC);
    for (unsigned i = 0; i < store->n_shards; i++) {
        size_t from = 0;
        while (store->shards[i].buckets &&
               shard_drop(&store->shards[i], &drop, from))
            from += DROP_STRIDE;
    }
    return drop.dropped;
}

void
ps_store_drop(struct ps_store *store, struct ps_str cache_id)
{
    store_drop(store, (struct drop){.cache_id = cache_id});
}

uint64_t
ps_store_sweep(struct ps_store *store, struct ps_str cache_id)
{
    return store_drop(
        store, (struct drop){.cache_id = cache_id, .invalid_only = true});
}

/* Buckets [from, from + DROP_STRIDE). False at the end of the index. */
static bool
shard_look(struct shard *shard, struct ps_store_look *look, size_t from)
{
    pthread_mutex_lock(&shard->mutex);
    size_t end = PS_MIN(from + DROP_STRIDE, shard->n_buckets);
    for (size_t i = from; i < end; i++) {
        for (const struct ps_entry *at = shard->buckets[i]; at;
             at = at->chain) {
            struct ps_key key = ps_entry_key(at);
            if (key.sql.len < look->sql.len ||
                !ps_str_eq(ps_query_text(key.sql), look->sql) ||
                !ps_str_eq(ps_space_cache_id(at->space), look->cache_id) ||
                (look->database.ptr &&
                 !ps_str_eq(ps_space_database(at->space), look->database)))
                continue;
            look->entries++;
            if (ps_entry_check(at, look->now_us, look->revision) !=
                PS_ENTRY_FRESH)
                continue;
            look->fresh++;
            look->bound += ps_str_eq(key.bindings, look->bindings);
            if (at->born_us >= look->born_us) {
                look->born_us = at->born_us;
                look->expires_us = at->expires_us;
            }
        }
    }
    bool more = end < shard->n_buckets;
    pthread_mutex_unlock(&shard->mutex);
    return more;
}

void
ps_store_look(struct ps_store *store, struct ps_store_look *look)
{
    PS_CHECK_OBJ(store, STORE_MAGIC);
    for (unsigned i = 0; i < store->n_shards; i++) {
        size_t from = 0;
        while (shard_look(&store->shards[i], look, from))
            from += DROP_STRIDE;
    }
}

void
ps_store_stats(struct ps_store *store, struct ps_store_stats *out)
{
    PS_CHECK_OBJ(store, STORE_MAGIC);
    *out = (struct ps_store_stats){.max_bytes = store->max_bytes};
    if (store->spaces)
        out->bytes = ps_spaces_bytes(store->spaces);
    for (unsigned i = 0; i < store->n_shards; i++) {
        struct shard *shard = &store->shards[i];
        pthread_mutex_lock(&shard->mutex);
        out->bytes += shard->bytes;
        out->entries += shard->n_entries;
        out->stored += shard->counts.stored;
        out->replaced += shard->counts.replaced;
        out->evicted += shard->counts.evicted;
        out->dropped += shard->counts.dropped;
        out->refused_invalid += shard->counts.refused_invalid;
        out->refused_older += shard->counts.refused_older;
        out->refused_size += shard->counts.refused_size;
        pthread_mutex_unlock(&shard->mutex);
    }
}
